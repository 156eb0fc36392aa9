//! Sites: what the service divides a tenant into. A tenant always has one.

use patrol_policy::types::Id;

use super::directory::{checked_name, found, normalize, tenant_named};
use super::events::AuditEvent;
use super::{Caller, Error, Patrol};
use crate::store::{NewSite, Read, SiteRow, UserRow};

/// The name of the site that a tenant is made with; its part of addresses is empty.
pub(super) const DEFAULT_SITE: &str = "Default";

/// How a new site is called.
#[derive(Clone, Debug, Default)]
pub struct NewSiteNames {
    /// Its name, unique in the tenant.
    pub name: String,
    /// Its part of addresses, unique in the tenant; by default made of the letters and digits of the name.
    pub content_url: Option<String>,
}

/// How people point at a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SiteRef {
    /// By identifier.
    Id(Id),
    /// By name, and by tenant where the name alone is not enough.
    Name {
        /// The tenant's name.
        tenant: Option<String>,
        /// The site's name.
        name: String,
    },
}

impl std::str::FromStr for SiteRef {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        let (tenant, name) = match text.split_once('/') {
            Some((tenant, name)) => (Some(normalize(tenant)), name),
            None => (None, text),
        };
        Ok(Self::Name {
            tenant,
            name: normalize(name),
        })
    }
}

impl Patrol {
    /// Makes a site.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the tenant, [`Error::Exists`], [`Error::Invalid`], or an outage.
    pub fn create_site(&self, caller: &Caller, tenant: &str, names: &NewSiteNames) -> Result<SiteRow, Error> {
        let name = checked_name("site", &names.name)?;
        let content_url = match &names.content_url {
            Some(given) => given.clone(),
            None => content_url_of(&name),
        };
        check_content_url(&content_url)?;
        let id = self.new_id()?;
        self.change(|transaction| {
            let tenant = tenant_named(transaction, tenant)?.id;
            let created = self.now();
            let site = NewSite {
                id,
                tenant,
                name: &name,
                content_url: &content_url,
                created,
            };
            transaction.insert_site(&site)?;
            let site = found(transaction.site(id)?, "site", &name)?;
            let event = AuditEvent::new("create_site", created, caller)
                .site(&site)
                .detail("contentUrl", content_url.as_str());
            Ok((site, event))
        })
    }

    /// Gives a site another name. Its identifier and its part of addresses stay.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Exists`], [`Error::Invalid`], or an outage.
    pub fn rename_site(&self, caller: &Caller, site: &SiteRef, name: &str) -> Result<SiteRow, Error> {
        let name = checked_name("site", name)?;
        self.change(|transaction| {
            let before = find_site(transaction, site)?;
            transaction.rename_site(before.id, &name)?;
            let after = found(transaction.site(before.id)?, "site", &name)?;
            let event = AuditEvent::new("rename_site", self.now(), caller)
                .site(&after)
                .detail("siteNameBefore", before.name.as_str());
            Ok((after, event))
        })
    }

    /// Deletes a site, for good. Its events stay in the audit trail.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Invalid`] for a tenant's last site; or an outage.
    pub fn delete_site(&self, caller: &Caller, site: &SiteRef) -> Result<SiteRow, Error> {
        self.change(|transaction| {
            let site = find_site(transaction, site)?;
            if transaction.sites(site.tenant, None, 2)?.len() < 2 {
                return Err(Error::Invalid(format!(
                    "\"{}\" is the last site of its tenant: make another one first",
                    site.name.escape_debug()
                )));
            }
            transaction.delete_site(site.id)?;
            let event = AuditEvent::new("delete_site", self.now(), caller).site(&site);
            Ok((site, event))
        })
    }

    /// Sites of a tenant in the order of their identifiers, at most `limit`, after `after`.
    ///
    /// # Errors
    /// An outage.
    pub fn sites(&self, tenant: Id, after: Option<Id>, limit: u32) -> Result<Vec<SiteRow>, Error> {
        Ok(self.store.read()?.sites(tenant, after, limit)?)
    }

    /// Users of a tenant, deleted ones left out, in the order of their identifiers, at most `limit`, after `after`.
    ///
    /// # Errors
    /// An outage.
    pub fn users_page(&self, tenant: Id, after: Option<Id>, limit: u32) -> Result<Vec<UserRow>, Error> {
        Ok(self.store.read()?.users_page(tenant, after, limit)?)
    }
}

/// What stands for a site in addresses if nothing else was asked for.
fn content_url_of(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect()
}

fn check_content_url(text: &str) -> Result<(), Error> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if (1..=255).contains(&text.len()) && text.chars().all(fits) {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "\"{}\" cannot stand for a site in addresses: give 1 to 255 letters, digits or any of - _",
        text.escape_debug()
    )))
}

fn find_site<R: Read + ?Sized>(read: &R, site: &SiteRef) -> Result<SiteRow, Error> {
    match site {
        SiteRef::Id(id) => found(read.site(*id)?, "site", &id.to_string()),
        SiteRef::Name { tenant, name } => {
            let tenant = tenant
                .as_deref()
                .map(|tenant| tenant_named(read, tenant))
                .transpose()?;
            let mut sites = read.sites_by_name(tenant.map(|tenant| tenant.id), name)?;
            if sites.len() > 1 {
                let names: Vec<_> = sites
                    .iter()
                    .map(|site| format!("{}/{}", site.tenant_name, site.name))
                    .collect();
                return Err(Error::Invalid(format!(
                    "several sites have the name \"{name}\": write one of {}",
                    names.join(", ")
                )));
            }
            found(sites.pop(), "site", name)
        }
    }
}
