//! A host that holds one token in memory and nothing else: what is left is the engine's own cost.

use patrol_policy::Host;
use patrol_policy::token::{self, Kind, SCHEME_SHA256};
use patrol_policy::types::{
    Census, DAY, Digest, End, Id, LiveRule, Outage, Owner, Parameters, PreviousSecret, Scope, Session,
    SessionState, Timestamp, Token, TokenState,
};

const NOW: Timestamp = 1_800_000_000_000;
const SECRET: [u8; 32] = [7; 32];
const ID: Id = Id::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0001);

/// The host. It answers what a verification asks; anything else is an outage.
pub struct OneToken(TokenState);

impl OneToken {
    pub fn new() -> Self {
        let (owner, tenant) = (Id::from_u128(2), Id::from_u128(3));
        Self(TokenState {
            token: Token {
                id: ID,
                owner,
                tenant,
                audience: 1,
                scheme: SCHEME_SHA256,
                digest: token::digest(&SECRET),
                generation: 0,
                previous: None,
                created: NOW - DAY,
                expires: NOW + 90 * DAY,
                last_used: None,
                owner_epoch: 0,
                tenant_epoch: 0,
                ended: None,
            },
            owner: Owner {
                id: owner,
                tenant,
                enabled: true,
                deleted: None,
                epoch: 0,
                epoch_since: 0,
                tenant_epoch: 0,
                tenant_epoch_since: 0,
                multi_factor: false,
            },
        })
    }

    /// The text that its token is presented with.
    pub fn presented() -> Vec<u8> {
        token::compose(Kind::Pat, ID, &SECRET).into_bytes()
    }
}

impl Host for OneToken {
    fn now(&mut self) -> Timestamp {
        NOW
    }
    fn parameters(&mut self) -> Parameters {
        Parameters::default()
    }
    fn draw(&mut self, buffer: &mut [u8; 32]) {
        buffer.fill(0);
    }
    fn mac(&mut self, _: Digest) -> Result<Digest, Outage> {
        Err(Outage::Unavailable)
    }
    fn get_token(&mut self, id: Id) -> Result<Option<TokenState>, Outage> {
        Ok((id == ID).then_some(self.0))
    }
    fn record_use(&mut self, _: Id, at: Timestamp) -> Result<(), Outage> {
        self.0.token.last_used = Some(at);
        Ok(())
    }

    fn get_owner(&mut self, _: Id) -> Result<Option<Owner>, Outage> {
        Err(Outage::Unavailable)
    }
    fn count_live_tokens(&mut self, _: Id, _: LiveRule) -> Result<u32, Outage> {
        Err(Outage::Unavailable)
    }
    fn live_name_exists(&mut self, _: Id, _: &str, _: LiveRule) -> Result<bool, Outage> {
        Err(Outage::Unavailable)
    }
    fn list_live_tokens(&mut self, _: Id, _: LiveRule) -> Result<Vec<TokenState>, Outage> {
        Err(Outage::Unavailable)
    }
    fn insert_token(&mut self, _: &Token, _: &str) -> Result<(), Outage> {
        Err(Outage::Unavailable)
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
    fn end_token(&mut self, _: Id, _: End) -> Result<(), Outage> {
        Err(Outage::Unavailable)
    }
    fn end_live_tokens(&mut self, _: Id, _: LiveRule, _: End) -> Result<u32, Outage> {
        Err(Outage::Unavailable)
    }
    fn get_session(&mut self, _: Id) -> Result<Option<SessionState>, Outage> {
        Err(Outage::Unavailable)
    }
    fn insert_session(&mut self, _: &Session) -> Result<(), Outage> {
        Err(Outage::Unavailable)
    }
    fn record_session_use(&mut self, _: Id, _: Timestamp) -> Result<(), Outage> {
        Err(Outage::Unavailable)
    }
    fn end_session(&mut self, _: Id, _: End) -> Result<(), Outage> {
        Err(Outage::Unavailable)
    }
    fn list_open_sessions(&mut self, _: Id) -> Result<Vec<Session>, Outage> {
        Err(Outage::Unavailable)
    }
    fn get_auth_method(&mut self, _: Scope) -> Result<Option<String>, Outage> {
        Err(Outage::Unavailable)
    }
    fn set_auth_method(&mut self, _: Scope, _: &str, _: Timestamp) -> Result<(), Outage> {
        Err(Outage::Unavailable)
    }
    fn take_census(&mut self, _: Scope, _: LiveRule) -> Result<Census, Outage> {
        Err(Outage::Unavailable)
    }
    fn list_lapsed_tokens(&mut self, _: LiveRule, _: u32) -> Result<Vec<TokenState>, Outage> {
        Err(Outage::Unavailable)
    }
    fn erase_previous_secrets(&mut self, _: Timestamp, _: u32) -> Result<u32, Outage> {
        Err(Outage::Unavailable)
    }
    fn forget_tokens(&mut self, _: Timestamp, _: u32) -> Result<u32, Outage> {
        Err(Outage::Unavailable)
    }
    fn forget_sessions(&mut self, _: Timestamp, _: Timestamp, _: u32) -> Result<u32, Outage> {
        Err(Outage::Unavailable)
    }
}
