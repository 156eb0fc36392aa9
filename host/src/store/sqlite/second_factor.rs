//! Second factors, and sign-ins that wait for one.

use patrol_policy::types::{Digest, Id, Timestamp};
use rusqlite::params;

use super::columns::bound;
use super::connections::{Lent, WriteGuard};
use super::read::View;
use crate::store::{HalfSignIn, ReadSecondFactor, Result, SecondFactorRow, WriteSecondFactor};

pub(super) const SECOND_FACTOR: &str = "
    SELECT f.sealed, f.confirmed_at, f.last_step, f.wrong, (SELECT count(*) FROM recovery_code c WHERE c.owner = f.owner)
    FROM second_factor f WHERE f.owner = (SELECT key FROM user WHERE id = ?1)";

pub(super) const HALF_SIGN_IN: &str = "
    SELECT h.id, u.id, h.digest, h.password_epoch, h.expires, h.tries
    FROM half_sign_in h JOIN user u ON u.key = h.owner WHERE h.id = ?1";

impl<C: Lent> ReadSecondFactor for View<C> {
    fn second_factor(&self, owner: Id) -> Result<Option<SecondFactorRow>> {
        self.first(SECOND_FACTOR, [owner.to_bytes()], |columns| {
            Ok(SecondFactorRow {
                sealed: columns.take()?,
                confirmed: columns.take()?,
                last_step: columns.take()?,
                wrong: columns.take()?,
                recovery_left: columns.take()?,
            })
        })
    }

    fn any_second_factor(&self) -> Result<bool> {
        let any = self.first("SELECT EXISTS (SELECT 1 FROM second_factor)", [], |columns| {
            columns.take()
        })?;
        Ok(any.unwrap_or(true))
    }

    fn half_sign_in(&self, id: Id) -> Result<Option<HalfSignIn>> {
        self.first(HALF_SIGN_IN, [id.to_bytes()], |columns| {
            Ok(HalfSignIn {
                id: columns.id()?,
                owner: columns.id()?,
                digest: Digest::from_bytes(&columns.take()?),
                password_epoch: columns.take()?,
                expires: columns.take()?,
                tries: columns.take()?,
            })
        })
    }
}

impl WriteSecondFactor for View<WriteGuard> {
    fn put_second_factor(&mut self, owner: Id, sealed: &[u8]) -> Result<()> {
        self.execute(
            "INSERT INTO second_factor (owner, sealed) SELECT key, ?2 FROM user WHERE id = ?1
             ON CONFLICT (owner) DO UPDATE SET sealed = excluded.sealed WHERE confirmed_at IS NULL",
            params![owner.to_bytes(), sealed],
        )?;
        Ok(())
    }

    fn confirm_second_factor(&mut self, owner: Id, at: Timestamp) -> Result<()> {
        self.execute(
            "UPDATE second_factor SET confirmed_at = ?2
             WHERE owner = (SELECT key FROM user WHERE id = ?1) AND confirmed_at IS NULL",
            params![owner.to_bytes(), at],
        )?;
        Ok(())
    }

    fn use_step(&mut self, owner: Id, step: u64) -> Result<bool> {
        let changed = self.execute(
            "UPDATE second_factor SET last_step = ?2, wrong = 0
             WHERE owner = (SELECT key FROM user WHERE id = ?1) AND last_step < ?2",
            params![owner.to_bytes(), step],
        )?;
        Ok(changed == 1)
    }

    fn delete_second_factor(&mut self, owner: Id) -> Result<()> {
        for sql in [
            "DELETE FROM recovery_code WHERE owner = (SELECT key FROM user WHERE id = ?1)",
            "DELETE FROM second_factor WHERE owner = (SELECT key FROM user WHERE id = ?1)",
        ] {
            self.execute(sql, [owner.to_bytes()])?;
        }
        Ok(())
    }

    fn put_recovery_codes(&mut self, owner: Id, digests: &[[u8; 32]]) -> Result<()> {
        self.execute(
            "DELETE FROM recovery_code WHERE owner = (SELECT key FROM user WHERE id = ?1)",
            [owner.to_bytes()],
        )?;
        for digest in digests {
            self.execute(
                "INSERT INTO recovery_code (owner, digest) SELECT key, ?2 FROM user WHERE id = ?1",
                params![owner.to_bytes(), digest],
            )?;
        }
        Ok(())
    }

    fn use_recovery_code(&mut self, owner: Id, digest: &[u8; 32]) -> Result<bool> {
        let changed = self.execute(
            "DELETE FROM recovery_code WHERE owner = (SELECT key FROM user WHERE id = ?1) AND digest = ?2",
            params![owner.to_bytes(), digest],
        )?;
        self.execute(
            "UPDATE second_factor SET wrong = 0 WHERE ?2 AND owner = (SELECT key FROM user WHERE id = ?1)",
            params![owner.to_bytes(), changed == 1],
        )?;
        Ok(changed == 1)
    }

    fn count_wrong_code(&mut self, owner: Id) -> Result<()> {
        let sql =
            "UPDATE second_factor SET wrong = wrong + 1 WHERE owner = (SELECT key FROM user WHERE id = ?1)";
        self.execute(sql, [owner.to_bytes()])?;
        Ok(())
    }

    fn insert_half_sign_in(&mut self, half: &HalfSignIn) -> Result<()> {
        self.execute(
            "INSERT INTO half_sign_in (id, owner, digest, password_epoch, expires)
             SELECT ?1, key, ?3, ?4, ?5 FROM user WHERE id = ?2",
            params![
                half.id.to_bytes(),
                half.owner.to_bytes(),
                half.digest.to_bytes(),
                half.password_epoch,
                half.expires
            ],
        )?;
        Ok(())
    }

    fn count_try(&mut self, id: Id) -> Result<()> {
        let sql = "UPDATE half_sign_in SET tries = tries + 1 WHERE id = ?1";
        self.execute(sql, [id.to_bytes()])?;
        Ok(())
    }

    fn delete_half_sign_in(&mut self, id: Id, expired_until: Timestamp) -> Result<()> {
        let sql = "DELETE FROM half_sign_in WHERE id = ?1 OR expires <= ?2";
        self.execute(sql, params![id.to_bytes(), bound(expired_until)])?;
        Ok(())
    }
}
