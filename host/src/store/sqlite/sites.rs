//! Sites, and what is listed page by page of a tenant.
//!
//! Every page is found by an index that begins with the tenant and ends with what the page is ordered by: a page costs
//! the same wherever it lies, and however many other tenants there are.

use patrol_policy::types::Id;
use rusqlite::{named_params, params};

use super::columns::{Columns, bound, user_row_columns};
use super::connections::{Lent, WriteGuard};
use super::error::or_exists;
use super::read::View;
use crate::store::{
    AuditHour, NewSite, ReadSites, Result, SiteRow, SiteScope, StoreError, UserRow, WriteSites,
};

/// What [`site_row`] decodes, with its tables.
macro_rules! sites {
    () => {
        "SELECT s.id, t.id, t.name, s.name, s.content_url, s.created \
         FROM tenant t CROSS JOIN site s ON s.tenant = t.key"
    };
}

pub(super) const SITES: &str = concat!(sites!(), " WHERE t.id = ?1 AND s.id > ?2 ORDER BY s.id LIMIT ?3");

pub(super) const USERS_PAGE: &str = concat!(
    "SELECT ",
    user_row_columns!(),
    " FROM tenant t CROSS JOIN user u ON u.tenant = t.key \
     WHERE t.id = ?1 AND u.deleted_at IS NULL AND u.id > ?2 ORDER BY u.id LIMIT ?3"
);

/// The tenant of an event, as `audit_hour` in `schema.rs` has it. Whoever altered a body may have left anything there,
/// which is for the chain to find.
macro_rules! event_tenant {
    () => {
        "CASE WHEN json_valid(body) THEN json_extract(body, '$.tenantId') END"
    };
}

/// Events of the tenant as a whole, and of one site.
macro_rules! in_scope {
    () => {
        concat!(
            event_tenant!(),
            " = :tenant AND coalesce(json_extract(body, '$.siteId'), :site) = :site"
        )
    };
}

pub(super) const AUDIT_HOURS: &str = concat!(
    "SELECT at / 3600000, sum(octet_length(body) + 1) FROM audit WHERE ",
    in_scope!(),
    " AND at / 3600000 >= :from AND at / 3600000 < :until \
     GROUP BY at / 3600000 ORDER BY at / 3600000 LIMIT :limit"
);

pub(super) const AUDIT_HOUR: &str = concat!(
    "SELECT seq, body FROM audit WHERE ",
    in_scope!(),
    " AND at / 3600000 = :hour AND seq > :after ORDER BY seq LIMIT :limit"
);

pub(super) use event_tenant;

fn site_row(columns: &mut Columns<'_>) -> rusqlite::Result<SiteRow> {
    Ok(SiteRow {
        id: columns.id()?,
        tenant: columns.id()?,
        tenant_name: columns.take()?,
        name: columns.take()?,
        content_url: columns.take()?,
        created: columns.take()?,
    })
}

impl<C: Lent> ReadSites for View<C> {
    fn sites(&self, tenant: Id, after: Option<Id>, limit: u32) -> Result<Vec<SiteRow>> {
        let after = after.unwrap_or_default().to_bytes();
        self.all(SITES, params![tenant.to_bytes(), after, limit], site_row)
    }

    fn site(&self, id: Id) -> Result<Option<SiteRow>> {
        self.first(concat!(sites!(), " WHERE s.id = ?1"), [id.to_bytes()], site_row)
    }

    fn sites_by_name(&self, tenant: Option<Id>, name: &str) -> Result<Vec<SiteRow>> {
        let sql = concat!(
            sites!(),
            " WHERE (?1 IS NULL OR t.id = ?1) AND s.name = ?2 ORDER BY t.name"
        );
        self.all(sql, params![tenant.map(Id::to_bytes), name], site_row)
    }

    fn users_page(&self, tenant: Id, after: Option<Id>, limit: u32) -> Result<Vec<UserRow>> {
        let after = after.unwrap_or_default().to_bytes();
        self.all(USERS_PAGE, params![tenant.to_bytes(), after, limit], |columns| {
            columns.user_row()
        })
    }

    fn audit_hours(&self, scope: SiteScope, from: u64, until: u64, limit: u32) -> Result<Vec<AuditHour>> {
        let parameters = named_params! {
            ":tenant": scope.tenant.to_string(), ":site": scope.site.to_string(),
            ":from": bound(from), ":until": bound(until), ":limit": limit
        };
        self.all(AUDIT_HOURS, parameters, |columns| {
            Ok(AuditHour {
                hour: columns.take()?,
                bytes: columns.take()?,
            })
        })
    }

    fn audit_hour(&self, scope: SiteScope, hour: u64, after: u64, limit: u32) -> Result<Vec<(u64, String)>> {
        let parameters = named_params! {
            ":tenant": scope.tenant.to_string(), ":site": scope.site.to_string(),
            ":hour": bound(hour), ":after": bound(after), ":limit": limit
        };
        self.all(AUDIT_HOUR, parameters, |columns| {
            Ok((columns.take()?, columns.take()?))
        })
    }
}

fn no_such_site(id: Id) -> StoreError {
    StoreError::NotFound {
        what: "site",
        name: id.to_string(),
    }
}

impl WriteSites for View<WriteGuard> {
    fn insert_site(&mut self, site: &NewSite<'_>) -> Result<()> {
        let sql = "INSERT INTO site (id, tenant, name, content_url, created) \
                   SELECT ?1, t.key, ?3, ?4, ?5 FROM tenant t WHERE t.id = ?2";
        let inserted = self.prepare(sql)?.execute(params![
            site.id.to_bytes(),
            site.tenant.to_bytes(),
            site.name,
            site.content_url,
            site.created,
        ]);
        if inserted.map_err(or_exists("site", site.name))? == 0 {
            return Err(StoreError::NotFound {
                what: "tenant",
                name: site.tenant.to_string(),
            });
        }
        Ok(())
    }

    fn rename_site(&mut self, site: Id, name: &str) -> Result<()> {
        let renamed = self
            .prepare("UPDATE site SET name = ?2 WHERE id = ?1")?
            .execute(params![site.to_bytes(), name])
            .map_err(or_exists("site", name))?;
        if renamed == 0 {
            return Err(no_such_site(site));
        }
        Ok(())
    }

    fn delete_site(&mut self, site: Id) -> Result<()> {
        if self.execute("DELETE FROM site WHERE id = ?1", [site.to_bytes()])? == 0 {
            return Err(no_such_site(site));
        }
        Ok(())
    }
}
