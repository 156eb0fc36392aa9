//! Why a call was not done, in the service's JSON.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use patrol_policy::types::RefusalReason;

use super::super::answer::problem;
use crate::gate::Denial;
use crate::service::{Error, explain};

/// The code for a request that cannot be understood.
pub(super) const BAD_REQUEST: &str = "E_400_BAD_REQUEST";
/// The one code for every session, PAT and password that is not accepted.
const UNAUTHORIZED: &str = "E_401_UNAUTHORIZED";

/// An answer other than yes.
#[derive(Debug)]
pub(in crate::http) struct Failure {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    /// `WWW-Authenticate`, with a 401.
    challenge: Option<&'static str>,
    /// `Retry-After`, in seconds, with 429 and 503.
    retry_after: Option<u64>,
}

impl Failure {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            challenge: None,
            retry_after: None,
        }
    }

    /// The request cannot be understood; the message says what would be.
    pub(super) fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, BAD_REQUEST, message)
    }

    pub(super) fn forbidden(message: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "E_403_FORBIDDEN", message)
    }

    pub(super) fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "E_404_NOT_FOUND", message)
    }

    /// Nothing was presented (RFC 6750: no error code then).
    pub(super) fn missing() -> Self {
        let mut failure = Self::new(
            StatusCode::UNAUTHORIZED,
            UNAUTHORIZED,
            "a personal access token is needed",
        );
        failure.challenge = Some("Bearer realm=\"patrol\"");
        failure
    }

    /// What was presented is not accepted, or there is no verdict. Which of the many reasons it was, is for the audit
    /// trail.
    pub(super) fn unverified(error: Error) -> Self {
        let message = match &error {
            Error::Refused(_) => "the token is not accepted",
            Error::WrongPassword => "user name or password is wrong",
            _ => return Denial::undecided().into(),
        };
        let mut failure = Self::new(StatusCode::UNAUTHORIZED, UNAUTHORIZED, message);
        failure.challenge = Some("Bearer realm=\"patrol\", error=\"invalid_token\"");
        failure
    }

    /// Too many failures: later.
    pub(super) fn too_many(wait: Duration) -> Self {
        Denial::too_many(wait).into()
    }

    /// What could be done at another moment.
    pub(super) fn busy() -> Self {
        Denial::undecided().into()
    }
}

impl From<Denial> for Failure {
    fn from(denial: Denial) -> Self {
        Self {
            status: denial.status,
            code: denial.code,
            message: denial.message,
            challenge: None,
            retry_after: denial.retry_after,
        }
    }
}

/// What is wrong with what a known visitor asked for.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refusal) => refused(refusal.reason),
            Error::NotFound { what, .. } => Self::not_found(format!("there is no such {what}")),
            Error::Exists { .. } => Self::new(StatusCode::CONFLICT, "E_409_CONFLICT", error.to_string()),
            Error::Invalid(message) => Self::bad_request(message),
            Error::WrongPassword | Error::WrongClient { .. } => Self::unverified(error),
            Error::Fault(_) | Error::Outage(_) => Self::busy(),
        }
    }
}

fn refused(reason: RefusalReason) -> Failure {
    match reason {
        RefusalReason::LimitReached => {
            Failure::new(StatusCode::CONFLICT, "E_409_LIMIT_REACHED", explain(reason))
        }
        RefusalReason::NameTaken => Failure::new(StatusCode::CONFLICT, "E_409_NAME_TAKEN", explain(reason)),
        RefusalReason::PatRequired => {
            Failure::new(StatusCode::FORBIDDEN, "E_403_PAT_REQUIRED", explain(reason))
        }
        RefusalReason::NameInvalid | RefusalReason::ExpirationPast | RefusalReason::ExpirationTooFar => {
            Failure::bad_request(explain(reason))
        }
        // One that has ended is gone (R6).
        RefusalReason::NoSuchToken
        | RefusalReason::Revoked
        | RefusalReason::Expired
        | RefusalReason::Idle
        | RefusalReason::AuthMethodChanged
        | RefusalReason::OwnerDeleted => Failure::not_found("there is no such token"),
        RefusalReason::NoSuchOwner => Failure::not_found("there is no such user"),
        _ => Failure::forbidden("this is not allowed"),
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = problem(self.status, self.code, &self.message);
        let headers = response.headers_mut();
        if let Some(challenge) = self.challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// The answer at a path that leads nowhere.
pub(in crate::http) async fn not_found() -> Failure {
    Failure::not_found("there is nothing at this path")
}

/// The answer to a method that a path does not have.
pub(in crate::http) async fn method_not_allowed() -> Failure {
    Failure::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "E_405_METHOD_NOT_ALLOWED",
        "this path is not called with this method: see Allow",
    )
}
