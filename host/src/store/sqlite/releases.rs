//! Known releases, and the stack of those that were activated.

use patrol_policy::types::Timestamp;
use rusqlite::params;

use super::columns::Columns;
use super::connections::{Lent, WriteGuard};
use super::read::View;
use crate::store::{ReadReleases, ReleaseRow, Result, WriteReleases};

/// What [`release_row`] decodes.
macro_rules! releases {
    () => {
        "SELECT r.digest, r.name, r.version, r.number, r.staged FROM release r"
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

    fn activations(&self) -> Result<Vec<ReleaseRow>> {
        self.all(
            concat!(
                releases!(),
                " JOIN activation a ON a.release = r.digest ORDER BY a.place DESC"
            ),
            [],
            release_row,
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

    fn push_activation(&mut self, digest: [u8; 32], at: Timestamp) -> Result<()> {
        self.execute(
            "INSERT INTO activation (release, at) VALUES (?1, ?2)",
            params![digest, at],
        )?;
        Ok(())
    }

    fn pop_activation(&mut self) -> Result<bool> {
        let popped = self.execute(
            "DELETE FROM activation WHERE place = (SELECT max(place) FROM activation)",
            [],
        )?;
        Ok(popped > 0)
    }
}
