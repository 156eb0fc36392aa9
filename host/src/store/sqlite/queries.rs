//! The queries that are more than a line, and the proof that none of them looks at more tokens than it must.

use super::columns::{live, owner_columns, session_columns, token_columns, token_row_columns, token_tables};

/// The keys of the tenants that `:tenants` lists, a JSON array of their identifiers in hexadecimal.
macro_rules! listed_tenants {
    () => {
        "(SELECT t.key FROM json_each(:tenants) j CROSS JOIN tenant t ON t.id = unhex(j.value))"
    };
}

/// Whether the tenant with this key is meant: one of those listed if `:listed`, else one of all others. Where `:tenants`
/// is null, everybody is meant, and nothing is looked up.
macro_rules! meant {
    ($key:literal) => {
        concat!(
            "(:tenants IS NULL OR (",
            $key,
            " IN ",
            $crate::store::sqlite::queries::listed_tenants!(),
            ") = :listed)"
        )
    };
}

pub(super) use {listed_tenants, meant};

pub(super) const TOKEN_STATE: &str = concat!(
    "SELECT ",
    token_columns!(),
    " FROM ",
    token_tables!(),
    " WHERE k.id = ?1"
);

pub(super) const TOKEN_ROW: &str = concat!(
    "SELECT ",
    token_row_columns!(),
    " FROM ",
    token_tables!(),
    " JOIN audience a ON a.id = k.audience WHERE k.id = ?1"
);

/// The beginning of a list of tokens; conditions, order and limit follow.
pub(super) const TOKEN_ROWS: &str = concat!(
    "SELECT ",
    token_row_columns!(),
    " FROM ",
    token_tables!(),
    " JOIN audience a ON a.id = k.audience WHERE k.id > :after"
);

/// One more condition for it.
pub(super) const AND_LIVE: &str = concat!(" AND ", live!());

pub(super) const SESSION_STATE: &str = concat!(
    "SELECT ",
    session_columns!(),
    ", ",
    token_columns!(),
    " FROM session s JOIN token k ON k.id = s.token JOIN user u ON u.key = k.owner \
     JOIN tenant t ON t.key = u.tenant WHERE s.id = ?1"
);

pub(super) const SESSION_ROW: &str = concat!(
    "SELECT ",
    session_columns!(),
    ", ",
    token_row_columns!(),
    " FROM session s JOIN token k ON k.id = s.token JOIN user u ON u.key = k.owner \
     JOIN tenant t ON t.key = u.tenant JOIN audience a ON a.id = k.audience WHERE s.id = ?1"
);

pub(super) const OWNER: &str = concat!(
    "SELECT ",
    owner_columns!(),
    " FROM user u JOIN tenant t ON t.key = u.tenant WHERE u.id = ?1"
);

pub(super) const COUNT_LIVE: &str = concat!(
    "SELECT count(*) FROM ",
    token_tables!(),
    " WHERE u.id = :owner AND ",
    live!()
);

pub(super) const LIVE_NAME: &str = concat!(
    "SELECT EXISTS (SELECT 1 FROM ",
    token_tables!(),
    " WHERE u.id = :owner AND k.name = :name AND ",
    live!(),
    ")"
);

pub(super) const LIST_LIVE: &str = concat!(
    "SELECT ",
    token_columns!(),
    " FROM ",
    token_tables!(),
    " WHERE u.id = :owner AND ",
    live!(),
    " ORDER BY k.created, k.id"
);

pub(super) const OPEN_SESSIONS: &str = concat!(
    "SELECT ",
    session_columns!(),
    " FROM session s WHERE s.token = ?1 AND s.ended_at IS NULL ORDER BY s.opened, s.id"
);

macro_rules! live_and_ending {
    () => {
        "SELECT count(*), count(*) FILTER (WHERE min(k.expires, max(coalesce(k.last_used, k.created), \
         coalesce(unwritten_token_use(k.id), 0)) + :idle_after) <= :by) FROM "
    };
}

/// Live tokens, and those of them that end by `:by` if they are not used again.
pub(super) const COUNT_TOKENS: &str = concat!(
    live_and_ending!(),
    token_tables!(),
    " WHERE ",
    live!(),
    " AND ",
    meant!("t.key")
);

