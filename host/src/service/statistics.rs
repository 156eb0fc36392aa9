//! Counts that answer what the administrators of a tenant ask: which tokens end when, which are not used, who signs in,
//! and what is refused.
//!
//! To count a million tokens takes a second or two: it is done at most once a [`FRESH`], apart from whoever asks.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use patrol_policy::types::{DAY, Duration, HOUR, Id, LiveRule, MINUTE, Timestamp};

use super::kept::{AsOf, Kept};
use super::question::Whose;
use super::{Error, Patrol};
use crate::store::{EndsBy, EventCount, TokenCount, Used};

/// How old counts may be, in ms, before they are made again for whoever asks.
pub const FRESH: Duration = MINUTE;
/// How many weeks are looked ahead.
pub const WEEKS: u32 = 12;
/// How many days are looked back, today included.
pub const DAYS: u32 = 30;
/// A token that was not used for longer than this, in ms, is counted as unused.
pub const QUIET: Duration = 7 * DAY;
/// How many events are looked at: the last ones.
pub const EVENTS: u32 = 200_000;
/// How many reasons are told apart; the rest is one sum.
const REASONS: usize = 11;

/// Counts of one tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Live tokens.
    pub live: u64,
    /// Those that were never used.
    pub never_used: u64,
    /// Those that were used, but not within 7 days.
    pub quiet: u64,
    /// Those that were used within 7 days.
    pub used: u64,
    /// The next 12 weeks, the first of which begins now.
    pub ending: Vec<Ending>,
    /// The last 30 days in UTC, today last.
    pub sign_ins: Vec<SignIns>,
    /// Why something was refused within these days, the most frequent first; none: all others together.
    pub refusals: Vec<(Option<String>, u64)>,
    /// Whether there were more events in these days than the 200,000 that are looked at, so that the earliest were left out.
    pub is_partial: bool,
}

/// Live tokens that end within a week, if they are not used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// When the week begins.
    pub from: Timestamp,
    /// Those that reach their expiration date.
    pub expire: u64,
    /// Those that idle out before it.
    pub idle: u64,
}

/// Sign-ins of a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignIns {
    /// When the day begins, in UTC.
    pub day: Timestamp,
    /// Those that were let in.
    pub succeeded: u64,
    /// Those that were not.
    pub failed: u64,
}

/// The counts of each tenant that somebody asked about.
#[derive(Debug, Default)]
pub(super) struct AllStatistics(Mutex<HashMap<Id, Arc<Kept<Statistics>>>>);

impl AllStatistics {
    fn of(&self, tenant: Id) -> Arc<Kept<Statistics>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(tenant).or_default())
    }
}

impl Patrol {
    /// The last counts of a tenant, and whether it is time for new ones: see [`Patrol::count_statistics`].
    #[must_use]
    pub fn statistics(&self, tenant: Id) -> (Option<Arc<AsOf<Statistics>>>, bool) {
        let kept = self.statistics.of(tenant);
        (kept.last(), kept.is_due(self.now(), FRESH))
    }

    /// Counts anew, unless somebody else is at it. Looks at every token of the tenant.
    ///
    /// # Errors
    /// An outage.
    pub fn count_statistics(&self, tenant: Id) -> Result<(), Error> {
        let now = self.now();
        let kept = self.statistics.of(tenant);
        kept.refresh(now, || {
            let policies = self.policies.load();
            let running = policies.of(Whose::Tenant(tenant), &*self.store)?.running;
            let rule = LiveRule {
                now,
                idle_since: now.saturating_sub(running.rules(&self.parameters()).idle_after),
            };
            let quiet_since = now.saturating_sub(QUIET);
            let first_day = (now / DAY).saturating_sub(u64::from(DAYS.saturating_sub(1)));
            let from_hour = first_day.saturating_mul(DAY / HOUR);
            // Each in a snapshot of its own: the log of writes is not held for both.
            let tokens = self
                .store
                .read()?
                .count_by_end(tenant, rule, quiet_since, WEEKS)?;
            let (events, seen) = self.store.read()?.count_events(tenant, from_hour, EVENTS)?;
            let mut all = Statistics {
                is_partial: seen >= u64::from(EVENTS),
                ..Statistics::default()
            };
            all.add_tokens(&tokens, now);
            all.add_events(&events, first_day);
            Ok(all)
        })
    }
}

/// Whether an event of this type is an attempt of somebody to sign in.
fn is_sign_in(event_type: &str) -> bool {
    event_type == "web_login" || event_type.starts_with("login_")
}

