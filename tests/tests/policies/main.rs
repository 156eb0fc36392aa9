//! Policies of one's own: written on the guest as a library, in the repository and in a project that `patrol policy new`
//! wrote.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod overriding;
mod project;
mod refused;
mod stricter;
mod support;
