//! The signature of a release: one of Patrol's own, or one that `ssh-keygen -Y sign` made.
//!
//! Both are Ed25519. They differ in what is signed: OpenSSH signs a hash of the message together with the namespace, so
//! neither can pass for the other, nor an SSH signature made for another purpose for one of a release.

use ssh_key::public::KeyData;
use ssh_key::{HashAlg, LineEnding, SshSig};

use super::{PublicKey, SecretKey, Step, Unfit};

/// The namespace of SSH signatures, as in `ssh-keygen -Y sign -n patrol-release`.
pub const SSH_NAMESPACE: &str = "patrol-release";
/// How an SSH signature begins.
const SSH: &[u8] = b"-----BEGIN SSH SIGNATURE-----\n";
/// Bytes of the longest signature in a file: an SSH signature has some 300.
pub(super) const LARGEST: usize = 1 << 10;

/// Who signed, and the signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signature {
    key: PublicKey,
    bytes: [u8; 64],
    /// The hash of an SSH signature; none: it is Patrol's own.
    ssh: Option<SshHash>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SshHash {
    Sha256,
    Sha512,
}

impl SshHash {
    const fn named(self) -> HashAlg {
        match self {
            Self::Sha256 => HashAlg::Sha256,
            Self::Sha512 => HashAlg::Sha512,
        }
    }
}

impl Signature {
    /// A key's own.
    pub(super) fn make(key: &SecretKey, message: &[u8]) -> Self {
        Self {
            key: key.public(),
            bytes: key.sign(message),
            ssh: None,
        }
    }

    /// The signature in a file; none where there are no bytes.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Self>, Unfit> {
        if bytes.is_empty() {
            return Ok(None);
        }
        if bytes.starts_with(SSH) {
            let signature = Self::from_ssh(bytes)?;
            // There is one text for one signature, as there is one for one manifest.
            return match signature.to_bytes()? == bytes {
                true => Ok(Some(signature)),
                false => Err(wrong(
                    "its SSH signature is not in canonical form: have `patrol policy attach` write it",
                )),
            };
        }
        let unknown = || wrong("its signature has not the length of one");
        let (key, signature) = bytes.split_first_chunk::<32>().ok_or_else(unknown)?;
        let signature = <[u8; 64]>::try_from(signature).map_err(|_| unknown())?;
        let key = PublicKey::from_bytes(key).ok_or_else(|| wrong("its signer's key is not a public key"))?;
        Ok(Some(Self {
            key,
            bytes: signature,
            ssh: None,
        }))
    }

    /// The signature that `ssh-keygen -Y sign` wrote.
    pub(super) fn from_ssh(text: &[u8]) -> Result<Self, Unfit> {
        let parsed = SshSig::from_pem(text).map_err(|error| {
            wrong(&format!(
                "its SSH signature cannot be read ({error}): sign with `ssh-keygen -Y sign` and an ssh-ed25519 key"
            ))
        })?;
        if parsed.namespace() != SSH_NAMESPACE {
            let found = parsed.namespace().escape_debug();
            return Err(wrong(&format!(
                "its SSH signature is for \"{found}\" instead of a release: sign with `ssh-keygen -Y sign -n \
                 {SSH_NAMESPACE}`"
            )));
        }
        if parsed.version() != SshSig::VERSION || !parsed.reserved().is_empty() {
            return Err(wrong(
                "its SSH signature is of a version that this host does not know",
            ));
        }
        let hash = match parsed.hash_alg() {
            HashAlg::Sha256 => SshHash::Sha256,
            HashAlg::Sha512 => SshHash::Sha512,
            _ => {
                return Err(wrong(
                    "its SSH signature is over a hash that this host does not know",
                ));
            }
        };
        let key = match parsed.public_key() {
            KeyData::Ed25519(key) => PublicKey::from_bytes(key.as_ref()),
            _ => {
                return Err(wrong(
                    "its SSH key is not an ssh-ed25519 key: sign with one that is",
                ));
            }
        };
        Ok(Self {
            key: key.ok_or_else(|| wrong("its signer's key is not a public key"))?,
            bytes: <[u8; 64]>::try_from(parsed.signature_bytes())
                .map_err(|_| wrong("its signature has not the length of one"))?,
            ssh: Some(hash),
        })
    }

    /// As it stands in a file.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, Unfit> {
        let Some(hash) = self.ssh else {
            return Ok([&self.key.to_bytes()[..], &self.bytes].concat());
        };
        let key = KeyData::Ed25519(ssh_key::public::Ed25519PublicKey(self.key.to_bytes()));
        let text = ssh_key::Signature::new(ssh_key::Algorithm::Ed25519, self.bytes.to_vec())
            .and_then(|signature| SshSig::new(key, SSH_NAMESPACE, hash.named(), signature))
            .and_then(|signature| signature.to_pem(LineEnding::LF));
        let text = text.map_err(|error| wrong(&format!("its SSH signature cannot be written: {error}")))?;
        Ok(text.into_bytes())
    }

    /// Whose it says it is.
    pub(super) const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Whether it is this key's signature of the message.
    pub(super) fn holds(&self, message: &[u8]) -> bool {
        match self.ssh {
            None => self.key.verifies(message, &self.bytes),
            Some(hash) => SshSig::signed_data(SSH_NAMESPACE, hash.named(), message)
                .is_ok_and(|signed| self.key.verifies(&signed, &self.bytes)),
        }
    }
}

fn wrong(why: &str) -> Unfit {
    Unfit::at(Step::Signature, why)
}
