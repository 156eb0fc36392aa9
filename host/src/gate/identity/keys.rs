//! The key that signs identities: where it is kept, and how it is replaced.
//!
//! One file in the data directory, owner-only, replaced as a whole. What it holds beside the key in force is the public
//! halves of those before it, for as long as what they signed may hold: whoever verifies a signature made a moment
//! before a rotation still finds its key.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use ed25519_dalek::{Signer as _, SigningKey};
use patrol_policy::types::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::key_text::{self, decode};
use crate::private_file::{self, Unreadable};

const FILE: &str = "identity.key";
const LOCK: &str = "identity.lock";
/// A file larger than that was not written here.
const LARGEST: u64 = 64 * 1_024;
/// Rotations that are remembered at most; one more at the same time forgets the oldest.
const PREVIOUS: usize = 16;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("cannot use the identity key {path}: {source}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Others may read it.
    #[error("others may use the identity key {path} (mode {mode:03o}): run `chmod go= {path}`, and then `patrol identity rotate --forget` if somebody may have", path = .path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is not what was written.
    #[error("the identity key {path} is damaged: put it back from a backup, or remove it and a new one is made", path = .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The system gives no randomness.
    #[error("no randomness for a new identity key: {0}")]
    Randomness(getrandom::Error),
}

/// A public key, as it is published (RFC 7517, RFC 8037).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Jwk {
    kty: &'static str,
    crv: &'static str,
    #[serde(rename = "use")]
    usage: &'static str,
    alg: &'static str,
    /// Its name: the thumbprint of the key (RFC 7638).
    pub kid: String,
    x: String,
}

impl Jwk {
    fn new(public: &[u8; 32]) -> Self {
        let x = BASE64URL.encode(public);
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        Self {
            kty: "OKP",
            crv: "Ed25519",
            usage: "sig",
            alg: "EdDSA",
            kid: BASE64URL.encode(Sha256::digest(canonical)),
            x,
        }
    }
}

/// A public key that was replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previous {
    /// The key.
    pub key: Jwk,
    /// Until when it is published, ms since the epoch.
    pub until: Timestamp,
}

/// The keys of a data directory.
pub struct Keys {
    signing: SigningKey,
    /// The public half of the key in force.
    pub current: Jwk,
    /// When it was made, ms since the epoch.
    pub made: Timestamp,
    /// Those before it.
    pub previous: Vec<Previous>,
    /// The first part of what is signed with it, encoded.
    header: String,
}

/// What tells one state of the file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    mode: u32,
}

impl Mark {
    /// The state that the file is in; none where it is not there or cannot be looked at.
    pub(super) fn of(data: &Path) -> Option<Self> {
        fs::metadata(data.join(FILE))
            .ok()
            .map(|metadata| Self::from(&metadata))
    }
}

impl From<&fs::Metadata> for Mark {
    fn from(metadata: &fs::Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            mode: metadata.mode(),
        }
    }
}

/// The file, as it is read: the key itself is borrowed, so that no copy of it stays behind.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored<'a> {
    version: u8,
    #[serde(borrow)]
    seed: &'a str,
    made: Timestamp,
    previous: Vec<StoredPrevious>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredPrevious {
    x: String,
    until: Timestamp,
}

impl Keys {
    /// Reads the keys of a data directory; none where none were made.
    ///
    /// # Errors
    /// [`KeyError`] says what to do.
    pub fn load(data: &Path) -> Result<Option<Self>, KeyError> {
        Ok(Self::load_marked(data)?.map(|(keys, _)| keys))
    }

