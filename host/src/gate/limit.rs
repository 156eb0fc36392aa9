//! How often failures are answered.

use std::net::IpAddr;
use std::time::Duration;

use patrol_policy::types::Id;

use crate::config::LimitConfig;

/// Counts failed attempts by where they came from and which token they were made with.
pub(super) struct Limits {}

impl Limits {
    pub(super) const fn new(_config: &LimitConfig) -> Self {
        Self {}
    }

    /// Counts one; how long to wait, where there were too many.
    pub(super) const fn failed(&self, _address: Option<IpAddr>, _token: Option<Id>) -> Option<Duration> {
        None
    }
}
