//! The activity log: a tenant's part of the audit trail, as one file for each hour.
//!
//! A file appears once its hour has been over for [`SETTLED`], and does not change from then on: events are recorded
//! when they happen, and those that have to wait, since the store does not answer, are filed under the hour in which
//! they are written once that is more than [`LATE`]. So a file's size is known before it is read, and what was
//! downloaded once need not be downloaded again.

use patrol_policy::types::{Duration, HOUR, Id, MINUTE};

use super::directory::found;
use super::events::AuditEvent;
use super::{Caller, Error, Patrol};
use crate::store::{AuditHour, SiteRow, SiteScope};

/// How long an hour has to be over before its file is there.
pub const SETTLED: Duration = MINUTE;
/// How late an event may be recorded and still be filed under the hour in which it happened. What is left of
/// [`SETTLED`] is for the transaction that does it.
pub(super) const LATE: Duration = MINUTE / 2;

/// Some hours of a site's activity log, and what comes after them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivityHours {
    /// Those in which something was recorded, in order.
    pub hours: Vec<AuditHour>,
    /// The first hour of the rest, where there is one.
    pub next: Option<u64>,
}

impl Patrol {
    /// The site of a tenant.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for the site of another tenant; or an outage.
    pub fn site_of(&self, tenant: Id, site: Id) -> Result<SiteRow, Error> {
        let row = self.store.read()?.site(site)?.filter(|row| row.tenant == tenant);
        found(row, "site", &site.to_string())
    }

    /// The first hour, counted from the epoch, that has no file yet.
    #[must_use]
    pub fn unsettled_hour(&self) -> u64 {
        self.now().saturating_sub(SETTLED).checked_div(HOUR).unwrap_or(0)
    }

    /// The hours from `from` to before `until` that have a file, at most `limit` of them.
    ///
    /// # Errors
    /// An outage.
    pub fn activity_hours(
        &self,
        site: &SiteRow,
        from: u64,
        until: u64,
        limit: u32,
    ) -> Result<ActivityHours, Error> {
        let until = until.min(self.unsettled_hour());
        let read = self.store.read()?;
        // One more than asked for, to learn whether there is one.
        let mut hours = read.audit_hours(scope(site), from, until, limit.saturating_add(1))?;
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let next = hours.get(wanted).map(|first| first.hour);
        hours.truncate(wanted);
        Ok(ActivityHours { hours, next })
    }

    /// The size of the file of an hour, in bytes; none where there is no file.
    ///
    /// # Errors
    /// An outage.
    pub fn activity_hour(&self, site: &SiteRow, hour: u64) -> Result<Option<u64>, Error> {
        let listed = self.activity_hours(site, hour, hour.saturating_add(1), 1)?;
        Ok(listed.hours.first().map(|hour| hour.bytes))
    }

    /// Some events of an hour, each with its number, after number `after`: JSON texts in order.
    ///
    /// # Errors
    /// An outage.
    pub fn activity_events(
        &self,
        site: &SiteRow,
        hour: u64,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, String)>, Error> {
        Ok(self.store.read()?.audit_hour(scope(site), hour, after, limit)?)
    }

    /// Records that somebody was given the means to read these files.
    ///
    /// # Errors
    /// An outage; then nobody may be given them.
    pub fn note_activity_download(
        &self,
        caller: &Caller,
        site: &SiteRow,
        files: &[String],
    ) -> Result<(), Error> {
        self.change(|_| {
            let event = AuditEvent::new("download_activity_log", self.now(), caller)
                .site(site)
                .detail("files", files.to_vec());
            Ok(((), event))
        })
    }
}

const fn scope(site: &SiteRow) -> SiteScope {
    SiteScope {
        tenant: site.tenant,
        site: site.id,
    }
}
