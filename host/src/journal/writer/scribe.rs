//! The thread that writes the journal.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError};
use std::time::{Duration, Instant};

use super::{Encode, Shared};
use crate::journal::block::Draft;
use crate::journal::error::Error;
use crate::journal::keeper::{Keeper, Limits};
use crate::time::Clock;

/// A record is in its file by then, give or take a look at the queue.
const SEAL_EVERY: Duration = Duration::from_secs(1);
/// Between two looks at the queue while there is traffic.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Without traffic for this long, the thread sleeps until the next record.
const IDLE_AFTER: Duration = Duration::from_secs(2);
/// How long it sleeps at most.
const SLEEP: Duration = Duration::from_secs(60);
/// Between two looks for segments that are too old.
const PRUNE_EVERY: Duration = Duration::from_secs(60);
/// Between two tries to write where it failed.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// The queue has not been full for this long: it keeps up again.
const CALM_AFTER: Duration = Duration::from_secs(10);

/// What the thread is sent.
pub(super) enum Message<T> {
    Record(T),
    Open(Box<Keeper>, Limits),
    Limit(Limits),
    Close,
    Flush(SyncSender<()>),
}

/// A time in which blocks cannot be written.
struct Failure {
    tried: Instant,
    dropped: u64,
}

/// A time in which the queue is full now and then.
struct Overrun {
    seen: Instant,
    before: u64,
}

pub(super) struct Scribe<T> {
    queue: Receiver<Message<T>>,
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    directory: PathBuf,
    /// There while it is turned on.
    limits: Option<Limits>,
    /// None while it is turned off, and while it fails.
    keeper: Option<Keeper>,
    draft: Draft,
    /// When the first record of the draft came.
    begun: Option<Instant>,
    /// One record as bytes.
    bytes: Vec<u8>,
    pruned: Instant,
    failure: Option<Failure>,
    overrun: Option<Overrun>,
    /// Records dropped by requests that have been told of.
    overruns: u64,
    /// Whether it has been told that records are too large.
    unwritable_told: bool,
}

impl<T: Encode> Scribe<T> {
    pub(super) fn new(
        queue: Receiver<Message<T>>,
        shared: Arc<Shared>,
        clock: Arc<dyn Clock>,
        directory: PathBuf,
    ) -> Self {
        Self {
            queue,
            shared,
            clock,
            directory,
            limits: None,
            keeper: None,
            draft: Draft::default(),
            begun: None,
            bytes: Vec::new(),
            pruned: Instant::now(),
            failure: None,
            overrun: None,
            overruns: 0,
            unwritable_told: false,
        }
    }

