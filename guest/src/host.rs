//! The host's side of the contract, as one trait: storage, clock, entropy, keyring and settings. The component adapter
//! implements it over the WIT imports, the native host over its store; the engine cannot tell them apart.

use alloc::string::String;
use alloc::vec::Vec;

use crate::types::{
    Census, Digest, End, Id, Level, LiveRule, Outage, Owner, Parameters, PreviousSecret, Scope, Session,
    SessionState, Timestamp, Token, TokenState,
};

/// All that a policy can reach. `wit/storage.wit` and its neighbours document each function.
///
/// # Errors
/// Storage functions, and `mac`, fail with an [`Outage`] where the host cannot answer; never with a verdict.
#[allow(
    missing_docs,
    clippy::missing_errors_doc,
    reason = "documented once, in the contract"
)]
pub trait Host {
    fn now(&mut self) -> Timestamp;
    fn parameters(&mut self) -> Parameters;
    fn draw(&mut self, buffer: &mut [u8; 32]);
    fn mac(&mut self, message: Digest) -> Result<Digest, Outage>;
    /// Writes one line to the host's log, cut at 1,024 bytes. Never a secret, and never a verdict.
    fn log(&mut self, level: Level, message: &str) {
        let _ = (level, message);
    }

    fn get_token(&mut self, id: Id) -> Result<Option<TokenState>, Outage>;
    fn get_owner(&mut self, id: Id) -> Result<Option<Owner>, Outage>;
    fn count_live_tokens(&mut self, owner: Id, rule: LiveRule) -> Result<u32, Outage>;
    fn live_name_exists(&mut self, owner: Id, name: &str, rule: LiveRule) -> Result<bool, Outage>;
    fn list_live_tokens(&mut self, owner: Id, rule: LiveRule) -> Result<Vec<TokenState>, Outage>;
    fn insert_token(&mut self, token: &Token, name: &str) -> Result<(), Outage>;
    fn replace_secret(
        &mut self,
        id: Id,
        generation: u32,
        scheme: u8,
        digest: Digest,
        previous: Option<PreviousSecret>,
    ) -> Result<(), Outage>;
    fn record_use(&mut self, id: Id, at: Timestamp) -> Result<(), Outage>;
    fn end_token(&mut self, id: Id, end: End) -> Result<(), Outage>;
    fn end_live_tokens(&mut self, owner: Id, rule: LiveRule, end: End) -> Result<u32, Outage>;
    fn get_session(&mut self, id: Id) -> Result<Option<SessionState>, Outage>;
    fn insert_session(&mut self, session: &Session) -> Result<(), Outage>;
    fn record_session_use(&mut self, id: Id, at: Timestamp) -> Result<(), Outage>;
    fn end_session(&mut self, id: Id, end: End) -> Result<(), Outage>;
    fn list_open_sessions(&mut self, token: Id) -> Result<Vec<Session>, Outage>;
    fn get_auth_method(&mut self, scope: Scope) -> Result<Option<String>, Outage>;
    fn set_auth_method(&mut self, scope: Scope, method: &str, at: Timestamp) -> Result<(), Outage>;
    fn take_census(&mut self, scope: Scope, rule: LiveRule) -> Result<Census, Outage>;
    fn list_lapsed_tokens(&mut self, rule: LiveRule, limit: u32) -> Result<Vec<TokenState>, Outage>;
    fn erase_previous_secrets(&mut self, until: Timestamp, limit: u32) -> Result<u32, Outage>;
    fn forget_tokens(&mut self, ended_until: Timestamp, limit: u32) -> Result<u32, Outage>;
    fn forget_sessions(
        &mut self,
        opened_until: Timestamp,
        used_until: Timestamp,
        limit: u32,
    ) -> Result<u32, Outage>;
}
