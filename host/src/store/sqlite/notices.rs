//! Notices: what was taken, and what is about to end.

use patrol_policy::types::{Id, Scope, Timestamp};
use rusqlite::{named_params, params};

use super::columns::{bound, listed, owner_columns, token_columns, token_row_columns};
use super::connections::{Lent, WriteGuard};
use super::queries::meant;
use super::read::View;
use crate::store::{EndingFilter, EndingPlace, NoticeKey, ReadNotices, Result, TokenRow, WriteNotices};

/// The idle period that `token_due` is ordered by.
const DEFAULT_IDLE: u64 = 1_296_000_000;

/// The last use, written or not.
macro_rules! used {
    () => {
        "max(coalesce(k.last_used, k.created), coalesce(unwritten_token_use(k.id), 0))"
    };
}

/// Found tenant by tenant by `token_due`, as far around the times asked for as the idle period differs from the default.
pub(super) const ENDING: &str = concat!(
    "SELECT ",
    token_row_columns!(),
    ", t.key, k.lapses FROM tenant t CROSS JOIN token k ON k.tenant = t.key CROSS JOIN user u ON u.key = k.owner
     CROSS JOIN audience a ON a.id = k.audience
     WHERE t.key >= :tenant AND k.ended_at IS NULL
     AND k.lapses >= CASE WHEN t.key = :tenant THEN :place ELSE :low END AND k.lapses <= :high
     AND (t.key > :tenant OR k.lapses > :place OR k.id > :after)
     AND k.expires > :now AND min(k.expires, ",
    used!(),
    " + :idle_after) BETWEEN :now + 1 AND :by
     AND k.owner_epoch = u.epoch AND k.tenant_epoch = t.epoch AND u.deleted_at IS NULL AND ",
    meant!("t.key"),
    " AND NOT EXISTS (SELECT 1 FROM notice n WHERE n.subject = k.id AND n.channel = :channel AND n.due > :now
         AND n.cause = CASE WHEN k.expires <= ",
    used!(),
    " + :idle_after THEN 'expiration-date' ELSE 'idle' END)
     ORDER BY t.key, k.lapses, k.id LIMIT :limit"
);

/// Swept or not. Where the change was the last one, as it is but for a notice that was long on its way, those are told
/// apart that an earlier change had ended.
macro_rules! ended_by_method {
    ($scope:literal, $last:literal) => {
        concat!(
            "SELECT count(*), count(DISTINCT k.owner) FROM ",
            $scope,
            " CROSS JOIN token k ON k.owner = u.key WHERE k.created <= :at AND (
                 (k.ended_at = :at AND k.ended_cause = 'auth-method-changed')
                 OR (k.ended_at IS NULL AND k.owner_epoch + k.tenant_epoch < u.epoch + t.epoch
                     AND k.expires > :at AND coalesce(k.last_used, k.created) > :idle_since AND ",
            $last,
            "))"
        )
    };
}

pub(super) const ENDED_IN_TENANT: &str = ended_by_method!(
    "tenant t CROSS JOIN user u ON u.tenant = t.key AND u.deleted_at IS NULL AND t.id = :scope",
    "(t.epoch_since <> :at OR k.tenant_epoch = t.epoch - 1) AND (k.owner_epoch = u.epoch OR u.epoch_since >= :at)"
);
pub(super) const ENDED_OF_OWNER: &str = ended_by_method!(
    "user u CROSS JOIN tenant t ON t.key = u.tenant AND u.id = :scope",
    "(u.epoch_since <> :at OR k.owner_epoch = u.epoch - 1) AND (k.tenant_epoch = t.epoch OR t.epoch_since >= :at)"
);

impl<C: Lent> ReadNotices for View<C> {
    fn notice_mark(&self, channel: &str) -> Result<Option<u64>> {
        let sql = "SELECT seq FROM notice_mark WHERE channel = ?1";
        self.first(sql, [channel], |columns| columns.take())
    }

    fn ending_tokens(&self, filter: &EndingFilter<'_>) -> Result<Vec<(TokenRow, EndingPlace)>> {
        let (tenants, listed) = listed(filter.tenants);
        // A shorter period ends a token before its place in the index, a longer one after it.
        let earlier = filter.idle_after.saturating_sub(DEFAULT_IDLE);
        let later = DEFAULT_IDLE.saturating_sub(filter.idle_after);
        let low = filter.now.saturating_sub(earlier);
        let place = filter.after.unwrap_or(EndingPlace {
            tenant: 0,
            due: low,
            id: Id::default(),
        });
        let parameters = named_params! {
            ":tenant": place.tenant, ":place": bound(place.due), ":after": place.id.to_bytes(), ":low": bound(low),
            ":high": bound(filter.by.saturating_add(later)), ":now": bound(filter.now), ":by": bound(filter.by),
            ":idle_after": bound(filter.idle_after), ":channel": filter.channel, ":tenants": tenants,
            ":listed": listed, ":limit": filter.limit
        };
        let found = self.all(ENDING, parameters, |columns| {
            let row = columns.token_row()?;
            let place = EndingPlace {
                tenant: columns.take()?,
                due: columns.take()?,
                id: row.state.token.id,
            };
            Ok((row, place))
        })?;
        Ok(found
            .into_iter()
            .map(|(mut row, place)| {
                self.uses.merge_row(&mut row);
                (row, place)
            })
            .collect())
    }

    fn is_told(&self, channel: &str, token: Id, cause: &str, now: Timestamp) -> Result<bool> {
        let told = self.first(
            "SELECT EXISTS (SELECT 1 FROM notice WHERE subject = ?1 AND channel = ?2 AND cause = ?3 AND due > ?4)",
            params![token.to_bytes(), channel, cause, bound(now)],
            |columns| columns.flag(),
        )?;
        Ok(told.unwrap_or(false))
    }

    fn count_ended_by_method(
        &self,
        scope: Scope,
        at: Timestamp,
        idle_since: Timestamp,
    ) -> Result<(u64, u64)> {
        let (sql, id) = match scope {
            Scope::Tenant(id) => (ENDED_IN_TENANT, id),
            Scope::Owner(id) => (ENDED_OF_OWNER, id),
        };
        let parameters = named_params! {
            ":scope": id.to_bytes(), ":at": bound(at), ":idle_since": bound(idle_since)
        };
        let counts = self.first(sql, parameters, |columns| Ok((columns.take()?, columns.take()?)))?;
        Ok(counts.unwrap_or_default())
    }
}

impl WriteNotices for View<WriteGuard> {
    fn put_notice_mark(&mut self, channel: &str, seq: u64) -> Result<()> {
        self.execute(
            "INSERT INTO notice_mark (channel, seq) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET seq = excluded.seq",
            params![channel, seq],
        )?;
        Ok(())
    }

    fn take_notice(&mut self, channel: &str, key: &NoticeKey, at: Timestamp) -> Result<bool> {
        let taken = self.execute(
            "INSERT INTO notice (subject, channel, cause, due, taken_at) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT DO NOTHING",
            params![key.subject.to_bytes(), channel, key.cause, bound(key.due), at],
        )?;
        Ok(taken > 0)
    }

    fn settle_notice(&mut self, channel: &str, key: &NoticeKey, outcome: &str) -> Result<()> {
        self.execute(
            "UPDATE notice SET outcome = ?5 WHERE subject = ?1 AND channel = ?2 AND cause = ?3 AND due = ?4",
            params![
                key.subject.to_bytes(),
                channel,
                key.cause,
                bound(key.due),
                outcome
            ],
        )?;
        Ok(())
    }

    fn drop_notice(&mut self, channel: &str, key: &NoticeKey) -> Result<()> {
        self.execute(
            "DELETE FROM notice WHERE subject = ?1 AND channel = ?2 AND cause = ?3 AND due = ?4",
            params![key.subject.to_bytes(), channel, key.cause, bound(key.due)],
        )?;
        Ok(())
    }

    fn forget_notices(&mut self, before: Timestamp, limit: u32) -> Result<u32> {
        // The due of a revocation is a number, less than any time.
        self.sweep(
            "DELETE FROM notice WHERE (subject, channel, cause, due) IN \
             (SELECT subject, channel, cause, due FROM notice WHERE taken_at < ?1 AND due < ?1 LIMIT ?2)",
            params![bound(before), limit],
        )
    }
}
