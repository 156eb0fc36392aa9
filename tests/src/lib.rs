//! What the proofs share: a host in memory, the rules written a second time, and the traces that set one against
//! the other.

pub mod bin;
pub mod memory;
pub mod model;
pub mod native;
pub mod trace;
