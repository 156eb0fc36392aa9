//! What a policy is answered, and what it may write: each function of the host's side of the contract, in the terms of
//! the [operation](Operation) that the call is for.

use patrol_policy::Host;
use patrol_policy::types::{
    Cause, Census, Digest, End, Id, LiveRule, Outage, Owner, Parameters, PreviousSecret, Scope, Session,
    SessionState, Timestamp, Token, TokenState,
};

use super::{Call, Operation};
use crate::service::exchange::Answer;
use crate::store::{StoreError, Tenants};

impl Host for Call {
    fn now(&mut self) -> Timestamp {
        self.now
    }

    fn parameters(&mut self) -> Parameters {
        self.parameters
    }

    fn draw(&mut self, buffer: &mut [u8; 32]) {
        // Without randomness there is no secret: whatever the policy makes of the zeroes is thrown away.
        if getrandom::fill(buffer).is_err() {
            buffer.fill(0);
            self.failure.get_or_insert(StoreError::Unavailable(
                "the machine has no randomness".to_owned(),
            ));
        }
    }

    fn mac(&mut self, message: Digest) -> Result<Digest, Outage> {
        let pepper = match self.find_pepper() {
            Ok(pepper) => pepper,
            Err(error) if self.does_without_pepper() => {
                tracing::debug!(%error, "a token stays as it is");
                return Err(error.outage());
            }
            found => self.told(found)?,
        };
        Ok(pepper.mac(&message))
    }

    fn get_token(&mut self, id: Id) -> Result<Option<TokenState>, Outage> {
        let loaded = self.load_token(id);
        self.token = self.told(loaded)?;
        let state = self.token.as_ref().map(|seen| seen.state);
        if let Some(state) = &state {
            self.governs(state.token.tenant)?;
        }
        self.note(|| Answer::Token(id, state.as_ref().map(Into::into)));
        Ok(state)
    }

    fn get_owner(&mut self, id: Id) -> Result<Option<Owner>, Outage> {
        let owner = self.ask(|read| read.owner(id))?;
        if let Some(owner) = &owner {
            self.governs(owner.tenant)?;
        }
        self.note(|| Answer::Owner(id, owner));
        Ok(owner)
    }

    fn count_live_tokens(&mut self, owner: Id, rule: LiveRule) -> Result<u32, Outage> {
        self.governs_owner(owner)?;
        let count = self.ask(|read| read.count_live_tokens(owner, rule))?;
        self.note(|| Answer::Count(owner, rule, count));
        Ok(count)
    }

    fn live_name_exists(&mut self, owner: Id, name: &str, rule: LiveRule) -> Result<bool, Outage> {
        self.governs_owner(owner)?;
        let exists = self.ask(|read| read.live_name_exists(owner, name, rule))?;
        self.note(|| Answer::Name(owner, name.to_owned(), rule, exists));
        Ok(exists)
    }

    fn list_live_tokens(&mut self, owner: Id, rule: LiveRule) -> Result<Vec<TokenState>, Outage> {
        self.governs_owner(owner)?;
        let list = self.ask(|read| read.list_live_tokens(owner, rule))?;
        self.note(|| Answer::List(owner, rule, list.iter().map(Into::into).collect()));
        Ok(list)
    }

    fn insert_token(&mut self, token: &Token, name: &str) -> Result<(), Outage> {
        let permitted = matches!(self.operation, Operation::Issue { owner, expires, audience }
            if owner == token.owner && expires == token.expires && audience == token.audience)
            && (token.created, token.last_used) == (self.now, None)
            && (self.is_scheme_for_new(token.scheme) && token.generation == 0)
            && (token.previous, token.ended) == (None, None);
        // A token born under another epoch than its owner's would survive a change of method, or be dead at birth.
        let owner = self.ask(|read| read.owner(token.owner))?;
        let born_right = owner.is_some_and(|owner| {
            owner.tenant == token.tenant
                && owner.epoch == token.owner_epoch
                && owner.tenant_epoch == token.tenant_epoch
        });
        self.mint(token.id, permitted && born_right, |transaction| {
            transaction.insert_token(token, name)
        })
    }

    fn replace_secret(
        &mut self,
        id: Id,
        generation: u32,
        scheme: u8,
        digest: Digest,
        previous: Option<PreviousSecret>,
    ) -> Result<(), Outage> {
        if matches!(self.operation, Operation::Authenticate | Operation::OpenSession) {
            return self.note_move(id, generation, (scheme, digest), previous);
        }
        let before = self.ask(|read| read.token_state(id))?.map(|state| state.token);
        let permitted = matches!((&self.operation, before), (Operation::Rotate { token, overlap }, Some(before))
        if *token == id
            && self.is_scheme_for_new(scheme)
            && before.generation.checked_add(1) == Some(generation)
            // Nothing but the secret that is replaced goes on working, and for no longer than was asked for.
            && previous.is_none_or(|previous| {
                (previous.scheme, previous.digest) == (before.scheme, before.digest)
                    && previous.until <= self.now.saturating_add(*overlap)
            }));
        self.mint(id, permitted, |transaction| {
            transaction.replace_secret(id, generation, scheme, digest, previous)
        })
    }

    fn record_use(&mut self, id: Id, at: Timestamp) -> Result<(), Outage> {
        let permitted = matches!(self.operation, Operation::Authenticate | Operation::OpenSession);
        if !permitted || at != self.now || !self.has_seen(id) {
            return self.breached("it noted a use that did not happen");
        }
        // Noted once the yes has passed the floor, not before.
        self.used = true;
        Ok(())
    }

