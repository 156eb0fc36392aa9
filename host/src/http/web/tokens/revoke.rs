//! *Revoke Token*: the *Delete* dialog, and then the end (R8).

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};

use super::super::Web;
use super::super::form::{Form, Nothing};
use super::super::person::Person;
use super::super::render::{Frame, Problem, page, see_other_with};
use super::{LIST, Shown, ended_already, find};
use crate::service::Error;

#[derive(Template)]
#[template(path = "tokens-revoke.html")]
struct RevokePage {
    frame: Frame,
    token: Shown,
}

pub(super) async fn show(
    State(web): State<Web>,
    person: Person,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    Ok(match find(&web, &person, &id).await? {
        Some(token) => page(&RevokePage {
            frame: person.frame("tokens-revoke-title", "tokens"),
            token,
        }),
        None => ended_already(),
    })
}

pub(super) async fn revoke(
    State(web): State<Web>,
    person: Person,
    Path(id): Path<String>,
    Form(Nothing {}): Form<Nothing>,
) -> Result<Response, Problem> {
    let Some(token) = find(&web, &person, &id).await? else {
        return Ok(ended_already());
    };
    let caller = person.caller();
    let revoked = web.blocking(move |patrol| patrol.revoke(&caller, token.id)).await;
    Ok(match revoked {
        Ok(_) => see_other_with(LIST, "notice-token-revoked"),
        // Between the look and the word.
        Err(Error::Refused(_)) if matches!(find(&web, &person, &id).await, Ok(None)) => ended_already(),
        Err(error) => Problem::from(error).of(&person).into_response(),
    })
}
