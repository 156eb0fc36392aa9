//! The column lists that queries share, and the one place where rows become records.
//!
//! A list and the function that decodes it stand together; a [`Columns`] walks over the row from left to right, so
//! the order of both is the same. A value that cannot be decoded is an error, never a default.

use std::fmt;

use patrol_policy::types::{
    Cause, Digest, End, Id, Owner, PreviousSecret, Session, SessionState, Timestamp, Token, TokenState,
};
use rusqlite::types::{FromSql, Type};
use rusqlite::{Error, Result, Row};

use crate::store::{AccountEpochs, AuditEntry, ClientRow, TenantRow, Tenants, TokenRow, UserRow};

/// The clause that a live token fulfils, as `live-rule` in `wit/types.wit` defines it, with uses that are not yet
/// written. Over `token k`, `user u` and `tenant t`, with `:now` and `:idle_since`.
///
/// The stored time is looked at first: only for the few tokens that idled out on disk are the unwritten uses asked.
macro_rules! live {
    () => {
        "k.ended_at IS NULL AND k.expires > :now \
         AND (coalesce(k.last_used, k.created) > :idle_since OR unwritten_token_use(k.id) > :idle_since) \
         AND k.owner_epoch = u.epoch AND k.tenant_epoch = t.epoch AND u.deleted_at IS NULL"
    };
}

/// What [`Columns::owner`] decodes.
macro_rules! owner_columns {
    () => {
        "u.id, t.id, u.enabled, u.deleted_at, u.epoch, u.epoch_since, t.epoch, t.epoch_since, t.multi_factor"
    };
}

/// What [`Columns::token_state`] decodes.
macro_rules! token_columns {
    () => {
        concat!(
            "k.id, k.audience, k.scheme, k.digest, k.generation, \
             k.previous_scheme, k.previous_digest, k.previous_until, k.created, k.expires, k.last_used, \
             k.owner_epoch, k.tenant_epoch, k.ended_at, k.ended_cause, ",
            owner_columns!()
        )
    };
}

/// What [`Columns::token_row`] decodes.
macro_rules! token_row_columns {
    () => {
        concat!(
            token_columns!(),
            ", k.name, a.name, k.last_used_from, u.name, u.email, u.roles, t.name"
        )
    };
}

/// What [`Columns::session`] decodes.
macro_rules! session_columns {
    () => {
        "s.id, s.token, s.generation, s.digest, s.opened, s.last_used, s.ended_at, s.ended_cause"
    };
}

/// A token with its owner and tenant.
macro_rules! token_tables {
    () => {
        "token k JOIN user u ON u.key = k.owner JOIN tenant t ON t.key = u.tenant"
    };
}

/// What [`Columns::user_row`] decodes.
macro_rules! user_row_columns {
    () => {
        "u.id, t.id, t.name, u.name, u.email, u.roles, u.enabled, u.deleted_at, u.auth_method, \
         u.password_hash IS NOT NULL, u.created"
    };
}

/// What [`Columns::tenant_row`] decodes.
macro_rules! tenant_row_columns {
    () => {
        "t.id, t.name, t.auth_method, t.epoch, t.epoch_since, t.multi_factor, t.created"
    };
}

/// What [`Columns::client_row`] decodes.
macro_rules! client_row_columns {
    () => {
        "c.id, c.name, t.id, t.name, c.audiences, c.scheme, c.digest, c.created, c.expires, c.revoked_at"
    };
}

pub(super) use {
    client_row_columns, live, owner_columns, session_columns, tenant_row_columns, token_columns,
    token_row_columns, token_tables, user_row_columns,
};

/// Takes the columns of a row one after the other.
pub(super) struct Columns<'a> {
    row: &'a Row<'a>,
    next: usize,
}

impl<'a> Columns<'a> {
    /// Starts at the first column.
    pub(super) const fn of(row: &'a Row<'a>) -> Self {
        Self { row, next: 0 }
    }

