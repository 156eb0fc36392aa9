//! A release that has just begun to decide is watched: if it faults above the rate that `[policy] watch_faults` sets, it
//! is rolled back without a person.
//!
//! * A release is watched until it has proven itself: until it has decided for as long as `[policy] watch` says, and
//!   answered at least [`PROVEN_CALLS`] calls. That is written down, so a restart begins the watch of a release anew
//!   that has not got there, and does not watch one that has. One that was activated while no server ran is watched
//!   from the first start on.
//! * What is compared is the share of faults among the last thousand calls or so ([`MEMORY`]), so that a release that
//!   turns bad after many good calls is found as soon as one that is bad from the first, and there must be
//!   `[policy] watch_least` faults, so that one unlucky call decides nothing.
//! * A fault is a policy that did not do its part, a yes that the floor turned down included. Refusals are answers, but
//!   for those of what anybody can make up, a text that is no token or none that there is: with enough of them a policy
//!   that faults wherever it matters would look well. They do not count; and outages, and more calls than there is room for, are not the policy's doing and do not count at all.
//! * A release that was rolled back to is watched as well, unless it has proven itself before: what made the other one
//!   fault may have been the machine, and must not take the good ones along. So it goes down the stack as far as the
//!   built-in policy, which is never rolled back, and never up again.
//!
//! Counting is one atomic addition a call while a release is watched, and one relaxed load afterwards. Whoever counts
//! the fault that is one too many wakes the [`Watchman`], a thread: a rollback loads a policy and writes, which no
//! request waits for, or does in its transaction.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use patrol_policy::types::{Id, RefusalReason};

use super::policies::{Policies, Running};
use super::releases::Cause;
use super::{Caller, Error, Patrol, ServeLock};
use crate::config::PolicyConfig;
use crate::policy::Fault;

/// After so many calls, what was counted is halved.
pub(super) const MEMORY: u32 = 1_000;
/// Calls that a release must have answered before it has proven itself.
pub(super) const PROVEN_CALLS: u32 = 100;
/// Between two looks at what is watched, where nobody asks for one.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Not watched, so far.
const IDLE: u8 = 0;
/// Watched.
const WATCHED: u8 = 1;
/// Watched, and found to fault too often.
const CONDEMNED: u8 = 2;
/// Not watched any more.
const OVER: u8 = 3;

/// What is known of a running policy's faults.
#[derive(Debug, Default)]
pub(super) struct Watch {
    state: AtomicU8,
    /// Calls of late in the upper half, faults among them in the lower: they are read together.
    counted: AtomicU64,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    began: Option<Instant>,
    /// The last fault in words.
    last: String,
}

/// Calls, and the faults among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) calls: u32,
    pub(super) faults: u32,
}

impl Counted {
    const fn of(packed: u64) -> Self {
        let [a, b, c, d, e, f, g, h] = packed.to_be_bytes();
        Self {
            calls: u32::from_be_bytes([a, b, c, d]),
            faults: u32::from_be_bytes([e, f, g, h]),
        }
    }

    fn packed(self) -> u64 {
        u64::from(self.calls) << 32 | u64::from(self.faults)
    }

    /// Whether these are too many faults.
    fn too_many(self, config: &PolicyConfig) -> bool {
        self.faults >= config.watch_least.max(1)
            && f64::from(self.faults) >= config.watch_faults * f64::from(self.calls)
    }
}

impl Watch {
    /// Begins to watch, where that has not begun before.
    pub(super) fn begin(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = self
            .state
            .compare_exchange(IDLE, WATCHED, Ordering::AcqRel, Ordering::Relaxed);
        if begun.is_ok() {
            known.began = Some(Instant::now());
        }
    }

    /// Ends the watch.
    fn end(&self) {
        self.state.store(OVER, Ordering::Release);
    }

    fn is(&self, state: u8) -> bool {
        self.state.load(Ordering::Relaxed) == state
    }

