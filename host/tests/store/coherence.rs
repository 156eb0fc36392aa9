use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

use patrol::store::Store;
use patrol_policy::types::Id;

use crate::support::{Fixture, NOW, open, raw, revoked};

/// Names the directory, the token to revoke, and whether to die before the commit.
const TASK: &str = "PATROL_TEST_REVOKE";

/// Not a test: what the other process runs.
#[test]
#[ignore = "run by other tests, in a process of its own"]
fn other_process() {
    let task = env::var(TASK).unwrap();
    let [directory, token, how] = task.split('\n').collect::<Vec<_>>().try_into().unwrap();
    let store = open(Path::new(directory));
    let token: Id = token.parse().unwrap();
    assert!(store.token(token).unwrap().unwrap().state.token.ended.is_none());
    let mut transaction = store.begin().unwrap();
    transaction.end_token(token, revoked(NOW)).unwrap();
    if how == "die" {
        std::process::abort();
    }
    transaction.commit().unwrap();
}

fn revoke_elsewhere(directory: &Path, token: Id, how: &str) {
    let status = Command::new(env::current_exe().unwrap())
        .args(["--exact", "coherence::other_process", "--ignored"])
        .env(TASK, format!("{}\n{token}\n{how}", directory.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.success(), how != "die");
}

fn is_live(store: &impl Store, token: Id) -> bool {
    store.token(token).unwrap().unwrap().state.token.ended.is_none()
}

#[test]
fn a_kept_row_is_found_again_and_read_anew_after_any_commit() {
    let fixture = Fixture::new();
    let token = fixture.stored(|_| ()).id;
    let first = fixture.store.token(token).unwrap().unwrap().row;
    let second = fixture.store.token(token).unwrap().unwrap().row;
    assert!(
        std::sync::Arc::ptr_eq(&first, &second),
        "the same row, from memory"
    );
    fixture.stored(|_| ());
    let third = fixture.store.token(token).unwrap().unwrap().row;
    assert!(!std::sync::Arc::ptr_eq(&first, &third), "read anew");
    assert_eq!(first, third);
}

#[test]
fn a_row_is_kept_while_other_connections_come_and_go() {
    let fixture = Fixture::new();
    let token = fixture.stored(|_| ()).id;
    let first = fixture.store.token(token).unwrap().unwrap().row;
    drop(open(fixture.dir.path()).read().unwrap().tenants().unwrap());
    let transaction = fixture.store.begin().unwrap();
    drop(transaction);
    let second = fixture.store.token(token).unwrap().unwrap().row;
    assert!(std::sync::Arc::ptr_eq(&first, &second));
}

#[test]
fn a_revocation_by_a_second_store_is_seen_by_the_next_read_r8() {
    let fixture = Fixture::new();
    let second = open(fixture.dir.path());
    let token = fixture.stored(|_| ()).id;
    let session = fixture.session(token);
    fixture.write(|transaction| transaction.insert_session(&session).unwrap());
    assert!(is_live(&fixture.store, token) && is_live(&second, token));
    assert!(
        fixture
            .store
            .session(session.id)
            .unwrap()
            .unwrap()
            .state
            .token
            .token
            .ended
            .is_none()
    );
    let mut transaction = second.begin().unwrap();
    transaction.end_token(token, revoked(NOW)).unwrap();
    assert!(is_live(&fixture.store, token), "not before the commit");
    transaction.commit().unwrap();
    assert!(!is_live(&fixture.store, token) && !is_live(&second, token));
    assert!(
        fixture
            .store
            .session(session.id)
            .unwrap()
            .unwrap()
            .state
            .token
            .token
            .ended
            .is_some()
    );
}

#[test]
fn a_revocation_by_another_process_is_seen_by_the_next_read_r8() {
    let fixture = Fixture::new();
    let token = fixture.stored(|_| ()).id;
    for _ in 0..3 {
        assert!(is_live(&fixture.store, token));
    }
    revoke_elsewhere(fixture.dir.path(), token, "commit");
    assert!(!is_live(&fixture.store, token));
}

#[test]
fn a_process_that_dies_in_a_transaction_changes_nothing_and_blocks_nobody() {
    let fixture = Fixture::new();
    let token = fixture.stored(|_| ()).id;
    revoke_elsewhere(fixture.dir.path(), token, "die");
    assert!(is_live(&fixture.store, token));
    fixture.write(|transaction| transaction.end_token(token, revoked(NOW)).unwrap());
    assert!(!is_live(&fixture.store, token));
}

#[test]
fn commits_are_seen_across_checkpoints_and_resets_of_the_log_r8() {
    let fixture = Fixture::new();
    let other = raw(fixture.dir.path());
    for mode in ["PASSIVE", "FULL", "RESTART", "TRUNCATE", "TRUNCATE"] {
        let token = fixture.stored(|_| ()).id;
        assert!(is_live(&fixture.store, token));
        let checkpoint = || {
            let busy: i64 = other
                .query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get(0))
                .unwrap();
            assert_eq!(busy, 0, "{mode}");
        };
        checkpoint();
        assert!(is_live(&fixture.store, token), "{mode}");
        other
            .execute(
                "UPDATE token SET ended_at = 1, ended_cause = 'revoked', scheme = 0, digest = NULL WHERE id = ?1",
                [token.to_bytes()],
            )
            .unwrap();
        assert!(!is_live(&fixture.store, token), "{mode}");
        checkpoint();
        assert!(!is_live(&fixture.store, token), "{mode}");
    }
}

