//! Ending tokens by hand (R8).
//!
//! A person revokes their own tokens, an administrator or the host's housekeeping anyone's, and a token itself: a
//! script that suspects a leak can end its own (R12). What has ended stays as it ended: revoking it again is
//! refused with the reason. The token of a disabled owner rests, so it can be revoked.

use crate::engine::live_rule;
use crate::types::{Actor, ActorRole, Cause, Denial, End, Id, RefusalReason};
use crate::{Engine, Host, Policy, expiry};

impl<H: Host, P: Policy> Engine<'_, H, P> {
    /// Revokes a token (R8).
    ///
    /// # Errors
    /// Refusals: no-such-token, not-permitted, or why it has ended already.
    pub fn revoke(&mut self, token: Id, actor: Actor) -> Result<(), Denial> {
        let state = self.host.get_token(token)?.ok_or(RefusalReason::NoSuchToken)?;
        let about = |reason| Denial::about(state.token.id, reason);
        let permitted = match actor.role {
            ActorRole::Administrator | ActorRole::System => true,
            ActorRole::User => actor.id == state.token.owner,
            ActorRole::Token => actor.id == state.token.id,
        };
        if !permitted {
            return Err(about(RefusalReason::NotPermitted));
        }
        let now = self.host.now();
        expiry::alive(&state, now, &self.parameters()).map_err(about)?;
        Ok(self.host.end_token(
            state.token.id,
            End {
                at: now,
                cause: Cause::Revoked,
            },
        )?)
    }

    /// Revokes all live tokens of an owner and says how many (R8).
    ///
    /// # Errors
    /// Refusals: not-permitted, no-such-owner.
    pub fn revoke_all(&mut self, owner: Id, actor: Actor) -> Result<u32, Denial> {
        let permitted = match actor.role {
            ActorRole::Administrator | ActorRole::System => true,
            ActorRole::User => actor.id == owner,
            ActorRole::Token => false,
        };
        if !permitted {
            return Err(RefusalReason::NotPermitted.into());
        }
        self.host.get_owner(owner)?.ok_or(RefusalReason::NoSuchOwner)?;
        let now = self.host.now();
        let rule = live_rule(now, &self.parameters());
        Ok(self.host.end_live_tokens(
            owner,
            rule,
            End {
                at: now,
                cause: Cause::Revoked,
            },
        )?)
    }
}
