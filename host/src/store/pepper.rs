//! What the store knows of the pepper: not the pepper, but how to tell it from another.

use super::Result;

/// What can be read of it.
pub trait ReadPepper: Send {
    /// What only the right pepper makes, once there has been one.
    fn pepper_check(&self) -> Result<Option<[u8; 32]>>;
    /// How many tokens have a secret, or one before it, that takes the pepper to verify. Looks at all of them.
    fn count_peppered(&self) -> Result<u64>;
}

/// What can be written of it.
pub trait WritePepper: ReadPepper {
    /// Notes how to tell the pepper; what was noted once stays.
    fn put_pepper_check(&mut self, check: [u8; 32]) -> Result<()>;
}
