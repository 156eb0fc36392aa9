//! What is kept of decisions that others make with a verdict.

use patrol_policy::types::{Refusal, RefusalReason};

use super::events::AuditEvent;
use super::{Caller, Error, Identity, Origin, Patrol};

impl Patrol {
    /// Notes that somebody was let in by their credential, and turned away for want of a role (R4). `required` says
    /// which roles were asked for.
    pub fn note_forbidden(&self, identity: &Identity, method: &str, required: &str, origin: &Origin) {
        let token = identity.token();
        let id = token.map(|row| row.state.token.id);
        let caller = match id {
            Some(id) => Caller::token(id, origin.clone()),
            None => Caller::user(identity.user_id(), origin.clone()),
        };
        let mut event = AuditEvent::new("deny_by_role", self.now(), &caller)
            .detail("method", method)
            .detail("requiredRoles", required);
        if let Some(row) = token {
            event = event.by_owner_of(row);
        }
        if let Some(session) = identity.session {
            event = event.session(session);
        }
        let refusal = Refusal {
            reason: RefusalReason::NotPermitted,
            token: id,
        };
        self.note(&Error::Refused(refusal), false, event);
    }

    /// Keeps that the key which signs identities was replaced: the names of the new one and of the one before it, and
    /// whether that one is no longer published.
    ///
    /// # Errors
    /// An outage of the store.
    pub fn note_identity_rotation(
        &self,
        caller: &Caller,
        key: &str,
        replaced: Option<&str>,
        forgotten: bool,
    ) -> Result<(), Error> {
        let mut event = AuditEvent::new("rotate_identity_key", self.now(), caller)
            .detail("kid", key)
            .detail("forgotten", forgotten);
        if let Some(replaced) = replaced {
            event = event.detail("replacedKid", replaced);
        }
        let mut transaction = self.store.begin()?;
        event.write(&mut *transaction)?;
        Ok(transaction.commit()?)
    }
}
