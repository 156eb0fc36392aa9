//! What was released goes on working: the contract as it was frozen, and the first component that was built against it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod contract;
mod first_release;
mod newer;
mod same_bytes;
