//! What a policy can reach during one call: the host's side of the contract, narrowed to the operation.
//!
//! A policy may read what it likes of the tenants that it governs, since it decides about all of it; where tenants have
//! policies of their own, another's records are out of its reach ([`Call::tenants`]). It may write only what the operation is for:
//! a verification notes a use, a revocation of one token ends that token, and so on. Anything else is a breach: the
//! call ends as a fault and its transaction is rolled back, so a policy cannot do one thing in the name of another.

use std::collections::HashSet;
use std::sync::Arc;

use patrol_policy::token::{self, Kind, SCHEME_PEPPERED, SCHEME_SHA256};
use patrol_policy::types::{
    Audience, Digest, Duration, Id, Outage, Parameters, PreviousSecret, Refusal, RefusalReason, Scope,
    SessionState, Timestamp, Token,
};

use super::exchange::{Answer, Matches, Presented, Tape};
use super::moves::Move;
use super::pepper::{Keyring, Pepper};
use super::{Error, floor};
use crate::policy::{Ending, Fault};
use crate::store::{
    Read, ReadRecords, SessionRead, Store, StoreError, Tenants, TokenRead, TokenRow, Transaction,
    WriteRecords,
};

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
    /// Records that were made up for a replay. What it may do to them is the same.
    Replayed {
        records: Box<dyn WriteRecords>,
        in_transaction: bool,
    },
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
    pub(crate) parameters: Parameters,
    operation: Operation,
    records: Records,
    /// What storage answers is taken down here, where somebody listens.
    tape: Option<Tape>,
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
        let records = transaction.map_or(Records::Points, Records::Transaction);
        Self::over(store, keyring, now, parameters, operation, records)
    }

    /// A call that is made again, over records that were made up for it.
    pub(crate) fn again(
        store: &Arc<dyn Store>,
        keyring: &Arc<Keyring>,
        now: Timestamp,
        parameters: Parameters,
        operation: Operation,
        records: Box<dyn WriteRecords>,
        in_transaction: bool,
    ) -> Self {
        let records = Records::Replayed {
            records,
            in_transaction,
        };
        Self::over(store, keyring, now, parameters, operation, records)
    }

    fn over(
        store: &Arc<dyn Store>,
        keyring: &Arc<Keyring>,
        now: Timestamp,
        parameters: Parameters,
        operation: Operation,
        records: Records,
    ) -> Self {
        Self {
            store: Arc::clone(store),
            keyring: Arc::clone(keyring),
            pepper: None,
            now,
            parameters,
            operation,
            records,
            tape: None,
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

    /// Takes down from now on what storage answers to the policy.
    pub(crate) fn listen(&mut self) {
        self.tape = Some(Tape::new());
    }

    /// What was taken down.
    pub(crate) fn take_tape(&mut self) -> Option<Tape> {
        self.tape.take()
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
            Records::Points | Records::Replayed { .. } => {
                Err(StoreError::Unavailable("no view of the store".to_owned()))
            }
        }
    }

    /// The records that the policy sees, as of now: what it wrote is there.
    pub(crate) fn records(&mut self) -> Result<&dyn ReadRecords, StoreError> {
        match self.records {
            Records::Replayed { ref records, .. } => Ok(&**records),
            _ => Ok(self.read()?),
        }
    }

    /// What a presented text is, and what its secret matches (R3).
    pub(crate) fn presented(&mut self, kind: Kind, presented: &[u8]) -> Presented {
        let text = match token::parse(kind, presented) {
            Ok(text) => text,
            Err(RefusalReason::BadChecksum) => return Presented::BadChecksum,
            Err(_) => return Presented::Malformed,
        };
        let id = text.id();
        let matches = if kind == Kind::Session {
            let seen = self.session.as_ref().map(|seen| seen.state.session);
            let seen = seen.filter(|session| session.id == id);
            // A policy may have refused without a look at it.
            let session = seen.or_else(|| Some(self.store.session(id).ok().flatten()?.state.session));
            session.map(|session| floor::session_match(&text, &session))
        } else {
            let seen = self.token.as_ref().map(|seen| seen.state.token);
            let seen = seen.filter(|token| token.id == id);
            let token = seen.or_else(|| Some(self.store.token(id).ok().flatten()?.state.token));
            token.map(|token| {
                // Without its pepper nothing matches, and there was no verdict either.
                let mac = self.mac_of(presented, &token).ok().flatten();
                floor::token_match(&text, mac, &token)
            })
        };
        Presented::Text {
            id,
            matches: matches.unwrap_or(Matches::Nothing),
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
        if let Records::Replayed { records, .. } = &self.records {
            return Ok(records.token_state(id)?.map(|state| TokenRead {
                state,
                row: Arc::new(TokenRow::nameless(state)),
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
        if let Records::Replayed { records, .. } = &self.records {
            let state = records.session_state(id)?;
            return Ok(state.map(|state| SeenSession { state, row: None }));
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

    fn ask<T>(
        &mut self,
        question: impl FnOnce(&dyn ReadRecords) -> Result<T, StoreError>,
    ) -> Result<T, Outage> {
        let answer = self.records().and_then(question);
        self.told(answer)
    }

    /// Takes an answer down, if somebody listens.
    fn note(&mut self, answer: impl FnOnce() -> Answer) {
        if let Some(tape) = &mut self.tape {
            tape.push(answer());
        }
    }

    /// A write that the operation is for.
    fn write<T>(
        &mut self,
        permitted: bool,
        change: impl FnOnce(&mut dyn WriteRecords) -> Result<T, StoreError>,
    ) -> Result<T, Outage> {
        let records: &mut dyn WriteRecords = match &mut self.records {
            Records::Transaction(transaction) => &mut **transaction,
            Records::Replayed {
                records,
                in_transaction: true,
            } => &mut **records,
            _ => return self.breached("it wrote where it was only asked"),
        };
        if !permitted {
            return self.breached("it wrote something other than what it was asked for");
        }
        let result = change(records);
        self.told(result)
    }

    /// A write that gives a token a secret, once a call: a second one would be a secret that nobody asked for.
    fn mint(
        &mut self,
        token: Id,
        permitted: bool,
        change: impl FnOnce(&mut dyn WriteRecords) -> Result<(), StoreError>,
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

mod host;
#[cfg(test)]
mod tests;
