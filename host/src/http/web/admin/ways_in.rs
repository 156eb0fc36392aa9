//! How a user gets in, as far as administrators see to it: a link with which they set a password of their own, shown to
//! the administrator once, to be handed on; and taking away a second factor, or an account at an identity provider, that
//! they have no more.
//!
//! Nobody does it to themselves here: whoever has got hold of an administrator's session would need neither password nor
//! code to keep it.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use patrol_policy::types::{Id, Timestamp};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

use super::super::Web;
use super::super::form::{Form, Nothing};
use super::super::person::Admin;
use super::super::render::{Frame, Problem, page, page_with, see_other_with};
use super::super::strings::text_with;
use super::{identifier, mistake};
use crate::service::{Error, UserRef, UserRow};

pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route("/ui/admin/users/{id}/reset", get(ask_reset).post(reset))
        .route(
            "/ui/admin/users/{id}/second-factor",
            get(ask_remove).post(remove_second_factor),
        )
        .route(
            "/ui/admin/users/{id}/accounts/{provider}",
            get(ask_unlink).post(unlink),
        )
}

/// Asks before something is done: what it does, and the button that does it.
#[derive(Template)]
#[template(path = "admin/user-ask.html")]
struct AskPage {
    frame: Frame,
    user: Id,
    effect: String,
    action: String,
    button: &'static str,
    /// How the button looks.
    kind: &'static str,
    error: Option<String>,
}

/// Where a user is shown.
pub(super) fn user_path(user: Id) -> String {
    format!("/ui/admin/users/{user}")
}

#[derive(Template)]
#[template(path = "admin/user-link.html")]
struct LinkPage {
    frame: Frame,
    user: UserRow,
    link: Zeroizing<String>,
    expires: Timestamp,
    /// Whether the link has the address at which people reach Patrol, as the configuration says it.
    is_whole: bool,
}

/// The user of this tenant, who is somebody else.
async fn find(web: &Web, admin: &Admin, id: &str) -> Result<UserRow, Problem> {
    let id = identifier(id).map_err(|problem| problem.of(&admin.0))?;
    let tenant = admin.tenant();
    let found = web
        .blocking(move |patrol| patrol.user_in(tenant, id))
        .await
        .map_err(|error| Problem::from(error).of(&admin.0))?;
    if found.row.id == admin.0.id() {
        return Err(Problem::new(StatusCode::CONFLICT, "user-ways-not-yourself").of(&admin.0));
    }
    Ok(found.row)
}

fn reset_page(admin: &Admin, user: &UserRow, error: Option<String>) -> AskPage {
    AskPage {
        frame: admin.0.frame("user-reset-title", "users"),
        user: user.id,
        effect: text_with("user-reset-effect", &[("name", &user.name)]),
        action: format!("{}/reset", user_path(user.id)),
        button: "user-reset-button",
        kind: "primary",
        error,
    }
}

async fn ask_reset(
    State(web): State<Web>,
    admin: Admin,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let user = find(&web, &admin, &id).await?;
    Ok(page(&reset_page(&admin, &user, None)))
}

async fn reset(
    State(web): State<Web>,
    admin: Admin,
    Path(id): Path<String>,
    Form(Nothing {}): Form<Nothing>,
) -> Result<Response, Problem> {
    let user = find(&web, &admin, &id).await?;
    let (caller, of) = (admin.caller(), UserRef::Id(user.id));
    let made = web
        .blocking(move |patrol| patrol.password_link(&caller, &of))
        .await;
    match made {
        Ok((user, link)) => {
            let config = web.app.config();
            let base = config.api.public_url.as_deref().unwrap_or_default();
            let path = link.path();
            // With room for all of it: a string that grows leaves copies behind.
            let mut whole = Zeroizing::new(String::with_capacity(base.len().saturating_add(path.len())));
            whole.push_str(base.trim_end_matches('/'));
            whole.push_str(&path);
            Ok(page(&LinkPage {
                frame: admin.0.frame("user-reset-title", "users"),
                user,
                link: whole,
                expires: link.expires,
                is_whole: !base.is_empty(),
            }))
        }
        Err(error) => {
            let (status, message) = mistake(error).map_err(|problem| problem.of(&admin.0))?;
            Ok(page_with(status, &reset_page(&admin, &user, Some(message))))
        }
    }
}

async fn ask_remove(
    State(web): State<Web>,
    admin: Admin,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let user = find(&web, &admin, &id).await?;
    Ok(page(&AskPage {
        frame: admin.0.frame("user-second-title", "users"),
        user: user.id,
        effect: text_with("user-second-effect", &[("name", &user.name)]),
        action: format!("{}/second-factor", user_path(user.id)),
        button: "user-second-remove",
        kind: "danger",
        error: None,
    }))
}

async fn remove_second_factor(
    State(web): State<Web>,
    admin: Admin,
    Path(id): Path<String>,
    Form(Nothing {}): Form<Nothing>,
) -> Result<Response, Problem> {
    let user = find(&web, &admin, &id).await?.id;
    let caller = admin.caller();
    let removed = web
        .blocking(move |patrol| patrol.remove_second_factor(&caller, &UserRef::Id(user)))
        .await;
    done(&admin, user, removed, "notice-user-second-removed")
}

async fn ask_unlink(
    State(web): State<Web>,
    admin: Admin,
    Path((id, provider)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let user = find(&web, &admin, &id).await?;
    let id = user.id;
    let ways = web.blocking(move |patrol| patrol.ways_in(id)).await?;
    if !ways.accounts.iter().any(|account| account.provider == provider) {
        return Err(Problem::not_found().of(&admin.0));
    }
    Ok(page(&AskPage {
        frame: admin.0.frame("user-unlink-title", "users"),
        user: id,
        effect: text_with(
            "user-unlink-effect",
            &[("name", &user.name), ("provider", &provider)],
        ),
        action: account_path(id, &provider),
        button: "user-unlink",
        kind: "danger",
        error: None,
    }))
}

/// Where a user's account at a provider is taken away.
pub(super) fn account_path(user: Id, provider: &str) -> String {
    let provider = utf8_percent_encode(provider, NON_ALPHANUMERIC);
    format!("{}/accounts/{provider}", user_path(user))
}

async fn unlink(
    State(web): State<Web>,
    admin: Admin,
    Path((id, provider)): Path<(String, String)>,
    Form(Nothing {}): Form<Nothing>,
) -> Result<Response, Problem> {
    let user = find(&web, &admin, &id).await?.id;
    let caller = admin.caller();
    let unlinked = web
        .blocking(move |patrol| patrol.unlink_account(&caller, &UserRef::Id(user), &provider))
        .await;
    done(&admin, user, unlinked, "notice-user-unlinked")
}

/// Back to the user. What is not there any more was taken away in another tab, or by somebody else.
fn done(
    admin: &Admin,
    user: Id,
    done: Result<UserRow, Error>,
    notice: &'static str,
) -> Result<Response, Problem> {
    match done {
        Ok(_) | Err(Error::NotFound { .. }) => Ok(see_other_with(&user_path(user), notice)),
        Err(error) => Err(Problem::from(error).of(&admin.0)),
    }
}
