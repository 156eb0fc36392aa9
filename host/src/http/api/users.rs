//! The tenant's users.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::document::{AsVisitor, ForAdministrators, InTenant, ListParams, TenantParams};
use super::failure::Failure;
use super::query::{Query, page};
use super::{Api, Segments, Visitor};
use crate::http::listing::Listing;
use crate::service::UserRow;
use crate::time::rfc3339;

/// A page of users.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Users {
    /// The users, in an order that does not change. Deleted ones are not among them.
    users: Vec<User>,
    /// What to ask for the next page with; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    page_token: Option<String>,
}

/// A user.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct User {
    /// The identifier, which never changes.
    #[schema(format = "uuid")]
    user_id: String,
    /// The name, unique in the tenant.
    name: String,
    /// The e-mail address; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    email: Option<String>,
    /// The roles, sorted.
    roles: Vec<String>,
    /// Whether the user is let in.
    enabled: bool,
    /// When the user was made.
    #[schema(format = DateTime)]
    created: String,
}

impl From<&UserRow> for User {
    fn from(row: &UserRow) -> Self {
        Self {
            user_id: row.id.to_string(),
            name: row.name.clone(),
            email: row.email.clone(),
            roles: row.roles.clone(),
            enabled: row.enabled,
            created: rfc3339(row.created),
        }
    }
}

/// List the tenant's users. For administrators.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenantId}/users", operation_id = "listUsers", tag = "tenants",
    security(("session" = [])), params(TenantParams, ListParams),
    responses(
        (status = 200, description = "A page of users.", body = Users), AsVisitor, InTenant, ForAdministrators
    )
)]
pub(super) async fn list(
    State(api): State<Api>,
    visitor: Visitor,
    segments: Segments,
    query: Query,
) -> Result<axum::Json<Users>, Failure> {
    let tenant = visitor.tenant(&segments)?;
    visitor.must_administer(&api)?;
    let listing = Listing::new("users", &[tenant.as_u128()]);
    let (size, after) = (query.size("maxResults")?, query.position(&listing)?);
    let rows = api
        .blocking(move |patrol| patrol.users_page(tenant, after, size.saturating_add(1)))
        .await?;
    let (rows, more) = page(rows, size);
    Ok(axum::Json(Users {
        page_token: rows.last().filter(|_| more).map(|last| listing.token(last.id)),
        users: rows.iter().map(User::from).collect(),
    }))
}
