//! Accounts at identity providers.

use patrol_policy::types::{Id, Timestamp};
use rusqlite::params;

use super::columns::user_row_columns;
use super::connections::{Lent, WriteGuard};
use super::read::View;
use crate::store::{Account, LinkedAccount, ReadFederation, Result, UserRow, WriteFederation};

pub(super) const FEDERATED_USER: &str = concat!(
    "SELECT ",
    user_row_columns!(),
    " FROM federated_identity f JOIN user u ON u.key = f.owner JOIN tenant t ON t.key = u.tenant \
     WHERE f.provider = ?1 AND f.issuer = ?2 AND f.subject = ?3"
);

pub(super) const FEDERATED_ACCOUNTS: &str = "
    SELECT f.provider, f.issuer, f.subject, f.linked
    FROM user u CROSS JOIN federated_identity f ON f.owner = u.key WHERE u.id = ?1 ORDER BY f.provider, f.issuer";

pub(super) const USERS_BY_EMAIL: &str = concat!(
    "SELECT ",
    user_row_columns!(),
    " FROM tenant t CROSS JOIN user u ON u.tenant = t.key \
     WHERE t.id = ?1 AND u.email IS NOT NULL AND lower(u.email) = lower(?2) AND u.deleted_at IS NULL ORDER BY u.id LIMIT 2"
);

impl<C: Lent> ReadFederation for View<C> {
    fn federated_user(&self, account: Account<'_>) -> Result<Option<UserRow>> {
        let Account {
            provider,
            issuer,
            subject,
        } = account;
        self.first(FEDERATED_USER, [provider, issuer, subject], |columns| {
            columns.user_row()
        })
    }

    fn federated_accounts(&self, user: Id) -> Result<Vec<LinkedAccount>> {
        self.all(FEDERATED_ACCOUNTS, [user.to_bytes()], |columns| {
            Ok(LinkedAccount {
                provider: columns.take()?,
                issuer: columns.take()?,
                subject: columns.take()?,
                linked: columns.take()?,
            })
        })
    }

    fn users_by_email(&self, tenant: Id, email: &str) -> Result<Vec<UserRow>> {
        self.all(USERS_BY_EMAIL, params![tenant.to_bytes(), email], |columns| {
            columns.user_row()
        })
    }
}

impl WriteFederation for View<WriteGuard> {
    fn link_federated(&mut self, account: Account<'_>, user: Id, at: Timestamp) -> Result<()> {
        let Account {
            provider,
            issuer,
            subject,
        } = account;
        self.execute(
            "DELETE FROM federated_identity WHERE provider = ?1 AND issuer = ?2 AND subject = ?3 \
             AND owner IN (SELECT key FROM user WHERE deleted_at IS NOT NULL)",
            [provider, issuer, subject],
        )?;
        let sql = "INSERT INTO federated_identity (provider, issuer, subject, owner, linked) \
                   SELECT ?1, ?2, ?3, key, ?5 FROM user WHERE id = ?4";
        let parameters = params![provider, issuer, subject, user.to_bytes(), at];
        self.insert_of(user, ("account", subject), sql, parameters)
    }

    fn unlink_federated(&mut self, provider: &str, user: Id) -> Result<()> {
        self.execute(
            "DELETE FROM federated_identity WHERE provider = ?1 AND owner = (SELECT key FROM user WHERE id = ?2)",
            params![provider, user.to_bytes()],
        )?;
        Ok(())
    }
}
