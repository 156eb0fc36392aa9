//! Patrol issues, verifies and ends personal access tokens (PATs).

pub mod policy;
pub mod store;
