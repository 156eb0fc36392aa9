//! Revoking one token, a selection, or all of a user: first what it would do, then the deed (R8).

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use patrol_policy::types::{Id, RefusalReason, Timestamp};
use serde::Deserialize;

use super::super::super::Web;
use super::super::super::form::{Form, Query};
use super::super::super::person::Admin;
use super::super::super::render::{Frame, Problem, page};
use super::super::super::strings::text;
use super::LIST;
use crate::service::{Doomed, Error, Revocations, TokenRow, explain};

/// The selection, and the query of the list that it was made in.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Selection {
    id: Vec<String>,
    back: String,
}

/// The user whose tokens are meant, likewise.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Whose {
    user: String,
    back: String,
}

/// A token that would go, or went.
struct Shown {
    id: Id,
    name: String,
    owner: String,
    last_used: Option<Timestamp>,
    sessions: usize,
}

#[derive(Template)]
#[template(path = "review-revoke.html")]
struct PreviewPage {
    frame: Frame,
    action: &'static str,
    /// The user all of whose tokens are meant.
    user: Option<(Id, String)>,
    tokens: Vec<Shown>,
    owners: usize,
    sessions: usize,
    /// Tokens of the selection that have ended already.
    ended: usize,
    back: String,
}

/// A token that was not revoked, and why.
struct Kept {
    name: String,
    owner: String,
    why: String,
}

#[derive(Template)]
#[template(path = "review-revoked.html")]
struct DonePage {
    frame: Frame,
    count: usize,
    revoked: Vec<Shown>,
    kept: Vec<Kept>,
    back: String,
}

/// The list that the selection was made in. Whatever is said of it, it is that page.
fn list(back: &str) -> String {
    if back.is_empty() {
        LIST.to_owned()
    } else {
        format!("{LIST}?{back}")
    }
}

fn preview(
    frame: Frame,
    action: &'static str,
    user: Option<(Id, String)>,
    doomed: Vec<Doomed>,
    back: String,
) -> Response {
    let all = doomed.len();
    let doomed: Vec<_> = doomed.into_iter().filter(|one| one.lives).collect();
    let owners: std::collections::BTreeSet<_> =
        doomed.iter().map(|one| one.token.row.state.token.owner).collect();
    let shown = |one: Doomed| Shown {
        id: one.token.row.state.token.id,
        name: one.token.row.name,
        owner: one.token.row.owner_name,
        last_used: one.token.row.state.token.last_used,
        sessions: one.sessions,
    };
    page(&PreviewPage {
        frame,
        action,
        user,
        owners: owners.len(),
        sessions: doomed.iter().map(|one| one.sessions).sum(),
        ended: all.saturating_sub(doomed.len()),
        tokens: doomed.into_iter().map(shown).collect(),
        back,
    })
}

/// What is no identifier names nothing.
fn ids(texts: &[String]) -> Result<Vec<Id>, (StatusCode, &'static str)> {
    if texts.is_empty() {
        return Err((StatusCode::UNPROCESSABLE_ENTITY, "review-error-none"));
    }
    let ids = texts.iter().map(|text| text.parse().ok());
    ids.collect::<Option<_>>()
        .ok_or((StatusCode::NOT_FOUND, "problem-not-found"))
}

pub(super) async fn show(
    State(web): State<Web>,
    admin: Admin,
    Query(selection): Query<Selection>,
) -> Result<Response, Problem> {
    let tenant = admin.tenant();
    let of = |problem: Problem| problem.of(&admin.0);
    let tokens = ids(&selection.id).map_err(|(status, key)| of(Problem::new(status, key)))?;
    let doomed = web.blocking(move |patrol| patrol.preview_revocation(tenant, &tokens));
    let doomed = doomed.await.map_err(|error| of(error.into()))?;
    let frame = admin.0.frame("review-revoke-title", "review");
    Ok(preview(
        frame,
        "/ui/admin/tokens/revoke",
        None,
        doomed,
        selection.back,
    ))
}

pub(super) async fn revoke(
    State(web): State<Web>,
    admin: Admin,
    Form(selection): Form<Selection>,
) -> Result<Response, Problem> {
    let (tenant, caller) = (admin.tenant(), admin.caller());
    let of = |problem: Problem| problem.of(&admin.0);
    let tokens = ids(&selection.id).map_err(|(status, key)| of(Problem::new(status, key)))?;
    let done = web.blocking(move |patrol| patrol.revoke_selection(&caller, tenant, &tokens));
    let Revocations { revoked, kept } = done.await.map_err(|error| of(error.into()))?;
    let kept = kept.into_iter().map(|(row, reason)| Kept {
        name: row.name,
        owner: row.owner_name,
        why: match reason {
            Some(RefusalReason::Unknown) | None => text("review-kept-unknown"),
            Some(reason) => explain(reason).to_owned(),
        },
    });
    let shown = |row: TokenRow| Shown {
        id: row.state.token.id,
        name: row.name,
        owner: row.owner_name,
        last_used: row.state.token.last_used,
        sessions: 0,
    };
    Ok(page(&DonePage {
        frame: admin.0.frame("review-revoked-title", "review"),
        count: revoked.len(),
        revoked: revoked.into_iter().map(shown).collect(),
        kept: kept.collect(),
        back: list(&selection.back),
    }))
}

pub(super) async fn show_all(
    State(web): State<Web>,
    admin: Admin,
    Query(whose): Query<Whose>,
) -> Result<Response, Problem> {
    let tenant = admin.tenant();
    let of = |problem: Problem| problem.of(&admin.0);
    let user: Id = whose.user.parse().map_err(|_| of(Problem::not_found()))?;
    let found = web.blocking(move |patrol| {
        let user = patrol.user_of(tenant, &user.to_string())?;
        Ok((patrol.preview_revoke_all(tenant, user.id)?, user))
    });
    let (doomed, user) = found.await.map_err(|error| of(error.into()))?;
    Ok(preview(
        admin.0.frame("review-revoke-title", "review"),
        "/ui/admin/tokens/revoke-all",
        Some((user.id, user.name)),
        doomed,
        whose.back,
    ))
}

pub(super) async fn revoke_all(
    State(web): State<Web>,
    admin: Admin,
    Form(whose): Form<Whose>,
) -> Result<Response, Problem> {
    let (tenant, caller) = (admin.tenant(), admin.caller());
    let of = |problem: Problem| problem.of(&admin.0);
    let user: Id = whose.user.parse().map_err(|_| of(Problem::not_found()))?;
    let done = web.blocking(move |patrol| {
        let user = patrol.user_of(tenant, &user.to_string())?;
        patrol.revoke_all(&caller, user.id)
    });
    let count = done.await.map_err(|error: Error| of(error.into()))?;
    Ok(page(&DonePage {
        frame: admin.0.frame("review-revoked-title", "review"),
        count: usize::try_from(count).unwrap_or(usize::MAX),
        revoked: Vec::new(),
        kept: Vec::new(),
        back: list(&whose.back),
    }))
}
