//! Answers that take long, kept for those who ask again a moment later.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use patrol_policy::types::{Duration, Timestamp};

use super::Error;

/// An answer, and when the question was asked, ms since the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsOf<T> {
    /// The answer.
    pub value: T,
    /// When it was true.
    pub at: Timestamp,
}

/// The last answer. One caller at most is working on the next; nobody waits for them.
#[derive(Debug)]
pub(super) struct Kept<T> {
    last: Mutex<Option<Arc<AsOf<T>>>>,
    busy: AtomicBool,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self {
            last: Mutex::default(),
            busy: AtomicBool::new(false),
        }
    }
}

/// Whoever holds it is at work; also one who panics stops being so.
struct Busy<'a>(&'a AtomicBool);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl<T> Kept<T> {
    pub(super) fn last(&self) -> Option<Arc<AsOf<T>>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the answer is older than `age`, ms, or there is none, and nobody is at work on the next.
    pub(super) fn is_due(&self, now: Timestamp, age: Duration) -> bool {
        !self.is_busy() && self.last().is_none_or(|last| now.saturating_sub(last.at) >= age)
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire)
    }

    /// Finds the answer anew, as of now, if nobody else is at it.
    pub(super) fn refresh(
        &self,
        now: Timestamp,
        work: impl FnOnce() -> Result<T, Error>,
    ) -> Result<(), Error> {
        if self.busy.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let _busy = Busy(&self.busy);
        let value = work()?;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(AsOf { value, at: now }));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn an_answer_is_kept_and_one_caller_at_most_finds_the_next() {
        let kept = Kept::<u32>::default();
        assert!(kept.is_due(5, 10));
        kept.refresh(5, || {
            assert!(!kept.is_due(100, 10));
            // Whoever asks meanwhile does not work as well.
            kept.refresh(6, || unreachable!()).unwrap();
            Ok(1)
        })
        .unwrap();
        assert_eq!(*kept.last().unwrap(), AsOf { value: 1, at: 5 });
        assert!(!kept.is_due(14, 10) && kept.is_due(15, 10));
        // A failure leaves what was known, and the next may try.
        assert!(kept.refresh(15, || Err(Error::WrongPassword)).is_err());
        assert!(!kept.is_busy());
        assert_eq!(kept.last().unwrap().at, 5);
    }
}
