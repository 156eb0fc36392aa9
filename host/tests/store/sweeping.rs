use std::collections::BTreeSet;

use patrol::store::{Store, Tenants};
use patrol_policy::types::{Cause, DAY, End, Id, LiveRule, PreviousSecret, Scope, Token};

use crate::support::{Fixture, NOW, digest, id, insert_tenant, insert_user, revoked, rule};

fn lapsed(fixture: &Fixture, limit: u32) -> Vec<Id> {
    let states = fixture
        .store
        .read()
        .unwrap()
        .list_lapsed_tokens(&Tenants::All, rule(), limit)
        .unwrap();
    states.into_iter().map(|state| state.token.id).collect()
}

#[test]
fn lapsed_tokens_are_found_whatever_they_lapsed_by_r6() {
    let fixture = Fixture::new();
    let (moved, gone) = (id(), id());
    fixture.write(|transaction| {
        insert_user(transaction, moved, fixture.tenant, "moved");
        insert_user(transaction, gone, fixture.tenant, "gone");
    });
    let old = |age: u64| move |token: &mut Token| token.created = NOW - age;
    let expected = [
        fixture.stored(|token| (token.created, token.expires) = (NOW - 50, NOW)),
        fixture.stored(|token| (token.created, token.owner) = (NOW - 40, moved)),
        fixture.stored(|token| (token.created, token.owner) = (NOW - 30, gone)),
    ];
    let idle = fixture.stored(old(15 * DAY));
    let ended = fixture.stored(|token| token.expires = NOW - 1);
    let live = fixture.stored(old(3));
    fixture.write(|transaction| {
        transaction
            .set_auth_method(Scope::Owner(moved), "saml", NOW)
            .unwrap();
        transaction.delete_user(gone, NOW).unwrap();
        transaction.end_token(ended.id, revoked(NOW)).unwrap();
    });
    let mut ids = vec![idle.id];
    ids.extend(expected.map(|token| token.id));
    assert_eq!(lapsed(&fixture, 100), ids, "oldest first");
    assert_eq!(lapsed(&fixture, 2).len(), 2);
    fixture.write(|transaction| {
        transaction
            .set_auth_method(Scope::Tenant(fixture.tenant), "saml", NOW)
            .unwrap();
    });
    ids.push(live.id);
    assert_eq!(lapsed(&fixture, 100), ids);
}

#[test]
fn a_token_that_was_just_used_is_not_swept_as_idle_r5() {
    let fixture = Fixture::new();
    let token = fixture.stored(|token| token.created = NOW - 15 * DAY);
    fixture.store.record_use(token.id, NOW - 1, None, false).unwrap();
    assert_eq!(lapsed(&fixture, 10), []);
    let transaction = fixture.store.begin().unwrap();
    assert_eq!(
        transaction.list_lapsed_tokens(&Tenants::All, rule(), 10).unwrap(),
        []
    );
}

#[test]
fn sweeping_in_rounds_comes_to_an_end_with_every_lapsed_token_marked_r6() {
    let fixture = Fixture::new();
    let mut expected = BTreeSet::new();
    for n in 0..40_u64 {
        let token = fixture.stored(|token| match n % 4 {
            0 => token.expires = NOW - n,
            1 => token.created = NOW - 20 * DAY + n,
            2 => (token.created, token.expires) = (NOW - 20 * DAY, NOW - n),
            _ => (),
        });
        if n % 4 != 3 {
            expected.insert(token.id);
        }
    }
    let mut swept = BTreeSet::new();
    loop {
        let round = lapsed(&fixture, 7);
        assert!(round.len() <= 7);
        if round.is_empty() {
            break;
        }
        fixture.write(|transaction| {
            for id in &round {
                transaction
                    .end_token(
                        *id,
                        End {
                            at: NOW,
                            cause: Cause::Idle,
                        },
                    )
                    .unwrap();
            }
        });
        swept.extend(round);
    }
    assert_eq!(swept, expected);
}

#[test]
fn previous_secrets_are_erased_once_their_overlap_is_over() {
    let fixture = Fixture::new();
    let previous = |until| {
        Some(PreviousSecret {
            scheme: 1,
            digest: digest(1),
            until,
        })
    };
    let tokens =
        [NOW - 1, NOW, NOW + 1].map(|until| fixture.stored(|token| token.previous = previous(until)));
    let erase = |limit| fixture.write(|transaction| transaction.erase_previous_secrets(NOW, limit).unwrap());
    assert_eq!([erase(1), erase(10), erase(10)], [1, 1, 0]);
    let read = fixture.store.read().unwrap();
    let left = tokens.map(|token| read.token_state(token.id).unwrap().unwrap().token.previous);
    assert_eq!(left, [None, None, previous(NOW + 1)]);
}

