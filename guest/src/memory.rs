//! A host in memory: plain maps, a clock that is set by hand, and reproducible entropy.
//!
//! It does what `wit/storage.wit` says in the most obvious way, a scan of all rows for every question, so that it can
//! serve as the reference for a real store. With it a policy can be tried in a unit test, without a component:
//!
//! ```
//! use patrol_policy::memory::MemoryHost;
//! use patrol_policy::prelude::*;
//!
//! let (tenant, ann) = (Id { hi: 0, lo: 1 }, Id { hi: 0, lo: 2 });
//! let mut host = MemoryHost::new(20_000 * DAY, Parameters::default(), 1);
//! host.add_tenant(tenant, "password");
//! host.add_user(ann, tenant, "ann");
//!
//! let policy = patrol_policy::Stock;
//! let request = IssueRequest { owner: ann, name: "backup".into(), expires: host.now + 90 * DAY, audience: 1 };
//! let actor = Actor { role: ActorRole::User, id: ann };
//! let issued = policy.issue(&mut host, request, actor).unwrap();
//!
//! host.now += 15 * DAY;
//! let refused = policy.authenticate(&mut host, issued.secret.expose(), 1).unwrap_err();
//! assert_eq!(refused, Denial::about(issued.token, RefusalReason::Idle));
//! ```
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "for tests: what does not fit together should end one at once"
)]

use alloc::borrow::ToOwned as _;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use sha2::{Digest as _, Sha256};

use crate::Host;
use crate::types::{
    Census, Digest, End, Id, Level, LiveRule, Outage, Owner, Parameters, PreviousSecret, Scope, Session,
    SessionState, Timestamp, Token, TokenState,
};

/// Under which every host in memory makes its MACs.
pub const PEPPER: &[u8; 32] = b"in memory there is no secret key";

/// HMAC-SHA-256, written down from its definition (RFC 2104), for keys that are not longer than a block.
///
/// # Panics
/// For a key that is.
#[must_use]
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0u8; 64];
    block[..key.len()].copy_from_slice(key);
    let hash = |pad: u8, message: &[u8]| -> [u8; 32] {
        let mut text = block.map(|byte| byte ^ pad).to_vec();
        text.extend_from_slice(message);
        Sha256::digest(text).into()
    };
    hash(0x5c, &hash(0x36, message))
}

/// A tenant's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// The authentication method in force.
    pub method: String,
    /// How often it changed.
    pub epoch: u64,
    /// When it last changed.
    pub epoch_since: Timestamp,
    /// Whether multi-factor authentication is on.
    pub multi_factor: bool,
}

/// A user's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The tenant.
    pub tenant: Id,
    /// The user's name.
    pub name: String,
    /// Whether the user may act.
    pub enabled: bool,
    /// When the user was deleted.
    pub deleted: Option<Timestamp>,
    /// The user's own authentication method.
    pub method: Option<String>,
    /// How often it changed.
    pub epoch: u64,
    /// When it last changed.
    pub epoch_since: Timestamp,
}

/// Everything that is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Tenants.
    pub tenants: BTreeMap<Id, Tenant>,
    /// Users.
    pub users: BTreeMap<Id, User>,
    /// Tokens with their names.
    pub tokens: BTreeMap<Id, (Token, String)>,
    /// Sessions.
    pub sessions: BTreeMap<Id, Session>,
}

/// How often a host was asked; the hot path has a budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// For the time.
    pub clock: u32,
    /// For the settings.
    pub settings: u32,
    /// For randomness.
    pub entropy: u32,
    /// For a MAC.
    pub keyring: u32,
    /// For a record or several.
    pub reads: u32,
    /// To write.
    pub writes: u32,
}

/// A host in memory.
#[derive(Clone, Debug)]
pub struct MemoryHost {
    /// The time that the clock shows.
    pub now: Timestamp,
    /// The settings.
    pub parameters: Parameters,
    /// What is stored.
    pub rows: Rows,
    /// If set, every question to the storage fails like this.
    pub outage: Option<Outage>,
    /// If set, every question to the keyring does.
    pub unkeyed: Option<Outage>,
    /// What the policy asked for so far.
    pub calls: Calls,
    /// What the policy wrote to the log so far.
    pub log: Vec<(Level, String)>,
    seed: u64,
}

impl MemoryHost {
    /// An empty host at this time; the same seed draws the same secrets.
    #[must_use]
    pub fn new(now: Timestamp, parameters: Parameters, seed: u64) -> Self {
        Self {
            now,
            parameters,
            rows: Rows::default(),
            outage: None,
            unkeyed: None,
            calls: Calls::default(),
            log: Vec::new(),
            seed,
        }
    }

