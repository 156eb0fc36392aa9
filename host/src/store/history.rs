//! What a user had: tokens that have ended and are not forgotten yet (R6).

use patrol_policy::types::{Id, Timestamp};

use super::{Result, TokenRow};

/// What can be read of ended tokens.
pub trait ReadHistory: Send {
    /// Tokens of the owner that are marked as ended, the last to end first, at most `limit`; of those that come after
    /// one that ended at that time, if it is given.
    fn ended_tokens(&self, owner: Id, after: Option<(Timestamp, Id)>, limit: u32) -> Result<Vec<TokenRow>>;
    /// Tokens of the owner that are not marked as ended, be they live or not.
    fn unmarked_tokens(&self, owner: Id) -> Result<Vec<TokenRow>>;
}
