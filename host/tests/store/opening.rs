use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use patrol::store::sqlite::{OpenError, OpenOptions, SqliteStore};
use patrol::store::{Store, StoreError};

use crate::support::{Fixture, open, options, raw};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn refused(directory: &Path) -> OpenError {
    SqliteStore::open(directory, &options()).unwrap_err()
}

#[test]
fn what_it_makes_is_for_the_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("var/patrol");
    let _store = open(&data);
    assert_eq!(mode(&data), 0o700);
    for file in ["patrol.db", "patrol.db-wal", "patrol.db-shm"] {
        assert_eq!(mode(&data.join(file)), 0o600, "{file}");
    }
}

#[test]
fn a_database_that_others_can_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let file = dir.path().join("patrol.db");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let error = refused(dir.path());
    assert!(
        matches!(&error, OpenError::Exposed { path, mode: 0o640, .. } if *path == file),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains(&format!("run `chmod go= {}`", file.display())),
        "{error}"
    );
}

#[test]
fn a_directory_that_others_can_write_to_is_refused_and_one_that_they_can_list_is_not() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o770)).unwrap();
    assert!(matches!(
        refused(dir.path()),
        OpenError::Exposed { mode: 0o770, .. }
    ));
    assert!(
        !dir.path().join("patrol.db").exists(),
        "and nothing was made in it"
    );
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    open(dir.path());
}

#[test]
fn without_create_missing_data_stays_missing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let error = SqliteStore::open(
        &data,
        &OpenOptions {
            create: false,
            ..options()
        },
    )
    .unwrap_err();
    assert!(matches!(error, OpenError::NoData(_)));
    assert_eq!(
        error.to_string(),
        format!(
            "no patrol data in {}: run `patrol serve` or `patrol tenant create` first",
            data.display()
        )
    );
    assert!(!data.exists());
    drop(open(&data));
    SqliteStore::open(
        &data,
        &OpenOptions {
            create: false,
            ..options()
        },
    )
    .unwrap();
}

#[test]
fn a_directory_that_cannot_be_made_is_told_from_one_that_cannot_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(
        refused(&file.join("data")),
        OpenError::NoDirectory { .. }
    ));
    // Nobody can make files here, not even root.
    assert!(matches!(
        refused(Path::new("/proc/self")),
        OpenError::NotWritable { .. }
    ));
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let fixture = Fixture::new();
    let dir = fixture.dir;
    drop(fixture.store);
    let known = version(dir.path());
    let newer = known + 1;
    raw(dir.path())
        .pragma_update(None, "user_version", newer)
        .unwrap();
    let error = refused(dir.path());
    assert_eq!(
        error.to_string(),
        format!(
            "written by a newer version of patrol (schema {newer}, this build knows {known}): upgrade patrol, or use \
             another --data directory"
        )
    );
    raw(dir.path())
        .pragma_update(None, "user_version", known)
        .unwrap();
    assert!(
        open(dir.path())
            .read()
            .unwrap()
            .tenant(fixture.tenant)
            .unwrap()
            .is_some()
    );
}

#[test]
fn an_empty_file_is_brought_from_version_0_to_the_present_one() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("patrol.db");
    fs::write(&file, "").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let store = open(dir.path());
    assert!(version(dir.path()) >= 2);
    assert_eq!(store.check().unwrap(), Vec::<String>::new());
}

/// The version of the schema in a data directory.
fn version(directory: &Path) -> i64 {
    raw(directory)
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap()
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("patrol.db");
    fs::write(
        &file,
        "not a database, but long enough to have a header of a hundred bytes ".repeat(40),
    )
    .unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(refused(dir.path()), OpenError::NotADatabase(_)));
}

#[test]
fn a_database_of_another_program_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    raw(dir.path())
        .execute_batch("CREATE TABLE token (secret TEXT)")
        .unwrap();
    fs::set_permissions(dir.path().join("patrol.db"), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(refused(dir.path()), OpenError::Foreign));
}

#[test]
fn a_damaged_database_is_found_when_it_is_opened() {
    let fixture = Fixture::new();
    for _ in 0..500 {
        fixture.stored(|_| ());
    }
    let Fixture { dir, store, .. } = fixture;
    drop(store);
    let pages: Vec<usize> = raw(dir.path())
        .prepare("SELECT pageno FROM dbstat WHERE name = 'token' AND pagetype = 'leaf'")
        .unwrap()
        .query_map([], |row| row.get::<_, u32>(0))
        .unwrap()
        .map(|page| page.unwrap() as usize)
        .collect();
    let file = dir.path().join("patrol.db");
    let mut bytes = fs::read(&file).unwrap();
    for page in pages {
        // Where the page says in which places its rows begin.
        let start = (page - 1) * 4096 + 8;
        bytes[start..start + 32].fill(0xff);
    }
    fs::write(&file, bytes).unwrap();
    let error = refused(dir.path());
    assert!(
        matches!(&error, OpenError::Damaged(problems) if !problems.is_empty()),
        "{error}"
    );
    // Without the check it opens, and the damage is an outage when it is met.
    let store = SqliteStore::open(
        dir.path(),
        &OpenOptions {
            check: false,
            ..options()
        },
    )
    .unwrap();
    assert!(matches!(
        store
            .read()
            .and_then(|read| read.token_rows(&patrol::store::TokenFilter {
                limit: 1_000,
                ..Default::default()
            })),
        Err(StoreError::Corrupt(_))
    ));
}

#[test]
fn many_can_open_the_same_new_directory_at_once() {
    let dir = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| open(dir.path()).check().unwrap());
        }
    });
}

#[test]
fn a_locked_database_is_busy_after_the_limit_and_not_before() {
    let fixture = Fixture::with(&OpenOptions {
        busy_limit: Duration::from_millis(200),
        ..options()
    });
    let other = raw(fixture.dir.path());
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begun = std::time::Instant::now();
    let error = fixture.store.begin().err().unwrap();
    assert!(matches!(error, StoreError::Busy), "{error}");
    let waited = begun.elapsed();
    assert!((150..1_500).contains(&waited.as_millis()), "{waited:?}");
    // Readers do not wait for writers.
    assert!(
        fixture
            .store
            .read()
            .unwrap()
            .tenant(fixture.tenant)
            .unwrap()
            .is_some()
    );
    other.execute_batch("ROLLBACK").unwrap();
    fixture.store.begin().unwrap();
}

#[test]
fn a_transaction_of_the_same_store_is_waited_for_with_the_same_limit() {
    let fixture = Fixture::with(&OpenOptions {
        busy_limit: Duration::from_millis(200),
        ..options()
    });
    let held = fixture.store.begin().unwrap();
    assert!(matches!(fixture.store.begin().err().unwrap(), StoreError::Busy));
    drop(held);
    fixture.store.begin().unwrap();
}
