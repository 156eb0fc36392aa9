//! A new secret for an old token: name, dates and settings stay, and it is not a use (R5).
//!
//! The old secret, and the sessions that were opened with it, work for an overlap that the caller chooses, so that
//! a script can be moved over without an outage. A rotation during an overlap drops the older secret at once: there
//! are never more than two. With an overlap of zero the old secret and its sessions stop here and now.
//!
//! A person rotates their own tokens, an administrator anyone's; a token rotates none (R12), nor does the host.
//! Tested in this order: the role, whether the token exists, whose it is, the overlap, whether it works.

use crate::token::{self, Kind};
use crate::types::{
    Actor, ActorRole, Cause, Denial, Duration, End, Id, Issued, PreviousSecret, RefusalReason, Timestamp,
    Token,
};
use crate::{Engine, Host, Policy};

impl<H: Host, P: Policy> Engine<'_, H, P> {
    /// Gives a live token a new secret and hands it out, once (R1).
    ///
    /// # Errors
    /// Refusals: not-permitted, no-such-token, overlap-too-long, owner-disabled, or why the token has ended.
    pub fn rotate(&mut self, token: Id, overlap: Duration, actor: Actor) -> Result<Issued, Denial> {
        if matches!(actor.role, ActorRole::Token | ActorRole::System) {
            return Err(RefusalReason::NotPermitted.into());
        }
        let state = self.host.get_token(token)?.ok_or(RefusalReason::NoSuchToken)?;
        let now = self.host.now();
        let parameters = self.parameters();
        let about = |reason| Denial::about(state.token.id, reason);
        if actor.role == ActorRole::User && actor.id != state.token.owner {
            return Err(about(RefusalReason::NotPermitted));
        }
        if overlap > parameters.max_overlap {
            return Err(about(RefusalReason::OverlapTooLong));
        }
        let ends = self.usable(&state, now, &parameters).map_err(about)?;

        let old = state.token;
        let secret = self.draw_secret();
        let (scheme, digest) = self.digest(&secret)?;
        let previous = (overlap > 0).then_some(PreviousSecret {
            scheme: old.scheme,
            digest: old.digest,
            until: now.saturating_add(overlap),
        });
        self.host
            .replace_secret(old.id, old.generation.saturating_add(1), scheme, digest, previous)?;
        Ok(Issued {
            token: old.id,
            secret: token::compose(Kind::Pat, old.id, &secret),
            ends,
        })
    }
}

/// Whether a generation of a token's secret, and what was opened with it, still works: the current one does, the one
/// before does until its overlap ends, which is returned.
pub(crate) fn overlap(token: &Token, generation: u32, now: Timestamp) -> Result<Option<End>, RefusalReason> {
    if generation == token.generation {
        return Ok(None);
    }
    let previous = token
        .previous
        .filter(|_| generation.checked_add(1) == Some(token.generation));
    let until = previous.ok_or(RefusalReason::Rotated)?.until;
    End {
        at: until,
        cause: Cause::Rotated,
    }
    .ahead(now)
    .map(Some)
}
