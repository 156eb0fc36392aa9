//! Files for their owner only: keys, and what nobody else may put something in the place of.
//!
//! What is written is first written under another name beside it, made durable, and then renamed: it is there whole or
//! not at all. What is read is read into memory that is wiped, and only where nobody else could have read it, too.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use zeroize::Zeroizing;

use crate::key_text;

/// Why a file is not read, for callers that say what it is and what to do.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// It cannot be read.
    File(io::Error),
    /// Others may read it, or write to it. Its mode.
    Exposed(u32),
    /// It is not what was written.
    Damaged,
}

/// Reads a file of at most so many bytes. What is known of it is of the open file: the name may stand for another one a
/// moment later.
pub(crate) fn read(path: &Path, largest: u64) -> Result<(Zeroizing<Vec<u8>>, Metadata), Unreadable> {
    let mut file = File::open(path).map_err(Unreadable::File)?;
    let metadata = file.metadata().map_err(Unreadable::File)?;
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(Unreadable::Exposed(mode));
    }
    if !metadata.is_file() || metadata.len() > largest {
        return Err(Unreadable::Damaged);
    }
    // Of its size from the start: one that grows leaves copies behind.
    let mut text = Zeroizing::new(vec![0; usize::try_from(metadata.len()).unwrap_or_default()]);
    file.read_exact(&mut text).map_err(Unreadable::File)?;
    Ok((text, metadata))
}

/// Reads a file with nothing but what [`key_text::line`] made.
pub(crate) fn read_key(path: &Path, word: &str) -> Result<Zeroizing<[u8; 32]>, Unreadable> {
    let longest = word.len().saturating_add(key_text::DIGITS).saturating_add(1);
    let (text, _) = read(path, longest as u64)?;
    key_text::decode_line(word, &text).ok_or(Unreadable::Damaged)
}

/// What was read, or none where there is no such file.
pub(crate) fn if_there<T>(read: Result<T, Unreadable>) -> Result<Option<T>, Unreadable> {
    match read {
        Err(Unreadable::File(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// Writes a file in the place of one that may be there, where the caller has seen to it that nobody else does. It is on
/// disk when this returns; what a process leaves behind that is killed is replaced by the next.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<File> {
    let file = rename_to(path, &path.with_added_extension("new"), &[content])?;
    sync_directory(path)?;
    Ok(file)
}

/// Writes a file in the place of one that may be there, whoever else does so at the same time: the last one stays.
/// A power failure may undo it, until [`sync_directory`].
pub(crate) fn put(path: &Path, parts: &[&[u8]]) -> io::Result<File> {
    rename_to(path, &scratch(directory_of(path)), parts)
}

/// Writes a file where there is none. What goes wrong leaves none.
pub(crate) fn make(path: &Path, parts: &[&[u8]]) -> io::Result<File> {
    let mut file = create(path)?;
    let written = parts.iter().try_for_each(|part| file.write_all(part));
    match written.and_then(|()| file.sync_all()) {
        Ok(()) => Ok(file),
        Err(error) => {
            // Best effort: what is cut short is not read.
            let _ = fs::remove_file(path);
            Err(error)
        }
    }
}

/// A file that was not there.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(path)
}

/// Makes what was done to names beside this one durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(directory_of(path))?.sync_all()
}

/// A name in a directory that nothing else uses, unless a process had this one's number before and was killed.
pub(crate) fn scratch(directory: &Path) -> PathBuf {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    directory.join(format!(".{}-{number}.new", process::id()))
}

/// Opens a file that is there to be locked, and makes it where there is none.
pub(crate) fn lock_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
}

fn rename_to(path: &Path, temporary: &Path, parts: &[&[u8]]) -> io::Result<File> {
    // Left over from a process that was killed: nobody else has this name.
    let _ = fs::remove_file(temporary);
    let file = make(temporary, parts)?;
    match fs::rename(temporary, path) {
        Ok(()) => Ok(file),
        Err(error) => {
            // Best effort, as above.
            let _ = fs::remove_file(temporary);
            Err(error)
        }
    }
}

fn directory_of(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// What is in a directory.
    fn names(directory: &Path) -> Vec<String> {
        let names = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_written_is_for_the_owner_only_and_leaves_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        // Of a process that was killed, and open to others.
        let left = directory.path().join("key.new");
        fs::write(&left, "half of a key, and more than").unwrap();
        fs::set_permissions(&left, fs::Permissions::from_mode(0o644)).unwrap();
        replace(&path, b"first").unwrap();
        assert_eq!(&**read(&path, 5).unwrap().0, b"first");
        put(&path, &[b"sec", b"ond"]).unwrap();
        assert_eq!(&**read(&path, 6).unwrap().0, b"second");
        let taken = make(&path, &[b"third"]).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(names(directory.path()), ["key"]);
    }

    #[test]
    fn what_cannot_be_put_in_its_place_is_gone_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        fs::create_dir(&path).unwrap();
        replace(&path, b"secret").unwrap_err();
        put(&path, &[b"secret"]).unwrap_err();
        assert_eq!(names(directory.path()), ["key"]);
    }

    #[test]
    fn what_others_may_use_or_is_no_file_of_its_size_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        assert!(if_there(read(&path, 6)).unwrap().is_none());
        replace(&path, b"secret").unwrap();
        assert!(if_there(read(&path, 6)).unwrap().is_some());
        assert!(matches!(read(&path, 5), Err(Unreadable::Damaged)));
        for mode in [0o640, 0o602, 0o601, 0o4604] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(read(&path, 6), Err(Unreadable::Exposed(found)) if found == mode));
        }
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert!(matches!(
            read(directory.path(), u64::MAX),
            Err(Unreadable::Damaged)
        ));
    }
}
