//! Authentication methods (R9) and passwords (R11).
//!
//! A change of method raises the epoch of its scope, a tenant or one user, and that is all of it: every token born
//! under the old number is refused from then on, be it one or ten million. Setting the method that is in force
//! already changes nothing. Administrators change methods, and so does the host on behalf of a directory.
//!
//! Nothing else that happens to a user touches an epoch, and so neither a password reset nor a new name or address
//! disturbs a token (R10).

use crate::engine::live_rule;
use crate::types::{Actor, ActorRole, Census, Denial, Id, MethodPreview, RefusalReason, Scope};
use crate::{Engine, Host, Policy};

impl<H: Host, P: Policy> Engine<'_, H, P> {
    /// Changes the authentication method of a scope, which ends all tokens in it (R9); false where it was set already.
    ///
    /// # Errors
    /// Refusals: not-permitted, no-such-owner.
    pub fn change_auth_method(&mut self, scope: Scope, method: &str, actor: Actor) -> Result<bool, Denial> {
        let changes = self.is_method_change(scope, method, actor)?;
        if changes {
            let now = self.host.now();
            self.host.set_auth_method(scope, method, now)?;
        }
        Ok(changes)
    }

    /// Says what [`change_auth_method`](Self::change_auth_method) would do, and does nothing (R9).
    ///
    /// # Errors
    /// Refusals: not-permitted, no-such-owner.
    pub fn preview_auth_method(
        &mut self,
        scope: Scope,
        method: &str,
        actor: Actor,
    ) -> Result<MethodPreview, Denial> {
        let changes = self.is_method_change(scope, method, actor)?;
        let Census { tokens, owners } = if changes {
            let rule = live_rule(self.host.now(), &self.parameters());
            self.host.take_census(scope, rule)?
        } else {
            Census { tokens: 0, owners: 0 }
        };
        Ok(MethodPreview {
            changes,
            tokens,
            owners,
        })
    }

    fn is_method_change(&mut self, scope: Scope, method: &str, actor: Actor) -> Result<bool, Denial> {
        if !matches!(actor.role, ActorRole::Administrator | ActorRole::System) {
            return Err(RefusalReason::NotPermitted.into());
        }
        let set = self
            .host
            .get_auth_method(scope)?
            .ok_or(RefusalReason::NoSuchOwner)?;
        Ok(set != method)
    }

    /// Whether a user may sign in to the REST API with a password, which the host checks (R11).
    ///
    /// # Errors
    /// Refusals: no-such-owner, owner-deleted, owner-disabled, pat-required.
    pub fn decide_password_sign_in(&mut self, owner: Id) -> Result<(), Denial> {
        if self.present_owner(owner)?.multi_factor {
            return Err(RefusalReason::PatRequired.into());
        }
        Ok(())
    }
}
