//! What the administrators of one tenant look at, besides its tokens: users by name, the tenant's part of the audit trail
//! backwards, and whether the whole of it is as it was written.

use std::sync::Arc;

use patrol_policy::types::{Duration, HOUR, Id, LiveRule, MINUTE, Timestamp};
use serde::Deserialize;

use super::directory::{found, normalize};
use super::kept::AsOf;
use super::question::Whose;
use super::{AuditReport, Error, Patrol};
use crate::store::{AuditBack, AuditEntry, UserRow};

/// How old a verification of the audit chain may be, in ms, before whoever looks at the trail has it made again.
pub const CHAIN_FRESH: Duration = 10 * MINUTE;
/// How many events a page of the audit trail looks at, so that a rare kind does not take all of the trail to be found.
pub const LOOKED_AT: u32 = 20_000;

/// A user of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedUser {
    /// The user.
    pub row: UserRow,
    /// How many live tokens they have.
    pub live: u32,
}

/// Which events to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// About this user.
    pub user: Option<Id>,
    /// Of this type.
    pub event_type: Option<String>,
    /// With this outcome, as [`Outcome`](super::Outcome) is written; `refused`: any but success.
    pub outcome: Option<String>,
    /// At this time or later.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// Older than the event with this number.
    pub before: Option<u64>,
    /// At most this many.
    pub limit: u32,
}

/// A page of the audit trail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditPage {
    /// The events, the newest first.
    pub events: Vec<AuditEntry>,
    /// What is older than this may have more, if there may be.
    pub next: Option<u64>,
    /// The time of the last event looked at, where 20,000 were looked at before the page was full.
    pub looked_back_to: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Went<'a> {
    #[serde(rename = "eventOutcome", borrow, default)]
    outcome: Option<std::borrow::Cow<'a, str>>,
}

impl AuditQuery {
    fn matches(&self, entry: &AuditEntry) -> bool {
        let within = self.since.is_none_or(|since| entry.at >= since)
            && self.until.is_none_or(|until| entry.at < until);
        let kind = self
            .event_type
            .as_ref()
            .is_none_or(|kind| *kind == entry.event_type);
        within && kind && self.outcome.as_ref().is_none_or(|wanted| went(entry, wanted))
    }
}

fn went(entry: &AuditEntry, wanted: &str) -> bool {
    let outcome = serde_json::from_str::<Went<'_>>(&entry.body)
        .ok()
        .and_then(|went| went.outcome)
        .unwrap_or_default();
    if wanted == "refused" {
        outcome != "success"
    } else {
        outcome == wanted
    }
}

impl Patrol {
    /// Users of a tenant whose name or e-mail address has `text` in it, in the order of their names after `after`.
    ///
    /// # Errors
    /// An outage.
    pub fn find_users(
        &self,
        tenant: Id,
        text: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<ListedUser>, Error> {
        let rule = self.live_rule(tenant)?;
        let read = self.store.read()?;
        let rows = read.users_named(tenant, &normalize(text), after, limit)?;
        let counted = rows.into_iter().map(|row| {
            Ok(ListedUser {
                live: read.count_live_tokens(row.id, rule)?,
                row,
            })
        });
        counted.collect()
    }

    /// The user of this tenant, who is not deleted, with their live tokens counted.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for somebody else's; or an outage.
    pub fn user_in(&self, tenant: Id, user: Id) -> Result<ListedUser, Error> {
        let rule = self.live_rule(tenant)?;
        let read = self.store.read()?;
        let row = read
            .user(user)?
            .filter(|row| row.tenant == tenant && row.deleted.is_none());
        let row = found(row, "user", &user.to_string())?;
        Ok(ListedUser {
            live: read.count_live_tokens(row.id, rule)?,
            row,
        })
    }

    /// What a live token of this tenant is, now.
    fn live_rule(&self, tenant: Id) -> Result<LiveRule, Error> {
        let now = self.now();
        let policies = self.policies.load();
        let running = policies.of(Whose::Tenant(tenant), &*self.store)?.running;
        Ok(LiveRule {
            now,
            idle_since: now.saturating_sub(running.rules(&self.parameters()).idle_after),
        })
    }

    /// A page of a tenant's part of the audit trail, the newest first.
    ///
    /// # Errors
    /// An outage.
    pub fn audit_page(&self, tenant: Id, query: &AuditQuery) -> Result<AuditPage, Error> {
        let hour = |at: Timestamp| at / HOUR;
        let filter = AuditBack {
            tenant,
            user: query.user,
            from_hour: query.since.map_or(0, hour),
            until_hour: query.until.map_or(u64::MAX, hour),
            before: query.before,
        };
        let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
        let mut page = AuditPage::default();
        let mut looked_at = 0_u32;
        let mut last = None;
        self.store.read()?.audit_back(&filter, &mut |entry| {
            // One more than asked for says that there is more.
            if page.events.len() >= limit || looked_at >= LOOKED_AT {
                page.next = last.map(|(seq, _)| seq);
                if page.events.len() < limit {
                    page.looked_back_to = last.map(|(_, at)| at);
                }
                return false;
            }
            looked_at = looked_at.saturating_add(1);
            last = Some((entry.seq, entry.at));
            if query.matches(&entry) {
                page.events.push(entry);
            }
            true
        })?;
        Ok(page)
    }

    /// One event of a tenant's part of the audit trail.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for an event of another tenant; or an outage.
    pub fn audit_event(&self, tenant: Id, seq: u64) -> Result<AuditEntry, Error> {
        let entry = self.store.read()?.audit_entry(tenant, seq)?;
        found(entry, "event", &seq.to_string())
    }

    /// What the last verification of the audit chain found, and whether it is time for another:
    /// see [`Patrol::check_chain`].
    #[must_use]
    pub fn chain(&self) -> (Option<Arc<AsOf<AuditReport>>>, bool) {
        (self.chain.last(), self.chain.is_due(self.now(), CHAIN_FRESH))
    }

    /// Whether somebody is verifying the audit chain.
    #[must_use]
    pub fn is_checking_chain(&self) -> bool {
        self.chain.is_busy()
    }

    /// Verifies the whole audit chain, unless somebody else is at it. It takes some seconds for a million events.
    ///
    /// # Errors
    /// An outage.
    pub fn check_chain(&self) -> Result<(), Error> {
        self.chain.refresh(self.now(), || self.verify_audit())
    }
}
