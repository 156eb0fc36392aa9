use patrol::store::{AccountEpochs, AccountSession, Store, StoreError};
use patrol_policy::types::{Cause, End, Id, Scope};

use crate::support::{Fixture, NOW, digest, id, open};

fn session(fixture: &Fixture) -> AccountSession {
    let id = id();
    AccountSession {
        id,
        owner: fixture.owner,
        audience: fixture.audience,
        digest: digest(id.lo),
        opened: NOW,
        last_used: NOW,
        epochs: AccountEpochs::default(),
        ended: None,
    }
}

fn stored(fixture: &Fixture, change: impl FnOnce(&mut AccountSession)) -> AccountSession {
    let mut session = session(fixture);
    change(&mut session);
    fixture.write(|transaction| transaction.insert_account_session(&session).unwrap());
    session
}

const CLOSED: End = End {
    at: NOW + 7,
    cause: Cause::SessionClosed,
};

#[test]
fn a_session_is_read_as_it_was_written_with_what_its_owner_is_now() {
    let fixture = Fixture::new();
    let session = stored(&fixture, |session| {
        session.epochs = AccountEpochs {
            owner: 1,
            tenant: 2,
            password: 3,
        };
    });
    let read = |store: &dyn Store| {
        let hot = store.account_session(session.id).unwrap().unwrap();
        let cold = store.read().unwrap().account_row(session.id).unwrap().unwrap();
        assert_eq!(*hot.row, cold);
        cold
    };
    let row = read(&fixture.store);
    assert_eq!(row.session, session);
    assert_eq!(row.epochs, AccountEpochs::default());
    assert_eq!(
        (row.audience.as_str(), row.user.name.as_str()),
        ("rest-api", "alice")
    );

    // By another process; this one sees it at its next read.
    let another = open(fixture.dir.path());
    let mut transaction = another.begin().unwrap();
    transaction
        .set_auth_method(Scope::Owner(fixture.owner), "saml", NOW)
        .unwrap();
    transaction
        .set_auth_method(Scope::Tenant(fixture.tenant), "saml", NOW)
        .unwrap();
    for _ in 0..2 {
        transaction.set_password_hash(fixture.owner, "x").unwrap();
    }
    transaction
        .set_roles(fixture.owner, &["b".into(), "a".into()])
        .unwrap();
    transaction.set_enabled(fixture.owner, false).unwrap();
    transaction.set_multi_factor(fixture.tenant, true).unwrap();
    transaction.commit().unwrap();
    let row = read(&fixture.store);
    let now = AccountEpochs {
        owner: 1,
        tenant: 1,
        password: 2,
    };
    assert_eq!((row.epochs, row.session.epochs), (now, session.epochs));
    assert_eq!(row.user.roles, ["a", "b"]);
    assert!(!row.owner.enabled && row.owner.multi_factor);
    let password = fixture
        .store
        .read()
        .unwrap()
        .password(fixture.owner)
        .unwrap()
        .unwrap();
    assert_eq!((password.hash.as_deref(), password.epoch), (Some("x"), 2));
    assert!(fixture.store.account_session(id()).unwrap().is_none());
}

#[test]
fn a_session_needs_an_owner_and_an_identifier_of_its_own() {
    let fixture = Fixture::new();
    let session = stored(&fixture, |_| ());
    fixture.write(|transaction| {
        let twin = transaction.insert_account_session(&session);
        assert!(
            matches!(twin, Err(StoreError::Exists { what: "session", .. })),
            "{twin:?}"
        );
        let orphan = AccountSession {
            id: id(),
            owner: id(),
            ..session
        };
        let orphan = transaction.insert_account_session(&orphan);
        assert!(
            matches!(orphan, Err(StoreError::NotFound { what: "user", .. })),
            "{orphan:?}"
        );
    });
}

#[test]
fn a_use_moves_forward_only_and_is_seen_before_and_after_it_is_written() {
    let fixture = Fixture::new();
    let session = stored(&fixture, |_| ());
    let seen = || {
        fixture
            .store
            .account_session(session.id)
            .unwrap()
            .unwrap()
            .last_used
    };
    let on_disk = |store: &dyn Store| {
        let row = store.read().unwrap().account_row(session.id).unwrap();
        row.unwrap().session.last_used
    };
    let another = open(fixture.dir.path());
    fixture
        .store
        .record_account_use(session.id, NOW + 5, false)
        .unwrap();
    fixture
        .store
        .record_account_use(session.id, NOW + 3, false)
        .unwrap();
    assert_eq!(
        (seen(), on_disk(&fixture.store), on_disk(&another)),
        (NOW + 5, NOW + 5, NOW)
    );
    assert!(fixture.store.oldest_unflushed().is_some());
    assert_eq!(fixture.store.flush().unwrap(), 1);
    assert_eq!((seen(), on_disk(&another)), (NOW + 5, NOW + 5));
    assert!(fixture.store.oldest_unflushed().is_none());
    fixture
        .store
        .record_account_use(session.id, NOW + 9, true)
        .unwrap();
    assert_eq!(on_disk(&another), NOW + 9);
    fixture
        .store
        .record_account_use(session.id, NOW + 8, true)
        .unwrap();
    assert_eq!((seen(), on_disk(&another)), (NOW + 9, NOW + 9));
}

#[test]
fn an_end_stays_as_it_was_set_and_is_seen_by_every_process_at_once() {
    let fixture = Fixture::new();
    let session = stored(&fixture, |_| ());
    let another = open(fixture.dir.path());
    let ended = |store: &dyn Store| {
        store
            .account_session(session.id)
            .unwrap()
            .unwrap()
            .row
            .session
            .ended
    };
    assert_eq!((ended(&another), ended(&fixture.store)), (None, None));
    fixture.write(|transaction| transaction.end_account_session(session.id, CLOSED).unwrap());
    assert_eq!(
        (ended(&another), ended(&fixture.store)),
        (Some(CLOSED), Some(CLOSED))
    );
    let later = End {
        at: NOW + 8,
        cause: Cause::SessionReplaced,
    };
    fixture.write(|transaction| transaction.end_account_session(session.id, later).unwrap());
    assert_eq!(ended(&another), Some(CLOSED));
}

#[test]
fn sessions_are_forgotten_once_ended_too_old_or_unused_and_not_before() {
    let fixture = Fixture::new();
    let ended = stored(&fixture, |session| session.ended = Some(CLOSED));
    let old = stored(&fixture, |session| session.opened = NOW - 100);
    let idle = stored(&fixture, |session| session.last_used = NOW - 50);
    let used = stored(&fixture, |session| session.last_used = NOW - 50);
    let young = stored(&fixture, |session| session.opened = NOW - 99);
    fixture
        .store
        .record_account_use(used.id, NOW - 49, false)
        .unwrap();
    let forget = |limit| {
        fixture.write(|transaction| {
            transaction
                .forget_account_sessions(NOW - 100, NOW - 50, limit)
                .unwrap()
        })
    };
    assert_eq!((forget(2), forget(2), forget(2)), (2, 1, 0));
    let there = |id: Id| fixture.store.account_session(id).unwrap().is_some();
    assert_eq!([ended, old, idle].map(|session| there(session.id)), [false; 3]);
    assert!(there(used.id) && there(young.id));
}
