//! Housekeeping (R6). No verdict waits for it: a token is dead when the rules say so, swept or not.
//!
//! Each round marks tokens that have lapsed with the end that they came to, which erases their digests; erases
//! replaced secrets whose overlap is over; and deletes the records of tokens whose retention period is over, and of
//! sessions that have ended.

use crate::engine::live_rule;
use crate::types::{Denial, Swept};
use crate::{Engine, Host, Policy, expiry};

impl<H: Host, P: Policy> Engine<'_, H, P> {
    /// One round, at most `limit` records of each kind.
    ///
    /// # Errors
    /// No refusals.
    pub fn sweep(&mut self, limit: u32) -> Result<Swept, Denial> {
        let now = self.host.now();
        let parameters = self.parameters();
        let mut swept = Swept::default();
        for state in self.host.list_lapsed_tokens(live_rule(now, &parameters), limit)? {
            self.host
                .end_token(state.token.id, expiry::foreseen_end(&state, &parameters))?;
            swept.ended = swept.ended.saturating_add(1);
        }
        swept.secrets = self.host.erase_previous_secrets(now, limit)?;
        swept.forgotten = self
            .host
            .forget_tokens(now.saturating_sub(parameters.retention), limit)?;
        swept.sessions = self.host.forget_sessions(
            now.saturating_sub(parameters.session_lifetime),
            now.saturating_sub(parameters.session_idle),
            limit,
        )?;
        let most = swept
            .ended
            .max(swept.secrets)
            .max(swept.forgotten)
            .max(swept.sessions);
        swept.more = most >= limit;
        Ok(swept)
    }
}