    /// What was counted of late, while it is watched.
    pub(super) fn so_far(&self) -> Option<Counted> {
        (self.is(WATCHED) || self.is(CONDEMNED)).then(|| Counted::of(self.counted.load(Ordering::Relaxed)))
    }

    /// Counts a call; says whether this fault is the one that is one too many.
    #[inline]
    fn count(&self, fault: Option<&Fault>, config: impl FnOnce() -> Arc<crate::Config>) -> bool {
        if !self.is(WATCHED) || matches!(fault, Some(Fault::Busy(_))) {
            return false;
        }
        let one = Counted {
            calls: 1,
            faults: u32::from(fault.is_some()),
        };
        let before = self.counted.fetch_add(one.packed(), Ordering::Relaxed);
        let now = Counted::of(before.wrapping_add(one.packed()));
        if now.calls >= MEMORY {
            // Whoever loses the race leaves it to the next call.
            let half = Counted {
                calls: now.calls / 2,
                faults: now.faults / 2,
            };
            let (now, half) = (now.packed(), half.packed());
            let _ = self
                .counted
                .compare_exchange(now, half, Ordering::Relaxed, Ordering::Relaxed);
        }
        let Some(fault) = fault else { return false };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.last = fault.to_string();
        if !now.too_many(&config().policy) {
            return false;
        }
        let condemned = self
            .state
            .compare_exchange(WATCHED, CONDEMNED, Ordering::AcqRel, Ordering::Relaxed);
        condemned.is_ok()
    }

    fn watched_for(&self) -> Duration {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.began.map(|began| began.elapsed()).unwrap_or_default()
    }

    fn last_fault(&self) -> String {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.last.clone()
    }
}

/// How the watchman is woken.
#[derive(Debug, Default)]
pub(super) struct Bell {
    /// Whether anybody keeps watch.
    kept: AtomicBool,
    asked: Mutex<Asked>,
    rung: Condvar,
}

#[derive(Debug, Default)]
struct Asked {
    look: bool,
    stop: bool,
}

impl Bell {
    pub(super) fn ring(&self) {
        self.change(|asked| asked.look = true);
    }

    fn change(&self, change: impl FnOnce(&mut Asked)) {
        change(&mut self.asked.lock().unwrap_or_else(PoisonError::into_inner));
        self.rung.notify_all();
    }

    /// Waits until it rings, no longer than `most`; says whether to go on.
    fn wait(&self, most: Option<Duration>) -> bool {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let quiet = |asked: &mut Asked| !asked.look && !asked.stop;
        let mut asked = match most {
            Some(most) => {
                let waited = self.rung.wait_timeout_while(asked, most, quiet);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                let waited = self.rung.wait_while(asked, quiet);
                waited.unwrap_or_else(PoisonError::into_inner)
            }
        };
        asked.look = false;
        !asked.stop
    }
}

/// The thread that rolls back what faults; stops when dropped.
pub struct Watchman {
    patrol: Arc<Patrol>,
    thread: Option<JoinHandle<()>>,
}

impl Watchman {
    /// Begins to watch: what has not proven itself yet, and whatever is activated from now on.
    ///
    /// # Errors
    /// Where the machine has no thread to give.
    pub fn start(patrol: &Arc<Patrol>, lock: &Arc<ServeLock>) -> std::io::Result<Self> {
        patrol.bell.kept.store(true, Ordering::Release);
        patrol.watch_over(&patrol.policies.load());
        let (of, lock) = (Arc::clone(patrol), Arc::clone(lock));
        let thread = std::thread::Builder::new()
            .name("watchman".to_owned())
            .spawn(move || {
                let mut more = of.look_after(&lock);
                while of.bell.wait(more.then_some(LOOK_EVERY)) {
                    more = of.look_after(&lock);
                }
            })?;
        Ok(Self {
            patrol: Arc::clone(patrol),
            thread: Some(thread),
        })
    }
}

