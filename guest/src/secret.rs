//! Text that authenticates somebody.

use alloc::vec::Vec;
use core::fmt;

use zeroize::Zeroizing;

/// A token or session token in clear: cannot be printed, cloned or compared, and is wiped when dropped (R1).
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes over a text.
    #[must_use]
    pub fn new(text: Vec<u8>) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself, ASCII where Patrol made it. Whoever calls this shows it to its owner or compares it, and
    /// nothing else.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Gives the text away as bytes; the receiver wipes it.
    #[must_use]
    pub fn into_bytes(mut self) -> Vec<u8> {
        core::mem::take(&mut *self.0)
    }
}

impl From<Vec<u8>> for Secret {
    fn from(text: Vec<u8>) -> Self {
        Self::new(text)
    }
}

impl From<Secret> for Vec<u8> {
    fn from(secret: Secret) -> Self {
        secret.into_bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
