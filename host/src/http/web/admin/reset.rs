//! A link with which a user sets a password of their own: shown to the administrator once, to be handed on.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use patrol_policy::types::Timestamp;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::super::Web;
use super::super::form::Form;
use super::super::person::Admin;
use super::super::render::{Frame, Problem, page, page_with};
use super::{identifier, mistake};
use crate::service::{UserRef, UserRow};

pub(super) fn routes() -> Router<Web> {
    Router::new().route("/ui/admin/users/{id}/reset", get(ask).post(reset))
}

#[derive(Template)]
#[template(path = "admin/user-reset.html")]
struct AskPage {
    frame: Frame,
    user: UserRow,
    error: Option<String>,
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

/// The user of this tenant.
async fn find(web: &Web, admin: &Admin, id: &str) -> Result<UserRow, Problem> {
    let id = identifier(id).map_err(|problem| problem.of(&admin.0))?;
    let tenant = admin.tenant();
    let found = web
        .blocking(move |patrol| patrol.user_in(tenant, id))
        .await
        .map_err(|error| Problem::from(error).of(&admin.0))?;
    Ok(found.row)
}

async fn ask(State(web): State<Web>, admin: Admin, Path(id): Path<String>) -> Result<Response, Problem> {
    let user = find(&web, &admin, &id).await?;
    Ok(page(&AskPage {
        frame: admin.0.frame("user-reset-title", "users"),
        user,
        error: None,
    }))
}

#[derive(Deserialize)]
struct Nothing {}

async fn reset(
    State(web): State<Web>,
    admin: Admin,
    Path(id): Path<String>,
    Form(Nothing {}): Form<Nothing>,
) -> Result<Response, Problem> {
    let user = find(&web, &admin, &id).await?;
    let (caller, id) = (admin.caller(), user.id);
    let made = web
        .blocking(move |patrol| patrol.password_link(&caller, &UserRef::Id(id)))
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
            let frame = admin.0.frame("user-reset-title", "users");
            let error = Some(message);
            Ok(page_with(status, &AskPage { frame, user, error }))
        }
    }
}
