//! Which releases of policies are known, and which one is active.

use patrol_policy::types::{Id, Timestamp};

use super::Result;

/// A release that was staged. Its file is kept elsewhere, under this digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseRow {
    /// SHA-256 of its file.
    pub digest: [u8; 32],
    /// What the policy is called.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its release number.
    pub number: u32,
    /// When it was staged first.
    pub staged: Timestamp,
}

/// That a release was activated, and not rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActivationRow {
    /// When.
    pub at: Timestamp,
    /// Whether it has proven itself since.
    pub proven: bool,
}

/// What can be read of them.
pub trait ReadReleases: Send {
    /// All releases that were ever staged, the latest first.
    fn releases(&self) -> Result<Vec<ReleaseRow>>;
    /// The releases that were activated and not rolled back, the active one first: of a tenant of its own, or else
    /// everybody's. None: the tenant has what everybody has, and everybody has the built-in policy.
    fn activations(&self, tenant: Option<Id>) -> Result<Vec<ReleaseRow>>;
    /// The last time that this release was activated and not rolled back.
    fn activation(&self, tenant: Option<Id>, digest: [u8; 32]) -> Result<Option<ActivationRow>>;
    /// The tenants with activations of their own.
    fn tenants_with_activations(&self) -> Result<Vec<Id>>;
}

/// What can be written of them.
pub trait WriteReleases: ReadReleases {
    /// Notes that a release was staged; one that is known already stays as it is.
    fn insert_release(&mut self, release: &ReleaseRow) -> Result<()>;
    /// Makes a release the active one, of this tenant or of everybody. [`NotFound`](super::StoreError::NotFound) where
    /// there is no such tenant.
    fn push_activation(&mut self, tenant: Option<Id>, digest: [u8; 32], at: Timestamp) -> Result<()>;
    /// Forgets the last activation of this release, so that the one before it is active again if it was; false where
    /// there is none.
    fn drop_activation(&mut self, tenant: Option<Id>, digest: [u8; 32]) -> Result<bool>;
    /// Notes that this release, as it was activated last, has proven itself.
    fn prove_activation(&mut self, tenant: Option<Id>, digest: [u8; 32], at: Timestamp) -> Result<()>;
}
