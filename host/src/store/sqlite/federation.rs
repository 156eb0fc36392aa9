//! Accounts at identity providers.

use patrol_policy::types::{Id, Timestamp};
use rusqlite::params;

use super::columns::user_row_columns;
use super::connections::{Lent, WriteGuard};
use super::error::or_exists;
use super::read::View;
use crate::store::{Account, ReadFederation, Result, StoreError, UserRow, WriteFederation};

pub(super) const FEDERATED_USER: &str = concat!(
    "SELECT ",
    user_row_columns!(),
    " FROM federated_identity f JOIN user u ON u.key = f.owner JOIN tenant t ON t.key = u.tenant \
     WHERE f.provider = ?1 AND f.issuer = ?2 AND f.subject = ?3"
);

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

    fn has_federated(&self, provider: &str, issuer: &str, user: Id) -> Result<bool> {
        let sql = "SELECT 1 FROM federated_identity f JOIN user u ON u.key = f.owner \
                   WHERE u.id = ?3 AND f.provider = ?1 AND f.issuer = ?2";
        let found = self.first(sql, params![provider, issuer, user.to_bytes()], |columns| {
            columns.take::<i64>()
        })?;
        Ok(found.is_some())
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
        let linked = self
            .prepare(sql)?
            .execute(params![provider, issuer, subject, user.to_bytes(), at]);
        if linked.map_err(or_exists("account", subject))? == 0 {
            return Err(StoreError::NotFound {
                what: "user",
                name: user.to_string(),
            });
        }
        Ok(())
    }
}
