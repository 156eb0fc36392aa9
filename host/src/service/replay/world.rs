//! How the records would be by now if the candidate had decided: what it would have done otherwise, and nothing else.
//!
//! Where the candidate does what the live policy did, the records are the live ones, as each exchange shows them. Where
//! it does not, the difference is kept here and laid over them from then on.

use std::collections::{BTreeMap, HashMap, HashSet};

use patrol_policy::Secret;
use patrol_policy::types::{
    Cause, Digest, End, Epoch, Id, LiveRule, Owner, PreviousSecret, Session, Timestamp, Token, TokenState,
};

use super::stand_ins::StandIns;

/// How a token differs.
#[derive(Clone, Debug, Default)]
pub(super) struct TokenDelta {
    /// The live policy made it and the candidate did not.
    pub(super) absent: bool,
    /// The candidate made it and the live policy did not.
    pub(super) made: Option<Token>,
    /// Its last use, once a use was one for the one and not for the other.
    pub(super) last_used: Option<Option<Timestamp>>,
    /// Its secrets, once the candidate wrote them or did not write what the live policy wrote.
    pub(super) secrets: Option<Secrets>,
    /// How it ended, or that it did not.
    pub(super) ended: Option<Option<End>>,
    /// How it is among the live records, as far as is known.
    pub(super) live: Option<TokenState>,
    /// Its name, once it is known.
    pub(super) name: Option<String>,
}

/// A token's secrets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Secrets {
    pub(super) generation: u32,
    pub(super) scheme: u8,
    pub(super) digest: Digest,
    pub(super) previous: Option<PreviousSecret>,
}

impl Secrets {
    pub(super) const fn of(token: &Token) -> Self {
        Self {
            generation: token.generation,
            scheme: token.scheme,
            digest: token.digest,
            previous: token.previous,
        }
    }

    pub(super) const fn put(self, token: &mut Token) {
        token.generation = self.generation;
        token.scheme = self.scheme;
        token.digest = self.digest;
        token.previous = self.previous;
    }
}

/// How a session differs.
#[derive(Clone, Debug, Default)]
pub(super) struct SessionDelta {
    pub(super) absent: bool,
    pub(super) made: Option<Session>,
    pub(super) last_used: Option<Timestamp>,
    pub(super) ended: Option<Option<End>>,
    /// The token that it is of.
    pub(super) token: Id,
}

/// How a user or a tenant differs.
#[derive(Clone, Debug, Default)]
pub(super) struct ScopeDelta {
    /// Changes of method that the one made and the other did not: when, and whether it was the candidate.
    pub(super) changes: Vec<(Timestamp, bool)>,
    /// The method that the candidate has it at.
    pub(super) method: Option<String>,
    /// Ends of all live tokens that the candidate made alone.
    pub(super) ended: Vec<(LiveRule, End)>,
    /// Ends of all live tokens that the live policy made alone: when.
    pub(super) spared: Vec<Timestamp>,
}

impl ScopeDelta {
    /// An epoch, with the changes since made or unmade.
    fn epoch(&self, epoch: Epoch, until: Timestamp) -> Epoch {
        let before = self.changes.iter().filter(|(at, _)| *at <= until);
        before.fold(epoch, |epoch, (_, made)| match made {
            true => epoch.saturating_add(1),
            false => epoch.saturating_sub(1),
        })
    }

    fn epoch_since(&self, since: Timestamp) -> Timestamp {
        let made = self.changes.iter().filter(|(_, made)| *made);
        made.map(|(at, _)| *at).fold(since, Timestamp::max)
    }
}

/// What a change was about, with how that was before.
#[derive(Debug)]
enum Undo {
    Token(Id, Option<Box<TokenDelta>>),
    Session(Id, Option<SessionDelta>),
    Scope(Id, Option<ScopeDelta>),
}

/// All that differs.
pub(super) struct World {
    pub(super) stand_ins: StandIns,
    tokens: HashMap<Id, TokenDelta>,
    sessions: HashMap<Id, SessionDelta>,
    /// Users and tenants.
    scopes: HashMap<Id, ScopeDelta>,
    /// The tokens that differ, by owner.
    of_owner: HashMap<Id, HashSet<Id>>,
    /// The sessions that differ, by token.
    of_token: HashMap<Id, HashSet<Id>>,
    /// What the holder of a secret holds in its place: by record and the generation from which on it is so.
    texts: HashMap<Id, BTreeMap<u32, Secret>>,
    /// The candidate's session in the place of a live one.
    aliases: HashMap<Id, Id>,
    undo: Vec<Undo>,
}

impl World {
    pub(super) fn new(stand_ins: StandIns) -> Self {
        Self {
            stand_ins,
            tokens: HashMap::new(),
            sessions: HashMap::new(),
            scopes: HashMap::new(),
            of_owner: HashMap::new(),
            of_token: HashMap::new(),
            texts: HashMap::new(),
            aliases: HashMap::new(),
            undo: Vec::new(),
        }
    }