    pub(super) fn load_marked(data: &Path) -> Result<Option<(Self, Mark)>, KeyError> {
        let path = data.join(FILE);
        let (text, metadata) = match private_file::if_there(private_file::read(&path, LARGEST)) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(Unreadable::File(source)) => return Err(KeyError::File { path, source }),
            Err(Unreadable::Exposed(mode)) => return Err(KeyError::Exposed { path, mode }),
            Err(Unreadable::Damaged) => return Err(KeyError::Damaged { path }),
        };
        let damaged = || KeyError::Damaged { path: path.clone() };
        let stored: Stored<'_> = serde_json::from_slice(&text).map_err(|_| damaged())?;
        let seed = decode(stored.seed)
            .filter(|_| stored.version == 1)
            .ok_or_else(damaged)?;
        let mut previous = Vec::with_capacity(stored.previous.len());
        for StoredPrevious { x, until } in &stored.previous {
            let key = Jwk::new(&*decode(x).ok_or_else(damaged)?);
            previous.push(Previous { key, until: *until });
        }
        Ok(Some((
            Self::new(&seed, stored.made, previous),
            Mark::from(&metadata),
        )))
    }

    /// Reads the keys, and makes one where there is none.
    pub(super) fn load_or_make(data: &Path, now: Timestamp) -> Result<(Self, Mark), KeyError> {
        if let Some(found) = Self::load_marked(data)? {
            return Ok(found);
        }
        let _lock = lock(data)?;
        // Another process may have been faster.
        if let Some(found) = Self::load_marked(data)? {
            return Ok(found);
        }
        Self::make(now, Vec::new())?.store(data)
    }

    /// Puts a new key in force, and says which one was before. That one stays published until `until`; or, where it
    /// is to be forgotten because somebody else may have it, no longer, and nor do those before it.
    ///
    /// # Errors
    /// [`KeyError`] says what to do; the key in force stays so.
    pub fn rotate(
        data: &Path,
        now: Timestamp,
        until: Option<Timestamp>,
    ) -> Result<(Self, Option<Jwk>), KeyError> {
        let _lock = lock(data)?;
        let before = Self::load(data)?;
        let mut previous = Vec::new();
        let mut replaced = None;
        if let Some(before) = before {
            replaced = Some(before.current.clone());
            if let Some(until) = until {
                let key = before.current.clone();
                previous.push(Previous { key, until });
                previous.extend(before.previous.into_iter().filter(|old| now < old.until));
                previous.truncate(PREVIOUS);
            }
        }
        let (keys, _) = Self::make(now, previous)?.store(data)?;
        Ok((keys, replaced))
    }

    /// The public keys by which signatures that may still hold are verified.
    #[must_use]
    pub fn published(&self, now: Timestamp) -> Vec<&Jwk> {
        let previous = self.previous.iter().filter(|old| now < old.until);
        std::iter::once(&self.current)
            .chain(previous.map(|old| &old.key))
            .collect()
    }

    /// Signs claims: a JWS in compact form (RFC 7515).
    pub(super) fn sign(&self, claims: &[u8]) -> String {
        // Of its final size: header, two dots, claims, 64 bytes of signature.
        let length = claims
            .len()
            .saturating_mul(4)
            .div_ceil(3)
            .saturating_add(self.header.len())
            .saturating_add(90);
        let mut token = String::with_capacity(length);
        token.push_str(&self.header);
        token.push('.');
        BASE64URL.encode_string(claims, &mut token);
        let signature = self.signing.sign(token.as_bytes());
        token.push('.');
        BASE64URL.encode_string(signature.to_bytes(), &mut token);
        token
    }

    fn new(seed: &[u8; 32], made: Timestamp, previous: Vec<Previous>) -> Self {
        let signing = SigningKey::from_bytes(seed);
        let current = Jwk::new(signing.verifying_key().as_bytes());
        let header = format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{}"}}"#, current.kid);
        Self {
            header: BASE64URL.encode(header),
            signing,
            current,
            made,
            previous,
        }
    }

    fn make(now: Timestamp, previous: Vec<Previous>) -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(KeyError::Randomness)?;
        Ok(Self::new(&seed, now, previous))
    }

    fn store(self, data: &Path) -> Result<(Self, Mark), KeyError> {
        let previous: Vec<_> = self
            .previous
            .iter()
            .map(|old| StoredPrevious {
                x: old.key.x.clone(),
                until: old.until,
            })
            .collect();
        let previous = serde_json::to_string(&previous).unwrap_or_else(|_| "[]".to_owned());
        let before = "{\"version\":1,\"seed\":\"";
        let after = format!("\",\"made\":{},\"previous\":{previous}}}\n", self.made);
        let length = before
            .len()
            .saturating_add(key_text::DIGITS)
            .saturating_add(after.len());
        let mut text = Zeroizing::new(String::with_capacity(length));
        text.push_str(before);
        key_text::push(&mut text, self.signing.as_bytes());
        text.push_str(&after);
        let path = data.join(FILE);
        let written = private_file::replace(&path, text.as_bytes()).and_then(|file| file.metadata());
        match written {
            Ok(metadata) => Ok((self, Mark::from(&metadata))),
            Err(source) => Err(KeyError::File { path, source }),
        }
    }
}

