//! When a token ends, and why (R5); whether it lives.
//!
//! A token ends by itself at its expiration date, or once it has not been used for the idle period; whichever comes
//! first, the expiration date where both fall on the same instant. The idle period counts from the last use, or from
//! creation if there was none. At the instant of its end it has ended: `now >= end`. A last use that lies in the
//! future, because the clock was set back, counts as it stands.
//!
//! It ends from outside when it is marked as ended (R8), when its owner is deleted (R4), or when the authentication
//! method of its owner or tenant changes (R9): then an epoch differs from the one it was born with. A disabled
//! owner's token rests; it neither works nor has it ended (R4).
//!
//! Of several reasons why a token is not good, the verdict names the first in this order: the mark, owner deleted,
//! owner disabled, authentication method changed, expired or idle (the earlier of the two).

use crate::types::{Cause, End, Owner, Parameters, RefusalReason, Timestamp, Token, TokenState};

impl From<Cause> for RefusalReason {
    /// What is answered once something has ended for this cause.
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::ExpirationDate => Self::Expired,
            Cause::Idle => Self::Idle,
            Cause::Revoked => Self::Revoked,
            Cause::AuthMethodChanged => Self::AuthMethodChanged,
            Cause::OwnerDeleted => Self::OwnerDeleted,
            Cause::Rotated => Self::Rotated,
            Cause::SessionLifetime => Self::SessionExpired,
            Cause::SessionIdle => Self::SessionIdle,
            Cause::SessionClosed => Self::SessionClosed,
            Cause::SessionReplaced => Self::SessionReplaced,
        }
    }
}

/// When a token will end by itself if its last use was, or is, at `used` (R5).
pub(crate) fn end_after_use(token: &Token, used: Timestamp, parameters: &Parameters) -> End {
    let date = End {
        at: token.expires,
        cause: Cause::ExpirationDate,
    };
    let idle = End {
        at: used.saturating_add(parameters.idle_after),
        cause: Cause::Idle,
    };
    date.or_earlier(idle)
}

/// When a token will end by itself, as it stands (R5).
pub(crate) fn end(token: &Token, parameters: &Parameters) -> End {
    end_after_use(token, token.last_used.unwrap_or(token.created), parameters)
}

/// When a token ended or will end, everything considered. This is also the mark that sweeping gives it.
pub(crate) fn foreseen_end(state: &TokenState, parameters: &Parameters) -> End {
    let TokenState { token, owner } = state;
    if let Some(mark) = token.ended {
        return mark;
    }
    let deleted = owner.deleted.map(|at| End {
        at,
        cause: Cause::OwnerDeleted,
    });
    [deleted, method_change(token, owner), Some(end(token, parameters))]
        .into_iter()
        .flatten()
        .reduce(End::or_earlier)
        .unwrap_or_else(|| end(token, parameters))
}

/// When and whether the authentication method changed since the token was created (R9).
fn method_change(token: &Token, owner: &Owner) -> Option<End> {
    let own = (token.owner_epoch != owner.epoch).then_some(owner.epoch_since);
    let tenants = (token.tenant_epoch != owner.tenant_epoch).then_some(owner.tenant_epoch_since);
    let at = own.into_iter().chain(tenants).min()?;
    Some(End {
        at,
        cause: Cause::AuthMethodChanged,
    })
}

/// Whether a token is marked as ended.
pub(crate) fn unmarked(token: &Token) -> Result<(), RefusalReason> {
    token.ended.map_or(Ok(()), |mark| Err(mark.cause.into()))
}

/// Whether a token has not ended, be its owner disabled or not; if so, when it will end by itself.
pub(crate) fn alive(
    state: &TokenState,
    now: Timestamp,
    parameters: &Parameters,
) -> Result<End, RefusalReason> {
    let TokenState { token, owner } = state;
    unmarked(token)?;
    if owner.deleted.is_some() {
        return Err(RefusalReason::OwnerDeleted);
    }
    if method_change(token, owner).is_some() {
        return Err(RefusalReason::AuthMethodChanged);
    }
    end(token, parameters).ahead(now)
}

/// Whether a token works: it has not ended and its owner is not disabled (R4).
pub(crate) fn usable(
    state: &TokenState,
    now: Timestamp,
    parameters: &Parameters,
) -> Result<End, RefusalReason> {
    let TokenState { token, owner } = state;
    if token.ended.is_none() && owner.deleted.is_none() && !owner.enabled {
        return Err(RefusalReason::OwnerDisabled);
    }
    alive(state, now, parameters)
}

impl End {
    /// This end while it lies ahead; once it has come, what is answered (R5).
    pub(crate) fn ahead(self, now: Timestamp) -> Result<Self, RefusalReason> {
        if now < self.at {
            Ok(self)
        } else {
            Err(self.cause.into())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "tests"
    )]

    use super::*;
    use crate::types::{DAY, Digest, Id};

    const BORN: Timestamp = 1_000 * DAY;

    fn state() -> TokenState {
        TokenState {
            token: Token {
                id: Id { hi: 0, lo: 1 },
                owner: Id { hi: 0, lo: 2 },
                tenant: Id { hi: 0, lo: 3 },
                audience: 1,
                scheme: 1,
                digest: Digest::default(),
                generation: 0,
                previous: None,
                created: BORN,
                expires: BORN + 30 * DAY,
                last_used: None,
                owner_epoch: 4,
                tenant_epoch: 5,
                ended: None,
            },
            owner: Owner {
                id: Id { hi: 0, lo: 2 },
                tenant: Id { hi: 0, lo: 3 },
                enabled: true,
                deleted: None,
                epoch: 4,
                epoch_since: BORN - DAY,
                tenant_epoch: 5,
                tenant_epoch_since: BORN - DAY,
                multi_factor: false,
            },
        }
    }

