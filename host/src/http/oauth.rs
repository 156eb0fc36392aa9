//! OAuth 2.0 for resource servers that speak it: token introspection (RFC 7662), token revocation (RFC 7009) and the
//! metadata by which both are found (RFC 8414).
//!
//! Whoever asks must be a client (`patrol client create`). To the client a token is live or it is not: unknown,
//! expired, revoked, malformed, of another audience or tenant than the client's, or of a disabled owner, all are the
//! same `{"active":false}`, byte for byte. Where there is no verdict the answer is 503, which no client takes for a
//! yes.
//!
//! What is put off when it fails too often is the authentication of clients, not the asking about dead tokens: that is
//! a resource server's daily work, and putting it off would shut out everybody who comes through it.

mod form;
mod metadata;
mod refusal;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use patrol_policy::Secret;
use patrol_policy::token::CLIENT_PREFIX;
use serde::Serialize;
use zeroize::Zeroize;

use super::{App, BODY_BYTES};
use crate::gate::{Denial, Door, IDENTITY_HEADERS, Kind};
use crate::service::{Client, Error, Identity, Origin};
use form::{Credentials, Form};

/// The endpoints.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/oauth2/introspect", post(introspect))
        .route("/oauth2/revoke", post(revoke))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .route(metadata::PATH, get(metadata::metadata))
        .route(refusal::PATH, any(refusal::refusal))
}

/// Why a request is not answered with what it asks for (RFC 6749, 5.2).
enum Failure {
    /// It lacks something, or can be understood in two ways; what, in words.
    Request(&'static str),
    /// The body is not read: too large, or cut off.
    Body(StatusCode),
    /// The client could not show who it is.
    Client,
    /// What is to be revoked is nothing that this endpoint revokes (RFC 7009, 2.2.1).
    TokenType,
    /// Too many failed attempts.
    TooMany(Duration),
    /// No verdict.
    Undecided,
}

#[derive(Serialize)]
struct Problem {
    error: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_description: Option<&'static str>,
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, error, error_description) = match self {
            Self::Request(what) => (StatusCode::BAD_REQUEST, "invalid_request", Some(what)),
            Self::Body(status) => (status, "invalid_request", Some("the body cannot be read")),
            Self::Client => (StatusCode::UNAUTHORIZED, "invalid_client", None),
            Self::TokenType => (StatusCode::BAD_REQUEST, "unsupported_token_type", None),
            Self::TooMany(_) => (StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable", None),
            Self::Undecided => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", None),
        };
        let body = Problem {
            error,
            error_description,
        };
        let mut response = (status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        match self {
            Self::Client => {
                let challenge = HeaderValue::from_static("Basic realm=\"patrol\", charset=\"UTF-8\"");
                headers.insert(header::WWW_AUTHENTICATE, challenge);
            }
            Self::TooMany(wait) => {
                let seconds = Denial::too_many(wait).retry_after.unwrap_or(1);
                headers.insert(header::RETRY_AFTER, seconds.into());
            }
            Self::Undecided => {
                headers.insert(header::RETRY_AFTER, 1.into());
            }
            _ => {}
        }
        not_stored(response)
    }
}

impl Failure {
    /// How it counts.
    const fn kind(&self) -> Kind {
        match self {
            Self::Request(_) | Self::Body(_) | Self::TokenType => Kind::BadRequest,
            Self::Client => Kind::Unauthorized,
            Self::TooMany(_) => Kind::TooMany,
            Self::Undecided => Kind::Undecided,
        }
    }
}

/// No answer about a token may be kept by anything on its way.
fn not_stored(mut response: Response) -> Response {
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, no_store);
    response
}

/// A request of a client that has shown who it is.
struct Asked {
    client: Client,
    token: Secret,
    origin: Origin,
}