    /// Adds a tenant without multi-factor authentication.
    pub fn add_tenant(&mut self, id: Id, method: &str) {
        let method = method.to_owned();
        self.rows.tenants.insert(
            id,
            Tenant {
                method,
                epoch: 0,
                epoch_since: 0,
                multi_factor: false,
            },
        );
    }

    /// Adds an enabled user without a method of their own.
    pub fn add_user(&mut self, id: Id, tenant: Id, name: &str) {
        let user = User {
            tenant,
            name: name.to_owned(),
            enabled: true,
            deleted: None,
            method: None,
            epoch: 0,
            epoch_since: 0,
        };
        self.rows.users.insert(id, user);
    }

    /// Gives a user another name (R10).
    ///
    /// # Panics
    /// Without such a user, like the next ones.
    pub fn rename(&mut self, user: Id, name: &str) {
        name.clone_into(&mut self.user(user).name);
    }

    /// Enables or disables a user (R4).
    ///
    /// # Panics
    /// Without such a user.
    pub fn set_enabled(&mut self, user: Id, enabled: bool) {
        self.user(user).enabled = enabled;
    }

    /// Deletes a user now (R4). One that is deleted stays so.
    ///
    /// # Panics
    /// Without such a user.
    pub fn delete(&mut self, user: Id) {
        let now = self.now;
        self.user(user).deleted.get_or_insert(now);
    }

    /// Turns multi-factor authentication on or off (R11).
    ///
    /// # Panics
    /// Without such a tenant.
    pub fn set_multi_factor(&mut self, tenant: Id, on: bool) {
        self.rows.tenants.get_mut(&tenant).expect("a tenant").multi_factor = on;
    }

    /// All tokens with their owners and names.
    #[must_use]
    pub fn tokens(&self) -> Vec<(TokenState, String)> {
        self.rows
            .tokens
            .values()
            .map(|(token, name)| (self.state(*token), name.clone()))
            .collect()
    }

    fn user(&mut self, id: Id) -> &mut User {
        self.rows.users.get_mut(&id).expect("a user")
    }

    fn owner(&self, id: Id) -> Option<Owner> {
        let user = self.rows.users.get(&id)?;
        let tenant = self.rows.tenants.get(&user.tenant)?;
        Some(Owner {
            id,
            tenant: user.tenant,
            enabled: user.enabled,
            deleted: user.deleted,
            epoch: user.epoch,
            epoch_since: user.epoch_since,
            tenant_epoch: tenant.epoch,
            tenant_epoch_since: tenant.epoch_since,
            multi_factor: tenant.multi_factor,
        })
    }

    fn state(&self, token: Token) -> TokenState {
        TokenState {
            token,
            owner: self.owner(token.owner).expect("a token has an owner"),
        }
    }

    /// Tokens that fulfil a condition, oldest first.
    fn select(&self, condition: impl Fn(&TokenState) -> bool) -> Vec<TokenState> {
        let states = self.rows.tokens.values().map(|(token, _)| self.state(*token));
        let mut selected: Vec<_> = states.filter(condition).collect();
        selected.sort_by_key(|state| (state.token.created, state.token.id));
        selected
    }

    fn read(&mut self) -> Result<(), Outage> {
        self.calls.reads += 1;
        self.outage.map_or(Ok(()), Err)
    }

    fn write(&mut self) -> Result<(), Outage> {
        self.calls.writes += 1;
        self.outage.map_or(Ok(()), Err)
    }

    fn token_mut(&mut self, id: Id) -> Result<&mut Token, Outage> {
        self.write()?;
        self.rows
            .tokens
            .get_mut(&id)
            .map(|(token, _)| token)
            .ok_or(Outage::Corrupt)
    }

    fn session_mut(&mut self, id: Id) -> Result<&mut Session, Outage> {
        self.write()?;
        self.rows.sessions.get_mut(&id).ok_or(Outage::Corrupt)
    }
}

/// The contract's `live-rule`, to the letter.
fn is_live(state: &TokenState, rule: LiveRule) -> bool {
    let TokenState { token, owner } = state;
    token.ended.is_none()
        && rule.now < token.expires
        && token.last_used.unwrap_or(token.created) > rule.idle_since
        && token.owner_epoch == owner.epoch
        && token.tenant_epoch == owner.tenant_epoch
        && owner.deleted.is_none()
}

fn mark(token: &mut Token, end: End) {
    if token.ended.is_none() {
        token.ended = Some(end);
        token.scheme = 0;
        token.digest = Digest::default();
        token.previous = None;
    }
}

