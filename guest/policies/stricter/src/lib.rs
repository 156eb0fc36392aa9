//! A stricter policy: a token ends after a week without use (R5), an owner has at most twenty (R7), and names follow a
//! pattern (R13). All else is as the stock policy has it.
//!
//! A name says whose a token is and what it is for: `team`, `team/purpose`, `team/purpose/detail`, each part of small
//! letters, digits and dashes, the first part beginning with a letter:
//!
//! ```text
//! ^[a-z][a-z0-9-]*(/[a-z0-9-]+)*$
//! ```
//!
//! Limits that the operator has set lower than these stay as low. A token that was named before the policy came keeps its
//! name; one that has not been used for a week has ended, the moment the policy is active.
#![cfg_attr(target_arch = "wasm32", no_std)]

use patrol_policy::prelude::*;

/// The policy.
#[derive(Clone, Copy, Debug)]
pub struct Stricter;

impl Policy for Stricter {
    const NAME: &'static str = env!("CARGO_PKG_NAME");
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    /// A week without use, twenty tokens; what is configured stricter stays so.
    fn parameters(&self, configured: Parameters) -> Parameters {
        Parameters {
            idle_after: 7 * DAY,
            tokens_per_owner: 20,
            ..configured
        }
    }

    /// Names by the pattern.
    fn accepts_name(&self, name: &str) -> bool {
        let mut parts = name.split('/');
        let team = parts.next().unwrap_or_default();
        team.starts_with(|first: char| first.is_ascii_lowercase()) && is_part(team) && parts.all(is_part)
    }
}

/// Whether it is a part of a name: `[a-z0-9-]+`.
fn is_part(part: &str) -> bool {
    !part.is_empty()
        && part
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

patrol_policy::export!(Stricter);

#[cfg(test)]
mod tests;
