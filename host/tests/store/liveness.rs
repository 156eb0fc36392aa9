use std::collections::BTreeSet;

use patrol::store::{Store, Tenants, TokenFilter};
use patrol_policy::types::{DAY, LiveRule, Scope, Token};

use crate::support::{Fixture, NOW, id, insert_user, revoked, rule};

/// What each function that applies the live rule says of the only token; they must agree.
fn is_live(fixture: &Fixture, rule: LiveRule) -> bool {
    let read = fixture.store.read().unwrap();
    let (owner, tenant) = (fixture.owner, fixture.tenant);
    let live = read.count_live_tokens(owner, rule).unwrap() == 1;
    assert_eq!(read.live_name_exists(owner, "script", rule).unwrap(), live);
    assert_eq!(
        read.list_live_tokens(owner, rule).unwrap().len(),
        usize::from(live)
    );
    for scope in [Scope::Tenant(tenant), Scope::Owner(owner)] {
        let census = read.census(scope, rule).unwrap();
        assert_eq!((census.tokens, census.owners), (u64::from(live), u64::from(live)));
    }
    let filter = TokenFilter {
        live: Some(rule),
        limit: 10,
        ..TokenFilter::default()
    };
    assert_eq!(read.token_rows(&filter).unwrap().len(), usize::from(live));
    let ended = read
        .token_rows(&TokenFilter {
            limit: 10,
            ..TokenFilter::default()
        })
        .unwrap()[0]
        .state
        .token
        .ended
        .is_some();
    assert_eq!(
        read.list_lapsed_tokens(&Tenants::All, rule, 10).unwrap().len(),
        usize::from(!live && !ended)
    );
    live
}

fn fixture(change: impl FnOnce(&mut Token)) -> Fixture {
    let fixture = Fixture::new();
    fixture.stored(change);
    fixture
}

#[test]
fn a_token_is_live_until_the_instant_of_its_expiration_date_r5() {
    let fixture = fixture(|token| token.expires = NOW + 1_000);
    for (now, live) in [(NOW + 999, true), (NOW + 1_000, false), (NOW + 1_001, false)] {
        assert_eq!(is_live(&fixture, LiveRule { now, ..rule() }), live, "{now}");
    }
}

#[test]
fn a_token_is_live_while_its_last_use_is_after_the_idle_limit_r5() {
    let fixture = fixture(|token| {
        token.created = NOW - 30 * DAY;
        token.last_used = Some(NOW - 15 * DAY);
    });
    for (idle_since, live) in [
        (NOW - 15 * DAY - 1, true),
        (NOW - 15 * DAY, false),
        (NOW - 15 * DAY + 1, false),
    ] {
        assert_eq!(is_live(&fixture, LiveRule { idle_since, ..rule() }), live);
    }
}

#[test]
fn a_token_that_was_never_used_idles_from_its_creation_r5() {
    let fixture = fixture(|token| token.created = NOW - 15 * DAY);
    for (idle_since, live) in [
        (NOW - 15 * DAY - 1, true),
        (NOW - 15 * DAY, false),
        (NOW - 15 * DAY + 1, false),
    ] {
        assert_eq!(is_live(&fixture, LiveRule { idle_since, ..rule() }), live);
    }
}

#[test]
fn a_use_that_is_not_yet_written_keeps_a_token_live_r5() {
    let fixture = Fixture::new();
    let token = fixture.stored(|token| token.created = NOW - 15 * DAY);
    assert!(!is_live(&fixture, rule()));
    fixture
        .store
        .record_use(token.id, NOW - 15 * DAY + 1, None, false)
        .unwrap();
    assert!(is_live(&fixture, rule()));
    assert!(!is_live(
        &fixture,
        LiveRule {
            idle_since: NOW - 15 * DAY + 1,
            ..rule()
        }
    ));
    fixture.store.flush().unwrap();
    assert!(is_live(&fixture, rule()));
}

#[test]
fn an_ended_token_is_not_live_r8() {
    let fixture = Fixture::new();
    let token = fixture.stored(|_| ());
    assert!(is_live(&fixture, rule()));
    fixture.write(|transaction| transaction.end_token(token.id, revoked(NOW)).unwrap());
    assert!(!is_live(&fixture, rule()));
}

#[test]
fn a_new_method_of_tenant_or_owner_ends_the_tokens_born_before_r9() {
    for tenant in [true, false] {
        let fixture = fixture(|_| ());
        assert!(is_live(&fixture, rule()));
        let scope = if tenant {
            Scope::Tenant(fixture.tenant)
        } else {
            Scope::Owner(fixture.owner)
        };
        fixture.write(|transaction| transaction.set_auth_method(scope, "saml", NOW).unwrap());
        assert!(!is_live(&fixture, rule()), "{scope:?}");
    }
}

