//! Shared by the tests.

pub mod bin;
