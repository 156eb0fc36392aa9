//! A person's tokens that have ended, until they are forgotten (R6).

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use patrol_policy::types::{Cause, Id, Timestamp};
use serde::Deserialize;

use super::Web;
use super::form::Query;
use super::person::Person;
use super::render::{Frame, Problem, page};
use super::strings::text;
use crate::service::EndedToken;
use crate::time::print_duration;

/// How many are on a page.
const PAGE: u32 = 50;

pub(super) fn routes() -> Router<Web> {
    Router::new().route("/ui/history", get(list))
}

#[derive(Template)]
#[template(path = "history.html")]
struct HistoryPage {
    frame: Frame,
    tokens: Vec<Shown>,
    kept: String,
    next: Option<String>,
    is_first: bool,
}

struct Shown {
    name: String,
    created: Timestamp,
    last_used: Option<Timestamp>,
    last_used_from: Option<String>,
    ended: Timestamp,
    why: String,
}

/// Where a page begins: the end of the last token of the one before, and the token.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Place {
    before: Option<Timestamp>,
    id: String,
}

/// Why a token has ended, in words.
fn why(cause: Cause) -> String {
    match cause {
        Cause::ExpirationDate => text("history-expired"),
        Cause::Idle => text("history-idle"),
        Cause::Revoked => text("history-revoked"),
        Cause::AuthMethodChanged => text("history-method"),
        Cause::OwnerDeleted => text("history-deleted"),
        // Of sessions and secrets; no token ends so.
        other => other.to_string(),
    }
}

impl Shown {
    fn new(EndedToken { row, ended }: &EndedToken) -> Self {
        let token = &row.state.token;
        Self {
            name: row.name.clone(),
            created: token.created,
            last_used: token.last_used,
            last_used_from: row.last_used_from.clone(),
            ended: ended.at,
            why: why(ended.cause),
        }
    }
}

async fn list(
    State(web): State<Web>,
    person: Person,
    Query(place): Query<Place>,
) -> Result<Response, Problem> {
    let after = place.before.zip(place.id.parse::<Id>().ok());
    let (caller, owner, tenant) = (person.caller(), person.id(), person.user().tenant);
    let asked = web
        .blocking(move |patrol| {
            let rules = patrol.policy_info_of(Some(tenant))?.description.parameters;
            Ok((patrol.ended_tokens(&caller, owner, after, PAGE)?, rules.retention))
        })
        .await;
    let (ended, kept) = asked.map_err(|error| Problem::from(error).of(&person))?;
    Ok(page(&HistoryPage {
        frame: person.frame("history-title", "history"),
        tokens: ended.tokens.iter().map(Shown::new).collect(),
        kept: print_duration(kept),
        next: ended
            .next
            .map(|(at, id)| format!("/ui/history?before={at}&id={id}")),
        is_first: after.is_none(),
    }))
}