/// The same of those tenants alone that are listed, without a look at the others' tokens.
pub(super) const COUNT_TOKENS_OF: &str = concat!(
    live_and_ending!(),
    "json_each(:tenants) j CROSS JOIN tenant t ON t.id = unhex(j.value) CROSS JOIN user u ON u.tenant = t.key \
     CROSS JOIN token k ON k.owner = u.key WHERE ",
    live!()
);

pub(super) const COUNT_SESSIONS: &str = concat!(
    "SELECT count(*) FROM session s WHERE s.last_used > :used_after AND s.opened > :opened_after \
     AND s.ended_at IS NULL AND ",
    meant!("(SELECT o.tenant FROM token k JOIN user o ON o.key = k.owner WHERE k.id = s.token)")
);

pub(super) const CENSUS_TENANT: &str = concat!(
    "SELECT count(*), count(DISTINCT k.owner) FROM ",
    token_tables!(),
    " WHERE t.id = :scope AND ",
    live!()
);

pub(super) const CENSUS_OWNER: &str = concat!(
    "SELECT count(*), count(DISTINCT k.owner) FROM ",
    token_tables!(),
    " WHERE u.id = :scope AND ",
    live!()
);

/// What lapses by itself, and has: `token_due` and `token_owner` are ordered by the first condition's left side, the one
/// as a column, the other as an expression.
macro_rules! due {
    () => {
        due!("min(k.expires, coalesce(k.last_used, k.created) + 1296000000)")
    };
    ($lapses:literal) => {
        concat!(
            $lapses,
            " <= max(:now, :idle_since + 1296000000)
         AND (k.expires <= :now OR (coalesce(k.last_used, k.created) <= :idle_since
             AND coalesce(unwritten_token_use(k.id), 0) <= :idle_since))"
        )
    };
}

macro_rules! of_the_deleted {
    () => {
        concat!(
            " UNION SELECT * FROM (SELECT k.id FROM user u CROSS JOIN token k ON k.owner = u.key
              WHERE u.deleted_at IS NOT NULL AND k.ended_at IS NULL AND ",
            meant!("u.tenant"),
            " LIMIT :limit)"
        )
    };
}

macro_rules! lapsed_states {
    () => {
        concat!(
            " SELECT ",
            token_columns!(),
            " FROM lapsed l CROSS JOIN token k ON k.id = l.id JOIN user u ON u.key = k.owner
             JOIN tenant t ON t.key = u.tenant ORDER BY k.created, k.id LIMIT :limit"
        )
    };
}