impl Drop for Watchman {
    fn drop(&mut self) {
        self.patrol.bell.kept.store(false, Ordering::Release);
        self.patrol.bell.change(|asked| asked.stop = true);
        if let Some(thread) = self.thread.take() {
            // It only ends by itself or by a panic, which has been reported where it happened.
            let _ = thread.join();
        }
        self.patrol.bell.change(|asked| asked.stop = false);
    }
}

impl Patrol {
    /// Takes note of how a call to a policy ended.
    #[inline]
    pub(super) fn watch_call(&self, running: &Running, error: Option<&Error>) {
        let fault = match error {
            // Whoever sends these could hide any number of faults.
            Some(Error::Refused(refusal)) if is_made_up(refusal.reason) => return,
            None | Some(Error::Refused(_)) => None,
            Some(Error::Fault(fault)) => Some(fault),
            // An outage, or what the host itself objected to: not the policy's doing.
            Some(_) => return,
        };
        if running.watch.count(fault, || self.config()) {
            self.bell.ring();
        }
    }

    /// As [`watch_call`](Self::watch_call), of a call that proves nothing where it goes well.
    pub(super) fn watch_faults(&self, running: &Running, error: Option<&Error>) {
        if matches!(error, Some(Error::Fault(_))) {
            self.watch_call(running, error);
        }
    }

    /// Begins to watch those of these policies that have not proven themselves, if anybody keeps watch.
    pub(super) fn watch_over(&self, policies: &Policies) {
        if !self.bell.kept.load(Ordering::Acquire) || self.config().policy.watch.0 == 0 {
            return;
        }
        for (tenant, running) in policies.all() {
            let Some(release) = &running.release else { continue };
            let read = self.store.read();
            let row = read.and_then(|read| read.activation(tenant, release.digest));
            // Where that is not known, rather once too often.
            if !row.ok().flatten().is_some_and(|row| row.proven) {
                running.watch.begin();
            }
        }
        self.bell.ring();
    }

    /// Rolls back what was found to fault too often, and lets go what has proven itself. Says whether there is more to
    /// watch.
    fn look_after(&self, lock: &ServeLock) -> bool {
        let (policies, config) = (self.policies.load_full(), self.config());
        let mut more = false;
        for (tenant, running) in policies.all() {
            if running.watch.is(CONDEMNED) {
                more |= !self.roll_back_faulty(lock, tenant, running);
            } else if running.watch.is(WATCHED) {
                let watch = Duration::from_millis(config.policy.watch.0);
                let counted = Counted::of(running.watch.counted.load(Ordering::Relaxed));
                if running.watch.watched_for() < watch || counted.calls < PROVEN_CALLS {
                    more = true;
                } else if config.policy.watch.0 == 0 {
                    running.watch.end();
                } else {
                    more |= !self.prove(tenant, running);
                }
            }
        }
        more
    }

    /// Rolls a release back that faults; says whether it is done with.
    fn roll_back_faulty(&self, lock: &ServeLock, tenant: Option<Id>, running: &Arc<Running>) -> bool {
        let counted = Counted::of(running.watch.counted.load(Ordering::Relaxed));
        let cause = Cause::Faults {
            running,
            faults: counted.faults,
            calls: counted.calls,
            last: running.watch.last_fault(),
        };
        let (named, last) = (running.release.as_ref(), running.watch.last_fault());
        tracing::error!(
            name = named.map(|row| row.name.as_str()),
            version = named.map(|row| row.version.as_str()),
            release = named.map(|row| row.number),
            tenant = tenant.map(tracing::field::display),
            faults = counted.faults,
            calls = counted.calls,
            last,
            "the policy faults too often: it is rolled back"
        );
        match self.take_back(lock, &Caller::system(), tenant, &cause) {
            Ok(_) => true,
            Err(error) => {
                tracing::error!(%error, "the policy that faults could not be rolled back yet");
                false
            }
        }
    }