/// Takes the first `limit` and says how many those are.
fn first(limit: u32, ids: impl Iterator<Item = Id>) -> (Vec<Id>, u32) {
    let ids: Vec<_> = ids.take(limit as usize).collect();
    let count = u32::try_from(ids.len()).expect("no more than the limit");
    (ids, count)
}

impl Host for MemoryHost {
    fn now(&mut self) -> Timestamp {
        self.calls.clock += 1;
        self.now
    }

    fn parameters(&mut self) -> Parameters {
        self.calls.settings += 1;
        self.parameters
    }

    /// SplitMix64.
    fn draw(&mut self, buffer: &mut [u8; 32]) {
        self.calls.entropy += 1;
        for chunk in buffer.chunks_exact_mut(8) {
            self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = self.seed;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_be_bytes());
        }
    }

    fn mac(&mut self, message: Digest) -> Result<Digest, Outage> {
        self.calls.keyring += 1;
        self.outage.or(self.unkeyed).map_or(Ok(()), Err)?;
        Ok(Digest::from_bytes(&hmac_sha256(PEPPER, &message.to_bytes())))
    }

    fn log(&mut self, level: Level, message: &str) {
        self.log.push((level, message.to_owned()));
    }

    fn get_token(&mut self, id: Id) -> Result<Option<TokenState>, Outage> {
        self.read()?;
        Ok(self.rows.tokens.get(&id).map(|(token, _)| self.state(*token)))
    }

    fn get_owner(&mut self, id: Id) -> Result<Option<Owner>, Outage> {
        self.read()?;
        Ok(self.owner(id))
    }

    fn count_live_tokens(&mut self, owner: Id, rule: LiveRule) -> Result<u32, Outage> {
        Ok(u32::try_from(self.list_live_tokens(owner, rule)?.len()).expect("not that many"))
    }

    fn live_name_exists(&mut self, owner: Id, name: &str, rule: LiveRule) -> Result<bool, Outage> {
        Ok(self
            .list_live_tokens(owner, rule)?
            .iter()
            .any(|state| self.rows.tokens[&state.token.id].1 == name))
    }

    fn list_live_tokens(&mut self, owner: Id, rule: LiveRule) -> Result<Vec<TokenState>, Outage> {
        self.read()?;
        Ok(self.select(|state| state.owner.id == owner && is_live(state, rule)))
    }

    fn insert_token(&mut self, token: &Token, name: &str) -> Result<(), Outage> {
        self.write()?;
        let before = self.rows.tokens.insert(token.id, (*token, name.to_owned()));
        before.map_or(Ok(()), |_| Err(Outage::Corrupt))
    }

    fn replace_secret(
        &mut self,
        id: Id,
        generation: u32,
        scheme: u8,
        digest: Digest,
        previous: Option<PreviousSecret>,
    ) -> Result<(), Outage> {
        let token = self.token_mut(id)?;
        *token = Token {
            generation,
            scheme,
            digest,
            previous,
            ..*token
        };
        Ok(())
    }

    fn record_use(&mut self, id: Id, at: Timestamp) -> Result<(), Outage> {
        let token = self.token_mut(id)?;
        token.last_used = token.last_used.max(Some(at));
        Ok(())
    }

    fn end_token(&mut self, id: Id, end: End) -> Result<(), Outage> {
        mark(self.token_mut(id)?, end);
        Ok(())
    }

    fn end_live_tokens(&mut self, owner: Id, rule: LiveRule, end: End) -> Result<u32, Outage> {
        self.write()?;
        let live = self.select(|state| state.owner.id == owner && is_live(state, rule));
        let (ids, count) = first(u32::MAX, live.iter().map(|state| state.token.id));
        for id in ids {
            mark(self.token_mut(id)?, end);
        }
        Ok(count)
    }

    fn get_session(&mut self, id: Id) -> Result<Option<SessionState>, Outage> {
        self.read()?;
        Ok(self.rows.sessions.get(&id).map(|session| {
            let (token, _) = self
                .rows
                .tokens
                .get(&session.token)
                .expect("a session has a token");
            SessionState {
                session: *session,
                token: self.state(*token),
            }
        }))
    }

    fn insert_session(&mut self, session: &Session) -> Result<(), Outage> {
        self.write()?;
        let before = self.rows.sessions.insert(session.id, *session);
        before.map_or(Ok(()), |_| Err(Outage::Corrupt))
    }

    fn record_session_use(&mut self, id: Id, at: Timestamp) -> Result<(), Outage> {
        let session = self.session_mut(id)?;
        session.last_used = session.last_used.max(at);
        Ok(())
    }

    fn end_session(&mut self, id: Id, end: End) -> Result<(), Outage> {
        self.session_mut(id)?.ended.get_or_insert(end);
        Ok(())
    }

    fn list_open_sessions(&mut self, token: Id) -> Result<Vec<Session>, Outage> {
        self.read()?;
        let all = self.rows.sessions.values();
        let mut open: Vec<_> = all
            .filter(|s| s.token == token && s.ended.is_none())
            .copied()
            .collect();
        open.sort_by_key(|session| (session.opened, session.id));
        Ok(open)
    }

    fn get_auth_method(&mut self, scope: Scope) -> Result<Option<String>, Outage> {
        self.read()?;
        let own = match scope {
            Scope::Tenant(id) => return Ok(self.rows.tenants.get(&id).map(|tenant| tenant.method.clone())),
            Scope::Owner(id) => self
                .rows
                .users
                .get(&id)
                .map(|user| (user.method.clone(), user.tenant)),
        };
        Ok(own.map(|(method, tenant)| {
            method.unwrap_or_else(|| self.rows.tenants.get(&tenant).expect("a tenant").method.clone())
        }))
    }

    fn set_auth_method(&mut self, scope: Scope, method: &str, at: Timestamp) -> Result<(), Outage> {
        self.write()?;
        match scope {
            Scope::Tenant(id) => {
                let tenant = self.rows.tenants.get_mut(&id).ok_or(Outage::Corrupt)?;
                method.clone_into(&mut tenant.method);
                tenant.epoch += 1;
                tenant.epoch_since = at;
            }
            Scope::Owner(id) => {
                let user = self.rows.users.get_mut(&id).ok_or(Outage::Corrupt)?;
                user.method = Some(method.to_owned());
                user.epoch += 1;
                user.epoch_since = at;
            }
        }
        Ok(())
    }

    fn take_census(&mut self, scope: Scope, rule: LiveRule) -> Result<Census, Outage> {
        self.read()?;
        let affected = self.select(|state| {
            is_live(state, rule)
                && match scope {
                    Scope::Tenant(id) => state.owner.tenant == id,
                    Scope::Owner(id) => state.owner.id == id,
                }
        });
        let owners: BTreeSet<_> = affected.iter().map(|state| state.owner.id).collect();
        Ok(Census {
            tokens: affected.len() as u64,
            owners: owners.len() as u64,
        })
    }

    fn list_lapsed_tokens(&mut self, rule: LiveRule, limit: u32) -> Result<Vec<TokenState>, Outage> {
        self.read()?;
        let lapsed = self.select(|state| state.token.ended.is_none() && !is_live(state, rule));
        Ok(lapsed.into_iter().take(limit as usize).collect())
    }

    fn erase_previous_secrets(&mut self, until: Timestamp, limit: u32) -> Result<u32, Outage> {
        self.write()?;
        let over = |token: &Token| token.previous.is_some_and(|previous| previous.until <= until);
        let tokens = self.rows.tokens.values().map(|(token, _)| token);
        let (ids, count) = first(limit, tokens.filter(|token| over(token)).map(|token| token.id));
        for id in ids {
            self.token_mut(id)?.previous = None;
        }
        Ok(count)
    }

    fn forget_tokens(&mut self, ended_until: Timestamp, limit: u32) -> Result<u32, Outage> {
        self.write()?;
        let over = |token: &Token| token.ended.is_some_and(|end| end.at <= ended_until);
        let tokens = self.rows.tokens.values().map(|(token, _)| token);
        let (ids, count) = first(limit, tokens.filter(|token| over(token)).map(|token| token.id));
        for id in ids {
            self.rows.tokens.remove(&id);
            self.rows.sessions.retain(|_, session| session.token != id);
        }
        Ok(count)
    }

    fn forget_sessions(
        &mut self,
        opened_until: Timestamp,
        used_until: Timestamp,
        limit: u32,
    ) -> Result<u32, Outage> {
        self.write()?;
        let over = |s: &Session| s.ended.is_some() || s.opened <= opened_until || s.last_used <= used_until;
        let sessions = self.rows.sessions.values().filter(|session| over(session));
        let (ids, count) = first(limit, sessions.map(|session| session.id));
        for id in ids {
            self.rows.sessions.remove(&id);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_mac_is_that_of_rfc_4231() {
        let hex = |bytes: [u8; 32]| {
            bytes
                .iter()
                .map(|b| alloc::format!("{b:02x}"))
                .collect::<String>()
        };
        assert_eq!(
            hex(hmac_sha256(&[0x0b; 20], b"Hi There")),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
        assert_eq!(
            hex(hmac_sha256(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
