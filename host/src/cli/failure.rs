//! Why a command failed: one line for people, one object for programs, and an exit code for scripts.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use patrol_policy::types::RefusalReason;
use serde::Serialize;

use super::print::{OutputError, plain};
use crate::config::ConfigError;
use crate::control::ClientError;
use crate::gate::KeyError;
use crate::policy::LoadError;
use crate::release::{KeyError as SigningKeyError, Unfit};
use crate::service::{Error, OpenError, ReleaseError};
use crate::store::sqlite::OpenError as StoreOpenError;

/// How a command ends; the discriminant is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Exit {
    Done = 0,
    Unexpected = 1,
    Usage = 2,
    Refused = 3,
    NotFound = 4,
    Exists = 5,
    NoVerdict = 6,
    Store = 7,
    InUse = 8,
    Listen = 9,
    DataDirectory = 10,
    Newer = 11,
    Problems = 12,
    /// The reader of standard output went away, told as shells tell it.
    BrokenPipe = 141,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// All of them.
    const ALL: [Self; 14] = [
        Self::Done,
        Self::Unexpected,
        Self::Usage,
        Self::Refused,
        Self::NotFound,
        Self::Exists,
        Self::NoVerdict,
        Self::Store,
        Self::InUse,
        Self::Listen,
        Self::DataDirectory,
        Self::Newer,
        Self::Problems,
        Self::BrokenPipe,
    ];

    /// The one with this code, as a server told it; one that this program does not know is unexpected.
    fn of_code(code: u8) -> Self {
        let known = Self::ALL.into_iter().find(|exit| *exit as u8 == code);
        known
            .filter(|exit| *exit != Self::Done)
            .unwrap_or(Self::Unexpected)
    }

    /// A word for programs.
    const fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Unexpected => "unexpected",
            Self::Usage => "usage",
            Self::Refused => "refused",
            Self::NotFound => "not-found",
            Self::Exists => "exists",
            Self::NoVerdict => "no-verdict",
            Self::Store => "store",
            Self::InUse => "in-use",
            Self::Listen => "listen",
            Self::DataDirectory => "data-directory",
            Self::Newer => "newer-version",
            Self::Problems => "problems",
            Self::BrokenPipe => "broken-pipe",
        }
    }
}

