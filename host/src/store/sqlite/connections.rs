//! The connections: one that writes, a few that read.
//!
//! Both are lent as guards that own the connection, so that a transaction can be sent between threads and outlive
//! the call that began it. A guard that is dropped rolls back what it has open and gives the connection back; one
//! that cannot roll back throws the connection away instead.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use patrol_policy::types::Id;
use rusqlite::config::DbConfig;
use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, OpenFlags};

use super::uses::Uses;
use crate::store::{Result, StoreError};

/// How much of the file a connection maps into memory, in bytes. More is read the ordinary way.
const MAPPED: i64 = 1 << 30;

/// The size to which the log is cut back after a checkpoint, in bytes.
const LOG_KEPT: i64 = 64 << 20;

/// More than there are different statements.
const STATEMENTS: usize = 128;

/// Opens connections, all alike.
#[derive(Debug)]
pub(super) struct Opener {
    pub(super) file: PathBuf,
    pub(super) busy_limit: Duration,
    pub(super) uses: Arc<Uses>,
}

impl Opener {
    /// Opens the file, which must exist.
    pub(super) fn open(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.file, flags)?;
        connection.busy_timeout(self.busy_limit)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        // Without it a statement with a join is prepared anew whenever an identifier is bound.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "secure_delete", true)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.pragma_update(None, "mmap_size", MAPPED)?;
        connection.pragma_update(None, "journal_size_limit", LOG_KEPT)?;
        unwritten_uses(&connection, "unwritten_token_use", &self.uses, |uses, id| {
            uses.tokens.latest(id)
        })?;
        unwritten_uses(&connection, "unwritten_session_use", &self.uses, |uses, id| {
            uses.sessions.latest(id)
        })?;
        unwritten_uses(&connection, "unwritten_account_use", &self.uses, |uses, id| {
            uses.accounts.latest(id)
        })?;
        let flags = FunctionFlags::SQLITE_UTF8
            | FunctionFlags::SQLITE_DIRECTONLY
            | FunctionFlags::SQLITE_DETERMINISTIC;
        connection.create_scalar_function("has_text", 2, flags, |call| {
            let (text, part) = (call.get_raw(0).as_str()?, call.get_raw(1).as_str()?);
            Ok(text.to_lowercase().contains(part))
        })?;
        Ok(connection)
    }

    /// Opens a connection that cannot write.
    fn open_reader(&self) -> rusqlite::Result<Connection> {
        let connection = self.open()?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    }
}

/// Lets SQL ask for the last use of a record that is not yet written: its time, or null.
fn unwritten_uses(
    connection: &Connection,
    name: &'static str,
    uses: &Arc<Uses>,
    latest: impl Fn(&Uses, Id) -> Option<u64> + Send + 'static,
) -> rusqlite::Result<()> {
    let uses = Arc::clone(uses);
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_scalar_function(name, 1, flags, move |call| {
        let id = Id::from_bytes(call.get(0)?);
        latest(&uses, id)
            .map(i64::try_from)
            .transpose()
            .map_err(|e| rusqlite::Error::UserFunctionError(e.into()))
    })
}

/// How long a commit waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// Until it is on the disk.
    Full,
    /// Until it is in the log; a power failure may undo it, but not in part. For uses, which are cheap to lose.
    Relaxed,
}

impl Durability {
    const fn pragma(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Relaxed => "NORMAL",
        }
    }
}

/// The connection that writes: one, since SQLite lets one write at a time.
#[derive(Debug)]
pub(super) struct Writer {
    opener: Arc<Opener>,
    slot: Mutex<Slot>,
    returned: Condvar,
}

#[derive(Debug)]
enum Slot {
    Here(Connection, Durability),
    Lent,
    /// It could not be rolled back; the next to write opens another.
    Lost,
}

impl Writer {
    pub(super) const fn new(opener: Arc<Opener>, connection: Connection) -> Self {
        let slot = Mutex::new(Slot::Here(connection, Durability::Full));
        Self {
            opener,
            slot,
            returned: Condvar::new(),
        }
    }

    /// Begins a transaction that holds the write lock. Waits for other writers, of this process and of others, for
    /// `patience` in all, and never for longer than the busy time limit.
    pub(super) fn begin(self: &Arc<Self>, durability: Durability, patience: Duration) -> Result<WriteGuard> {
        let deadline = Instant::now().checked_add(self.opener.busy_limit.min(patience));
        let left = || deadline.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
        let mut guard = self.borrow(left)?;
        if guard.durability != durability {
            guard
                .connection()?
                .pragma_update(None, "synchronous", durability.pragma())?;
            guard.durability = durability;
        }
        let connection = guard.connection()?;
        connection.busy_timeout(left())?;
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        connection.busy_timeout(self.opener.busy_limit)?;
        guard.changes_before = connection.total_changes();
        Ok(guard)
    }

    fn borrow(self: &Arc<Self>, left: impl Fn() -> Duration) -> Result<WriteGuard> {
        let mut slot = self.lock();
        loop {
            match std::mem::replace(&mut *slot, Slot::Lent) {
                Slot::Here(connection, durability) => {
                    return Ok(WriteGuard {
                        connection: Some(connection),
                        durability,
                        changes_before: 0,
                        home: Arc::clone(self),
                    });
                }
                Slot::Lost => {
                    *slot = Slot::Lost;
                    let opened = self.opener.open().inspect_err(|_| self.returned.notify_one())?;
                    *slot = Slot::Here(opened, Durability::Full);
                }
                Slot::Lent => {
                    let wait = left();
                    if wait.is_zero() {
                        return Err(StoreError::Busy);
                    }
                    slot = self
                        .returned
                        .wait_timeout(slot, wait)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0;
                }
            }
        }
    }

