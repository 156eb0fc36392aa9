//! Who listens to decisions: the journal and the shadow, if they do.
//!
//! Where nobody listens, a decision pays one relaxed load for it. Where somebody does, what storage answers is taken
//! down while the policy decides, and an [`Exchange`] is made and handed to each listener once the verdict stands: after
//! the commit, and before the caller is answered. A listener must not wait.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use patrol_policy::types::Id;

use super::call::Call;
use super::decision::Decision;
use super::exchange::{Exchange, Verdict};
use super::{Error, Patrol};

/// Somebody who wants to know of each decision.
pub trait Listener: Send + Sync {
    /// A decision was made. It is heard on the thread of whoever asked for it, who waits.
    fn hear(&self, exchange: &Arc<Exchange>);
}

type Listeners = Vec<Arc<dyn Listener>>;

/// Tells listeners of decisions.
#[derive(Default)]
pub(super) struct Recorder {
    on: AtomicBool,
    listeners: ArcSwap<Listeners>,
    changing: Mutex<()>,
    /// Decisions that took more answers than are kept of one.
    oversized: AtomicU64,
}

impl Recorder {
    /// Whether anybody listens.
    pub(super) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Hands an exchange to all who listen.
    pub(super) fn record(&self, exchange: Option<Exchange>) {
        let Some(exchange) = exchange else {
            self.oversized.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let exchange = Arc::new(exchange);
        for listener in self.listeners.load().iter() {
            listener.hear(&exchange);
        }
    }

    /// Tells somebody no more.
    pub(super) fn unlisten(&self, listener: &Arc<dyn Listener>) {
        self.change(|listeners| listeners.retain(|one| !Arc::ptr_eq(one, listener)));
    }

    fn change(&self, change: impl FnOnce(&mut Listeners)) {
        let _order = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut listeners = Listeners::clone(&self.listeners.load());
        change(&mut listeners);
        let on = !listeners.is_empty();
        self.listeners.store(Arc::new(listeners));
        self.on.store(on, Ordering::Relaxed);
    }
}

impl Patrol {
    /// Has somebody told of each decision from now on. Calls under way may or may not be among them.
    pub fn listen(&self, listener: Arc<dyn Listener>) {
        self.recorder.change(|listeners| listeners.push(listener));
    }

    /// Tells them no more, but of calls under way.
    pub fn unlisten(&self, listener: &Arc<dyn Listener>) {
        self.recorder.unlisten(listener);
    }

    /// How many decisions could not be told of, since their policy asked storage more than is kept of one.
    #[must_use]
    pub fn oversized_exchanges(&self) -> u64 {
        self.recorder.oversized.load(Ordering::Relaxed)
    }
}

/// An exchange whose verdict is still to be checked.
pub(super) struct Draft {
    exchange: Option<Exchange>,
}

impl Draft {
    /// What was asked and said; none where it is not recorded.
    pub(super) fn of<Q: Decision>(
        question: &Q,
        tenant: Option<Id>,
        call: &mut Call,
        answer: &Result<Q::Yes, Error>,
    ) -> Option<Self> {
        let tape = call.take_tape()?;
        let question = question.asked(call)?;
        let verdict = match answer {
            Ok(yes) => Verdict::Yes(Q::said(yes)),
            Err(error) => Verdict::of(error),
        };
        let exchange = tape.into_answers().map(|answers| Exchange {
            at: call.now,
            tenant,
            parameters: call.parameters,
            question,
            answers,
            overruled: None,
            verdict,
        });
        Some(Self { exchange })
    }

    /// The exchange, after the host had its say; none where there was too much of it.
    pub(super) fn finish(self, error: Option<&Error>) -> Option<Exchange> {
        let mut exchange = self.exchange?;
        if let Some(stands) = error.map(Verdict::of)
            && stands != exchange.verdict
        {
            exchange.overruled = Some(std::mem::replace(&mut exchange.verdict, stands));
        }
        Some(exchange)
    }
}
