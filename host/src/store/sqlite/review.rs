//! Pages of an organisation's tokens.
//!
//! A listing has one part or two, each with an order that an index keeps: where a null is an answer of its own (never
//! used, not ended), those rows are a part of their own. A page is found by stepping along the index from its place; a
//! row that does not fulfil the conditions costs a step, and steps are counted. So no page looks at more rows than its
//! budget, whatever is asked for.

use std::fmt::Write as _;

use patrol_policy::types::{Id, LiveRule, Timestamp};
use rusqlite::types::Value;

use super::columns::{Columns, bound, live};
use super::connections::Lent;
use super::read::View;
use crate::store::{
    Read as _, ReadReview, Result, TokenPage, TokenPlace, TokenQuery, TokenSort, TokenStanding,
};

/// The idle period by which `token.lapses` goes, in ms.
const INDEXED_IDLE: u64 = 1_296_000_000;

/// When a token was last used, uses that are not yet written included; -1: never.
macro_rules! used {
    () => {
        "max(coalesce(k.last_used, -1), coalesce(unwritten_token_use(k.id), -1))"
    };
}

/// A part of a listing: what it is made of, by which index, and by which columns it is ordered before the identifier.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    index: &'static str,
    of: &'static str,
    order: &'static [&'static str],
}

const BY_ID: Part = Part {
    index: "token_page",
    of: "",
    order: &[],
};
const BY_NAME: Part = Part {
    index: "token_name",
    of: "",
    order: &["k.title"],
};
const NEVER_USED: Part = Part {
    index: "token_used",
    of: " AND k.last_used IS NULL",
    order: &[],
};
const USED: Part = Part {
    index: "token_used",
    of: "",
    order: &["k.last_used"],
};
const ENDED: Part = Part {
    index: "token_due",
    of: "",
    order: &["k.ended_at", "k.lapses"],
};
const NOT_ENDED: Part = Part {
    index: "token_due",
    of: " AND k.ended_at IS NULL",
    order: &["k.lapses"],
};

/// The parts of a listing, in ascending order.
const fn parts(sort: TokenSort) -> &'static [Part] {
    match sort {
        TokenSort::Created => &[BY_ID],
        TokenSort::Name => &[BY_NAME],
        TokenSort::Used => &[NEVER_USED, USED],
        TokenSort::Ends => &[ENDED, NOT_ENDED],
    }
}

/// The statement for what is left of a part.
fn statement(query: &TokenQuery<'_>, part: &Part) -> String {
    let (than, direction) = if query.descending {
        ("<", " DESC")
    } else {
        (">", "")
    };
    let column = |at: usize| part.order.get(at).copied();
    let mut sql = format!(
        "SELECT k.id, {}, {}, coalesce({}, 0)",
        column(0).unwrap_or("NULL"),
        column(1).unwrap_or("NULL"),
        conditions(query)
    );
    if query.owner.is_some() {
        sql.push_str(
            " FROM user u CROSS JOIN token k INDEXED BY token_owner ON k.owner = u.key \
             CROSS JOIN tenant t ON t.key = u.tenant WHERE u.id = :owner AND t.id = :tenant",
        );
    } else {
        let _ = write!(
            sql,
            " FROM tenant t CROSS JOIN token k INDEXED BY {} ON k.tenant = t.key \
             CROSS JOIN user u ON u.key = k.owner WHERE t.id = :tenant",
            part.index
        );
    }
    sql.push_str(part.of);
    sql.push_str(range(query, part));
    let (columns, values) = match (column(0), column(1)) {
        (None, _) => ("k.id".to_owned(), ":id"),
        (Some(first), None) => (format!("({first}, k.id)"), "(:first, :id)"),
        (Some(first), Some(second)) => (format!("({first}, {second}, k.id)"), "(:first, :second, :id)"),
    };
    let _ = write!(sql, " AND {columns} {than} {values} ORDER BY ");
    for column in part.order {
        let _ = write!(sql, "{column}{direction}, ");
    }
    let _ = write!(sql, "k.id{direction}");
    sql
}

