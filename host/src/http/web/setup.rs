//! What links that are good once lead to: making the first tenant with its administrator, and setting a password.
//!
//! The link's secret comes in the query and goes back in the form. No page says where it came from, nothing logs a
//! query, and the secret is of no more use once the form was sent.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use patrol_policy::Secret;
use serde::Deserialize;

use super::super::api::origin;
use super::form::{Form, Query, secret};
use super::person::{SIGN_IN, zone};
use super::render::{Frame, Problem, page_with, see_other_with};
use super::sign_in::enter;
use super::strings::text;
use super::{Web, guard};
use crate::service::{Error, FirstNames};

/// Where the first tenant is made.
const SETUP: &str = "/ui/setup";
/// Where a password is set.
const PASSWORD: &str = "/ui/password";

pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route(SETUP, get(show_setup).post(set_up))
        .route(PASSWORD, get(show_password).post(set_password))
}

#[derive(Template)]
#[template(path = "setup.html")]
struct SetupPage {
    frame: Frame,
    link: Secret,
    names: FirstNames,
    error: Option<String>,
}

#[derive(Template)]
#[template(path = "password.html")]
struct PasswordPage {
    frame: Frame,
    link: Secret,
    user: String,
    tenant: String,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Followed {
    #[serde(default = "nothing", deserialize_with = "secret")]
    link: Secret,
}

fn nothing() -> Secret {
    Secret::new(Vec::new())
}

#[derive(Deserialize)]
struct First {
    #[serde(deserialize_with = "secret")]
    link: Secret,
    #[serde(default)]
    tenant: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    email: String,
    #[serde(deserialize_with = "secret")]
    password: Secret,
    #[serde(deserialize_with = "secret")]
    repeated: Secret,
}

#[derive(Deserialize)]
struct NewPassword {
    #[serde(deserialize_with = "secret")]
    link: Secret,
    #[serde(deserialize_with = "secret")]
    password: Secret,
    #[serde(deserialize_with = "secret")]
    repeated: Secret,
}

async fn show_setup(
    State(web): State<Web>,
    headers: HeaderMap,
    Query(Followed { link }): Query<Followed>,
) -> Response {
    setup_form(&web, &headers, StatusCode::OK, link, FirstNames::default(), None).await
}

/// The form, filled in as far as it was; a page that says so where the link is not good.
async fn setup_form(
    web: &Web,
    headers: &HeaderMap,
    status: StatusCode,
    link: Secret,
    names: FirstNames,
    error: Option<String>,
) -> Response {
    let checked = web
        .blocking(move |patrol| patrol.check_setup_link(&link).map(|()| link))
        .await;
    let link = match checked {
        Ok(link) => link,
        Err(error) => return over(error),
    };
    anonymous(web, headers, status, "setup-title", |frame| SetupPage {
        frame,
        link,
        names,
        error,
    })
}

async fn set_up(State(web): State<Web>, uri: Uri, headers: HeaderMap, Form(first): Form<First>) -> Response {
    let email = first.email.trim();
    let names = FirstNames {
        tenant: first.tenant,
        user: first.user,
        email: (!email.is_empty()).then(|| email.to_owned()),
    };
    let (link, password) = (first.link, first.password);
    if password.expose() != first.repeated.expose() {
        let error = Some(text("setup-passwords-differ"));
        return setup_form(
            &web,
            &headers,
            StatusCode::UNPROCESSABLE_ENTITY,
            link,
            names,
            error,
        )
        .await;
    }
    let Some(permit) = web.app.hashing().await else {
        return Problem::busy().into_response();
    };
    let origin = origin(&headers, &uri);
    let done = web
        .blocking(move |patrol| {
            let _permit = permit;
            let done = patrol.set_up(&link, &names, &password, &origin);
            // Handed back for the form to be filled in again.
            Ok((done, link, names))
        })
        .await;
    match done {
        Ok((Ok(signed_in), ..)) => enter(&signed_in, ""),
        Ok((Err(Error::Invalid(message)), link, names)) => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            setup_form(&web, &headers, status, link, names, Some(message)).await
        }
        Ok((Err(error), ..)) | Err(error) => over(error),
    }
}

async fn show_password(
    State(web): State<Web>,
    headers: HeaderMap,
    Query(Followed { link }): Query<Followed>,
) -> Response {
    password_form(&web, &headers, StatusCode::OK, link, None).await
}

async fn password_form(
    web: &Web,
    headers: &HeaderMap,
    status: StatusCode,
    link: Secret,
    error: Option<String>,
) -> Response {
    let checked = web
        .blocking(move |patrol| patrol.check_password_link(&link).map(|user| (link, user)))
        .await;
    let (link, user) = match checked {
        Ok(checked) => checked,
        Err(error) => return over(error),
    };
    anonymous(web, headers, status, "password-title", |frame| PasswordPage {
        frame,
        link,
        user: user.name,
        tenant: user.tenant_name,
        error,
    })
}

async fn set_password(
    State(web): State<Web>,
    uri: Uri,
    headers: HeaderMap,
    Form(new): Form<NewPassword>,
) -> Response {
    let NewPassword { link, password, .. } = new;
    if password.expose() != new.repeated.expose() {
        let error = Some(text("setup-passwords-differ"));
        return password_form(&web, &headers, StatusCode::UNPROCESSABLE_ENTITY, link, error).await;
    }
    let Some(permit) = web.app.hashing().await else {
        return Problem::busy().into_response();
    };
    let origin = origin(&headers, &uri);
    let done = web
        .blocking(move |patrol| {
            let _permit = permit;
            let done = patrol.set_password_by_link(&link, &password, &origin);
            Ok((done, link))
        })
        .await;
    match done {
        Ok((Ok(_), _)) => see_other_with(SIGN_IN, "notice-password-set"),
        Ok((Err(Error::Invalid(message)), link)) => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            password_form(&web, &headers, status, link, Some(message)).await
        }
        Ok((Err(error), _)) | Err(error) => over(error),
    }
}

/// Why a link is not good is for the audit trail.
fn over(error: Error) -> Response {
    match error {
        Error::Refused(_) => Problem::new(StatusCode::GONE, "setup-link-over").into_response(),
        other => Problem::from(other).into_response(),
    }
}

/// A page with a form for somebody who need not be signed in. The form's token is computed from the cookie that is
/// looked at when it comes back: whoever is signed in meanwhile stays so.
pub(super) fn anonymous<T: Template>(
    web: &Web,
    headers: &HeaderMap,
    status: StatusCode,
    title: &'static str,
    template: impl FnOnce(Frame) -> T,
) -> Response {
    let cookies = [guard::SESSION, guard::VISIT];
    let sent = cookies.into_iter().find_map(|name| guard::sent(headers, name));
    let is_new = sent.is_none();
    let visit = sent.unwrap_or_else(|| Secret::new(guard::random().into_bytes()));
    let frame = Frame::anonymous(title, guard::form_token(&visit), zone(web, headers)).noticing(headers);
    let mut response = page_with(status, &template(frame));
    if is_new {
        let value = String::from_utf8_lossy(visit.expose());
        response
            .headers_mut()
            .append(SET_COOKIE, guard::cookie(guard::VISIT, &value));
    }
    response
}
