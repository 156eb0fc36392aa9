//! Sessions of people on the pages.

use patrol_policy::types::{Digest, End, Id, Timestamp};
use rusqlite::{named_params, params};

use super::columns::{Columns, bound, owner_columns, user_row_columns};
use super::connections::{Lent, WriteGuard};
use super::read::View;
use crate::store::{AccountEpochs, ReadWeb, Result, WebRow, WebSession, WriteWeb};

/// What [`web_row`] decodes.
pub(super) const WEB_ROW: &str = concat!(
    "SELECT s.id, s.via, s.digest, s.opened, s.last_used, s.owner_epoch, s.tenant_epoch, s.password_epoch, \
     s.ended_at, s.ended_cause, u.password_epoch, ",
    owner_columns!(),
    ", ",
    user_row_columns!(),
    " FROM web_session s JOIN user u ON u.key = s.owner JOIN tenant t ON t.key = u.tenant WHERE s.id = ?1"
);

const INSERT: &str = "
    INSERT INTO web_session (id, owner, via, digest, opened, last_used, owner_epoch, tenant_epoch, password_epoch,
        ended_at, ended_cause)
    SELECT :id, u.key, :via, :digest, :opened, :last_used, :owner_epoch, :tenant_epoch, :password_epoch,
        :ended_at, :ended_cause
    FROM user u WHERE u.id = :owner";

const REBIND: &str = "
    UPDATE web_session SET (owner_epoch, tenant_epoch, password_epoch) = (
        SELECT u.epoch, t.epoch, u.password_epoch FROM user u JOIN tenant t ON t.key = u.tenant
        WHERE u.key = web_session.owner)
    WHERE id = ?1 AND ended_at IS NULL";

const FORGET: &str = "
    DELETE FROM web_session WHERE id IN (
        SELECT id FROM web_session WHERE ended_at IS NOT NULL OR opened <= :opened_until OR last_used <= :used_until
        LIMIT :limit)";

fn web_row(columns: &mut Columns<'_>) -> rusqlite::Result<WebRow> {
    let id = columns.id()?;
    let via = columns.take()?;
    let digest = Digest::from_bytes(&columns.take()?);
    let opened = columns.take()?;
    let last_used = columns.take()?;
    let epochs = columns.epochs()?;
    let ended = columns.end()?;
    let password = columns.take()?;
    let owner = columns.owner()?;
    Ok(WebRow {
        session: WebSession {
            id,
            owner: owner.id,
            via,
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
        user: columns.user_row()?,
    })
}

impl<C: Lent> ReadWeb for View<C> {
    fn web_row(&self, id: Id) -> Result<Option<WebRow>> {
        self.first(WEB_ROW, [id.to_bytes()], web_row)
    }
}

impl WriteWeb for View<WriteGuard> {
    fn insert_web_session(&mut self, session: &WebSession) -> Result<()> {
        let parameters = named_params! {
            ":id": session.id.to_bytes(),
            ":owner": session.owner.to_bytes(),
            ":via": session.via,
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

    fn put_web_use(&mut self, id: Id, at: Timestamp) -> Result<()> {
        let sql = "UPDATE web_session SET last_used = ?2 WHERE id = ?1 AND last_used < ?2";
        self.execute(sql, params![id.to_bytes(), at])?;
        Ok(())
    }

    fn rebind_web_session(&mut self, id: Id) -> Result<()> {
        self.execute(REBIND, [id.to_bytes()])?;
        Ok(())
    }

    fn end_web_session(&mut self, id: Id, end: End) -> Result<()> {
        self.execute(
            "UPDATE web_session SET ended_at = ?2, ended_cause = ?3 WHERE id = ?1 AND ended_at IS NULL",
            params![id.to_bytes(), end.at, end.cause.as_str()],
        )?;
        Ok(())
    }

    fn end_web_sessions(&mut self, owner: Id, but: Option<Id>, end: End) -> Result<u32> {
        self.sweep(
            "UPDATE web_session SET ended_at = ?3, ended_cause = ?4
             WHERE owner = (SELECT key FROM user WHERE id = ?1) AND id IS NOT ?2 AND ended_at IS NULL",
            params![
                owner.to_bytes(),
                but.map(Id::to_bytes),
                end.at,
                end.cause.as_str()
            ],
        )
    }

    fn forget_web_sessions(
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