    /// Ends when nobody can send any more.
    pub(super) fn run(mut self) {
        let mut traffic = Instant::now();
        loop {
            match self.queue.try_recv() {
                Ok(message) => {
                    self.take(message);
                    continue;
                }
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) => {}
            }
            if self.begun.is_some() {
                traffic = Instant::now();
            }
            self.look_after();
            if traffic.elapsed() < IDLE_AFTER {
                std::thread::sleep(LOOK_EVERY);
                continue;
            }
            match self.queue.recv_timeout(SLEEP) {
                Ok(message) => {
                    self.take(message);
                    traffic = Instant::now();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.close();
    }

    fn take(&mut self, message: Message<T>) {
        match message {
            Message::Record(record) => {
                self.shared.waiting.fetch_sub(record.size(), Ordering::Relaxed);
                self.write_down(&record);
            }
            Message::Open(keeper, limits) => {
                (self.keeper, self.limits) = (Some(*keeper), Some(limits));
                // What failed before it was turned off does no more: it could be opened.
                self.succeed();
                self.pruned = Instant::now();
                self.prune();
            }
            Message::Limit(limits) => {
                self.limits = Some(limits);
                if let Some(keeper) = &mut self.keeper {
                    keeper.limit(limits);
                }
                self.prune();
            }
            Message::Close => self.close(),
            Message::Flush(done) => {
                self.seal();
                // Nobody waits any more, should this fail.
                let _ = done.send(());
            }
        }
    }

    fn write_down(&mut self, record: &T) {
        self.bytes.clear();
        let encoded = record.encode(&mut self.bytes).is_ok();
        // Pushed while it was turned off: as if it had come a moment later.
        if self.limits.is_none() {
            return;
        }
        if !encoded || !self.draft.push(record.at(), &self.bytes) {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
            if !self.unwritable_told {
                self.unwritable_told = true;
                tracing::warn!(
                    "a decision is too large for the journal and was left out; so are others like it"
                );
            }
            return;
        }
        if self.begun.is_none() {
            self.begun = Some(Instant::now());
        }
        if self.draft.is_full() {
            self.seal();
        }
    }

    /// What has to happen without a record.
    fn look_after(&mut self) {
        if self.begun.is_some_and(|begun| begun.elapsed() >= SEAL_EVERY) {
            self.seal();
        }
        if self.pruned.elapsed() >= PRUNE_EVERY {
            self.pruned = Instant::now();
            self.prune();
        }
        self.tell_of_overruns();
    }

    /// Writes the draft as a block, or drops it.
    fn seal(&mut self) {
        self.begun = None;
        if self.draft.is_empty() {
            return;
        }
        let records = self.draft.records();
        if let Some(limits) = self.limits {
            let waits = |failure: &Failure| failure.tried.elapsed() < RETRY_EVERY;
            if self.failure.as_ref().is_some_and(waits) {
                self.lose(records);
            } else {
                match self.append(limits) {
                    Ok(()) => {
                        self.shared.appended.fetch_add(records, Ordering::Relaxed);
                        self.succeed();
                    }
                    Err(error) => {
                        self.fail(&error);
                        self.lose(records);
                    }
                }
            }
        }
        self.draft.clear();
    }

    fn append(&mut self, limits: Limits) -> Result<(), Error> {
        let now = self.clock.now();
        let mut failed = None;
        // Once more from the beginning, should what was open have been removed; the records are still here.
        for _ in 0..2 {
            let opened = self.keeper.is_none();
            let keeper = match &mut self.keeper {
                Some(keeper) => keeper,
                none => none.insert(Keeper::open(&self.directory, limits)?),
            };
            match keeper.append(&mut self.draft, now) {
                Ok(()) => {
                    let extent = keeper.extent();
                    self.shared.extends(extent);
                    return Ok(());
                }
                Err(error) => {
                    // It gives up its lock first.
                    self.keeper = None;
                    failed = Some(error);
                    if opened {
                        break;
                    }
                }
            }
        }
        let source = failed.unwrap_or_else(|| std::io::ErrorKind::Other.into());
        Err(Error::file(&self.directory)(source))
    }

    fn prune(&mut self) {
        let now = self.clock.now();
        let Some(keeper) = &mut self.keeper else { return };
        let pruned = keeper.prune(now);
        self.shared.extends(keeper.extent());
        if let Err(source) = pruned {
            self.keeper = None;
            self.fail(&Error::file(&self.directory)(source));
        }
    }

    fn close(&mut self) {
        self.seal();
        self.limits = None;
        let Some(mut keeper) = self.keeper.take() else {
            return;
        };
        let closed = keeper.close();
        self.shared.extends(keeper.extent());
        if let Err(error) = closed {
            tracing::warn!(%error, "the decision journal's last segment could not be closed; its records are there");
        }
    }

    fn lose(&mut self, records: u64) {
        self.shared.lost.fetch_add(records, Ordering::Relaxed);
        if let Some(failure) = &mut self.failure {
            failure.dropped = failure.dropped.saturating_add(records);
        }
    }

    fn fail(&mut self, error: &Error) {
        if self.failure.is_none() {
            tracing::error!(%error, "decisions are left out of the journal until it can be written again");
        }
        let dropped = self.failure.as_ref().map_or(0, |failure| failure.dropped);
        self.failure = Some(Failure {
            tried: Instant::now(),
            dropped,
        });
        self.shared.failing.store(true, Ordering::Relaxed);
    }

    fn succeed(&mut self) {
        if let Some(Failure { dropped, .. }) = self.failure.take() {
            tracing::info!(dropped, "the decision journal is written again");
            self.shared.failing.store(false, Ordering::Relaxed);
        }
    }

    fn tell_of_overruns(&mut self) {
        let overruns = self.shared.overrun.load(Ordering::Relaxed);
        if overruns != self.overruns {
            let before = match &self.overrun {
                Some(overrun) => overrun.before,
                None => {
                    tracing::warn!(
                        "decisions come faster than the journal can be written, and some are left out"
                    );
                    self.overruns
                }
            };
            self.overruns = overruns;
            let seen = Instant::now();
            self.overrun = Some(Overrun { seen, before });
        } else if let Some(Overrun { seen, before }) = self.overrun
            && seen.elapsed() >= CALM_AFTER
        {
            let dropped = overruns.saturating_sub(before);
            tracing::info!(dropped, "the decision journal keeps up again");
            self.overrun = None;
        }
    }
}
