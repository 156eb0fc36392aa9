use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use patrol::store::Store;
use patrol_policy::types::Id;

use crate::support::{Fixture, NOW, open, revoked, rule};

#[test]
fn of_64_who_create_at_once_exactly_104_tokens_come_about_r7() {
    let fixture = Fixture::new();
    let second = open(fixture.dir.path());
    let refused = AtomicUsize::new(0);
    thread::scope(|scope| {
        for n in 0..64 {
            let store = if n % 2 == 0 { &fixture.store } else { &second };
            let (fixture, refused) = (&fixture, &refused);
            scope.spawn(move || {
                for _ in 0..3 {
                    let mut transaction = store.begin().unwrap();
                    if transaction.count_live_tokens(fixture.owner, rule()).unwrap() < 104 {
                        transaction.insert_token(&fixture.token(), "script").unwrap();
                        transaction.commit().unwrap();
                    } else {
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(
        fixture
            .store
            .read()
            .unwrap()
            .count_live_tokens(fixture.owner, rule())
            .unwrap(),
        104
    );
    assert_eq!(refused.into_inner(), 64 * 3 - 104);
}

#[test]
fn once_a_revocation_is_acknowledged_no_reader_sees_the_token_live_r8() {
    let fixture = Fixture::new();
    let tokens: Vec<Id> = (0..200).map(|_| fixture.stored(|_| ()).id).collect();
    let second = open(fixture.dir.path());
    // How many of the tokens are acknowledged as revoked.
    let acknowledged = AtomicUsize::new(0);
    thread::scope(|scope| {
        for n in 0..6 {
            let store = if n % 2 == 0 { &fixture.store } else { &second };
            let (tokens, acknowledged) = (&tokens, &acknowledged);
            scope.spawn(move || {
                loop {
                    let known = acknowledged.load(Ordering::SeqCst);
                    for (n, id) in tokens.iter().enumerate() {
                        let ended = store.token(*id).unwrap().unwrap().state.token.ended.is_some();
                        assert!(ended || n >= known, "token {n} is live after {known} revocations");
                    }
                    if known == tokens.len() {
                        break;
                    }
                }
            });
        }
        for (n, id) in tokens.iter().enumerate() {
            let store = if n % 3 == 0 { &second } else { &fixture.store };
            let mut transaction = store.begin().unwrap();
            transaction.end_token(*id, revoked(NOW)).unwrap();
            transaction.commit().unwrap();
            acknowledged.store(n + 1, Ordering::SeqCst);
        }
    });
}

#[test]
fn the_audit_chain_stays_whole_when_many_write_to_it() {
    let fixture = Fixture::new();
    let second = open(fixture.dir.path());
    thread::scope(|scope| {
        for n in 0..8 {
            let store = if n % 2 == 0 { &fixture.store } else { &second };
            scope.spawn(move || {
                for _ in 0..20 {
                    let mut transaction = store.begin().unwrap();
                    transaction.append_audit(NOW, "test", None, "{}").unwrap();
                    transaction.commit().unwrap();
                }
            });
        }
    });
    assert_eq!(fixture.store.read().unwrap().audit_head().unwrap().seq, 160);
    assert_eq!(fixture.store.check().unwrap(), Vec::<String>::new());
}

#[test]
fn a_transaction_can_be_finished_by_another_thread() {
    let fixture = Fixture::new();
    let token = fixture.token();
    let mut transaction = fixture.store.begin().unwrap();
    transaction.insert_token(&token, "script").unwrap();
    thread::spawn(move || transaction.commit().unwrap())
        .join()
        .unwrap();
    assert!(fixture.store.token(token.id).unwrap().is_some());
}
