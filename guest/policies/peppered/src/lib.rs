//! The stock policy, but secrets are kept peppered (R2): of a secret a MAC is stored, under a key that the host has in a
//! file of its own and never gives away. Whoever has a copy of the database, and not that file, cannot even tell whether
//! a secret is right, and cannot make up such a MAC.
//!
//! New secrets are stored so from the first one on. A token from before is moved when it is used, without anybody
//! noticing: its secret stays, and so do its sessions, its dates and an overlap that is under way. One that is never used
//! again stays as it was until it has idled out (R5), so after the idle period every live token is peppered.
//!
//! Until then plain digests are let in, too, and whoever can write to the database could write one of those. Once all
//! have moved, [`Policy::judge`] can refuse what is not peppered.
//!
//! Back goes as easily: the stock policy lets in both. It stores the secrets that it issues and rotates as it always did,
//! and the pepper is needed until no token is peppered any more; `patrol doctor` says how many are.
#![cfg_attr(target_arch = "wasm32", no_std)]

use patrol_policy::prelude::*;

/// The policy.
#[derive(Clone, Copy, Debug)]
pub struct Peppered;

impl Policy for Peppered {
    const NAME: &'static str = env!("CARGO_PKG_NAME");
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn scheme(&self) -> Scheme {
        Scheme::Peppered
    }
}

patrol_policy::export!(Peppered);

#[cfg(test)]
mod tests;
