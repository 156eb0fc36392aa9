//! Clients that people have, through nginx as it is shipped, to services of the kind that they are made for: each works
//! with a PAT in the way it carries passwords or tokens, is turned away once that is revoked, and the PAT ends at nginx.
//!
//! Nothing is told to the services of who may do what: they take everything from everybody, as they may behind Patrol.
//! git has its test in `gateways`, with the configuration that it needs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "tests"
)]

mod behind;
mod curl;
mod npm;
mod python;
mod skopeo;