/// A failure that the command line itself finds.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// What was asked for makes no sense.
    #[error("{0}")]
    Usage(String),
    /// What was to be made is there already.
    #[error("{0}")]
    Exists(String),
    /// The address cannot be listened on.
    #[error(
        "cannot listen on {address}: {source}; choose another address with --listen, or stop what uses this one"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The control socket cannot be made.
    #[error("cannot make the control socket {}: {source}", .path.display())]
    Control {
        /// The socket.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A server runs, and cannot be asked.
    #[error(
        "a server is running, but does not answer at {}: {source}; if it is of an older version, or hangs, stop it, \
         then run this again",
        .path.display()
    )]
    NoAnswer {
        /// The socket.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// The exit code for an error, and the reason where the policy refused.
fn classify(error: &anyhow::Error) -> (Exit, Option<RefusalReason>) {
    if let Some(OutputError(error)) = error.downcast_ref() {
        let exit = match error.kind() {
            io::ErrorKind::BrokenPipe => Exit::BrokenPipe,
            _ => Exit::Unexpected,
        };
        return (exit, None);
    }
    if let Some(error) = error.downcast_ref::<Error>() {
        return (of_service(error), error.refusal());
    }
    if let Some(error) = error.downcast_ref::<ReleaseError>() {
        return (of_release(error), None);
    }
    if let Some(error) = error.downcast_ref::<ClientError>() {
        let exit = match error {
            ClientError::Failed { exit, .. } => Exit::of_code(*exit),
            ClientError::Version { .. } => Exit::InUse,
            _ => Exit::Unexpected,
        };
        return (exit, None);
    }
    let exit = if let Some(failure) = error.downcast_ref::<Failure>() {
        match failure {
            Failure::Usage(_) => Exit::Usage,
            Failure::Exists(_) => Exit::Exists,
            Failure::Listen { .. } => Exit::Listen,
            Failure::Control { .. } => Exit::DataDirectory,
            Failure::NoAnswer { .. } => Exit::InUse,
        }
    } else if let Some(error) = error.downcast_ref::<OpenError>() {
        of_opening(error)
    } else if error.is::<ConfigError>() {
        Exit::Usage
    } else if error.is::<KeyError>() {
        Exit::DataDirectory
    } else if error.is::<Unfit>() {
        Exit::Refused
    } else if error.is::<SigningKeyError>() {
        Exit::Usage
    } else {
        Exit::Unexpected
    };
    (exit, None)
}

/// The exit code for an error, for a server that tells it to a client.
pub(super) const fn exit_code(error: &ReleaseError) -> u8 {
    of_release(error) as u8
}

const fn of_release(error: &ReleaseError) -> Exit {
    match error {
        ReleaseError::Service(error) => of_service(error),
        ReleaseError::Run(error) => of_opening(error),
        ReleaseError::Shelf { .. } => Exit::DataDirectory,
        ReleaseError::NotFound(_) => Exit::NotFound,
        _ => Exit::Refused,
    }
}

const fn of_service(error: &Error) -> Exit {
    match error {
        Error::Refused(refusal) => match refusal.reason {
            RefusalReason::NoSuchOwner | RefusalReason::NoSuchToken => Exit::NotFound,
            _ => Exit::Refused,
        },
        Error::Fault(_) => Exit::NoVerdict,
        Error::Outage(_) => Exit::Store,
        Error::Exists { .. } => Exit::Exists,
        Error::NotFound { .. } => Exit::NotFound,
        Error::Invalid(_) => Exit::Usage,
        Error::WrongPassword | Error::WrongClient { .. } => Exit::Refused,
    }
}

const fn of_opening(error: &OpenError) -> Exit {
    match error {
        OpenError::Store(error) => match error {
            StoreOpenError::NoData(_)
            | StoreOpenError::NoDirectory { .. }
            | StoreOpenError::NotWritable { .. }
            | StoreOpenError::Exposed { .. } => Exit::DataDirectory,
            StoreOpenError::Newer { .. } => Exit::Newer,
            StoreOpenError::NotADatabase(_)
            | StoreOpenError::Foreign
            | StoreOpenError::Damaged(_)
            | StoreOpenError::Busy
            | StoreOpenError::Unavailable(_) => Exit::Store,
        },
        OpenError::Outage(_) => Exit::Store,
        OpenError::Policy(LoadError::Options(_)) => Exit::Usage,
        OpenError::Policy(_) => Exit::NoVerdict,
        OpenError::InUse(_) => Exit::InUse,
        OpenError::Lock { .. } => Exit::DataDirectory,
    }
}

#[derive(Serialize)]
struct ErrorRecord<'a> {
    error: ErrorBody<'a>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    message: &'a str,
}

/// Says on standard error what went wrong, and how the program is to end.
pub(super) fn report(error: &anyhow::Error, json: bool) -> Exit {
    let (exit, reason) = classify(error);
    if exit != Exit::BrokenPipe {
        say(exit, reason, &one_line(error), json);
    }
    exit
}

/// Says on standard error that the command line makes no sense.
pub(super) fn report_usage(message: &str, json: bool) -> Exit {
    say(Exit::Usage, None, &one_line(message), json);
    Exit::Usage
}

