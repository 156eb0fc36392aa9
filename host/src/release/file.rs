//! The file of a release: how it is taken apart, put together, and judged.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::manifest::LARGEST as LARGEST_MANIFEST;
use super::signature::{LARGEST as LARGEST_SIGNATURE, Signature};
use super::{CONTRACT, HOST_VERSION, Manifest, PublicKey, SecretKey, Step, Unfit, hex};
use crate::policy::limits::COMPONENT_CEILING;

/// The first line of the file, and of what is signed.
const MAGIC: &[u8] = b"patrol-release-1\n";
/// The same, whatever the version.
const ANY_MAGIC: &[u8] = b"patrol-release-";
/// Bytes of a file besides the component: the other two parts, the lengths of all three, and the first line.
const BESIDES: usize = LARGEST_MANIFEST + LARGEST_SIGNATURE + 12 + MAGIC.len();
/// Bytes of the largest file that any host takes.
pub const LARGEST: usize = COMPONENT_CEILING + BESIDES;

/// A release: a file of the right form. Whether it can be trusted is for [`check`](Self::check) to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    manifest: Manifest,
    /// As it stands in the file, which is what was signed.
    text: Vec<u8>,
    signature: Option<Signature>,
    /// As it stands in the file; empty: there is none.
    signed: Vec<u8>,
    component: Vec<u8>,
}

impl Release {
    /// Makes a release of a component, signed where there is a key. The manifest gets the component's digest.
    ///
    /// # Errors
    /// A manifest that makes no sense, or a component that is larger than any host takes.
    pub fn make(mut manifest: Manifest, component: Vec<u8>, key: Option<&SecretKey>) -> Result<Self, Unfit> {
        check_size(component.len(), COMPONENT_CEILING)?;
        manifest.component = hex(&Sha256::digest(&component));
        let text = manifest.text()?.into_bytes();
        // Nothing is written that would not be read.
        let manifest = Manifest::parse(&text)?;
        let unsigned = Self {
            manifest,
            text,
            signature: None,
            signed: Vec::new(),
            component,
        };
        match key {
            Some(key) => {
                let signature = Signature::make(key, &unsigned.message());
                unsigned.with(signature)
            }
            None => Ok(unsigned),
        }
    }

    /// The same with the signature that `ssh-keygen -Y sign -n patrol-release` made of [`message`](Self::message).
    ///
    /// # Errors
    /// At the step [`Signature`](Step::Signature): it is none, or one of something else.
    pub fn with_ssh_signature(self, text: &[u8]) -> Result<Self, Unfit> {
        let signed = self.with(Signature::from_ssh(text)?)?;
        signed.check_signature()?;
        Ok(signed)
    }

    fn with(mut self, signature: Signature) -> Result<Self, Unfit> {
        self.signed = signature.to_bytes()?;
        self.signature = Some(signature);
        Ok(self)
    }

    /// Reads a file; no more of it than a release may have whose component has at most `max_component` bytes, which is
    /// what [`check_size`](Self::check_size) asks of it.
    ///
    /// # Errors
    /// Where it cannot be read; inside, where it is no release.
    pub fn read(path: &Path, max_component: usize) -> io::Result<Result<Self, Unfit>> {
        let mut bytes = Vec::new();
        // One more than allowed, to be seen as too many.
        let limit = max_component.saturating_add(BESIDES);
        let one_more = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        File::open(path)?.take(one_more).read_to_end(&mut bytes)?;
        Ok(check_size(bytes.len(), limit)
            .and_then(|()| Self::parse(&bytes))
            .and_then(|release| release.check_size(max_component).map(|()| release)))
    }