/// What both endpoints do first: reads the form, and finds out who asks.
fn asked(
    app: &App,
    uri: &Uri,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Asked, Failure> {
    let body = body.map_err(|rejection| Failure::Body(rejection.status()))?;
    let form = if form::is_form(headers) {
        Form::read(&body)
    } else {
        Err("the body must be application/x-www-form-urlencoded")
    };
    // The texts were copied out of the body; what the socket was read into need not keep them.
    if let Ok(mut bytes) = body.try_into_mut() {
        bytes.as_mut().zeroize();
    }
    let mut form = form.map_err(Failure::Request)?;
    let Credentials { id, secret } = form.credentials(headers)?;
    let origin = super::api::origin(headers, uri);
    let client = app
        .gate()
        .patrol()
        .authenticate_client(id.expose(), &secret, &origin);
    let client = client.map_err(|error| match app.gate().failed(&error, origin.address) {
        Some(wait) => Failure::TooMany(wait),
        None if matches!(error, Error::WrongClient { .. }) => Failure::Client,
        None => Failure::Undecided,
    })?;
    // Only now: what a request lacks is told to clients, not to everybody.
    let token = form.token.ok_or(Failure::Request("there is no token"))?;
    Ok(Asked {
        client,
        token,
        origin,
    })
}

/// What is known of a live token (RFC 7662, 2.2), and the headers by which gateways of other kinds name whose it is.
#[derive(Serialize)]
struct Active<'a> {
    active: bool,
    /// The owner's roles at this moment (R4).
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
    username: &'a str,
    token_type: &'static str,
    /// When it ends if it is not used again, s.
    exp: u64,
    /// When the token was created, or the session opened, s.
    iat: u64,
    sub: String,
    aud: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<Cow<'a, str>>,
    jti: String,
    #[serde(flatten)]
    headers: BTreeMap<String, &'a str>,
}

/// What is known of a dead one.
#[derive(Serialize)]
struct Inactive {
    active: bool,
}

/// `POST /oauth2/introspect` (RFC 7662).
async fn introspect(
    State(app): State<App>,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let begun = Instant::now();
    let verdict = asked(&app, &uri, &headers, body).and_then(|asked| {
        // On this thread, like every verification: it takes microseconds.
        let patrol = app.gate().patrol();
        match patrol.introspect(&asked.client, asked.token.expose(), &asked.origin) {
            Ok(identity) => Ok(Some(identity)),
            Err(Error::Refused(_)) => Ok(None),
            Err(_) => Err(Failure::Undecided),
        }
    });
    let kind = match &verdict {
        Ok(Some(_)) => Kind::Allowed,
        Ok(None) => Kind::Unauthorized,
        Err(failure) => failure.kind(),
    };
    app.gate().count(Door::Introspection, kind, begun.elapsed());
    match verdict {
        Ok(Some(identity)) => active(&app, &identity, &headers),
        Ok(None) => not_stored(axum::Json(Inactive { active: false }).into_response()),
        Err(failure) => failure.into_response(),
    }
}

fn active(app: &App, identity: &Identity, request: &HeaderMap) -> Response {
    let config = app.config();
    let token_id = identity.token().map(|row| row.state.token.id);
    let named = app.gate().identity_headers(identity);
    let member = |name: &HeaderName| {
        let value = named.get(name)?.to_str().ok()?;
        (!value.is_empty()).then(|| (name.as_str().replace('-', "_"), value))
    };
    let body = Active {
        active: true,
        scope: &identity.roles().join(" "),
        username: identity.user_name(),
        token_type: "Bearer",
        exp: identity.ends.at / 1_000,
        iat: identity.since() / 1_000,
        sub: identity.user_id().to_string(),
        aud: identity.audience(),
        iss: metadata::issuer(&config, request),
        jti: identity.session.or(token_id).unwrap_or_default().to_string(),
        headers: IDENTITY_HEADERS.iter().filter_map(member).collect(),
    };
    not_stored(axum::Json(body).into_response())
}

/// `POST /oauth2/revoke` (RFC 7009): 200 whether or not there was anything left to end.
async fn revoke(
    State(app): State<App>,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let asked = match asked(&app, &uri, &headers, body) {
        Ok(asked) => asked,
        Err(failure) => return failure.into_response(),
    };
    if asked.token.expose().starts_with(CLIENT_PREFIX.as_bytes()) {
        return Failure::TokenType.into_response();
    }
    let ended = app
        .blocking(move |patrol| patrol.revoke_presented(&asked.client, asked.token.expose(), &asked.origin))
        .await;
    match ended {
        Ok(_) => not_stored(StatusCode::OK.into_response()),
        Err(_) => Failure::Undecided.into_response(),
    }
}
