//! A token's life: creation, rotation, revocation, and the end of all when the authentication method changes.

use patrol_policy::Secret;
use patrol_policy::types::{
    ActorRole, Duration, End, Id, IssueRequest, Issued, LiveRule, Scope, Timestamp, TokenState,
};

use super::call::Call;
use super::decision::invented;
use super::directory::normalize;
use super::events::AuditEvent;
use super::policies::Chosen;
use super::question::{
    ChangeMethod, Issue, ListTokens, PreviewMethod, Question as _, Revoke, RevokeAll, Rotate,
};
use super::{Caller, Error, Patrol};
use crate::policy::Fault;
use crate::store::TokenRow;

/// The event of a revocation of many tokens at once.
const ALL_REVOKED: &str = "batch_revoke_personal_access_token";

/// A token that was just created or rotated, with its secret: the only time that it is seen (R1).
#[derive(Debug)]
pub struct NewToken {
    /// The token, with names.
    pub row: TokenRow,
    /// The secret, to be shown once.
    pub secret: Secret,
    /// When it will end if it is never used.
    pub ends: End,
}

/// A live token in its owner's list (R6).
#[derive(Clone, Debug)]
pub struct OwnedToken {
    /// The token, with names.
    pub row: TokenRow,
    /// When it will end if it is not used again, and why.
    pub ends: End,
}

/// What a change of authentication method did or would do (R9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodEffect {
    /// False where the method was set already: then nothing happens.
    pub changes: bool,
    /// The method before.
    pub from: String,
    /// Live tokens that would go; a preview's only, since the change itself does not count them.
    pub tokens: Option<u64>,
    /// Their owners; a preview's only.
    pub owners: Option<u64>,
}

impl Patrol {
    /// Creates a token (R1, R2, R7, R13). The audience is made where it is new (R12).
    ///
    /// # Errors
    /// Refusals as `wit/engine.wit` lists them for `issue`; [`Error::Invalid`] for an audience that cannot be one.
    pub fn issue(
        &self,
        caller: &Caller,
        owner: Id,
        name: &str,
        expires: Timestamp,
        audience: &str,
    ) -> Result<NewToken, Error> {
        const EVENT: &str = "create_personal_access_token";
        let audience = self.intern_audience(audience)?;
        let request = IssueRequest {
            owner,
            name: normalize(name),
            expires,
            audience,
        };
        let question = Issue {
            request: &request,
            actor: caller.actor,
        };
        self.put(&question, |call, issued| {
            self.conclude_secret(call, issued, EVENT, caller)
        })
        .inspect_err(|error| {
            let event = AuditEvent::new(EVENT, self.now(), caller).detail("name", request.name.as_str());
            self.note(error, false, self.about_user(event, owner));
        })
    }

    /// Gives a token a new secret; the old one works for `overlap` more, in ms.
    ///
    /// # Errors
    /// Refusals as `wit/engine.wit` lists them for `rotate`.
    pub fn rotate(&self, caller: &Caller, token: Id, overlap: Duration) -> Result<NewToken, Error> {
        const EVENT: &str = "rotate_personal_access_token";
        let question = Rotate {
            token,
            overlap,
            actor: caller.actor,
        };
        self.put(&question, |call, issued| {
            self.conclude_secret(call, issued, EVENT, caller)
        })
        .inspect_err(|error| self.note_token(error, EVENT, token, caller))
    }

    fn conclude_secret(
        &self,
        call: &mut Call,
        issued: Issued,
        event: &'static str,
        caller: &Caller,
    ) -> Result<NewToken, Error> {
        let seen = call.seen_token(issued.token)?.ok_or_else(invented)?;
        let row = TokenRow::clone(&seen.row);
        let event = AuditEvent::new(event, call.now, caller)
            .token(&row)
            .detail("audience", row.audience.as_str());
        event.write(call.transaction()?)?;
        Ok(NewToken {
            row,
            secret: issued.secret,
            ends: issued.ends,
        })
    }