#[test]
fn a_token_of_the_new_epoch_is_live_r9() {
    let fixture = Fixture::new();
    fixture.write(|transaction| {
        transaction
            .set_auth_method(Scope::Tenant(fixture.tenant), "saml", NOW)
            .unwrap();
        transaction
            .set_auth_method(Scope::Owner(fixture.owner), "oidc", NOW)
            .unwrap();
        let token = Token {
            tenant_epoch: 1,
            owner_epoch: 1,
            ..fixture.token()
        };
        transaction.insert_token(&token, "script").unwrap();
    });
    assert!(is_live(&fixture, rule()));
}

#[test]
fn a_deleted_owners_tokens_are_not_live_and_a_disabled_ones_rest_r4() {
    let fixture = fixture(|_| ());
    fixture.write(|transaction| transaction.set_enabled(fixture.owner, false).unwrap());
    assert!(is_live(&fixture, rule()));
    fixture.write(|transaction| transaction.delete_user(fixture.owner, NOW).unwrap());
    assert!(!is_live(&fixture, rule()));
}

#[test]
fn only_the_owners_own_tokens_count_and_only_the_exact_name_is_taken_r13() {
    let fixture = fixture(|_| ());
    let other = id();
    fixture.write(|transaction| insert_user(transaction, other, fixture.tenant, "bob"));
    let read = fixture.store.read().unwrap();
    assert_eq!(read.count_live_tokens(other, rule()).unwrap(), 0);
    assert!(!read.live_name_exists(other, "script", rule()).unwrap());
    assert!(!read.live_name_exists(fixture.owner, "Script", rule()).unwrap());
}

#[test]
fn live_tokens_are_listed_oldest_first() {
    let fixture = Fixture::new();
    let tokens: Vec<_> = [3, 1, 2]
        .into_iter()
        .map(|age| fixture.stored(|token| token.created = NOW - age))
        .collect();
    let listed: Vec<_> = fixture
        .store
        .read()
        .unwrap()
        .list_live_tokens(fixture.owner, rule())
        .unwrap()
        .into_iter()
        .map(|state| state.token)
        .collect();
    assert_eq!(listed, [tokens[0], tokens[2], tokens[1]]);
}

#[test]
fn ending_the_live_tokens_leaves_the_others_as_they_are_r8() {
    let fixture = Fixture::new();
    let live = [fixture.stored(|_| ()), fixture.stored(|_| ())];
    let expired = fixture.stored(|token| token.expires = NOW);
    let before = revoked(NOW - 5);
    let ended = fixture.stored(|_| ());
    fixture.write(|transaction| transaction.end_token(ended.id, before).unwrap());
    let count = fixture.write(|transaction| {
        transaction
            .end_live_tokens(fixture.owner, rule(), revoked(NOW))
            .unwrap()
    });
    assert_eq!(count, 2);
    let read = fixture.store.read().unwrap();
    let end = |id| read.token_state(id).unwrap().unwrap().token.ended;
    assert_eq!(live.map(|token| end(token.id)), [Some(revoked(NOW)); 2]);
    assert_eq!(end(expired.id), None);
    assert_eq!(end(ended.id), Some(before));
}

#[test]
fn every_token_not_ended_is_either_live_or_lapsed_whatever_the_idle_period() {
    let fixture = Fixture::new();
    let days = [0, 1, 5, 14, 15, 16, 40, 400].map(|days| days * DAY);
    let mut all = BTreeSet::new();
    let mut transaction = fixture.store.begin().unwrap();
    for age in days {
        for unused in days.into_iter().filter(|unused| *unused <= age) {
            for expires in [NOW - DAY, NOW, NOW + 1, NOW + 10 * DAY, NOW + 300 * DAY] {
                let last_used = (unused < age).then_some(NOW - unused);
                let token = Token {
                    created: NOW - age,
                    last_used,
                    expires,
                    ..fixture.token()
                };
                transaction.insert_token(&token, "script").unwrap();
                all.insert(token.id);
            }
        }
    }
    transaction.commit().unwrap();
    for token in all.iter().step_by(3) {
        fixture
            .store
            .record_use(*token, NOW - 2 * DAY, None, false)
            .unwrap();
    }
    let read = fixture.store.read().unwrap();
    for idle in [1, DAY, 2 * DAY, 15 * DAY, 30 * DAY, 365 * DAY] {
        let rule = LiveRule {
            now: NOW,
            idle_since: NOW - idle,
        };
        let live = read.list_live_tokens(fixture.owner, rule).unwrap();
        let lapsed = read.list_lapsed_tokens(&Tenants::All, rule, 1_000).unwrap();
        assert_eq!(live.len() + lapsed.len(), all.len(), "idle period {idle}");
        let ids: BTreeSet<_> = live
            .iter()
            .copied()
            .chain(lapsed)
            .map(|state| state.token.id)
            .collect();
        assert_eq!(ids, all, "idle period {idle}");
    }
}
