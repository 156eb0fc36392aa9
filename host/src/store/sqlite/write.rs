//! Every write function of a transaction.
//!
//! Marks are set only where there is none, times only moved forward: the condition stands in the statement, so no
//! caller can get it wrong. Marking a token as ended erases its digests in the same statement (R6).

use patrol_policy::types::{Digest, End, Id, LiveRule, PreviousSecret, Scope, Session, Timestamp, Token};
use rusqlite::{Params, named_params, params};

use super::columns::{bound, listed, live, token_tables};
use super::connections::{Lent, WriteGuard};
use super::error::or_exists;
use super::queries::meant;
use super::read::View;
use super::{audit, uses::Batch};
use crate::store::{
    NewClientRow, NewTenant, NewUser, Read, ReadRecords as _, Result, StoreError, Tenants, Transaction,
    WriteAccounts as _, WriteRecords,
};

const INSERT_TOKEN: &str = "
    INSERT INTO token (id, owner, audience, name, scheme, digest, generation, previous_scheme, previous_digest,
        previous_until, created, expires, last_used, owner_epoch, tenant_epoch, ended_at, ended_cause, tenant)
    SELECT :id, u.key, :audience, :name, :scheme, :digest, :generation, :previous_scheme, :previous_digest,
        :previous_until, :created, :expires, :last_used, :owner_epoch, :tenant_epoch, :ended_at, :ended_cause, u.tenant
    FROM user u JOIN tenant t ON t.key = u.tenant
    WHERE u.id = :owner AND t.id = :tenant AND :owner_epoch <= u.epoch AND :tenant_epoch <= t.epoch";

const END_TOKEN: &str = "
    UPDATE token SET ended_at = ?2, ended_cause = ?3, scheme = 0, digest = NULL,
        previous_scheme = NULL, previous_digest = NULL, previous_until = NULL
    WHERE id = ?1 AND ended_at IS NULL";

