//! A candidate beside the policy that decides: it is asked the same, answers to nobody, and its answers are compared.
//!
//! Decisions reach it through a bounded queue. Whoever asked for a verdict hands the decision over and goes on; where
//! there is no room, the candidate does not hear of it, which is counted. It runs on one thread, as a rehearsal does,
//! with an overlay of its own ([`replay`](super::replay)): nothing that it does has an effect.

mod work;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use patrol_policy::types::{Id, Timestamp};
use serde::{Deserialize, Serialize};

use super::events::AuditEvent;
use super::exchange::Exchange;
use super::recorder::Listener;
use super::rehearsal::{Change, Difference, Rehearsal, Totals};
use super::releases::{ReleaseError, release_event};
use super::{Caller, Patrol, ServeLock};
use crate::release::hex;
use crate::store::ReleaseRow;
use work::Work;

/// Decisions that may wait for the candidate: what comes in within a second or so at high rates.
const QUEUE: usize = 16_384;
/// Bytes of memory that they may take: what storage answered to one decision may be a long list.
const QUEUE_BYTES: usize = 64 << 20;
/// Differences that are listed, the latest.
const LATEST: usize = 100;
/// Tokens that are told apart for each kind of change. Of more, it is said that there are that many at least.
const TOLD_APART: usize = 100_000;
/// The event of its end.
const ENDED: &str = "end_policy_shadow";

/// What a shadow found so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ShadowStatus {
    /// The candidate's id.
    pub release: String,
    /// Its policy's name.
    pub name: String,
    /// Its policy's version.
    pub version: String,
    /// Its number.
    pub number: u32,
    /// The tenant about whom it hears; none: about everybody but tenants with a policy of their own.
    pub tenant: Option<Id>,
    /// When it began, ms since the epoch.
    pub began: Timestamp,
    /// When it ends by itself, ms since the epoch; none: when it is told to.
    pub until: Option<Timestamp>,
    /// When it ended, ms since the epoch.
    pub ended: Option<Timestamp>,
    /// Why it ended before its time.
    pub failure: Option<String>,
    /// Decisions that it did not hear of, since it was too slow.
    pub dropped: u64,
    /// How its answers compare.
    #[serde(flatten)]
    pub totals: Totals,
    /// The kinds of changes, what concerns the most tokens first.
    pub changes: Vec<ShadowChange>,
    /// The latest differences, the last one first.
    pub latest: Vec<ShadowDifference>,
    /// Questions that the decisions could not answer: how often which function was answered from the store as it was
    /// then.
    pub answered_from_the_store: BTreeMap<String, u64>,
}

/// One kind of change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ShadowChange {
    /// What was asked for.
    pub asked: String,
    /// How it was answered.
    pub was: String,
    /// How the candidate would have answered.
    pub would: String,
    /// In how many calls.
    pub calls: u64,
    /// Of how many tokens.
    pub tokens: u64,
    /// Of how many owners.
    pub owners: u64,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ShadowDifference {
    /// When, ms since the epoch.
    pub at: Timestamp,
    /// The function of the contract.
    pub function: String,
    /// How it was answered.
    pub was: String,
    /// How the candidate would have answered.
    pub would: String,
    /// The token.
    pub token: Option<Id>,
    /// Its name.
    pub token_name: Option<String>,
    /// The owner.
    pub owner: Option<Id>,
    /// The owner's name.
    pub owner_name: Option<String>,
}

/// Hears decisions for a shadow.
struct Ear {
    queue: SyncSender<Arc<Exchange>>,
    dropped: AtomicU64,
    /// Bytes of what waits, about.
    waiting: AtomicUsize,
}

impl Ear {
    const fn new(queue: SyncSender<Arc<Exchange>>) -> Self {
        Self {
            queue,
            dropped: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
        }
    }

    /// An exchange waits no more.
    fn taken(&self, exchange: &Exchange) {
        self.waiting.fetch_sub(exchange.size(), Ordering::Relaxed);
    }
}