    /// Writes down that a release has proven itself; says whether it is done with.
    fn prove(&self, tenant: Option<Id>, running: &Running) -> bool {
        let Some(release) = &running.release else {
            return true;
        };
        let written = self.store.begin().and_then(|mut transaction| {
            transaction.prove_activation(tenant, release.digest, self.now())?;
            transaction.commit()
        });
        match written {
            Ok(()) => {
                running.watch.end();
                tracing::info!(
                    name = release.name,
                    version = release.version,
                    release = release.number,
                    tenant = tenant.map(tracing::field::display),
                    "the policy has proven itself: it is no longer watched"
                );
                true
            }
            Err(error) => {
                tracing::error!(%error, "could not write down that the policy has proven itself");
                false
            }
        }
    }
}

/// Whether this is how something is refused that nobody was ever given.
const fn is_made_up(reason: RefusalReason) -> bool {
    matches!(
        reason,
        RefusalReason::Malformed | RefusalReason::BadChecksum | RefusalReason::Unknown
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn config(faults: f64, least: u32) -> Arc<crate::Config> {
        let mut config = crate::Config::default();
        config.policy.watch_faults = faults;
        config.policy.watch_least = least;
        Arc::new(config)
    }

    fn trap() -> Fault {
        Fault::Trap("unreachable".to_owned())
    }

    /// How many calls it takes until a release is condemned, if every `every`th faults from the `first` on.
    fn condemned_after(every: usize, first: usize, config: &Arc<crate::Config>) -> Option<usize> {
        let watch = Watch::default();
        watch.begin();
        (1..=20_000).find(|call| {
            let faults = *call >= first && call.is_multiple_of(every);
            let fault = faults.then(trap);
            watch.count(fault.as_ref(), || Arc::clone(config))
        })
    }

    #[test]
    fn a_release_that_always_faults_is_condemned_by_its_fifth_call() {
        assert_eq!(condemned_after(1, 1, &config(0.01, 5)), Some(5));
    }

    #[test]
    fn a_release_that_turns_bad_after_many_good_calls_is_condemned_as_soon() {
        let after = condemned_after(1, 15_000, &config(0.01, 5)).unwrap();
        assert!(after < 15_000 + 12, "{after}");
    }

    #[test]
    fn a_release_that_faults_less_often_than_the_rate_is_not_condemned() {
        assert_eq!(condemned_after(300, 1, &config(0.01, 5)), None);
        assert!(condemned_after(60, 1, &config(0.01, 5)).is_some());
        assert_eq!(condemned_after(60, 1, &config(0.05, 5)), None);
    }

    #[test]
    fn it_is_condemned_once_and_only_while_it_is_watched() {
        let (watch, config) = (Watch::default(), config(0.01, 5));
        let count = || {
            let counted = (0..100).filter(|_| watch.count(Some(&trap()), || Arc::clone(&config)));
            counted.count()
        };
        assert_eq!(count(), 0);
        assert_eq!(watch.so_far(), None);
        watch.begin();
        assert_eq!(count(), 1);
        assert_eq!(watch.so_far().unwrap(), Counted { calls: 5, faults: 5 });
        watch.end();
        watch.begin();
        assert_eq!(count(), 0);
    }

    #[test]
    fn a_host_that_is_busy_condemns_nobody() {
        let (watch, config) = (Watch::default(), config(0.01, 5));
        watch.begin();
        let busy = Fault::Busy("full".to_owned());
        assert!((0..100).all(|_| !watch.count(Some(&busy), || Arc::clone(&config))));
        assert_eq!(watch.so_far().unwrap(), Counted { calls: 0, faults: 0 });
    }

    #[test]
    fn what_is_counted_at_once_by_many_threads_is_counted_whole() {
        let (watch, config) = (Watch::default(), config(1.0, u32::MAX));
        watch.begin();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for call in 0..100_u32 {
                        let fault = (call % 2 == 0).then(trap);
                        watch.count(fault.as_ref(), || Arc::clone(&config));
                    }
                });
            }
        });
        assert_eq!(
            watch.so_far().unwrap(),
            Counted {
                calls: 400,
                faults: 200
            }
        );
    }
}
