//! Reading forms, which may hold secrets, and queries.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use patrol_policy::Secret;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use zeroize::Zeroize as _;

use super::render::Problem;
use super::{Web, guard};

/// A form that one of our pages has sent, in the session that the page was made for. Fields that are not known are
/// ignored.
pub(super) struct Form<T>(pub(super) T);

/// The fields of a form that is a button and no more.
#[derive(Deserialize)]
pub(super) struct Nothing {}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    csrf: String,
}

impl<T: DeserializeOwned> FromRequest<Web> for Form<T> {
    type Rejection = Response;

    async fn from_request(request: Request, web: &Web) -> Result<Self, Response> {
        let problem = |status, key| Problem::new(status, key).into_response();
        let headers = request.headers();
        let config = web.app.config();
        if guard::is_foreign(headers, config.api.public_url.as_deref()) {
            return Err(problem(StatusCode::FORBIDDEN, "problem-foreign"));
        }
        if !is_form(headers) {
            return Err(problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "problem-form"));
        }
        // Who is signed in has the one, who is about to sign in the other.
        let cookies = [guard::SESSION, guard::VISIT];
        let cookie = cookies.into_iter().find_map(|name| guard::sent(headers, name));
        let body = Bytes::from_request(request, web)
            .await
            .map_err(|rejection| problem(rejection.status(), "problem-form"))?;
        let token = serde_html_form::from_bytes::<Token>(&body);
        let read = serde_html_form::from_bytes::<T>(&body);
        // Secrets were copied out of the body; what the socket was read into need not keep them.
        if let Ok(mut bytes) = body.try_into_mut() {
            bytes.as_mut().zeroize();
        }
        let ours = token
            .ok()
            .zip(cookie)
            .is_some_and(|(token, cookie)| guard::is_form_token(&cookie, &token.csrf));
        if !ours {
            return Err(problem(StatusCode::FORBIDDEN, "problem-stale-form"));
        }
        // What the parser says could quote what it read.
        read.map(Self)
            .map_err(|_| problem(StatusCode::UNPROCESSABLE_ENTITY, "problem-form"))
    }
}

/// The query of a page's address.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Web> for Query<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &Web) -> Result<Self, Response> {
        serde_html_form::from_str(parts.uri.query().unwrap_or_default())
            .map(Self)
            .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "problem-query").into_response())
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(|value| value.as_bytes());
    let kind = kind.and_then(|kind| kind.split(|byte| *byte == b';').next());
    kind.unwrap_or_default()
        .trim_ascii()
        .eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
}

/// A field that is a secret.
pub(super) fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    String::deserialize(deserializer).map(|text| Secret::new(text.into_bytes()))
}
