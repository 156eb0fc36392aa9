//! The journal's directory: what its files are called, and who may write them.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::error::Error;
use super::key;
use crate::private_file;

const LOCK: &str = "lock";
const EXTENSION: &str = ".journal";

/// What is in the directory of a journal.
#[derive(Default)]
pub(super) struct Listing {
    /// The segments by their numbers, oldest first.
    pub(super) segments: Vec<(u64, PathBuf)>,
    /// What is none of the journal's.
    pub(super) foreign: Vec<PathBuf>,
}

/// Looks what is there.
pub(super) fn list(directory: &Path) -> io::Result<Listing> {
    let mut found = Listing::default();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        // Not through links: what is elsewhere is not the journal's to read, or to delete.
        let file = entry.file_type().is_ok_and(|kind| kind.is_file());
        match name.to_str() {
            Some(key::FILE | key::NEW | LOCK) if file => {}
            Some(name) if file && number(name).is_some() => {
                found.segments.extend(number(name).map(|number| (number, path)));
            }
            _ => found.foreign.push(path),
        }
    }
    found.segments.sort_unstable();
    found.foreign.sort_unstable();
    Ok(found)
}

/// The file of a segment.
pub(super) fn segment(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:010}{EXTENSION}"))
}

fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(EXTENSION)?;
    let number = digits.parse().ok()?;
    // One number has one name.
    (format!("{number:010}") == digits).then_some(number)
}

/// Makes the directory, if it is not there.
pub(super) fn make(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// The right to write here: one process at a time. Held until dropped.
pub(super) fn lock(directory: &Path) -> Result<File, Error> {
    let path = directory.join(LOCK);
    let file = private_file::lock_file(&path).map_err(Error::file(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse(directory.to_owned())),
        Err(TryLockError::Error(source)) => Err(Error::File { path, source }),
    }
}
