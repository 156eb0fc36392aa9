//! A person's own tokens (R14).
//!
//! Whatever asks for something is a page of its own, and the script shows it as a dialog over the list. A secret is in
//! the answer to the form that made it, and in no other: no address shows it.

mod create;
mod once;
mod revoke;
mod rotate;

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Extension, Router};
use patrol_policy::Secret;
use patrol_policy::types::{Cause, DAY, Duration, End, HOUR, Id, Parameters, Timestamp};

use super::Web;
use super::person::Person;
use super::render::{Frame, Problem, page, page_with, see_other_with};
use super::strings::text_with;
use crate::service::{Error, NewToken, OwnedToken, Patrol, TokenRow};
use crate::time::print_duration;
use once::Forms;

/// A token that idles out within this time, in ms, is marked.
const SOON_IDLE: Duration = 3 * DAY;
/// A token whose expiration date comes within this time, in ms, is marked.
const SOON_EXPIRED: Duration = 7 * DAY;

/// The list.
const LIST: &str = "/ui/tokens";

pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route(LIST, get(list))
        .route("/ui/tokens/new", get(create::show).post(create::create))
        .route("/ui/tokens/{id}/revoke", get(revoke::show).post(revoke::revoke))
        .route("/ui/tokens/{id}/rotate", get(rotate::show).post(rotate::rotate))
        .layer(Extension(Arc::new(Forms::default())))
}

#[derive(Template)]
#[template(path = "tokens.html")]
struct TokensPage {
    frame: Frame,
    tokens: Vec<Shown>,
    limit: u32,
}

/// A live token as the list shows it.
struct Shown {
    id: Id,
    name: String,
    created: Timestamp,
    last_used: Option<Timestamp>,
    last_used_from: Option<String>,
    /// When it idles out, if nothing comes earlier.
    idles: Option<Timestamp>,
    /// The last moment of its expiration date.
    expires: Timestamp,
    is_idle_soon: bool,
    is_expired_soon: bool,
    /// Until when the secret before works as well.
    rotating: Option<Timestamp>,
    /// How many secrets it had before.
    generation: u32,
}

impl Shown {
    fn new(row: &TokenRow, ends: End, now: Timestamp) -> Self {
        let token = &row.state.token;
        let within = |period: Duration| ends.at.saturating_sub(now) <= period;
        let idles = (ends.cause == Cause::Idle).then_some(ends.at);
        Self {
            id: token.id,
            name: row.name.clone(),
            created: token.created,
            last_used: token.last_used,
            last_used_from: row.last_used_from.clone(),
            idles,
            expires: last_moment(token.expires),
            is_idle_soon: idles.is_some() && within(SOON_IDLE),
            is_expired_soon: idles.is_none() && within(SOON_EXPIRED),
            rotating: token
                .previous
                .map(|previous| previous.until)
                .filter(|until| *until > now),
            generation: token.generation,
        }
    }
}

/// The last moment before it: a token that ends with a day is said to end on that day, and not on the next.
const fn last_moment(at: Timestamp) -> Timestamp {
    at.saturating_sub(1)
}

/// A duration in words, where it has one unit.
pub(super) fn in_words(duration: Duration) -> String {
    let counted = |key, unit: Duration| {
        let count = duration.checked_div(unit).unwrap_or_default();
        text_with(key, &[("count", &count.to_string())])
    };
    if duration.is_multiple_of(DAY) {
        counted("time-days", DAY)
    } else if duration.is_multiple_of(HOUR) {
        counted("time-hours", HOUR)
    } else {
        print_duration(duration)
    }
}

/// The rules in force for this person.
fn rules(patrol: &Patrol, tenant: Id) -> Result<Parameters, Error> {
    Ok(patrol.policy_info_of(Some(tenant))?.description.parameters)
}

async fn list(State(web): State<Web>, person: Person) -> Result<Response, Problem> {
    let (caller, owner, tenant) = (person.caller(), person.id(), person.user().tenant);
    let asked = web
        .blocking(move |patrol| {
            let tokens = patrol.list_tokens(&caller, owner)?;
            Ok((tokens, rules(patrol, tenant)?))
        })
        .await;
    let (tokens, rules) = asked.map_err(|error| Problem::from(error).of(&person))?;
    let now = person.zone.now();
    let shown = tokens
        .iter()
        .map(|OwnedToken { row, ends }| Shown::new(row, *ends, now));
    Ok(page(&TokensPage {
        tokens: shown.collect(),
        limit: rules.tokens_per_owner,
        frame: person.frame("tokens-title", "tokens"),
    }))
}

/// The token that an address names, if it is this person's, and none if it has ended. Of anybody else's nothing is said,
/// not even that it is.
async fn find(web: &Web, person: &Person, id: &str) -> Result<Option<Shown>, Problem> {
    let Ok(id) = id.parse::<Id>() else {
        return Err(Problem::not_found().of(person));
    };
    let (tenant, owner) = (person.user().tenant, person.id());
    let found = web
        .blocking(move |patrol| {
            patrol.token_of(tenant, owner, id)?;
            patrol.show_token(id)
        })
        .await
        .map_err(|error| Problem::from(error).of(person))?;
    let now = person.zone.now();
    let outlook = found.outlook;
    Ok(outlook.live.then(|| Shown::new(&found.row, outlook.ends, now)))
}

/// Back to the list, which says that the token has ended: in another tab, perhaps, or by an administrator.
fn ended_already() -> Response {
    see_other_with(LIST, "notice-token-ended")
}

#[derive(Template)]
#[template(path = "tokens-secret.html")]
struct SecretPage {
    frame: Frame,
    name: String,
    secret: Secret,
    expires: Timestamp,
    /// Until when the secret before works as well.
    rotating: Option<Timestamp>,
}

/// The one answer that holds a secret (R1). It is the answer to a form, which cannot be asked for again.
fn secret_page(person: &Person, title: &'static str, made: NewToken) -> Response {
    let token = &made.row.state.token;
    page(&SecretPage {
        frame: person.frame(title, "tokens"),
        expires: last_moment(token.expires),
        rotating: token.previous.map(|previous| previous.until),
        name: made.row.name,
        secret: made.secret,
    })
}

#[derive(Template)]
#[template(path = "tokens-used.html")]
struct UsedPage {
    frame: Frame,
    /// The token that the form made, if that is done.
    made: Option<(Id, String)>,
}

/// What a form that has done its work already is answered.
fn used_page(person: &Person, made: Option<(Id, String)>) -> Response {
    let template = UsedPage {
        frame: person.frame("tokens-used-title", "tokens"),
        made,
    };
    page_with(StatusCode::CONFLICT, &template)
}

/// A form without what every form of ours has.
fn no_form(person: &Person) -> Response {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "problem-form")
        .of(person)
        .into_response()
}
