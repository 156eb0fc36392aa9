//! How people sign in: the authentication method of the tenant or of one user, and multi-factor authentication.
//!
//! A change of method ends every token there is (R9), so it takes three steps: a method is chosen, what would go is
//! shown, and the name of what is changed is typed. Whoever does it stays signed in to see what they did.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use patrol_policy::types::{Id, Scope};
use serde::Deserialize;

use super::Web;
use super::form::{Form, Query};
use super::person::Admin;
use super::render::{Frame, Problem, page, page_with, see_other, see_other_with};
use super::strings::{text, text_with};
use crate::config::Config;
use crate::service::{Caller, Error, MethodEffect, Patrol, ReviewedToken, UserRef, normalize};

/// The tenant's settings.
const SETTINGS: &str = "/ui/admin/settings";
/// Tokens that are listed; of more, the number is told.
const LISTED: usize = 50;
/// The method of those who sign in here, with a password.
const PASSWORD: &str = "password";
/// What the list of methods says for one that is not on it.
const OTHER: &str = "other";

pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route(SETTINGS, get(settings))
        .route(
            "/ui/admin/settings/method",
            get(preview_tenant).post(change_tenant),
        )
        .route(
            "/ui/admin/settings/multi-factor",
            get(|| async { see_other(SETTINGS) }).post(multi_factor),
        )
        .route("/ui/admin/users/{id}/method", get(preview_user).post(change_user))
}

/// Whose method it is.
struct Whose {
    scope: Scope,
    /// What must be typed.
    name: String,
    /// The user, where it is one's.
    user: Option<String>,
    /// The method in force.
    method: String,
    /// Where the method is chosen.
    chooser: String,
    /// Where what would go is shown, and where it is done.
    change: String,
}

/// A method that can be chosen.
struct Choice {
    method: String,
    label: String,
    checked: bool,
}

#[derive(Template)]
#[template(path = "admin-settings.html")]
struct SettingsPage {
    frame: Frame,
    whose: Whose,
    choices: Vec<Choice>,
    /// For the tenant.
    multi_factor: Option<bool>,
}

