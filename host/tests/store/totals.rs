use patrol::store::Store;
use patrol_policy::types::{DAY, MINUTE, Scope};

use crate::support::{Fixture, NOW, id, insert_user, revoked, rule};

const WEEK: u64 = 7 * DAY;

fn tokens(fixture: &Fixture) -> (u64, u64) {
    let read = fixture.store.read().unwrap();
    read.count_tokens(rule(), NOW + WEEK).unwrap()
}

#[test]
fn live_tokens_are_counted_and_those_that_end_soon_by_date_or_idleness_r5() {
    let fixture = Fixture::new();
    let gone = id();
    fixture.write(|transaction| insert_user(transaction, gone, fixture.tenant, "gone"));
    assert_eq!(tokens(&fixture), (0, 0));
    fixture.stored(|_| ());
    fixture.stored(|token| token.expires = NOW + WEEK + 1);
    assert_eq!(tokens(&fixture), (2, 0));
    fixture.stored(|token| token.expires = NOW + WEEK);
    // Eight days unused: seven are left.
    let idle = fixture.stored(|token| token.created = NOW - 8 * DAY);
    fixture.stored(|token| (token.created, token.last_used) = (NOW - 20 * DAY, Some(NOW - 8 * DAY + 1)));
    assert_eq!(tokens(&fixture), (5, 2));
    // A use that is not yet written counts.
    fixture.store.record_use(idle.id, NOW - 1, None, false).unwrap();
    assert_eq!(tokens(&fixture), (5, 1));

    // None of these is live.
    fixture.stored(|token| token.expires = NOW);
    fixture.stored(|token| token.created = NOW - 15 * DAY);
    fixture.stored(|token| token.owner = gone);
    let ended = fixture.stored(|_| ());
    fixture.write(|transaction| {
        transaction.delete_user(gone, NOW).unwrap();
        transaction.end_token(ended.id, revoked(NOW)).unwrap();
    });
    assert_eq!(tokens(&fixture), (5, 1));
    fixture.write(|transaction| {
        let everyone = Scope::Tenant(fixture.tenant);
        transaction.set_auth_method(everyone, "saml", NOW).unwrap();
    });
    assert_eq!(tokens(&fixture), (0, 0));
}

#[test]
fn open_sessions_are_counted() {
    let fixture = Fixture::new();
    let token = fixture.stored(|_| ());
    let session = |opened: u64, used: u64| {
        let mut session = fixture.session(token.id);
        (session.opened, session.last_used) = (opened, used);
        fixture.write(|transaction| transaction.insert_session(&session).unwrap());
        session
    };
    session(NOW - 3 * MINUTE, NOW - MINUTE);
    session(NOW - 4 * MINUTE, NOW - MINUTE);
    session(NOW - 3 * MINUTE, NOW - 2 * MINUTE);
    let closed = session(NOW, NOW);
    let count = || {
        let read = fixture.store.read().unwrap();
        read.count_sessions(NOW - 4 * MINUTE, NOW - 2 * MINUTE).unwrap()
    };
    assert_eq!(count(), 2);
    fixture.write(|transaction| transaction.end_session(closed.id, revoked(NOW)).unwrap());
    assert_eq!(count(), 1);
}

#[test]
fn what_waits_to_be_written_is_counted_by_record() {
    let fixture = Fixture::new();
    let (one, other) = (fixture.stored(|_| ()), fixture.stored(|_| ()));
    let session = fixture.session(one.id);
    fixture.write(|transaction| transaction.insert_session(&session).unwrap());
    assert_eq!(fixture.store.unflushed(), 0);
    for at in 0..3 {
        fixture.store.record_use(one.id, NOW + at, None, false).unwrap();
    }
    fixture.store.record_use(other.id, NOW, None, false).unwrap();
    fixture
        .store
        .record_session_use(session.id, NOW + 1, false)
        .unwrap();
    assert_eq!(fixture.store.unflushed(), 3);
    fixture.store.flush().unwrap();
    assert_eq!(fixture.store.unflushed(), 0);
}
