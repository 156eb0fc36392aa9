//! What a policy can reach during one call: the host's side of the contract, narrowed to the operation.
//!
//! A policy may read what it likes of the tenants that it governs, since it decides about all of it; where tenants have
//! policies of their own, another's records are out of its reach ([`Call::tenants`]). It may write only what the operation is for:
//! a verification notes a use, a revocation of one token ends that token, and so on. Anything else is a breach: the
//! call ends as a fault and its transaction is rolled back, so a policy cannot do one thing in the name of another.

use std::collections::HashSet;
use std::sync::Arc;

use patrol_policy::Host;
use patrol_policy::token::{self, Kind, SCHEME_PEPPERED, SCHEME_SHA256};
use patrol_policy::types::{
    Audience, Cause, Census, Digest, Duration, End, Id, LiveRule, Outage, Owner, Parameters, PreviousSecret,
    Refusal, RefusalReason, Scope, Session, SessionState, Timestamp, Token, TokenState,
};

use super::Error;
use super::moves::Move;
use super::pepper::{Keyring, Pepper};
use crate::policy::{Ending, Fault};
use crate::store::{Read, SessionRead, Store, StoreError, Tenants, TokenRead, Transaction};

/// What a call is for, and so what it may write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Reads only.
    Look,
    /// Notes a use of the presented token, and that it be moved to another scheme.
    Authenticate,
    /// Notes a use and a move likewise, and inserts a session of the presented token, ending others of it.
    OpenSession,
    /// Notes a use of the presented session.
    CheckSession,
    /// Ends the presented session.
    CloseSession,
    /// Inserts a token such as this.
    Issue {
        owner: Id,
        expires: Timestamp,
        audience: Audience,
    },
    /// Ends this token.
    Revoke(Id),
    /// Ends the live tokens of this owner.
    RevokeAll(Id),
    /// Replaces the secret of this token; the one before works for `overlap` more, ms.
    Rotate { token: Id, overlap: Duration },
    /// Sets this scope's method to this.
    ChangeMethod(Scope, String),
    /// Ends, erases and forgets.
    Sweep,
}

/// Where the records come from.
enum Records {
    /// The hot path: point reads from the store, nothing else opened yet.
    Points,
    /// A snapshot, opened when a policy asked for more than a point read.
    Snapshot(Box<dyn Read>),
    /// A transaction.
    Transaction(Box<dyn Transaction>),
}

/// A record of the hot path that was read before the call, to find out whose policy it is for.
#[derive(Default)]
pub(crate) enum Found {
    /// None was.
    #[default]
    Nothing,
    /// What there is under this identifier.
    Token(Id, Option<TokenRead>),
    /// What there is under this identifier.
    Session(Id, Option<SessionRead>),
}

/// One call to the policy: the [`Host`] that it sees, and what the host learned from it.
pub(crate) struct Call {
    store: Arc<dyn Store>,
    keyring: Arc<Keyring>,
    /// The pepper, once it was needed in this call.
    pepper: Option<Arc<Pepper>>,
    pub(crate) now: Timestamp,
    parameters: Parameters,
    operation: Operation,
    records: Records,
    /// Those whose records the policy may see, and change.
    pub(crate) tenants: Tenants,
    /// Answers the first question for this record, on the hot path.
    pub(crate) found: Found,
    /// The rules of this policy, as far as it says what they are.
    pub(crate) rules: Parameters,
    /// The last token and session that were read, for the floor and for names.
    pub(crate) token: Option<TokenRead>,
    pub(crate) session: Option<SeenSession>,
    /// The use that the policy wants noted.
    pub(crate) used: bool,
    /// The move to another scheme that the policy wants noted.
    pub(crate) moved: Option<Move>,
    /// The token whose secret the policy stored, by inserting it or by replacing its secret.
    pub(crate) minted: Option<Id>,
    /// The authentication method that the policy replaced.
    pub(crate) replaced: Option<String>,
    failure: Option<StoreError>,
    breach: Option<&'static str>,
    /// Sessions that were listed as open, which may be ended by a new one, each with its token.
    listed: Vec<(Id, Id)>,
    /// Tokens that were listed as lapsed, which a sweep may end.
    lapsed: HashSet<Id>,
    /// Sessions that were ended, or stored, each with its token.
    pub(crate) closed: Vec<(Id, Id)>,
    pub(crate) opened: Option<(Id, Id)>,
}