#[test]
fn ended_tokens_are_forgotten_with_their_sessions_longest_ended_first_r6() {
    let fixture = Fixture::new();
    let tokens = [NOW - 3, NOW - 2, NOW - 1].map(|at| {
        let token = fixture.stored(|_| ());
        let session = fixture.session(token.id);
        fixture.write(|transaction| {
            transaction.insert_session(&session).unwrap();
            transaction.end_token(token.id, revoked(at)).unwrap();
        });
        (token.id, session.id)
    });
    let live = fixture.stored(|_| ());
    let forget = |limit| {
        fixture.write(|transaction| transaction.forget_tokens(&Tenants::All, NOW - 2, limit).unwrap())
    };
    let left = || {
        let read = fixture.store.read().unwrap();
        tokens.map(|(token, session)| {
            let token = read.token_state(token).unwrap().is_some();
            assert_eq!(read.session_state(session).unwrap().is_some(), token);
            token
        })
    };
    assert_eq!(forget(1), 1);
    assert_eq!(left(), [false, true, true]);
    assert_eq!([forget(10), forget(10)], [1, 0]);
    assert_eq!(left(), [false, false, true]);
    assert!(fixture.store.token(live.id).unwrap().is_some());
}

#[test]
fn sessions_are_forgotten_when_ended_too_old_or_idle() {
    let fixture = Fixture::new();
    let token = fixture.stored(|_| ());
    let ended = fixture.session(token.id);
    let sessions = [
        ended,
        patrol_policy::types::Session {
            opened: NOW - 100,
            ..fixture.session(token.id)
        },
        patrol_policy::types::Session {
            last_used: NOW - 10,
            ..fixture.session(token.id)
        },
        patrol_policy::types::Session {
            last_used: NOW - 10,
            ..fixture.session(token.id)
        },
        patrol_policy::types::Session {
            opened: NOW - 99,
            last_used: NOW - 9,
            ..fixture.session(token.id)
        },
    ];
    fixture.write(|transaction| {
        for session in &sessions {
            transaction.insert_session(session).unwrap();
        }
        transaction.end_session(ended.id, revoked(NOW)).unwrap();
    });
    // The fourth was used a moment ago, which is not yet written.
    fixture
        .store
        .record_session_use(sessions[3].id, NOW - 1, false)
        .unwrap();
    let forget = |limit| {
        fixture.write(|transaction| {
            transaction
                .forget_sessions(&Tenants::All, NOW - 100, NOW - 10, limit)
                .unwrap()
        })
    };
    assert_eq!([forget(2), forget(10), forget(10)], [2, 1, 0]);
    let read = fixture.store.read().unwrap();
    let left = sessions.map(|session| read.session_state(session.id).unwrap().is_some());
    assert_eq!(left, [false, false, false, true, true]);
}

/// Another tenant with a user, beside the fixture's own.
fn elsewhere(fixture: &Fixture) -> (Id, Id) {
    let (tenant, user) = (id(), id());
    fixture.write(|transaction| {
        insert_tenant(transaction, tenant, &format!("tenant {tenant}"));
        insert_user(transaction, user, tenant, "carol");
    });
    (tenant, user)
}