    fn verdict(state: &TokenState, now: Timestamp) -> Result<End, RefusalReason> {
        usable(state, now, &Parameters::default())
    }

    #[test]
    fn r5_a_token_never_used_is_idle_from_the_exact_instant_fifteen_days_after_creation() {
        let idle = End {
            at: BORN + 15 * DAY,
            cause: Cause::Idle,
        };
        assert_eq!(verdict(&state(), idle.at - 1), Ok(idle));
        assert_eq!(verdict(&state(), idle.at), Err(RefusalReason::Idle));
        assert_eq!(verdict(&state(), idle.at + 1), Err(RefusalReason::Idle));
    }

    #[test]
    fn r5_the_idle_period_counts_from_the_last_use() {
        let mut state = state();
        state.token.last_used = Some(BORN + DAY);
        assert!(verdict(&state, BORN + 16 * DAY - 1).is_ok());
        assert_eq!(verdict(&state, BORN + 16 * DAY), Err(RefusalReason::Idle));
    }

    #[test]
    fn r5_a_token_is_expired_from_the_exact_instant_of_its_expiration_date() {
        let mut state = state();
        state.token.last_used = Some(BORN + 29 * DAY);
        let date = End {
            at: state.token.expires,
            cause: Cause::ExpirationDate,
        };
        assert_eq!(verdict(&state, date.at - 1), Ok(date));
        assert_eq!(verdict(&state, date.at), Err(RefusalReason::Expired));
    }

    #[test]
    fn r5_of_idle_and_expired_the_earlier_is_named_and_the_date_where_both_fall_together() {
        let mut state = state();
        assert_eq!(verdict(&state, BORN + 100 * DAY), Err(RefusalReason::Idle));
        state.token.expires = BORN + 15 * DAY;
        assert_eq!(verdict(&state, BORN + 100 * DAY), Err(RefusalReason::Expired));
        state.token.expires += 1;
        assert_eq!(verdict(&state, BORN + 100 * DAY), Err(RefusalReason::Idle));
    }

    #[test]
    fn times_at_the_end_of_time_do_not_wrap_around() {
        let mut state = state();
        state.token.last_used = Some(Timestamp::MAX - 1);
        state.token.expires = Timestamp::MAX;
        assert_eq!(
            verdict(&state, Timestamp::MAX - 1).unwrap().cause,
            Cause::ExpirationDate
        );
        assert_eq!(verdict(&state, Timestamp::MAX), Err(RefusalReason::Expired));
    }

    #[test]
    fn a_last_use_in_the_future_counts_as_it_stands() {
        let mut state = state();
        state.token.last_used = Some(BORN + 10 * DAY);
        assert_eq!(verdict(&state, BORN).unwrap().at, BORN + 25 * DAY);
    }

    #[test]
    fn the_verdict_names_reasons_in_their_order() {
        let mut state = state();
        let late = BORN + 100 * DAY;
        assert_eq!(verdict(&state, late), Err(RefusalReason::Idle));
        state.owner.tenant_epoch += 1;
        assert_eq!(verdict(&state, late), Err(RefusalReason::AuthMethodChanged));
        state.owner.enabled = false;
        assert_eq!(verdict(&state, late), Err(RefusalReason::OwnerDisabled));
        assert_eq!(
            alive(&state, late, &Parameters::default()),
            Err(RefusalReason::AuthMethodChanged)
        );
        state.owner.deleted = Some(BORN);
        assert_eq!(verdict(&state, late), Err(RefusalReason::OwnerDeleted));
        state.token.ended = Some(End {
            at: BORN,
            cause: Cause::Revoked,
        });
        assert_eq!(verdict(&state, late), Err(RefusalReason::Revoked));
    }

    #[test]
    fn r9_a_token_ends_when_either_epoch_differs_even_a_smaller_one() {
        for (own, tenants) in [(3, 5), (5, 5), (4, 4), (4, 6)] {
            let mut state = state();
            (state.owner.epoch, state.owner.tenant_epoch) = (own, tenants);
            assert_eq!(verdict(&state, BORN), Err(RefusalReason::AuthMethodChanged));
        }
    }

    #[test]
    fn the_end_foreseen_is_the_earliest_and_names_its_cause() {
        let foreseen = |state: &TokenState| foreseen_end(state, &Parameters::default());
        let mut state = state();
        assert_eq!(
            foreseen(&state),
            End {
                at: BORN + 15 * DAY,
                cause: Cause::Idle
            }
        );
        state.owner.epoch = 9;
        state.owner.epoch_since = BORN + 3 * DAY;
        assert_eq!(
            foreseen(&state),
            End {
                at: BORN + 3 * DAY,
                cause: Cause::AuthMethodChanged
            }
        );
        // The tenant's change does not count while its epoch is the token's.
        state.owner.tenant_epoch_since = BORN + 2 * DAY;
        assert_eq!(foreseen(&state).at, BORN + 3 * DAY);
        state.owner.tenant_epoch = 9;
        assert_eq!(foreseen(&state).at, BORN + 2 * DAY);
        state.owner.deleted = Some(BORN + 4 * DAY);
        assert_eq!(foreseen(&state).cause, Cause::AuthMethodChanged);
        state.owner.deleted = Some(BORN + 2 * DAY);
        assert_eq!(foreseen(&state).cause, Cause::OwnerDeleted);
        state.token.expires = BORN + DAY;
        assert_eq!(
            foreseen(&state),
            End {
                at: BORN + DAY,
                cause: Cause::ExpirationDate
            }
        );
        let mark = End {
            at: BORN + 20 * DAY,
            cause: Cause::Revoked,
        };
        state.token.ended = Some(mark);
        assert_eq!(foreseen(&state), mark);
    }
}
