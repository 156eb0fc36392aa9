//! Last-used times on their way to the disk.
//!
//! Writing each use when it happens would cost more than all else that a request does. They are noted here, a time
//! and an address for each token, and written together by a flush. Until then everything that is read through this
//! process is merged with what is noted, so nobody can tell the difference.
//!
//! * Times only move forward, here and on disk.
//! * An entry leaves only after the flush that wrote it is on disk, and only if it has not moved on meanwhile. A
//!   failed flush loses nothing.
//! * A reader that took a row *before* a flush and looks here *after* it would see neither time.
//!   [`Uses::consistent`] closes that gap: it does the read again if entries left during it. A write transaction
//!   needs none of it, since it holds the lock that a flush needs; a [`Read`](crate::store::Read) view is a
//!   snapshot, and may miss a use that was written after it was taken.
//! * Other processes see a use once it is written. Whoever accepts a token whose stored use is so old that another
//!   process could take it for idle writes the use at once (`durable`).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use patrol_policy::types::{Id, Session, SessionState, Timestamp, TokenState};

use crate::store::{AccountSession, TokenRow};

/// Threads that note uses of different records rarely meet.
const SHARDS: usize = 32;

/// One noted use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) id: Id,
    pub(super) at: Timestamp,
    pub(super) from: Option<Arc<str>>,
}

/// Uses of tokens and sessions, of both kinds, that are not yet written.
#[derive(Debug, Default)]
pub(super) struct Uses {
    pub(super) tokens: Noted,
    pub(super) sessions: Noted,
    pub(super) accounts: Noted,
    /// Counts the times that entries left.
    departures: AtomicU64,
}

impl Uses {
    /// Reads and merges, again if entries left meanwhile.
    pub(super) fn consistent<T, E>(&self, mut read: impl FnMut() -> Result<T, E>) -> Result<T, E> {
        loop {
            let before = self.departures.load(Ordering::SeqCst);
            let value = read()?;
            if self.departures.load(Ordering::SeqCst) == before {
                return Ok(value);
            }
        }
    }

    /// Brings a token's last use up to date.
    pub(super) fn merge_token(&self, state: &mut TokenState) {
        // `None` is less than any time.
        state.token.last_used = state.token.last_used.max(self.tokens.latest(state.token.id));
    }

    /// Brings a token's last use up to date, with the address that it came from.
    pub(super) fn merge_row(&self, row: &mut TokenRow) {
        if let Some((at, from)) = self.tokens.latest_with_source(row.state.token.id)
            && row.state.token.last_used.is_none_or(|stored| stored < at)
        {
            row.state.token.last_used = Some(at);
            row.last_used_from = from.as_deref().map(str::to_owned);
        }
    }

    /// Brings the last uses of a session and of its token up to date.
    pub(super) fn merge_session(&self, state: &mut SessionState) {
        self.merge_token(&mut state.token);
        self.merge_session_use(&mut state.session);
    }

    /// Brings the last use of a session alone up to date.
    pub(super) fn merge_session_use(&self, session: &mut Session) {
        if let Some(at) = self.sessions.latest(session.id) {
            session.last_used = session.last_used.max(at);
        }
    }

    /// The last use of a session that a password opened, as known here.
    pub(super) fn latest_account_use(&self, session: &AccountSession) -> Timestamp {
        let noted = self.accounts.latest(session.id);
        noted.map_or(session.last_used, |at| at.max(session.last_used))
    }

    /// Everything that is noted, to be written.
    pub(super) fn collect(&self) -> Batch {
        let taken = Instant::now();
        Batch {
            tokens: self.tokens.collect(),
            sessions: self.sessions.collect(),
            accounts: self.accounts.collect(),
            taken,
        }
    }

    /// Forgets what was written.
    pub(super) fn written(&self, batch: &Batch) {
        self.departures.fetch_add(1, Ordering::SeqCst);
        self.tokens.remove(&batch.tokens, batch.taken);
        self.sessions.remove(&batch.sessions, batch.taken);
        self.accounts.remove(&batch.accounts, batch.taken);
    }

    /// How many records have an entry.
    pub(super) fn len(&self) -> usize {
        self.tokens.len().saturating_add(self.sessions.len())
    }

    /// Since when the oldest entry has been waiting, or a little earlier.
    pub(super) fn oldest(&self) -> Option<Instant> {
        [&self.tokens, &self.sessions, &self.accounts]
            .into_iter()
            .filter_map(Noted::oldest)
            .min()
    }
}