    fn end_token(&mut self, id: Id, end: End) -> Result<(), Outage> {
        let permitted = match self.operation {
            Operation::Revoke(token) => token == id && end.at == self.now && end.cause == Cause::Revoked,
            Operation::Sweep => self.lapsed.contains(&id),
            _ => false,
        };
        self.write(permitted, |transaction| transaction.end_token(id, end))
    }

    fn end_live_tokens(&mut self, owner: Id, rule: LiveRule, end: End) -> Result<u32, Outage> {
        let permitted = self.operation == Operation::RevokeAll(owner);
        let count = self.write(permitted, |transaction| {
            transaction.end_live_tokens(owner, rule, end)
        })?;
        self.note(|| Answer::Ended(owner, rule, count));
        Ok(count)
    }

    fn get_session(&mut self, id: Id) -> Result<Option<SessionState>, Outage> {
        let loaded = self.load_session(id);
        self.session = self.told(loaded)?;
        let state = self.session.as_ref().map(|seen| seen.state);
        if let Some(state) = &state {
            self.governs(state.token.token.tenant)?;
        }
        self.note(|| Answer::Session(id, state.as_ref().map(Into::into)));
        Ok(state)
    }

    fn insert_session(&mut self, session: &Session) -> Result<(), Outage> {
        // Whether it is the presented token's is known, and tested, once the policy has said which that is.
        let permitted = self.operation == Operation::OpenSession
            && self.opened.is_none()
            && (session.opened, session.last_used, session.ended) == (self.now, self.now, None);
        self.write(permitted, |transaction| transaction.insert_session(session))?;
        self.opened = Some((session.id, session.token));
        Ok(())
    }

    fn record_session_use(&mut self, id: Id, at: Timestamp) -> Result<(), Outage> {
        let seen = self
            .session
            .as_ref()
            .is_some_and(|seen| seen.state.session.id == id);
        if self.operation != Operation::CheckSession || at != self.now || !seen {
            return self.breached("it noted a use that did not happen");
        }
        self.used = true;
        Ok(())
    }

    fn end_session(&mut self, id: Id, end: End) -> Result<(), Outage> {
        let known = match self.operation {
            Operation::OpenSession => self.listed.iter().copied().find(|(listed, _)| *listed == id),
            Operation::CloseSession => self
                .session
                .as_ref()
                .map(|seen| (seen.state.session.id, seen.state.session.token))
                .filter(|(seen, _)| *seen == id),
            _ => None,
        };
        self.write(known.is_some(), |transaction| transaction.end_session(id, end))?;
        self.closed.extend(known);
        Ok(())
    }

    fn list_open_sessions(&mut self, token: Id) -> Result<Vec<Session>, Outage> {
        if self.tenants != Tenants::All
            && let Some(state) = self.ask(|read| read.token_state(token))?
        {
            self.governs(state.token.tenant)?;
        }
        let sessions = self.ask(|read| read.list_open_sessions(token))?;
        self.listed
            .extend(sessions.iter().map(|session| (session.id, token)));
        self.note(|| Answer::Sessions(token, sessions.iter().map(Into::into).collect()));
        Ok(sessions)
    }

    fn get_auth_method(&mut self, scope: Scope) -> Result<Option<String>, Outage> {
        self.governs_scope(scope)?;
        let method = self.ask(|read| read.auth_method(scope))?;
        self.note(|| Answer::Method(scope, method.clone()));
        Ok(method)
    }

    fn set_auth_method(&mut self, scope: Scope, method: &str, at: Timestamp) -> Result<(), Outage> {
        let permitted = matches!(&self.operation, Operation::ChangeMethod(asked, name)
            if *asked == scope && name == method)
            && at == self.now
            && self.replaced.is_none();
        self.replaced = self.ask(|read| read.auth_method(scope))?;
        self.write(permitted, |transaction| {
            transaction.set_auth_method(scope, method, at)
        })
    }

    fn take_census(&mut self, scope: Scope, rule: LiveRule) -> Result<Census, Outage> {
        self.governs_scope(scope)?;
        let census = self.ask(|read| read.census(scope, rule))?;
        self.note(|| Answer::Census(scope, rule, census));
        Ok(census)
    }

    fn list_lapsed_tokens(&mut self, rule: LiveRule, limit: u32) -> Result<Vec<TokenState>, Outage> {
        let tenants = self.tenants.clone();
        let lapsed = self.ask(|read| read.list_lapsed_tokens(&tenants, rule, limit))?;
        self.lapsed.extend(lapsed.iter().map(|state| state.token.id));
        Ok(lapsed)
    }

    fn erase_previous_secrets(&mut self, until: Timestamp, limit: u32) -> Result<u32, Outage> {
        // While its overlap lasts a secret is good, by the floor and by what whoever rotated the token was told.
        let permitted = self.operation == Operation::Sweep && until <= self.now;
        let tenants = self.tenants.clone();
        self.write(permitted, |transaction| {
            transaction.erase_previous_secrets(&tenants, until, limit)
        })
    }

    fn forget_tokens(&mut self, ended_until: Timestamp, limit: u32) -> Result<u32, Outage> {
        // The record stays for the retention period, whatever the policy thinks of it (R6).
        let over = self.now.saturating_sub(self.parameters.retention);
        let permitted = self.operation == Operation::Sweep && ended_until <= over;
        let tenants = self.tenants.clone();
        self.write(permitted, |transaction| {
            transaction.forget_tokens(&tenants, ended_until, limit)
        })
    }

    fn forget_sessions(
        &mut self,
        opened_until: Timestamp,
        used_until: Timestamp,
        limit: u32,
    ) -> Result<u32, Outage> {
        let permitted = self.operation == Operation::Sweep;
        let tenants = self.tenants.clone();
        self.write(permitted, |transaction| {
            transaction.forget_sessions(&tenants, opened_until, used_until, limit)
        })
    }
}
