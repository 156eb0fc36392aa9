//! Doors for gateways that do not ask by HTTP. Each translates its protocol to [`Gate::check`](crate::gate::Gate) and
//! back, and decides nothing itself.

mod connection;
pub mod fastcgi;
pub mod grpc;
mod question;
pub mod spop;
