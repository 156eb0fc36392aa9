//! Second factors of those who sign in with a password, and sign-ins that wait for one.

use patrol_policy::types::{Digest, Epoch, Id, Timestamp};

use super::Result;

/// A user's second factor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecondFactorRow {
    /// The secret that codes are computed from, sealed.
    pub sealed: Vec<u8>,
    /// When its owner showed that they have it; until then it counts for nothing.
    pub confirmed: Option<Timestamp>,
    /// The last step of time whose code was used: none of it or before it is good.
    pub last_step: u64,
    /// How many codes were wrong since the last one that was right.
    pub wrong: u32,
    /// How many recovery codes are left.
    pub recovery_left: u32,
}

/// Somebody whose password was right, and who is yet to show their second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HalfSignIn {
    /// Its identifier.
    pub id: Id,
    /// The user.
    pub owner: Id,
    /// SHA-256 of its secret.
    pub digest: Digest,
    /// How often the password had been set.
    pub password_epoch: Epoch,
    /// From when on it is no longer good.
    pub expires: Timestamp,
    /// How many codes were tried in vain.
    pub tries: u32,
}

/// What can be read of them.
pub trait ReadSecondFactor: Send {
    /// The second factor of a user.
    fn second_factor(&self, owner: Id) -> Result<Option<SecondFactorRow>>;
    /// Whether anybody has a second factor.
    fn any_second_factor(&self) -> Result<bool>;
    /// The sign-in with this identifier.
    fn half_sign_in(&self, id: Id) -> Result<Option<HalfSignIn>>;
}

/// What can be written of them.
pub trait WriteSecondFactor: ReadSecondFactor {
    /// Stores a second factor that is not confirmed, in the place of one that is not either.
    fn put_second_factor(&mut self, owner: Id, sealed: &[u8]) -> Result<()>;
    /// Marks it as confirmed; an existing mark stays.
    fn confirm_second_factor(&mut self, owner: Id, at: Timestamp) -> Result<()>;
    /// Notes that the code of a step was used, and that it was right. Says whether it is later than all before; if not,
    /// nothing is noted.
    fn use_step(&mut self, owner: Id, step: u64) -> Result<bool>;
    /// Deletes a user's second factor with its recovery codes.
    fn delete_second_factor(&mut self, owner: Id) -> Result<()>;
    /// Replaces a user's recovery codes.
    fn put_recovery_codes(&mut self, owner: Id, digests: &[[u8; 32]]) -> Result<()>;
    /// Uses a recovery code up, and notes that it was right. Says whether there was such a one.
    fn use_recovery_code(&mut self, owner: Id, digest: &[u8; 32]) -> Result<bool>;
    /// Counts one more wrong code of a user.
    fn count_wrong_code(&mut self, owner: Id) -> Result<()>;
    /// Stores a sign-in that waits.
    fn insert_half_sign_in(&mut self, half: &HalfSignIn) -> Result<()>;
    /// Counts one more code that was tried in vain.
    fn count_try(&mut self, id: Id) -> Result<()>;
    /// Deletes a sign-in that waited, and all that were good until then.
    fn delete_half_sign_in(&mut self, id: Id, expired_until: Timestamp) -> Result<()>;
}
