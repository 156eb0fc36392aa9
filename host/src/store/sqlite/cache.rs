//! Rows in memory that are never stale, whichever process writes, without polling or messages.
//!
//! # The stamp
//!
//! In WAL mode the processes that share a database also share its *WAL index*, the `-shm` file, which each of them
//! maps into memory. Its first 48 bytes are a header: a change counter, the number of the last valid frame, a
//! checksum over all frames up to it, the salts of the log, and a checksum over the header itself. Every commit, by
//! any connection of any process, rewrites the header *before* the commit returns to whoever asked for it; that is
//! how other connections get to see the commit. A second copy, in the next 48 bytes, is written first. Resetting the
//! log after a checkpoint rewrites the header too, with new salts. A rollback, or pages that spill into the log
//! before a commit, leave it as it is.
//!
//! So a [`Stamp`], a copy of those 48 bytes, names a state of the database: as long as the header reads the same,
//! nothing was committed. The other way round is not promised, and a header that changed for nothing costs a miss.
//!
//! # The rule
//!
//! Read the header, *then* the row; keep both. A kept row is good while the header reads as it did.
//!
//! * Somebody revokes a token and is told so; a request that starts after that reads the header, which the commit
//!   has rewritten by then, and does not find its kept row good.
//! * A commit between reading the header and reading the row makes the row newer than its stamp says. It is
//!   never used again, for the header has moved on.
//! * A header read while it is being rewritten may be half old, half new. It equals neither, so a row under it is
//!   never used again. Equal to the old one it can only be while nothing of the new one was there, which is before
//!   the commit returned.
//! * An older header does not come back: the counter counts, and the checksums and salts change with the content.
//!   Where a crash makes SQLite rebuild the header from the log, the counter starts again, but frame number, salts
//!   and checksum then say that the content is the same.
//! * Where the header does not look as SQLite writes it, nothing is kept and nothing is found.
//!
//! One `pread` of 48 bytes costs some 0.2 µs; the page cache that it reads is what the other processes have mapped.
//!
//! # The file descriptor
//!
//! A process that closes *any* descriptor of a file loses all its POSIX locks on it, those that SQLite took through
//! its own descriptors included; and without its locks the database would be corrupted. Hence:
//!
//! * The descriptors live in a register of the process, one for each file, and every store on the same file uses the
//!   same one.
//! * One is closed only once its file has been unlinked. SQLite does that when the last connection of all
//!   processes closes, so there are no locks left to lose.
//! * Each store keeps one connection open for as long as it lives, so that the file under the descriptor stays the
//!   one in use.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use patrol_policy::types::Id;
use quick_cache::sync::Cache;
use rusqlite::Connection;

use crate::store::{AccountRow, ClientRow, SessionRow, TokenRow};

/// `WALINDEX_MAX_VERSION` of SQLite; it has not changed since WAL was introduced.
const WAL_INDEX_VERSION: u32 = 3_007_000;

/// A copy of the WAL index's header: a state of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp([u8; 48]);

impl Stamp {
    /// The stamp in these bytes, if they look as SQLite writes them.
    fn parse(bytes: [u8; 48]) -> Option<Self> {
        let [a, b, c, d, ..] = bytes;
        let initialised = bytes.get(12) == Some(&1);
        (u32::from_ne_bytes([a, b, c, d]) == WAL_INDEX_VERSION && initialised).then_some(Self(bytes))
    }
}

/// The descriptors of all WAL indexes that this process reads.
static REGISTER: Mutex<Vec<Arc<File>>> = Mutex::new(Vec::new());

/// The descriptor of a WAL index. See the module's documentation for why none is ever simply opened or closed.
fn wal_index(path: &Path) -> io::Result<Arc<File>> {
    let wanted = std::fs::metadata(path)?;
    let mut register = REGISTER.lock().unwrap_or_else(PoisonError::into_inner);
    // One whose links cannot be counted is kept: a descriptor too many does no harm.
    register.retain(|file| file.metadata().map_or(true, |found| found.nlink() > 0));
    for file in register.iter() {
        let found = file.metadata()?;
        if (found.dev(), found.ino()) == (wanted.dev(), wanted.ino()) {
            return Ok(Arc::clone(file));
        }
    }
    let file = Arc::new(File::open(path)?);
    register.push(Arc::clone(&file));
    Ok(file)
}

/// Tells whether anything was committed since.
#[derive(Debug)]
pub(super) struct Watch {
    index: Arc<File>,
    /// Keeps the WAL index in use; see the module's documentation. Never used otherwise.
    _anchor: Mutex<Connection>,
}

impl Watch {
    /// Watches the WAL index at `path`, which `anchor` has open.
    pub(super) fn new(path: &Path, anchor: Connection) -> io::Result<Self> {
        Ok(Self {
            index: wal_index(path)?,
            _anchor: Mutex::new(anchor),
        })
    }

    /// The present state; `None` where it cannot be told.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        let mut bytes = [0; 48];
        self.index.read_exact_at(&mut bytes, 0).ok()?;
        Stamp::parse(bytes)
    }
}

/// Rows by identifier, each with the stamp read before it.
#[derive(Debug)]
pub(super) struct Rows<T> {
    kept: Cache<Id, (Stamp, Arc<T>)>,
}

