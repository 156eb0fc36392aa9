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
