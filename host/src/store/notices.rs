//! Which notices were taken to be sent, by whom nothing is sent twice.

use patrol_policy::types::{Id, Scope, Timestamp};

use super::{Result, Tenants, TokenRow};

/// What tells a notice from every other one of its channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoticeKey {
    /// The token, user or tenant that it is about.
    pub subject: Id,
    /// Why tokens end, by the names of [`Cause`](patrol_policy::types::Cause).
    pub cause: &'static str,
    /// The end that is told; of a revocation, the number of its audit entry.
    pub due: u64,
}

/// A place among tokens that are about to end: tenant by tenant, and each tenant's in the order of their ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndingPlace {
    /// The tenant, by the storage's own number.
    pub tenant: i64,
    /// When the token ends under the default idle period.
    pub due: Timestamp,
    /// The token.
    pub id: Id,
}

/// Which live tokens to look for, that are about to end by themselves.
#[derive(Clone, Debug)]
pub struct EndingFilter<'a> {
    /// Of these tenants.
    pub tenants: &'a Tenants,
    /// Now.
    pub now: Timestamp,
    /// The idle period (R5), ms.
    pub idle_after: u64,
    /// That end by then, if they are not used again.
    pub by: Timestamp,
    /// That this channel was not told of for the same reason, with an end that is yet to come.
    pub channel: &'static str,
    /// After this place, as handed out with the last one of the page before.
    pub after: Option<EndingPlace>,
    /// At most this many.
    pub limit: u32,
}

/// What can be read of them.
pub trait ReadNotices: Send {
    /// The last audit entry whose notice this channel has taken, or has none.
    fn notice_mark(&self, channel: &str) -> Result<Option<u64>>;
    /// Live tokens that are about to end, each with its place.
    fn ending_tokens(&self, filter: &EndingFilter<'_>) -> Result<Vec<(TokenRow, EndingPlace)>>;
    /// Whether this channel was told that the token ends for this reason, at a time that is yet to come.
    fn is_told(&self, channel: &str, token: Id, cause: &str, now: Timestamp) -> Result<bool>;
    /// How many tokens, of how many owners, a change of method at that time ended (R9): those that were alive, and used
    /// after `idle_since`. Looks at all of the scope.
    fn count_ended_by_method(&self, scope: Scope, at: Timestamp, idle_since: Timestamp)
    -> Result<(u64, u64)>;
}

/// What can be written of them.
pub trait WriteNotices: ReadNotices {
    /// Notes how far a channel has come in the audit trail.
    fn put_notice_mark(&mut self, channel: &str, seq: u64) -> Result<()>;
    /// Takes a notice, to be sent by whoever took it; false where it was taken before.
    fn take_notice(&mut self, channel: &str, key: &NoticeKey, at: Timestamp) -> Result<bool>;
    /// Notes what became of a notice that was taken.
    fn settle_notice(&mut self, channel: &str, key: &NoticeKey, outcome: &str) -> Result<()>;
    /// Gives a notice back that was taken, and of which nothing was sent.
    fn drop_notice(&mut self, channel: &str, key: &NoticeKey) -> Result<()>;
    /// Deletes notices that were taken before that time, and of whose end so much time has passed; says how many.
    fn forget_notices(&mut self, before: Timestamp, limit: u32) -> Result<u32>;
}
