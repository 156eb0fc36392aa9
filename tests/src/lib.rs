//! What the proofs share: a host in memory, the rules written a second time, the traces that set one against the
//! other, and the program as people run it.

pub mod bin;
pub mod memory;
pub mod model;
pub mod native;
pub mod trace;
