//! What the policy says of itself.

use alloc::string::String;

use crate::types::{Description, Parameters};

/// The policy's name.
pub const NAME: &str = "patrol-default";
/// Its semantic version: the crate's.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Describes the policy under these parameters.
#[must_use]
pub fn describe(parameters: Parameters) -> Description {
    Description {
        name: String::from(NAME),
        version: String::from(VERSION),
        parameters,
    }
}
