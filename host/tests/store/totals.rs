use patrol::store::{Store, Tenants};
use patrol_policy::types::{DAY, LiveRule, MINUTE, Scope};

use crate::support::{Fixture, NOW, id, insert_tenant, insert_user, revoked, rule};

const WEEK: u64 = 7 * DAY;

fn tokens(fixture: &Fixture) -> (u64, u64) {
    let read = fixture.store.read().unwrap();
    read.count_tokens(&Tenants::All, rule(), NOW + WEEK).unwrap()
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
        read.count_sessions(&Tenants::All, NOW - 4 * MINUTE, NOW - 2 * MINUTE)
            .unwrap()
    };
    assert_eq!(count(), 2);
    fixture.write(|transaction| transaction.end_session(closed.id, revoked(NOW)).unwrap());
    assert_eq!(count(), 1);
}

#[test]
fn tokens_and_sessions_of_some_tenants_are_counted_alone() {
    let fixture = Fixture::new();
    let (tenant, carol) = (id(), id());
    fixture.write(|transaction| {
        insert_tenant(transaction, tenant, "globex");
        insert_user(transaction, carol, tenant, "carol");
    });
    let made = |owner, tenant| {
        let token = fixture.stored(|token| {
            (token.owner, token.tenant, token.created) = (owner, tenant, NOW - 8 * DAY);
        });
        let session = fixture.session(token.id);
        fixture.write(|transaction| transaction.insert_session(&session).unwrap());
    };
    made(fixture.owner, fixture.tenant);
    made(fixture.owner, fixture.tenant);
    made(carol, tenant);
    let read = fixture.store.read().unwrap();
    let count = |tenants: &Tenants, idle: u64| {
        let rule = LiveRule {
            now: NOW,
            idle_since: NOW - idle * DAY,
        };
        (
            read.count_tokens(tenants, rule, NOW + WEEK).unwrap(),
            read.count_sessions(tenants, NOW - 1, NOW - 1).unwrap(),
        )
    };
    for (tenants, count_15, count_7) in [
        (Tenants::All, ((3, 3), 3), ((0, 0), 3)),
        (Tenants::One(tenant), ((1, 1), 1), ((0, 0), 1)),
        (Tenants::only([tenant, fixture.tenant]), ((3, 3), 3), ((0, 0), 3)),
        (Tenants::all_but([tenant]), ((2, 2), 2), ((0, 0), 2)),
        (Tenants::only([]), ((0, 0), 0), ((0, 0), 0)),
    ] {
        assert_eq!(count(&tenants, 15), count_15, "{tenants:?}");
        assert_eq!(count(&tenants, 7), count_7, "{tenants:?}");
    }
    assert_eq!(count(&Tenants::One(tenant), 30), ((1, 0), 1), "22 days are left");
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
