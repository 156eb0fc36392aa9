//! Personal access tokens, managed by whoever did not come in by one (R12).
//!
//! The policy decides; what stands here is whom a caller may ask it about: themselves, and for an administrator anyone
//! of the tenant, to list and to revoke. A session that a PAT opened is told no, but to revoke that PAT.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use patrol_policy::types::Id;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Form, Json};
use super::document::{AsVisitor, ForPeople, InTenant, TokenParams, UserParams, WithBody};
use super::failure::Failure;
use super::{Api, Segments, Visitor};
use crate::service::{Caller, Error, Patrol, UserRef};
use crate::store::TokenRow;
use crate::time::{parse_instant, rfc3339};

/// A user's tokens that have not ended.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tokens {
    /// The tokens, oldest first. There are never more than a page.
    personal_access_tokens: Vec<Token>,
}

/// A personal access token, without its secret.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Token {
    /// The identifier.
    #[schema(format = "uuid")]
    id: String,
    /// The name, unique among the user's tokens.
    name: String,
    /// When it was created.
    #[schema(format = DateTime)]
    created: String,
    /// The date chosen at creation.
    #[schema(format = DateTime)]
    expiration_date: String,
    /// When it ends if it is not used again: at its expiration date, or earlier for want of use.
    #[schema(format = DateTime)]
    ends: String,
    /// When it was last used; absent if never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    last_used: Option<String>,
    /// The address that the last use came from, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last_used_from: Option<String>,
}

/// A token that was just created.
#[derive(Serialize, ToSchema)]
pub(super) struct NewToken {
    #[serde(flatten)]
    token: Token,
    /// The token itself. It is shown this once and never again.
    #[schema(format = Password)]
    secret: String,
}

/// A token to be created.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Create {
    /// What it is for: unique among the user's tokens.
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    /// When it shall end: an instant (RFC 3339) or a date, which is good to its end in UTC.
    #[schema(example = "2027-01-31")]
    expiration_date: String,
}

impl Form for Create {
    const EXAMPLE: &'static str = "{\"name\": \"nightly-backup\", \"expirationDate\": \"2027-01-31\"}";
}

impl Token {
    fn new(row: &TokenRow, ends: u64) -> Self {
        let token = &row.state.token;
        Self {
            id: token.id.to_string(),
            name: row.name.clone(),
            created: rfc3339(token.created),
            expiration_date: rfc3339(token.expires),
            ends: rfc3339(ends),
            last_used: token.last_used.map(rfc3339),
            last_used_from: row.last_used_from.clone(),
        }
    }
}

/// The user whose tokens are meant, and the caller as whom the policy is asked about them.
fn whose(api: &Api, visitor: &Visitor, segments: &Segments) -> Result<(Id, Caller), Failure> {
    visitor.tenant(segments)?;
    let own = visitor.identity.user_id();
    let user = segments.id("userId");
    if user == Some(own) {
        return Ok((own, visitor.caller()));
    }
    // Before anything is looked up: whether there is such a user is for administrators.
    if visitor.identity.token().is_some() {
        return Err(Failure::forbidden(
            "a session that was opened with a personal access token cannot do this",
        ));
    }
    visitor.must_administer(api)?;
    let user = user.ok_or(Failure::not_found("there is no such user"))?;
    let caller = Caller::administrator(&visitor.identity, visitor.origin.clone());
    Ok((user, caller))
}

/// Fails where there is no such user in the tenant.
fn must_be_of(patrol: &Patrol, user: Id, tenant: Id) -> Result<(), Error> {
    let row = patrol.user(&UserRef::Id(user))?;
    if row.tenant == tenant && row.deleted.is_none() {
        return Ok(());
    }
    Err(Error::NotFound {
        what: "user",
        name: user.to_string(),
    })
}

/// List a user's tokens: one's own, or as an administrator anyone's. Not with a session that a token opened.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenantId}/users/{userId}/personal-access-tokens",
    operation_id = "listPersonalAccessTokens", tag = "personal access tokens", security(("session" = [])),
    params(UserParams),
    responses((status = 200, description = "The tokens.", body = Tokens), AsVisitor, InTenant, ForPeople)
)]
pub(super) async fn list(
    State(api): State<Api>,
    visitor: Visitor,
    segments: Segments,
) -> Result<axum::Json<Tokens>, Failure> {
    let (user, caller) = whose(&api, &visitor, &segments)?;
    let tenant = visitor.identity.tenant_id();
    let tokens = api
        .blocking(move |patrol| {
            must_be_of(patrol, user, tenant)?;
            patrol.list_tokens(&caller, user)
        })
        .await?;
    Ok(axum::Json(Tokens {
        personal_access_tokens: tokens
            .iter()
            .map(|one| Token::new(&one.row, one.ends.at))
            .collect(),
    }))
}

/// Create a token for oneself. Not with a session that a token opened.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenantId}/users/{userId}/personal-access-tokens",
    operation_id = "createPersonalAccessToken", tag = "personal access tokens", security(("session" = [])),
    params(UserParams), request_body = Create,
    responses(
        (status = 201, description = "The token, with its secret.", body = NewToken), AsVisitor, InTenant, ForPeople,
        WithBody,
        (status = 409, description = "The name is taken, or there are as many tokens as allowed.",
            body = super::document::Problem),
    )
)]
pub(super) async fn create(
    State(api): State<Api>,
    visitor: Visitor,
    segments: Segments,
    Json(asked): Json<Create>,
) -> Result<Response, Failure> {
    visitor.tenant(&segments)?;
    let own = visitor.identity.user_id();
    if segments.id("userId") != Some(own) {
        return Err(Failure::forbidden("a token is created by its owner"));
    }
    let Create {
        name,
        expiration_date,
    } = asked;
    let expires = parse_instant(&expiration_date).map_err(|_| {
        let message =
            "expirationDate must be a date such as 2027-01-31 or an instant such as 2027-01-31T17:00:00Z";
        Failure::bad_request(message)
    })?;
    let (caller, config) = (visitor.caller(), api.app.config());
    let made = api
        .blocking(move |patrol| patrol.issue(&caller, own, &name, expires, &config.http.audience))
        .await?;
    let body = NewToken {
        token: Token::new(&made.row, made.ends.at),
        // Tokens are ASCII.
        secret: String::from_utf8_lossy(made.secret.expose()).into_owned(),
    };
    let no_store = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok((StatusCode::CREATED, [no_store], axum::Json(body)).into_response())
}

/// Revoke a token: one's own, or as an administrator anyone's. A session that a token opened can revoke that token.
#[utoipa::path(
    delete, path = "/api/v1/tenants/{tenantId}/users/{userId}/personal-access-tokens/{tokenId}",
    operation_id = "revokePersonalAccessToken", tag = "personal access tokens", security(("session" = [])),
    params(TokenParams),
    responses((status = 204, description = "The token is revoked, for good."), AsVisitor, InTenant, ForPeople)
)]
pub(super) async fn revoke(
    State(api): State<Api>,
    visitor: Visitor,
    segments: Segments,
) -> Result<StatusCode, Failure> {
    let (user, caller) = whose(&api, &visitor, &segments)?;
    let tenant = visitor.identity.tenant_id();
    let token = segments
        .id("tokenId")
        .ok_or(Failure::not_found("there is no such token"))?;
    api.blocking(move |patrol| {
        patrol.token_of(tenant, user, token)?;
        patrol.revoke(&caller, token).map(drop)
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}