fn say(exit: Exit, reason: Option<RefusalReason>, message: &str, json: bool) {
    let record = ErrorRecord {
        error: ErrorBody {
            code: exit.word(),
            reason: reason.map(RefusalReason::as_str),
            message,
        },
    };
    let line = match serde_json::to_string(&record) {
        Ok(line) if json => line,
        _ => format!("patrol: {message}"),
    };
    // If standard error takes nothing, there is nobody to tell; the exit code stands.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// What is wrong with a configuration, a line for each mistake.
pub(super) fn mistakes(error: &anyhow::Error) -> Vec<String> {
    match error.downcast_ref() {
        Some(ConfigError::Mistakes { mistakes, .. }) => mistakes.iter().map(one_line).collect(),
        _ => vec![one_line(error)],
    }
}

/// A message in one line: a parser's drawing of the mistake is left out, the rest is joined.
fn one_line(message: impl Display) -> String {
    let message = message.to_string();
    let drawing = |line: &str| {
        line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ')
            .starts_with('|')
    };
    let lines: Vec<_> = message
        .lines()
        .filter(|line| !drawing(line))
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    plain(&lines.join(": "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::policy::Fault;
    use crate::store::StoreError;
    use patrol_policy::types::Refusal;

    fn exit(error: impl Into<anyhow::Error>) -> u8 {
        classify(&error.into()).0 as u8
    }

    fn refused(reason: RefusalReason) -> Error {
        Error::Refused(Refusal { reason, token: None })
    }

    #[test]
    fn refusal_fault_and_outage_have_exit_codes_of_their_own() {
        assert_eq!(exit(refused(RefusalReason::LimitReached)), 3);
        assert_eq!(exit(Error::Fault(Fault::Trap("unreachable".to_owned()))), 6);
        assert_eq!(exit(Error::Outage(StoreError::Busy)), 7);
        assert_eq!(exit(OpenError::Outage(StoreError::Busy)), 7);
    }

    #[test]
    fn what_is_not_there_is_told_from_what_is_refused() {
        assert_eq!(exit(refused(RefusalReason::NoSuchToken)), 4);
        assert_eq!(exit(refused(RefusalReason::Revoked)), 3);
    }

    #[test]
    fn a_damaged_store_is_told_from_an_unusable_directory() {
        assert_eq!(
            exit(OpenError::Store(StoreOpenError::Damaged(vec![
                "page 3".to_owned()
            ]))),
            7
        );
        assert_eq!(
            exit(OpenError::Store(StoreOpenError::NotWritable {
                path: "/data".into(),
                reason: "it is read-only".to_owned()
            })),
            10
        );
    }

    #[test]
    fn an_error_keeps_its_exit_code_under_a_context() {
        let error: anyhow::Error = OutputError(io::ErrorKind::BrokenPipe.into()).into();
        assert_eq!(
            classify(&error.context("the secret was not shown")).0,
            Exit::BrokenPipe
        );
        assert_eq!(exit(anyhow::anyhow!("anything else")), 1);
    }

    #[test]
    fn an_error_ends_alike_here_and_at_a_server() {
        let downgrade = || ReleaseError::Downgrade {
            name: "stricter".to_owned(),
            number: 1,
            active: 2,
        };
        for error in [
            downgrade(),
            ReleaseError::NotFound("ab".to_owned()),
            ReleaseError::Run(OpenError::Outage(StoreError::Busy)),
            ReleaseError::Service(Error::Fault(Fault::Trap("unreachable".to_owned()))),
        ] {
            let told = ClientError::Failed {
                message: error.to_string(),
                exit: exit_code(&error),
            };
            assert_eq!(exit(told), exit(error));
        }
        let odd = |exit| ClientError::Failed {
            message: String::new(),
            exit,
        };
        assert_eq!((exit(odd(0)), exit(odd(77))), (1, 1), "no failure is a success");
    }

    #[test]
    fn a_parsers_drawing_is_left_out_of_the_line() {
        let error = toml::from_str::<crate::config::Config>("[policy]\nidle_afer = \"7d\"").unwrap_err();
        let line = one_line(error);
        assert!(line.contains("line 2") && line.contains("idle_afer"), "{line}");
        assert!(!line.contains('\n') && !line.contains(" | "), "{line}");
    }
}
