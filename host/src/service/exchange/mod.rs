//! What one decision was: the question, what the policy learned from the host, and what came of it.
//!
//! An exchange is what it takes to ask another policy the same question in the same circumstances
//! ([`replay`](super::replay)), and to see whether it would say the same. It is what the journal keeps, and what a shadow
//! hears.
//!
//! # What it does not hold
//!
//! Nothing that authenticates. A secret that was presented is reduced to what it matched ([`Presented`]), which the host
//! finds out from the row itself; digests are left out of every record that storage answered with, and so is what the
//! policy drew from the entropy source and the text that it handed out. The types see to it: the contract's records
//! that hold a digest cannot be written down, so there are others here ([`TokenSeen`], [`SessionSeen`]) that have no
//! place for one. An exchange does hold identifiers, token names (they decide whether a name is taken, R13) and times,
//! which is why the journal is sealed.
//!
//! # What is not recorded
//!
//! `describe` decides about nobody. `foresee` answers for records that it is handed and asks for nothing but clock and
//! settings; a policy that sees ends elsewhere shows it in its verdicts, each of which says when a token ends. `sweep` is
//! asked about everything that is stored: what it would have to be answered are whole tables, and what it did shows in
//! the records that later decisions saw.

mod records;
mod tape;

use patrol_policy::types::{
    Actor, Audience, Census, ClosedSession, Duration, End, Grant, Id, IssueRequest, ListedToken, LiveRule,
    MethodPreview, Owner, Parameters, Refusal, RefusalReason, Scope, SessionGrant, Timestamp,
};
use serde::{Deserialize, Serialize};

use super::Error;

pub use records::{OpenSessionSeen, SessionSeen, TokenSeen};
pub(crate) use tape::Tape;

/// How exchanges are written down; another number is another way.
const VERSION: u8 = 1;

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// When it was, by the clock that the policy saw; ms since the epoch.
    pub at: Timestamp,
    /// The tenant whose own policy decided; none: the one for everybody.
    pub tenant: Option<Id>,
    /// What the operator had configured.
    pub parameters: Parameters,
    /// What was asked.
    pub question: Asked,
    /// What storage answered to the policy, in this order.
    pub answers: Vec<Answer>,
    /// What the policy said, where the host did not leave it at that.
    pub overruled: Option<Verdict>,
    /// What came of it.
    pub verdict: Verdict,
}

/// A question, with its arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Asked {
    /// `authenticate`.
    Authenticate(Presented, Audience),
    /// `open-session`.
    OpenSession(Presented, Audience),
    /// `check-session`.
    CheckSession(Presented, Audience),
    /// `close-session`.
    CloseSession(Presented),
    /// `issue`.
    Issue(IssueRequest, Actor),
    /// `rotate`: which token, for how long the secret before works on, who.
    Rotate(Id, Duration, Actor),
    /// `revoke`: which token, who.
    Revoke(Id, Actor),
    /// `revoke-all`: whose, who.
    RevokeAll(Id, Actor),
    /// `list-tokens`: whose, who.
    ListTokens(Id, Actor),
    /// `change-auth-method`: of whom, to what, who.
    ChangeMethod(Scope, String, Actor),
    /// `preview-auth-method`, likewise.
    PreviewMethod(Scope, String, Actor),
    /// `decide-password-sign-in`: who.
    PasswordSignIn(Id),
}

/// A presented text, as what it turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Presented {
    /// Not of a token's, or a session's, shape.
    Malformed,
    /// Mistyped or cut.
    BadChecksum,
    /// A well-formed one.
    Text {
        /// The identifier in it.
        id: Id,
        /// What its secret matched.
        matches: Matches,
    },
}

/// What a presented secret matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Matches {
    /// The stored digest.
    Current,
    /// That of the secret before, be its overlap over or not.
    Previous,
    /// Neither, or there is no such record, or its digests are erased.
    Nothing,
}

/// A question of the policy's to storage, and the answer. A failure of the store is none: then there was no verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(
    clippy::large_enum_variant,
    reason = "the largest is by far the most frequent, and there are few in a list"
)]
pub enum Answer {
    /// `get-token`.
    Token(Id, Option<TokenSeen>),
    /// `get-owner`.
    Owner(Id, Option<Owner>),
    /// `count-live-tokens`.
    Count(Id, LiveRule, u32),
    /// `live-name-exists`.
    Name(Id, String, LiveRule, bool),
    /// `list-live-tokens`.
    List(Id, LiveRule, Vec<TokenSeen>),
    /// `get-session`.
    Session(Id, Option<SessionSeen>),
    /// `list-open-sessions`.
    Sessions(Id, Vec<OpenSessionSeen>),
    /// `get-auth-method`.
    Method(Scope, Option<String>),
    /// `take-census`.
    Census(Scope, LiveRule, Census),
    /// `end-live-tokens`, which is a write and says how many.
    Ended(Id, LiveRule, u32),
}

/// How a question was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Yes.
    Yes(Yes),
    /// The policy said no.
    Refused(Refusal),
    /// The policy did not decide, or decided what it must not; what kind of fault, as [`Fault::kind`](super::Fault::kind)
    /// has it.
    Fault(String),
    /// The store did not answer.
    Outage,
}

