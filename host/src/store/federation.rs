//! Who a user is elsewhere: the accounts at identity providers that sign them in.

use patrol_policy::types::{Id, Timestamp};

use super::{Result, UserRow};

/// An account at a provider. The subject names it for good, by the issuer's word; nothing else does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account<'a> {
    /// The provider's name in the configuration.
    pub provider: &'a str,
    /// The issuer.
    pub issuer: &'a str,
    /// The subject, unique at the issuer.
    pub subject: &'a str,
}

/// An account that belongs to a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkedAccount {
    /// The provider's name in the configuration.
    pub provider: String,
    /// The issuer.
    pub issuer: String,
    /// The subject.
    pub subject: String,
    /// When it became theirs.
    pub linked: Timestamp,
}

/// What can be read of them.
pub trait ReadFederation: Send {
    /// The user to whom an account belongs, deleted ones included.
    fn federated_user(&self, account: Account<'_>) -> Result<Option<UserRow>>;
    /// The accounts that belong to a user, by provider and issuer; of each issuer at most one.
    fn federated_accounts(&self, user: Id) -> Result<Vec<LinkedAccount>>;
    /// The users of a tenant, not deleted, with this e-mail address, whatever the case of its ASCII letters; at most
    /// two, since then it is not clear who is meant.
    fn users_by_email(&self, tenant: Id, email: &str) -> Result<Vec<UserRow>>;
}

/// What can be written of them.
pub trait WriteFederation: ReadFederation {
    /// Notes that an account belongs to a user, in place of one that was deleted since.
    fn link_federated(&mut self, account: Account<'_>, user: Id, at: Timestamp) -> Result<()>;
    /// Takes a user's accounts at a provider away.
    fn unlink_federated(&mut self, provider: &str, user: Id) -> Result<()>;
}
