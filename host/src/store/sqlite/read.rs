//! Every read function, over whatever connection lies below: a reader's snapshot or a write transaction.

use std::sync::Arc;

use patrol_policy::types::{
    Census, Id, LiveRule, Owner, Scope, Session, SessionState, Timestamp, TokenState,
};
use rusqlite::{CachedStatement, OptionalExtension, Params, Row, ToSql, named_params, params};

use super::columns::{Columns, bound, client_row_columns, listed, tenant_row_columns, user_row_columns};
use super::connections::Lent;
use super::queries::{
    AND_LIVE, CENSUS_OWNER, CENSUS_TENANT, COUNT_LIVE, COUNT_SESSIONS, COUNT_TOKENS, COUNT_TOKENS_OF, LAPSED,
    LAPSED_OF, LIST_LIVE, LIVE_NAME, OPEN_SESSIONS, OWNER, SESSION_ROW, SESSION_STATE, TOKEN_ROW, TOKEN_ROWS,
    TOKEN_STATE,
};
use super::uses::Uses;
use crate::store::{
    AuditEntry, AuditFilter, AuditHead, ClientRow, Read, ReadRecords, Result, SessionRow, TenantRow, Tenants,
    TokenFilter, TokenRow, UserRow,
};

/// A consistent view through a connection.
#[derive(Debug)]
pub(super) struct View<C> {
    pub(super) lent: C,
    pub(super) uses: Arc<Uses>,
}