/// What one flush writes.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) tokens: Vec<Use>,
    pub(super) sessions: Vec<Use>,
    pub(super) accounts: Vec<Use>,
    taken: Instant,
}

impl Batch {
    /// How many records it touches.
    pub(super) const fn len(&self) -> usize {
        let sessions = self.sessions.len().saturating_add(self.accounts.len());
        self.tokens.len().saturating_add(sessions)
    }
}

/// The latest use of each record of one kind.
#[derive(Debug, Default)]
pub(super) struct Noted {
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Debug, Default)]
struct Shard {
    uses: HashMap<Id, (Timestamp, Option<Arc<str>>)>,
    /// Since when there has been an entry; `None` while empty.
    since: Option<Instant>,
}

impl Noted {
    /// Notes a use, forward only.
    pub(super) fn note(&self, id: Id, at: Timestamp, from: Option<&str>) {
        let mut shard = self.shard(id);
        let noted = shard.uses.get(&id);
        if noted.is_some_and(|(before, _)| *before >= at) {
            return;
        }
        // Most uses of a token come from where the last one came from.
        let from = match noted {
            Some((_, Some(before))) if Some(&**before) == from => Some(Arc::clone(before)),
            _ => from.map(Arc::from),
        };
        shard.uses.insert(id, (at, from));
        shard.since.get_or_insert_with(Instant::now);
    }

    /// The latest use that is not yet written.
    pub(super) fn latest(&self, id: Id) -> Option<Timestamp> {
        self.shard(id).uses.get(&id).map(|(at, _)| *at)
    }

    fn latest_with_source(&self, id: Id) -> Option<(Timestamp, Option<Arc<str>>)> {
        self.shard(id).uses.get(&id).cloned()
    }

    fn collect(&self) -> Vec<Use> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let shard = lock(shard);
            all.extend(shard.uses.iter().map(|(id, (at, from))| Use {
                id: *id,
                at: *at,
                from: from.clone(),
            }));
        }
        // In the order of the table, which touches each page once.
        all.sort_unstable_by_key(|one| one.id);
        all
    }

    fn remove(&self, written: &[Use], taken: Instant) {
        for one in written {
            let mut shard = self.shard(one.id);
            if shard.uses.get(&one.id).is_some_and(|(at, _)| *at == one.at) {
                shard.uses.remove(&one.id);
            }
        }
        for shard in &self.shards {
            let mut shard = lock(shard);
            // Whatever is still there moved on, or came, after the batch was taken.
            shard.since = if shard.uses.is_empty() {
                None
            } else {
                shard.since.map(|since| since.max(taken))
            };
        }
    }

    fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).uses.len()).sum()
    }

    fn oldest(&self) -> Option<Instant> {
        self.shards.iter().filter_map(|shard| lock(shard).since).min()
    }

    fn shard(&self, id: Id) -> MutexGuard<'_, Shard> {
        // The low bits of an identifier are random. The index is always in range; a default beats a lost use.
        let [low, ..] = id.lo.to_le_bytes();
        let [first, ..] = &self.shards;
        lock(self.shards.get(usize::from(low) % SHARDS).unwrap_or(first))
    }
}

/// A shard stays usable when a thread died holding it: each change to it is complete at every step.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const ID: Id = Id { hi: 1, lo: 2 };

    #[test]
    fn a_use_that_moved_on_during_a_flush_stays_for_the_next() {
        let uses = Uses::default();
        uses.tokens.note(ID, 5, Some("a"));
        let batch = uses.collect();
        uses.tokens.note(ID, 6, Some("b"));
        uses.written(&batch);
        assert_eq!(uses.tokens.latest(ID), Some(6));
        assert_eq!(
            uses.collect().tokens,
            [Use {
                id: ID,
                at: 6,
                from: Some("b".into())
            }]
        );
        assert_eq!(
            uses.oldest(),
            Some(batch.taken),
            "what is left is younger than the flush"
        );
        uses.written(&uses.collect());
        assert_eq!((uses.tokens.latest(ID), uses.oldest()), (None, None));
    }

    #[test]
    fn a_read_during_which_entries_left_is_done_again() {
        let uses = Uses::default();
        let mut reads = 0;
        let seen = uses.consistent(|| {
            reads += 1;
            if reads == 1 {
                uses.written(&uses.collect());
            }
            Ok::<_, ()>(reads)
        });
        assert_eq!(seen, Ok(2));
    }
}
