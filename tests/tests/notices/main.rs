//! Notices: what is told of tokens that end soon or were revoked, to whom, and that it is told at most once, by a real
//! receiver of webhooks and a real mail server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod ending;
mod mail;
mod once;
mod program;
mod receiver;
mod revoked;
mod support;
