//! A person's own tokens.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;

use super::Web;
use super::person::Person;
use super::render::{Frame, Problem, page};
use crate::service::OwnedToken;

pub(super) fn routes() -> Router<Web> {
    Router::new().route("/ui/tokens", get(list))
}

#[derive(Template)]
#[template(path = "tokens.html")]
struct TokensPage {
    frame: Frame,
    tokens: Vec<OwnedToken>,
}

async fn list(State(web): State<Web>, person: Person) -> Result<Response, Problem> {
    let (caller, owner) = (person.caller(), person.id());
    let tokens = web
        .blocking(move |patrol| patrol.list_tokens(&caller, owner))
        .await?;
    Ok(page(&TokensPage {
        frame: person.frame("tokens-title", "tokens"),
        tokens,
    }))
}
