//! What can go wrong, and what is merely worth telling.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why the journal's key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("cannot use the journal's key {path}: {source}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Others may read it.
    #[error("others may use the journal's key {path} (mode {mode:03o}): run `chmod go= {path}`, and remove the whole directory if somebody may have, a new journal is begun then", path = .path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// There is a journal, and no key to it.
    #[error("the journal's key {} is missing: put it back, nothing can be read without it", .0.display())]
    Missing(PathBuf),
    /// It is not what was written.
    #[error("the journal's key {path} is damaged: put it back from a backup, or remove it and a new one is made, with which old records cannot be read", path = .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The system gives no randomness.
    #[error("no randomness for a new journal key: {0}")]
    Randomness(getrandom::Error),
}

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Its key cannot.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Another process writes it.
    #[error("another process writes the decision journal in {}", .0.display())]
    InUse(PathBuf),
    /// There is none.
    #[error("there is no decision journal in {}: a server writes one where the configuration has `enabled = true` in `[journal]`", .0.display())]
    Missing(PathBuf),
    /// There are segments, and not one was sealed with the key that is there.
    #[error("nothing in {} was sealed with the key {}: put back the key that it was written with", .directory.display(), .key.display())]
    OtherKey {
        /// Where the segments are.
        directory: PathBuf,
        /// The key that was tried.
        key: PathBuf,
    },
    /// A file or directory of it cannot be read or written.
    #[error("cannot use the decision journal {}: {source}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The machine has no thread to give.
    #[error("no thread for the decision journal: {0}")]
    Thread(io::Error),
}

impl Error {
    pub(super) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File {
            path: path.to_owned(),
            source,
        }
    }
}

/// Something in a journal that could not be read, or does not belong there, with where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The file or directory.
    pub path: PathBuf,
    /// Where in the file, in bytes from its beginning.
    pub offset: Option<u64>,
    /// What is wrong.
    pub trouble: Trouble,
}

/// What is wrong with something in a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// So many bytes at the end are less than a block: a process was killed while it wrote, or writes just now.
    Torn(u64),
    /// A segment before the newest one was not closed: a process was killed, or it was cut short.
    Unclosed,
    /// A file that is none of the journal's. It is left alone.
    Foreign,
    /// The segment was deleted since the journal was opened, with so many records, because newer ones needed room.
    Removed(u64),
    /// So many bytes are not what was written.
    Damaged(u64),
    /// Blocks are missing: the first one, and how many.
    MissingBlocks(u32, u32),
    /// A whole block, authentic, where it does not belong: the one with this index.
    Misplaced(u32),
    /// Segments are missing: the first one, and how many.
    MissingSegments(u64, u64),
    /// A segment under another name than its own, which has this number.
    Misnamed(u64),
    /// The segment was sealed with another key, or its beginning is damaged.
    OtherKey,
    /// It is no segment, or one that another version of Patrol wrote.
    OtherFormat,
    /// It cannot be read.
    Unreadable(String),
}

impl Trouble {
    /// Whether this is as it may be with a journal in use, and nothing that was written whole is lost.
    #[must_use]
    pub const fn is_ordinary(&self) -> bool {
        matches!(
            self,
            Self::Torn(_) | Self::Unclosed | Self::Foreign | Self::Removed(_)
        )
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(offset) = self.offset {
            write!(f, " at byte {offset}")?;
        }
        write!(f, ": {}", self.trouble)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Torn(bytes) => write!(
                f,
                "the last {bytes} bytes are no whole block: it was killed while it wrote, or writes just now"
            ),
            Self::Unclosed => {
                f.write_str("it ends without being closed: its writer was killed, or it was cut short")
            }
            Self::Foreign => f.write_str("it is none of the journal's files, and is left alone"),
            Self::Removed(records) => write!(
                f,
                "it was deleted to make room while it was read, with {records} records"
            ),
            Self::Damaged(bytes) => write!(f, "{bytes} bytes are not what was written, and are passed over"),
            Self::MissingBlocks(first, 1) => write!(f, "block {first} is missing"),
            Self::MissingBlocks(first, count) => {
                write!(f, "{count} blocks from block {first} on are missing")
            }
            Self::Misplaced(index) => write!(f, "block {index} is not in its place, and is passed over"),
            Self::MissingSegments(first, 1) => write!(f, "segment {first} is missing"),
            Self::MissingSegments(first, count) => {
                write!(f, "{count} segments from segment {first} on are missing")
            }
            Self::Misnamed(number) => {
                write!(f, "it is segment {number} under another name, and is passed over")
            }
            Self::OtherKey => {
                f.write_str("it was sealed with another key, or its first 72 bytes are damaged")
            }
            Self::OtherFormat => {
                f.write_str("it does not begin as a segment, or another version of patrol wrote it")
            }
            Self::Unreadable(why) => write!(f, "it cannot be read: {why}"),
        }
    }
}
