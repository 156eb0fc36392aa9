//! Patrol issues, verifies and ends personal access tokens (PATs).
//!
//! The rules are a WebAssembly component, the [policy]; this crate is the host that runs it, keeps its records and
//! speaks to gateways and people. In layers, each knowing only those below: [`cli`]; [`http`](mod@http) and [`doors`];
//! [`gate`]; [`service`]; then [`policy`] and [`store`].

pub mod cli;
pub mod config;
pub mod doors;
pub mod gate;
pub mod http;
pub mod policy;
pub mod service;
pub mod store;
pub mod time;
