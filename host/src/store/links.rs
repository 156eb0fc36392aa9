//! Links that are good once: whoever has one may set things up, or set a password.

use patrol_policy::types::{Digest, Epoch, Id, Timestamp};

use super::Result;

/// What a link is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkPurpose {
    /// To make the first tenant, with its administrator.
    Setup,
    /// To set this user's password, if it has not been set since: the epoch is that of the link's birth.
    Password {
        /// The user.
        user: Id,
        /// How often the password had been set.
        epoch: Epoch,
    },
}

/// A link as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkRow {
    /// Its identifier.
    pub id: Id,
    /// SHA-256 of its secret.
    pub digest: Digest,
    /// What it is good for.
    pub purpose: LinkPurpose,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it is no longer good.
    pub expires: Timestamp,
    /// When it was used, if so.
    pub used: Option<Timestamp>,
}

/// What can be read of them.
pub trait ReadLinks: Send {
    /// The link with this identifier.
    fn link(&self, id: Id) -> Result<Option<LinkRow>>;
}

/// What can be written of them.
pub trait WriteLinks: ReadLinks {
    /// Stores a new link in the place of those for the same purpose and user.
    fn put_link(&mut self, link: &LinkRow) -> Result<()>;
    /// Marks a link as used; an existing mark stays. Says whether this one did it.
    fn use_link(&mut self, id: Id, at: Timestamp) -> Result<bool>;
    /// Deletes links that are used or were good until then; says how many.
    fn forget_links(&mut self, expired_until: Timestamp, limit: u32) -> Result<u32>;
}
