//! What doors with a protocol of their own have understood of a request, ready to be asked.

use std::borrow::Cow;
use std::net::IpAddr;

use http::HeaderMap;

use crate::gate::{Admission, Denial, Door, Gate, Request};

/// What all identity headers begin with; the rest of the name is the variable's.
pub(super) const PREFIX: &str = "x-patrol-";
/// More headers than any gateway lets through.
pub(super) const HEADERS: usize = 512;

/// What Patrol was asked about.
pub(super) struct Question<'a> {
    pub(super) method: Cow<'a, str>,
    pub(super) uri: Cow<'a, str>,
    pub(super) headers: HeaderMap,
    pub(super) address: Option<IpAddr>,
}

impl Question<'_> {
    /// The verdict on it.
    pub(super) fn ask(&self, gate: &Gate, door: Door) -> Result<Admission, Denial> {
        gate.check(&Request {
            door,
            method: &self.method,
            uri: &self.uri,
            headers: &self.headers,
            address: self.address,
        })
    }
}