#[test]
fn each_tenants_tokens_lapse_by_the_idle_period_that_is_asked_for_it_alone() {
    let fixture = Fixture::new();
    let (tenant, carol) = elsewhere(&fixture);
    let (other, dave) = elsewhere(&fixture);
    let (moved, gone) = (id(), id());
    fixture.write(|transaction| {
        insert_user(transaction, moved, tenant, "moved");
        insert_user(transaction, gone, tenant, "gone");
    });
    let aged = |owner: Id, tenant: Id, age: u64| {
        fixture
            .stored(|token| (token.owner, token.tenant, token.created) = (owner, tenant, NOW - age))
            .id
    };
    // Of each: used a moment ago, unused for eight days, and for sixteen.
    let ages = [0, 8 * DAY, 16 * DAY];
    let own = ages.map(|age| aged(fixture.owner, fixture.tenant, age));
    let theirs = ages.map(|age| aged(carol, tenant, age));
    let others = ages.map(|age| aged(dave, other, age));
    let (after_a_change, of_the_deleted) = (aged(moved, tenant, 1), aged(gone, tenant, 2));
    fixture.write(|transaction| {
        transaction
            .set_auth_method(Scope::Owner(moved), "saml", NOW)
            .unwrap();
        transaction.delete_user(gone, NOW).unwrap();
    });
    let lapsed = |tenants: &Tenants, days: u64, limit: u32| {
        let rule = LiveRule {
            now: NOW,
            idle_since: NOW - days * DAY,
        };
        let read = fixture.store.read().unwrap();
        let states = read.list_lapsed_tokens(tenants, rule, limit).unwrap();
        states
            .into_iter()
            .map(|state| state.token.id)
            .collect::<BTreeSet<_>>()
    };
    let those = |ids: &[Id]| ids.iter().copied().collect::<BTreeSet<_>>();
    let dead = [after_a_change, of_the_deleted];
    for tenants in [Tenants::One(tenant), Tenants::only([tenant])] {
        assert_eq!(
            lapsed(&tenants, 7, 100),
            those(&[theirs[1], theirs[2], dead[0], dead[1]])
        );
        assert_eq!(lapsed(&tenants, 15, 100), those(&[theirs[2], dead[0], dead[1]]));
        assert_eq!(lapsed(&tenants, 30, 100), those(&dead));
        assert_eq!(lapsed(&tenants, 7, 3).len(), 3);
    }
    assert_eq!(
        lapsed(&Tenants::all_but([tenant]), 15, 100),
        those(&[own[2], others[2]])
    );
    assert_eq!(
        lapsed(&Tenants::all_but([tenant, other]), 7, 100),
        those(&[own[1], own[2]])
    );
    assert_eq!(
        lapsed(&Tenants::only([tenant, other]), 7, 100),
        those(&[theirs[1], theirs[2], others[1], others[2], dead[0], dead[1]])
    );
    // A limit is filled with what is meant, however much else there is.
    assert_eq!(lapsed(&Tenants::all_but([tenant]), 7, 1).len(), 1);
    assert_eq!(lapsed(&Tenants::only([]), 7, 100), those(&[]));
    // A use that is not yet written counts.
    fixture.store.record_use(theirs[1], NOW - 1, None, false).unwrap();
    assert!(!lapsed(&Tenants::One(tenant), 7, 100).contains(&theirs[1]));
}

#[test]
fn records_of_some_tenants_are_forgotten_and_those_of_others_stay_r6() {
    let fixture = Fixture::new();
    let (tenant, carol) = elsewhere(&fixture);
    let made = |owner: Id, tenant: Id| {
        let token = fixture.stored(|token| (token.owner, token.tenant) = (owner, tenant));
        let [kept, session] = [(); 2].map(|()| fixture.session(token.id));
        let ended = fixture.stored(|token| (token.owner, token.tenant) = (owner, tenant));
        fixture.write(|transaction| {
            transaction.insert_session(&kept).unwrap();
            transaction.insert_session(&session).unwrap();
            transaction.end_session(session.id, revoked(NOW)).unwrap();
            transaction.end_token(ended.id, revoked(NOW)).unwrap();
        });
        (ended.id, session.id, kept.id)
    };
    let (own, theirs) = (made(fixture.owner, fixture.tenant), made(carol, tenant));
    let there = |(ended, session, kept): (Id, Id, Id)| {
        let read = fixture.store.read().unwrap();
        assert!(read.session_state(kept).unwrap().is_some());
        (
            read.token_state(ended).unwrap().is_some(),
            read.session_state(session).unwrap().is_some(),
        )
    };
    let forget = |tenants: &Tenants| {
        fixture.write(|transaction| {
            (
                transaction.forget_tokens(tenants, NOW, 10).unwrap(),
                transaction
                    .forget_sessions(tenants, NOW - 1, NOW - 1, 10)
                    .unwrap(),
            )
        })
    };
    assert_eq!(forget(&Tenants::One(id())), (0, 0));
    assert_eq!(forget(&Tenants::only([tenant])), (1, 1));
    assert_eq!((there(own), there(theirs)), ((true, true), (false, false)));
    assert_eq!(forget(&Tenants::all_but([fixture.tenant])), (0, 0));
    assert_eq!(forget(&Tenants::all_but([tenant])), (1, 1));
    assert_eq!(there(own), (false, false));
}
