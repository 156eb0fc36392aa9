//! Tokens on their way from one scheme to another: how a policy's wish to move one is judged, and carried out.
//!
//! A policy that moves tokens as they are used wants a write in the course of a verification, which is the hot path and
//! has no transaction. And a move is worth less than any verdict. So, as with uses, what the policy wants is noted
//! here, once the verdict has passed the floor, and carried out a moment later, many at once, by the next
//! [`Patrol::flush`]:
//!
//! * What is noted is the whole change: from what, to what. It is carried out only on a token that is as it was, of the
//!   same generation with the same digests, and not ended. A token that was rotated, revoked or moved meanwhile stays as
//!   it is, so a move undoes nothing and is made once, however many ask for it.
//! * A transaction sees to that, and the store's cache is as coherent as with any other: a verdict goes by the old
//!   record or by the new one, and the secret is right by both.
//! * What cannot be written is forgotten, and so is what is too much: the token is asked for again when it is used
//!   again. No verdict depends on it.
//!
//! The audit trail has one event for each such transaction, with how many tokens it moved: a token moves once and
//! signs in many times, so there are fewer of them than of anything else, and what each would have to say is in the
//! token's record.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use patrol_policy::token::{SCHEME_PEPPERED, SCHEME_SHA256};
use patrol_policy::types::{Digest, Id, PreviousSecret, Token};

use super::events::AuditEvent;
use super::pepper::Pepper;
use super::{Caller, Error, Patrol};

const EVENT: &str = "move_personal_access_tokens";
/// Moves that wait at once.
const WAITING: usize = 10_000;
/// Moves in one transaction: short enough that other writers, and verdicts that need one, need not wait.
const ROUND: usize = 500;

/// What a token is to be moved from, and to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Move {
    from: Token,
    scheme: u8,
    digest: Digest,
    previous: Option<PreviousSecret>,
}

impl Move {
    /// A move of this token, if it is one: what is peppered is what was there, nothing else changes, and something
    /// does.
    pub(crate) fn judge(
        from: &Token,
        generation: u32,
        (scheme, digest): (u8, Digest),
        previous: Option<PreviousSecret>,
        pepper: &Pepper,
    ) -> Option<Self> {
        let fits = |before: (u8, Digest), after: (u8, Digest)| {
            after == before || (before.0, after) == (SCHEME_SHA256, (SCHEME_PEPPERED, pepper.mac(&before.1)))
        };
        let previous_fits = match (from.previous, previous) {
            (None, None) => true,
            (Some(before), Some(after)) => {
                before.until == after.until
                    && fits((before.scheme, before.digest), (after.scheme, after.digest))
            }
            _ => false,
        };
        let before = (from.scheme, from.digest);
        let changes = (scheme, digest) != before || previous != from.previous;
        (generation == from.generation && fits(before, (scheme, digest)) && previous_fits && changes)
            .then_some(Self {
                from: *from,
                scheme,
                digest,
                previous,
            })
    }

    /// Which token.
    pub(crate) const fn token(&self) -> Id {
        self.from.id
    }

    /// Whether the token is still what it was, as far as that matters here.
    fn fits(&self, now: &Token) -> bool {
        let part = |token: &Token| (token.generation, token.scheme, token.digest, token.previous);
        now.ended.is_none() && part(now) == part(&self.from)
    }
}

/// The moves that wait to be carried out, one for each token.
#[derive(Default)]
pub(super) struct Moves(Mutex<BTreeMap<Id, Move>>);

impl Moves {
    /// Notes a move, if there is room.
    pub(super) fn note(&self, moved: Option<Move>) {
        let Some(moved) = moved else { return };
        let mut waiting = self.lock();
        if waiting.len() < WAITING || waiting.contains_key(&moved.token()) {
            waiting.insert(moved.token(), moved);
        }
    }

    /// Takes some out, in the order of the table.
    fn take(&self) -> Vec<Move> {
        let mut waiting = self.lock();
        std::iter::from_fn(|| waiting.pop_first())
            .map(|(_, moved)| moved)
            .take(ROUND)
            .collect()
    }

    /// Each change to it is complete at every step, so a thread that died holding it has left nothing half done.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Id, Move>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Patrol {
    /// Carries out the moves that wait.
    pub(super) fn make_moves(&self) -> Result<(), Error> {
        loop {
            let round = self.moves.take();
            if round.is_empty() {
                return Ok(());
            }
            self.make_some_moves(&round)?;
        }
    }

