//! Sessions that a password opened.

use patrol_policy::types::{Digest, End, Id, Timestamp};
use rusqlite::{named_params, params};

use super::columns::{Columns, bound, owner_columns, user_row_columns};
use super::connections::{Lent, WriteGuard};
use super::read::View;
use crate::store::{
    AccountEpochs, AccountRow, AccountSession, PasswordRow, ReadAccounts, Result, WriteAccounts,
};

/// What [`account_row`] decodes.
pub(super) const ACCOUNT_ROW: &str = concat!(
    "SELECT s.id, s.audience, s.digest, s.opened, s.last_used, s.owner_epoch, s.tenant_epoch, s.password_epoch, \
     s.ended_at, s.ended_cause, a.name, u.password_epoch, ",
    owner_columns!(),
    ", ",
    user_row_columns!(),
    " FROM account_session s JOIN user u ON u.key = s.owner JOIN tenant t ON t.key = u.tenant \
     JOIN audience a ON a.id = s.audience WHERE s.id = ?1"
);

const INSERT: &str = "
    INSERT INTO account_session (id, owner, audience, digest, opened, last_used, owner_epoch, tenant_epoch,
        password_epoch, ended_at, ended_cause)
    SELECT :id, u.key, :audience, :digest, :opened, :last_used, :owner_epoch, :tenant_epoch, :password_epoch,
        :ended_at, :ended_cause
    FROM user u WHERE u.id = :owner";

const FORGET: &str = "
    DELETE FROM account_session WHERE id IN (
        SELECT id FROM account_session WHERE ended_at IS NOT NULL
        UNION SELECT id FROM account_session WHERE opened <= :opened_until
        UNION SELECT id FROM account_session WHERE last_used <= :used_until
            AND coalesce(unwritten_account_use(id), 0) <= :used_until
        LIMIT :limit)";

fn account_row(columns: &mut Columns<'_>) -> rusqlite::Result<AccountRow> {
    let id = columns.id()?;
    let audience = columns.take()?;
    let digest = Digest::from_bytes(&columns.take()?);
    let opened = columns.take()?;
    let last_used = columns.take()?;
    let epochs = columns.epochs()?;
    let ended = columns.end()?;
    let audience_name = columns.take()?;
    let password = columns.take()?;
    let owner = columns.owner()?;
    Ok(AccountRow {
        session: AccountSession {
            id,
            owner: owner.id,
            audience,
            digest,
            opened,
            last_used,
            epochs,
            ended,
        },
        epochs: AccountEpochs {
            owner: owner.epoch,
            tenant: owner.tenant_epoch,
            password,
        },
        owner,
        audience: audience_name,
        user: columns.user_row()?,
    })
}

impl<C: Lent> View<C> {
    /// A session, without the uses that are not yet written.
    pub(super) fn stored_account(&self, id: Id) -> Result<Option<AccountRow>> {
        self.first(ACCOUNT_ROW, [id.to_bytes()], account_row)
    }
}

impl<C: Lent> ReadAccounts for View<C> {
    fn account_row(&self, id: Id) -> Result<Option<AccountRow>> {
        let row = self.stored_account(id)?;
        Ok(row.map(|mut row| {
            row.session.last_used = self.uses.latest_account_use(&row.session);
            row
        }))
    }

    fn password(&self, user: Id) -> Result<Option<PasswordRow>> {
        let sql = "SELECT password_hash, password_epoch FROM user WHERE id = ?1";
        self.first(sql, [user.to_bytes()], |columns| {
            Ok(PasswordRow {
                hash: columns.take()?,
                epoch: columns.take()?,
            })
        })
    }
}

impl WriteAccounts for View<WriteGuard> {
    fn insert_account_session(&mut self, session: &AccountSession) -> Result<()> {
        let parameters = named_params! {
            ":id": session.id.to_bytes(),
            ":owner": session.owner.to_bytes(),
            ":audience": session.audience,
            ":digest": session.digest.to_bytes(),
            ":opened": session.opened,
            ":last_used": session.last_used,
            ":owner_epoch": session.epochs.owner,
            ":tenant_epoch": session.epochs.tenant,
            ":password_epoch": session.epochs.password,
            ":ended_at": session.ended.map(|end| end.at),
            ":ended_cause": session.ended.map(|end| end.cause.as_str()),
        };
        let name = session.id.to_string();
        self.insert_of(session.owner, ("session", &name), INSERT, parameters)
    }

    fn put_account_use(&mut self, id: Id, at: Timestamp) -> Result<()> {
        let sql = "UPDATE account_session SET last_used = ?2 WHERE id = ?1 AND last_used < ?2";
        self.execute(sql, params![id.to_bytes(), at])?;
        Ok(())
    }

    fn end_account_session(&mut self, id: Id, end: End) -> Result<()> {
        self.execute(
            "UPDATE account_session SET ended_at = ?2, ended_cause = ?3 WHERE id = ?1 AND ended_at IS NULL",
            params![id.to_bytes(), end.at, end.cause.as_str()],
        )?;
        Ok(())
    }

    fn forget_account_sessions(
        &mut self,
        opened_until: Timestamp,
        used_until: Timestamp,
        limit: u32,
    ) -> Result<u32> {
        let parameters = named_params! {
            ":opened_until": bound(opened_until), ":used_until": bound(used_until), ":limit": limit
        };
        self.sweep(FORGET, parameters)
    }
}
