//! The key of a journal: 32 random bytes in a file beside the segments, for the owner only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use zeroize::Zeroizing;

use super::error::KeyError;
use crate::key_text::{self, decode};

pub(super) const FILE: &str = "key";
pub(super) const NEW: &str = "key.new";

const BEGINNING: &str = "patrol-journal-key-1:";
/// Bytes of the file: the word above, 43 characters and the end of the line.
const LENGTH: usize = BEGINNING.len() + key_text::DIGITS + 1;

/// The key of a journal. It cannot be printed, and is wiped when dropped.
pub(super) struct Key(Zeroizing<[u8; 32]>);

impl Key {
    /// The key with these bytes.
    pub(super) const fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads a key from its file; none where there is no such file.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, KeyError> {
        let failed = |source| KeyError::File {
            path: path.to_owned(),
            source,
        };
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let metadata = file.metadata().map_err(failed)?;
        let mode = metadata.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed {
                path: path.to_owned(),
                mode,
            });
        }
        let damaged = || KeyError::Damaged {
            path: path.to_owned(),
        };
        if !metadata.is_file() || metadata.len() != LENGTH as u64 {
            return Err(damaged());
        }
        // Of its size from the start: one that grows leaves copies behind.
        let mut text = Zeroizing::new([0; LENGTH]);
        file.read_exact(&mut *text).map_err(failed)?;
        let key = std::str::from_utf8(&*text)
            .ok()
            .and_then(|text| text.strip_prefix(BEGINNING)?.strip_suffix('\n'))
            .and_then(decode)
            .ok_or_else(damaged)?;
        Ok(Some(Self(key)))
    }

    /// Reads the key of a journal, and makes one where there is none. Whoever calls has the journal's lock.
    pub(super) fn read_or_make(directory: &Path) -> Result<Self, KeyError> {
        let path = directory.join(FILE);
        if let Some(key) = Self::read(&path)? {
            return Ok(key);
        }
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes).map_err(KeyError::Randomness)?;
        let key = Self(bytes);
        key.write(directory)
            .map_err(|source| KeyError::File { path, source })?;
        Ok(key)
    }

    /// It is on disk, whole, before anything is sealed with it.
    fn write(&self, directory: &Path) -> io::Result<()> {
        let mut text = Zeroizing::new(String::with_capacity(LENGTH));
        text.push_str(BEGINNING);
        key_text::push_bytes(&mut text, &self.0);
        text.push('\n');
        let new = directory.join(NEW);
        // Left over from a process that ended before it was done.
        let _ = fs::remove_file(&new);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, directory.join(FILE))?;
        File::open(directory)?.sync_all()
    }
}
