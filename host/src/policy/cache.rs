//! Compiled code on disk, so that a start costs a read instead of a compilation.
//!
//! Compiled code is native code: whoever can write it can do all that this process can. The cache is therefore only
//! used in a directory, and from a file, that belong to this process's own user and that nobody else may write to;
//! anything else is a miss, and the release is compiled. Inside the file a SHA-256 of its name and the code is checked
//! first, which catches a file that was cut short, damaged, or put in another one's place. It is no signature: it does not stop somebody who can already write
//! as this user, who has no need of the cache.
//!
//! A file is named after the SHA-256 of the component and of everything that wasmtime says its code depends on (its
//! version, the settings, the processor's features), so an upgrade of either is a miss, too.

use std::fs::{self, DirBuilder, File};
use std::hash::{Hash, Hasher};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::limits::ARTIFACT_BYTES;
use crate::private_file;

const MAGIC: &[u8; 16] = b"patrol-code-v2\r\n";

/// Why nothing came from the cache, or went into it. Never fatal.
#[derive(Debug, thiserror::Error)]
pub(super) enum Miss {
    #[error("not there yet")]
    Absent,
    #[error("{}: {}", .0.display(), .1)]
    Io(PathBuf, #[source] io::Error),
    #[error("{} is writable for others: `chmod go-w` it", .0.display())]
    Writable(PathBuf),
    #[error("{} belongs to another user", .0.display())]
    Foreign(PathBuf),
    #[error("{} is damaged: {}", .0.display(), .1)]
    Damaged(PathBuf, String),
}

/// A directory that passed the checks.
pub(super) struct Cache {
    directory: PathBuf,
    owner: u32,
}

impl Cache {
    /// Opens the directory, and makes it, for its owner only, where it is not there.
    pub(super) fn open(directory: &Path) -> Result<Self, Miss> {
        let failed = |e| Miss::Io(directory.to_owned(), e);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(failed)?;
        let metadata = fs::metadata(directory).map_err(failed)?;
        let owner = own_user(directory).map_err(failed)?;
        check(directory, &metadata, owner)?;
        Ok(Self {
            directory: directory.to_owned(),
            owner,
        })
    }

    /// The compiled code of a component, if it is there and in order.
    pub(super) fn load(&self, engine: &Engine, digest: &[u8; 32]) -> Result<Component, Miss> {
        let path = self.path(engine, digest);
        let failed = |e: io::Error| match e.kind() {
            io::ErrorKind::NotFound => Miss::Absent,
            _ => Miss::Io(path.clone(), e),
        };
        let file = File::open(&path).map_err(failed)?;
        // Of the open file: the name may point elsewhere a moment later.
        check(&path, &file.metadata().map_err(failed)?, self.owner)?;
        let mut content = Vec::new();
        file.take(ARTIFACT_BYTES)
            .read_to_end(&mut content)
            .map_err(failed)?;

        let damaged = |what: &str| Miss::Damaged(path.clone(), what.to_owned());
        let rest = content
            .strip_prefix(MAGIC)
            .ok_or_else(|| damaged("not a cache file of this version"))?;
        let (checksum, code) = rest
            .split_first_chunk::<32>()
            .ok_or_else(|| damaged("cut short"))?;
        if *checksum != checksum_of(&path, code) {
            return Err(damaged("its checksum differs"));
        }
        // SAFETY: `deserialize` asks that the bytes come from `Component::serialize` of this wasmtime, unmodified;
        // it tests version and settings itself, not the code. That nobody else made them is what the checks above
        // are for: the file is read from a directory and an open file that belong to this process's user and that
        // no other user may write to, and its checksum shows that it is as it was written. Only `store` writes
        // there, and only what `Component::serialize` returned. A process of the same user could forge a file, but
        // such a process can do to this one whatever the forged code could.
        #[allow(unsafe_code, reason = "the only way to load compiled code; argued above")]
        let component = unsafe { Component::deserialize(engine, code) };
        component.map_err(|e| damaged(&format!("{e:#}")))
    }

    /// Keeps the compiled code of a component. Readers see all of it or nothing.
    pub(super) fn store(
        &self,
        engine: &Engine,
        digest: &[u8; 32],
        component: &Component,
    ) -> Result<(), Miss> {
        let path = self.path(engine, digest);
        let code = component
            .serialize()
            .map_err(|e| Miss::Io(path.clone(), io::Error::other(e.to_string())))?;
        match private_file::put(&path, &[MAGIC, &checksum_of(&path, &code), &code]) {
            Ok(_) => Ok(()),
            Err(error) => Err(Miss::Io(path, error)),
        }
    }

    fn path(&self, engine: &Engine, digest: &[u8; 32]) -> PathBuf {
        let mut hasher = Sha256Hasher(Sha256::new());
        digest.hash(&mut hasher);
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let name: String = hasher
            .0
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        self.directory.join(format!("{name}.code"))
    }
}

/// Of what stands in a file, under the name that it has.
fn checksum_of(path: &Path, code: &[u8]) -> [u8; 32] {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    // Names are all of one length, so that no name and code can be taken for others.
    Sha256::new()
        .chain_update(name)
        .chain_update(code)
        .finalize()
        .into()
}

/// The user that this process creates files as. Asked of the file system itself, which on a network may map users.
fn own_user(directory: &Path) -> io::Result<u32> {
    let path = private_file::scratch(directory);
    // Left over from a process that had this number before and was killed.
    let _ = fs::remove_file(&path);
    let file = private_file::create(&path);
    let user = file
        .and_then(|file| file.metadata())
        .map(|metadata| metadata.uid());
    // Best effort: a file of this name is never read.
    let _ = fs::remove_file(path);
    user
}

fn check(path: &Path, metadata: &fs::Metadata, owner: u32) -> Result<(), Miss> {
    if metadata.uid() != owner {
        return Err(Miss::Foreign(path.to_owned()));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(Miss::Writable(path.to_owned()));
    }
    Ok(())
}

/// Feeds what wasmtime hashes to SHA-256: 64 bits are too few for a name that decides which code runs.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        // The name is taken from the whole digest; nothing asks for this one.
        0
    }
}