/// A session with its token's names, if they have been read.
pub(crate) struct SeenSession {
    pub(crate) state: SessionState,
    pub(crate) row: Option<Arc<crate::store::SessionRow>>,
}

impl Call {
    pub(crate) fn new(
        store: &Arc<dyn Store>,
        keyring: &Arc<Keyring>,
        now: Timestamp,
        parameters: Parameters,
        operation: Operation,
        transaction: Option<Box<dyn Transaction>>,
    ) -> Self {
        Self {
            store: Arc::clone(store),
            keyring: Arc::clone(keyring),
            pepper: None,
            now,
            parameters,
            operation,
            records: transaction.map_or(Records::Points, Records::Transaction),
            tenants: Tenants::All,
            found: Found::Nothing,
            rules: parameters,
            token: None,
            session: None,
            used: false,
            moved: None,
            minted: None,
            replaced: None,
            failure: None,
            breach: None,
            listed: Vec::new(),
            lapsed: HashSet::new(),
            closed: Vec::new(),
            opened: None,
        }
    }

    /// What the call came to: a yes is a yes only if nothing went wrong on the host's side.
    pub(crate) fn settle<T>(&mut self, answer: Result<T, Ending>) -> Result<T, Error> {
        if let Some(breach) = self.breach {
            return Err(Fault::Contract(breach.to_owned()).into());
        }
        if let Some(failure) = self.failure.take() {
            return Err(failure.into());
        }
        if self.moved.is_some() && matches!(answer, Err(Ending::Refused(_))) {
            return Err(Fault::Contract("it moved a token that it refused".to_owned()).into());
        }
        if self.refuses_blindly(&answer) {
            return Err(
                Fault::Contract("it refused a peppered secret that it could not tell".to_owned()).into(),
            );
        }
        Ok(answer?)
    }

    /// Whether a secret was called wrong that takes a MAC to tell, and none was asked for: by a policy from before there
    /// were any, most likely. Whoever presents a token that is good must not hear that it is not.
    fn refuses_blindly<T>(&self, answer: &Result<T, Ending>) -> bool {
        let wrong = |refusal: &Refusal| refusal.reason == RefusalReason::WrongSecret;
        matches!(answer, Err(Ending::Refused(refusal)) if wrong(refusal))
            && matches!(self.operation, Operation::Authenticate | Operation::OpenSession)
            && self.pepper.is_none()
            && self
                .token
                .as_ref()
                .is_some_and(|seen| token::is_peppered(&seen.state.token))
    }

    /// What the host itself makes of a presented secret under the pepper, where it takes that to tell whether it is
    /// this token's. None also for a text that has no secret in it.
    pub(crate) fn mac_of(&mut self, presented: &[u8], token: &Token) -> Result<Option<Digest>, StoreError> {
        if !token::is_peppered(token) {
            return Ok(None);
        }
        let Ok(text) = token::parse(Kind::Pat, presented) else {
            return Ok(None);
        };
        let pepper = match &self.pepper {
            Some(pepper) => Arc::clone(pepper),
            None => self.used_pepper()?,
        };
        Ok(Some(pepper.mac(&text.digest())))
    }

    /// The pepper that records were made with: none is made.
    fn used_pepper(&mut self) -> Result<Arc<Pepper>, StoreError> {
        if let Some(known) = self.keyring.known() {
            return Ok(known);
        }
        let check = self.read()?.pepper_check()?;
        Ok(self.keyring.find(check)?)
    }

    /// The pepper, for whatever the policy wants of it. Where it has read a record that needs it, that is the one; else
    /// it may be about to make the first such record.
    fn find_pepper(&mut self) -> Result<Arc<Pepper>, StoreError> {
        if let Some(pepper) = &self.pepper {
            return Ok(Arc::clone(pepper));
        }
        let used = |seen: &TokenRead| token::is_peppered(&seen.state.token);
        let pepper = if self.token.as_ref().is_some_and(used) {
            self.used_pepper()?
        } else if let Some(known) = self.keyring.known() {
            known
        } else if let Records::Transaction(transaction) = &mut self.records {
            self.keyring.find_or_make(&mut **transaction)?
        } else {
            let mut transaction = self.store.begin()?;
            let pepper = self.keyring.find_or_make(&mut *transaction)?;
            transaction.commit()?;
            self.keyring.remember(&pepper);
            pepper
        };
        self.pepper = Some(Arc::clone(&pepper));
        Ok(pepper)
    }

