//! Pages of an organisation's tokens against a plain filter over all of them.

use std::cmp::Reverse;

use patrol::store::{Store, TokenPlace, TokenQuery, TokenSort, TokenStanding};
use patrol_policy::types::{Cause, DAY, End, Id, Timestamp, Token};

use crate::support::{Fixture, NOW, id, insert_tenant, insert_user, revoked, rule};

const SORTS: [TokenSort; 4] = [
    TokenSort::Created,
    TokenSort::Name,
    TokenSort::Used,
    TokenSort::Ends,
];

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn maybe<T>(&mut self, value: T) -> Option<T> {
        (self.below(3) == 0).then_some(value)
    }
}

struct Named {
    token: Token,
    name: String,
}

/// Tokens of two owners of one tenant, and of one of another tenant; few values, so that there are many ties.
fn populate(fixture: &Fixture, dice: &mut Dice, count: usize) -> (Vec<Named>, Id) {
    let (bob, other, carol) = (id(), id(), id());
    fixture.write(|transaction| {
        insert_user(transaction, bob, fixture.tenant, "bob");
        insert_tenant(transaction, other, "other");
        insert_user(transaction, carol, other, "carol");
        let mut all = Vec::new();
        for _ in 0..count {
            let (owner, tenant) = match dice.below(4) {
                0 => (carol, other),
                1 => (bob, fixture.tenant),
                _ => (fixture.owner, fixture.tenant),
            };
            let name = ["ci", "CI", "Ärger", "deploy", "Backup CI"][usize::try_from(dice.below(5)).unwrap()];
            let created = NOW - 40 * DAY + dice.below(4) * DAY;
            let end = End {
                at: NOW - dice.below(4) * DAY,
                cause: [Cause::Revoked, Cause::ExpirationDate, Cause::Idle]
                    [usize::try_from(dice.below(3)).unwrap()],
            };
            let ended = dice.maybe(end);
            let (scheme, digest) = match ended {
                Some(_) => (0, patrol_policy::types::Digest::default()),
                None => (1, fixture.token().digest),
            };
            let used = NOW - dice.below(20) * DAY;
            let token = Token {
                owner,
                tenant,
                created,
                expires: NOW - 3 * DAY + dice.below(20) * DAY,
                last_used: (dice.below(3) > 0).then_some(used),
                scheme,
                digest,
                ended,
                ..fixture.token()
            };
            transaction.insert_token(&token, name).unwrap();
            all.push(Named {
                token,
                name: name.to_owned(),
            });
        }
        (all, bob)
    })
}

fn ends(token: &Token) -> Timestamp {
    let idle = token.last_used.unwrap_or(token.created) + 15 * DAY;
    token.ended.map_or(token.expires.min(idle), |end| end.at)
}

fn lives(token: &Token) -> bool {
    token.ended.is_none() && ends(token) > NOW
}

fn expected(all: &[Named], query: &TokenQuery<'_>) -> Vec<Id> {
    let mut rows: Vec<&Named> = all
        .iter()
        .filter(|row| {
            let token = &row.token;
            token.tenant == query.tenant
                && query.owner.is_none_or(|owner| token.owner == owner)
                && match query.standing {
                    TokenStanding::Any => true,
                    TokenStanding::Live => lives(token),
                    TokenStanding::Ended => !lives(token),
                    TokenStanding::EndedBy(cause) => {
                        !lives(token) && token.ended.is_none_or(|end| end.cause == cause)
                    }
                }
                && query
                    .unused_since
                    .is_none_or(|at| token.last_used.is_none_or(|used| used < at))
                && query
                    .used_since
                    .is_none_or(|at| token.last_used.is_some_and(|used| used >= at))
                && (!query.never_used || token.last_used.is_none())
                && query.ends_before.is_none_or(|at| ends(token) < at)
                && query
                    .name
                    .is_none_or(|part| row.name.to_lowercase().contains(part))
        })
        .collect();
    rows.sort_by_key(|row| {
        let token = &row.token;
        let key = match query.sort {
            TokenSort::Created => (0, 0, 0, String::new()),
            TokenSort::Name => (0, 0, 0, row.name.to_ascii_lowercase()),
            TokenSort::Used => (0, token.last_used.map_or(0, |at| at + 1), 0, String::new()),
            TokenSort::Ends => {
                let lapses = token
                    .expires
                    .min(token.last_used.unwrap_or(token.created) + 15 * DAY);
                let marked = token.ended.map_or(0, |end| end.at);
                (u8::from(token.ended.is_none()), marked, lapses, String::new())
            }
        };
        (key, token.id)
    });
    if query.descending {
        rows.reverse();
    }
    rows.into_iter().map(|row| row.token.id).collect()
}

fn everything(fixture: &Fixture) -> TokenQuery<'static> {
    TokenQuery {
        tenant: fixture.tenant,
        owner: None,
        standing: TokenStanding::Any,
        rule: rule(),
        unused_since: None,
        used_since: None,
        never_used: false,
        ends_before: None,
        name: None,
        sort: TokenSort::Created,
        descending: false,
        after: None,
        limit: 100,
        budget: 1_000,
    }
}

/// All pages, one after the other, `between` each two.
fn pages(fixture: &Fixture, query: &TokenQuery<'_>, mut between: impl FnMut(&[Id])) -> Vec<Id> {
    let mut found = Vec::new();
    let mut after: Option<TokenPlace> = None;
    for _ in 0..10_000 {
        let query = TokenQuery {
            after: after.as_ref(),
            ..query.clone()
        };
        let page = fixture.store.read().unwrap().token_page(&query).unwrap();
        assert!(
            page.examined <= query.budget,
            "no more than the budget is looked at"
        );
        assert!(page.rows.len() <= usize::try_from(query.limit).unwrap());
        let ids: Vec<_> = page.rows.iter().map(|row| row.state.token.id).collect();
        found.extend_from_slice(&ids);
        between(&ids);
        match page.next {
            Some(next) => after = Some(next),
            None => return found,
        }
    }
    panic!("it goes on for ever");
}

