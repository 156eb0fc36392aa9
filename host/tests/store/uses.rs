use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use patrol::store::sqlite::OpenOptions;
use patrol::store::{Store, StoreError};
use patrol_policy::types::Session;

use crate::support::{Fixture, NOW, options, raw};

fn used(fixture: &Fixture) -> (Session, patrol_policy::types::Id) {
    let token = fixture.stored(|_| ());
    let session = fixture.session(token.id);
    fixture.write(|transaction| transaction.insert_session(&session).unwrap());
    (session, token.id)
}

/// What is on disk: last use of the only token, where from, last use of the only session.
fn on_disk(fixture: &Fixture) -> (Option<u64>, Option<String>, u64) {
    raw(fixture.dir.path())
        .query_row(
            "SELECT k.last_used, k.last_used_from, s.last_used FROM token k JOIN session s ON s.token = k.id",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .unwrap()
}

#[test]
fn a_noted_use_is_seen_at_once_and_written_by_the_flush_r5() {
    let fixture = Fixture::new();
    let (session, token) = used(&fixture);
    fixture
        .store
        .record_use(token, NOW + 2, Some("a"), false)
        .unwrap();
    fixture
        .store
        .record_use(token, NOW + 1, Some("b"), false)
        .unwrap();
    fixture
        .store
        .record_session_use(session.id, NOW + 3, false)
        .unwrap();
    assert_eq!(on_disk(&fixture), (None, None, NOW));

    let seen = fixture.store.token(token).unwrap().unwrap();
    assert_eq!(seen.state.token.last_used, Some(NOW + 2));
    let seen = fixture.store.session(session.id).unwrap().unwrap();
    assert_eq!(seen.state.token.token.last_used, Some(NOW + 2));
    assert_eq!(seen.state.session.last_used, NOW + 3);
    let read = fixture.store.read().unwrap();
    assert_eq!(read.session_state(session.id).unwrap(), Some(seen.state));
    assert_eq!(read.token_state(token).unwrap(), Some(seen.state.token));
    assert_eq!(read.list_open_sessions(token).unwrap(), [seen.state.session]);
    let row = read.token_row(token).unwrap().unwrap();
    assert_eq!(
        (row.state, row.last_used_from.as_deref()),
        (seen.state.token, Some("a"))
    );

    assert_eq!(fixture.store.flush().unwrap(), 2);
    assert_eq!(on_disk(&fixture), (Some(NOW + 2), Some("a".to_owned()), NOW + 3));
    assert_eq!(fixture.store.flush().unwrap(), 0);
    assert_eq!(
        fixture.store.session(session.id).unwrap().unwrap().state,
        seen.state
    );
}

#[test]
fn a_flush_does_not_move_a_newer_time_back_r5() {
    let fixture = Fixture::new();
    let (session, token) = used(&fixture);
    fixture
        .store
        .record_use(token, NOW + 1, Some("a"), false)
        .unwrap();
    fixture
        .store
        .record_session_use(session.id, NOW + 1, false)
        .unwrap();
    fixture.write(|transaction| {
        transaction.put_use(token, NOW + 5, Some("b")).unwrap();
        transaction.put_session_use(session.id, NOW + 5).unwrap();
    });
    fixture.store.flush().unwrap();
    assert_eq!(on_disk(&fixture), (Some(NOW + 5), Some("b".to_owned()), NOW + 5));
}

#[test]
fn a_durable_use_is_on_disk_when_it_returns() {
    let fixture = Fixture::new();
    let (session, token) = used(&fixture);
    fixture.store.record_use(token, NOW + 1, Some("a"), true).unwrap();
    fixture
        .store
        .record_session_use(session.id, NOW + 2, true)
        .unwrap();
    assert_eq!(on_disk(&fixture), (Some(NOW + 1), Some("a".to_owned()), NOW + 2));
    assert_eq!(fixture.store.oldest_unflushed(), None);
}

#[test]
fn a_failed_flush_loses_nothing_and_shows_how_long_uses_have_waited() {
    let fixture = Fixture::with(&OpenOptions {
        busy_limit: Duration::from_millis(20),
        ..options()
    });
    let (session, token) = used(&fixture);
    let before = Instant::now();
    fixture
        .store
        .record_use(token, NOW + 1, Some("a"), false)
        .unwrap();
    fixture
        .store
        .record_session_use(session.id, NOW + 1, false)
        .unwrap();
    let since = fixture.store.oldest_unflushed().unwrap();
    assert!(since >= before && since <= Instant::now());

    let other = raw(fixture.dir.path());
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(matches!(fixture.store.flush(), Err(StoreError::Busy)));
    assert!(matches!(
        fixture.store.record_use(token, NOW + 2, None, true),
        Err(StoreError::Busy)
    ));
    fixture
        .store
        .record_use(token, NOW + 3, Some("c"), false)
        .unwrap();
    assert_eq!(
        fixture.store.oldest_unflushed(),
        Some(since),
        "later uses do not make it younger"
    );
    assert_eq!(
        fixture.store.token(token).unwrap().unwrap().state.token.last_used,
        Some(NOW + 3)
    );
    other.execute_batch("ROLLBACK").unwrap();

    assert_eq!(fixture.store.flush().unwrap(), 2);
    assert_eq!(on_disk(&fixture), (Some(NOW + 3), Some("c".to_owned()), NOW + 1));
    assert_eq!(fixture.store.oldest_unflushed(), None);
}

#[test]
fn a_use_of_a_forgotten_token_is_dropped_by_the_flush() {
    let fixture = Fixture::new();
    fixture
        .store
        .record_use(crate::support::id(), NOW, None, false)
        .unwrap();
    assert_eq!(fixture.store.flush().unwrap(), 1);
    assert_eq!(fixture.store.oldest_unflushed(), None);
}

#[test]
fn no_reader_ever_sees_a_time_go_back_while_uses_are_flushed_r5() {
    let fixture = Fixture::new();
    let (session, token) = used(&fixture);
    let done = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        let store = &fixture.store;
        for _ in 0..3 {
            scope.spawn(move || {
                let mut last = 0;
                while !done.load(Ordering::Relaxed) {
                    let seen = store.session(session.id).unwrap().unwrap().state;
                    assert!(seen.session.last_used >= last);
                    last = seen.session.last_used;
                    let seen = store
                        .token(token)
                        .unwrap()
                        .unwrap()
                        .state
                        .token
                        .last_used
                        .unwrap_or(0);
                    assert!(seen >= last || last == NOW, "{seen} after {last}");
                }
            });
        }
        scope.spawn(move || {
            for n in 1..400 {
                // The token first: whoever sees the session's use sees the token's.
                store.record_use(token, NOW + n, None, false).unwrap();
                store.record_session_use(session.id, NOW + n, false).unwrap();
                if n % 3 == 0 {
                    store.flush().unwrap();
                }
            }
            done.store(true, Ordering::Relaxed);
        });
    });
}
