//! What scripts call: the sign-in and session calls of the service's REST API.

use std::net::IpAddr;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use patrol_policy::Secret;
use serde::{Deserialize, Deserializer, Serialize};
use zeroize::Zeroize;

use super::App;
use super::answer::problem;
use crate::gate::{Denial, SESSION_HEADER};
use crate::service::{Error, Origin};
use crate::time::rfc3339;

/// `{"token": "<secret>"}`; other members are ignored.
#[derive(Deserialize)]
struct Login {
    #[serde(deserialize_with = "secret")]
    token: Secret,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    String::deserialize(deserializer).map(|text| Secret::new(text.into_bytes()))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LoggedIn<'a> {
    session_token: &'a str,
    user_id: String,
    tenant_id: String,
    session_expiration: String,
}

/// `POST /api/v1/pat/login`: a session for a PAT (R3).
pub(super) async fn login(
    State(app): State<App>,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return problem(rejection.status(), "E_400_BAD_REQUEST", "the body cannot be read"),
    };
    let login = serde_json::from_slice::<Login>(&body);
    // The text was copied out of the body; what the socket was read into need not keep it.
    if let Ok(mut bytes) = body.try_into_mut() {
        bytes.as_mut().zeroize();
    }
    let Ok(Login { token }) = login else {
        let message = "the body must be JSON: {\"token\": \"patrol_pat_…\"}";
        return problem(StatusCode::BAD_REQUEST, "E_400_BAD_REQUEST", message);
    };
    let (config, origin) = (app.config(), api_origin(&headers, &uri));
    let address = origin.address;
    let signed_in = app
        .blocking(move |patrol| patrol.open_session(token.expose(), &config.http.audience, &origin))
        .await;
    match signed_in {
        Ok(signed_in) => {
            let body = LoggedIn {
                // The policy's texts are ASCII: the runtime has checked it.
                session_token: std::str::from_utf8(signed_in.secret.expose()).unwrap_or_default(),
                user_id: signed_in.identity.user_id().to_string(),
                tenant_id: signed_in.identity.tenant_id().to_string(),
                session_expiration: rfc3339(signed_in.expires),
            };
            ([(header::CACHE_CONTROL, "no-store")], axum::Json(body)).into_response()
        }
        Err(error) => refused(&app, &error, address),
    }
}

/// `DELETE /api/v2/sessions`: the presented session is over.
pub(super) async fn logout(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Response {
    let Some(session) = session(&headers) else {
        return missing();
    };
    let origin = api_origin(&headers, &uri);
    let address = origin.address;
    match app
        .blocking(move |patrol| patrol.close_session(session.expose(), &origin))
        .await
    {
        Ok(_) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => refused(&app, &error, address),
    }
}

/// Any other call: whether it exists is told to sessions only.
pub(super) async fn unknown_call(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Response {
    let Some(session) = session(&headers) else {
        return missing();
    };
    let origin = api_origin(&headers, &uri);
    let address = origin.address;
    match app
        .gate()
        .patrol()
        .check_session(session.expose(), &app.config().http.audience, &origin)
    {
        Ok(_) => problem(StatusCode::NOT_FOUND, "E_404_NOT_FOUND", "there is no such call"),
        Err(error) => refused(&app, &error, address),
    }
}

/// The session of a request; none where there are several.
fn session(headers: &HeaderMap) -> Option<Secret> {
    let mut values = headers.get_all(SESSION_HEADER).iter();
    let value = values.next()?;
    values
        .next()
        .is_none()
        .then(|| Secret::new(value.as_bytes().to_vec()))
}

pub(super) fn api_origin(headers: &HeaderMap, uri: &Uri) -> Origin {
    // Set by the gateway in front, which is the only one that can reach this listener.
    let address = headers
        .get("x-real-ip")
        .and_then(|ip| ip.to_str().ok()?.parse().ok());
    Origin::of(address, headers, uri.path())
}

/// Nothing was presented (RFC 6750: no error code then).
fn missing() -> Response {
    unauthorized("Bearer realm=\"patrol\"", "a personal access token is needed")
}

/// The answer to anything but yes from a verification.
fn refused(app: &App, error: &Error, address: Option<IpAddr>) -> Response {
    if let Some(wait) = app.gate().failed(error, address) {
        return Denial::too_many(wait).into_response();
    }
    match error {
        Error::Refused(_) | Error::WrongPassword => unauthorized(
            "Bearer realm=\"patrol\", error=\"invalid_token\"",
            "the token is not accepted",
        ),
        _ => Denial::undecided().into_response(),
    }
}

fn unauthorized(challenge: &'static str, message: &str) -> Response {
    let mut response = problem(StatusCode::UNAUTHORIZED, "E_401_UNAUTHORIZED", message);
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}
