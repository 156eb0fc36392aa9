//! The world of one scenario: a Patrol, and what its steps have made so far.

use std::collections::{BTreeMap, HashMap};

use patrol_policy::Secret;
use patrol_policy::token::{self, Kind, SCHEME_ERASED};
use patrol_policy::types::{End, Id, Scope, Timestamp};
use serde_json::Value;
use zeroize::Zeroizing;

use super::action::Action;
use super::report::moment;
use super::step::{Actor, Presented, Step};
use crate::service::{Caller, Error, Identity, MethodEffect, NewAccount, NewToken, Origin, Patrol, UserRef};

/// The audience that tokens are for, and presented at, where a step does not say (R12).
const AUDIENCE: &str = "api";

/// What a step found, by the key under which it can be expected.
pub(super) type Facts = BTreeMap<&'static str, Value>;

pub(super) struct World {
    patrol: Patrol,
    start: Timestamp,
    tenants: HashMap<String, Id>,
    users: HashMap<String, Id>,
    tokens: HashMap<String, Token>,
    sessions: HashMap<String, Session>,
    passwords: HashMap<String, Secret>,
}

struct Token {
    id: Id,
    /// Every text handed out, the latest last.
    texts: Vec<Secret>,
}

struct Session {
    kind: Kind,
    text: Secret,
}

impl World {
    pub(super) fn new(patrol: Patrol, start: Timestamp) -> Self {
        Self {
            patrol,
            start,
            tenants: HashMap::new(),
            users: HashMap::new(),
            tokens: HashMap::new(),
            sessions: HashMap::new(),
            passwords: HashMap::new(),
        }
    }

    /// Does what a step says.
    pub(super) fn act(&mut self, step: &Step) -> Result<Facts, Error> {
        match step.action {
            Action::CreateTenant
            | Action::CreateUser
            | Action::SetMfa
            | Action::SetRoles
            | Action::SetEmail
            | Action::SetPassword
            | Action::Rename
            | Action::Enable
            | Action::Disable
            | Action::Delete => self.administer(step).map(|()| Facts::new()),
            Action::Issue | Action::Rotate => self.mint(step),
            Action::Verify => {
                let presented = self.presented_token(step)?;
                let identity =
                    self.patrol
                        .authenticate(presented.expose(), audience(step), &Origin::default())?;
                Ok(self.identity(&identity))
            }
            Action::OpenSession => self.open_session(step),
            Action::CheckSession => {
                let presented = self.presented_session(step)?;
                let identity =
                    self.patrol
                        .check_session(presented.expose(), audience(step), &Origin::default())?;
                Ok(self.identity(&identity))
            }
            Action::CloseSession => {
                let presented = self.presented_session(step)?;
                self.patrol
                    .close_session(presented.expose(), &Origin::default())?;
                Ok(Facts::new())
            }
            Action::SignIn => self.sign_in(step),
            Action::Revoke => {
                let id = self.token(step)?.id;
                self.patrol.revoke(&self.caller(step)?, id)?;
                Ok(Facts::new())
            }
            Action::RevokeAll => {
                let count = self.patrol.revoke_all(&self.caller(step)?, self.user(step)?)?;
                Ok(Facts::from([("count", count.into())]))
            }
            Action::PreviewMethod => {
                let (caller, scope) = (self.caller(step)?, self.scope(step)?);
                self.patrol
                    .preview_auth_method(&caller, scope, text(&step.told.method))
                    .map(|effect| effect_facts(&effect))
            }
            Action::SetMethod => {
                let (caller, scope) = (self.caller(step)?, self.scope(step)?);
                self.patrol
                    .change_auth_method(&caller, scope, text(&step.told.method))
                    .map(|effect| effect_facts(&effect))
            }
            Action::List => {
                let listed = self.patrol.list_tokens(&self.caller(step)?, self.user(step)?)?;
                let mut names: Vec<_> = listed.into_iter().map(|token| token.row.name).collect();
                names.sort_unstable();
                Ok(Facts::from([
                    ("live", names.len().into()),
                    ("listed", names.into()),
                ]))
            }
            Action::Review => self.review(step),
            Action::Sweep => {
                let swept = self.patrol.sweep()?;
                Ok(Facts::from([
                    ("ended", swept.ended.into()),
                    ("secrets", swept.secrets.into()),
                    ("forgotten", swept.forgotten.into()),
                    ("sessions", swept.sessions.into()),
                ]))
            }
        }
    }