/// Each way to lapse is found by an index and gives at most `:limit`, so live tokens are hardly looked at. See
/// `schema.rs` for the index by which the first looks, and for why a smaller sum of epochs is an outdated one. Where
/// more have lapsed than the limit lets through, which of them come first is of no account: the next round finds
/// the others.
///
/// All but some tenants are found the same way, and the others' passed over: there are few of those, since their own
/// policies sweep, too.
pub(super) const LAPSED: &str = concat!(
    "WITH lapsed (id) AS (
         SELECT * FROM (SELECT k.id FROM tenant t CROSS JOIN token k ON k.tenant = t.key
             WHERE k.ended_at IS NULL AND ",
    due!("k.lapses"),
    " AND ",
    meant!("t.key"),
    " LIMIT :limit)
         UNION
         SELECT * FROM (SELECT k.id FROM user u CROSS JOIN tenant t ON t.key = u.tenant
             CROSS JOIN token k ON k.owner = u.key
             WHERE k.ended_at IS NULL AND k.owner_epoch + k.tenant_epoch < u.epoch + t.epoch AND ",
    meant!("u.tenant"),
    " LIMIT :limit)",
    of_the_deleted!(),
    ")",
    lapsed_states!()
);

/// The same of those tenants alone that are listed. Their tokens are found owner by owner: by the time at which they
/// are due alone it would be all others' tokens that are looked at, where the tenants' idle period is shorter.
pub(super) const LAPSED_OF: &str = concat!(
    "WITH lapsed (id) AS (
         SELECT * FROM (SELECT k.id FROM json_each(:tenants) j CROSS JOIN tenant t ON t.id = unhex(j.value)
             CROSS JOIN user u ON u.tenant = t.key CROSS JOIN token k ON k.owner = u.key
             WHERE u.deleted_at IS NULL AND k.ended_at IS NULL
             AND k.owner_epoch + k.tenant_epoch = u.epoch + t.epoch AND ",
    due!(),
    " LIMIT :limit)
         UNION
         SELECT * FROM (SELECT k.id FROM json_each(:tenants) j CROSS JOIN tenant t ON t.id = unhex(j.value)
             CROSS JOIN user u ON u.tenant = t.key CROSS JOIN token k ON k.owner = u.key
             WHERE u.deleted_at IS NULL AND k.ended_at IS NULL
             AND k.owner_epoch + k.tenant_epoch < u.epoch + t.epoch LIMIT :limit)",
    of_the_deleted!(),
    ")",
    lapsed_states!()
);

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::super::federation::{FEDERATED_ACCOUNTS, FEDERATED_USER, USERS_BY_EMAIL};
    use super::*;
    use crate::store::sqlite::accounts::ACCOUNT_ROW;
    use crate::store::sqlite::connections::Lent as _;
    use crate::store::sqlite::history::{ENDED_OF, UNMARKED_OF};
    use crate::store::sqlite::links::{LINK, REPLACED};
    use crate::store::sqlite::notices::{ENDED_IN_TENANT, ENDED_OF_OWNER, ENDING};
    use crate::store::sqlite::oversight::{
        COUNT_BY_END, COUNT_EVENTS, HOUR_BACK, HOURS_BACK, USER_BACK, USERS_NAMED,
    };
    use crate::store::sqlite::second_factor::{HALF_SIGN_IN, SECOND_FACTOR};
    use crate::store::sqlite::sites::{AUDIT_HOUR, AUDIT_HOURS, SITES, USERS_PAGE};
    use crate::store::sqlite::web::WEB_ROW;
    use crate::store::sqlite::{OpenOptions, SqliteStore};

    /// How SQLite goes about a query, one step a line.
    pub(in crate::store::sqlite) fn plan(sql: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(dir.path(), &OpenOptions::default()).unwrap();
        let lent = store.readers.borrow().unwrap();
        let mut statement = lent
            .connection()
            .unwrap()
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap();
        let steps = statement.raw_query().mapped(|row| row.get::<_, String>(3));
        steps.map(rusqlite::Result::unwrap).collect::<Vec<_>>().join("\n")
    }

    fn scans_tokens(plan: &str) -> bool {
        plan.lines()
            .any(|step| step.starts_with("SCAN k") || step.starts_with("SCAN s"))
    }

    #[test]
    fn no_query_of_the_policy_scans_the_tokens_but_the_census() {
        for sql in [
            TOKEN_STATE,
            TOKEN_ROW,
            SESSION_STATE,
            SESSION_ROW,
            OWNER,
            COUNT_LIVE,
            LIVE_NAME,
            LIST_LIVE,
            OPEN_SESSIONS,
            COUNT_SESSIONS,
            LAPSED,
            LAPSED_OF,
            CENSUS_OWNER,
        ] {
            let plan = plan(sql);
            assert!(!scans_tokens(&plan), "{sql}\n{plan}");
        }
    }

    #[test]
    fn each_page_of_a_tenant_is_found_by_an_index_and_comes_in_its_order() {
        for (sql, index) in [
            (SITES, "s USING INDEX site_page (tenant=? AND id>?)"),
            (USERS_PAGE, "u USING INDEX user_page (tenant=? AND id>?)"),
            (
                AUDIT_HOURS,
                "audit USING INDEX audit_hour (<expr>=? AND <expr>>? AND <expr><?)",
            ),
            (
                AUDIT_HOUR,
                "audit USING INDEX audit_hour (<expr>=? AND <expr>=? AND rowid>?)",
            ),
            (USERS_NAMED, "u USING INDEX user_name (tenant=? AND name>?)"),
            (
                HOUR_BACK,
                "audit USING INDEX audit_hour (<expr>=? AND <expr>=? AND rowid<?)",
            ),
            (
                HOURS_BACK,
                "audit USING INDEX audit_hour (<expr>=? AND <expr>>? AND <expr><?)",
            ),
            (USER_BACK, "audit USING INDEX audit_user (user=? AND rowid<?)"),
        ] {
            let plan = plan(sql);
            assert!(plan.contains(index), "{sql}\n{plan}");
            // Sorting would look at all of what a page is only a part of.
            assert!(
                !plan.contains("TEMP B-TREE") && !plan.contains("SCAN"),
                "{sql}\n{plan}"
            );
        }
        for sql in [
            ACCOUNT_ROW,
            WEB_ROW,
            FEDERATED_ACCOUNTS,
            FEDERATED_USER,
            USERS_BY_EMAIL,
            LINK,
            REPLACED,
            SECOND_FACTOR,
            HALF_SIGN_IN,
        ] {
            let plan = plan(sql);
            assert!(!plan.contains("SCAN"), "{plan}");
        }
    }

    #[test]
    fn what_a_user_had_is_found_by_the_index_of_their_tokens() {
        for (sql, index) in [
            (ENDED_OF, "k USING INDEX token_owner (owner=? AND ended_at<?)"),
            (UNMARKED_OF, "k USING INDEX token_owner (owner=? AND ended_at=?)"),
        ] {
            let plan = plan(sql);
            assert!(plan.contains(index), "{sql}\n{plan}");
            assert!(!plan.contains("SCAN"), "{sql}\n{plan}");
            // All of an owner's would be sorted.
            assert!(!plan.contains("TEMP B-TREE FOR ORDER BY"), "{sql}\n{plan}");
        }
    }

    #[test]
    fn counts_of_a_tenant_look_at_nobody_elses() {
        let tokens = plan(COUNT_BY_END);
        assert!(
            tokens.contains("k USING INDEX token_owner (owner=? AND ended_at=?)"),
            "{tokens}"
        );
        assert!(!scans_tokens(&tokens) && !tokens.contains("SCAN u"), "{tokens}");
        let events = plan(COUNT_EVENTS);
        assert!(
            events.contains("audit USING INDEX audit_hour (<expr>=? AND <expr>>?)"),
            "{events}"
        );
        // What it is grouped by needs sorting; which events are the last does not.
        assert!(
            !events.contains("SCAN audit") && !events.contains("ORDER BY"),
            "{events}"
        );
    }

    #[test]
    fn lapsed_tokens_are_found_by_the_indexes_made_for_it() {
        let plan = plan(LAPSED);
        assert!(
            plan.contains("k USING INDEX token_due (tenant=? AND ended_at=? AND lapses<?)"),
            "{plan}"
        );
        assert!(
            plan.contains("k USING COVERING INDEX token_owner (owner=? AND ended_at=? AND <expr><?)"),
            "{plan}"
        );
        assert!(plan.contains("u USING INDEX user_deleted"), "{plan}");
    }

    #[test]
    fn tokens_about_to_end_are_found_by_when_they_do_and_those_of_a_scope_by_their_owners() {
        let ending = plan(ENDING);
        let range = "k USING INDEX token_due (tenant=? AND ended_at=? AND lapses>? AND lapses<?)";
        assert!(ending.contains(range) && !scans_tokens(&ending), "{ending}");
        // Sorting would look at all of what a page is only a part of.
        assert!(
            !ending.contains("SCAN u") && !ending.contains("TEMP B-TREE"),
            "{ending}"
        );
        for sql in [ENDED_IN_TENANT, ENDED_OF_OWNER] {
            let plan = plan(sql);
            assert!(plan.contains("k USING INDEX token_owner (owner=?)"), "{plan}");
            assert!(!plan.contains("SCAN"), "{plan}");
        }
    }

    #[test]
    fn what_is_of_some_tenants_alone_is_found_by_their_users() {
        for (sql, index) in [
            (
                LAPSED_OF,
                "k USING INDEX token_owner (owner=? AND ended_at=? AND <expr>=? AND <expr><?)",
            ),
            (
                COUNT_TOKENS_OF,
                "k USING INDEX token_owner (owner=? AND ended_at=?)",
            ),
        ] {
            let plan = plan(sql);
            assert!(plan.contains(index), "{sql}\n{plan}");
            assert!(!scans_tokens(&plan) && !plan.contains("SCAN u"), "{sql}\n{plan}");
            assert!(!plan.contains("AUTOMATIC"), "{sql}\n{plan}");
        }
    }
}
