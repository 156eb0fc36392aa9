//! Answers to what a candidate asks: out of the exchange that is replayed, with what differs laid over it, and where the
//! exchange lacks the question, out of the store as it is now.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use patrol_policy::types::{
    Census, Digest, End, Id, LiveRule, Owner, PreviousSecret, Scope, Session, SessionState, Timestamp, Token,
    TokenState,
};

use super::world::{Secrets, TokenDelta, World, is_live};
use crate::service::exchange::{Answer, Exchange};
use crate::store::{Read, ReadRecords, Result, Store, StoreError, Tenants, TokenFilter, WriteRecords};

/// What a replay works at.
pub(super) struct Desk {
    pub(super) world: World,
    pub(super) exchange: Arc<Exchange>,
    store: Arc<dyn Store>,
    /// The store as it is now, opened when it is first needed.
    snapshot: Option<Box<dyn Read>>,
    /// How often which function was answered from the store as it is now.
    pub(super) unanswered: BTreeMap<&'static str, u64>,
}

/// A desk that a call and whoever makes it share.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Desk>>);

impl Shared {
    pub(super) fn new(world: World, exchange: Arc<Exchange>, store: Arc<dyn Store>) -> Self {
        Self(Arc::new(Mutex::new(Desk {
            world,
            exchange,
            store,
            snapshot: None,
            unanswered: BTreeMap::new(),
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Desk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    /// Puts another exchange on the desk.
    pub(super) fn turn_to(&mut self, exchange: &Arc<Exchange>) {
        self.exchange = Arc::clone(exchange);
        self.snapshot = None;
        for answer in &exchange.answers {
            match answer {
                Answer::Token(_, Some(seen)) => self.world.saw(&seen.state()),
                Answer::Session(_, Some(seen)) => self.world.saw(&seen.token.state()),
                Answer::List(_, _, list) => list.iter().for_each(|seen| self.world.saw(&seen.state())),
                _ => {}
            }
        }
    }

    fn now_stored(&mut self, function: &'static str) -> Result<&dyn Read> {
        let count = self.unanswered.entry(function).or_default();
        *count = count.saturating_add(1);
        self.stored()
    }

    /// The store as it is now, for what is not counted.
    pub(super) fn stored(&mut self) -> Result<&dyn Read> {
        if self.snapshot.is_none() {
            self.snapshot = Some(self.store.read()?);
        }
        match &self.snapshot {
            Some(read) => Ok(&**read),
            None => Err(StoreError::Unavailable("no view of the store".to_owned())),
        }
    }

    /// A token in the exchange; `None`: it does not say.
    pub(super) fn recorded_token(&self, id: Id) -> Option<Option<TokenState>> {
        let mut absent = false;
        for answer in &self.exchange.answers {
            let seen = match answer {
                Answer::Token(asked, Some(seen)) if *asked == id => Some(seen),
                Answer::Token(asked, None) if *asked == id => {
                    absent = true;
                    None
                }
                Answer::Session(_, Some(seen)) if seen.token.id == id => Some(&seen.token),
                Answer::List(_, _, list) => list.iter().find(|seen| seen.id == id),
                _ => None,
            };
            if let Some(seen) = seen {
                return Some(Some(seen.state()));
            }
        }
        absent.then_some(None)
    }

    /// A token among the live records.
    pub(super) fn live_token(&mut self, id: Id, counted: bool) -> Result<Option<TokenState>> {
        if let Some(known) = self.recorded_token(id) {
            return Ok(known);
        }
        let stored = if counted {
            self.now_stored("get-token")?
        } else {
            self.stored()?
        };
        stored.token_state(id)
    }

    fn recorded_owner(&self, id: Id) -> Option<Option<Owner>> {
        self.exchange.answers.iter().find_map(|answer| match answer {
            Answer::Owner(asked, owner) if *asked == id => Some(*owner),
            Answer::Token(_, Some(seen)) if seen.owner.id == id => Some(Some(seen.owner)),
            Answer::Session(_, Some(seen)) if seen.token.owner.id == id => Some(Some(seen.token.owner)),
            Answer::List(_, _, list) => {
                let seen = list.iter().find(|seen| seen.owner.id == id)?;
                Some(Some(seen.owner))
            }
            _ => None,
        })
    }

    fn live_owner(&mut self, id: Id, counted: bool) -> Result<Option<Owner>> {
        if let Some(known) = self.recorded_owner(id) {
            return Ok(known);
        }
        let stored = if counted {
            self.now_stored("get-owner")?
        } else {
            self.stored()?
        };
        stored.owner(id)
    }

    /// A token as the candidate has it.
    pub(super) fn token(&mut self, id: Id, counted: bool) -> Result<Option<TokenState>> {
        if let Some(made) = self.world.token(id).and_then(|delta| delta.made) {
            let owner = self.live_owner(made.owner, counted)?;
            let owner = owner.map(|owner| self.world.owner(owner));
            return Ok(owner.map(|owner| TokenState { token: made, owner }));
        }
        let live = self.live_token(id, counted)?;
        Ok(live.and_then(|live| self.world.laid_over(&live)))
    }

    /// A session among the live records.
    fn live_session(&mut self, id: Id, counted: bool) -> Result<Option<SessionState>> {
        let known = self.exchange.answers.iter().find_map(|answer| match answer {
            Answer::Session(asked, seen) if *asked == id => Some(seen.map(|seen| seen.state())),
            _ => None,
        });
        if let Some(known) = known {
            return Ok(known);
        }
        let stored = if counted {
            self.now_stored("get-session")?
        } else {
            self.stored()?
        };
        stored.session_state(id)
    }

    /// A session as the candidate has it.
    pub(super) fn session(&mut self, id: Id, counted: bool) -> Result<Option<SessionState>> {
        if let Some(session) = self.world.session(id).and_then(|delta| delta.made) {
            if self.is_forgotten(id) {
                return Ok(None);
            }
            let token = self.token(session.token, counted)?;
            return Ok(token.map(|token| SessionState { session, token }));
        }
        let Some(live) = self.live_session(id, counted)? else {
            return Ok(None);
        };
        let token = match self
            .world
            .token(live.token.token.id)
            .is_some_and(|delta| delta.made.is_some())
        {
            true => None,
            false => self.world.laid_over(&live.token),
        };
        let session = self.session_laid_over(live.session);
        Ok(session
            .zip(token)
            .map(|(session, token)| SessionState { session, token }))
    }

    /// Whether the live session, in whose place this one is, was swept.
    fn is_forgotten(&self, own: Id) -> bool {
        self.exchange.answers.iter().any(|answer| match answer {
            Answer::Session(live, None) => self.world.alias(*live) == Some(own),
            _ => false,
        })
    }

    fn session_laid_over(&self, live: Session) -> Option<Session> {
        let delta = self.world.session(live.id);
        if delta.is_some_and(|delta| delta.absent) {
            return None;
        }
        Some(Session {
            digest: self.world.stand_ins.session_digest(live.id),
            last_used: delta.and_then(|delta| delta.last_used).unwrap_or(live.last_used),
            ended: delta.and_then(|delta| delta.ended).unwrap_or(live.ended),
            ..live
        })
    }

    /// The tokens of an owner that differ, each as it is among the live records and as the candidate has it.
    fn differing(&mut self, owner: Id) -> Result<Vec<(Option<TokenState>, Option<TokenState>, TokenDelta)>> {
        let deltas: Vec<_> = self
            .world
            .tokens_of(owner)
            .map(|(id, delta)| (id, delta.clone()))
            .collect();
        let mut both = Vec::with_capacity(deltas.len());
        for (id, delta) in deltas {
            let own = match (delta.made.is_some(), delta.live) {
                (true, _) => self.token(id, false)?,
                (false, Some(mut live)) => {
                    // The owner may have changed since the token was last seen.
                    if let Some(Some(owner)) = self.recorded_owner(owner) {
                        live.owner = owner;
                    }
                    self.world.laid_over(&live)
                }
                (false, None) => None,
            };
            both.push((delta.live.filter(|_| delta.made.is_none()), own, delta));
        }
        Ok(both)
    }

    /// How many more tokens of an owner live for the candidate than do among the live records; and how many fewer.
    fn balance(&mut self, owner: Id, rule: LiveRule) -> Result<(u32, u32)> {
        let (mut more, mut fewer) = (0_u32, 0_u32);
        for (live, own, _) in self.differing(owner)? {
            let lives = live.is_some_and(|live| is_live(&live, rule));
            match (lives, own.is_some_and(|own| is_live(&own, rule))) {
                (false, true) => more = more.saturating_add(1),
                (true, false) => fewer = fewer.saturating_add(1),
                _ => {}
            }
        }
        Ok((more, fewer))
    }

    /// Whether the candidate itself has just ended all that this rule calls live.
    fn has_ended(&self, owner: Id, rule: LiveRule) -> bool {
        let scope = self.world.scope(owner);
        scope.is_some_and(|scope| {
            let covers =
                |(ended, _): &(LiveRule, End)| ended.now == rule.now && ended.idle_since <= rule.idle_since;
            scope.ended.iter().any(covers)
        })
    }

    /// An owner's live tokens as the candidate has them.
    fn live_list(&mut self, owner: Id, rule: LiveRule, function: &'static str) -> Result<Vec<TokenState>> {
        let known = self.exchange.answers.iter().find_map(|answer| match answer {
            Answer::List(asked, by, list) if (*asked, *by) == (owner, rule) => {
                Some(list.iter().map(|seen| seen.state()).collect())
            }
            _ => None,
        });
        let live: Vec<TokenState> = match known {
            Some(known) => known,
            None => {
                let mut stored = self.now_stored(function)?.list_live_tokens(owner, rule)?;
                // The store is that of today: what was made by this decision, or later, was not there.
                let at = self.exchange.at;
                stored.retain(|state| state.token.created < at);
                stored
            }
        };
        let mut list: Vec<_> = live
            .iter()
            .filter_map(|live| self.world.laid_over(live))
            .collect();
        for (_, own, _) in self.differing(owner)? {
            if let Some(own) = own
                && !list.iter().any(|one| one.token.id == own.token.id)
            {
                list.push(own);
            }
        }
        list.retain(|state| is_live(state, rule));
        list.sort_by_key(|state| (state.token.created, state.token.id));
        Ok(list)
    }

    fn count(&mut self, owner: Id, rule: LiveRule) -> Result<u32> {
        let known = self.exchange.answers.iter().find_map(|answer| match answer {
            Answer::Count(asked, by, count) if (*asked, *by) == (owner, rule) => Some(*count),
            _ => None,
        });
        let known = known.or_else(|| self.has_ended(owner, rule).then_some(0));
        match known {
            Some(count) => {
                let (more, fewer) = self.balance(owner, rule)?;
                Ok(count.saturating_add(more).saturating_sub(fewer))
            }
            None => {
                let list = self.live_list(owner, rule, "count-live-tokens")?;
                Ok(u32::try_from(list.len()).unwrap_or(u32::MAX))
            }
        }
    }

    fn name_exists(&mut self, owner: Id, name: &str, rule: LiveRule) -> Result<bool> {
        let known = self.exchange.answers.iter().find_map(|answer| match answer {
            Answer::Name(asked, what, by, exists) if (*asked, what.as_str(), *by) == (owner, name, rule) => {
                Some(*exists)
            }
            _ => None,
        });
        let live = match known {
            Some(known) => known,
            None => {
                let at = self.exchange.at;
                let filter = TokenFilter {
                    owner: Some(owner),
                    live: Some(rule),
                    limit: u32::MAX,
                    ..TokenFilter::default()
                };
                let stored = self.now_stored("live-name-exists")?.token_rows(&filter)?;
                stored
                    .iter()
                    .any(|row| row.name == name && row.state.token.created < at)
            }
        };
        // A name is one token's at a time, among the live records as for the candidate.
        let mut exists = live;
        for (theirs, own, delta) in self.differing(owner)? {
            let lives = theirs.is_some_and(|theirs| is_live(&theirs, rule));
            let own_lives = own.is_some_and(|own| is_live(&own, rule));
            if lives == own_lives {
                continue;
            }
            let id = own.or(theirs).map(|state| state.token.id).unwrap_or_default();
            let named = match delta.name {
                Some(named) => Some(named),
                None => self.stored()?.token_row(id)?.map(|row| row.name),
            };
            if named.as_deref() == Some(name) {
                exists = own_lives;
                if own_lives {
                    break;
                }
            }
        }
        Ok(exists)
    }

    fn sessions(&mut self, token: Id) -> Result<Vec<Session>> {
        let known = self.exchange.answers.iter().find_map(|answer| match answer {
            Answer::Sessions(asked, list) if *asked == token => {
                Some(list.iter().map(|seen| seen.session(token)).collect())
            }
            _ => None,
        });
        let live: Vec<Session> = match known {
            Some(known) => known,
            None => self.now_stored("list-open-sessions")?.list_open_sessions(token)?,
        };
        let mut list: Vec<_> = live
            .into_iter()
            .filter(|live| self.world.alias(live.id).is_none())
            .filter_map(|live| self.session_laid_over(live))
            .collect();
        let made = self.world.sessions_of(token).filter_map(|(_, delta)| delta.made);
        list.extend(made);
        list.retain(|session| session.ended.is_none());
        list.sort_by_key(|session| (session.opened, session.id));
        Ok(list)
    }

    fn method(&mut self, scope: Scope) -> Result<Option<String>> {
        let (Scope::Tenant(id) | Scope::Owner(id)) = scope;
        if let Some(method) = self.world.scope(id).and_then(|delta| delta.method.clone()) {
            return Ok(Some(method));
        }
        let known = self.exchange.answers.iter().find_map(|answer| match answer {
            Answer::Method(asked, method) if *asked == scope => Some(method.clone()),
            _ => None,
        });
        match known {
            Some(known) => Ok(known),
            None => self.now_stored("get-auth-method")?.auth_method(scope),
        }
    }

    fn census(&mut self, scope: Scope, rule: LiveRule) -> Result<Census> {
        let known = self.exchange.answers.iter().find_map(|answer| match answer {
            Answer::Census(asked, by, census) if (*asked, *by) == (scope, rule) => Some(*census),
            _ => None,
        });
        let mut census = match known {
            Some(known) => known,
            None => self.now_stored("take-census")?.census(scope, rule)?,
        };
        let owners: Vec<_> = match scope {
            Scope::Owner(owner) => vec![owner],
            Scope::Tenant(_) => self.world.owners().collect(),
        };
        for owner in owners {
            let within = match scope {
                Scope::Owner(_) => true,
                Scope::Tenant(tenant) => self.live_owner(owner, false)?.is_some_and(|o| o.tenant == tenant),
            };
            if within {
                let (more, fewer) = self.balance(owner, rule)?;
                census.tokens = census
                    .tokens
                    .saturating_add(more.into())
                    .saturating_sub(fewer.into());
            }
        }
        if matches!(scope, Scope::Owner(_)) {
            census.owners = census.tokens.min(1);
        }
        Ok(census)
    }

    fn end_all(&mut self, owner: Id, rule: LiveRule, end: End) -> Result<u32> {
        let known = self.exchange.answers.iter().find_map(|answer| match answer {
            Answer::Ended(asked, by, count) if (*asked, *by) == (owner, rule) => Some(*count),
            _ => None,
        });
        let count = match known {
            Some(count) => {
                let (more, fewer) = self.balance(owner, rule)?;
                count.saturating_add(more).saturating_sub(fewer)
            }
            None => {
                let list = self.live_list(owner, rule, "end-live-tokens")?;
                u32::try_from(list.len()).unwrap_or(u32::MAX)
            }
        };
        for (_, own, _) in self.differing(owner)? {
            if let Some(own) = own.filter(|own| is_live(own, rule)) {
                self.end(own.token.id, end)?;
            }
        }
        self.world.change_scope(owner).ended.push((rule, end));
        Ok(count)
    }

    fn end(&mut self, id: Id, end: End) -> Result<()> {
        let Some(state) = self.token(id, false)?.filter(|state| state.token.ended.is_none()) else {
            return Ok(());
        };
        let live = self.live_token(id, false)?;
        let delta = self.world.change_token(id, state.token.owner, live.as_ref());
        match &mut delta.made {
            Some(made) => {
                made.ended = Some(end);
                made.scheme = patrol_policy::token::SCHEME_ERASED;
                made.digest = Digest::default();
                made.previous = None;
            }
            None => delta.ended = Some(Some(end)),
        }
        Ok(())
    }
}

impl ReadRecords for Shared {
    fn token_state(&self, id: Id) -> Result<Option<TokenState>> {
        self.lock().token(id, true)
    }

    fn owner(&self, id: Id) -> Result<Option<Owner>> {
        let mut desk = self.lock();
        let owner = desk.live_owner(id, true)?;
        Ok(owner.map(|owner| desk.world.owner(owner)))
    }

    fn count_live_tokens(&self, owner: Id, rule: LiveRule) -> Result<u32> {
        self.lock().count(owner, rule)
    }

    fn live_name_exists(&self, owner: Id, name: &str, rule: LiveRule) -> Result<bool> {
        self.lock().name_exists(owner, name, rule)
    }

    fn list_live_tokens(&self, owner: Id, rule: LiveRule) -> Result<Vec<TokenState>> {
        self.lock().live_list(owner, rule, "list-live-tokens")
    }

    fn list_open_sessions(&self, token: Id) -> Result<Vec<Session>> {
        self.lock().sessions(token)
    }

    fn session_state(&self, id: Id) -> Result<Option<SessionState>> {
        self.lock().session(id, true)
    }

    fn auth_method(&self, scope: Scope) -> Result<Option<String>> {
        self.lock().method(scope)
    }

    fn census(&self, scope: Scope, rule: LiveRule) -> Result<Census> {
        self.lock().census(scope, rule)
    }

    fn list_lapsed_tokens(&self, tenants: &Tenants, rule: LiveRule, limit: u32) -> Result<Vec<TokenState>> {
        // For sweeping alone, which is not replayed. A policy may look all the same.
        self.lock()
            .now_stored("list-lapsed-tokens")?
            .list_lapsed_tokens(tenants, rule, limit)
    }
}

impl WriteRecords for Shared {
    fn insert_token(&mut self, token: &Token, name: &str) -> Result<()> {
        let mut desk = self.lock();
        if desk.token(token.id, false)?.is_some() {
            return Err(StoreError::Unavailable("the token exists".to_owned()));
        }
        let delta = desk.world.change_token(token.id, token.owner, None);
        delta.made = Some(*token);
        delta.name = Some(name.to_owned());
        Ok(())
    }

    fn replace_secret(
        &mut self,
        id: Id,
        generation: u32,
        scheme: u8,
        digest: Digest,
        previous: Option<PreviousSecret>,
    ) -> Result<()> {
        let secrets = Secrets {
            generation,
            scheme,
            digest,
            previous,
        };
        let mut desk = self.lock();
        let Some(state) = desk.token(id, false)? else {
            return Err(StoreError::Unavailable("there is no such token".to_owned()));
        };
        let live = desk.live_token(id, false)?;
        let delta = desk.world.change_token(id, state.token.owner, live.as_ref());
        match &mut delta.made {
            Some(made) => secrets.put(made),
            None => delta.secrets = Some(secrets),
        }
        Ok(())
    }

    fn end_token(&mut self, id: Id, end: End) -> Result<()> {
        self.lock().end(id, end)
    }

    fn end_live_tokens(&mut self, owner: Id, rule: LiveRule, end: End) -> Result<u32> {
        self.lock().end_all(owner, rule, end)
    }

    fn insert_session(&mut self, session: &Session) -> Result<()> {
        let mut desk = self.lock();
        desk.world.change_session(session.id, session.token).made = Some(*session);
        Ok(())
    }

    fn end_session(&mut self, id: Id, end: End) -> Result<()> {
        let mut desk = self.lock();
        let known = match desk.world.session(id) {
            Some(delta) => Some(delta.token),
            None => {
                let token = desk.exchange.answers.iter().find_map(|answer| match answer {
                    Answer::Sessions(token, list) => list.iter().any(|one| one.id == id).then_some(*token),
                    _ => None,
                });
                match token {
                    Some(token) => Some(token),
                    None => desk.session(id, false)?.map(|state| state.session.token),
                }
            }
        };
        let Some(token) = known else {
            return Err(StoreError::Unavailable("there is no such session".to_owned()));
        };
        let delta = desk.world.change_session(id, token);
        match &mut delta.made {
            Some(made) => made.ended = made.ended.or(Some(end)),
            None => delta.ended = Some(delta.ended.flatten().or(Some(end))),
        }
        Ok(())
    }

    fn set_auth_method(&mut self, scope: Scope, method: &str, at: Timestamp) -> Result<()> {
        let (Scope::Tenant(id) | Scope::Owner(id)) = scope;
        let mut desk = self.lock();
        let delta = desk.world.change_scope(id);
        delta.changes.push((at, true));
        delta.method = Some(method.to_owned());
        Ok(())
    }

    fn erase_previous_secrets(&mut self, _: &Tenants, _: Timestamp, _: u32) -> Result<u32> {
        Err(not_swept())
    }

    fn forget_tokens(&mut self, _: &Tenants, _: Timestamp, _: u32) -> Result<u32> {
        Err(not_swept())
    }

    fn forget_sessions(&mut self, _: &Tenants, _: Timestamp, _: Timestamp, _: u32) -> Result<u32> {
        Err(not_swept())
    }
}

fn not_swept() -> StoreError {
    StoreError::Unavailable("a replay does not sweep".to_owned())
}
