//! Answers: errors in the service's JSON, challenges, identity headers.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;

use crate::config::{Challenge, HttpConfig};
use crate::service::{Error, Identity};
use crate::time::rfc3339;

/// How long a client should wait before it asks again after a 503, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// The body of every error.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Problem<'a> {
    error_code: &'a str,
    message: &'a str,
}

/// An error in the service's JSON.
pub(super) fn problem(status: StatusCode, code: &str, message: &str) -> Response {
    let body = axum::Json(Problem {
        error_code: code,
        message,
    });
    (status, [(header::CACHE_CONTROL, NO_STORE)], body).into_response()
}

/// What is answered where somebody is not let in.
pub(super) struct Challenges {
    missing: HeaderValue,
    invalid: HeaderValue,
}

impl Challenges {
    pub(super) fn new(config: &HttpConfig) -> Self {
        let realm = &config.realm;
        let (missing, invalid) = match config.challenge {
            Challenge::Bearer => (
                format!("Bearer realm=\"{realm}\""),
                format!("Bearer realm=\"{realm}\", error=\"invalid_token\""),
            ),
            Challenge::Basic => {
                let challenge = format!("Basic realm=\"{realm}\", charset=\"UTF-8\"");
                (challenge.clone(), challenge)
            }
        };
        // The realm was checked when the configuration was read.
        let value = |text: String| HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("Bearer"));
        Self {
            missing: value(missing),
            invalid: value(invalid),
        }
    }

    /// Nothing was presented (RFC 6750: no error code then).
    pub(super) fn missing(&self) -> Response {
        self.with(&self.missing, "a personal access token is needed")
    }

    /// Something was presented and is not accepted. Why, is for the audit trail: unknown, expired, revoked and
    /// malformed look alike.
    pub(super) fn invalid(&self) -> Response {
        self.with(&self.invalid, "the token is not accepted")
    }

    fn with(&self, challenge: &HeaderValue, message: &str) -> Response {
        let mut response = problem(StatusCode::UNAUTHORIZED, "E_401_UNAUTHORIZED", message);
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, challenge.clone());
        response
    }

    /// The answer to anything but yes from a verification.
    pub(super) fn refused(&self, error: &Error) -> Response {
        match error {
            Error::Refused(_) | Error::WrongPassword => self.invalid(),
            _ => undecided(),
        }
    }
}

/// There is no verdict, by no fault of the client's: never a yes (fail closed).
pub(super) fn undecided() -> Response {
    let message = "no decision can be made at the moment";
    let mut response = problem(
        StatusCode::SERVICE_UNAVAILABLE,
        "E_503_SERVICE_UNAVAILABLE",
        message,
    );
    response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    response
}

const USER: HeaderName = HeaderName::from_static("x-patrol-user");
const USER_NAME: HeaderName = HeaderName::from_static("x-patrol-user-name");
const TENANT: HeaderName = HeaderName::from_static("x-patrol-tenant");
const ROLES: HeaderName = HeaderName::from_static("x-patrol-roles");
const TOKEN_ID: HeaderName = HeaderName::from_static("x-patrol-token-id");
const TOKEN_NAME: HeaderName = HeaderName::from_static("x-patrol-token-name");
const SESSION: HeaderName = HeaderName::from_static("x-patrol-session");
const EXPIRES: HeaderName = HeaderName::from_static("x-patrol-expires");

/// Names may hold any character; in a header, what is not printable ASCII is percent-encoded UTF-8, and so is `%`.
const ENCODED: &AsciiSet = &CONTROLS.add(b'%');

/// Yes: an empty 200 that tells the upstream who it is. All headers are always there, empty where there is nothing
/// to say, so that no copy sent by the client survives in a gateway that only replaces what it gets.
pub(super) fn identity(identity: &Identity) -> Response {
    let row = identity.token();
    let token = &row.state.token;
    let session = identity
        .session
        .map(|session| session.to_string())
        .unwrap_or_default();
    let mut headers = HeaderMap::with_capacity(10);
    headers.insert(USER, ascii(token.owner.to_string()));
    headers.insert(USER_NAME, text(&row.owner_name));
    headers.insert(TENANT, ascii(token.tenant.to_string()));
    headers.insert(ROLES, ascii(row.owner_roles.join(",")));
    headers.insert(TOKEN_ID, ascii(token.id.to_string()));
    headers.insert(TOKEN_NAME, text(&row.name));
    headers.insert(SESSION, ascii(session));
    headers.insert(EXPIRES, ascii(rfc3339(identity.ends.at)));
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    let mut response = Response::new(Body::empty());
    *response.headers_mut() = headers;
    response
}

fn ascii(value: String) -> HeaderValue {
    HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static(""))
}

fn text(value: &str) -> HeaderValue {
    ascii(utf8_percent_encode(value, ENCODED).to_string())
}
