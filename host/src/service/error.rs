//! What can go wrong, as callers of the service see it.

use patrol_policy::types::{Id, Refusal, RefusalReason};

use super::clients::ClientRefusal;
use crate::policy::{Ending, Fault, LoadError};
use crate::store::StoreError;
use crate::store::sqlite::OpenError as StoreOpenError;

/// Why a call did not succeed. The first three are never mixed up: a refusal is the policy's no, a fault is a policy
/// that did not decide, an outage is a store that did not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The policy said no.
    #[error("{}", explain(.0.reason))]
    Refused(Refusal),
    /// The policy did not decide, or decided what it must not; nothing was changed.
    #[error("no verdict: {0}")]
    Fault(#[from] Fault),
    /// The store did not answer; nothing was changed.
    #[error(transparent)]
    Outage(StoreError),
    /// A name is taken.
    #[error("{what} \"{name}\" exists already: choose another name")]
    Exists {
        /// The kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// There is no such thing.
    #[error("there is no {what} \"{name}\"")]
    NotFound {
        /// The kind of thing.
        what: &'static str,
        /// What was asked for.
        name: String,
    },
    /// What was asked makes no sense; the message says what would.
    #[error("{0}")]
    Invalid(String),
    /// User name or password is wrong. Which, is not said.
    #[error("user name or password is wrong")]
    WrongPassword,
    /// A client of the OAuth endpoints could not show who it is. Why, is for the audit trail.
    #[error("{reason}")]
    WrongClient {
        /// The client in whose name it was tried, if there is one.
        client: Option<Id>,
        /// What was wrong.
        reason: ClientRefusal,
    },
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Exists { what, name } => Self::Exists { what, name },
            StoreError::NotFound { what, name } => Self::NotFound { what, name },
            outage => Self::Outage(outage),
        }
    }
}

impl From<Ending> for Error {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Refused(refusal) => Self::Refused(refusal),
            Ending::Fault(fault) => Self::Fault(fault),
            Ending::Outage(outage) => Self::Outage(StoreError::Unavailable(outage.to_string())),
        }
    }
}

impl Error {
    /// No verdict, since what was to find it ended early: a fault like any other.
    #[must_use]
    pub fn interrupted(how: &str) -> Self {
        Self::Fault(Fault::Aborted(how.to_owned()))
    }

    /// The refusal, if it is one.
    #[must_use]
    pub const fn refusal(&self) -> Option<RefusalReason> {
        match self {
            Self::Refused(refusal) => Some(refusal.reason),
            _ => None,
        }
    }
}

/// A refusal in words, for administrators and the audit trail; never for whoever presented a token.
#[must_use]
pub const fn explain(reason: RefusalReason) -> &'static str {
    match reason {
        RefusalReason::Malformed => "this is not a token: it has not the right form",
        RefusalReason::BadChecksum => "this is not a token: its checksum is wrong, so it was mistyped or cut",
        RefusalReason::Unknown => "there is no such token or session",
        RefusalReason::WrongSecret => "the token exists, but its secret is wrong",
        RefusalReason::Expired => "the token has reached its expiration date",
        RefusalReason::Idle => "the token was not used for too long",
        RefusalReason::Revoked => "the token was revoked",
        RefusalReason::Rotated => "the token's secret was replaced by a rotation",
        RefusalReason::AuthMethodChanged => {
            "the authentication method has changed since the token was created"
        }
        RefusalReason::WrongAudience => "the token is for another audience",
        RefusalReason::OwnerDisabled => "the owner is disabled",
        RefusalReason::OwnerDeleted => "the owner was deleted",
        RefusalReason::NoSuchOwner => "there is no such user or tenant",
        RefusalReason::NoSuchToken => "there is no such token",
        RefusalReason::SessionExpired => "the session has reached its greatest length: sign in again",
        RefusalReason::SessionIdle => "the session was not used for too long: sign in again",
        RefusalReason::SessionClosed => "the session was signed out",
        RefusalReason::SessionReplaced => "a newer sign-in took the session's place",
        RefusalReason::LimitReached => {
            "the owner has as many live tokens as allowed: revoke one that is no longer needed"
        }
        RefusalReason::NameTaken => "the owner has a live token of this name: choose another name",
        RefusalReason::NameInvalid => {
            "a token's name has 1 to 255 characters (or fewer, where so configured) and no control characters"
        }
        RefusalReason::ExpirationPast => "the expiration date is not in the future",
        RefusalReason::ExpirationTooFar => "the expiration date is farther away than the greatest lifetime",
        RefusalReason::OverlapTooLong => "the overlap is longer than allowed",
        RefusalReason::NotPermitted => "the caller may not do this",
        RefusalReason::PatRequired => {
            "multi-factor authentication is on: sign in with a personal access token instead of a password"
        }
    }
}

/// Why a data directory could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The store could not be opened.
    #[error(transparent)]
    Store(#[from] StoreOpenError),
    /// The store was opened and then failed.
    #[error(transparent)]
    Outage(#[from] StoreError),
    /// The policy could not be loaded.
    #[error(transparent)]
    Policy(#[from] LoadError),
    /// Another server works on the data directory.
    #[error("another patrol server is running on {}: stop it, or use another --data directory", .0.display())]
    InUse(std::path::PathBuf),
    /// The lock file could not be made.
    #[error("cannot lock {}: {source}", .path.display())]
    Lock {
        /// The lock file.
        path: std::path::PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}
