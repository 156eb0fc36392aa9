//! The thread on which a shadow answers.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Found, LATEST, Stop, TOLD_APART, lock};
use crate::service::Error;
use crate::service::events::AuditEvent;
use crate::service::exchange::Exchange;
use crate::service::recorder::{Listener, Recorder};
use crate::service::rehearsal::Rehearsal;
use crate::store::Store;
use crate::time::Clock;

/// How often the thread looks whether it is to end, while nothing is decided.
const LOOK: Duration = Duration::from_millis(100);

/// What the thread has.
pub(super) struct Work {
    pub(super) rehearsal: Rehearsal,
    pub(super) heard: Receiver<Arc<Exchange>>,
    pub(super) found: Arc<Mutex<Found>>,
    pub(super) stop: Arc<Stop>,
    pub(super) deadline: Option<Instant>,
    pub(super) recorder: Arc<Recorder>,
    pub(super) listener: Arc<dyn Listener>,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    /// To be written in the end.
    pub(super) ended: AuditEvent,
}

impl Work {
    pub(super) fn run(mut self) {
        let outcome = self.listen();
        self.recorder.unlisten(&self.listener);
        // What was heard before it was told to end, it answers.
        let outcome = outcome.and_then(|()| {
            while let Ok(exchange) = self.heard.try_recv() {
                self.play(&exchange)?;
            }
            Ok(())
        });
        if let Err(error) = &outcome {
            tracing::warn!(%error, "the shadow ended");
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
        found.failure = outcome.err().map(|error| error.to_string());
        found.ended = Some(now);
    }

    fn listen(&mut self) -> Result<(), Error> {
        loop {
            if self.stop.told.load(Ordering::Relaxed) {
                return Ok(());
            }
            if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(());
            }
            match self.heard.recv_timeout(LOOK) {
                Ok(exchange) => self.play(&exchange)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
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
