//! Releases of policies, made and judged by the program as people run it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod activation;
mod files;
mod ssh;
mod steps;
mod tampering;
mod tenants;
