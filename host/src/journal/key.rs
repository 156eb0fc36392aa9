//! The key of a journal: 32 random bytes in a file beside the segments, for the owner only.

use std::path::Path;

use zeroize::Zeroizing;

use super::error::KeyError;
use crate::key_text;
use crate::private_file::{self, Unreadable};

pub(super) const FILE: &str = "key";
pub(super) const NEW: &str = "key.new";

const BEGINNING: &str = "patrol-journal-key-1:";

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
        let found = private_file::if_there(private_file::read_key(path, BEGINNING)).map_err(|why| {
            let path = path.to_owned();
            match why {
                Unreadable::File(source) => KeyError::File { path, source },
                Unreadable::Exposed(mode) => KeyError::Exposed { path, mode },
                Unreadable::Damaged => KeyError::Damaged { path },
            }
        })?;
        Ok(found.map(Self))
    }

    /// Reads the key of a journal, and makes one where there is none. Whoever calls has the journal's lock.
    pub(super) fn read_or_make(directory: &Path) -> Result<Self, KeyError> {
        let path = directory.join(FILE);
        if let Some(key) = Self::read(&path)? {
            return Ok(key);
        }
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes).map_err(KeyError::Randomness)?;
        // It is on disk, whole, before anything is sealed with it.
        match private_file::replace(&path, key_text::line(BEGINNING, &bytes).as_bytes()) {
            Ok(_) => Ok(Self(bytes)),
            Err(source) => Err(KeyError::File { path, source }),
        }
    }
}
