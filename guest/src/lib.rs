//! Patrol's token policy: issuing, verifying and ending personal access tokens, as rules over what a host stores.
//!
//! [`Engine`] is the whole of it, generic over [`Host`]: storage, clock, entropy and settings. It has no other
//! input, so a verdict is a function of the records read, the time and the request. Compiled for wasm32 the crate is
//! the component of `wit/world.wit`; natively it is a library, which tests use as an oracle and other policies build
//! upon.
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

pub mod about;
#[cfg(target_arch = "wasm32")]
mod allocator;
#[cfg(any(target_arch = "wasm32", test))]
mod arena;
pub mod authenticate;
mod base62;
#[cfg(target_arch = "wasm32")]
mod component;
mod contract;
mod crc32;
mod engine;
pub mod expiry;
pub mod host;
pub mod issue;
pub mod list;
pub mod method;
pub mod revoke;
pub mod rotate;
mod secret;
pub mod session;
pub mod sweep;
pub mod token;
pub mod types;

pub use engine::Engine;
pub use host::Host;
pub use secret::Secret;
