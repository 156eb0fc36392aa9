//! The embedded storage, on real files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod accounts;
mod audit;
mod clients;
mod coherence;
mod concurrency;
mod liveness;
mod opening;
mod people;
mod records;
mod review;
mod sites;
mod support;
mod sweeping;
mod totals;
mod uses;
