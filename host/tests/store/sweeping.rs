use std::collections::BTreeSet;

use patrol::store::Store;
use patrol_policy::types::{Cause, DAY, End, Id, PreviousSecret, Scope, Token};

use crate::support::{Fixture, NOW, digest, id, insert_user, revoked, rule};

fn lapsed(fixture: &Fixture, limit: u32) -> Vec<Id> {
    let states = fixture
        .store
        .read()
        .unwrap()
        .list_lapsed_tokens(rule(), limit)
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
    assert_eq!(transaction.list_lapsed_tokens(rule(), 10).unwrap(), []);
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
    let forget = |limit| fixture.write(|transaction| transaction.forget_tokens(NOW - 2, limit).unwrap());
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
    let forget =
        |limit| fixture.write(|transaction| transaction.forget_sessions(NOW - 100, NOW - 10, limit).unwrap());
    assert_eq!([forget(2), forget(10), forget(10)], [2, 1, 0]);
    let read = fixture.store.read().unwrap();
    let left = sessions.map(|session| read.session_state(session.id).unwrap().is_some());
    assert_eq!(left, [false, false, false, true, true]);
}