/// What a yes said, as far as it is the policy's to say: no secret, and nothing that was drawn by lot but the
/// identifiers by which later questions name what was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Yes {
    /// Nothing more.
    Done,
    /// A token is let in.
    Granted(Grant),
    /// A session is open.
    Opened {
        /// Which.
        session: Id,
        /// The token that was let in.
        grant: Grant,
        /// When the session will end if it is not used.
        ends: End,
        /// When it ends however much it is used.
        expires: Timestamp,
    },
    /// A session is let in.
    Checked(SessionGrant),
    /// A session is over.
    Closed(ClosedSession),
    /// A token has a new secret.
    Minted {
        /// Which.
        token: Id,
        /// When it will end if it is never used.
        ends: End,
    },
    /// So many were ended.
    Ended(u32),
    /// A list.
    Listed(Vec<ListedToken>),
    /// Whether the method was another one.
    Changed(bool),
    /// What a change would do.
    Previewed(MethodPreview),
}

/// Bytes that are no exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    /// They were written by another version of Patrol.
    #[error("another version of patrol wrote it (format {0})")]
    Version(u8),
    /// They make no sense.
    #[error("it is damaged")]
    Damaged,
}

impl Exchange {
    /// Appends its bytes: the number of the format, and what postcard makes of it.
    ///
    /// # Errors
    /// None is known; postcard's serializer can fail.
    pub fn encode(&self, into: &mut Vec<u8>) -> Result<(), Undecodable> {
        let bytes = postcard::to_stdvec(self).map_err(|_| Undecodable::Damaged)?;
        into.push(VERSION);
        into.extend_from_slice(&bytes);
        Ok(())
    }

    /// The exchange with these bytes, whatever wrote them.
    ///
    /// # Errors
    /// Where they are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        match bytes.split_first() {
            Some((&VERSION, rest)) => match postcard::take_from_bytes(rest) {
                Ok((exchange, [])) => Ok(exchange),
                _ => Err(Undecodable::Damaged),
            },
            Some((version, _)) => Err(Undecodable::Version(*version)),
            None => Err(Undecodable::Damaged),
        }
    }
}

impl Exchange {
    /// The tenant that it is about, as far as it says so, whosever policy decided.
    pub(super) fn concerns(&self) -> Option<Id> {
        let asked = match &self.question {
            Asked::ChangeMethod(Scope::Tenant(tenant), ..)
            | Asked::PreviewMethod(Scope::Tenant(tenant), ..) => Some(*tenant),
            _ => None,
        };
        let answered = || {
            self.answers.iter().find_map(|answer| match answer {
                Answer::Token(_, seen) => seen.map(|seen| seen.owner.tenant),
                Answer::Owner(_, owner) => owner.map(|owner| owner.tenant),
                Answer::Session(_, seen) => seen.map(|seen| seen.token.owner.tenant),
                Answer::List(_, _, list) => list.first().map(|seen| seen.owner.tenant),
                _ => None,
            })
        };
        self.tenant.or(asked).or_else(answered)
    }

    /// About how many bytes of memory it takes.
    pub(super) fn size(&self) -> usize {
        let list = match &self.verdict {
            Verdict::Yes(Yes::Listed(list)) => size_of_val(list.as_slice()),
            _ => 0,
        };
        let answers = self.answers.iter().map(|answer| match answer {
            Answer::List(_, _, list) => size_of_val(list.as_slice()),
            Answer::Sessions(_, list) => size_of_val(list.as_slice()),
            Answer::Name(_, name, ..) | Answer::Method(_, Some(name)) => name.len(),
            _ => 0,
        });
        let fixed = size_of::<Self>()
            .saturating_add(size_of_val(self.answers.as_slice()))
            .saturating_add(list);
        answers.fold(fixed, usize::saturating_add)
    }
}

impl Asked {
    /// The function's name in the contract.
    #[must_use]
    pub const fn function(&self) -> &'static str {
        match self {
            Self::Authenticate(..) => "authenticate",
            Self::OpenSession(..) => "open-session",
            Self::CheckSession(..) => "check-session",
            Self::CloseSession(..) => "close-session",
            Self::Issue(..) => "issue",
            Self::Rotate(..) => "rotate",
            Self::Revoke(..) => "revoke",
            Self::RevokeAll(..) => "revoke-all",
            Self::ListTokens(..) => "list-tokens",
            Self::ChangeMethod(..) => "change-auth-method",
            Self::PreviewMethod(..) => "preview-auth-method",
            Self::PasswordSignIn(..) => "decide-password-sign-in",
        }
    }
}

impl Verdict {
    /// What an error means.
    pub(super) fn of(error: &Error) -> Self {
        match error {
            Error::Refused(refusal) => Self::Refused(*refusal),
            Error::Fault(fault) => Self::Fault(fault.kind().to_owned()),
            _ => Self::Outage,
        }
    }

    /// The reason, if it is a refusal.
    #[must_use]
    pub const fn reason(&self) -> Option<RefusalReason> {
        match self {
            Self::Refused(refusal) => Some(refusal.reason),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