#[derive(Template)]
#[template(path = "method-change.html")]
struct PreviewPage {
    frame: Frame,
    whose: Whose,
    method: String,
    effect: MethodEffect,
    tokens: Vec<ReviewedToken>,
    more: u64,
    /// Why it might lock people out.
    warning: Option<String>,
    /// What was typed before.
    typed: String,
    error: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Chosen {
    method: String,
    other: String,
}

impl Chosen {
    fn method(&self) -> &str {
        let method = if self.method == OTHER {
            &self.other
        } else {
            &self.method
        };
        method.trim()
    }
}

#[derive(Deserialize)]
struct Confirmed {
    method: String,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Factor {
    on: bool,
}

async fn settings(State(web): State<Web>, admin: Admin) -> Result<Response, Problem> {
    let tenant = admin.tenant();
    let (whose, multi_factor) = web
        .blocking(move |patrol| {
            let row = patrol.tenant(&tenant.to_string())?;
            Ok((of_tenant(patrol, tenant)?, row.multi_factor))
        })
        .await?;
    Ok(choose(&web, &admin, whose, Some(multi_factor)))
}

fn choose(web: &Web, admin: &Admin, whose: Whose, multi_factor: Option<bool>) -> Response {
    let title = match whose.user {
        Some(_) => "method-user-title",
        None => "settings-title",
    };
    let section = if whose.user.is_some() { "users" } else { "settings" };
    page(&SettingsPage {
        frame: admin.0.frame(title, section),
        choices: choices(&web.app.config(), &whose.method),
        whose,
        multi_factor,
    })
}

async fn preview_tenant(
    State(web): State<Web>,
    admin: Admin,
    Query(chosen): Query<Chosen>,
) -> Result<Response, Problem> {
    if chosen.method().is_empty() {
        return Ok(see_other(SETTINGS));
    }
    let tenant = admin.tenant();
    preview(&web, &admin, chosen, move |patrol| of_tenant(patrol, tenant)).await
}

async fn preview_user(
    State(web): State<Web>,
    admin: Admin,
    Path(id): Path<String>,
    Query(chosen): Query<Chosen>,
) -> Result<Response, Problem> {
    let id: Id = id.parse().map_err(|_| Problem::not_found())?;
    let tenant = admin.tenant();
    if chosen.method().is_empty() {
        let whose = web.blocking(move |patrol| of_user(patrol, tenant, id)).await?;
        return Ok(choose(&web, &admin, whose, None));
    }
    preview(&web, &admin, chosen, move |patrol| of_user(patrol, tenant, id)).await
}

async fn preview(
    web: &Web,
    admin: &Admin,
    chosen: Chosen,
    whose: impl FnOnce(&Patrol) -> Result<Whose, Error> + Send + 'static,
) -> Result<Response, Problem> {
    let caller = admin.caller();
    let method = chosen.method().to_owned();
    let shown = web
        .blocking(move |patrol| {
            let whose = whose(patrol)?;
            look(patrol, &caller, whose, method)
        })
        .await
        .map_err(|error| Problem::from(error).of(&admin.0))?;
    Ok(page(&preview_page(web, admin, shown, String::new(), None)))
}

/// What a change would do.
struct Look {
    whose: Whose,
    method: String,
    effect: MethodEffect,
    tokens: Vec<ReviewedToken>,
}

fn look(patrol: &Patrol, caller: &Caller, whose: Whose, method: String) -> Result<Look, Error> {
    let effect = patrol.preview_auth_method(caller, whose.scope, &method)?;
    let mut tokens = Vec::new();
    if effect.changes {
        let mut filter = patrol.live_in(whose.scope);
        filter.limit = u32::try_from(LISTED).unwrap_or(u32::MAX);
        patrol.review_all(filter, |token| {
            tokens.push(token);
            tokens.len() < LISTED
        })?;
    }
    Ok(Look {
        whose,
        method,
        effect,
        tokens,
    })
}

fn preview_page(web: &Web, admin: &Admin, look: Look, typed: String, error: Option<String>) -> PreviewPage {
    let Look {
        whose,
        method,
        effect,
        tokens,
    } = look;
    let shown = u64::try_from(tokens.len()).unwrap_or(u64::MAX);
    let section = if whose.user.is_some() { "users" } else { "settings" };
    PreviewPage {
        frame: admin.0.frame("method-title", section),
        warning: warning(&web.app.config(), admin, &whose, &method),
        more: effect.tokens.unwrap_or_default().saturating_sub(shown),
        whose,
        method,
        effect,
        tokens,
        typed,
        error,
    }
}

/// Who could not sign in any more.
fn warning(config: &Config, admin: &Admin, whose: &Whose, method: &str) -> Option<String> {
    let Some(_) = known(config).into_iter().find(|(known, _)| known == method) else {
        return Some(text_with("method-warning-unknown", &[("method", method)]));
    };
    let user = admin.0.user();
    let own = user.auth_method.is_none() && matches!(whose.scope, Scope::Tenant(_))
        || whose.scope == Scope::Owner(user.id);
    (own && method == PASSWORD && !user.has_password).then(|| text("method-warning-password"))
}

async fn change_tenant(
    State(web): State<Web>,
    admin: Admin,
    Form(confirmed): Form<Confirmed>,
) -> Result<Response, Problem> {
    let tenant = admin.tenant();
    change(&web, &admin, confirmed, move |patrol| of_tenant(patrol, tenant)).await
}

async fn change_user(
    State(web): State<Web>,
    admin: Admin,
    Path(id): Path<String>,
    Form(confirmed): Form<Confirmed>,
) -> Result<Response, Problem> {
    let id: Id = id.parse().map_err(|_| Problem::not_found())?;
    let tenant = admin.tenant();
    change(&web, &admin, confirmed, move |patrol| of_user(patrol, tenant, id)).await
}

/// What came of it.
enum Done {
    Changed {
        chooser: String,
        changes: bool,
    },
    /// Another name was typed.
    Otherwise(Box<Look>),
}

async fn change(
    web: &Web,
    admin: &Admin,
    confirmed: Confirmed,
    whose: impl FnOnce(&Patrol) -> Result<Whose, Error> + Send + 'static,
) -> Result<Response, Problem> {
    let caller = admin.caller();
    let Confirmed { method, name } = confirmed;
    let typed = name.clone();
    let done = web
        .blocking(move |patrol| {
            let whose = whose(patrol)?;
            if normalize(&name) != normalize(&whose.name) {
                return look(patrol, &caller, whose, method).map(|look| Done::Otherwise(Box::new(look)));
            }
            let effect = patrol.change_auth_method(&caller, whose.scope, &method)?;
            Ok(Done::Changed {
                chooser: whose.chooser,
                changes: effect.changes,
            })
        })
        .await?;
    Ok(match done {
        Done::Changed {
            chooser,
            changes: true,
        } => see_other_with(&chooser, "notice-method-changed"),
        Done::Changed { chooser, .. } => see_other_with(&chooser, "notice-method-same"),
        Done::Otherwise(look) => {
            let error = text("method-other-name");
            let template = preview_page(web, admin, *look, typed, Some(error));
            page_with(StatusCode::UNPROCESSABLE_ENTITY, &template)
        }
    })
}

async fn multi_factor(
    State(web): State<Web>,
    admin: Admin,
    Form(Factor { on }): Form<Factor>,
) -> Result<Response, Problem> {
    let (caller, tenant) = (admin.caller(), admin.tenant());
    web.blocking(move |patrol| patrol.set_multi_factor(&caller, &tenant.to_string(), on))
        .await?;
    let notice = if on {
        "notice-multi-factor-on"
    } else {
        "notice-multi-factor-off"
    };
    Ok(see_other_with(SETTINGS, notice))
}

fn of_tenant(patrol: &Patrol, tenant: Id) -> Result<Whose, Error> {
    let row = patrol.tenant(&tenant.to_string())?;
    Ok(Whose {
        scope: Scope::Tenant(tenant),
        name: row.name,
        user: None,
        method: row.auth_method,
        chooser: SETTINGS.to_owned(),
        change: format!("{SETTINGS}/method"),
    })
}

/// A user of the administrator's own tenant; any other is as if there were none.
fn of_user(patrol: &Patrol, tenant: Id, user: Id) -> Result<Whose, Error> {
    let row = patrol.user(&UserRef::Id(user))?;
    if row.tenant != tenant || row.deleted.is_some() {
        return Err(Error::NotFound {
            what: "user",
            name: user.to_string(),
        });
    }
    let method = match row.auth_method {
        Some(method) => method,
        None => patrol.tenant(&tenant.to_string())?.auth_method,
    };
    let place = format!("/ui/admin/users/{user}/method");
    Ok(Whose {
        scope: Scope::Owner(user),
        name: row.name.clone(),
        user: Some(row.name),
        method,
        chooser: place.clone(),
        change: place,
    })
}

/// The methods by which somebody can sign in here, and what people call them.
fn known(config: &Config) -> Vec<(String, String)> {
    let mut known = vec![(PASSWORD.to_owned(), text("method-password"))];
    for provider in &config.web.oidc {
        let label = text_with("method-oidc", &[("label", provider.label())]);
        known.push((provider.method(), label));
    }
    if let Some(gateway) = &config.web.gateway {
        known.push((gateway.method.clone(), text("method-gateway")));
    }
    known
}

/// These, and the one in force.
fn choices(config: &Config, current: &str) -> Vec<Choice> {
    let mut known = known(config);
    if !known.iter().any(|(method, _)| method == current) {
        known.push((current.to_owned(), text("method-elsewhere")));
    }
    known
        .into_iter()
        .map(|(method, label)| Choice {
            checked: method == current,
            method,
            label,
        })
        .collect()
}
