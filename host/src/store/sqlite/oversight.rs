//! What the administrators of one tenant look at. Everything is found by an index that begins with the tenant, or with
//! one user; how much of it is read is for whoever asks to limit.

use patrol_policy::types::{Id, LiveRule, Timestamp};
use rusqlite::{OptionalExtension as _, ToSql, named_params, params};

use super::columns::{Columns, bound, live, user_row_columns};
use super::connections::Lent;
use super::read::View;
use super::sites::event_tenant;
use crate::store::{
    AuditBack, AuditEntry, EndsBy, EventCount, ReadOversight, Result, TokenCount, Used, UserRow,
};

pub(super) const USERS_NAMED: &str = concat!(
    "SELECT ",
    user_row_columns!(),
    " FROM tenant t CROSS JOIN user u ON u.tenant = t.key \
     WHERE t.id = :tenant AND u.deleted_at IS NULL AND u.name > :after \
     AND (instr(lower(u.name), lower(:text)) > 0 OR instr(lower(coalesce(u.email, '')), lower(:text)) > 0) \
     ORDER BY u.name LIMIT :limit"
);

macro_rules! events {
    () => {
        "SELECT seq, at, type, user, body, hash FROM audit"
    };
}

/// The rest of the hour in which the page before ended.
pub(super) const HOUR_BACK: &str = concat!(
    events!(),
    " WHERE ",
    event_tenant!(),
    " = :tenant AND at / 3600000 = :hour AND seq < :before ORDER BY seq DESC"
);

pub(super) const HOURS_BACK: &str = concat!(
    events!(),
    " WHERE ",
    event_tenant!(),
    " = :tenant AND at / 3600000 >= :from AND at / 3600000 < :until ORDER BY at / 3600000 DESC, seq DESC"
);

/// An hour has any number of events of others; a user's are found by the user.
pub(super) const USER_BACK: &str = concat!(
    events!(),
    " INDEXED BY audit_user WHERE user = :user AND seq < :before AND ",
    event_tenant!(),
    " = :tenant AND at / 3600000 >= :from AND at / 3600000 <= :until ORDER BY seq DESC"
);

const ENTRY: &str = concat!(events!(), " WHERE seq = ?2 AND ", event_tenant!(), " = ?1");

pub(super) const COUNT_BY_END: &str = concat!(
    "SELECT min(:last_week, max(0, min(e.expires, e.idles) - :now) / 604800000), e.idles < e.expires, \
     CASE WHEN e.used IS NULL THEN 0 WHEN e.used < :used_since THEN 1 ELSE 2 END, count(*) FROM (\
     SELECT k.expires AS expires, coalesce(max(k.last_used, coalesce(unwritten_token_use(k.id), 0)), \
         unwritten_token_use(k.id)) AS used, \
     max(coalesce(k.last_used, k.created), coalesce(unwritten_token_use(k.id), 0)) + :idle_after AS idles \
     FROM tenant t CROSS JOIN user u ON u.tenant = t.key CROSS JOIN token k ON k.owner = u.key \
     WHERE t.id = :tenant AND ",
    live!(),
    ") e GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
);

pub(super) const COUNT_EVENTS: &str = concat!(
    "SELECT e.at / 86400000, e.type, coalesce(CAST(json_extract(e.body, '$.eventOutcome') AS TEXT), ''), \
     CAST(json_extract(e.body, '$.eventOutcomeReason') AS TEXT), count(*) FROM (\
     SELECT at, type, body FROM audit WHERE ",
    event_tenant!(),
    " = :tenant AND at / 3600000 >= :from ORDER BY at / 3600000 DESC LIMIT :most) e GROUP BY 1, 2, 3, 4"
);

