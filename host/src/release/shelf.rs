//! Where the releases of a data directory are kept: a file each, called by its digest, for the owner only.
//!
//! A file is written under another name, made durable, and then renamed: it is there whole or not at all. What is read
//! is taken for what it is called only if it still has that digest.

use std::fs::{DirBuilder, File};
use std::io::{self, Read as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::{LARGEST, Release, Step, Unfit, hex};
use crate::private_file;

/// The releases of a data directory.
pub struct Shelf {
    directory: PathBuf,
}

impl Shelf {
    /// That of a data directory.
    #[must_use]
    pub fn of(data: &Path) -> Self {
        Self {
            directory: data.join("releases"),
        }
    }

    /// Where they are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Makes the directory, if it is not there.
    ///
    /// # Errors
    /// Where that cannot be.
    pub fn make(&self) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)
    }

    /// A name in the directory that nothing else uses, and that no release has.
    #[must_use]
    pub fn scratch(&self) -> PathBuf {
        private_file::scratch(&self.directory)
    }

    /// Keeps a release; it is on disk when this returns.
    ///
    /// # Errors
    /// Where that cannot be.
    pub fn keep(&self, release: &Release) -> io::Result<()> {
        self.make()?;
        let path = self.path(&release.digest());
        private_file::put(&path, &[&release.to_bytes()])?;
        private_file::sync_directory(&path)
    }

    /// The release with this digest.
    ///
    /// # Errors
    /// Where its file is not there, or is not what was kept.
    pub fn load(&self, digest: &[u8; 32]) -> Result<Release, Unfit> {
        let path = self.path(digest);
        let lost = |why: &dyn std::fmt::Display| {
            let why = format!(
                "its stored file {} {why}: stage the release again",
                path.display()
            );
            Unfit::at(Step::Digest, why)
        };
        let mut bytes = Vec::new();
        let limit = u64::try_from(LARGEST).unwrap_or(u64::MAX).saturating_add(1);
        File::open(&path)
            .and_then(|file| file.take(limit).read_to_end(&mut bytes))
            .map_err(|error| lost(&format_args!("cannot be read ({error})")))?;
        if <[u8; 32]>::from(Sha256::digest(&bytes)) != *digest {
            return Err(lost(&"was altered"));
        }
        Release::parse(&bytes)
    }

    fn path(&self, digest: &[u8; 32]) -> PathBuf {
        self.directory.join(format!("{}.patrol", hex(digest)))
    }
}
