//! Opening a data directory, and everything that can be wrong with one.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{self, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

use super::cache::{HotRows, Rows, Watch};
use super::connections::{Opener, Readers, Writer};
use super::uses::Uses;
use super::{SqliteStore, schema};
use crate::private_file;

/// The database's name in the data directory.
const FILE: &str = "patrol.db";

/// How many clients of the OAuth endpoints are kept in memory: more than anybody has resource servers.
const CLIENTS_CACHED: usize = 1_000;

/// How a data directory is opened.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Whether to make the directory and the database where they are missing.
    pub create: bool,
    /// Whether to check the integrity of what is there, which reads all of it.
    pub check: bool,
    /// How long to wait for other writers.
    pub busy_limit: Duration,
    /// How many reading connections stay open. More are opened, for a while, when they are needed.
    pub readers: usize,
    /// How many tokens, and how many sessions of either kind, are kept in memory.
    pub cached: usize,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            create: true,
            check: true,
            busy_limit: Duration::from_secs(5),
            readers: 16,
            cached: 100_000,
        }
    }
}

/// Why a data directory could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no database and none was to be made.
    #[error("no patrol data in {}: run `patrol serve` or `patrol tenant create` first", .0.display())]
    NoData(PathBuf),
    /// The directory is not there and could not be made.
    #[error("cannot make the data directory {}: {source}; make it, or choose another with --data", .path.display())]
    NoDirectory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The directory or the database cannot be written to.
    #[error("cannot write to {}: {reason}; give it to the user that patrol runs as", .path.display())]
    NotWritable {
        /// The directory or file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Other users of the machine could read the database or put another in its place.
    #[error("{} is open to other users (mode {mode:03o}): run `chmod {remedy} {}`", .path.display(), .path.display())]
    Exposed {
        /// The directory or file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What to give to chmod.
        remedy: &'static str,
    },
    /// A newer build has been at work here.
    #[error(
        "written by a newer version of patrol (schema {found}, this build knows {known}): upgrade patrol, or use \
         another --data directory"
    )]
    Newer {
        /// The schema that was found.
        found: i64,
        /// The newest that this build knows.
        known: i64,
    },
    /// The file is not an SQLite database.
    #[error("{} is not a database: restore it from a backup, or use another --data directory", .0.display())]
    NotADatabase(PathBuf),
    /// The file is a database of another program.
    #[error("the database was not made by patrol: use another --data directory")]
    Foreign,
    /// The database is damaged.
    #[error("the database is damaged: {}; restore it from a backup", .0.join("; "))]
    Damaged(Vec<String>),
    /// Another process held the lock for too long.
    #[error("the database is busy: another process has held its lock for too long; try again")]
    Busy,
    /// The database cannot work in this place, or anything else.
    #[error("cannot open the database: {0}")]
    Unavailable(String),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged(vec![error.to_string()]),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

/// One opening at a time in this process. Making the file opens and closes it, which would cost another connection
/// of this process, on the same file, its locks.
static OPENING: Mutex<()> = Mutex::new(());

pub(super) fn open(directory: &Path, options: &OpenOptions) -> Result<SqliteStore, OpenError> {
    let _one = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
    // Absolute, since SQLite takes a relative path that begins with "file:" for a URI.
    let directory = &path::absolute(directory).map_err(|source| OpenError::NoDirectory {
        path: directory.to_owned(),
        source,
    })?;
    let file = directory.join(FILE);
    prepare_files(directory, &file, options.create)?;

    let uses = Arc::new(Uses::default());
    let opener = Arc::new(Opener {
        file: file.clone(),
        busy_limit: options.busy_limit,
        uses: Arc::clone(&uses),
    });
    let named = |error| name_file(error, &file);
    let mut connection = opener.open().map_err(named)?;
    use_wal(&connection, options.busy_limit, &file)?;
    // Where it may not write, SQLite opens the file for reading and says nothing.
    if connection.is_readonly(rusqlite::MAIN_DB).map_err(named)? {
        return Err(OpenError::NotWritable {
            path: file.clone(),
            reason: "the file is read-only".to_owned(),
        });
    }
    schema::migrate(&mut connection)?;
    if options.check {
        let problems = problems(&connection, "quick_check")?;
        if !problems.is_empty() {
            return Err(OpenError::Damaged(problems));
        }
    }

    let anchor = opener.open().map_err(named)?;
    // A connection opens the WAL index with its first read.
    anchor.query_row("SELECT 1 FROM meta", [], |_| Ok(()))?;
    let watch = Watch::new(&directory.join(format!("{FILE}-shm")), anchor)
        .map_err(|error| OpenError::Unavailable(format!("the WAL index cannot be read: {error}")))?;
    let hot = HotRows {
        watch,
        tokens: Rows::new(options.cached),
        sessions: Rows::new(options.cached),
        accounts: Rows::new(options.cached),
        clients: Rows::new(CLIENTS_CACHED),
    };
    let readers = Arc::new(Readers::new(Arc::clone(&opener), options.readers));
    let writer = Arc::new(Writer::new(opener, connection));
    Ok(SqliteStore {
        uses,
        writer,
        readers,
        hot,
    })
}

/// Makes what is missing, for the owner only, and refuses what others can get at.
fn prepare_files(directory: &Path, file: &Path, create: bool) -> Result<(), OpenError> {
    let unusable = |error: io::Error| OpenError::NotWritable {
        path: directory.to_owned(),
        reason: error.to_string(),
    };
    if !create && !file.try_exists().map_err(unusable)? {
        return Err(OpenError::NoData(directory.to_owned()));
    }
    if !directory.is_dir() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|source| OpenError::NoDirectory {
                path: directory.to_owned(),
                source,
            })?;
    }
    // Whoever can write to the directory can replace the database.
    refuse_exposed(directory, 0o022, "go-w")?;
    // Made before SQLite sees it, for SQLite would make it with the permissions of the umask and give the log and
    // its index the same.
    match private_file::create(file) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => refuse_exposed(file, 0o077, "go="),
        Err(error) => Err(unusable(error)),
    }
}

fn refuse_exposed(path: &Path, forbidden: u32, remedy: &'static str) -> Result<(), OpenError> {
    let found = fs::metadata(path).map_err(|error| OpenError::NotWritable {
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    let mode = found.permissions().mode() & 0o7777;
    if mode & forbidden == 0 {
        Ok(())
    } else {
        Err(OpenError::Exposed {
            path: path.to_owned(),
            mode,
            remedy,
        })
    }
}

/// Turns on the write-ahead log. SQLite does not wait for others here, so it is done by hand.
fn use_wal(connection: &Connection, limit: Duration, file: &Path) -> Result<(), OpenError> {
    let begun = Instant::now();
    loop {
        match connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0)) {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(_) => {
                return Err(OpenError::Unavailable(
                    "its file system has no shared memory, which the write-ahead log needs".to_owned(),
                ));
            }
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && begun.elapsed() < limit =>
            {
                thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(name_file(error, file)),
        }
    }
}

/// Adds the file to those errors that are about it.
fn name_file(error: rusqlite::Error, file: &Path) -> OpenError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::NotADatabase(file.to_owned()),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            OpenError::NotWritable {
                path: file.to_owned(),
                reason: error.to_string(),
            }
        }
        _ => error.into(),
    }
}

/// What an integrity check has to say, apart from "ok".
pub(super) fn problems(connection: &Connection, pragma: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(&format!("PRAGMA {pragma}"))?;
    let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
    lines
        .filter(|line| line.as_ref().map_or(true, |text| text != "ok"))
        .collect()
}
