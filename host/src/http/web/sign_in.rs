//! Signing in with user name and password, and signing out.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use patrol_policy::Secret;
use serde::Deserialize;

use super::super::api::origin;
use super::form::{Form, Nothing, Query, secret};
use super::person::{Person, SIGN_IN, forget_session, zone};
use super::render::{Frame, Problem, page_with, see_other, see_other_with};
use super::second_factor::second;
use super::strings::text;
use super::{HOME, Web, guard, oidc};
use crate::service::{Error, FirstStep, WebSignIn};

pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route(SIGN_IN, get(show).post(sign_in))
        .route("/ui/sign-out", post(sign_out))
}

#[derive(Template)]
#[template(path = "sign-in.html")]
struct SignInPage {
    frame: Frame,
    several_tenants: bool,
    no_tenant: bool,
    tenant: String,
    user: String,
    next: String,
    error: Option<String>,
    /// Identity providers: what people call them, and the way there.
    providers: Vec<(String, String)>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Way {
    next: String,
}

#[derive(Deserialize)]
struct Credentials {
    #[serde(default)]
    tenant: String,
    user: String,
    #[serde(deserialize_with = "secret")]
    password: Secret,
    #[serde(default)]
    next: String,
}

async fn show(State(web): State<Web>, headers: HeaderMap, Query(way): Query<Way>) -> Response {
    if let Some(cookie) = guard::sent(&headers, guard::SESSION) {
        // In another tab, perhaps: it stays so.
        if web
            .blocking(move |patrol| patrol.web_session(&cookie))
            .await
            .is_ok()
        {
            return see_other(guard::next(&way.next).unwrap_or(HOME));
        }
    }
    form(&web, &headers, StatusCode::OK, &way.next, None).await
}

/// The form, filled in as far as it was.
async fn form(
    web: &Web,
    headers: &HeaderMap,
    status: StatusCode,
    next: &str,
    refused: Option<(&Credentials, String)>,
) -> Response {
    let tenants = match web.blocking(|patrol| patrol.tenants()).await {
        Ok(tenants) => tenants,
        Err(error) => return Problem::from(error).into_response(),
    };
    let (visit, is_new) = match guard::sent(headers, guard::VISIT) {
        Some(visit) => (visit, false),
        None => (Secret::new(guard::random().into_bytes()), true),
    };
    let (credentials, error) = refused.unzip();
    let filled = |field: fn(&Credentials) -> &String| credentials.map(field).cloned().unwrap_or_default();
    let template = SignInPage {
        frame: Frame::anonymous("sign-in-title", guard::form_token(&visit), zone(web, headers))
            .noticing(headers),
        several_tenants: tenants.len() > 1,
        no_tenant: tenants.is_empty(),
        tenant: filled(|credentials| &credentials.tenant),
        user: filled(|credentials| &credentials.user),
        next: guard::next(next).unwrap_or_default().to_owned(),
        error,
        providers: oidc::offered(&web.app.config(), guard::next(next).unwrap_or_default()),
    };
    let mut response = page_with(status, &template);
    if is_new {
        let value = String::from_utf8_lossy(visit.expose());
        response
            .headers_mut()
            .append(SET_COOKIE, guard::cookie(guard::VISIT, &value));
    }
    // Who signs in again does so with no session, not even one that has ended: the form's token is the visit's.
    forget_session(headers, &mut response);
    response
}

async fn sign_in(
    State(web): State<Web>,
    uri: Uri,
    headers: HeaderMap,
    Form(credentials): Form<Credentials>,
) -> Response {
    let origin = origin(&headers, &uri);
    let tenant = Some(credentials.tenant.trim()).filter(|tenant| !tenant.is_empty());
    let attempt = web
        .app
        .gate()
        .password_attempt(origin.address, tenant, &credentials.user);
    match attempt {
        Ok(None) => {}
        Ok(Some(wait)) => return Problem::too_many(wait).into_response(),
        Err(error) => return Problem::from(error).into_response(),
    }
    let Some(permit) = web.app.hashing().await else {
        return Problem::busy().into_response();
    };
    let named = tenant.map(ToOwned::to_owned);
    let opened = web
        .blocking(move |patrol| {
            // Until the hash is done, which a browser that goes away does not end.
            let _permit = permit;
            let Credentials { user, password, .. } = &credentials;
            let opened = patrol.web_sign_in_with_password(named.as_deref(), user, password, &origin);
            // Handed back for the form to be filled in again.
            Ok((opened, credentials))
        })
        .await;
    match opened {
        Ok((Ok(FirstStep::In(signed_in)), credentials)) => enter(&signed_in, &credentials.next),
        Ok((Ok(FirstStep::Half(half)), credentials)) => second(&half, &credentials.next),
        Ok((Err(error), credentials)) => {
            let (status, message) = match error {
                Error::WrongPassword => (StatusCode::UNAUTHORIZED, text("sign-in-wrong")),
                Error::Invalid(message) => (StatusCode::UNPROCESSABLE_ENTITY, message),
                other => return Problem::from(other).into_response(),
            };
            let next = credentials.next.clone();
            form(&web, &headers, status, &next, Some((&credentials, message))).await
        }
        Err(error) => Problem::from(error).into_response(),
    }
}

/// In, with a session of its own, whatever cookies there were before: one that somebody else has set opens nothing.
pub(super) fn enter(signed_in: &WebSignIn, next: &str) -> Response {
    let mut response = see_other(guard::next(next).unwrap_or(HOME));
    let secret = String::from_utf8_lossy(signed_in.secret.expose());
    let headers = response.headers_mut();
    headers.append(SET_COOKIE, guard::cookie(guard::SESSION, &secret));
    headers.append(SET_COOKIE, guard::no_cookie(guard::VISIT));
    response
}

async fn sign_out(State(web): State<Web>, person: Person, Form(Nothing {}): Form<Nothing>) -> Response {
    let Person { cookie, origin, .. } = person;
    match web
        .blocking(move |patrol| patrol.close_web_session(&cookie, &origin))
        .await
    {
        // One that has ended meanwhile is what was asked for.
        Ok(()) | Err(Error::Refused(_)) => {
            let mut response = see_other_with(SIGN_IN, "notice-signed-out");
            response
                .headers_mut()
                .append(SET_COOKIE, guard::no_cookie(guard::SESSION));
            response
        }
        Err(error) => Problem::from(error).into_response(),
    }
}
