//! What owners and administrators see (R6, R13).
//!
//! A person lists their own live tokens, an administrator anyone's; a token lists none (R12).

use alloc::vec::Vec;

use crate::engine::live_rule;
use crate::types::{Actor, ActorRole, Denial, Id, ListedToken, Outlook, RefusalReason, TokenState};
use crate::{Engine, Host, Policy, expiry};

impl<H: Host, P: Policy> Engine<'_, H, P> {
    /// An owner's live tokens, oldest first, each with its end (R6). A disabled owner's are among them.
    ///
    /// # Errors
    /// Refusals: not-permitted, no-such-owner.
    pub fn list_tokens(&mut self, owner: Id, actor: Actor) -> Result<Vec<ListedToken>, Denial> {
        let permitted = match actor.role {
            ActorRole::Administrator => true,
            ActorRole::User => actor.id == owner,
            ActorRole::Token | ActorRole::System => false,
        };
        if !permitted {
            return Err(RefusalReason::NotPermitted.into());
        }
        self.host.get_owner(owner)?.ok_or(RefusalReason::NoSuchOwner)?;
        let now = self.host.now();
        let parameters = self.parameters();
        let live = self.host.list_live_tokens(owner, live_rule(now, &parameters))?;
        let listed = live.iter().map(|state| ListedToken {
            token: state.token.id,
            ends: expiry::foreseen_end(state, &parameters),
        });
        Ok(listed.collect())
    }

    /// Whether each of these tokens lives, and when it ended or will end; in the same order.
    pub fn foresee(&mut self, states: &[TokenState]) -> Vec<Outlook> {
        let now = self.host.now();
        let parameters = self.parameters();
        let outlook = |state: &TokenState| Outlook {
            live: self.usable(state, now, &parameters).is_ok(),
            ends: expiry::foreseen_end(state, &parameters),
        };
        states.iter().map(outlook).collect()
    }
}