    /// Revokes a token, and with it its sessions, from the moment that this returns (R8).
    ///
    /// # Errors
    /// Refusals as `wit/engine.wit` lists them for `revoke`.
    pub fn revoke(&self, caller: &Caller, token: Id) -> Result<TokenRow, Error> {
        const EVENT: &str = "revoke_personal_access_token";
        let question = Revoke {
            token,
            actor: caller.actor,
        };
        self.put(&question, |call, ()| {
            let seen = call.seen_token(token)?.ok_or_else(invented)?;
            let row = TokenRow::clone(&seen.row);
            AuditEvent::new(EVENT, call.now, caller)
                .token(&row)
                .write(call.transaction()?)?;
            Ok(row)
        })
        .inspect_err(|error| self.note_token(error, EVENT, token, caller))
    }

    /// Revokes all live tokens of a user; says how many (R8).
    ///
    /// # Errors
    /// Refusals as `wit/engine.wit` lists them for `revoke-all`.
    pub fn revoke_all(&self, caller: &Caller, owner: Id) -> Result<u32, Error> {
        let question = RevokeAll {
            owner,
            actor: caller.actor,
        };
        let policies = self.policies.load();
        let chosen = policies.of(question.whose(), &*self.store);
        let revoked = chosen.map_err(Error::from).and_then(|chosen| {
            let by = Chosen::new(chosen.running, chosen.tenants.clone());
            self.ask(chosen, &question, |call, count| {
                self.end_the_rest(call, by, owner)?;
                let mut event = AuditEvent::new(ALL_REVOKED, call.now, caller).detail("count", count);
                if let Some(user) = call.read()?.user(owner)? {
                    event = event.pats_of(&user);
                }
                event.write(call.transaction()?)?;
                Ok(count)
            })
        });
        revoked.inspect_err(|error| {
            let event = AuditEvent::new(ALL_REVOKED, self.now(), caller);
            self.note(error, false, self.about_user(event, owner));
        })
    }

    /// Fails where a policy left tokens of an owner alive, all of whose it said it had revoked. One that it takes for
    /// ended already, and that the configured idle period does not, is marked as ended: under another policy it would
    /// come back, and its owner revoked it.
    fn end_the_rest(&self, call: &mut Call, policy: Chosen<'_>, owner: Id) -> Result<(), Error> {
        let now = call.now;
        let unmarked = call
            .read()?
            .list_live_tokens(owner, LiveRule { now, idle_since: 0 })?;
        if unmarked.is_empty() {
            return Ok(());
        }
        let alive = || Fault::Contract("it said that it revoked tokens that live".to_owned());
        // What it cannot account for lives.
        let outlooks = self.foresee_by(policy, &unmarked).map_err(|error| match error {
            Error::Fault(_) => alive().into(),
            other => other,
        })?;
        if outlooks.iter().any(|outlook| now < outlook.ends.at) {
            return Err(alive().into());
        }
        let idle_since = now.saturating_sub(self.parameters().idle_after);
        for (TokenState { token, .. }, outlook) in unmarked.iter().zip(outlooks) {
            if token.last_used.unwrap_or(token.created) > idle_since {
                call.transaction()?.end_token(token.id, outlook.ends)?;
            }
        }
        Ok(())
    }

    /// An owner's live tokens, oldest first: ended ones are gone from this list (R6).
    ///
    /// # Errors
    /// Refusals as `wit/engine.wit` lists them for `list-tokens`.
    pub fn list_tokens(&self, caller: &Caller, owner: Id) -> Result<Vec<OwnedToken>, Error> {
        let question = ListTokens {
            owner,
            actor: caller.actor,
        };
        self.put(&question, |call, listed| {
            let read = call.read()?;
            let mut tokens = Vec::with_capacity(listed.len());
            for one in listed {
                let row = read.token_row(one.token)?.ok_or_else(invented)?;
                tokens.push(OwnedToken { row, ends: one.ends });
            }
            Ok(tokens)
        })
    }

