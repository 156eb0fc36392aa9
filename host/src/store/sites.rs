//! A tenant's sites, and what is listed page by page of a tenant: sites, users, the hours of its audit trail.

use patrol_policy::types::{Id, Timestamp};

use super::{Result, UserRow};

/// A site of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteRow {
    /// Its identifier.
    pub id: Id,
    /// The tenant.
    pub tenant: Id,
    /// The tenant's name.
    pub tenant_name: String,
    /// Its name, unique in the tenant.
    pub name: String,
    /// The part of the service's addresses that stands for it, unique in the tenant; empty for the default site.
    pub content_url: String,
    /// When it was made.
    pub created: Timestamp,
}

/// A site to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewSite<'a> {
    /// Its identifier.
    pub id: Id,
    /// The tenant.
    pub tenant: Id,
    /// Its name.
    pub name: &'a str,
    /// Its part of addresses.
    pub content_url: &'a str,
    /// Now.
    pub created: Timestamp,
}

/// A tenant as seen at one of its sites: events of the tenant as a whole, and of that site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteScope {
    /// The tenant.
    pub tenant: Id,
    /// The site.
    pub site: Id,
}

/// An hour in which something was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditHour {
    /// Its number: hours since the epoch.
    pub hour: u64,
    /// The bytes of its events as JSON lines.
    pub bytes: u64,
}

/// What can be read of them.
pub trait ReadSites: Send {
    /// Sites of a tenant in the order of their identifiers, at most `limit`, after `after`.
    fn sites(&self, tenant: Id, after: Option<Id>, limit: u32) -> Result<Vec<SiteRow>>;
    /// The site with this identifier.
    fn site(&self, id: Id) -> Result<Option<SiteRow>>;
    /// The sites with this name, of one tenant or of all.
    fn sites_by_name(&self, tenant: Option<Id>, name: &str) -> Result<Vec<SiteRow>>;
    /// Users of a tenant that are not deleted, in the order of their identifiers, at most `limit`, after `after`.
    fn users_page(&self, tenant: Id, after: Option<Id>, limit: u32) -> Result<Vec<UserRow>>;
    /// The hours from `from` to before `until` in which there are events, in order, at most `limit`.
    fn audit_hours(&self, scope: SiteScope, from: u64, until: u64, limit: u32) -> Result<Vec<AuditHour>>;
    /// Number and JSON text of events of an hour, in order, those after number `after`, at most `limit`.
    fn audit_hour(&self, scope: SiteScope, hour: u64, after: u64, limit: u32) -> Result<Vec<(u64, String)>>;
}

/// What can be written of them.
pub trait WriteSites: ReadSites {
    /// Stores a new site.
    fn insert_site(&mut self, site: &NewSite<'_>) -> Result<()>;
    /// Gives a site another name.
    fn rename_site(&mut self, site: Id, name: &str) -> Result<()>;
    /// Deletes a site.
    fn delete_site(&mut self, site: Id) -> Result<()>;
}
