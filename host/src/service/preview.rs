//! What a staged release would change for one tenant: a rehearsal of bounded length, for those who look at pages.
//!
//! One is made at a time, of the latest decisions in the journal; the command line rehearses all of them.

use std::sync::Arc;

use patrol_policy::types::{DAY, HOUR, Id, Timestamp};

use super::exchange::Exchange;
use super::kept::AsOf;
use super::rehearsal::Report;
use super::{Error, Patrol, ReleaseRow};
use crate::journal::{self, Reader};
use crate::release::hex;

/// How many decisions are replayed at most. Some ten seconds.
pub const DECISIONS: u64 = 50_000;

/// What a rehearsal found, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Found {
    /// It found this.
    Report {
        /// What would change.
        report: Report,
        /// The first and the last decision that was replayed; none: there was none.
        span: Option<(Timestamp, Timestamp)>,
    },
    /// There is no journal.
    NoJournal,
    /// The release, or the journal, cannot be used; the log says why.
    Failed,
}

/// The last rehearsal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Preview {
    /// For which tenant.
    pub tenant: Id,
    /// Of which release.
    pub digest: [u8; 32],
    /// With what result.
    pub found: Found,
}

/// A release that was activated, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activated {
    /// The release.
    pub release: ReleaseRow,
    /// When it was activated last.
    pub at: Option<Timestamp>,
    /// Whether it has proven itself since.
    pub proven: bool,
}

impl Patrol {
    /// The releases that were activated and not rolled back, the active one first, with the time of it: a tenant's own
    /// or everybody's.
    ///
    /// # Errors
    /// An outage.
    pub fn activation_history(&self, tenant: Option<Id>) -> Result<Vec<Activated>, Error> {
        let read = self.store.read()?;
        let rows = read.activations(tenant)?.into_iter();
        let dated = rows.map(|release| {
            let activation = read.activation(tenant, release.digest)?;
            Ok(Activated {
                at: activation.map(|activation| activation.at),
                proven: activation.is_some_and(|activation| activation.proven),
                release,
            })
        });
        dated.collect()
    }

    /// The last rehearsal for this tenant of this release, if no other was made since.
    #[must_use]
    pub fn preview(&self, tenant: Id, digest: [u8; 32]) -> Option<Arc<AsOf<Preview>>> {
        let last = self.preview.last()?;
        (last.value.tenant == tenant && last.value.digest == digest).then_some(last)
    }

    /// Whether a rehearsal, of whatever release, is under way.
    #[must_use]
    pub fn is_rehearsing(&self) -> bool {
        self.preview.is_busy()
    }

    /// Rehearses a staged release for a tenant, unless another rehearsal is under way: [`Patrol::preview`] has the result
    /// then.
    ///
    /// # Errors
    /// An outage.
    pub fn rehearse_for(&self, tenant: Id, digest: [u8; 32]) -> Result<(), Error> {
        self.preview.refresh(self.now(), || {
            Ok(Preview {
                tenant,
                digest,
                found: self.rehearse_latest(tenant, digest)?,
            })
        })
    }

    fn rehearse_latest(&self, tenant: Id, digest: [u8; 32]) -> Result<Found, Error> {
        let directory = journal::directory(self.data());
        let reader = match Reader::open(&directory) {
            Ok(reader) => reader,
            Err(journal::Error::Missing(_)) => return Ok(Found::NoJournal),
            Err(error) => {
                tracing::warn!(%error, "a release cannot be rehearsed");
                return Ok(Found::Failed);
            }
        };
        let prepared = self
            .release(&hex(&digest))
            .and_then(|(_, release)| self.rehearse(&release, Some(tenant)));
        let mut rehearsal = match prepared {
            Ok(rehearsal) => rehearsal,
            Err(error) => {
                tracing::warn!(%error, "a release cannot be rehearsed");
                return Ok(Found::Failed);
            }
        };
        let mut span: Option<(Timestamp, Timestamp)> = None;
        let since = beginning(&reader, self.now());
        // What is read is bounded as well: blocks overlap, and the last hour may have any number.
        for record in reader
            .records(since)
            .take(usize::try_from(DECISIONS).unwrap_or(usize::MAX))
        {
            let Ok(record) = record else { continue };
            let Ok(exchange) = Exchange::decode(&record.bytes) else {
                continue;
            };
            span = Some((span.map_or(record.at, |(first, _)| first), record.at));
            rehearsal.play(&Arc::new(exchange))?;
        }
        Ok(Found::Report {
            report: rehearsal.report()?,
            span,
        })
    }
}

/// From when on there are few enough decisions: as much as can be of what there is.
fn beginning(reader: &Reader, now: Timestamp) -> Timestamp {
    let periods = [90 * DAY, 30 * DAY, 7 * DAY, DAY, 6 * HOUR];
    periods
        .iter()
        .map(|period| now.saturating_sub(*period))
        .find(|since| reader.count(*since) <= DECISIONS)
        .unwrap_or_else(|| now.saturating_sub(HOUR))
}
