//! How a user gets in to the pages besides their password, for administrators: to look at, and to take away from somebody
//! who has lost it. Neither disturbs a token.

use patrol_policy::types::Id;
use serde_json::json;

use super::directory::found;
use super::web::closed;
use super::{Caller, Error, Patrol, SecondFactor, UserRef};
use crate::store::{LinkedAccount, UserRow};

/// How a user gets in besides their password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaysIn {
    /// Their second factor.
    pub second_factor: SecondFactor,
    /// Their accounts at identity providers.
    pub accounts: Vec<LinkedAccount>,
}

impl Patrol {
    /// How a user gets in besides their password.
    ///
    /// # Errors
    /// An outage.
    pub fn ways_in(&self, user: Id) -> Result<WaysIn, Error> {
        Ok(WaysIn {
            second_factor: self.second_factor(user)?,
            accounts: self.store.read()?.federated_accounts(user)?,
        })
    }

    /// Takes a user's second factor away, with its recovery codes. From now on the password is enough, or, where the
    /// tenant asks for a second factor (R11), lets them set up a new one. No session ends.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the user, or where they have none; an outage.
    pub fn remove_second_factor(&self, caller: &Caller, user: &UserRef) -> Result<UserRow, Error> {
        self.change_user(caller, user, "remove_second_factor", |transaction, user| {
            let factor = transaction.second_factor(user.id)?;
            let factor = factor.filter(|factor| factor.confirmed.is_some());
            found(factor, "second factor of", &user.name)?;
            transaction.delete_second_factor(user.id)?;
            Ok(None)
        })
    }

    /// Takes a user's account at an identity provider away, and ends their sessions on the pages. The next account that
    /// the provider vouches for, and by which the user is found, becomes theirs.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the user, or where they have none there; an outage.
    pub fn unlink_account(&self, caller: &Caller, user: &UserRef, provider: &str) -> Result<UserRow, Error> {
        self.change_user(caller, user, "unlink_identity", |transaction, user| {
            let mut theirs = transaction.federated_accounts(user.id)?;
            theirs.retain(|account| account.provider == provider);
            found(theirs.first(), "account linked at", provider)?;
            transaction.unlink_federated(provider, user.id)?;
            transaction.end_web_sessions(user.id, None, closed(self.now()))?;
            let theirs = theirs.iter().map(|account| {
                json!({ "provider": account.provider, "issuer": account.issuer, "subject": account.subject })
            });
            Ok(Some(("accounts", theirs.collect())))
        })
    }
}
