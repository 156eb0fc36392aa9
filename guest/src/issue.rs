//! Creating a token (R1, R2, R7, R13).
//!
//! A person creates tokens for themselves, an administrator for anyone; a token creates none (R12). Tested in this
//! order: permission, the owner (exists, not deleted, not disabled), the name, the expiration date (past, too far),
//! the number of live tokens, the uniqueness of the name.
//!
//! A name loses surrounding white space, as Unicode defines it, and has then 1 to `name-max-length` characters, none
//! of them a control character (R13). The host hands it over in NFC; both normalisation and trimming leave a name in
//! NFC, so equal names are equal texts. A policy of one's own may take fewer names ([`Policy::accepts_name`]).

use crate::engine::live_rule;
use crate::token::{self, Kind};
use crate::types::{
    Actor, ActorRole, Denial, Id, IssueRequest, Issued, Owner, Parameters, RefusalReason, Token,
};
use crate::{Engine, Host, Policy, expiry};

impl<H: Host, P: Policy> Engine<'_, H, P> {
    /// Creates a token and hands out its secret, once (R1).
    ///
    /// # Errors
    /// Refusals: not-permitted, no-such-owner, owner-deleted, owner-disabled, name-invalid, expiration-past,
    /// expiration-too-far, limit-reached, name-taken.
    pub fn issue(&mut self, request: IssueRequest, actor: Actor) -> Result<Issued, Denial> {
        if !may_issue(actor, request.owner) {
            return Err(RefusalReason::NotPermitted.into());
        }
        let owner = self.present_owner(request.owner)?;
        let now = self.host.now();
        let parameters = self.parameters();
        let rule = live_rule(now, &parameters);

        let name = judge_name(&request.name, &parameters)?;
        if !self.policy.accepts_name(name) {
            return Err(RefusalReason::NameInvalid.into());
        }
        if request.expires <= now {
            return Err(RefusalReason::ExpirationPast.into());
        }
        if request.expires > now.saturating_add(parameters.max_lifetime) {
            return Err(RefusalReason::ExpirationTooFar.into());
        }
        if self.host.count_live_tokens(owner.id, rule)? >= parameters.tokens_per_owner {
            return Err(RefusalReason::LimitReached.into());
        }
        if self.host.live_name_exists(owner.id, name, rule)? {
            return Err(RefusalReason::NameTaken.into());
        }

        let (id, secret) = self.mint(now);
        let (scheme, digest) = self.digest(&secret)?;
        let token = Token {
            id,
            owner: owner.id,
            tenant: owner.tenant,
            audience: request.audience,
            scheme,
            digest,
            generation: 0,
            previous: None,
            created: now,
            expires: request.expires,
            last_used: None,
            owner_epoch: owner.epoch,
            tenant_epoch: owner.tenant_epoch,
            ended: None,
        };
        self.host.insert_token(&token, name)?;
        Ok(Issued {
            token: id,
            secret: token::compose(Kind::Pat, id, &secret),
            ends: expiry::end(&token, &parameters),
        })
    }

    /// The owner with this identifier, who is there and may act (R4).
    pub(crate) fn present_owner(&mut self, id: Id) -> Result<Owner, Denial> {
        let owner = self.host.get_owner(id)?.ok_or(RefusalReason::NoSuchOwner)?;
        if owner.deleted.is_some() {
            return Err(RefusalReason::OwnerDeleted.into());
        }
        if !owner.enabled {
            return Err(RefusalReason::OwnerDisabled.into());
        }
        Ok(owner)
    }
}

fn may_issue(actor: Actor, owner: Id) -> bool {
    match actor.role {
        ActorRole::Administrator => true,
        ActorRole::User => actor.id == owner,
        ActorRole::Token | ActorRole::System => false,
    }
}

/// The name as it is stored, if it is one (R13).
fn judge_name<'a>(name: &'a str, parameters: &Parameters) -> Result<&'a str, RefusalReason> {
    // `trim` would do, with three times the code.
    let name = name.trim_start().trim_end();
    let mut length = 0u32;
    for character in name.chars() {
        length = length.saturating_add(1);
        if character.is_control() {
            return Err(RefusalReason::NameInvalid);
        }
    }
    if length == 0 || length > parameters.name_max_length {
        return Err(RefusalReason::NameInvalid);
    }
    Ok(name)
}
