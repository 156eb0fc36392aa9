//! Sessions of people on Patrol's own pages. No token opens one (R12), no script uses one, and the host judges them
//! without asking the policy.

use patrol_policy::types::{Digest, End, Id, Owner, Timestamp};

use super::{AccountEpochs, Result, UserRow};

/// A session of somebody on the pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSession {
    /// Its identifier.
    pub id: Id,
    /// The user.
    pub owner: Id,
    /// The authentication method that opened it, such as `password` or `oidc:corp`.
    pub via: String,
    /// SHA-256 of its secret.
    pub digest: Digest,
    /// When it was opened.
    pub opened: Timestamp,
    /// When it was last used; at first, when it was opened.
    pub last_used: Timestamp,
    /// The epochs that it is bound to.
    pub epochs: AccountEpochs,
    /// When it was closed, if so.
    pub ended: Option<End>,
}

/// Such a session with what the user is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebRow {
    /// The session, as stored.
    pub session: WebSession,
    /// The user, as the policy would see it.
    pub owner: Owner,
    /// The epochs now.
    pub epochs: AccountEpochs,
    /// The user, with names and roles of this moment (R4).
    pub user: UserRow,
}

/// What can be read of them.
pub trait ReadWeb: Send {
    /// The session with this identifier.
    fn web_row(&self, id: Id) -> Result<Option<WebRow>>;
}

/// What can be written of them.
pub trait WriteWeb: ReadWeb {
    /// Stores a new session.
    fn insert_web_session(&mut self, session: &WebSession) -> Result<()>;
    /// Notes a use of a session, forward only.
    fn put_web_use(&mut self, id: Id, at: Timestamp) -> Result<()>;
    /// Binds a session that is not marked as ended to the user's and tenant's epochs as they are now.
    fn rebind_web_session(&mut self, id: Id) -> Result<()>;
    /// Marks a session as ended; an existing mark stays.
    fn end_web_session(&mut self, id: Id, end: End) -> Result<()>;
    /// Marks all sessions of a user as ended but this one; says how many.
    fn end_web_sessions(&mut self, owner: Id, but: Option<Id>, end: End) -> Result<u32>;
    /// Deletes sessions that are marked as ended or have lapsed.
    fn forget_web_sessions(
        &mut self,
        opened_until: Timestamp,
        used_until: Timestamp,
        limit: u32,
    ) -> Result<u32>;
}
