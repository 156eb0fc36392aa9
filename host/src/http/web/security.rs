//! The page on which people look after how they sign in: password, second factor, and where they are signed in.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use patrol_policy::Secret;
use serde::Deserialize;

use super::Web;
use super::form::{Form, Nothing, secret};
use super::person::Person;
use super::render::{Frame, Problem, page_with, see_other_with};
use super::strings::text;
use crate::service::{Error, Origin, SecondFactor, UserRow};

pub(super) const SECURITY: &str = "/ui/security";

pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route(SECURITY, get(security))
        .route("/ui/security/password", post(change_password))
        .route("/ui/security/sessions", post(sign_out_elsewhere))
}

#[derive(Template)]
#[template(path = "security.html")]
struct SecurityPage {
    frame: Frame,
    factor: SecondFactor,
    by_password: bool,
    required: bool,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Passwords {
    #[serde(deserialize_with = "secret")]
    current: Secret,
    #[serde(deserialize_with = "secret")]
    password: Secret,
    #[serde(deserialize_with = "secret")]
    repeated: Secret,
}

async fn security(State(web): State<Web>, person: Person) -> Response {
    security_page(&web, &person, StatusCode::OK, None).await
}

async fn security_page(web: &Web, person: &Person, status: StatusCode, error: Option<String>) -> Response {
    let id = person.id();
    match web.blocking(move |patrol| patrol.second_factor(id)).await {
        Ok(factor) => {
            let template = SecurityPage {
                frame: person.frame("security-title", "security"),
                factor,
                by_password: person.visitor.via == "password",
                required: person.visitor.multi_factor,
                error,
            };
            page_with(status, &template)
        }
        Err(error) => Problem::from(error).of(person).into_response(),
    }
}

/// The page again, with what was wrong.
pub(super) async fn refused(web: &Web, person: &Person, error: Error) -> Response {
    let (status, message) = match error {
        Error::WrongPassword => (StatusCode::UNAUTHORIZED, text("second-wrong")),
        Error::Invalid(message) => (StatusCode::UNPROCESSABLE_ENTITY, message),
        other => return Problem::from(other).of(person).into_response(),
    };
    security_page(web, person, status, Some(message)).await
}

/// Codes are counted like passwords: six digits are soon guessed.
pub(super) fn too_many(web: &Web, origin: &Origin, user: &UserRow) -> Option<Response> {
    let tenant = user.tenant.to_string();
    let gate = web.app.gate();
    match gate.password_attempt(origin.address, Some(&tenant), &user.name) {
        Ok(None) => None,
        Ok(Some(wait)) => Some(Problem::too_many(wait).into_response()),
        Err(error) => Some(Problem::from(error).into_response()),
    }
}

async fn change_password(
    State(web): State<Web>,
    person: Person,
    Form(passwords): Form<Passwords>,
) -> Response {
    if person.visitor.via != "password" {
        return Problem::not_found().of(&person).into_response();
    }
    let Passwords {
        current,
        password,
        repeated,
    } = passwords;
    if password.expose() != repeated.expose() {
        let error = Error::Invalid(text("setup-passwords-differ"));
        return refused(&web, &person, error).await;
    }
    if let Some(response) = too_many(&web, &person.origin, person.user()) {
        return response;
    }
    let Some(permit) = web.app.hashing().await else {
        return Problem::busy().of(&person).into_response();
    };
    let (visitor, origin) = (person.visitor.clone(), person.origin.clone());
    let changed = web
        .blocking(move |patrol| {
            // Until the hashes are done, which a browser that goes away does not end.
            let _permit = permit;
            patrol.change_password(&visitor, &current, &password, &origin)
        })
        .await;
    match changed {
        Ok(()) => see_other_with(SECURITY, "notice-password-changed"),
        Err(Error::WrongPassword) => {
            let error = Some(text("security-password-wrong"));
            security_page(&web, &person, StatusCode::UNAUTHORIZED, error).await
        }
        Err(error) => refused(&web, &person, error).await,
    }
}

async fn sign_out_elsewhere(
    State(web): State<Web>,
    person: Person,
    Form(Nothing {}): Form<Nothing>,
) -> Response {
    let (caller, user, session) = (person.caller(), person.user().clone(), person.visitor.session);
    let ended = web
        .blocking(move |patrol| patrol.end_web_sessions(&caller, &user, Some(session)))
        .await;
    match ended {
        Ok(_) => see_other_with(SECURITY, "notice-signed-out-elsewhere"),
        Err(error) => Problem::from(error).of(&person).into_response(),
    }
}