impl<C: Lent> View<C> {
    /// A prepared statement.
    pub(super) fn prepare(&self, sql: &str) -> Result<CachedStatement<'_>> {
        Ok(self.lent.connection()?.prepare_cached(sql)?)
    }

    /// The first row, if there is one.
    pub(super) fn first<T>(
        &self,
        sql: &str,
        parameters: impl Params,
        decode: impl FnOnce(&mut Columns<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        let mut statement = self.prepare(sql)?;
        Ok(statement
            .query_row(parameters, |row| decode(&mut Columns::of(row)))
            .optional()?)
    }

    /// The row of a query that always has one.
    fn only<T>(
        &self,
        sql: &str,
        parameters: impl Params,
        decode: impl FnOnce(&mut Columns<'_>) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let mut statement = self.prepare(sql)?;
        Ok(statement.query_row(parameters, |row| decode(&mut Columns::of(row)))?)
    }

    /// All rows.
    pub(super) fn all<T>(
        &self,
        sql: &str,
        parameters: impl Params,
        mut decode: impl FnMut(&mut Columns<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let mut statement = self.prepare(sql)?;
        let rows = statement.query_map(parameters, |row: &Row<'_>| decode(&mut Columns::of(row)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// A token with names, without the uses that are not yet written.
    pub(super) fn stored_token(&self, id: Id) -> Result<Option<TokenRow>> {
        self.first(TOKEN_ROW, [id.to_bytes()], |columns| columns.token_row())
    }

    /// A session with names, without the uses that are not yet written.
    pub(super) fn stored_session(&self, id: Id) -> Result<Option<SessionRow>> {
        self.first(SESSION_ROW, [id.to_bytes()], |columns| {
            let session = columns.session()?;
            let token = columns.token_row()?;
            let state = SessionState {
                session,
                token: token.state,
            };
            Ok(SessionRow { state, token })
        })
    }

    fn merged(&self, mut state: TokenState) -> TokenState {
        self.uses.merge_token(&mut state);
        state
    }

    pub(super) fn merged_row(&self, mut row: TokenRow) -> TokenRow {
        self.uses.merge_row(&mut row);
        row
    }
}

impl<C: Lent> ReadRecords for View<C> {
    fn token_state(&self, id: Id) -> Result<Option<TokenState>> {
        let state = self.first(TOKEN_STATE, [id.to_bytes()], |columns| columns.token_state())?;
        Ok(state.map(|state| self.merged(state)))
    }

    fn owner(&self, id: Id) -> Result<Option<Owner>> {
        self.first(OWNER, [id.to_bytes()], |columns| columns.owner())
    }

    fn count_live_tokens(&self, owner: Id, rule: LiveRule) -> Result<u32> {
        let parameters = named_params! {
            ":owner": owner.to_bytes(), ":now": bound(rule.now), ":idle_since": bound(rule.idle_since)
        };
        self.only(COUNT_LIVE, parameters, |columns| columns.take())
    }

    fn live_name_exists(&self, owner: Id, name: &str, rule: LiveRule) -> Result<bool> {
        let parameters = named_params! {
            ":owner": owner.to_bytes(), ":name": name,
            ":now": bound(rule.now), ":idle_since": bound(rule.idle_since)
        };
        self.only(LIVE_NAME, parameters, |columns| columns.flag())
    }

    fn list_live_tokens(&self, owner: Id, rule: LiveRule) -> Result<Vec<TokenState>> {
        let parameters = named_params! {
            ":owner": owner.to_bytes(), ":now": bound(rule.now), ":idle_since": bound(rule.idle_since)
        };
        self.all(LIST_LIVE, parameters, |columns| {
            Ok(self.merged(columns.token_state()?))
        })
    }

    fn list_open_sessions(&self, token: Id) -> Result<Vec<Session>> {
        self.all(OPEN_SESSIONS, [token.to_bytes()], |columns| {
            let mut session = columns.session()?;
            self.uses.merge_session_use(&mut session);
            Ok(session)
        })
    }

    fn session_state(&self, id: Id) -> Result<Option<SessionState>> {
        let state = self.first(SESSION_STATE, [id.to_bytes()], |columns| columns.session_state())?;
        Ok(state.map(|mut state| {
            self.uses.merge_session(&mut state);
            state
        }))
    }

    fn auth_method(&self, scope: Scope) -> Result<Option<String>> {
        let (sql, id) = match scope {
            Scope::Tenant(id) => ("SELECT auth_method FROM tenant WHERE id = ?1", id),
            Scope::Owner(id) => (
                "SELECT coalesce(u.auth_method, t.auth_method) \
                 FROM user u JOIN tenant t ON t.key = u.tenant WHERE u.id = ?1",
                id,
            ),
        };
        self.first(sql, [id.to_bytes()], |columns| columns.take())
    }

    fn census(&self, scope: Scope, rule: LiveRule) -> Result<Census> {
        let (sql, id) = match scope {
            Scope::Tenant(id) => (CENSUS_TENANT, id),
            Scope::Owner(id) => (CENSUS_OWNER, id),
        };
        let parameters = named_params! {
            ":scope": id.to_bytes(), ":now": bound(rule.now), ":idle_since": bound(rule.idle_since)
        };
        self.only(sql, parameters, |columns| {
            Ok(Census {
                tokens: columns.take()?,
                owners: columns.take()?,
            })
        })
    }

    fn list_lapsed_tokens(&self, tenants: &Tenants, rule: LiveRule, limit: u32) -> Result<Vec<TokenState>> {
        let (tenants, listed) = listed(tenants);
        let parameters = named_params! {
            ":now": bound(rule.now), ":idle_since": bound(rule.idle_since), ":limit": limit,
            ":tenants": tenants, ":listed": listed
        };
        self.all(if listed { LAPSED_OF } else { LAPSED }, parameters, |columns| {
            Ok(self.merged(columns.token_state()?))
        })
    }
}

impl<C: Lent> Read for View<C> {
    fn count_tokens(&self, tenants: &Tenants, rule: LiveRule, ending_by: Timestamp) -> Result<(u64, u64)> {
        let (now, idle_since) = (bound(rule.now), bound(rule.idle_since));
        let idle_after = bound(rule.now.saturating_sub(rule.idle_since));
        let (by, (tenants, listed)) = (bound(ending_by), listed(tenants));
        let mut parameters: Vec<(&str, &dyn ToSql)> = vec![
            (":now", &now),
            (":idle_since", &idle_since),
            (":idle_after", &idle_after),
            (":by", &by),
            (":tenants", &tenants),
        ];
        let sql = if listed {
            COUNT_TOKENS_OF
        } else {
            parameters.push((":listed", &listed));
            COUNT_TOKENS
        };
        self.only(sql, &*parameters, |columns| {
            Ok((columns.take()?, columns.take()?))
        })
    }

    fn count_sessions(
        &self,
        tenants: &Tenants,
        opened_after: Timestamp,
        used_after: Timestamp,
    ) -> Result<u64> {
        let (tenants, listed) = listed(tenants);
        let parameters = named_params! {
            ":opened_after": bound(opened_after), ":used_after": bound(used_after),
            ":tenants": tenants, ":listed": listed
        };
        self.only(COUNT_SESSIONS, parameters, |columns| columns.take())
    }

    fn token_row(&self, id: Id) -> Result<Option<TokenRow>> {
        Ok(self.stored_token(id)?.map(|row| self.merged_row(row)))
    }

    fn token_rows(&self, filter: &TokenFilter) -> Result<Vec<TokenRow>> {
        let mut sql = TOKEN_ROWS.to_owned();
        let (after, owner, tenant) = (
            filter.after.unwrap_or_default().to_bytes(),
            filter.owner.unwrap_or_default().to_bytes(),
            filter.tenant.unwrap_or_default().to_bytes(),
        );
        let (now, idle_since) = filter
            .live
            .map_or((0, 0), |rule| (bound(rule.now), bound(rule.idle_since)));
        let mut parameters: Vec<(&str, &dyn ToSql)> = vec![(":after", &after), (":limit", &filter.limit)];
        if filter.owner.is_some() {
            sql.push_str(" AND u.id = :owner");
            parameters.push((":owner", &owner));
        }
        if filter.tenant.is_some() {
            sql.push_str(" AND t.id = :tenant");
            parameters.push((":tenant", &tenant));
        }
        if filter.live.is_some() {
            sql.push_str(AND_LIVE);
            parameters.extend([(":now", &now as &dyn ToSql), (":idle_since", &idle_since)]);
        }
        sql.push_str(" ORDER BY k.id LIMIT :limit");
        self.all(&sql, &*parameters, |columns| {
            Ok(self.merged_row(columns.token_row()?))
        })
    }

    fn tenants(&self) -> Result<Vec<TenantRow>> {
        let sql = concat!("SELECT ", tenant_row_columns!(), " FROM tenant t ORDER BY t.name");
        self.all(sql, [], |columns| columns.tenant_row())
    }

    fn tenant(&self, id: Id) -> Result<Option<TenantRow>> {
        let sql = concat!("SELECT ", tenant_row_columns!(), " FROM tenant t WHERE t.id = ?1");
        self.first(sql, [id.to_bytes()], |columns| columns.tenant_row())
    }

    fn tenant_by_name(&self, name: &str) -> Result<Option<TenantRow>> {
        let sql = concat!(
            "SELECT ",
            tenant_row_columns!(),
            " FROM tenant t WHERE t.name = ?1"
        );
        self.first(sql, [name], |columns| columns.tenant_row())
    }

    fn users(&self, tenant: Option<Id>, deleted: bool) -> Result<Vec<UserRow>> {
        let sql = concat!(
            "SELECT ",
            user_row_columns!(),
            " FROM user u JOIN tenant t ON t.key = u.tenant \
             WHERE (?1 IS NULL OR t.id = ?1) AND (?2 OR u.deleted_at IS NULL) ORDER BY t.name, u.name, u.key"
        );
        self.all(sql, params![tenant.map(Id::to_bytes), deleted], |columns| {
            columns.user_row()
        })
    }

    fn user(&self, id: Id) -> Result<Option<UserRow>> {
        let sql = concat!(
            "SELECT ",
            user_row_columns!(),
            " FROM user u JOIN tenant t ON t.key = u.tenant WHERE u.id = ?1"
        );
        self.first(sql, [id.to_bytes()], |columns| columns.user_row())
    }

    fn users_by_name(&self, tenant: Option<Id>, name: &str) -> Result<Vec<UserRow>> {
        // From the tenants inwards, each one's user by the unique index on tenant and name.
        let sql = concat!(
            "SELECT ",
            user_row_columns!(),
            " FROM tenant t CROSS JOIN user u ON u.tenant = t.key \
             WHERE (?1 IS NULL OR t.id = ?1) AND u.name = ?2 AND u.deleted_at IS NULL ORDER BY t.name"
        );
        self.all(sql, params![tenant.map(Id::to_bytes), name], |columns| {
            columns.user_row()
        })
    }

    fn clients(&self, revoked: bool) -> Result<Vec<ClientRow>> {
        let sql = concat!(
            "SELECT ",
            client_row_columns!(),
            " FROM client c LEFT JOIN tenant t ON t.key = c.tenant \
             WHERE ?1 OR c.revoked_at IS NULL ORDER BY c.name, c.id"
        );
        self.all(sql, [revoked], |columns| columns.client_row())
    }

    fn client_row(&self, id: Id) -> Result<Option<ClientRow>> {
        let sql = concat!(
            "SELECT ",
            client_row_columns!(),
            " FROM client c LEFT JOIN tenant t ON t.key = c.tenant WHERE c.id = ?1"
        );
        self.first(sql, [id.to_bytes()], |columns| columns.client_row())
    }

    fn audience(&self, name: &str) -> Result<Option<u32>> {
        self.first("SELECT id FROM audience WHERE name = ?1", [name], |columns| {
            columns.take()
        })
    }

    fn audit(&self, filter: &AuditFilter, each: &mut dyn FnMut(AuditEntry) -> bool) -> Result<()> {
        super::audit::read(self.lent.connection()?, filter, each)
    }

    fn audit_head(&self) -> Result<AuditHead> {
        super::audit::head(self.lent.connection()?)
    }

    fn clock_mark(&self) -> Result<Timestamp> {
        self.only("SELECT clock_mark FROM meta", [], |columns| columns.take())
    }
}