    /// Takes a file apart, whatever size of a component is taken here.
    ///
    /// # Errors
    /// At the step [`Size`](Step::Size) or [`Form`](Step::Form).
    pub fn parse(bytes: &[u8]) -> Result<Self, Unfit> {
        check_size(bytes.len(), LARGEST)?;
        let wrong = |why: &str| Unfit::at(Step::Form, why);
        let Some(rest) = bytes.strip_prefix(MAGIC) else {
            return Err(wrong(if bytes.starts_with(ANY_MAGIC) {
                "its file is of a form that this host does not know: upgrade patrol first"
            } else {
                "it is not a release file: `patrol policy sign` makes one of a component"
            }));
        };
        let cut = || wrong("its file was cut short: get it again");
        let (text, rest) = part(rest).ok_or_else(cut)?;
        let (signature, rest) = part(rest).ok_or_else(cut)?;
        let (component, rest) = part(rest).ok_or_else(cut)?;
        if !rest.is_empty() {
            return Err(wrong("its file goes on after its end: get it again"));
        }
        check_size(component.len(), COMPONENT_CEILING)?;
        Ok(Self {
            manifest: Manifest::parse(text)?,
            text: text.to_owned(),
            signature: Signature::parse(signature)?,
            signed: signature.to_owned(),
            component: component.to_owned(),
        })
    }

    /// The file's content.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for part in [&self.text, &self.signed, &self.component] {
            // INVARIANT: no part is longer than `LARGEST`.
            let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
            bytes.extend(length.to_be_bytes());
            bytes.extend(part);
        }
        bytes
    }

    /// What it is known by: the SHA-256 of its file.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.to_bytes()).into()
    }

    /// What it says of itself.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What is signed: the first line of the file and the manifest.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        [MAGIC, &self.text].concat()
    }

    /// The component.
    #[must_use]
    pub fn component(&self) -> &[u8] {
        &self.component
    }

    /// Whose signature it says it has. Whether that is so, [`check_signature`](Self::check_signature) knows.
    #[must_use]
    pub const fn signer(&self) -> Option<&PublicKey> {
        match &self.signature {
            Some(signature) => Some(signature.key()),
            None => None,
        }
    }

    /// Everything that can be known before the component is looked at: it is the one that the manifest names, it is
    /// signed by a key that is trusted, and it is for this host.
    ///
    /// # Errors
    /// The first step at which it fails.
    pub fn check(&self, trusted: &[PublicKey], allow_unsigned: bool) -> Result<(), Unfit> {
        self.check_digest()?;
        self.check_signature()?;
        let refused = |why: String| Err(Unfit::at(Step::Signature, why));
        let trusted = match self.signer() {
            None if !allow_unsigned => refused(
                "it is not signed: sign it with `patrol policy sign`, or set `[policy] allow_unsigned = true` where \
                 policies are developed"
                    .to_owned(),
            ),
            Some(signer) if !trusted.contains(signer) => refused(format!(
                "it is signed by {signer}, which is not among `[policy] trusted_keys`: add the key if it is yours"
            )),
            _ => Ok(()),
        };
        trusted?;
        self.manifest.check_host(HOST_VERSION, CONTRACT)
    }

    /// Whether the component has no more bytes than are taken here.
    ///
    /// # Errors
    /// At the step [`Size`](Step::Size).
    pub fn check_size(&self, max_component: usize) -> Result<(), Unfit> {
        check_size(self.component.len(), max_component)
    }

    /// Whether the component is the one that the manifest names.
    ///
    /// # Errors
    /// At the step [`Digest`](Step::Digest).
    pub fn check_digest(&self) -> Result<(), Unfit> {
        let found = hex(&Sha256::digest(&self.component));
        if found == self.manifest.component {
            return Ok(());
        }
        let why = format!(
            "its component is not the one that its manifest names (SHA-256 {found} instead of {}): get it again",
            self.manifest.component
        );
        Err(Unfit::at(Step::Digest, why))
    }

    /// Whether the signature, if there is one, is its signer's; not whether the signer is trusted.
    ///
    /// # Errors
    /// At the step [`Signature`](Step::Signature).
    pub fn check_signature(&self) -> Result<(), Unfit> {
        match &self.signature {
            Some(signature) if !signature.holds(&self.message()) => Err(Unfit::at(
                Step::Signature,
                "its signature does not hold: manifest or signature were altered",
            )),
            _ => Ok(()),
        }
    }
}

