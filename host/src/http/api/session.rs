//! Signing in, with a PAT or a password, and signing out.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use patrol_policy::Secret;
use patrol_policy::types::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Form, Json, secret};
use super::document::{AsVisitor, ForAnyone, WithBody};
use super::failure::Failure;
use super::{Api, origin, presented};
use crate::service::{Error, Identity};
use crate::time::rfc3339;

/// A sign-in with a PAT.
#[derive(Deserialize, ToSchema)]
pub(super) struct PatLogin {
    /// The personal access token.
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String, format = Password)]
    token: Secret,
}

impl Form for PatLogin {
    const EXAMPLE: &'static str = "{\"token\": \"patrol_pat_…\"}";
    // As clients of the service are used to.
    const ANY_TYPE: bool = true;
}

/// A sign-in with user name and password.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Login {
    /// The tenant's name or identifier; may be left out where there is only one tenant.
    tenant: Option<String>,
    /// The user's name.
    user_name: String,
    /// The user's password.
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String, format = Password)]
    password: Secret,
}

impl Form for Login {
    const EXAMPLE: &'static str = "{\"tenant\": \"…\", \"userName\": \"…\", \"password\": \"…\"}";
}

/// A session that was opened.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LoggedIn {
    /// The session, for the header `x-tableau-session-token`.
    session_token: String,
    /// The user.
    #[schema(format = "uuid")]
    user_id: String,
    /// The user's tenant.
    #[schema(format = "uuid")]
    tenant_id: String,
    /// When the session is over, however much it is used. It is over earlier if it is not used, and with its token.
    #[schema(format = DateTime)]
    session_expiration: String,
}

/// Sign in with a personal access token.
#[utoipa::path(
    post, path = "/api/v1/pat/login", operation_id = "loginWithPersonalAccessToken", tag = "sessions",
    request_body = PatLogin, responses((status = 200, description = "A session.", body = LoggedIn), ForAnyone)
)]
pub(super) async fn pat_login(
    State(api): State<Api>,
    uri: Uri,
    headers: HeaderMap,
    Json(PatLogin { token }): Json<PatLogin>,
) -> Result<Response, Failure> {
    let (config, origin) = (api.app.config(), origin(&headers, &uri));
    let address = origin.address;
    let opened = api
        .app
        .blocking(move |patrol| patrol.open_session(token.expose(), &config.http.audience, &origin))
        .await
        .map_err(|error| api.refused(error, address))?;
    Ok(logged_in(&opened.identity, &opened.secret, opened.expires))
}

/// Sign in with user name and password. Refused where multi-factor authentication is on.
#[utoipa::path(
    post, path = "/api/v1/login", operation_id = "loginWithPassword", tag = "sessions", request_body = Login,
    responses(
        (status = 200, description = "A session.", body = LoggedIn), ForAnyone, WithBody,
        (status = 403, description = "Multi-factor authentication is on: a personal access token is needed.",
            body = super::document::Problem),
    )
)]
pub(super) async fn login(
    State(api): State<Api>,
    uri: Uri,
    headers: HeaderMap,
    Json(login): Json<Login>,
) -> Result<Response, Failure> {
    let (config, origin) = (api.app.config(), origin(&headers, &uri));
    let address = origin.address;
    let gate = api.app.gate();
    if let Some(wait) = gate.password_attempt(address, login.tenant.as_deref(), &login.user_name)? {
        return Err(Failure::too_many(wait));
    }
    let permit = api.app.hashing().await.ok_or_else(Failure::busy)?;
    let opened = api
        .app
        .blocking(move |patrol| {
            // Until the hash is done, which a client that goes away does not end.
            let _permit = permit;
            let Login {
                tenant,
                user_name,
                password,
            } = &login;
            let audience = &config.http.audience;
            patrol.sign_in_with_password(tenant.as_deref(), user_name, password, audience, &origin)
        })
        .await
        .map_err(|error| match &error {
            // That a PAT is needed is the tenant's rule, and no failed attempt.
            Error::Refused(_) | Error::Invalid(_) => error.into(),
            _ => api.refused(error, address),
        })?;
    Ok(logged_in(&opened.identity, &opened.secret, opened.expires))
}

fn logged_in(identity: &Identity, secret: &Secret, expires: Timestamp) -> Response {
    let body = LoggedIn {
        // Session tokens are ASCII.
        session_token: String::from_utf8_lossy(secret.expose()).into_owned(),
        user_id: identity.user_id().to_string(),
        tenant_id: identity.tenant_id().to_string(),
        session_expiration: rfc3339(expires),
    };
    let no_store = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    ([no_store], axum::Json(body)).into_response()
}

/// Sign out: the presented session is over.
#[utoipa::path(
    delete, path = "/api/v2/sessions", operation_id = "logout", tag = "sessions", security(("session" = [])),
    responses((status = 204, description = "The session is over."), AsVisitor)
)]
pub(super) async fn logout(
    State(api): State<Api>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<StatusCode, Failure> {
    let session = presented(&headers)?;
    let origin = origin(&headers, &uri);
    let address = origin.address;
    api.app
        .blocking(move |patrol| patrol.close_session(session.expose(), &origin))
        .await
        .map_err(|error| api.refused(error, address))?;
    Ok(StatusCode::NO_CONTENT)
}
