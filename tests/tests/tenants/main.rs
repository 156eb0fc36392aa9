//! Tenants with policies of their own, beside others that have what everybody has.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod bindings;
mod doors;
mod rules;
mod support;
mod traces;
