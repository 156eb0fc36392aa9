//! What is counted of verdicts.

use std::time::Duration;

use http::StatusCode;

use super::{Denial, Door};

/// How a request was answered: a label of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Let in, with an identity.
    Allowed,
    /// Let in by a route that is open to everyone.
    Anonymous,
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 400.
    BadRequest,
    /// 429.
    TooMany,
    /// 503.
    Undecided,
}

impl From<&Denial> for Kind {
    fn from(denial: &Denial) -> Self {
        match denial.status {
            StatusCode::UNAUTHORIZED => Self::Unauthorized,
            StatusCode::FORBIDDEN => Self::Forbidden,
            StatusCode::TOO_MANY_REQUESTS => Self::TooMany,
            StatusCode::BAD_REQUEST => Self::BadRequest,
            _ => Self::Undecided,
        }
    }
}

/// Where verdicts are counted.
#[derive(Default)]
pub struct Meters {}

impl Meters {
    /// Counts one.
    pub(super) const fn verdict(&self, _door: Door, _kind: Kind, _took: Duration) {}
}