/// What the cache rests on: every commit changes it, and nothing
/// that was there before comes back.
#[test]
fn the_header_of_the_wal_index_is_new_after_every_commit() {
    let fixture = Fixture::new();
    let index = fixture.dir.path().join("patrol.db-shm");
    // Read by another process: closing the file in this one would drop SQLite's locks.
    let header = || {
        let read = Command::new("head")
            .arg("-c")
            .arg("48")
            .arg(&index)
            .output()
            .unwrap()
            .stdout;
        assert_eq!(read.len(), 48);
        read
    };
    let other = raw(fixture.dir.path());
    let mut seen = std::collections::HashSet::new();
    seen.insert(header());
    for n in 0..40 {
        // The smallest change there is, back and forth between the same two contents.
        other
            .execute("UPDATE meta SET clock_mark = ?1", [1 + n % 2])
            .unwrap();
        assert!(seen.insert(header()), "commit {n}");
        if n % 7 == 0 {
            other
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
                .unwrap();
        }
    }
    let before = header();
    other
        .execute_batch("BEGIN IMMEDIATE; UPDATE meta SET clock_mark = 9; ROLLBACK")
        .unwrap();
    assert_eq!(header(), before, "a rollback leaves it alone");
}

#[test]
fn closing_one_store_does_not_cost_another_its_locks() {
    let fixture = Fixture::new();
    let held = fixture.store.begin().unwrap();
    drop(open(fixture.dir.path()));
    drop(open(fixture.dir.path()));
    // Were the lock lost, another process could write now.
    let blocked = Command::new(env::current_exe().unwrap())
        .args(["--exact", "coherence::impatient_process", "--ignored"])
        .env(TASK, fixture.dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(!blocked.success());
    drop(held);
}

/// Not a test: tries to write, at once or not at all.
#[test]
#[ignore = "run by other tests, in a process of its own"]
fn impatient_process() {
    let connection = raw(Path::new(&env::var_os(TASK).unwrap()));
    connection.busy_timeout(std::time::Duration::ZERO).unwrap();
    connection
        .execute_batch("BEGIN IMMEDIATE; UPDATE meta SET clock_mark = 7; COMMIT")
        .unwrap();
}

#[test]
fn a_store_can_be_closed_and_opened_again_as_often_as_one_likes() {
    let fixture = Fixture::new();
    let token = fixture.stored(|_| ()).id;
    let Fixture { store, dir, .. } = fixture;
    drop(store);
    let descriptors = || {
        fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
            .filter(|target| {
                target
                    .to_string_lossy()
                    .starts_with(&*dir.path().to_string_lossy())
            })
            .count()
    };
    for _ in 0..10 {
        let store = open(dir.path());
        assert!(is_live(&store, token));
        let second = open(dir.path());
        drop(store);
        assert!(is_live(&second, token));
    }
    assert!(descriptors() <= 1, "{} descriptors left", descriptors());
}