    /// The next column.
    pub(super) fn take<T: FromSql>(&mut self) -> Result<T> {
        let value = self.row.get(self.next);
        self.next = self.next.saturating_add(1);
        value
    }

    /// An identifier.
    pub(super) fn id(&mut self) -> Result<Id> {
        self.take().map(Id::from_bytes)
    }

    /// A truth value, stored as 0 or 1 and nothing else.
    pub(super) fn flag(&mut self) -> Result<bool> {
        match self.take::<i64>()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.nonsense(Type::Integer, "neither 0 nor 1")),
        }
    }

    /// The epochs that a session is bound to which no token opened.
    pub(super) fn epochs(&mut self) -> Result<AccountEpochs> {
        Ok(AccountEpochs {
            owner: self.take()?,
            tenant: self.take()?,
            password: self.take()?,
        })
    }

    /// A user as the policy sees it.
    pub(super) fn owner(&mut self) -> Result<Owner> {
        Ok(Owner {
            id: self.id()?,
            tenant: self.id()?,
            enabled: self.flag()?,
            deleted: self.take()?,
            epoch: self.take()?,
            epoch_since: self.take()?,
            tenant_epoch: self.take()?,
            tenant_epoch_since: self.take()?,
            multi_factor: self.flag()?,
        })
    }

    /// A token and its owner, as stored.
    pub(super) fn token_state(&mut self) -> Result<TokenState> {
        let id = self.id()?;
        let audience = self.take()?;
        let (scheme, digest) = self.secret()?;
        let generation = self.take()?;
        let previous = self.previous()?;
        let created = self.take()?;
        let expires = self.take()?;
        let last_used = self.take()?;
        let owner_epoch = self.take()?;
        let tenant_epoch = self.take()?;
        let ended = self.end()?;
        let owner = self.owner()?;
        let token = Token {
            id,
            owner: owner.id,
            tenant: owner.tenant,
            audience,
            scheme,
            digest,
            generation,
            previous,
            created,
            expires,
            last_used,
            owner_epoch,
            tenant_epoch,
            ended,
        };
        Ok(TokenState { token, owner })
    }

    /// A token with names.
    pub(super) fn token_row(&mut self) -> Result<TokenRow> {
        Ok(TokenRow {
            state: self.token_state()?,
            name: self.take()?,
            audience: self.take()?,
            last_used_from: self.take()?,
            owner_name: self.take()?,
            owner_email: self.take()?,
            owner_roles: self.texts()?,
            tenant_name: self.take()?,
        })
    }

    /// A session, as stored.
    pub(super) fn session(&mut self) -> Result<Session> {
        Ok(Session {
            id: self.id()?,
            token: self.id()?,
            generation: self.take()?,
            digest: Digest::from_bytes(&self.take()?),
            opened: self.take()?,
            last_used: self.take()?,
            ended: self.end()?,
        })
    }

    /// A session with its token.
    pub(super) fn session_state(&mut self) -> Result<SessionState> {
        Ok(SessionState {
            session: self.session()?,
            token: self.token_state()?,
        })
    }

    /// A tenant.
    pub(super) fn tenant_row(&mut self) -> Result<TenantRow> {
        Ok(TenantRow {
            id: self.id()?,
            name: self.take()?,
            auth_method: self.take()?,
            epoch: self.take()?,
            epoch_since: self.take()?,
            multi_factor: self.flag()?,
            created: self.take()?,
        })
    }

    /// A user.
    pub(super) fn user_row(&mut self) -> Result<UserRow> {
        Ok(UserRow {
            id: self.id()?,
            tenant: self.id()?,
            tenant_name: self.take()?,
            name: self.take()?,
            email: self.take()?,
            roles: self.texts()?,
            enabled: self.flag()?,
            deleted: self.take()?,
            auth_method: self.take()?,
            has_password: self.flag()?,
            created: self.take()?,
        })
    }

    /// A client of the OAuth endpoints.
    pub(super) fn client_row(&mut self) -> Result<ClientRow> {
        let id = self.id()?;
        let name = self.take()?;
        let tenant: Option<[u8; 16]> = self.take()?;
        let tenant_name: Option<String> = self.take()?;
        let audiences = self.texts()?;
        let (scheme, digest) = self.secret()?;
        Ok(ClientRow {
            id,
            name,
            tenant: tenant.map(Id::from_bytes).zip(tenant_name),
            audiences,
            scheme,
            digest,
            created: self.take()?,
            expires: self.take()?,
            revoked: self.take()?,
        })
    }

    /// An audit entry: `seq, at, type, user, body, hash`.
    pub(super) fn audit_entry(&mut self) -> Result<AuditEntry> {
        Ok(AuditEntry {
            seq: self.take()?,
            at: self.take()?,
            event_type: self.take()?,
            user: self.take::<Option<[u8; 16]>>()?.map(Id::from_bytes),
            body: self.take()?,
            hash: self.take()?,
        })
    }

    /// A scheme and its digest; an erased one reads as zero, which nothing matches.
    fn secret(&mut self) -> Result<(u8, Digest)> {
        let scheme = self.take()?;
        match (scheme, self.take::<Option<[u8; 32]>>()?) {
            (0, None) => Ok((0, Digest::default())),
            (1.., Some(digest)) => Ok((scheme, Digest::from_bytes(&digest))),
            _ => Err(self.nonsense(Type::Blob, "scheme and digest do not go together")),
        }
    }

    fn previous(&mut self) -> Result<Option<PreviousSecret>> {
        let scheme: Option<u8> = self.take()?;
        let digest: Option<[u8; 32]> = self.take()?;
        let until: Option<Timestamp> = self.take()?;
        match (scheme, digest, until) {
            (None, None, None) => Ok(None),
            (Some(scheme), Some(digest), Some(until)) => Ok(Some(PreviousSecret {
                scheme,
                digest: Digest::from_bytes(&digest),
                until,
            })),
            _ => Err(self.nonsense(Type::Integer, "half a previous secret")),
        }
    }

    /// An end mark: time and cause.
    pub(super) fn end(&mut self) -> Result<Option<End>> {
        let at: Option<Timestamp> = self.take()?;
        let cause: Option<String> = self.take()?;
        match (at, cause) {
            (None, None) => Ok(None),
            (Some(at), Some(name)) => match Cause::from_name(&name) {
                Some(cause) => Ok(Some(End { at, cause })),
                None => Err(self.nonsense(Type::Text, "an unknown cause")),
            },
            _ => Err(self.nonsense(Type::Text, "half an end mark")),
        }
    }

    /// Several texts in one, such as roles.
    fn texts(&mut self) -> Result<Vec<String>> {
        let text: String = self.take()?;
        serde_json::from_str(&text).map_err(|_| self.nonsense(Type::Text, "no JSON array of texts"))
    }

    /// An error about the column before the next.
    fn nonsense(&self, kind: Type, what: &'static str) -> Error {
        Error::FromSqlConversionFailure(self.next.saturating_sub(1), kind, Box::new(Nonsense(what)))
    }
}

/// A stored value that fits its type and still makes no sense.
#[derive(Debug)]
struct Nonsense(&'static str);

impl fmt::Display for Nonsense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Nonsense {}

/// The tenants that are listed, as the queries take them, and whether it is they who are meant or all others. Null: all
/// are meant.
pub(super) fn listed(tenants: &Tenants) -> (Option<String>, bool) {
    let Some((tenants, listed)) = tenants.listed() else {
        return (None, false);
    };
    let hex = |tenant: &Id| format!("\"{:016x}{:016x}\"", tenant.hi, tenant.lo);
    let tenants: Vec<_> = tenants.iter().map(hex).collect();
    (Some(format!("[{}]", tenants.join(","))), listed)
}

/// A time or number to compare with. What is too large for SQLite is greater than all that it can hold.
pub(super) fn bound(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