    /// What needs no policy.
    fn administer(&mut self, step: &Step) -> Result<(), Error> {
        let told = &step.told;
        let caller = Caller::operator(Some("the scenario".to_owned()));
        match step.action {
            Action::CreateTenant => {
                let (label, method) = (text(&told.tenant), told.method.as_deref().unwrap_or("password"));
                let multi_factor = told.mfa.unwrap_or(false);
                let row = self.patrol.create_tenant(&caller, label, method, multi_factor)?;
                self.tenants.insert(label.to_owned(), row.id);
                return Ok(());
            }
            Action::CreateUser => {
                let label = text(&told.user);
                let account = NewAccount {
                    name: label.to_owned(),
                    email: told.email.clone(),
                    roles: told.roles.clone().unwrap_or_default(),
                };
                let tenant = made(&self.tenants, "tenant", text(&told.tenant))?.to_string();
                let row = self.patrol.create_user(&caller, &tenant, &account)?;
                self.users.insert(label.to_owned(), row.id);
                return Ok(());
            }
            Action::SetMfa => {
                let tenant = made(&self.tenants, "tenant", text(&told.tenant))?.to_string();
                self.patrol
                    .set_multi_factor(&caller, &tenant, told.mfa.unwrap_or(false))?;
                return Ok(());
            }
            _ => {}
        }
        let user = UserRef::Id(self.user(step)?);
        let patrol = &self.patrol;
        match step.action {
            Action::SetRoles => {
                patrol.set_roles(&caller, &user, told.roles.as_deref().unwrap_or_default())?
            }
            Action::SetEmail => patrol.set_email(&caller, &user, told.email.as_deref())?,
            Action::Rename => patrol.rename_user(&caller, &user, text(&told.name))?,
            Action::Enable => patrol.set_enabled(&caller, &user, true)?,
            Action::Disable => patrol.set_enabled(&caller, &user, false)?,
            Action::Delete => patrol.delete_user(&caller, &user)?,
            _ => {
                let password = random_password()?;
                let row = patrol.set_password(&caller, &user, &password)?;
                self.passwords.insert(text(&told.user).to_owned(), password);
                row
            }
        };
        Ok(())
    }

    /// Issues or rotates.
    fn mint(&mut self, step: &Step) -> Result<Facts, Error> {
        let told = &step.told;
        let caller = self.caller(step)?;
        let label = told.token.as_deref();
        let NewToken { row, secret, ends } = if step.action == Action::Rotate {
            self.patrol.rotate(&caller, self.token(step)?.id, step.overlap)?
        } else {
            let name = told.name.as_deref().or(label).unwrap_or_default();
            let owner = self.user(step)?;
            self.patrol
                .issue(&caller, owner, name, step.expires, audience(step))?
        };
        if let Some(label) = label {
            let token = self.tokens.entry(label.to_owned()).or_insert_with(|| Token {
                id: row.state.token.id,
                texts: Vec::new(),
            });
            token.texts.push(secret);
        }
        let mut facts = self.end_facts("ends", "why", ends);
        facts.insert("named", row.name.into());
        Ok(facts)
    }

    fn open_session(&mut self, step: &Step) -> Result<Facts, Error> {
        let presented = self.presented_token(step)?;
        let signed = self
            .patrol
            .open_session(presented.expose(), audience(step), &Origin::default())?;
        let mut facts = self.identity(&signed.identity);
        facts.insert("until", self.moment(signed.expires));
        facts.append(&mut self.end_facts("token_ends", "token_why", signed.token_ends));
        self.keep_session(step, Kind::Session, signed.secret);
        Ok(facts)
    }

    fn sign_in(&mut self, step: &Step) -> Result<Facts, Error> {
        let user = self.patrol.user(&UserRef::Id(self.user(step)?))?;
        let password = match (step.presented, self.passwords.get(text(&step.told.user))) {
            (Presented::Latest, Some(password)) => Secret::new(password.expose().to_vec()),
            (Presented::Latest, None) => {
                return Err(Error::Invalid(
                    "the user has no password: add a step `set-password`".to_owned(),
                ));
            }
            _ => random_password()?,
        };
        let tenant = user.tenant.to_string();
        let signed = self.patrol.sign_in_with_password(
            Some(&tenant),
            &user.name,
            &password,
            audience(step),
            &Origin::default(),
        )?;
        let mut facts = self.identity(&signed.identity);
        facts.insert("until", self.moment(signed.expires));
        self.keep_session(step, Kind::Account, signed.secret);
        Ok(facts)
    }

    fn keep_session(&mut self, step: &Step, kind: Kind, text: Secret) {
        if let Some(label) = &step.told.session {
            self.sessions.insert(label.clone(), Session { kind, text });
        }
    }

