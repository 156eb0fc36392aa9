//! The rules of REQUIREMENTS, one by one, through everything that a running Patrol is made of: the built-in policy in
//! wasmtime, the service around it, and real SQLite files. Each test names the rule that it proves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod r01_shown_once;
mod r02_only_the_hash;
mod r03_compared;
mod r04_owners_access;
mod r05_expiry;
mod r06_gone_and_kept;
mod r07_limit;
mod r08_revocation;
mod r09_method;
mod r10_undisturbed;
mod r11_multi_factor;
mod r11_sessions;
mod r12_audience;
mod r13_names;