    fn make_some_moves(&self, round: &[Move]) -> Result<(), Error> {
        let mut transaction = self.store.begin()?;
        let mut count = 0u32;
        for moved in round {
            let now = transaction.token_state(moved.token())?;
            if now.is_some_and(|now| moved.fits(&now.token)) {
                transaction.replace_secret(
                    moved.token(),
                    moved.from.generation,
                    moved.scheme,
                    moved.digest,
                    moved.previous,
                )?;
                count = count.saturating_add(1);
            }
        }
        if count > 0 {
            AuditEvent::new(EVENT, self.now(), &Caller::system())
                .detail("count", count)
                .detail("scheme", SCHEME_PEPPERED)
                .write(&mut *transaction)?;
            transaction.commit()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use patrol_policy::types::Timestamp;

    use super::*;

    const PLAIN: Digest = Digest {
        a: 1,
        b: 2,
        c: 3,
        d: 4,
    };
    const OLDER: Digest = Digest { a: 5, ..PLAIN };
    const UNTIL: Timestamp = 9;

    fn token() -> Token {
        Token {
            id: Id::from_u128(7),
            owner: Id::from_u128(2),
            tenant: Id::from_u128(1),
            audience: 1,
            scheme: SCHEME_SHA256,
            digest: PLAIN,
            generation: 3,
            previous: previous(SCHEME_SHA256, OLDER, UNTIL),
            created: 1,
            expires: 100,
            last_used: None,
            owner_epoch: 0,
            tenant_epoch: 0,
            ended: None,
        }
    }

    const fn previous(scheme: u8, digest: Digest, until: Timestamp) -> Option<PreviousSecret> {
        Some(PreviousSecret {
            scheme,
            digest,
            until,
        })
    }

    #[test]
    fn what_is_peppered_is_what_was_there_and_nothing_else_changes() {
        let pepper = Pepper::of_bytes([8; 32]);
        let (mac, older) = (pepper.mac(&PLAIN), pepper.mac(&OLDER));
        let judge = |from: &Token, generation, now, previous| {
            Move::judge(from, generation, now, previous, &pepper).is_some()
        };
        let from = token();
        let new = (SCHEME_PEPPERED, mac);
        let kept = from.previous;
        let both = previous(SCHEME_PEPPERED, older, UNTIL);
        assert!(judge(&from, 3, new, kept));
        assert!(judge(&from, 3, new, both));
        assert!(judge(&from, 3, (SCHEME_SHA256, PLAIN), both));

        assert!(!judge(&from, 3, (SCHEME_SHA256, PLAIN), kept), "nothing changes");
        for generation in [2, 4] {
            assert!(!judge(&from, generation, new, both), "{generation}");
        }
        for wrong in [
            (SCHEME_PEPPERED, PLAIN),
            (SCHEME_PEPPERED, older),
            (SCHEME_PEPPERED, Digest::default()),
            (SCHEME_PEPPERED, pepper.mac(&mac)),
            (SCHEME_SHA256, mac),
            (SCHEME_SHA256, OLDER),
            (0, Digest::default()),
            (3, mac),
        ] {
            assert!(!judge(&from, 3, wrong, both), "{wrong:?}");
        }
        for wrong in [
            None,
            previous(SCHEME_PEPPERED, older, UNTIL + 1),
            previous(SCHEME_PEPPERED, mac, UNTIL),
            previous(SCHEME_PEPPERED, OLDER, UNTIL),
            previous(SCHEME_SHA256, PLAIN, UNTIL),
        ] {
            assert!(!judge(&from, 3, new, wrong), "{wrong:?}");
        }

        // What is peppered stays so, and a secret before it does not come from nowhere.
        let peppered = Token {
            scheme: SCHEME_PEPPERED,
            digest: mac,
            previous: None,
            ..from
        };
        for wrong in [
            new,
            (SCHEME_SHA256, PLAIN),
            (SCHEME_SHA256, mac),
            (SCHEME_PEPPERED, pepper.mac(&mac)),
        ] {
            assert!(!judge(&peppered, 3, wrong, None), "{wrong:?}");
        }
        assert!(!judge(&peppered, 3, new, both));
    }

    #[test]
    fn a_token_that_is_no_longer_what_it_was_stays_as_it_is() {
        let pepper = Pepper::of_bytes([8; 32]);
        let new = (SCHEME_PEPPERED, pepper.mac(&PLAIN));
        let moved = Move::judge(&token(), 3, new, token().previous, &pepper).unwrap();
        let used = Token {
            last_used: Some(50),
            ..token()
        };
        assert!(moved.fits(&token()) && moved.fits(&used));
        let end = patrol_policy::types::End {
            at: 50,
            cause: patrol_policy::types::Cause::Revoked,
        };
        for other in [
            Token {
                generation: 4,
                ..token()
            },
            Token {
                scheme: new.0,
                digest: new.1,
                ..token()
            },
            Token {
                digest: OLDER,
                ..token()
            },
            Token {
                previous: None,
                ..token()
            },
            Token {
                ended: Some(end),
                ..token()
            },
        ] {
            assert!(!moved.fits(&other), "{other:?}");
        }
    }

    #[test]
    fn moves_wait_once_for_each_token_and_no_more_than_there_is_room_for() {
        let pepper = Pepper::of_bytes([8; 32]);
        let moves = Moves::default();
        let of = |number: usize| {
            let from = Token {
                id: Id::from_u128(number as u128),
                ..token()
            };
            let new = (SCHEME_PEPPERED, pepper.mac(&PLAIN));
            Move::judge(&from, 3, new, from.previous, &pepper)
        };
        moves.note(None);
        assert_eq!(moves.take(), []);
        for _ in 0..2 {
            for number in 0..WAITING + 10 {
                moves.note(of(number));
            }
        }
        let mut taken = 0;
        loop {
            let round = moves.take();
            if round.is_empty() {
                break;
            }
            assert!(round.len() <= ROUND);
            taken += round.len();
        }
        assert_eq!(taken, WAITING);
    }
}
