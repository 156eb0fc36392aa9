//! Patrol as operators see it, and as programs that link it do: numbers, logs, signals, the service manager, the
//! library.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod architecture;
mod examples;
mod layer;
mod metrics;
mod notify;
mod reload;
mod requests;
mod shutdown;
mod support;
mod systemd;