/// Where the part ends, by what is written, for all that fulfils the conditions. Where it begins is not bounded: that the
/// place does, and an index takes one bound at an end.
fn range(query: &TokenQuery<'_>, part: &Part) -> &'static str {
    let (unused, used, ends) = (query.unused_since, query.used_since, query.ends_before);
    if *part == USED && !query.descending && unused.is_some() {
        " AND k.last_used < :unused_since"
    } else if *part == USED && query.descending && used.is_some() {
        " AND k.last_used >= :used_since"
    } else if *part == NOT_ENDED && !query.descending && ends.is_some() {
        " AND k.lapses < :lapses_before"
    } else if *part == ENDED && !query.descending && ends.is_some() {
        " AND k.ended_at < :ends_before"
    } else {
        ""
    }
}

/// Whether no row of this part fulfils the conditions, by what is written.
fn is_vain(query: &TokenQuery<'_>, part: &Part) -> bool {
    (*part == USED && query.never_used)
        || (*part == NEVER_USED && query.used_since.is_some())
        || (*part == ENDED && query.standing == TokenStanding::Live)
}

/// What a token has to fulfil.
fn conditions(query: &TokenQuery<'_>) -> String {
    let mut all = String::from("1");
    all.push_str(match query.standing {
        TokenStanding::Any => "",
        TokenStanding::Live => concat!(" AND ", live!()),
        TokenStanding::Ended => concat!(" AND NOT coalesce((", live!(), "), 0)"),
        TokenStanding::EndedBy(_) => concat!(
            " AND coalesce(k.ended_cause = :cause, 1) AND NOT coalesce((",
            live!(),
            "), 0)"
        ),
    });
    if query.unused_since.is_some() {
        all.push_str(concat!(" AND ", used!(), " < :unused_since"));
    }
    if query.used_since.is_some() {
        all.push_str(concat!(" AND ", used!(), " >= :used_since"));
    }
    if query.never_used {
        all.push_str(concat!(" AND ", used!(), " = -1"));
    }
    if query.ends_before.is_some() {
        all.push_str(concat!(
            " AND coalesce(k.ended_at, min(k.expires, max(k.created, ",
            used!(),
            ") + :idle_after)) < :ends_before"
        ));
    }
    if query.name.is_some() {
        all.push_str(" AND has_text(k.name, :name)");
    }
    all
}

/// The value of a parameter; a statement is given those that it names.
fn parameter(query: &TokenQuery<'_>, place: &TokenPlace, begins: bool, name: &str) -> Value {
    let LiveRule { now, idle_since } = query.rule;
    let idle_after = now.saturating_sub(idle_since);
    let time = |at: Option<Timestamp>| Value::Integer(bound(at.unwrap_or_default()));
    let id = |id: Id| Value::Blob(id.to_bytes().to_vec());
    match name {
        ":tenant" => id(query.tenant),
        ":owner" => id(query.owner.unwrap_or_default()),
        ":now" => time(Some(now)),
        ":idle_since" => time(Some(idle_since)),
        ":idle_after" => time(Some(idle_after)),
        ":unused_since" => time(query.unused_since),
        ":used_since" => time(query.used_since),
        ":ends_before" => time(query.ends_before),
        // Where tokens idle out sooner than the index says, what ends by then is so much farther along.
        ":lapses_before" => {
            let longer = INDEXED_IDLE.saturating_sub(idle_after);
            time(query.ends_before.map(|before| before.saturating_add(longer)))
        }
        ":name" => Value::Text(query.name.unwrap_or_default().to_owned()),
        ":cause" => match query.standing {
            TokenStanding::EndedBy(cause) => Value::Text(cause.as_str().to_owned()),
            _ => Value::Null,
        },
        // Any blob is greater than any text.
        ":first" if query.sort == TokenSort::Name && begins && query.descending => Value::Blob(Vec::new()),
        ":first" if query.sort == TokenSort::Name => Value::Text(place.text.clone()),
        ":first" => Value::Integer(place.numbers.0),
        ":second" => Value::Integer(place.numbers.1),
        ":id" => id(place.id),
        _ => Value::Null,
    }
}

/// Before the first row of a part, in this direction.
const fn start(part: u8, descending: bool) -> TokenPlace {
    let (number, bits) = if descending {
        (i64::MAX, u64::MAX)
    } else {
        (i64::MIN, 0)
    };
    TokenPlace {
        part,
        numbers: (number, number),
        text: String::new(),
        id: Id { hi: bits, lo: bits },
    }
}

/// What is known of a page while it is made.
#[derive(Default)]
struct Search {
    found: Vec<TokenPlace>,
    /// The row that was looked at last.
    last: Option<TokenPlace>,
    examined: u32,
}

/// How the search through a part ended.
enum Stop {
    /// With its last row.
    End,
    /// With one row more than the page has room for.
    Full,
    /// With the last row that may be looked at.
    Budget,
}

impl<C: Lent> View<C> {
    /// Goes on through a part, from this place, which is its beginning if `begins`.
    fn search(
        &self,
        query: &TokenQuery<'_>,
        part: &Part,
        place: &TokenPlace,
        begins: bool,
        search: &mut Search,
    ) -> Result<Stop> {
        let mut statement = self.prepare(&statement(query, part))?;
        for at in 1..=statement.parameter_count() {
            let name = statement.parameter_name(at).unwrap_or_default().to_owned();
            statement.raw_bind_parameter(at, parameter(query, place, begins, &name))?;
        }
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            if search.examined >= query.budget {
                return Ok(Stop::Budget);
            }
            search.examined = search.examined.saturating_add(1);
            let mut columns = Columns::of(row);
            let mut here = TokenPlace {
                part: place.part,
                numbers: (0, 0),
                text: String::new(),
                id: columns.id()?,
            };
            if query.sort == TokenSort::Name {
                here.text = columns.take()?;
            } else {
                here.numbers.0 = columns.take::<Option<i64>>()?.unwrap_or_default();
            }
            here.numbers.1 = columns.take::<Option<i64>>()?.unwrap_or_default();
            if columns.flag()? {
                if u32::try_from(search.found.len()).is_ok_and(|found| found >= query.limit) {
                    return Ok(Stop::Full);
                }
                search.found.push(here.clone());
            }
            search.last = Some(here);
        }
        Ok(Stop::End)
    }
}