impl<T> Rows<T> {
    /// Keeps at most `capacity` rows.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            kept: Cache::new(capacity),
        }
    }

    /// The row, from memory if it is as the database has it. Missing rows are not kept: what does not exist can be
    /// asked for without end.
    pub(super) fn get_or_read<E>(
        &self,
        watch: &Watch,
        id: Id,
        read: impl FnOnce() -> Result<Option<T>, E>,
    ) -> Result<Option<Arc<T>>, E> {
        let now = watch.stamp();
        if let (Some(now), Some((stamp, row))) = (now, self.kept.get(&id))
            && stamp == now
        {
            return Ok(Some(row));
        }
        let Some(row) = read()?.map(Arc::new) else {
            return Ok(None);
        };
        if let Some(stamp) = now {
            self.kept.insert(id, (stamp, Arc::clone(&row)));
        }
        Ok(Some(row))
    }
}

/// The rows of the hot path.
#[derive(Debug)]
pub(super) struct HotRows {
    pub(super) watch: Watch,
    pub(super) tokens: Rows<TokenRow>,
    pub(super) sessions: Rows<SessionRow>,
    pub(super) accounts: Rows<AccountRow>,
    pub(super) clients: Rows<ClientRow>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;

    const ID: Id = Id { hi: 1, lo: 2 };

    /// A header as SQLite writes it, but for the content.
    fn header(content: u8) -> [u8; 48] {
        let mut bytes = [content; 48];
        bytes[..4].copy_from_slice(&WAL_INDEX_VERSION.to_ne_bytes());
        bytes[12] = 1;
        bytes
    }

    /// A file in the WAL index's place, which the test writes.
    fn watch() -> (File, Watch) {
        let file = tempfile::tempfile().unwrap();
        let watch = Watch {
            index: Arc::new(file.try_clone().unwrap()),
            _anchor: Mutex::new(Connection::open_in_memory().unwrap()),
        };
        (file, watch)
    }

    fn read(rows: &Rows<u32>, watch: &Watch, stored: u32) -> u32 {
        *rows
            .get_or_read(watch, ID, || Ok::<_, ()>(Some(stored)))
            .unwrap()
            .unwrap()
    }

    #[test]
    fn a_row_is_good_while_the_header_reads_as_it_did() {
        let (file, watch) = watch();
        let rows = Rows::new(10);
        file.write_all_at(&header(1), 0).unwrap();
        assert_eq!(read(&rows, &watch, 1), 1);
        assert_eq!(read(&rows, &watch, 2), 1, "from memory");
        file.write_all_at(&header(2), 0).unwrap();
        assert_eq!(read(&rows, &watch, 3), 3, "read anew");
    }

    #[test]
    fn a_row_read_while_somebody_commits_is_not_used_again() {
        let (file, watch) = watch();
        let rows = Rows::new(10);
        file.write_all_at(&header(1), 0).unwrap();
        // The old row, read just before the commit that the next reader must see.
        rows.get_or_read(&watch, ID, || {
            file.write_all_at(&header(2), 0).unwrap();
            Ok::<_, ()>(Some(1))
        })
        .unwrap();
        assert_eq!(read(&rows, &watch, 2), 2);
    }

    #[test]
    fn a_row_under_a_half_written_header_is_not_used_again() {
        let (file, watch) = watch();
        let rows = Rows::new(10);
        let mut half = header(1);
        half[24..].copy_from_slice(&header(2)[24..]);
        file.write_all_at(&half, 0).unwrap();
        assert_eq!(read(&rows, &watch, 1), 1);
        file.write_all_at(&header(2), 0).unwrap();
        assert_eq!(read(&rows, &watch, 2), 2);
    }

    #[test]
    fn nothing_is_kept_under_a_header_that_sqlite_did_not_write() {
        let (mut version, mut initialised) = (header(1), header(1));
        version[0] ^= 1;
        initialised[12] = 0;
        for bytes in [&version[..], &initialised, &header(1)[..47], &[]] {
            let (file, watch) = watch();
            let rows = Rows::new(10);
            file.write_all_at(bytes, 0).unwrap();
            assert_eq!(read(&rows, &watch, 1), 1);
            assert_eq!(read(&rows, &watch, 2), 2, "{bytes:?}");
        }
    }

    #[test]
    fn what_is_missing_is_asked_for_again() {
        let (file, watch) = watch();
        file.write_all_at(&header(1), 0).unwrap();
        let rows = Rows::new(10);
        assert_eq!(rows.get_or_read(&watch, ID, || Ok::<_, ()>(None)), Ok(None));
        assert_eq!(read(&rows, &watch, 1), 1);
    }

    #[test]
    fn no_more_rows_are_kept_than_asked_for() {
        let (file, watch) = watch();
        file.write_all_at(&header(1), 0).unwrap();
        let rows = Rows::new(100);
        for lo in 0..1_000 {
            rows.get_or_read(&watch, Id { hi: 0, lo }, || Ok::<_, ()>(Some(0)))
                .unwrap();
        }
        assert!(rows.kept.len() <= 100, "{}", rows.kept.len());
    }
}