const END_LIVE_TOKENS: &str = concat!(
    "UPDATE token SET ended_at = :at, ended_cause = :cause, scheme = 0, digest = NULL,
        previous_scheme = NULL, previous_digest = NULL, previous_until = NULL
    WHERE id IN (SELECT k.id FROM ",
    token_tables!(),
    " WHERE u.id = :owner AND ",
    live!(),
    ")"
);

const PUT_USE: &str = "
    UPDATE token SET last_used = ?2, last_used_from = ?3
    WHERE id = ?1 AND (last_used IS NULL OR last_used < ?2)";

const PUT_SESSION_USE: &str = "UPDATE session SET last_used = ?2 WHERE id = ?1 AND last_used < ?2";

/// Which tokens are forgotten, for both statements that need to agree on it.
macro_rules! forgotten {
    () => {
        concat!(
            "(SELECT k.id FROM token k WHERE k.ended_at IS NOT NULL AND k.ended_at <= :ended_until AND ",
            meant!("(SELECT o.tenant FROM user o WHERE o.key = k.owner)"),
            " ORDER BY k.ended_at, k.id LIMIT :limit)"
        )
    };
}

const FORGET_THEIR_SESSIONS: &str = concat!("DELETE FROM session WHERE token IN ", forgotten!());
const FORGET_TOKENS: &str = concat!("DELETE FROM token WHERE id IN ", forgotten!());

/// Of the tenants that are meant, by the session's token.
macro_rules! session_meant {
    () => {
        meant!("(SELECT o.tenant FROM token k JOIN user o ON o.key = k.owner WHERE k.id = s.token)")
    };
}

const FORGET_SESSIONS: &str = concat!(
    "DELETE FROM session WHERE id IN (
        SELECT s.id FROM session s WHERE s.ended_at IS NOT NULL AND ",
    session_meant!(),
    " UNION SELECT s.id FROM session s WHERE s.opened <= :opened_until AND ",
    session_meant!(),
    " UNION SELECT s.id FROM session s WHERE s.last_used <= :used_until
        AND coalesce(unwritten_session_use(s.id), 0) <= :used_until AND ",
    session_meant!(),
    " LIMIT :limit)"
);

const ERASE_PREVIOUS: &str = concat!(
    "UPDATE token SET previous_scheme = NULL, previous_digest = NULL, previous_until = NULL
    WHERE id IN (SELECT k.id FROM token k WHERE k.previous_until IS NOT NULL AND k.previous_until <= :until AND ",
    meant!("(SELECT o.tenant FROM user o WHERE o.key = k.owner)"),
    " LIMIT :limit)"
);

/// A digest as stored: scheme 0 has none.
fn stored_digest(scheme: u8, digest: Digest) -> Option<[u8; 32]> {
    (scheme != 0).then(|| digest.to_bytes())
}

/// Roles, or audiences, as stored: sorted, each once, as a JSON array.
fn stored_texts(texts: &[String]) -> Result<String> {
    let sorted: std::collections::BTreeSet<&String> = texts.iter().collect();
    serde_json::to_string(&sorted).map_err(|error| StoreError::Unavailable(error.to_string()))
}

fn no_such(what: &'static str, id: Id) -> StoreError {
    StoreError::NotFound {
        what,
        name: id.to_string(),
    }
}

impl View<WriteGuard> {
    /// Executes a statement; says how many rows it changed.
    pub(super) fn execute(&self, sql: &str, parameters: impl Params) -> Result<usize> {
        Ok(self.prepare(sql)?.execute(parameters)?)
    }

    /// Executes a statement that changes a limited number of rows; says how many.
    pub(super) fn sweep(&self, sql: &str, parameters: impl Params) -> Result<u32> {
        let changed = self.execute(sql, parameters)?;
        u32::try_from(changed).map_err(|_| StoreError::Unavailable("too many rows were changed".to_owned()))
    }

    /// Inserts something that belongs to a user, whom the statement finds.
    pub(super) fn insert_of(
        &self,
        user: Id,
        (what, name): (&'static str, &str),
        sql: &str,
        parameters: impl Params,
    ) -> Result<()> {
        let inserted = self.prepare(sql)?.execute(parameters);
        if inserted.map_err(or_exists(what, name))? == 0 {
            return Err(no_such("user", user));
        }
        Ok(())
    }

    /// Executes a statement that changes one user.
    fn change_user(&self, user: Id, sql: &str, parameters: impl Params) -> Result<()> {
        if self.execute(sql, parameters)? == 0 {
            Err(no_such("user", user))
        } else {
            Ok(())
        }
    }

    /// Writes noted uses.
    pub(super) fn put_uses(&mut self, batch: &Batch) -> Result<()> {
        for one in &batch.tokens {
            self.put_use(one.id, one.at, one.from.as_deref())?;
        }
        for one in &batch.sessions {
            self.put_session_use(one.id, one.at)?;
        }
        for one in &batch.accounts {
            self.put_account_use(one.id, one.at)?;
        }
        Ok(())
    }
}

impl WriteRecords for View<WriteGuard> {
    fn insert_token(&mut self, token: &Token, name: &str) -> Result<()> {
        let previous = token.previous.as_ref();
        let parameters = named_params! {
            ":id": token.id.to_bytes(),
            ":owner": token.owner.to_bytes(),
            ":tenant": token.tenant.to_bytes(),
            ":audience": token.audience,
            ":name": name,
            ":scheme": token.scheme,
            ":digest": stored_digest(token.scheme, token.digest),
            ":generation": token.generation,
            ":previous_scheme": previous.map(|previous| previous.scheme),
            ":previous_digest": previous.map(|previous| previous.digest.to_bytes()),
            ":previous_until": previous.map(|previous| previous.until),
            ":created": token.created,
            ":expires": token.expires,
            ":last_used": token.last_used,
            ":owner_epoch": token.owner_epoch,
            ":tenant_epoch": token.tenant_epoch,
            ":ended_at": token.ended.map(|end| end.at),
            ":ended_cause": token.ended.map(|end| end.cause.as_str()),
        };
        let inserted = self.prepare(INSERT_TOKEN)?.execute(parameters);
        if inserted.map_err(or_exists("token", &token.id.to_string()))? == 1 {
            return Ok(());
        }
        match self.owner(token.owner)? {
            Some(owner) if owner.tenant == token.tenant => Err(StoreError::Unavailable(
                "a token cannot be of an epoch yet to come".to_owned(),
            )),
            _ => Err(no_such("user", token.owner)),
        }
    }

    fn replace_secret(
        &mut self,
        id: Id,
        generation: u32,
        scheme: u8,
        digest: Digest,
        previous: Option<PreviousSecret>,
    ) -> Result<()> {
        let changed = self.execute(
            "UPDATE token SET generation = ?2, scheme = ?3, digest = ?4, previous_scheme = ?5, \
             previous_digest = ?6, previous_until = ?7 WHERE id = ?1 AND ended_at IS NULL",
            params![
                id.to_bytes(),
                generation,
                scheme,
                stored_digest(scheme, digest),
                previous.map(|previous| previous.scheme),
                previous.map(|previous| previous.digest.to_bytes()),
                previous.map(|previous| previous.until),
            ],
        )?;
        // A token that has ended must not get a usable digest back (R8).
        if changed == 0 {
            Err(no_such("token that has not ended", id))
        } else {
            Ok(())
        }
    }

    fn end_token(&mut self, id: Id, end: End) -> Result<()> {
        self.execute(END_TOKEN, params![id.to_bytes(), end.at, end.cause.as_str()])?;
        Ok(())
    }

    fn end_live_tokens(&mut self, owner: Id, rule: LiveRule, end: End) -> Result<u32> {
        let parameters = named_params! {
            ":owner": owner.to_bytes(), ":now": bound(rule.now), ":idle_since": bound(rule.idle_since),
            ":at": end.at, ":cause": end.cause.as_str()
        };
        self.sweep(END_LIVE_TOKENS, parameters)
    }

    fn insert_session(&mut self, session: &Session) -> Result<()> {
        let inserted = self
            .prepare(
                "INSERT INTO session (id, token, generation, digest, opened, last_used, ended_at, ended_cause) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                session.id.to_bytes(),
                session.token.to_bytes(),
                session.generation,
                session.digest.to_bytes(),
                session.opened,
                session.last_used,
                session.ended.map(|end| end.at),
                session.ended.map(|end| end.cause.as_str()),
            ]);
        inserted.map_err(or_exists("session", &session.id.to_string()))?;
        Ok(())
    }

    fn end_session(&mut self, id: Id, end: End) -> Result<()> {
        self.execute(
            "UPDATE session SET ended_at = ?2, ended_cause = ?3 WHERE id = ?1 AND ended_at IS NULL",
            params![id.to_bytes(), end.at, end.cause.as_str()],
        )?;
        Ok(())
    }

    fn set_auth_method(&mut self, scope: Scope, method: &str, at: Timestamp) -> Result<()> {
        let (what, id, sql) = match scope {
            Scope::Tenant(id) => (
                "tenant",
                id,
                "UPDATE tenant SET auth_method = ?2, epoch = epoch + 1, epoch_since = ?3 WHERE id = ?1",
            ),
            Scope::Owner(id) => (
                "user",
                id,
                "UPDATE user SET auth_method = ?2, epoch = epoch + 1, epoch_since = ?3 WHERE id = ?1",
            ),
        };
        if self.execute(sql, params![id.to_bytes(), method, at])? == 0 {
            Err(no_such(what, id))
        } else {
            Ok(())
        }
    }

    fn erase_previous_secrets(&mut self, tenants: &Tenants, until: Timestamp, limit: u32) -> Result<u32> {
        let (tenants, listed) = listed(tenants);
        let parameters = named_params! {
            ":until": bound(until), ":limit": limit, ":tenants": tenants, ":listed": listed
        };
        self.sweep(ERASE_PREVIOUS, parameters)
    }

    fn forget_tokens(&mut self, tenants: &Tenants, ended_until: Timestamp, limit: u32) -> Result<u32> {
        let (tenants, listed) = listed(tenants);
        let parameters = named_params! {
            ":ended_until": bound(ended_until), ":limit": limit, ":tenants": tenants, ":listed": listed
        };
        self.execute(FORGET_THEIR_SESSIONS, parameters)?;
        self.sweep(FORGET_TOKENS, parameters)
    }

    fn forget_sessions(
        &mut self,
        tenants: &Tenants,
        opened_until: Timestamp,
        used_until: Timestamp,
        limit: u32,
    ) -> Result<u32> {
        let (tenants, listed) = listed(tenants);
        let parameters = named_params! {
            ":opened_until": bound(opened_until), ":used_until": bound(used_until), ":limit": limit,
            ":tenants": tenants, ":listed": listed
        };
        self.sweep(FORGET_SESSIONS, parameters)
    }
}

impl Transaction for View<WriteGuard> {
    fn put_use(&mut self, id: Id, at: Timestamp, from: Option<&str>) -> Result<()> {
        self.execute(PUT_USE, params![id.to_bytes(), at, from])?;
        Ok(())
    }

    fn put_session_use(&mut self, id: Id, at: Timestamp) -> Result<()> {
        self.execute(PUT_SESSION_USE, params![id.to_bytes(), at])?;
        Ok(())
    }

    fn insert_tenant(&mut self, tenant: &NewTenant<'_>) -> Result<()> {
        let inserted = self
            .prepare(
                "INSERT INTO tenant (id, name, auth_method, multi_factor, created) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                tenant.id.to_bytes(),
                tenant.name,
                tenant.auth_method,
                tenant.multi_factor,
                tenant.created,
            ]);
        inserted.map_err(or_exists("tenant", tenant.name))?;
        Ok(())
    }

    fn set_multi_factor(&mut self, tenant: Id, on: bool) -> Result<()> {
        let changed = self.execute(
            "UPDATE tenant SET multi_factor = ?2 WHERE id = ?1",
            params![tenant.to_bytes(), on],
        )?;
        if changed == 0 {
            Err(no_such("tenant", tenant))
        } else {
            Ok(())
        }
    }

    fn insert_user(&mut self, user: &NewUser<'_>) -> Result<()> {
        let roles = stored_texts(user.roles)?;
        let inserted = self
            .prepare(
                "INSERT INTO user (id, tenant, name, email, roles, created) \
                 SELECT ?1, t.key, ?3, ?4, ?5, ?6 FROM tenant t WHERE t.id = ?2",
            )?
            .execute(params![
                user.id.to_bytes(),
                user.tenant.to_bytes(),
                user.name,
                user.email,
                roles,
                user.created,
            ]);
        let inserted = inserted.map_err(or_exists("user", user.name))?;
        if inserted == 0 {
            Err(no_such("tenant", user.tenant))
        } else {
            Ok(())
        }
    }

    fn rename_user(&mut self, user: Id, name: &str) -> Result<()> {
        let renamed = self
            .prepare("UPDATE user SET name = ?2 WHERE id = ?1")?
            .execute(params![user.to_bytes(), name])
            .map_err(or_exists("user", name))?;
        if renamed == 0 {
            Err(no_such("user", user))
        } else {
            Ok(())
        }
    }

    fn set_email(&mut self, user: Id, email: Option<&str>) -> Result<()> {
        let sql = "UPDATE user SET email = ?2 WHERE id = ?1";
        self.change_user(user, sql, params![user.to_bytes(), email])
    }

    fn set_roles(&mut self, user: Id, roles: &[String]) -> Result<()> {
        let sql = "UPDATE user SET roles = ?2 WHERE id = ?1";
        self.change_user(user, sql, params![user.to_bytes(), stored_texts(roles)?])
    }

    fn set_password_hash(&mut self, user: Id, hash: &str) -> Result<()> {
        let sql = "UPDATE user SET password_hash = ?2, password_epoch = password_epoch + 1 WHERE id = ?1";
        self.change_user(user, sql, params![user.to_bytes(), hash])
    }

    fn set_enabled(&mut self, user: Id, enabled: bool) -> Result<()> {
        let sql = "UPDATE user SET enabled = ?2 WHERE id = ?1";
        self.change_user(user, sql, params![user.to_bytes(), enabled])
    }

    fn delete_user(&mut self, user: Id, at: Timestamp) -> Result<()> {
        let sql = "UPDATE user SET deleted_at = coalesce(deleted_at, ?2), password_hash = NULL WHERE id = ?1";
        self.change_user(user, sql, params![user.to_bytes(), at])
    }

    fn insert_client(&mut self, client: &NewClientRow<'_>) -> Result<()> {
        let audiences = stored_texts(client.audiences)?;
        let tenant = client.tenant.map(Id::to_bytes);
        // A tenant that is not there must not become no limit at all.
        let inserted = self
            .prepare(
                "INSERT INTO client (id, name, tenant, audiences, scheme, digest, created, expires) \
                 SELECT ?1, ?2, (SELECT key FROM tenant WHERE id = ?3), ?4, ?5, ?6, ?7, ?8 \
                 WHERE ?3 IS NULL OR EXISTS (SELECT 1 FROM tenant WHERE id = ?3)",
            )?
            .execute(params![
                client.id.to_bytes(),
                client.name,
                tenant,
                audiences,
                client.scheme,
                stored_digest(client.scheme, client.digest),
                client.created,
                client.expires,
            ]);
        let inserted = inserted.map_err(or_exists("client", client.name))?;
        if inserted == 0 {
            Err(no_such("tenant", client.tenant.unwrap_or_default()))
        } else {
            Ok(())
        }
    }

    fn replace_client_secret(&mut self, client: Id, scheme: u8, digest: Digest) -> Result<()> {
        let changed = self.execute(
            "UPDATE client SET scheme = ?2, digest = ?3 WHERE id = ?1 AND revoked_at IS NULL",
            params![client.to_bytes(), scheme, stored_digest(scheme, digest)],
        )?;
        // A revoked client must not get a usable digest back.
        if changed == 0 {
            Err(no_such("client that is not revoked", client))
        } else {
            Ok(())
        }
    }

    fn revoke_client(&mut self, client: Id, at: Timestamp) -> Result<()> {
        self.execute(
            "UPDATE client SET revoked_at = ?2, scheme = 0, digest = NULL WHERE id = ?1 AND revoked_at IS NULL",
            params![client.to_bytes(), at],
        )?;
        Ok(())
    }

    fn intern_audience(&mut self, name: &str) -> Result<u32> {
        self.execute(
            "INSERT INTO audience (name) VALUES (?1) ON CONFLICT DO NOTHING",
            [name],
        )?;
        self.audience(name)?
            .ok_or_else(|| StoreError::Unavailable("the audience was not stored".to_owned()))
    }

    fn append_audit(&mut self, at: Timestamp, event_type: &str, user: Option<Id>, body: &str) -> Result<()> {
        audit::append(self.lent.connection()?, at, event_type, user, body)
    }

    fn put_clock_mark(&mut self, at: Timestamp, force: bool) -> Result<()> {
        self.execute(
            "UPDATE meta SET clock_mark = ?1 WHERE ?2 OR clock_mark < ?1",
            params![at, force],
        )?;
        Ok(())
    }

    fn rows_written(&self) -> u64 {
        self.lent.rows_written()
    }

    fn commit(self: Box<Self>) -> Result<()> {
        self.lent.commit()
    }
}