impl<C: Lent> ReadReview for View<C> {
    fn token_page(&self, query: &TokenQuery<'_>) -> Result<TokenPage> {
        let mut search = Search::default();
        let mut stop = Stop::End;
        let mut all: Vec<(u8, &Part)> = (0..).zip(parts(query.sort)).collect();
        if query.descending {
            all.reverse();
        }
        let begun = query.after.map(|place| place.part);
        let left = all
            .into_iter()
            .skip_while(|(number, _)| begun.is_some_and(|begun| begun != *number));
        for (number, part) in left.filter(|(_, part)| !is_vain(query, part)) {
            let resumed = query.after.filter(|place| place.part == number);
            let place = resumed
                .cloned()
                .unwrap_or_else(|| start(number, query.descending));
            stop = self.search(query, part, &place, resumed.is_none(), &mut search)?;
            if !matches!(stop, Stop::End) {
                break;
            }
        }
        let next = match stop {
            Stop::End => None,
            Stop::Full => search.found.last().cloned(),
            Stop::Budget => search.last,
        };
        let mut rows = Vec::with_capacity(search.found.len());
        for place in &search.found {
            rows.extend(self.token_row(place.id)?);
        }
        Ok(TokenPage {
            rows,
            next,
            stopped: matches!(stop, Stop::Budget),
            examined: search.examined,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use super::*;
    use crate::store::sqlite::queries::tests::plan;

    fn query() -> TokenQuery<'static> {
        TokenQuery {
            tenant: Id::default(),
            owner: None,
            standing: TokenStanding::Live,
            rule: LiveRule {
                now: 2,
                idle_since: 1,
            },
            unused_since: Some(1),
            used_since: Some(1),
            never_used: true,
            ends_before: Some(1),
            name: Some("x"),
            sort: TokenSort::Created,
            descending: false,
            after: None,
            limit: 1,
            budget: 1,
        }
    }

    #[test]
    fn each_page_is_found_by_its_index_and_comes_in_its_order() {
        let expected = [
            (TokenSort::Created, 0, "token_page (tenant=? AND ", "id>?)"),
            (
                TokenSort::Name,
                0,
                "token_name (tenant=? AND ",
                "(title,id)>(?,?)",
            ),
            (
                TokenSort::Used,
                0,
                "token_used (tenant=? AND last_used=? AND ",
                "id>?)",
            ),
            (
                TokenSort::Used,
                1,
                "token_used (tenant=? AND ",
                "(last_used,id)>(?,?)",
            ),
            (
                TokenSort::Ends,
                0,
                "token_due (tenant=? AND ",
                "(ended_at,lapses,id)>(?,?,?)",
            ),
            (
                TokenSort::Ends,
                1,
                "token_due (tenant=? AND ended_at=? AND ",
                "(lapses,id)>(?,?)",
            ),
        ];
        for (sort, number, index, place) in expected {
            for (descending, bounded) in [(false, false), (false, true), (true, false), (true, true)] {
                let mut query = TokenQuery {
                    sort,
                    descending,
                    ..query()
                };
                if !bounded {
                    (query.unused_since, query.used_since, query.ends_before) = (None, None, None);
                }
                let part: &Part = parts(sort).get(number).unwrap();
                let sql = statement(&query, part);
                let plan = plan(&sql);
                let place = if descending {
                    place.replace('>', "<")
                } else {
                    place.to_owned()
                };
                assert!(plan.contains(index) && plan.contains(&place), "{sql}\n{plan}");
                assert!(
                    !plan.contains("TEMP B-TREE") && !plan.contains("SCAN"),
                    "{sql}\n{plan}"
                );
            }
        }
    }

    #[test]
    fn an_owners_page_looks_at_the_owners_tokens_alone() {
        for sort in [
            TokenSort::Created,
            TokenSort::Name,
            TokenSort::Used,
            TokenSort::Ends,
        ] {
            for part in parts(sort) {
                let owner = Some(Id::default());
                let sql = statement(
                    &TokenQuery {
                        sort,
                        owner,
                        ..query()
                    },
                    part,
                );
                let plan = plan(&sql);
                assert!(plan.contains("INDEX token_owner (owner=?"), "{sql}\n{plan}");
                assert!(!plan.contains("SCAN"), "{sql}\n{plan}");
            }
        }
    }
}
