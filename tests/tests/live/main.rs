//! The policy of a running server: asked for at its control socket, replaced while calls go on, and rolled back by
//! itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod activation;
mod alarm;
mod faults;
mod killed;
mod socket;
mod support;
mod swap;
mod walk;
