//! The journal, on real files.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod damage;
mod files;
mod reading;
mod segments;
mod support;
mod writing;
