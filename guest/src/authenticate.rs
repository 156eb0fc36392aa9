//! Verifying a presented token (R3, R4, R5, R12).
//!
//! The verdict names the first of these that holds:
//!
//! 1. malformed, bad-checksum: decided on the text alone, before the store is asked;
//! 2. unknown: there is no such token;
//! 3. the reason for which it was marked as ended, whatever the secret: its digests are erased by then (R6);
//! 4. wrong-secret: neither the current secret nor the one before;
//! 5. rotated: the secret before, after its overlap;
//! 6. owner-deleted, owner-disabled, auth-method-changed, expired or idle, in the order of [`expiry`];
//! 7. what a policy of one's own refuses it for ([`Policy::judge`]);
//! 8. wrong-audience (R12).
//!
//! Anything else is a yes, and only a yes is a use (R5).

use crate::token::{self, Kind, Presented, SCHEME_ERASED};
use crate::types::{
    Audience, Denial, Digest, End, Grant, Parameters, PreviousSecret, RefusalReason, Timestamp, Token,
    TokenState,
};
use crate::{Engine, Host, Policy, expiry, rotate};

/// A presented token that is good, at the instant at which it was found so.
pub(crate) struct Verified {
    pub(crate) now: Timestamp,
    pub(crate) parameters: Parameters,
    pub(crate) state: TokenState,
    /// The generation whose secret was presented.
    pub(crate) generation: u32,
    /// The end of the overlap, for a replaced secret.
    pub(crate) overlap: Option<End>,
}

impl<H: Host, P: Policy> Engine<'_, H, P> {
    /// Verifies a presented token for an audience, and notes the use (R3, R5).
    ///
    /// # Errors
    /// Refusals: see the [module](self).
    pub fn authenticate(&mut self, presented: &[u8], audience: Audience) -> Result<Grant, Denial> {
        let verified = self.verify(presented, audience)?;
        self.host.record_use(verified.state.token.id, verified.now)?;
        self.move_used(&verified.state.token)?;
        Ok(verified.grant())
    }

    /// Verifies a presented token for an audience. The caller notes the use.
    pub(crate) fn verify(&mut self, presented: &[u8], audience: Audience) -> Result<Verified, Denial> {
        let mut presented = token::parse(Kind::Pat, presented)?;
        let state = self
            .host
            .get_token(presented.id())?
            .ok_or(RefusalReason::Unknown)?;
        let now = self.host.now();
        let parameters = self.parameters();
        // An ended token's digests are erased, so for one of those the host need not be asked.
        if token::is_peppered(&state.token) {
            presented.set_mac(self.host.mac(presented.digest())?);
        }
        self.judge(&presented, &state, audience, now, &parameters)
            .map(|(generation, overlap)| Verified {
                now,
                parameters,
                state,
                generation,
                overlap,
            })
            .map_err(|reason| Denial::about(state.token.id, reason))
    }

    /// Steps 3 to 8 of the verdict; on a yes the generation whose secret was presented, and the end of its overlap.
    fn judge(
        &self,
        presented: &Presented,
        state: &TokenState,
        audience: Audience,
        now: Timestamp,
        parameters: &Parameters,
    ) -> Result<(u32, Option<End>), RefusalReason> {
        let token = &state.token;
        expiry::unmarked(token)?;
        let generation = generation(presented, token)?;
        let overlap = rotate::overlap(token, generation, now)?;
        self.usable(state, now, parameters)?;
        if token.audience != audience {
            return Err(RefusalReason::WrongAudience);
        }
        Ok((generation, overlap))
    }
}

/// The generation whose secret was presented (R3).
fn generation(presented: &Presented, token: &Token) -> Result<u32, RefusalReason> {
    const NONE: PreviousSecret = PreviousSecret {
        scheme: SCHEME_ERASED,
        digest: Digest {
            a: 0,
            b: 0,
            c: 0,
            d: 0,
        },
        until: 0,
    };
    let previous = token.previous.unwrap_or(NONE);
    // Both are compared whatever comes of the first, so that the time taken tells nothing.
    let current = presented.matches(token.scheme, &token.digest);
    let replaced = presented.matches(previous.scheme, &previous.digest);
    if current.into() {
        Ok(token.generation)
    } else if replaced.into() {
        // There is none before the first: such a record makes no sense, and nothing matches it.
        token.generation.checked_sub(1).ok_or(RefusalReason::WrongSecret)
    } else {
        Err(RefusalReason::WrongSecret)
    }
}

impl Verified {
    /// The yes, once the use is noted.
    pub(crate) fn grant(&self) -> Grant {
        let token = &self.state.token;
        Grant {
            token: token.id,
            owner: token.owner,
            tenant: token.tenant,
            ends: self.token_end(),
        }
    }

    /// When the presented secret stops working if it is not used again: it is used now.
    pub(crate) fn token_end(&self) -> End {
        let end = expiry::end_after_use(&self.state.token, self.now, &self.parameters);
        self.overlap.map_or(end, |overlap| end.or_earlier(overlap))
    }
}