/// Held by whoever replaces the file.
fn lock(data: &Path) -> Result<File, KeyError> {
    let path = data.join(LOCK);
    let locked = private_file::lock_file(&path).and_then(|file| {
        file.lock()?;
        Ok(file)
    });
    locked.map_err(|source| KeyError::File { path, source })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    /// RFC 8037, appendix A.
    const SEED: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";

    #[test]
    fn signatures_and_names_are_those_of_rfc_8037() {
        let mut keys = Keys::new(&decode(SEED).unwrap(), 0, Vec::new());
        assert_eq!(keys.current.x, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert_eq!(keys.current.kid, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        // The example's header names the algorithm only.
        keys.header = BASE64URL.encode(r#"{"alg":"EdDSA"}"#);
        assert_eq!(
            keys.sign(b"Example of Ed25519 signing"),
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6\
             dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
        );
    }

    #[test]
    fn a_key_is_made_once_and_found_again() {
        let data = tempfile::tempdir().unwrap();
        assert!(Keys::load(data.path()).unwrap().is_none());
        let (made, mark) = Keys::load_or_make(data.path(), 7).unwrap();
        let (found, same) = Keys::load_or_make(data.path(), 8).unwrap();
        assert_eq!((&found.current, found.made, same), (&made.current, 7, mark));
        assert_eq!(found.sign(b"{}"), made.sign(b"{}"));
        let mode = fs::metadata(data.path().join(FILE)).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }

    #[test]
    fn a_key_that_was_replaced_is_published_while_its_signatures_hold() {
        let data = tempfile::tempdir().unwrap();
        let (first, _) = Keys::load_or_make(data.path(), 0).unwrap();
        let (second, replaced) = Keys::rotate(data.path(), 10, Some(70)).unwrap();
        assert_eq!(replaced.as_ref(), Some(&first.current));
        assert_eq!(second.published(69), [&second.current, &first.current]);
        assert_eq!(second.published(70), [&second.current]);

        let (third, _) = Keys::rotate(data.path(), 60, Some(120)).unwrap();
        let third_again = Keys::load(data.path()).unwrap().unwrap();
        assert_eq!(
            third_again.published(60),
            [&third.current, &second.current, &first.current]
        );
        let (fourth, _) = Keys::rotate(data.path(), 80, Some(140)).unwrap();
        assert_eq!(fourth.previous.len(), 2, "the first is over");
        let (fifth, replaced) = Keys::rotate(data.path(), 81, None).unwrap();
        assert_eq!(replaced, Some(fourth.current));
        assert_eq!(fifth.published(81), [&fifth.current]);
    }

    #[test]
    fn a_key_that_others_may_have_or_that_is_damaged_is_not_used() {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join(FILE);
        Keys::load_or_make(data.path(), 0).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            Keys::load(data.path()),
            Err(KeyError::Exposed { mode: 0o640, .. })
        ));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        for damaged in [
            "",
            "{}",
            &text[..text.len() / 2],
            &text.replace(":1,", ":2,"),
            &text.replacen("seed\":\"", "seed\":\"A", 1),
        ] {
            fs::write(&path, damaged).unwrap();
            assert!(
                matches!(Keys::load(data.path()), Err(KeyError::Damaged { .. })),
                "{damaged}"
            );
            assert!(
                Keys::load_or_make(data.path(), 0).is_err(),
                "none is made in its place"
            );
        }
    }
}