#[test]
fn pages_are_what_a_plain_filter_over_all_tokens_says() {
    let fixture = Fixture::new();
    let mut dice = Dice(7);
    let (all, bob) = populate(&fixture, &mut dice, 150);
    for round in 0..400 {
        let at = NOW - dice.below(20) * DAY;
        let then = NOW + dice.below(12) * DAY;
        let query = TokenQuery {
            owner: dice.maybe(bob),
            standing: [
                TokenStanding::Any,
                TokenStanding::Live,
                TokenStanding::Ended,
                TokenStanding::EndedBy(Cause::ExpirationDate),
            ][usize::try_from(dice.below(4)).unwrap()],
            unused_since: dice.maybe(at),
            used_since: dice.maybe(at - 5 * DAY),
            never_used: dice.below(6) == 0,
            ends_before: dice.maybe(then),
            name: [None, Some("ci"), Some("är")][usize::try_from(dice.below(3)).unwrap()],
            sort: SORTS[round % 4],
            descending: dice.below(2) == 0,
            limit: u32::try_from(1 + dice.below(20)).unwrap(),
            budget: u32::try_from(1 + dice.below(60)).unwrap(),
            ..everything(&fixture)
        };
        assert_eq!(
            pages(&fixture, &query, |_| ()),
            expected(&all, &query),
            "{query:?}"
        );
    }
}

#[test]
fn a_row_that_stays_as_it_is_comes_once_whatever_happens_to_others_between_pages() {
    for sort in SORTS {
        for descending in [false, true] {
            let fixture = Fixture::new();
            let mut dice = Dice(11);
            let (all, _) = populate(&fixture, &mut dice, 80);
            let query = TokenQuery {
                sort,
                descending,
                limit: 7,
                budget: 20,
                ..everything(&fixture)
            };
            let mut touched = Vec::new();
            let found = pages(&fixture, &query, |shown| {
                // The row in the cursor moves, another one ends, and one more is made.
                let other = &all[usize::try_from(dice.below(80)).unwrap()].token;
                let last = shown.last().copied().unwrap_or(other.id);
                touched.extend([last, other.id]);
                fixture.write(|transaction| {
                    transaction.put_use(last, NOW, None).unwrap();
                    transaction.end_token(other.id, revoked(NOW)).unwrap();
                });
            });
            for row in all.iter().filter(|row| row.token.tenant == fixture.tenant) {
                let times = found.iter().filter(|id| **id == row.token.id).count();
                if !touched.contains(&row.token.id) {
                    assert_eq!(times, 1, "{sort:?} {descending}");
                }
            }
        }
    }
}

#[test]
fn a_use_that_is_not_yet_written_counts() {
    let fixture = Fixture::new();
    let token = fixture.stored(|token| token.created = NOW - 14 * DAY);
    let never = fixture.stored(|_| ());
    fixture
        .store
        .record_use(token.id, NOW, Some("192.0.2.1"), false)
        .unwrap();
    let list = |query: TokenQuery<'_>| pages(&fixture, &query, |_| ());
    let all = everything(&fixture);
    let used_since = Some(NOW);
    assert_eq!(
        list(TokenQuery {
            used_since,
            ..all.clone()
        }),
        [token.id]
    );
    let unused_since = Some(NOW);
    assert_eq!(
        list(TokenQuery {
            unused_since,
            ..all.clone()
        }),
        [never.id]
    );
    assert_eq!(
        list(TokenQuery {
            never_used: true,
            ..all.clone()
        }),
        [never.id]
    );
    let ends_before = Some(NOW + 5 * DAY);
    assert!(
        list(TokenQuery {
            ends_before,
            ..all.clone()
        })
        .is_empty()
    );
    let page = fixture.store.read().unwrap().token_page(&all).unwrap();
    let row = page.rows.first().unwrap();
    assert_eq!(
        (row.state.token.last_used, row.last_used_from.as_deref()),
        (Some(NOW), Some("192.0.2.1"))
    );
}

#[test]
fn a_page_that_finds_nothing_says_where_to_search_on() {
    let fixture = Fixture::new();
    for _ in 0..10 {
        fixture.stored(|_| ());
    }
    let query = TokenQuery {
        name: Some("absent"),
        budget: 4,
        ..everything(&fixture)
    };
    let read = fixture.store.read().unwrap();
    let page = read.token_page(&query).unwrap();
    assert!(page.rows.is_empty() && page.stopped && page.examined == 4);
    let page = read
        .token_page(&TokenQuery {
            after: page.next.as_ref(),
            budget: 6,
            ..query
        })
        .unwrap();
    assert!(page.next.is_none() && !page.stopped, "all ten were looked at");
}

/// The order is by what is written; the newest comes first.
#[test]
fn the_newest_come_first_on_demand() {
    let fixture = Fixture::new();
    let mut ids: Vec<_> = (0..5).map(|_| fixture.stored(|_| ()).id).collect();
    ids.sort_unstable_by_key(|id| Reverse(*id));
    let query = TokenQuery {
        descending: true,
        limit: 2,
        ..everything(&fixture)
    };
    assert_eq!(pages(&fixture, &query, |_| ()), ids);
}
