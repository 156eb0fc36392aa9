//! What the proofs share: a host in memory, the rules written a second time, the traces that set one against the
//! other, and policies that mean harm.

pub mod hostile;
pub mod memory;
pub mod model;
pub mod native;
pub mod trace;
pub mod wasm;
pub mod whole;
