//! Patrol's token policy: issuing, verifying and ending personal access tokens, as rules over what a host stores.
//!
//! [`Engine`](engine::Engine) is the whole of it, generic over [`Host`]: storage, clock, entropy and settings. It
//! has no other input, so a verdict is a function of the records read, the time and the request. Compiled for
//! wasm32 the crate is the component of `wit/world.wit`; natively it is a library, which tests use as an oracle and
//! other policies build upon.
#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

pub mod host;
mod secret;
pub mod types;

pub use host::Host;
pub use secret::Secret;