    pub(super) fn token(&self, id: Id) -> Option<&TokenDelta> {
        self.tokens.get(&id)
    }

    pub(super) fn session(&self, id: Id) -> Option<&SessionDelta> {
        self.sessions.get(&id)
    }

    pub(super) fn scope(&self, id: Id) -> Option<&ScopeDelta> {
        self.scopes.get(&id)
    }

    /// The tokens of an owner that differ.
    pub(super) fn tokens_of(&self, owner: Id) -> impl Iterator<Item = (Id, &TokenDelta)> {
        let ids = self.of_owner.get(&owner).into_iter().flatten();
        ids.filter_map(|id| Some((*id, self.tokens.get(id)?)))
    }

    /// All owners with tokens that differ.
    pub(super) fn owners(&self) -> impl Iterator<Item = Id> {
        self.of_owner.keys().copied()
    }

    /// The sessions of a token that differ.
    pub(super) fn sessions_of(&self, token: Id) -> impl Iterator<Item = (Id, &SessionDelta)> {
        let ids = self.of_token.get(&token).into_iter().flatten();
        ids.filter_map(|id| Some((*id, self.sessions.get(id)?)))
    }

    /// Changes how a token differs. `state` is how it is among the live records, or was made.
    pub(super) fn change_token(&mut self, id: Id, owner: Id, state: Option<&TokenState>) -> &mut TokenDelta {
        let before = self.tokens.get(&id).cloned().map(Box::new);
        self.undo.push(Undo::Token(id, before));
        self.of_owner.entry(owner).or_default().insert(id);
        let delta = self.tokens.entry(id).or_default();
        if let Some(state) = state {
            delta.live = Some(*state);
        }
        delta
    }

    pub(super) fn change_session(&mut self, id: Id, token: Id) -> &mut SessionDelta {
        self.undo.push(Undo::Session(id, self.sessions.get(&id).cloned()));
        self.of_token.entry(token).or_default().insert(id);
        let delta = self.sessions.entry(id).or_default();
        delta.token = token;
        delta
    }

    pub(super) fn change_scope(&mut self, id: Id) -> &mut ScopeDelta {
        self.undo.push(Undo::Scope(id, self.scopes.get(&id).cloned()));
        self.scopes.entry(id).or_default()
    }

    /// What the call changed stays so.
    pub(super) fn keep(&mut self) {
        self.undo.clear();
    }