    fn review(&self, step: &Step) -> Result<Facts, Error> {
        let token = self.patrol.show_token(self.token(step)?.id)?;
        let mut facts = self.end_facts("ends", "why", token.outlook.ends);
        let state = if token.outlook.live { "live" } else { "ended" };
        facts.insert("state", state.into());
        let stored = &token.row.state.token;
        let hash = if stored.scheme == SCHEME_ERASED {
            "erased"
        } else {
            "kept"
        };
        facts.insert("hash", hash.into());
        if let Some(used) = stored.last_used {
            facts.insert("last_used", self.moment(used));
        }
        facts.insert("named", token.row.name.into());
        Ok(facts)
    }

    fn identity(&self, identity: &Identity) -> Facts {
        let mut facts = self.end_facts("ends", "why", identity.ends);
        facts.insert("who", identity.user_name().into());
        facts.insert("email", identity.user_email().into());
        facts.insert("roles", identity.roles().into());
        facts
    }

    fn end_facts(&self, at: &'static str, why: &'static str, end: End) -> Facts {
        Facts::from([(at, self.moment(end.at)), (why, end.cause.as_str().into())])
    }

    fn moment(&self, at: Timestamp) -> Value {
        moment(at, self.start).into()
    }

    fn caller(&self, step: &Step) -> Result<Caller, Error> {
        Ok(match &step.actor {
            Actor::Administrator => Caller::operator(Some("the scenario".to_owned())),
            Actor::System => Caller::system(),
            Actor::User(label) => Caller::user(*made(&self.users, "user", label)?, Origin::default()),
            Actor::Token(label) => Caller::token(made(&self.tokens, "token", label)?.id, Origin::default()),
        })
    }

    fn user(&self, step: &Step) -> Result<Id, Error> {
        made(&self.users, "user", text(&step.told.user)).copied()
    }

    fn token(&self, step: &Step) -> Result<&Token, Error> {
        made(&self.tokens, "token", text(&step.told.token))
    }

    fn scope(&self, step: &Step) -> Result<Scope, Error> {
        match &step.told.tenant {
            Some(label) => Ok(Scope::Tenant(*made(&self.tenants, "tenant", label)?)),
            None => Ok(Scope::Owner(self.user(step)?)),
        }
    }

    fn presented_token(&self, step: &Step) -> Result<Secret, Error> {
        let texts = &self.token(step)?.texts;
        let text = match step.presented {
            Presented::Previous => texts.iter().rev().nth(1),
            _ => texts.last(),
        };
        let text = text.ok_or_else(|| Error::Invalid("the token was never rotated".to_owned()))?;
        presented(step.presented, Kind::Pat, text)
    }

    fn presented_session(&self, step: &Step) -> Result<Secret, Error> {
        let session = made(&self.sessions, "session", text(&step.told.session))?;
        if step.presented == Presented::Previous {
            return Err(Error::Invalid(
                "a session has no secret before its own".to_owned(),
            ));
        }
        presented(step.presented, session.kind, &session.text)
    }
}

fn effect_facts(effect: &MethodEffect) -> Facts {
    let mut facts = Facts::from([
        ("changes", effect.changes.into()),
        ("from", effect.from.as_str().into()),
    ]);
    facts.extend(effect.tokens.map(|tokens| ("tokens", tokens.into())));
    facts.extend(effect.owners.map(|owners| ("owners", owners.into())));
    facts
}

/// What an earlier step made. The parser has seen that there is such a step, and scenarios end with the first that
/// does not go as expected, so that this does not fail but for a mistake of ours.
fn made<'a, T>(all: &'a HashMap<String, T>, what: &'static str, label: &str) -> Result<&'a T, Error> {
    all.get(label).ok_or_else(|| Error::NotFound {
        what,
        name: label.to_owned(),
    })
}

fn text(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or_default()
}

fn audience(step: &Step) -> &str {
    step.told.audience.as_deref().unwrap_or(AUDIENCE)
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, Error> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(&mut *bytes).map_err(|error| Error::interrupted(&error.to_string()))?;
    Ok(bytes)
}

fn random_password() -> Result<Secret, Error> {
    let letters = random::<24>()?
        .iter()
        .map(|byte| b'a'.saturating_add(byte % 26))
        .collect();
    Ok(Secret::new(letters))
}

/// What is presented in place of a text.
fn presented(how: Presented, kind: Kind, text: &Secret) -> Result<Secret, Error> {
    let mut bytes = text.expose().to_vec();
    match how {
        Presented::Latest | Presented::Previous => {}
        Presented::Wrong => {
            let parsed = token::parse(kind, &bytes)
                .map_err(|reason| Error::Invalid(format!("the policy's own text is {reason}")))?;
            return Ok(token::compose(kind, parsed.id(), &*random()?));
        }
        Presented::Mistyped => {
            if let Some(last) = bytes.last_mut() {
                *last = if *last == b'0' { b'1' } else { b'0' };
            }
        }
        Presented::Malformed => bytes.truncate(20),
    }
    Ok(Secret::new(bytes))
}
