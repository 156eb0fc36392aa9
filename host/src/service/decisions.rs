//! The journal of decisions, which the process that serves a data directory writes, if the configuration says so.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use patrol_policy::types::Timestamp;

use super::exchange::Exchange;
use super::recorder::Listener;
use super::{Patrol, ServeLock};
use crate::journal::{Encode, Error, Stats, Unwritable, Writer};

/// Writes decisions down.
pub(super) struct Decisions {
    writer: Arc<Writer<Arc<Exchange>>>,
    /// Whether this process is the one that serves.
    serving: AtomicBool,
    /// Whoever hands decisions to the writer, while it is on.
    listening: Mutex<Option<Arc<dyn Listener>>>,
}

/// Hands what it hears to the writer, which never waits.
struct Scribe(Arc<Writer<Arc<Exchange>>>);

impl Listener for Scribe {
    fn hear(&self, exchange: &Arc<Exchange>) {
        self.0.push(Arc::clone(exchange));
    }
}

impl Encode for Arc<Exchange> {
    fn at(&self) -> Timestamp {
        self.at
    }

    fn size(&self) -> usize {
        Exchange::size(self)
    }

    fn encode(&self, into: &mut Vec<u8>) -> Result<(), Unwritable> {
        Exchange::encode(self, into).map_err(|_| Unwritable)
    }
}

impl Decisions {
    pub(super) fn new(writer: Writer<Arc<Exchange>>) -> Self {
        Self {
            writer: Arc::new(writer),
            serving: AtomicBool::new(false),
            listening: Mutex::new(None),
        }
    }
}

impl Patrol {
    /// Writes the decision journal from now on, where the configuration says so, and goes by later configurations too.
    ///
    /// # Errors
    /// Where it should be written and cannot be: another process writes it, or its key or its directory cannot be used.
    /// Nothing else depends on it.
    pub fn keep_journal(&self, _no_other_server: &ServeLock) -> Result<(), Error> {
        self.decisions.serving.store(true, Ordering::Relaxed);
        self.apply_journal()
    }

    /// Ends the journal, with everything that waits to be written.
    pub fn end_journal(&self) {
        self.decisions.serving.store(false, Ordering::Relaxed);
        // Turning off does not fail.
        let _ = self.apply_journal();
    }

    /// What became of the decisions that were to be written down.
    #[must_use]
    pub fn journal_stats(&self) -> Stats {
        self.decisions.writer.stats()
    }

    /// Waits until what was decided before is in the journal's files, or was dropped.
    pub fn flush_journal(&self) {
        if self.decisions.writer.is_on() {
            self.decisions.writer.flush();
        }
    }

    /// Does as the configuration says.
    pub(super) fn apply_journal(&self) -> Result<(), Error> {
        let Decisions {
            writer,
            serving,
            listening,
        } = &self.decisions;
        let mut listening = listening.lock().unwrap_or_else(PoisonError::into_inner);
        let mut settings = self.config().journal.settings();
        settings.enabled &= serving.load(Ordering::Relaxed);
        if !settings.enabled
            && let Some(scribe) = listening.take()
        {
            self.unlisten(&scribe);
        }
        writer.apply(&settings)?;
        if settings.enabled && listening.is_none() {
            let scribe: Arc<dyn Listener> = Arc::new(Scribe(Arc::clone(writer)));
            self.listen(Arc::clone(&scribe));
            *listening = Some(scribe);
        }
        Ok(())
    }
}