    /// Whether there is an answer to what was asked without the pepper: a token that is kept without one is presented,
    /// and can at most be moved.
    fn does_without_pepper(&self) -> bool {
        matches!(self.operation, Operation::Authenticate | Operation::OpenSession)
            && self
                .token
                .as_ref()
                .is_some_and(|seen| !token::is_peppered(&seen.state.token))
    }

    /// Notes that the presented token is to be moved to another scheme.
    fn note_move(
        &mut self,
        id: Id,
        generation: u32,
        now: (u8, Digest),
        previous: Option<PreviousSecret>,
    ) -> Result<(), Outage> {
        let before = self.token.as_ref().map(|seen| seen.state.token);
        // Nobody makes the right MAC without having asked for it.
        let judged = match (before, &self.pepper, self.moved) {
            (Some(before), Some(pepper), None) if before.id == id => {
                Move::judge(&before, generation, now, previous, pepper)
            }
            _ => None,
        };
        if judged.is_none() {
            return self.breached("it moved a token in a way that the contract does not know");
        }
        // Carried out once the yes has passed the floor, not before.
        self.moved = judged;
        Ok(())
    }

    /// Whether a new secret may be stored under a scheme: one that the host can verify.
    fn is_scheme_for_new(&self, scheme: u8) -> bool {
        scheme == SCHEME_SHA256 || scheme == SCHEME_PEPPERED && self.pepper.is_some()
    }

    /// The transaction that the call ran in.
    pub(crate) fn transaction(&mut self) -> Result<&mut dyn Transaction, Error> {
        match &mut self.records {
            Records::Transaction(transaction) => Ok(&mut **transaction),
            _ => Err(StoreError::Unavailable("the call has no transaction".to_owned()).into()),
        }
    }

    /// Makes what the call wrote durable.
    pub(crate) fn commit(self) -> Result<(), Error> {
        match self.records {
            Records::Transaction(mut transaction) => {
                transaction.put_clock_mark(self.now, false)?;
                Ok(transaction.commit()?)
            }
            _ => Ok(()),
        }
    }

    /// A consistent view, of the transaction if there is one.
    pub(crate) fn read(&mut self) -> Result<&dyn Read, StoreError> {
        if matches!(self.records, Records::Points) {
            self.records = Records::Snapshot(self.store.read()?);
        }
        match &self.records {
            Records::Snapshot(read) => Ok(&**read),
            Records::Transaction(transaction) => Ok(&**transaction),
            Records::Points => Err(StoreError::Unavailable("no view of the store".to_owned())),
        }
    }

    /// The token with names, as this call saw it; read now if it did not.
    pub(crate) fn seen_token(&mut self, id: Id) -> Result<Option<&TokenRead>, StoreError> {
        if self.token.as_ref().is_none_or(|seen| seen.state.token.id != id) {
            self.token = self.load_token(id)?;
        }
        Ok(self.token.as_ref())
    }

    fn load_token(&mut self, id: Id) -> Result<Option<TokenRead>, StoreError> {
        if let Records::Transaction(transaction) = &self.records {
            return Ok(transaction.token_row(id)?.map(|row| TokenRead {
                state: row.state,
                row: Arc::new(row),
            }));
        }
        match std::mem::take(&mut self.found) {
            Found::Token(found, read) if found == id => Ok(read),
            _ => self.store.token(id),
        }
    }

    fn load_session(&mut self, id: Id) -> Result<Option<SeenSession>, StoreError> {
        if let Records::Transaction(transaction) = &self.records {
            return Ok(transaction
                .session_state(id)?
                .map(|state| SeenSession { state, row: None }));
        }
        let read = match std::mem::take(&mut self.found) {
            Found::Session(found, read) if found == id => read,
            _ => self.store.session(id)?,
        };
        Ok(read.map(|read| SeenSession {
            state: read.state,
            row: Some(read.row),
        }))
    }

