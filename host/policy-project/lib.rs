//! {{name}}: the stock rules, but a token that nobody used for a week is expired (R5). The stock policy waits 15 days.
//!
//! A policy is a type that implements `Policy`. Each method is by default what the stock rules say, so what is written
//! here is what differs:
//!
//! | to change | override |
//! | --- | --- |
//! | limits: idle period, tokens of an owner, lifetimes, overlaps, sessions | `parameters` |
//! | which names a token may have (R13) | `accepts_name` |
//! | whether a token that is good by all other rules works at this moment | `judge` |
//! | a whole decision: `issue`, `authenticate`, `revoke`, `list_tokens` and so on | the function of that name |
//!
//! A whole decision mostly ends with the stock one, as in
//!
//! ```ignore
//! /// Only administrators create tokens.
//! fn issue<H: Host>(&self, host: &mut H, request: IssueRequest, actor: Actor) -> Result<Issued, Denial> {
//!     if actor.role != ActorRole::Administrator {
//!         return Err(RefusalReason::NotPermitted.into());
//!     }
//!     Engine::of(self, host).issue(request, actor)
//! }
//! ```
//!
//! `patrol-policy/src/policy.rs` documents the methods, `wit/engine.wit` the decisions and the reasons that each may be
//! refused with, `patrol-policy/src/` has a module for each rule. All that a policy sees is its `Host`: the records, the
//! time and the settings. And whatever it says, the host lets nobody in with a token that is revoked, past its
//! expiration date, of another audience, or of a disabled owner: a policy can be stricter, never laxer.
#![cfg_attr(target_arch = "wasm32", no_std)]

use patrol_policy::prelude::*;

/// The policy.
#[derive(Clone, Copy, Debug)]
pub struct Rules;

impl Policy for Rules {
    const NAME: &'static str = env!("CARGO_PKG_NAME");
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    /// The limits that the rules work with, given those in the operator's configuration. Where a policy asks for a laxer
    /// one, the configured one holds.
    fn parameters(&self, configured: Parameters) -> Parameters {
        Parameters {
            idle_after: 7 * DAY,
            ..configured
        }
    }
}

// Makes the crate a component of this policy.
patrol_policy::export!(Rules);

#[cfg(test)]
mod tests;
