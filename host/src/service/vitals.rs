//! How Patrol is doing, in numbers: for whoever watches over it.

use std::sync::atomic::{AtomicU64, Ordering};

use patrol_policy::types::{Duration, LiveRule, RefusalReason, Timestamp};

use super::{Error, NoticeChannel, NoticeOutcome, Patrol};
use crate::policy::{Fault, FloorRule};

/// How often there was something other than yes, since the start. Never goes down.
#[derive(Debug)]
pub struct Tally {
    refusals: Vec<AtomicU64>,
    faults: Vec<AtomicU64>,
    floor: Vec<AtomicU64>,
    outages: AtomicU64,
    activations: AtomicU64,
    rollbacks: Vec<AtomicU64>,
    swapped: AtomicU64,
    notices: [[AtomicU64; NoticeOutcome::ALL.len()]; NoticeChannel::ALL.len()],
}

/// Why a release was rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RolledBack {
    /// An operator asked for it.
    Operator,
    /// It faulted too often.
    Faults,
}

impl RolledBack {
    /// One word each, for metrics and the audit trail, in the order of declaration.
    const NAMES: [&'static str; 2] = ["operator", "faults"];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Faults => "faults",
        }
    }
}

impl Default for Tally {
    fn default() -> Self {
        let zeroes = |count| std::iter::repeat_with(AtomicU64::default).take(count).collect();
        Self {
            refusals: zeroes(RefusalReason::ALL.len()),
            faults: zeroes(Fault::KINDS.len()),
            floor: zeroes(FloorRule::ALL.len()),
            outages: AtomicU64::default(),
            activations: AtomicU64::default(),
            rollbacks: zeroes(RolledBack::NAMES.len()),
            swapped: AtomicU64::default(),
            notices: Default::default(),
        }
    }
}

impl Tally {
    pub(super) fn count(&self, error: &Error) {
        let counter = match error {
            Error::Refused(refusal) => self.refusals.get(refusal.reason as usize),
            Error::Fault(fault) => {
                let kind = Fault::KINDS.iter().position(|kind| *kind == fault.kind());
                kind.and_then(|kind| self.faults.get(kind))
            }
            Error::Outage(_) => Some(&self.outages),
            _ => None,
        };
        if let Some(counter) = counter {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a yes that the floor turned down.
    pub(super) fn count_violation(&self, rule: FloorRule) {
        if let Some(counter) = self.floor.get(rule as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a change of what decides: an activation, or, where there is a reason, a rollback.
    pub(super) fn count_swap(&self, rolled_back: Option<RolledBack>, now: Timestamp) {
        let counter = match rolled_back {
            Some(why) => self.rollbacks.get(why as usize),
            None => Some(&self.activations),
        };
        if let Some(counter) = counter {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        self.swapped.store(now, Ordering::Relaxed);
    }

    pub(super) fn count_notice(&self, channel: NoticeChannel, outcome: NoticeOutcome) {
        let counters = self.notices.get(channel as usize);
        if let Some(counter) = counters.and_then(|counters| counters.get(outcome as usize)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Attempts to send a notice, by channel and by what became of it.
    pub fn notices(&self) -> impl Iterator<Item = (NoticeChannel, NoticeOutcome, u64)> {
        let channels = NoticeChannel::ALL.into_iter().zip(&self.notices);
        channels.flat_map(|(channel, counters)| {
            let counts = NoticeOutcome::ALL.into_iter().zip(counters);
            counts.map(move |(outcome, count)| (channel, outcome, count.load(Ordering::Relaxed)))
        })
    }

    /// Refusals, by their reason.
    pub fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let reasons = RefusalReason::ALL.iter().map(|reason| reason.as_str());
        reasons.zip(self.refusals.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    /// Faults of the policy, by their kind.
    pub fn faults(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let kinds = Fault::KINDS.iter().copied();
        kinds.zip(self.faults.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    /// Yeses of a policy that the floor turned down, by what forbids them.
    pub fn floor_violations(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let rules = FloorRule::ALL.iter().map(|rule| rule.as_str());
        rules.zip(self.floor.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    /// Releases that were activated.
    #[must_use]
    pub fn activations(&self) -> u64 {
        self.activations.load(Ordering::Relaxed)
    }

    /// Releases that were rolled back, by why.
    pub fn rollbacks(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let why = RolledBack::NAMES.iter().copied();
        why.zip(self.rollbacks.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    /// When another release began to decide for anybody, last; none since the start.
    #[must_use]
    pub fn last_swap(&self) -> Option<Timestamp> {
        Some(self.swapped.load(Ordering::Relaxed)).filter(|at| *at > 0)
    }

    /// Outages of the store.
    #[must_use]
    pub fn outages(&self) -> u64 {
        self.outages.load(Ordering::Relaxed)
    }
}

/// What waits to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backlog {
    /// Tokens and sessions with a use that is not yet on disk.
    pub uses: usize,
    /// How long the oldest of these uses has been waiting. Half a second is normal.
    pub oldest: std::time::Duration,
    /// Audit events of refusals that are not yet on disk. What is changed, is audited at once.
    pub events: usize,
}

/// How much there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Population {
    /// Live tokens.
    pub live: u64,
    /// Those of them that will end within the time asked for, unless they are used again.
    pub ending: u64,
    /// Open sessions: neither ended nor past their length or idle period.
    pub sessions: u64,
}

impl Patrol {
    /// How often there was something other than yes.
    #[must_use]
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What waits to be written.
    #[must_use]
    pub fn backlog(&self) -> Backlog {
        Backlog {
            uses: self.store.unflushed(),
            oldest: self
                .store
                .oldest_unflushed()
                .map(|since| since.elapsed())
                .unwrap_or_default(),
            events: self.journal.len(),
        }
    }

    /// Counts tokens and sessions, each tenant's by the idle period of its own policy; `within` (ms) is what
    /// [`Population::ending`] looks ahead. Looks at every token: a second for a million of them.
    ///
    /// # Errors
    /// An outage of the store.
    pub fn population(&self, within: Duration) -> Result<Population, Error> {
        let (now, parameters) = (self.now(), self.parameters());
        let since = |period: Duration| now.saturating_sub(period);
        let read = self.store.read()?;
        let mut all = Population {
            live: 0,
            ending: 0,
            sessions: 0,
        };
        for chosen in self.policies.load().governing() {
            let (tenants, rules) = (&chosen.tenants, chosen.running.rules(&parameters));
            let rule = LiveRule {
                now,
                idle_since: since(rules.idle_after),
            };
            let (live, ending) = read.count_tokens(tenants, rule, now.saturating_add(within))?;
            let (opened, used) = (since(rules.session_lifetime), since(rules.session_idle));
            let sessions = read.count_sessions(tenants, opened, used)?;
            all.live = all.live.saturating_add(live);
            all.ending = all.ending.saturating_add(ending);
            all.sessions = all.sessions.saturating_add(sessions);
        }
        Ok(all)
    }
}
