//! The thread on which a shadow answers.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Ear, Found, LATEST, Stop, TOLD_APART, lock};
use crate::service::Error;
use crate::service::events::AuditEvent;
use crate::service::exchange::Exchange;
use crate::service::recorder::{Listener, Recorder};
use crate::service::rehearsal::Rehearsal;
use crate::store::Store;
use crate::time::Clock;

/// How often the thread looks whether it is to end, while nothing is decided.
const LOOK: Duration = Duration::from_millis(100);
/// How long it goes on to answer what it heard, once it is to end.
const LAST: Duration = Duration::from_secs(10);
/// After so many faults in a row there is nothing more to learn, and what each of them costs is the server's.
const HOPELESS: u32 = 500;

/// What the thread has.
pub(super) struct Work {
    pub(super) rehearsal: Rehearsal,
    pub(super) heard: Receiver<Arc<Exchange>>,
    pub(super) found: Arc<Mutex<Found>>,
    pub(super) stop: Arc<Stop>,
    pub(super) deadline: Option<Instant>,
    pub(super) recorder: Arc<Recorder>,
    pub(super) listener: Arc<dyn Listener>,
    pub(super) ear: Arc<Ear>,
    /// Faults since the last verdict that was none.
    pub(super) in_a_row: u32,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    /// To be written in the end.
    pub(super) ended: AuditEvent,
}

impl Work {
    pub(super) fn run(mut self) {
        let outcome = self.listen();
        self.recorder.unlisten(&self.listener);
        let outcome = outcome.and_then(|()| self.answer_the_rest());
        let unheard = self.heard.try_iter().inspect(|exchange| self.ear.taken(exchange));
        let unheard = u64::try_from(unheard.count()).unwrap_or(u64::MAX);
        self.ear.dropped.fetch_add(unheard, Ordering::Relaxed);
        if let Err(why) = &outcome {
            tracing::warn!(why, "the shadow ended");
        }
        let now = self.clock.now();
        let totals = self.rehearsal.totals();
        let told = self
            .stop
            .event
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let event = told
            .unwrap_or(self.ended)
            .at(now)
            .detail("calls", totals.calls)
            .detail("changed", totals.changed)
            .detail("faults", totals.faults);
        let written = self.store.begin().and_then(|mut transaction| {
            event.write(&mut *transaction)?;
            transaction.commit()
        });
        if let Err(error) = written {
            tracing::error!(%error, "the audit trail does not say that the shadow ended");
        }
        let mut found = lock(&self.found);
        found.failure = outcome.err();
        found.ended = Some(now);
    }

    /// What was heard before it was told to end, it answers, as far as there is time: whoever told it waits.
    fn answer_the_rest(&mut self) -> Result<(), String> {
        let began = Instant::now();
        while !self.stop.at_once.load(Ordering::Relaxed) && began.elapsed() < LAST {
            let Ok(exchange) = self.heard.try_recv() else {
                break;
            };
            self.take(&exchange)?;
        }
        Ok(())
    }

    fn listen(&mut self) -> Result<(), String> {
        loop {
            if self.stop.told.load(Ordering::Relaxed) {
                return Ok(());
            }
            if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(());
            }
            match self.heard.recv_timeout(LOOK) {
                Ok(exchange) => self.take(&exchange)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    fn take(&mut self, exchange: &Arc<Exchange>) -> Result<(), String> {
        self.ear.taken(exchange);
        let before = self.rehearsal.totals();
        self.play(exchange).map_err(|error| error.to_string())?;
        let after = self.rehearsal.totals();
        if after.faults > before.faults {
            self.in_a_row = self.in_a_row.saturating_add(1);
        } else if after.calls > before.calls {
            self.in_a_row = 0;
        }
        match self.in_a_row < HOPELESS {
            true => Ok(()),
            false => Err(format!("{HOPELESS} calls in a row had no verdict, but a fault")),
        }
    }

    fn play(&mut self, exchange: &Arc<Exchange>) -> Result<(), Error> {
        let difference = self.rehearsal.judge(exchange)?;
        // Verdicts go first, wherever there are not enough processors for both.
        std::thread::yield_now();
        let mut found = lock(&self.found);
        found.totals = self.rehearsal.totals();
        let Some(difference) = difference else {
            return Ok(());
        };
        found.unanswered = self.rehearsal.unanswered();
        let kind = found.kinds.entry(difference.change.clone()).or_default();
        kind.calls = kind.calls.saturating_add(1);
        for (set, id) in [
            (&mut kind.tokens, difference.subject.token),
            (&mut kind.owners, difference.subject.owner),
        ] {
            if set.len() < TOLD_APART {
                set.extend(id);
            }
        }
        if found.latest.len() >= LATEST {
            found.latest.pop_front();
        }
        found.latest.push_back(difference);
        Ok(())
    }
}
