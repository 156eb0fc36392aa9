//! The names that a scenario gives to things: a step speaks only of what a step before it makes.

use std::collections::HashSet;

use super::action::Action;
use super::step::Told;
use crate::config;

/// The names that steps have made so far.
#[derive(Default)]
pub(super) struct Known {
    pub(super) tenants: HashSet<String>,
    pub(super) users: HashSet<String>,
    pub(super) tokens: HashSet<String>,
    pub(super) sessions: HashSet<String>,
}

impl Known {
    /// Whether the things that a step is about are there, and what it makes is not; notes what it makes.
    pub(super) fn check(
        &mut self,
        action: Action,
        told: &mut Told,
        allowed: bool,
    ) -> Result<(), (&'static str, String)> {
        if action == Action::CreateUser && told.tenant.is_none() {
            told.tenant = self.only_tenant()?;
        }
        if matches!(action, Action::SetMethod | Action::PreviewMethod)
            && told.user.is_some() == told.tenant.is_some()
        {
            let name = action.shape().name;
            return Err(("method", format!("`{name}` needs either `user` or `tenant`")));
        }
        if let Some(tenant) = &told.tenant {
            match action {
                Action::CreateTenant => make(&mut self.tenants, "tenant", tenant, allowed)?,
                _ => of(&self.tenants, "tenant", tenant).map_err(|why| ("tenant", why))?,
            }
        }
        if let Some(user) = &told.user {
            match action {
                Action::CreateUser => make(&mut self.users, "user", user, allowed)?,
                _ => of(&self.users, "user", user).map_err(|why| ("user", why))?,
            }
        }
        if let Some(token) = &told.token {
            match action {
                Action::Issue => make(&mut self.tokens, "token", token, allowed)?,
                _ => of(&self.tokens, "token", token).map_err(|why| ("token", why))?,
            }
        } else if action == Action::Issue && (allowed || told.name.is_none()) {
            let why = "`issue` needs `token`, the name by which later steps call it".to_owned();
            return Err(("do", why));
        }
        if let Some(session) = &told.session {
            match action {
                Action::OpenSession | Action::SignIn => {
                    make(&mut self.sessions, "session", session, allowed)?;
                }
                _ => of(&self.sessions, "session", session).map_err(|why| ("session", why))?,
            }
        }
        Ok(())
    }

    fn only_tenant(&self) -> Result<Option<String>, (&'static str, String)> {
        let mut tenants = self.tenants.iter();
        match (tenants.next(), tenants.next()) {
            (Some(only), None) => Ok(Some(only.clone())),
            _ => Err((
                "do",
                "`create-user` needs `tenant` where there is not exactly one".to_owned(),
            )),
        }
    }
}

/// Notes a name that a step makes, if it is to succeed.
fn make(
    known: &mut HashSet<String>,
    what: &'static str,
    name: &str,
    allowed: bool,
) -> Result<(), (&'static str, String)> {
    if allowed && !known.insert(name.to_owned()) {
        let hint = "names of things in a scenario are used once";
        return Err((what, format!("there is a {what} \"{name}\" already: {hint}")));
    }
    Ok(())
}

/// Whether a step before this one makes a thing of this name.
pub(super) fn of(known: &HashSet<String>, what: &str, name: &str) -> Result<(), String> {
    if known.contains(name) {
        return Ok(());
    }
    let why = format!("no step before this one makes a {what} \"{name}\"");
    Err(match config::nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("{why}; did you mean \"{near}\"?"),
        None => why,
    })
}
