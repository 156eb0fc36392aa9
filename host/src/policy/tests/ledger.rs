//! One owner's tokens in memory: as much of a host as the tests of the runtime need.

#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use patrol_policy::types::{
    Actor, ActorRole, Audience, Census, Digest, End, Id, LiveRule, Outage, Owner, Parameters, PreviousSecret,
    Scope, Session, SessionState, Timestamp, Token, TokenState,
};

pub const NOW: Timestamp = 1_700_000_000_000;
pub const OWNER: Id = Id { hi: 1, lo: 2 };
pub const TENANT: Id = Id { hi: 3, lo: 4 };
pub const AUDIENCE: Audience = 7;
pub const ADMINISTRATOR: Actor = Actor {
    role: ActorRole::Administrator,
    id: Id { hi: 5, lo: 6 },
};

/// The host.
#[derive(Default)]
pub struct Ledger {
    /// Its tokens.
    pub tokens: BTreeMap<Id, Token>,
    /// How often a use was noted.
    pub uses: u32,
    /// Whether looking for a token fails.
    pub down: Option<Outage>,
    /// How long looking for a token takes.
    pub delay: Duration,
    drawn: u8,
}

impl Ledger {
    /// The one owner.
    pub fn owner(&self) -> Owner {
        Owner {
            id: OWNER,
            tenant: TENANT,
            enabled: true,
            deleted: None,
            epoch: 0,
            epoch_since: 0,
            tenant_epoch: 0,
            tenant_epoch_since: 0,
            multi_factor: false,
        }
    }
}

impl patrol_policy::Host for Ledger {
    fn now(&mut self) -> Timestamp {
        NOW
    }
    fn parameters(&mut self) -> Parameters {
        Parameters::default()
    }
    fn draw(&mut self, buffer: &mut [u8; 32]) {
        self.drawn += 1;
        *buffer = [self.drawn; 32];
    }
    fn mac(&mut self, message: Digest) -> Result<Digest, Outage> {
        self.down.map_or(Ok(message), Err)
    }
    fn get_token(&mut self, id: Id) -> Result<Option<TokenState>, Outage> {
        thread::sleep(self.delay);
        match self.down {
            Some(outage) => Err(outage),
            None => Ok(self.tokens.get(&id).map(|token| TokenState {
                token: *token,
                owner: self.owner(),
            })),
        }
    }
    fn get_owner(&mut self, id: Id) -> Result<Option<Owner>, Outage> {
        Ok((id == OWNER).then(|| self.owner()))
    }
    fn count_live_tokens(&mut self, _: Id, _: LiveRule) -> Result<u32, Outage> {
        Ok(0)
    }
    fn live_name_exists(&mut self, _: Id, _: &str, _: LiveRule) -> Result<bool, Outage> {
        Ok(false)
    }
    fn list_live_tokens(&mut self, _: Id, _: LiveRule) -> Result<Vec<TokenState>, Outage> {
        let state = |token: &Token| TokenState {
            token: *token,
            owner: self.owner(),
        };
        Ok(self.tokens.values().map(state).collect())
    }
    fn insert_token(&mut self, token: &Token, _: &str) -> Result<(), Outage> {
        self.tokens.insert(token.id, *token);
        Ok(())
    }
    fn replace_secret(
        &mut self,
        _: Id,
        _: u32,
        _: u8,
        _: Digest,
        _: Option<PreviousSecret>,
    ) -> Result<(), Outage> {
        Err(Outage::Unavailable)
    }
    fn record_use(&mut self, _: Id, _: Timestamp) -> Result<(), Outage> {
        self.uses += 1;
        Ok(())
    }
    fn end_token(&mut self, id: Id, end: End) -> Result<(), Outage> {
        self.tokens.get_mut(&id).unwrap().ended = Some(end);
        Ok(())
    }
    fn end_live_tokens(&mut self, _: Id, _: LiveRule, _: End) -> Result<u32, Outage> {
        Err(Outage::Unavailable)
    }
    fn get_session(&mut self, _: Id) -> Result<Option<SessionState>, Outage> {
        Ok(None)
    }
    fn insert_session(&mut self, _: &Session) -> Result<(), Outage> {
        Ok(())
    }
    fn record_session_use(&mut self, _: Id, _: Timestamp) -> Result<(), Outage> {
        Ok(())
    }
    fn end_session(&mut self, _: Id, _: End) -> Result<(), Outage> {
        Ok(())
    }
    fn list_open_sessions(&mut self, _: Id) -> Result<Vec<Session>, Outage> {
        Ok(Vec::new())
    }
    fn get_auth_method(&mut self, _: Scope) -> Result<Option<String>, Outage> {
        Ok(Some("password".to_owned()))
    }
    fn set_auth_method(&mut self, _: Scope, _: &str, _: Timestamp) -> Result<(), Outage> {
        Ok(())
    }
    fn take_census(&mut self, _: Scope, _: LiveRule) -> Result<Census, Outage> {
        Ok(Census { tokens: 0, owners: 0 })
    }
    fn list_lapsed_tokens(&mut self, _: LiveRule, _: u32) -> Result<Vec<TokenState>, Outage> {
        Ok(Vec::new())
    }
    fn erase_previous_secrets(&mut self, _: Timestamp, _: u32) -> Result<u32, Outage> {
        Ok(0)
    }
    fn forget_tokens(&mut self, _: Timestamp, _: u32) -> Result<u32, Outage> {
        Ok(0)
    }
    fn forget_sessions(&mut self, _: Timestamp, _: Timestamp, _: u32) -> Result<u32, Outage> {
        Ok(0)
    }
}
