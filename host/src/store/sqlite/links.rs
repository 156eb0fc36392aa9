//! Links that are good once.

use patrol_policy::types::{Digest, Id, Timestamp};
use rusqlite::{named_params, params};

use super::columns::{Columns, bound};
use super::connections::{Lent, WriteGuard};
use super::read::View;
use crate::store::{LinkPurpose, LinkRow, ReadLinks, Result, StoreError, WriteLinks};

/// What [`link_row`] decodes.
pub(super) const LINK: &str = "
    SELECT l.id, l.digest, l.created, l.expires, l.used_at, l.password_epoch, u.id
    FROM one_time_link l LEFT JOIN user u ON u.key = l.user WHERE l.id = ?1";

/// Those that a new one takes the place of.
pub(super) const REPLACED: &str = "
    DELETE FROM one_time_link WHERE user IS (SELECT key FROM user WHERE id = ?1)";

const INSERT: &str = "
    INSERT INTO one_time_link (id, digest, user, password_epoch, created, expires)
    VALUES (:id, :digest, (SELECT key FROM user WHERE id = :user), :epoch, :created, :expires)";

const FORGET: &str = "
    DELETE FROM one_time_link WHERE id IN (
        SELECT id FROM one_time_link WHERE expires <= :until OR used_at IS NOT NULL LIMIT :limit)";

/// A link, unless it says one thing of its purpose and another.
fn link_row(columns: &mut Columns<'_>) -> rusqlite::Result<Option<LinkRow>> {
    let id = columns.id()?;
    let digest = Digest::from_bytes(&columns.take()?);
    let (created, expires, used) = (columns.take()?, columns.take()?, columns.take()?);
    let epoch: Option<u64> = columns.take()?;
    let user: Option<[u8; 16]> = columns.take()?;
    let purpose = match (user, epoch) {
        (None, None) => LinkPurpose::Setup,
        (Some(user), Some(epoch)) => LinkPurpose::Password {
            user: Id::from_bytes(user),
            epoch,
        },
        _ => return Ok(None),
    };
    Ok(Some(LinkRow {
        id,
        digest,
        purpose,
        created,
        expires,
        used,
    }))
}

impl<C: Lent> ReadLinks for View<C> {
    fn link(&self, id: Id) -> Result<Option<LinkRow>> {
        Ok(self.first(LINK, [id.to_bytes()], link_row)?.flatten())
    }
}

impl WriteLinks for View<WriteGuard> {
    fn put_link(&mut self, link: &LinkRow) -> Result<()> {
        let (user, epoch) = match link.purpose {
            LinkPurpose::Setup => (None, None),
            LinkPurpose::Password { user, epoch } => (Some(user.to_bytes()), Some(epoch)),
        };
        self.execute(REPLACED, [user])?;
        let parameters = named_params! {
            ":id": link.id.to_bytes(),
            ":digest": link.digest.to_bytes(),
            ":user": user,
            ":epoch": epoch,
            ":created": link.created,
            ":expires": link.expires,
        };
        // A user who is not there would make it a link to set things up: the table's own check is in the way.
        if self.execute(INSERT, parameters)? == 0 {
            return Err(StoreError::Unavailable("a link was not stored".to_owned()));
        }
        Ok(())
    }

    fn use_link(&mut self, id: Id, at: Timestamp) -> Result<bool> {
        let sql = "UPDATE one_time_link SET used_at = ?2 WHERE id = ?1 AND used_at IS NULL";
        Ok(self.execute(sql, params![id.to_bytes(), at])? == 1)
    }

    fn forget_links(&mut self, expired_until: Timestamp, limit: u32) -> Result<u32> {
        let parameters = named_params! { ":until": bound(expired_until), ":limit": limit };
        self.sweep(FORGET, parameters)
    }
}
