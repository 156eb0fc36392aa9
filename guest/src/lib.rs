//! Patrol's token policy: issuing, verifying and ending personal access tokens, as rules over what a host stores.
//!
//! [`Engine`] is the whole of it, generic over [`Host`]: storage, clock, entropy, keyring and settings. It has no other
//! input, so a verdict is a function of the records read, the time and the request.
//!
//! A policy of one's own is a type that implements [`Policy`], which keeps the stock rules but for those that it
//! overrides, and one line, [`export!`], that makes its crate a component. Compiled for wasm32 with the feature
//! `component`, which is on by default, this crate is itself the component of the [`Stock`] policy. Policies depend on it
//! without default features, tests use it as an oracle. With the feature `memory` it has a [host](memory::MemoryHost) to
//! try policies on.
//!
//! | module | rules |
//! | --- | --- |
//! | [`token`] | what a token looks like, what is kept of it (R1, R2) |
//! | [`issue`] | who may create one, under which name, for how long (R1, R7, R13) |
//! | [`authenticate`] | what makes a presented token good (R3, R4, R12) |
//! | [`session`] | sessions that a token opens (R3, R4, R5) |
//! | [`expiry`] | when a token ends and why (R5, R9) |
//! | [`revoke`] | ending tokens by hand (R8) |
//! | [`rotate`] | a new secret for an old token |
//! | [`method`] | authentication methods and passwords (R9, R11) |
//! | [`list`] | what owners and administrators see (R6) |
//! | [`sweep`] | housekeeping (R6) |
#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

#[cfg(target_arch = "wasm32")]
mod allocator;
#[cfg(any(target_arch = "wasm32", test))]
mod arena;
pub mod authenticate;
mod base62;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod component;
mod contract;
mod crc32;
mod engine;
pub mod expiry;
mod export;
pub mod host;
pub mod issue;
pub mod list;
#[cfg(feature = "memory")]
pub mod memory;
pub mod method;
pub mod policy;
pub mod prelude;
pub mod revoke;
pub mod rotate;
#[cfg(target_arch = "wasm32")]
mod runtime;
mod secret;
pub mod session;
pub mod sweep;
pub mod token;
pub mod types;

pub use engine::Engine;
pub use host::Host;
pub use policy::{Policy, Stock};
pub use secret::Secret;

#[cfg(feature = "component")]
export!(Stock);