    /// Fails where a policy asks for what is another's to decide.
    fn governs(&mut self, tenant: Id) -> Result<(), Outage> {
        if self.tenants.contains(tenant) {
            Ok(())
        } else {
            self.breached("it asked for the records of a tenant that it does not govern")
        }
    }

    fn governs_owner(&mut self, owner: Id) -> Result<(), Outage> {
        if self.tenants == Tenants::All {
            return Ok(());
        }
        let owner = self.ask(|read| read.owner(owner))?;
        owner.map_or(Ok(()), |owner| self.governs(owner.tenant))
    }

    fn governs_scope(&mut self, scope: Scope) -> Result<(), Outage> {
        match scope {
            Scope::Tenant(tenant) => self.governs(tenant),
            Scope::Owner(owner) => self.governs_owner(owner),
        }
    }

    /// Remembers a failure of the store and tells the policy what it may know of it.
    fn told<T>(&mut self, result: Result<T, StoreError>) -> Result<T, Outage> {
        result.map_err(|error| {
            let outage = error.outage();
            self.failure.get_or_insert(error);
            outage
        })
    }

    fn ask<T>(&mut self, question: impl FnOnce(&dyn Read) -> Result<T, StoreError>) -> Result<T, Outage> {
        let answer = self.read().and_then(question);
        self.told(answer)
    }

    /// A write that the operation is for.
    fn write<T>(
        &mut self,
        permitted: bool,
        change: impl FnOnce(&mut dyn Transaction) -> Result<T, StoreError>,
    ) -> Result<T, Outage> {
        let Records::Transaction(transaction) = &mut self.records else {
            return self.breached("it wrote where it was only asked");
        };
        if !permitted {
            return self.breached("it wrote something other than what it was asked for");
        }
        let result = change(&mut **transaction);
        self.told(result)
    }

    /// A write that gives a token a secret, once a call: a second one would be a secret that nobody asked for.
    fn mint(
        &mut self,
        token: Id,
        permitted: bool,
        change: impl FnOnce(&mut dyn Transaction) -> Result<(), StoreError>,
    ) -> Result<(), Outage> {
        let first = self.minted.replace(token).is_none();
        self.write(permitted && first, change)
    }

    fn breached<T>(&mut self, breach: &'static str) -> Result<T, Outage> {
        self.breach.get_or_insert(breach);
        Err(Outage::Unavailable)
    }

    fn has_seen(&self, token: Id) -> bool {
        self.token
            .as_ref()
            .is_some_and(|seen| seen.state.token.id == token)
    }
}

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
        Ok(state)
    }

    fn get_owner(&mut self, id: Id) -> Result<Option<Owner>, Outage> {
        let owner = self.ask(|read| read.owner(id))?;
        if let Some(owner) = &owner {
            self.governs(owner.tenant)?;
        }
        Ok(owner)
    }

    fn count_live_tokens(&mut self, owner: Id, rule: LiveRule) -> Result<u32, Outage> {
        self.governs_owner(owner)?;
        self.ask(|read| read.count_live_tokens(owner, rule))
    }

    fn live_name_exists(&mut self, owner: Id, name: &str, rule: LiveRule) -> Result<bool, Outage> {
        self.governs_owner(owner)?;
        self.ask(|read| read.live_name_exists(owner, name, rule))
    }

    fn list_live_tokens(&mut self, owner: Id, rule: LiveRule) -> Result<Vec<TokenState>, Outage> {
        self.governs_owner(owner)?;
        self.ask(|read| read.list_live_tokens(owner, rule))
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
        self.write(permitted, |transaction| {
            transaction.end_live_tokens(owner, rule, end)
        })
    }

    fn get_session(&mut self, id: Id) -> Result<Option<SessionState>, Outage> {
        let loaded = self.load_session(id);
        self.session = self.told(loaded)?;
        let state = self.session.as_ref().map(|seen| seen.state);
        if let Some(state) = &state {
            self.governs(state.token.token.tenant)?;
        }
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
        Ok(sessions)
    }

    fn get_auth_method(&mut self, scope: Scope) -> Result<Option<String>, Outage> {
        self.governs_scope(scope)?;
        self.ask(|read| read.auth_method(scope))
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
        self.ask(|read| read.census(scope, rule))
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

#[cfg(test)]
mod tests;
