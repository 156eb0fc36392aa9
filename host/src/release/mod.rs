//! Releases of policies: a component, a manifest that says what it is, and a signature over both.
//!
//! A release is one file, `NAME-VERSION.patrol`:
//!
//! ```text
//! patrol-release-1\n
//! length  manifest     TOML text in its one canonical form, the component's SHA-256 in it
//! length  signature    the signer's ed25519 public key and signature (32 + 64 bytes), or an SSH signature as text;
//!                      empty: unsigned
//! length  component    the WebAssembly component
//! ```
//!
//! Lengths are four bytes, the highest first; nothing follows. The same parts make the same bytes, so a release is known
//! by the SHA-256 of its file. What is signed is the first line and the manifest (RFC 8032, Ed25519): through the
//! component's digest it covers everything, and the line keeps it from being taken for a signature of something else.
//!
//! Whoever offers a release is not trusted. [`Release::check`] asks in this order, and each refusal names the step that
//! it came from: the size, before anything is read as something else; the file's form; the component's digest; the
//! signature; and whether this host is what the manifest asks for, before the component is looked at at all. Then the
//! component is read; then its imports and exports are compared with this host's contract; only then is it compiled and
//! started; and at last it is asked what the answers are known to ([`Patrol::stage`](crate::service::Patrol::stage)).

mod file;
mod keys;
mod manifest;
mod shelf;
mod signature;

use std::fmt::{self, Display};

pub use file::{LARGEST, Release};
pub use keys::{KeyError, PublicKey, SecretKey};
pub use manifest::{CONTRACT, HOST_VERSION, Manifest, check_name};
pub use shelf::Shelf;
pub use signature::SSH_NAMESPACE;

/// Where on its way a release was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// More bytes than any release has.
    Size,
    /// Not a release file, or a manifest that makes no sense.
    Form,
    /// Not the component that the manifest names.
    Digest,
    /// Not signed, or not by a key that is trusted.
    Signature,
    /// Not for this host.
    Host,
    /// Its component is none.
    Parse,
    /// Its component imports what this host does not have, or does not export what it has to.
    World,
    /// Its component cannot be compiled or started.
    Compile,
    /// It gave a wrong answer to a question whose answer is known.
    Answers,
}

impl Step {
    /// A word for programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Form => "form",
            Self::Digest => "digest",
            Self::Signature => "signature",
            Self::Host => "host",
            Self::Parse => "parse",
            Self::World => "world",
            Self::Compile => "compile",
            Self::Answers => "answers",
        }
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a release is not taken: at which step, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the release is refused ({step}): {why}")]
pub struct Unfit {
    /// The step.
    pub step: Step,
    /// Why, and what to do.
    pub why: String,
}

impl Unfit {
    pub(crate) fn at(step: Step, why: impl Into<String>) -> Self {
        Self {
            step,
            why: why.into(),
        }
    }
}

/// Bytes in lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
