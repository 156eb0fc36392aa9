//! A whole policy in another language: the contract is enough to write one, and the host runs it within limits.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod program;
mod rules;
mod warm;
