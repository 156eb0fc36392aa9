//! Sessions that a password opened. No token is behind them, so they have a record of their own, and the host judges
//! them without asking the policy.

use std::sync::Arc;

use patrol_policy::types::{Audience, Digest, End, Epoch, Id, Owner, Timestamp};

use super::{Result, UserRow};

/// What must not have changed since a session was opened: once any of it has, the session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct AccountEpochs {
    /// The user's authentication method, by how often it changed (R9).
    pub owner: Epoch,
    /// The tenant's.
    pub tenant: Epoch,
    /// The user's password, by how often it was set.
    pub password: Epoch,
}

/// A session that a password opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountSession {
    /// Its identifier.
    pub id: Id,
    /// The user.
    pub owner: Id,
    /// The audience that it is good for (R12).
    pub audience: Audience,
    /// SHA-256 of its secret.
    pub digest: Digest,
    /// When it was opened.
    pub opened: Timestamp,
    /// When it was last used; at first, when it was opened.
    pub last_used: Timestamp,
    /// The epochs at its birth.
    pub epochs: AccountEpochs,
    /// When it was closed, if so.
    pub ended: Option<End>,
}

/// Such a session with what the user is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRow {
    /// The session. As stored in an [`AccountRead`], elsewhere with uses that are not yet written.
    pub session: AccountSession,
    /// The user, as the policy would see it.
    pub owner: Owner,
    /// The epochs now.
    pub epochs: AccountEpochs,
    /// The audience's name.
    pub audience: String,
    /// The user, with names and roles of this moment (R4).
    pub user: UserRow,
}

/// Such a session as read on the hot path.
#[derive(Clone, Debug)]
pub struct AccountRead {
    /// The last use, those that are not yet written included.
    pub last_used: Timestamp,
    /// The record; its own last use is as stored.
    pub row: Arc<AccountRow>,
}

/// A user's password as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordRow {
    /// The hash, in PHC format; none where no password is set.
    pub hash: Option<String>,
    /// How often it was set.
    pub epoch: Epoch,
}

/// What can be read of them.
pub trait ReadAccounts: Send {
    /// The session with this identifier.
    fn account_row(&self, id: Id) -> Result<Option<AccountRow>>;
    /// The stored password of a user.
    fn password(&self, user: Id) -> Result<Option<PasswordRow>>;
}

/// What can be written of them.
pub trait WriteAccounts: ReadAccounts {
    /// Stores a new session.
    fn insert_account_session(&mut self, session: &AccountSession) -> Result<()>;
    /// Notes a use of a session as part of this transaction, forward only.
    fn put_account_use(&mut self, id: Id, at: Timestamp) -> Result<()>;
    /// Marks a session as ended; an existing mark stays.
    fn end_account_session(&mut self, id: Id, end: End) -> Result<()>;
    /// Deletes sessions that are marked as ended or have lapsed.
    fn forget_account_sessions(
        &mut self,
        opened_until: Timestamp,
        used_until: Timestamp,
        limit: u32,
    ) -> Result<u32>;
}