fn check_size(bytes: usize, limit: usize) -> Result<(), Unfit> {
    if bytes <= limit {
        return Ok(());
    }
    let why = if limit < COMPONENT_CEILING {
        format!(
            "it has {bytes} bytes or more, where {limit} are allowed by `[policy] max_component`: build it smaller, in \
             Rust with `--profile component`, or raise the setting"
        )
    } else {
        format!("it has {bytes} bytes or more, where no host allows more than {limit}: build it smaller")
    };
    Err(Unfit::at(Step::Size, why))
}

/// The next part of a file, and what follows it.
fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "tests"
    )]
    use super::*;
    use crate::release::manifest::tests::manifest;

    fn signed() -> (Release, PublicKey) {
        let key = SecretKey::generate().unwrap();
        let release = Release::make(manifest(), b"\0asm component".to_vec(), Some(&key)).unwrap();
        (release, key.public())
    }

    #[test]
    fn a_release_is_read_as_it_was_written() {
        let (release, key) = signed();
        let read = Release::parse(&release.to_bytes()).unwrap();
        assert_eq!(read, release);
        assert_eq!(
            read.digest(),
            <[u8; 32]>::from(Sha256::digest(release.to_bytes()))
        );
        assert_eq!(read.check(&[key], false), Ok(()));
    }

    /// A release that was altered anywhere is refused, and no alteration passes for another kind of fault than one
    /// of these.
    #[test]
    fn no_bit_of_a_release_can_be_changed() {
        let (release, key) = signed();
        let bytes = release.to_bytes();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut altered = bytes.clone();
                altered[at] ^= 1 << bit;
                let judged = Release::parse(&altered).and_then(|release| release.check(&[key], true));
                assert!(judged.is_err(), "bit {bit} of byte {at}");
            }
            assert!(Release::parse(&bytes[..at]).is_err(), "cut at {at}");
        }
        let longer = [&bytes[..], b"\n"].concat();
        assert_eq!(Release::parse(&longer).unwrap_err().step, Step::Form);
    }

    #[test]
    fn what_was_altered_is_named() {
        let (release, key) = signed();
        let mut other = release.clone();
        other.component.push(b'!');
        assert_eq!(other.check(&[key], true).unwrap_err().step, Step::Digest);

        let mut other = release.clone();
        other.manifest.release += 1;
        other.text = other.manifest.text().unwrap().into_bytes();
        let error = other.check(&[key], true).unwrap_err();
        assert!(
            error.step == Step::Signature && error.why.contains("altered"),
            "{error}"
        );

        let mut other = release.clone();
        other.signed[40] ^= 1;
        let other = Release::parse(&other.to_bytes()).unwrap();
        assert_eq!(other.check(&[key], true).unwrap_err().step, Step::Signature);

        let large = vec![0; LARGEST + 1];
        assert_eq!(Release::parse(&large).unwrap_err().step, Step::Size);
        let newer = b"patrol-release-2\n";
        assert!(Release::parse(newer).unwrap_err().why.contains("upgrade"));
    }

    #[test]
    fn only_who_is_trusted_is_followed() {
        let (release, key) = signed();
        let stranger = SecretKey::generate().unwrap();
        let error = release.check(&[stranger.public()], true).unwrap_err();
        assert!(error.why.contains(&key.to_string()), "{error}");
        assert_eq!(error.step, Step::Signature);
        assert_eq!(release.check(&[], true).unwrap_err().step, Step::Signature);

        let unsigned = Release::make(manifest(), b"component".to_vec(), None).unwrap();
        let error = unsigned.check(&[key], false).unwrap_err();
        assert!(error.why.contains("allow_unsigned"), "{error}");
        assert_eq!(unsigned.check(&[key], true), Ok(()));
        // A signature cannot be taken off a release to have it pass as another that is known.
        let mut bare = release.clone();
        (bare.signature, bare.signed) = (None, Vec::new());
        assert_ne!(bare.digest(), release.digest());
    }

    #[test]
    fn a_release_for_a_later_host_is_refused_before_its_component_is_looked_at() {
        let mut later = manifest();
        later.minimum_host = "999.0.0".to_owned();
        let release = Release::make(later, b"not a component".to_vec(), None).unwrap();
        let error = release.check(&[], true).unwrap_err();
        assert_eq!(error.step, Step::Host);
        assert!(error.why.contains("upgrade patrol"), "{error}");
    }
}
