//! The keys by which releases are signed and trusted.
//!
//! A public key is one word, `ed25519:` and 43 characters, to be put in a configuration, or the line that OpenSSH has for
//! it (`ssh-ed25519 AAAA… comment`). A secret key is a file that
//! only its owner can read; it is not protected by a passphrase, so it belongs on the machine that makes releases, and
//! not on one that runs them.

use std::fmt::{self, Display};
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use crate::key_text::{self, decode};
use crate::private_file::{self, Unreadable};

const PUBLIC: &str = "ed25519:";
const SECRET: &str = "patrol-signing-key-1:";

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("cannot use the signing key {}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Others may read it.
    #[error("others may use the signing key {path} (mode {mode:03o}): run `chmod go= {path}`, and make a new one with `patrol policy keygen` if somebody may have", path = .path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is no signing key.
    #[error("{} is not a signing key as `patrol policy keygen` writes it", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// It is no public key.
    #[error(
        "it is not a public key: `ed25519:` and 43 characters, as `patrol policy keygen` prints it, or a line of an \
         ssh-ed25519 key's .pub file"
    )]
    Public,
    /// The system gives no randomness.
    #[error("no randomness for a new signing key: {0}")]
    Randomness(getrandom::Error),
}

/// A key by which a release's signature is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// The key with these 32 bytes, if it is one. Keys under which a signature holds for more than one message are none.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let key = VerifyingKey::from_bytes(bytes).ok()?;
        (!key.is_weak()).then_some(Self(key))
    }

    /// Its 32 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// Whether this is its signature of the message.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0
            .verify_strict(message, &Signature::from_bytes(signature))
            .is_ok()
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = match text.strip_prefix(PUBLIC) {
            Some(digits) => decode(digits).map(|bytes| *bytes),
            // As in `id_ed25519.pub`.
            None => match ssh_key::PublicKey::from_openssh(text) {
                Ok(key) => key.key_data().ed25519().map(|key| key.0),
                Err(_) => None,
            },
        };
        bytes
            .and_then(|bytes| Self::from_bytes(&bytes))
            .ok_or(KeyError::Public)
    }
}

impl Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC}{}", BASE64URL.encode(self.0.as_bytes()))
    }
}

/// A key that signs releases. It cannot be printed, and is wiped when dropped.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// A new one.
    ///
    /// # Errors
    /// Where the system has no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(KeyError::Randomness)?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// Reads one from its file, which nobody but its owner may be able to read.
    ///
    /// # Errors
    /// Why it cannot be used, and what to do.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let seed = private_file::read_key(path, SECRET).map_err(|why| {
            let path = path.to_owned();
            match why {
                Unreadable::File(source) => KeyError::File { path, source },
                Unreadable::Exposed(mode) => KeyError::Exposed { path, mode },
                Unreadable::Damaged => KeyError::Damaged { path },
            }
        })?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// Writes it into a new file that only its owner can read.
    ///
    /// # Errors
    /// Where that cannot be, or where there is such a file already: a key is never overwritten.
    pub fn write(&self, path: &Path) -> Result<(), KeyError> {
        let text = key_text::line(SECRET, self.0.as_bytes());
        match private_file::make(path, &[text.as_bytes()]) {
            Ok(_) => Ok(()),
            Err(source) => Err(KeyError::File {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Its signature of a message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    #[test]
    fn a_key_is_found_again_in_its_file_and_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let made = SecretKey::generate().unwrap();
        made.write(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(SecretKey::read(&path).unwrap().public(), made.public());
        assert!(matches!(made.write(&path), Err(KeyError::File { .. })));

        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            SecretKey::read(&path),
            Err(KeyError::Exposed { mode: 0o640, .. })
        ));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "x".repeat(SECRET.len() + key_text::DIGITS + 1)).unwrap();
        assert!(matches!(SecretKey::read(&path), Err(KeyError::Damaged { .. })));
    }

    #[test]
    fn a_public_key_is_one_word() {
        let key = SecretKey::generate().unwrap().public();
        assert_eq!(key.to_string().parse::<PublicKey>().unwrap(), key);
        // The second is the neutral element: any signature would hold under it.
        let weak = format!("{PUBLIC}{}", BASE64URL.encode([&[1][..], &[0; 31]].concat()));
        for wrong in ["", &weak, &key.to_string().to_uppercase(), &format!("{key}A")] {
            assert!(wrong.parse::<PublicKey>().is_err(), "{wrong}");
        }
    }
}
