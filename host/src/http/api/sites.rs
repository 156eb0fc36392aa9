//! The tenant's sites.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::document::{AsVisitor, InTenant, ListParams, TenantParams};
use super::failure::Failure;
use super::query::{Query, page};
use super::{Api, Segments, Visitor};
use crate::http::listing::Listing;
use crate::service::SiteRow;

/// A page of sites.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sites {
    /// The sites, in an order that does not change.
    sites: Vec<Site>,
    /// What to ask for the next page with; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    page_token: Option<String>,
}

/// A site.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Site {
    /// The identifier, which never changes.
    #[serde(rename = "siteUUID")]
    #[schema(format = "uuid")]
    site_uuid: String,
    /// The name, unique in the tenant.
    name: String,
    /// What stands for the site in addresses; empty for the default site.
    content_url: String,
}

impl From<&SiteRow> for Site {
    fn from(row: &SiteRow) -> Self {
        Self {
            site_uuid: row.id.to_string(),
            name: row.name.clone(),
            content_url: row.content_url.clone(),
        }
    }
}

/// List the tenant's sites.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenantId}/sites", operation_id = "listSites", tag = "tenants",
    security(("session" = [])), params(TenantParams, ListParams),
    responses((status = 200, description = "A page of sites.", body = Sites), AsVisitor, InTenant)
)]
pub(super) async fn list(
    State(api): State<Api>,
    visitor: Visitor,
    segments: Segments,
    query: Query,
) -> Result<axum::Json<Sites>, Failure> {
    let tenant = visitor.tenant(&segments)?;
    let listing = Listing::new("sites", &[tenant.as_u128()]);
    let (size, after) = (query.size("maxResults")?, query.position(&listing)?);
    let rows = api
        .blocking(move |patrol| patrol.sites(tenant, after, size.saturating_add(1)))
        .await?;
    let (rows, more) = page(rows, size);
    Ok(axum::Json(Sites {
        page_token: rows.last().filter(|_| more).map(|last| listing.token(last.id)),
        sites: rows.iter().map(Site::from).collect(),
    }))
}
