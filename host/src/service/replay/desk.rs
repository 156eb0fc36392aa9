//! Answers to what a candidate asks: out of the exchange that is replayed, with what differs laid over it, and where the
//! exchange lacks the question, out of the store as it is now.

mod counts;
mod records;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use patrol_policy::types::{Digest, End, Id, Owner, Scope, Session, SessionState, TokenState};

use super::world::World;
use crate::service::exchange::{Answer, Exchange};
use crate::store::{Read, Result, Store, StoreError};

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