impl<C: Lent> View<C> {
    /// Hands out entries until there is enough of them; whether there is not yet.
    fn entries(
        &self,
        sql: &str,
        parameters: &[(&str, &dyn ToSql)],
        each: &mut dyn FnMut(AuditEntry) -> bool,
    ) -> Result<bool> {
        let mut statement = self.prepare(sql)?;
        let mut rows = statement.query(parameters)?;
        while let Some(row) = rows.next()? {
            if !each(Columns::of(row).audit_entry()?) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl<C: Lent> ReadOversight for View<C> {
    fn users_named(&self, tenant: Id, text: &str, after: &str, limit: u32) -> Result<Vec<UserRow>> {
        let parameters = named_params! {
            ":tenant": tenant.to_bytes(), ":text": text, ":after": after, ":limit": limit
        };
        self.all(USERS_NAMED, parameters, |columns| columns.user_row())
    }

    fn audit_back(&self, filter: &AuditBack, each: &mut dyn FnMut(AuditEntry) -> bool) -> Result<()> {
        let tenant = filter.tenant.to_string();
        let from = bound(filter.from_hour);
        let before = bound(filter.before.unwrap_or(u64::MAX));
        if let Some(user) = filter.user.map(Id::to_bytes) {
            let until = bound(filter.until_hour);
            let parameters: [(&str, &dyn ToSql); 5] = [
                (":user", &user),
                (":before", &before),
                (":tenant", &tenant),
                (":from", &from),
                (":until", &until),
            ];
            return self.entries(USER_BACK, &parameters, each).map(drop);
        }
        let mut until = bound(filter.until_hour.saturating_add(1));
        if filter.before.is_some() {
            let sql = "SELECT at / 3600000 FROM audit WHERE seq = ?1";
            let mut statement = self.prepare(sql)?;
            let hour: Option<i64> = statement.query_row([before], |row| row.get(0)).optional()?;
            if let Some(hour) = hour.filter(|hour| *hour >= from && *hour < until) {
                let parameters: [(&str, &dyn ToSql); 3] =
                    [(":tenant", &tenant), (":hour", &hour), (":before", &before)];
                if !self.entries(HOUR_BACK, &parameters, each)? {
                    return Ok(());
                }
                until = hour;
            }
        }
        let parameters: [(&str, &dyn ToSql); 3] =
            [(":tenant", &tenant), (":from", &from), (":until", &until)];
        self.entries(HOURS_BACK, &parameters, each).map(drop)
    }

    fn audit_entry(&self, tenant: Id, seq: u64) -> Result<Option<AuditEntry>> {
        self.first(ENTRY, params![tenant.to_string(), bound(seq)], |columns| {
            columns.audit_entry()
        })
    }

    fn count_by_end(
        &self,
        tenant: Id,
        rule: LiveRule,
        used_since: Timestamp,
        last_week: u32,
    ) -> Result<Vec<TokenCount>> {
        let parameters = named_params! {
            ":tenant": tenant.to_bytes(), ":now": bound(rule.now), ":idle_since": bound(rule.idle_since),
            ":idle_after": bound(rule.now.saturating_sub(rule.idle_since)),
            ":used_since": bound(used_since), ":last_week": last_week
        };
        self.all(COUNT_BY_END, parameters, |columns| {
            Ok(TokenCount {
                week: columns.take()?,
                ends_by: if columns.flag()? {
                    EndsBy::Idleness
                } else {
                    EndsBy::Expiration
                },
                used: match columns.take::<u32>()? {
                    0 => Used::Never,
                    1 => Used::Before,
                    _ => Used::Since,
                },
                count: columns.take()?,
            })
        })
    }

    fn count_events(&self, tenant: Id, from_hour: u64, most: u32) -> Result<(Vec<EventCount>, u64)> {
        let parameters = named_params! {
            ":tenant": tenant.to_string(), ":from": bound(from_hour), ":most": most
        };
        let counts = self.all(COUNT_EVENTS, parameters, |columns| {
            Ok(EventCount {
                day: columns.take()?,
                event_type: columns.take()?,
                outcome: columns.take()?,
                reason: columns.take()?,
                count: columns.take()?,
            })
        })?;
        let seen = counts
            .iter()
            .fold(0_u64, |sum, one| sum.saturating_add(one.count));
        Ok((counts, seen))
    }
}
