//! `patrol scenario run`: the program as policy authors and build servers run it, on the shipped scenarios, on others,
//! and on policies that do not keep the rules.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod bad_files;
mod results;
mod shipped;
mod support;
mod watch;