    /// What the call changed is as it was before.
    pub(super) fn roll_back(&mut self) {
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Token(id, Some(before)) => drop(self.tokens.insert(id, *before)),
                Undo::Token(id, None) => drop(self.tokens.remove(&id)),
                Undo::Session(id, Some(before)) => drop(self.sessions.insert(id, before)),
                Undo::Session(id, None) => drop(self.sessions.remove(&id)),
                Undo::Scope(id, Some(before)) => drop(self.scopes.insert(id, before)),
                Undo::Scope(id, None) => drop(self.scopes.remove(&id)),
            }
        }
    }

    /// The live record of a token that differs was seen again.
    pub(super) fn saw(&mut self, state: &TokenState) {
        let Some(delta) = self.tokens.get_mut(&state.token.id) else {
            return;
        };
        delta.live = Some(*state);
        // Moved to another scheme by both: it is the live one that counts from now on.
        let stand_ins = &self.stand_ins;
        let id = state.token.id;
        let same = |secrets: &Secrets| {
            let token = &state.token;
            let digest = |generation, scheme| stand_ins.token_digest(id, generation, scheme);
            let before = token.generation.saturating_sub(1);
            let previous = token.previous.map(|previous| PreviousSecret {
                digest: digest(before, previous.scheme),
                ..previous
            });
            (secrets.generation, secrets.scheme) == (token.generation, token.scheme)
                && secrets.digest == digest(token.generation, token.scheme)
                && secrets.previous == previous
        };
        if delta.secrets.as_ref().is_some_and(same) {
            delta.secrets = None;
        }
    }

    /// A token that differs was used, by the live records.
    pub(super) fn saw_use(&mut self, id: Id, at: Timestamp) {
        if let Some(live) = self.tokens.get_mut(&id).and_then(|delta| delta.live.as_mut()) {
            live.token.last_used = live.token.last_used.max(Some(at));
        }
    }

    /// From this generation on, whoever has the secret of a record has this text in its place.
    pub(super) fn hold(&mut self, record: Id, generation: u32, text: Secret) {
        self.texts.entry(record).or_default().insert(generation, text);
    }

    /// The text in the place of a record's secret.
    pub(super) fn held(&self, record: Id, generation: u32) -> Option<Secret> {
        let mut earlier = self.texts.get(&record)?.range(..=generation);
        let (_, text) = earlier.next_back()?;
        Some(Secret::new(text.expose().to_vec()))
    }

    /// The candidate's session in the place of a live one.
    pub(super) fn alias(&self, session: Id) -> Option<Id> {
        self.aliases.get(&session).copied()
    }

    pub(super) fn set_alias(&mut self, session: Id, own: Id) {
        self.aliases.insert(session, own);
    }

    /// Forgets a session that the candidate made.
    pub(super) fn forget_session(&mut self, id: Id) {
        if let Some(delta) = self.sessions.remove(&id)
            && let Some(ids) = self.of_token.get_mut(&delta.token)
        {
            ids.remove(&id);
        }
    }

    /// Forgets sessions that were opened until then: nobody is let in with them any more.
    pub(super) fn forget_sessions(&mut self, opened_until: Timestamp) {
        let over = |delta: &SessionDelta| delta.made.is_some_and(|made| made.opened <= opened_until);
        self.sessions.retain(|_, delta| !over(delta));
        let sessions = &self.sessions;
        let texts = &mut self.texts;
        self.aliases.retain(|live, own| {
            let kept = sessions.contains_key(own);
            if !kept {
                texts.remove(live);
            }
            kept
        });
        self.of_token.retain(|_, ids| {
            ids.retain(|id| sessions.contains_key(id));
            !ids.is_empty()
        });
    }

    /// A user as the candidate has them.
    pub(super) fn owner(&self, mut owner: Owner) -> Owner {
        if let Some(delta) = self.scopes.get(&owner.id) {
            owner.epoch = delta.epoch(owner.epoch, Timestamp::MAX);
            owner.epoch_since = delta.epoch_since(owner.epoch_since);
        }
        if let Some(delta) = self.scopes.get(&owner.tenant) {
            owner.tenant_epoch = delta.epoch(owner.tenant_epoch, Timestamp::MAX);
            owner.tenant_epoch_since = delta.epoch_since(owner.tenant_epoch_since);
        }
        owner
    }

    /// A token of the live records as the candidate has it; none where it has none.
    pub(super) fn laid_over(&self, live: &TokenState) -> Option<TokenState> {
        let TokenState { mut token, owner } = *live;
        let delta = self.tokens.get(&token.id);
        if delta.is_some_and(|delta| delta.absent) {
            return None;
        }
        token.ended = self.end_of(&token, delta);
        if token.ended.is_none() && live.token.ended.is_some() {
            // Its digests were erased with the end that it did not come to.
            token.scheme = patrol_policy::token::SCHEME_SHA256;
        }
        token.digest = self
            .stand_ins
            .token_digest(token.id, token.generation, token.scheme);
        token.previous = token.previous.map(|previous| PreviousSecret {
            digest: self.stand_ins.token_digest(
                token.id,
                token.generation.saturating_sub(1),
                previous.scheme,
            ),
            ..previous
        });
        if let Some(secrets) = delta.and_then(|delta| delta.secrets) {
            secrets.put(&mut token);
        }
        if let Some(used) = delta.and_then(|delta| delta.last_used) {
            token.last_used = used;
        }
        if token.ended.is_some() {
            token.scheme = patrol_policy::token::SCHEME_ERASED;
            token.digest = Digest::default();
            token.previous = None;
        }
        if let Some(delta) = self.scopes.get(&token.owner) {
            token.owner_epoch = delta.epoch(token.owner_epoch, token.created);
        }
        if let Some(delta) = self.scopes.get(&token.tenant) {
            token.tenant_epoch = delta.epoch(token.tenant_epoch, token.created);
        }
        let owner = self.owner(owner);
        Some(TokenState { token, owner })
    }

    fn end_of(&self, token: &Token, delta: Option<&TokenDelta>) -> Option<End> {
        if let Some(ended) = delta.and_then(|delta| delta.ended) {
            return ended;
        }
        let scope = self.scopes.get(&token.owner);
        let spared = |end: &End| {
            let spared = scope.is_some_and(|scope| scope.spared.contains(&end.at));
            spared && end.cause == Cause::Revoked
        };
        // Whoever has other uses of it finds out by themselves when it idles out.
        let idle =
            |end: &End| end.cause == Cause::Idle && delta.is_some_and(|delta| delta.last_used.is_some());
        let ended = token.ended.filter(|end| !spared(end) && !idle(end));
        let own = scope.and_then(|scope| {
            let fits = |(rule, end): &&(LiveRule, End)| {
                token.created <= rule.now && ended.is_none_or(|ended| end.at < ended.at)
            };
            scope.ended.iter().find(fits)
        });
        own.map(|(_, end)| *end).or(ended)
    }
}

/// Whether a token counts as live; `wit/storage.wit` says it in words.
pub(super) fn is_live(state: &TokenState, rule: LiveRule) -> bool {
    let TokenState { token, owner } = state;
    token.ended.is_none()
        && token.expires > rule.now
        && token.last_used.unwrap_or(token.created) > rule.idle_since
        && (token.owner_epoch, token.tenant_epoch) == (owner.epoch, owner.tenant_epoch)
        && owner.deleted.is_none()
}
