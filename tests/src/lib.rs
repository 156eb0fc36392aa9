//! What the proofs share: the guest's host in memory, the rules written a second time, the traces that set one against the
//! other, policies that mean harm, whole deployments, and the program as people run it, behind real gateways too.

pub mod bin;
pub mod browser;
pub mod contract;
pub mod deployment;
pub mod gateway;
pub mod hostile;
pub mod javascript;
pub mod listener;
pub mod maker;
pub mod model;
pub mod native;
pub mod needles;
pub mod oidc;
pub mod policies;
pub mod program;
pub mod shape;
pub mod trace;
pub mod variant;
pub mod wasm;
pub mod web;
pub mod whole;
pub mod wire;

pub use patrol_policy::memory;