    /// Changes the authentication method of a tenant or a user, which ends all its tokens at once, however many
    /// (R9). A user's method of their own stands until it is changed again.
    ///
    /// # Errors
    /// Refusals as `wit/engine.wit` lists them; [`Error::Invalid`] for a text that cannot be a method's name.
    pub fn change_auth_method(
        &self,
        caller: &Caller,
        scope: Scope,
        method: &str,
    ) -> Result<MethodEffect, Error> {
        check_method(method)?;
        let question = ChangeMethod {
            scope,
            method,
            actor: caller.actor,
        };
        self.put(&question, |call, changes| {
            let now = call.now;
            let before = call.replaced.take();
            if let Some(before) = &before {
                let event = AuditEvent::new(ALL_REVOKED, now, caller)
                    .detail("authMethodBefore", before.as_str())
                    .detail("authMethod", method);
                let event = about_scope(call, event, scope)?;
                event.write(call.transaction()?)?;
                Self::keep_across_change(call.transaction()?, caller, scope)?;
            }
            Ok(MethodEffect {
                changes,
                from: before.unwrap_or_else(|| method.to_owned()),
                tokens: None,
                owners: None,
            })
        })
        .inspect_err(|error| {
            let event = AuditEvent::new(ALL_REVOKED, self.now(), caller).detail("authMethod", method);
            let event = match scope {
                Scope::Owner(user) => self.about_user(event, user),
                Scope::Tenant(tenant) => event.detail("tenantId", tenant.to_string()),
            };
            self.note(error, false, event);
        })
    }

    /// What [`Patrol::change_auth_method`] would do; does nothing (R9). [`Patrol::review`] with
    /// [`TokenFilter::live`](crate::store::TokenFilter::live) lists the tokens.
    ///
    /// # Errors
    /// As [`Patrol::change_auth_method`].
    pub fn preview_auth_method(
        &self,
        caller: &Caller,
        scope: Scope,
        method: &str,
    ) -> Result<MethodEffect, Error> {
        check_method(method)?;
        let question = PreviewMethod {
            scope,
            method,
            actor: caller.actor,
        };
        self.put(&question, |call, preview| {
            let from = call.read()?.auth_method(scope)?.ok_or_else(invented)?;
            Ok(MethodEffect {
                changes: preview.changes,
                from,
                tokens: Some(preview.tokens),
                owners: Some(preview.owners),
            })
        })
    }

    fn note_token(&self, error: &Error, event: &'static str, token: Id, caller: &Caller) {
        let mut record = AuditEvent::new(event, self.now(), caller);
        record = match self.store.token(token) {
            Ok(Some(read)) => record.token(&read.row),
            _ => record.detail("tokenId", token.to_string()),
        };
        self.note(error, caller.actor.role == ActorRole::Token, record);
    }

    fn about_user(&self, event: AuditEvent, user: Id) -> AuditEvent {
        // A name is for the reader of the trail; if the store is out, the event does with the identifier.
        match self.store.read().and_then(|read| read.user(user)) {
            Ok(Some(user)) => event.pats_of(&user),
            _ => event.detail("userId", user.to_string()),
        }
    }
}

fn about_scope(call: &mut Call, event: AuditEvent, scope: Scope) -> Result<AuditEvent, Error> {
    let read = call.read()?;
    Ok(match scope {
        // Where the whole tenant is meant, `patUserId` is absent.
        Scope::Tenant(id) => match read.tenant(id)? {
            Some(tenant) => event.tenant(tenant.id, &tenant.name),
            None => event,
        },
        Scope::Owner(id) => match read.user(id)? {
            Some(user) => event.pats_of(&user),
            None => event,
        },
    })
}

/// Whether a text can be the name of an authentication method.
pub(super) fn check_method(method: &str) -> Result<(), Error> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._:-".contains(c);
    if (1..=64).contains(&method.len()) && method.chars().all(fits) {
        Ok(())
    } else {
        Err(Error::Invalid(format!(
            "\"{}\" cannot be an authentication method: use 1 to 64 of a-z 0-9 . _ : - as in password, saml or oidc:corp",
            method.escape_debug()
        )))
    }
}
