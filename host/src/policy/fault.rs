//! The bad endings of a call to a policy, kept apart: a refusal is the policy's no, an outage the store's, and a fault
//! is a policy that did not answer as the contract says.

use std::time::Duration;

use patrol_policy::types::{Outage, Refusal};
use wasmtime::{PoolConcurrencyLimitError, Trap};

use super::limits::REASON_CHARS;

/// Anything but yes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ending {
    /// The policy understood and said no.
    #[error("refused: {}", .0.reason)]
    Refused(Refusal),
    /// The store could not answer while the policy was deciding.
    #[error("the store could not answer: {0}")]
    Outage(Outage),
    /// The policy did not decide.
    #[error(transparent)]
    Fault(Fault),
}

/// Why a policy did not decide. Never a verdict on a token: whoever asked gets "cannot decide".
///
/// Texts come from the policy in part. They are cut at [`REASON_CHARS`] characters and hold nothing that a terminal or
/// a log would act upon.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// It did not answer in time.
    #[error("the policy did not answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// It wanted more memory or a larger table than it may have.
    #[error("the policy wanted too much memory: {0}")]
    Memory(String),
    /// WebAssembly stopped it: unreachable code, an access out of bounds, too deep a recursion.
    #[error("the policy trapped: {0}")]
    Trap(String),
    /// It gave up itself, as its panic handler does.
    #[error("the policy aborted: {0}")]
    Aborted(String),
    /// It called the host too often or handed it too much.
    #[error("the policy exceeded a limit: {0}")]
    Limits(String),
    /// What it returned is not what the contract allows.
    #[error("the policy broke its contract: {0}")]
    Contract(String),
    /// It allowed what the host's records forbid, and the host did not: the policy is wrong, or hostile.
    #[error("the policy said yes where nothing may: it allowed {}", .0.what)]
    Floor(Violation),
    /// More calls at once than this host has room for. Not the policy's doing.
    #[error("more calls at once than there are instances: {0}")]
    Busy(String),
}

/// A yes that the host turned down, since the records forbid it whatever the policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What forbids it.
    pub rule: FloorRule,
    /// What was allowed, in words.
    pub what: &'static str,
}

/// What no policy may allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FloorRule {
    /// What does not fit the record that it is about, or belongs to somebody else.
    Identity,
    /// A wrong secret (R3).
    Secret,
    /// What has ended: revoked, expired, signed out (R6, R8).
    Ended,
    /// A token past its expiration date (R5).
    Expiration,
    /// A token from before a change of authentication method (R9).
    Method,
    /// A token of another audience (R12).
    Audience,
    /// What belongs to a disabled or deleted owner (R4).
    Owner,
    /// A password where a PAT is needed (R11).
    MultiFactor,
    /// An answer that does not say what was stored.
    Stored,
}

impl FloorRule {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 9] = [
        Self::Identity,
        Self::Secret,
        Self::Ended,
        Self::Expiration,
        Self::Method,
        Self::Audience,
        Self::Owner,
        Self::MultiFactor,
        Self::Stored,
    ];

    /// One word for metrics and the audit trail.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Secret => "secret",
            Self::Ended => "ended",
            Self::Expiration => "expiration",
            Self::Method => "auth-method",
            Self::Audience => "audience",
            Self::Owner => "owner",
            Self::MultiFactor => "multi-factor",
            Self::Stored => "stored",
        }
    }
}

impl Fault {
    /// All that [`Fault::kind`] says.
    pub const KINDS: [&'static str; 8] = [
        "timeout", "memory", "trap", "aborted", "limits", "contract", "floor", "busy",
    ];

    /// One word for metrics and the audit trail.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Timeout(_) => "timeout",
            Self::Memory(_) => "memory",
            Self::Trap(_) => "trap",
            Self::Aborted(_) => "aborted",
            Self::Limits(_) => "limits",
            Self::Contract(_) => "contract",
            Self::Floor(_) => "floor",
            Self::Busy(_) => "busy",
        }
    }

    /// What it means that a call into the component failed with `error`.
    pub(super) fn from_error(error: &wasmtime::Error, deadline: Duration) -> Self {
        if let Some(stop) = error.downcast_ref::<Stop>() {
            return match stop {
                Stop::Memory(text) => Self::Memory(text.clone()),
                Stop::Aborted(reason) => Self::Aborted(reason.clone()),
                Stop::HostCalls(_) => Self::Limits(stop.to_string()),
                Stop::NoCall | Stop::TooLong(_) => Self::Contract(stop.to_string()),
            };
        }
        if let Some(trap) = error.downcast_ref::<Trap>() {
            return match trap {
                Trap::Interrupt => Self::Timeout(deadline),
                other => Self::Trap(printable(&other.to_string())),
            };
        }
        let text = printable(&error.root_cause().to_string());
        if error.is::<PoolConcurrencyLimitError>() {
            Self::Busy(text)
        } else if text.contains("hostcalls") {
            // The error type is private to wasmtime; were its text to change, this would count as a broken contract.
            Self::Limits(text)
        } else {
            // What is left are values that could not be lifted: bad UTF-8, an unknown discriminant, a list out of
            // bounds.
            Self::Contract(text)
        }
    }
}

/// Why the host itself stopped the component. Travels through wasmtime as an error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stop {
    /// The limiter said no.
    #[error("{0}")]
    Memory(String),
    /// `diagnostics.abort`, with the reason made printable.
    #[error("{0}")]
    Aborted(String),
    /// One more host call than allowed.
    #[error("more than {0} host calls in one call")]
    HostCalls(u32),
    /// A name or a method that no caller can have handed in.
    #[error("it stored a name of {0} bytes")]
    TooLong(usize),
    /// An import was called while nobody was asking.
    #[error("it called the host outside a call")]
    NoCall,
}

/// Text of a guest for human eyes: cut, and with everything but printable characters escaped.
pub(super) fn printable(text: &str) -> String {
    shorten(text, REASON_CHARS)
}

/// As [`printable`], with another length in characters.
pub(super) fn shorten(text: &str, most: usize) -> String {
    let mut plain = String::new();
    let mut left = most;
    for c in text.chars() {
        let escaped = escape(c);
        let Some(rest) = left.checked_sub(escaped.chars().count()) else {
            plain.push('…');
            break;
        };
        plain.push_str(&escaped);
        left = rest;
    }
    plain
}

/// Controls, and characters that reorder or hide text, become visible.
fn escape(c: char) -> String {
    let hides = matches!(c,
        '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{061C}');
    if c.is_control() || hides {
        c.escape_unicode().to_string()
    } else {
        c.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guests_text_is_cut_and_cannot_steer_a_terminal() {
        assert_eq!(
            printable("panicked at \"x\"\n\u{1b}[2J"),
            "panicked at \"x\"\\u{a}\\u{1b}[2J"
        );
        assert_eq!(printable("\u{202e}deined"), "\\u{202e}deined");
        let long = printable(&"ä".repeat(10_000));
        assert_eq!(long.chars().count(), REASON_CHARS + 1);
        assert!(long.ends_with('…'));
    }

    #[test]
    fn rules_of_the_floor_are_found_by_the_order_of_declaration() {
        for (place, rule) in FloorRule::ALL.into_iter().enumerate() {
            assert_eq!(rule as usize, place, "{rule:?}");
        }
    }

    #[test]
    fn the_cut_counts_escapes_too() {
        let long = printable(&"\u{0}".repeat(10_000));
        assert!(long.chars().count() <= REASON_CHARS + 1, "{long}");
    }
}