    fn give_back(&self, slot: Slot) {
        *self.lock() = slot;
        self.returned.notify_one();
    }

    /// The slot is whole at every step, so a thread that died holding it has left nothing half done.
    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection on loan.
pub(super) trait Lent: Send {
    /// The connection.
    fn connection(&self) -> Result<&Connection>;
}

/// The writing connection, in a transaction.
#[derive(Debug)]
pub(super) struct WriteGuard {
    /// `None` only while being dropped.
    connection: Option<Connection>,
    durability: Durability,
    changes_before: u64,
    home: Arc<Writer>,
}

impl WriteGuard {
    /// Commits. On an error nothing has changed.
    pub(super) fn commit(self) -> Result<()> {
        self.connection()?.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }

    /// How many rows were written since the transaction began.
    pub(super) fn rows_written(&self) -> u64 {
        self.connection().map_or(0, |connection| {
            connection.total_changes().saturating_sub(self.changes_before)
        })
    }
}

impl Lent for WriteGuard {
    fn connection(&self) -> Result<&Connection> {
        self.connection.as_ref().ok_or_else(over)
    }
}

impl Drop for WriteGuard {
    fn drop(&mut self) {
        let slot = match self.connection.take().and_then(rolled_back) {
            Some(connection) => Slot::Here(connection, self.durability),
            None => Slot::Lost,
        };
        self.home.give_back(slot);
    }
}

/// The connections that read. As many as are needed at once; `kept` of them stay open.
#[derive(Debug)]
pub(super) struct Readers {
    opener: Arc<Opener>,
    idle: Mutex<Vec<Connection>>,
    kept: usize,
}

impl Readers {
    pub(super) const fn new(opener: Arc<Opener>, kept: usize) -> Self {
        Self {
            opener,
            idle: Mutex::new(Vec::new()),
            kept,
        }
    }

    /// A connection, for single statements.
    pub(super) fn borrow(self: &Arc<Self>) -> Result<ReadGuard> {
        let idle = self.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.opener.open_reader()?,
        };
        Ok(ReadGuard {
            connection: Some(connection),
            home: Arc::clone(self),
        })
    }

    /// A connection that sees everything as of now, until it is given back.
    pub(super) fn snapshot(self: &Arc<Self>) -> Result<ReadGuard> {
        let guard = self.borrow()?;
        let connection = guard.connection()?;
        connection.prepare_cached("BEGIN DEFERRED")?.execute([])?;
        // The snapshot is taken by the first read, not by BEGIN.
        connection
            .prepare_cached("SELECT 1 FROM meta")?
            .query_row([], |_| Ok(()))?;
        Ok(guard)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reading connection.
#[derive(Debug)]
pub(super) struct ReadGuard {
    /// `None` only while being dropped.
    connection: Option<Connection>,
    home: Arc<Readers>,
}

impl Lent for ReadGuard {
    fn connection(&self) -> Result<&Connection> {
        self.connection.as_ref().ok_or_else(over)
    }
}

impl Drop for ReadGuard {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take().and_then(rolled_back) else {
            return;
        };
        let mut idle = self.home.lock();
        if idle.len() < self.home.kept {
            idle.push(connection);
        }
    }
}

/// The connection without an open transaction; `None` if that is not to be had.
fn rolled_back(connection: Connection) -> Option<Connection> {
    if !connection.is_autocommit() {
        connection
            .prepare_cached("ROLLBACK")
            .and_then(|mut rollback| rollback.execute([]))
            .ok();
    }
    connection.is_autocommit().then_some(connection)
}

fn over() -> StoreError {
    StoreError::Unavailable("the transaction is over".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::store::sqlite::{OpenOptions, SqliteStore};

    fn store() -> (tempfile::TempDir, SqliteStore) {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(
            dir.path(),
            &OpenOptions {
                readers: 2,
                ..OpenOptions::default()
            },
        )
        .unwrap();
        (dir, store)
    }

    #[test]
    fn a_writer_that_was_lost_is_replaced() {
        let (_dir, store) = store();
        let mut guard = store.writer.begin(Durability::Relaxed, Duration::MAX).unwrap();
        drop(guard.connection.take());
        drop(guard);
        let guard = store.writer.begin(Durability::Full, Duration::MAX).unwrap();
        let level: i64 = guard
            .connection()
            .unwrap()
            .pragma_query_value(None, "synchronous", |row| row.get(0))
            .unwrap();
        assert_eq!(level, 2);
    }

    #[test]
    fn only_a_flush_does_not_wait_for_the_disk() {
        let (_dir, store) = store();
        for (durability, expected) in [
            (Durability::Full, 2),
            (Durability::Relaxed, 1),
            (Durability::Full, 2),
            (Durability::Relaxed, 1),
        ] {
            let guard = store.writer.begin(durability, Duration::MAX).unwrap();
            let level: i64 = guard
                .connection()
                .unwrap()
                .pragma_query_value(None, "synchronous", |row| row.get(0))
                .unwrap();
            assert_eq!(level, expected, "{durability:?}");
        }
    }

    #[test]
    fn readers_are_as_many_as_needed_and_only_some_stay_open() {
        let (_dir, store) = store();
        let lent: Vec<_> = (0..5).map(|_| store.readers.snapshot().unwrap()).collect();
        drop(lent);
        assert_eq!(store.readers.lock().len(), 2);
        assert!(
            store.readers.lock().iter().all(Connection::is_autocommit),
            "no snapshot stays open"
        );
    }

    #[test]
    fn a_reader_cannot_write() {
        let (_dir, store) = store();
        let reader = store.readers.borrow().unwrap();
        assert!(
            reader
                .connection()
                .unwrap()
                .execute("UPDATE meta SET clock_mark = 1", [])
                .is_err()
        );
    }
}
