//! Secrets that are kept under a key of the host's: how tokens get there as they are used, that nobody notices, and what
//! the key is good for. With the real component of `guest/policies/peppered`, in the real host and in the real program.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod hostile;
mod key;
mod moving;
mod program;
mod support;
mod threads;