impl Statistics {
    fn add_tokens(&mut self, counts: &[TokenCount], now: Timestamp) {
        let week = |number: u32| now.saturating_add((7 * DAY).saturating_mul(u64::from(number)));
        self.ending = (0..WEEKS)
            .map(|number| Ending {
                from: week(number),
                ..Ending::default()
            })
            .collect();
        for count in counts {
            let add = |sum: &mut u64| *sum = sum.saturating_add(count.count);
            add(&mut self.live);
            add(match count.used {
                Used::Never => &mut self.never_used,
                Used::Before => &mut self.quiet,
                Used::Since => &mut self.used,
            });
            let place = usize::try_from(count.week).unwrap_or(usize::MAX);
            if let Some(ending) = self.ending.get_mut(place) {
                add(match count.ends_by {
                    EndsBy::Expiration => &mut ending.expire,
                    EndsBy::Idleness => &mut ending.idle,
                });
            }
        }
    }

    fn add_events(&mut self, counts: &[EventCount], first_day: u64) {
        self.sign_ins = (0..u64::from(DAYS))
            .map(|number| SignIns {
                day: first_day.saturating_add(number).saturating_mul(DAY),
                ..SignIns::default()
            })
            .collect();
        let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
        for count in counts {
            let succeeded = count.outcome == "success";
            if is_sign_in(&count.event_type) {
                let place = count.day.checked_sub(first_day);
                let place = place.and_then(|place| usize::try_from(place).ok());
                let day = place.and_then(|place| self.sign_ins.get_mut(place));
                if let Some(day) = day {
                    let sum = if succeeded {
                        &mut day.succeeded
                    } else {
                        &mut day.failed
                    };
                    *sum = sum.saturating_add(count.count);
                }
            }
            if !succeeded {
                let reason = count.reason.as_deref().unwrap_or(&count.outcome);
                let sum = reasons.entry(reason).or_default();
                *sum = sum.saturating_add(count.count);
            }
        }
        let mut reasons: Vec<_> = reasons.into_iter().collect();
        reasons.sort_by_key(|(reason, count)| (std::cmp::Reverse(*count), *reason));
        let rest = reasons.iter().skip(REASONS).map(|(_, count)| *count);
        let rest = rest.fold(0_u64, u64::saturating_add);
        let told = reasons.iter().take(REASONS);
        self.refusals = told
            .map(|(reason, count)| (Some((*reason).to_owned()), *count))
            .collect();
        if rest > 0 {
            self.refusals.push((None, rest));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;

    fn event(day: u64, event_type: &str, outcome: &str, reason: Option<String>, count: u64) -> EventCount {
        EventCount {
            day,
            event_type: event_type.to_owned(),
            outcome: outcome.to_owned(),
            reason,
            count,
        }
    }

    #[test]
    fn tokens_are_counted_by_use_and_by_week() {
        let mut all = Statistics::default();
        let one = |week, ends_by, used, count| TokenCount {
            week,
            ends_by,
            used,
            count,
        };
        let counts = [
            one(0, EndsBy::Idleness, Used::Never, 1),
            one(0, EndsBy::Expiration, Used::Since, 10),
            one(11, EndsBy::Expiration, Used::Before, 100),
            one(12, EndsBy::Idleness, Used::Since, u64::MAX),
        ];
        all.add_tokens(&counts, 1_000);
        assert_eq!((all.never_used, all.quiet, all.used), (1, 100, u64::MAX));
        assert_eq!(all.live, u64::MAX);
        assert_eq!(all.ending.len(), 12);
        assert_eq!(
            all.ending[0],
            Ending {
                from: 1_000,
                expire: 10,
                idle: 1
            }
        );
        assert_eq!(all.ending[11].expire, 100);
        assert_eq!(all.ending[1].from, 1_000 + 7 * DAY);
    }

    #[test]
    fn events_are_counted_by_day_and_by_reason() {
        let mut all = Statistics::default();
        let mut counts = vec![
            event(100, "login_with_password", "success", None, 3),
            event(129, "web_login", "unauthorized", Some("wrong".to_owned()), 4),
            event(90, "web_login", "success", None, 5),
            event(100, "create_user", "success", None, 6),
            event(100, "verify_session", "internal_error", None, 7),
        ];
        counts.extend((0..20).map(|number| {
            event(
                101,
                "verify_session",
                "unauthorized",
                Some(format!("reason {number:02}")),
                1,
            )
        }));
        all.add_events(&counts, 100);
        assert_eq!(all.sign_ins.len(), 30);
        assert_eq!(all.sign_ins[0].succeeded, 3);
        assert_eq!((all.sign_ins[29].succeeded, all.sign_ins[29].failed), (0, 4));
        assert_eq!(all.refusals[0], (Some("internal_error".to_owned()), 7));
        assert_eq!(all.refusals[1], (Some("wrong".to_owned()), 4));
        assert_eq!(all.refusals.len(), 12);
        assert_eq!(*all.refusals.last().unwrap(), (None, 11));
    }
}
