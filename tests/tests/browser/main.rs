//! The pages in Chromium, as a person meets them, with the program behind them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "tests"
)]

mod harness;
mod hostile;
mod oidc;
mod scan;
mod second_step;
mod stage;
mod tokens;
mod walk;
