//! Known releases, and the stack of those that were activated.

use patrol_policy::types::{Id, Timestamp};
use rusqlite::params;

use super::columns::Columns;
use super::connections::{Lent, WriteGuard};
use super::read::View;
use crate::store::{ActivationRow, ReadReleases, ReleaseRow, Result, StoreError, WriteReleases};

/// What [`release_row`] decodes.
macro_rules! releases {
    () => {
        "SELECT r.digest, r.name, r.version, r.number, r.staged FROM release r"
    };
}

/// Whether a row's tenant is the one meant by `?1`, where null means everybody.
macro_rules! of_tenant {
    ($column:literal) => {
        concat!(
            "CASE WHEN ?1 IS NULL THEN ",
            $column,
            " IS NULL ELSE ",
            $column,
            " = (SELECT key FROM tenant WHERE id = ?1) END"
        )
    };
}

/// The place of the last activation of a release, `?2`, by the tenant meant by `?1`.
macro_rules! last_of {
    () => {
        concat!(
            "(SELECT max(place) FROM activation WHERE release = ?2 AND ",
            of_tenant!("tenant"),
            ")"
        )
    };
}

fn release_row(columns: &mut Columns<'_>) -> rusqlite::Result<ReleaseRow> {
    Ok(ReleaseRow {
        digest: columns.take()?,
        name: columns.take()?,
        version: columns.take()?,
        number: columns.take()?,
        staged: columns.take()?,
    })
}

impl<C: Lent> ReadReleases for View<C> {
    fn releases(&self) -> Result<Vec<ReleaseRow>> {
        self.all(
            concat!(releases!(), " ORDER BY r.staged DESC, r.number DESC"),
            [],
            release_row,
        )
    }

    fn activations(&self, tenant: Option<Id>) -> Result<Vec<ReleaseRow>> {
        self.all(
            concat!(
                releases!(),
                " JOIN activation a ON a.release = r.digest WHERE ",
                of_tenant!("a.tenant"),
                " ORDER BY a.place DESC"
            ),
            [tenant.map(Id::to_bytes)],
            release_row,
        )
    }

    fn activation(&self, tenant: Option<Id>, digest: [u8; 32]) -> Result<Option<ActivationRow>> {
        let rows = self.all(
            concat!(
                "SELECT at, proven IS NOT NULL FROM activation WHERE ",
                of_tenant!("tenant"),
                " AND release = ?2 ORDER BY place DESC LIMIT 1"
            ),
            params![tenant.map(Id::to_bytes), digest],
            |columns| {
                Ok(ActivationRow {
                    at: columns.take()?,
                    proven: columns.take()?,
                })
            },
        )?;
        Ok(rows.into_iter().next())
    }

    fn tenants_with_activations(&self) -> Result<Vec<Id>> {
        self.all(
            "SELECT t.id FROM tenant t WHERE EXISTS (SELECT 1 FROM activation a WHERE a.tenant = t.key) ORDER BY t.id",
            [],
            |columns| columns.id(),
        )
    }
}

impl WriteReleases for View<WriteGuard> {
    fn insert_release(&mut self, release: &ReleaseRow) -> Result<()> {
        self.execute(
            "INSERT INTO release (digest, name, version, number, staged) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT (digest) DO NOTHING",
            params![
                release.digest,
                release.name,
                release.version,
                release.number,
                release.staged
            ],
        )?;
        Ok(())
    }

    fn push_activation(&mut self, tenant: Option<Id>, digest: [u8; 32], at: Timestamp) -> Result<()> {
        let pushed = self.execute(
            "INSERT INTO activation (release, at, tenant) SELECT ?2, ?3, key FROM tenant WHERE id = ?1 \
             UNION ALL SELECT ?2, ?3, NULL WHERE ?1 IS NULL",
            params![tenant.map(Id::to_bytes), digest, at],
        )?;
        match tenant {
            Some(tenant) if pushed == 0 => Err(StoreError::NotFound {
                what: "tenant",
                name: tenant.to_string(),
            }),
            _ => Ok(()),
        }
    }

    fn drop_activation(&mut self, tenant: Option<Id>, digest: [u8; 32]) -> Result<bool> {
        let dropped = self.execute(
            concat!("DELETE FROM activation WHERE place = ", last_of!()),
            params![tenant.map(Id::to_bytes), digest],
        )?;
        Ok(dropped > 0)
    }

    fn prove_activation(&mut self, tenant: Option<Id>, digest: [u8; 32], at: Timestamp) -> Result<()> {
        self.execute(
            concat!("UPDATE activation SET proven = ?3 WHERE place = ", last_of!()),
            params![tenant.map(Id::to_bytes), digest, at],
        )?;
        Ok(())
    }
}
