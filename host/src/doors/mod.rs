//! Doors for gateways that do not ask by HTTP. Each translates its protocol to [`Gate::check`](crate::gate::Gate) and
//! back, and decides nothing itself.

mod connection;
pub mod fastcgi;
pub mod grpc;
pub mod spop;

use crate::gate::Denial;

/// The body of a denial, as the HTTP door has it.
fn body(denial: &Denial) -> String {
    serde_json::json!({ "errorCode": denial.code, "message": denial.message }).to_string()
}