impl Listener for Ear {
    fn hear(&self, exchange: &Arc<Exchange>) {
        let size = exchange.size();
        // Counted before it can be taken, so that the count never goes below nothing.
        let before = self.waiting.fetch_add(size, Ordering::Relaxed);
        let room = before.saturating_add(size) <= QUEUE_BYTES;
        if !room || self.queue.try_send(Arc::clone(exchange)).is_err() {
            self.waiting.fetch_sub(size, Ordering::Relaxed);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What was found, as the thread keeps it.
#[derive(Default)]
struct Found {
    totals: Totals,
    kinds: BTreeMap<Change, Kind>,
    latest: VecDeque<Difference>,
    unanswered: BTreeMap<&'static str, u64>,
    ended: Option<Timestamp>,
    failure: Option<String>,
}

/// What concerns one kind of change.
#[derive(Default)]
struct Kind {
    calls: u64,
    tokens: BTreeSet<Id>,
    owners: BTreeSet<Id>,
}

/// A shadow, while it runs and after it ended.
struct Shading {
    about: ShadowStatus,
    ear: Arc<Ear>,
    found: Arc<Mutex<Found>>,
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
    row: ReleaseRow,
}

/// That a shadow is to end.
#[derive(Default)]
struct Stop {
    told: AtomicBool,
    /// Nobody will ask what it finds: what waits for it is left.
    at_once: AtomicBool,
    /// Says in the audit trail by whom, if not by itself.
    event: Mutex<Option<AuditEvent>>,
}

/// The shadow of a process; one at a time.
#[derive(Default)]
pub(super) struct Shadows {
    one: Mutex<Option<Shading>>,
    /// How many decisions it had not heard of when somebody last asked.
    unheard: AtomicU64,
}

impl Drop for Shadows {
    fn drop(&mut self) {
        let shading = self.one.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(shading) = shading {
            shading.end_at_once();
        }
    }
}

impl Shading {
    fn end(&mut self) {
        self.stop.told.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It only ends by itself or by a panic, which has been reported where it happened.
            let _ = thread.join();
        }
    }

    fn end_at_once(&mut self) {
        self.stop.at_once.store(true, Ordering::Relaxed);
        self.end();
    }

    fn runs(&self) -> bool {
        lock(&self.found).ended.is_none() && self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

/// Each change to it is complete at every step.
fn lock(found: &Mutex<Found>) -> MutexGuard<'_, Found> {
    found.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Patrol {
    /// Puts a release that was staged beside the policy that decides for everybody, or for a tenant. It ends by itself
    /// after `lasting`, if that is said; a shadow that was there ends now.
    ///
    /// # Errors
    /// Where there is no such release, it is not fit, or the machine has no thread to give.
    pub fn shadow(
        &self,
        _serving: &ServeLock,
        caller: &Caller,
        id: &str,
        tenant: Option<Id>,
        lasting: Option<Duration>,
    ) -> Result<ShadowStatus, ReleaseError> {
        let (row, release) = self.release(id)?;
        let rehearsal = self.rehearse(&release, tenant)?;
        self.begin_shadow(caller, &row, rehearsal, tenant, lasting, QUEUE)
    }

    fn begin_shadow(
        &self,
        caller: &Caller,
        row: &ReleaseRow,
        rehearsal: Rehearsal,
        tenant: Option<Id>,
        lasting: Option<Duration>,
        room: usize,
    ) -> Result<ShadowStatus, ReleaseError> {
        let mut slot = self.shadows.one.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = slot.as_mut() {
            before.end_at_once();
        }
        let now = self.now();
        let ms = |lasting: Duration| u64::try_from(lasting.as_millis()).unwrap_or(u64::MAX);
        let about = ShadowStatus {
            release: hex(&row.digest),
            name: row.name.clone(),
            version: row.version.clone(),
            number: row.number,
            tenant,
            began: now,
            until: lasting.map(|lasting| now.saturating_add(ms(lasting))),
            ..ShadowStatus::default()
        };
        let (queue, heard) = sync_channel(room);
        let ear = Arc::new(Ear::new(queue));
        let (found, stop) = (Arc::<Mutex<Found>>::default(), Arc::<Stop>::default());
        let mut transaction = self.store.begin()?;
        release_event("begin_policy_shadow", self, caller, row, tenant)
            .detail("until", about.until.map(crate::time::rfc3339))
            .write(&mut *transaction)?;
        transaction.commit()?;
        let listener: Arc<dyn Listener> = ear.clone();
        let work = Work {
            rehearsal,
            heard,
            found: Arc::clone(&found),
            stop: Arc::clone(&stop),
            deadline: lasting.and_then(|lasting| Instant::now().checked_add(lasting)),
            recorder: Arc::clone(&self.recorder),
            listener: Arc::clone(&listener),
            ear: Arc::clone(&ear),
            in_a_row: 0,
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
            ended: release_event(ENDED, self, &Caller::system(), row, tenant),
        };
        let thread = std::thread::Builder::new()
            .name("shadow".to_owned())
            .spawn(move || work.run())
            .map_err(|error| super::Error::interrupted(&format!("no thread for a shadow: {error}")))?;
        self.listen(listener);
        let shading = Shading {
            about,
            ear,
            found,
            stop,
            thread: Some(thread),
            row: row.clone(),
        };
        let status = self.status_of(&shading)?;
        *slot = Some(shading);
        Ok(status)
    }

    /// What the shadow found so far, or found before it ended; none where there was none.
    ///
    /// # Errors
    /// An outage of the store, which is asked for names.
    pub fn shadow_status(&self) -> Result<Option<ShadowStatus>, super::Error> {
        let slot = self.shadows.one.lock().unwrap_or_else(PoisonError::into_inner);
        slot.as_ref().map(|shading| self.status_of(shading)).transpose()
    }

    /// Whether a shadow is there, and how many decisions it did not hear of.
    #[must_use]
    pub fn shadow_backlog(&self) -> (bool, u64) {
        let known = &self.shadows.unheard;
        let slot = match self.shadows.one.try_lock() {
            Ok(slot) => slot,
            Err(TryLockError::Poisoned(slot)) => slot.into_inner(),
            // One is beginning or ending just now, which may take seconds: whoever asks for metrics does not wait.
            Err(TryLockError::WouldBlock) => return (true, known.load(Ordering::Relaxed)),
        };
        slot.as_ref().map_or((false, 0), |shading| {
            let dropped = shading.ear.dropped.load(Ordering::Relaxed);
            known.store(dropped, Ordering::Relaxed);
            (shading.runs(), dropped)
        })
    }

    /// Ends the shadow, and says what it found; none where there is none.
    ///
    /// # Errors
    /// An outage of the store.
    pub fn end_shadow(
        &self,
        _serving: &ServeLock,
        caller: &Caller,
    ) -> Result<Option<ShadowStatus>, super::Error> {
        let mut slot = self.shadows.one.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(shading) = slot.as_mut() else {
            return Ok(None);
        };
        let event = release_event(ENDED, self, caller, &shading.row, shading.about.tenant);
        let mut told = shading.stop.event.lock().unwrap_or_else(PoisonError::into_inner);
        *told = Some(event);
        drop(told);
        shading.end();
        self.status_of(shading).map(Some)
    }

    fn status_of(&self, shading: &Shading) -> Result<ShadowStatus, super::Error> {
        let read = self.store.read()?;
        let found = lock(&shading.found);
        let mut changes: Vec<_> = found
            .kinds
            .iter()
            .map(|(change, kind)| ShadowChange {
                asked: change.asked.to_string(),
                was: change.was.to_string(),
                would: change.would.to_string(),
                calls: kind.calls,
                tokens: u64::try_from(kind.tokens.len()).unwrap_or(u64::MAX),
                owners: u64::try_from(kind.owners.len()).unwrap_or(u64::MAX),
            })
            .collect();
        changes.sort_by_key(|change| std::cmp::Reverse((change.tokens, change.owners, change.calls)));
        let mut latest = Vec::with_capacity(found.latest.len());
        for difference in found.latest.iter().rev() {
            let subject = difference.subject;
            let row = subject
                .token
                .map(|token| read.token_row(token))
                .transpose()?
                .flatten();
            let owner = subject
                .owner
                .or_else(|| row.as_ref().map(|row| row.state.token.owner));
            let user = match (&row, owner) {
                (None, Some(owner)) => read.user(owner)?,
                _ => None,
            };
            let of_row = row.as_ref().map(|row| row.owner_name.clone());
            latest.push(ShadowDifference {
                at: difference.at,
                function: difference.function.to_owned(),
                was: difference.change.was.to_string(),
                would: difference.change.would.to_string(),
                token: subject.token,
                owner,
                owner_name: of_row.or_else(|| user.map(|user| user.name)),
                token_name: row.map(|row| row.name),
            });
        }
        let unanswered = found.unanswered.iter();
        Ok(ShadowStatus {
            ended: found.ended,
            failure: found.failure.clone(),
            dropped: shading.ear.dropped.load(Ordering::Relaxed),
            totals: found.totals,
            changes,
            latest,
            answered_from_the_store: unanswered
                .map(|(name, count)| ((*name).to_owned(), *count))
                .collect(),
            ..shading.about.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use patrol_policy::types::{LiveRule, Parameters};

    use super::super::exchange::{Answer, Asked, Verdict};
    use super::*;

    fn answered(answers: Vec<Answer>) -> Arc<Exchange> {
        Arc::new(Exchange {
            at: 1,
            tenant: None,
            parameters: Parameters::default(),
            question: Asked::PasswordSignIn(Id::default()),
            answers,
            overruled: None,
            verdict: Verdict::Outage,
        })
    }

    #[test]
    fn what_waits_for_it_takes_no_more_memory_than_it_may() {
        let (queue, heard) = sync_channel(QUEUE);
        let ear = Ear::new(queue);
        let rule = LiveRule {
            now: 1,
            idle_since: 0,
        };
        let name = Answer::Name(Id::default(), "n".repeat(1 << 20), rule, true);
        let exchange = answered(vec![name]);
        for _ in 0..100 {
            ear.hear(&exchange);
        }
        let waiting = ear.waiting.load(Ordering::Relaxed);
        assert!(waiting <= QUEUE_BYTES && waiting > QUEUE_BYTES / 2, "{waiting}");
        let mut taken = 0;
        for exchange in heard.try_iter() {
            ear.taken(&exchange);
            taken += 1;
        }
        assert_eq!(taken + ear.dropped.load(Ordering::Relaxed), 100);
        assert_eq!(ear.waiting.load(Ordering::Relaxed), 0);
        ear.hear(&exchange);
        assert_eq!(heard.try_iter().count(), 1);
    }

    #[test]
    fn what_it_has_no_time_to_hear_is_dropped_and_counted() {
        let (queue, heard) = sync_channel(2);
        let ear = Ear::new(queue);
        let exchange = answered(Vec::new());
        for _ in 0..5 {
            ear.hear(&exchange);
        }
        assert_eq!(ear.dropped.load(Ordering::Relaxed), 3);
        assert_eq!(heard.try_iter().count(), 2);
        ear.hear(&exchange);
        assert_eq!(ear.dropped.load(Ordering::Relaxed), 3, "there is room again");
    }
}
