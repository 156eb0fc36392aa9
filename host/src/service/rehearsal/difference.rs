//! Whether two verdicts on the same question differ, and how.

use std::fmt;

use patrol_policy::types::{Id, RefusalReason, Scope, Timestamp};
use serde::{Serialize, Serializer};

use crate::service::exchange::{Answer, Asked, Exchange, Presented, Verdict, Yes};

/// A question to which the candidate would have answered something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Difference {
    /// When it was asked, ms since the epoch.
    pub at: Timestamp,
    /// The function of the contract.
    pub function: &'static str,
    /// What it is a change of.
    #[serde(flatten)]
    pub change: Change,
    /// What it was about.
    #[serde(flatten)]
    pub subject: Subject,
}

/// One kind of change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Change {
    /// What was asked for.
    pub asked: Matter,
    /// How it was answered.
    pub was: Outcome,
    /// How the candidate would have answered.
    pub would: Outcome,
}

/// What can be asked for, as people see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Matter {
    /// To be let in with a token.
    Token,
    /// To be let in, or out, with a session.
    Session,
    /// A new token.
    Creation,
    /// A new secret.
    Rotation,
    /// The end of one token or all of a user.
    Revocation,
    /// A list of tokens.
    List,
    /// A change of authentication method, or a look at what it would do.
    Method,
    /// To be let in with a password.
    Password,
}

/// How a question was answered, in as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// Yes.
    Accepted,
    /// Yes, and the token or session would end at another time.
    OtherEnd,
    /// Yes, with another list, count or effect.
    OtherAnswer,
    /// No.
    Refused(RefusalReason),
    /// The policy did not decide, or decided what it must not: no verdict.
    Fault(String),
    /// The store did not answer: no verdict.
    Outage,
}

/// What a decision was about, as far as the exchange says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Subject {
    /// The token.
    pub token: Option<Id>,
    /// The owner, or whose method it was.
    pub owner: Option<Id>,
    /// The tenant whose method it was.
    pub tenant: Option<Id>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted => f.write_str("accepted"),
            Self::OtherEnd => f.write_str("accepted, to end at another time"),
            Self::OtherAnswer => f.write_str("accepted, with another answer"),
            Self::Refused(reason) => write!(f, "refused: {reason}"),
            Self::Fault(kind) => write!(f, "fault: {kind}"),
            Self::Outage => f.write_str("no answer of the store"),
        }
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Matter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token => "token",
            Self::Session => "session",
            Self::Creation => "creation",
            Self::Rotation => "rotation",
            Self::Revocation => "revocation",
            Self::List => "list",
            Self::Method => "method",
            Self::Password => "password",
        })
    }
}

impl Difference {
    /// The difference between what was said and what the candidate says, if there is one.
    #[must_use]
    pub fn between(exchange: &Exchange, candidate: &Verdict) -> Option<Self> {
        let (was, would) = match (&exchange.verdict, candidate) {
            (Verdict::Yes(live), Verdict::Yes(own)) => (Outcome::Accepted, otherwise(live, own)?),
            (live, own) => (outcome(live), outcome(own)),
        };
        (was != would).then(|| Self {
            at: exchange.at,
            function: exchange.question.function(),
            change: Change {
                asked: matter(&exchange.question),
                was,
                would,
            },
            subject: Subject::of(exchange),
        })
    }
}

fn outcome(verdict: &Verdict) -> Outcome {
    match verdict {
        Verdict::Yes(_) => Outcome::Accepted,
        Verdict::Refused(refusal) => Outcome::Refused(refusal.reason),
        Verdict::Fault(kind) => Outcome::Fault(kind.clone()),
        Verdict::Outage => Outcome::Outage,
    }
}

/// How one yes differs from another, whatever was drawn by lot.
fn otherwise(live: &Yes, own: &Yes) -> Option<Outcome> {
    let (same, outcome) = match (live, own) {
        (Yes::Granted(live), Yes::Granted(own)) => (live.ends == own.ends, Outcome::OtherEnd),
        (
            Yes::Opened {
                grant, ends, expires, ..
            },
            Yes::Opened {
                grant: own_grant,
                ends: own_ends,
                expires: own_expires,
                ..
            },
        ) => (
            (grant.ends, ends, expires) == (own_grant.ends, own_ends, own_expires),
            Outcome::OtherEnd,
        ),
        (Yes::Checked(live), Yes::Checked(own)) => (live.ends == own.ends, Outcome::OtherEnd),
        (Yes::Minted { ends, .. }, Yes::Minted { ends: own, .. }) => (ends == own, Outcome::OtherEnd),
        (Yes::Closed(_), Yes::Closed(_)) => return None,
        (Yes::Listed(live), Yes::Listed(own)) => {
            let ids = |list: &[patrol_policy::types::ListedToken]| -> Vec<_> {
                list.iter().map(|one| one.token).collect()
            };
            match ids(live) == ids(own) {
                true => (live == own, Outcome::OtherEnd),
                false => (false, Outcome::OtherAnswer),
            }
        }
        (live, own) => (live == own, Outcome::OtherAnswer),
    };
    (!same).then_some(outcome)
}

const fn matter(question: &Asked) -> Matter {
    match question {
        Asked::Authenticate(..) | Asked::OpenSession(..) => Matter::Token,
        Asked::CheckSession(..) | Asked::CloseSession(..) => Matter::Session,
        Asked::Issue(..) => Matter::Creation,
        Asked::Rotate(..) => Matter::Rotation,
        Asked::Revoke(..) | Asked::RevokeAll(..) => Matter::Revocation,
        Asked::ListTokens(..) => Matter::List,
        Asked::ChangeMethod(..) | Asked::PreviewMethod(..) => Matter::Method,
        Asked::PasswordSignIn(..) => Matter::Password,
    }
}

impl Subject {
    fn of(exchange: &Exchange) -> Self {
        let token = |id: Id| Self {
            token: Some(id),
            owner: owner_of(exchange, id),
            tenant: None,
        };
        let owner = |id: Id| Self {
            owner: Some(id),
            ..Self::default()
        };
        match &exchange.question {
            Asked::Authenticate(presented, _) | Asked::OpenSession(presented, _) => match presented {
                Presented::Text { id, .. } => token(*id),
                _ => Self::default(),
            },
            Asked::CheckSession(..) | Asked::CloseSession(..) => {
                let of = exchange.answers.iter().find_map(|answer| match answer {
                    Answer::Session(_, Some(seen)) => Some(seen.token.id),
                    _ => None,
                });
                of.map_or_else(Self::default, token)
            }
            Asked::Rotate(id, ..) | Asked::Revoke(id, _) => token(*id),
            Asked::Issue(request, _) => owner(request.owner),
            Asked::RevokeAll(id, _) | Asked::ListTokens(id, _) | Asked::PasswordSignIn(id) => owner(*id),
            Asked::ChangeMethod(scope, ..) | Asked::PreviewMethod(scope, ..) => match scope {
                Scope::Owner(id) => owner(*id),
                Scope::Tenant(id) => Self {
                    tenant: Some(*id),
                    ..Self::default()
                },
            },
        }
    }
}

fn owner_of(exchange: &Exchange, token: Id) -> Option<Id> {
    exchange.answers.iter().find_map(|answer| match answer {
        Answer::Token(_, Some(seen)) if seen.id == token => Some(seen.owner.id),
        Answer::Session(_, Some(seen)) if seen.token.id == token => Some(seen.token.owner.id),
        _ => None,
    })
}
