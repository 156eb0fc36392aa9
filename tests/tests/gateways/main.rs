//! Patrol behind real gateways, end to end: the program, the shipped configurations, real clients.
//!
//! Each gateway has a module, which begins with the probe that all of them have to pass and goes on with what is its
//! own. A machine without a gateway skips its tests; `tests/run` installs what they need.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "tests"
)]

mod apache;
mod caddy;
mod git;
mod haproxy;
mod nginx;
mod traefik;
