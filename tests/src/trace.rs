//! Traces: sequences of operations that are run on an engine and on the [model](crate::model) side by side.
//!
//! A [`Subject`] is an engine with its data: natively compiled over maps, or as a component over a real store.
//! [`run`] compares each answer, and all rows after each operation. Operations name tokens, sessions and users by
//! small numbers in the order in which they were made, so that a trace can be written by hand, kept as JSON and
//! replayed on any subject.

use patrol_policy::types::{
    Actor, Audience, ClosedSession, Denial, Duration, End, Grant, Id, IssueRequest, Issued, ListedToken,
    MethodPreview, OpenedSession, Outlook, Parameters, RefusalReason, Scope, Session, SessionGrant, Swept,
    Timestamp, TokenState,
};
use serde::{Deserialize, Serialize};

use crate::model::Model;

mod play;
mod strategy;

pub use play::run;
pub use strategy::{drawn_traces, folder, kept_traces, some_traces, traces};

/// The tenant of each user; there are two tenants, with method 0 and without multi-factor authentication.
pub const USERS: [usize; 3] = [0, 0, 1];

/// When every trace starts: 2026-01-01T00:00:00Z.
pub const START: Timestamp = 1_767_225_600_000;

/// The names to choose from: two are equal once trimmed, the last four are no names at eight characters at most.
pub const NAMES: [&str; 8] = [
    "deploy",
    " deploy\u{2003}",
    "Ünïcödé!",
    "b",
    "",
    " \t",
    "a\u{7}b",
    "too long!",
];

/// The methods to choose from.
pub const METHODS: [&str; 3] = ["password", "saml", "openid"];

/// The identifier of a tenant.
#[must_use]
pub fn tenant_id(index: usize) -> Id {
    Id {
        hi: 1,
        lo: index as u64,
    }
}

/// The identifier of a user.
#[must_use]
pub fn user_id(index: usize) -> Id {
    Id {
        hi: 2,
        lo: index as u64,
    }
}

/// Who asks. A user or token that was never made has an identifier all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "as in the contract")]
pub enum Who {
    Administrator,
    System,
    User(usize),
    Token(usize),
}

/// Whose method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "as in the contract")]
pub enum Target {
    Tenant(usize),
    User(usize),
}

/// What is presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Secret {
    /// The latest text handed out.
    Right,
    /// The text before the last rotation; a wrong one if there was none.
    Previous,
    /// The text two rotations ago; a wrong one if there was none.
    Older,
    /// The right identifier with another secret.
    Wrong,
    /// The right text with one character changed.
    Mistyped,
    /// Something else.
    Malformed,
}

/// One operation. Times are milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case", deny_unknown_fields)]
#[allow(missing_docs, reason = "as in the contract")]
pub enum Op {
    Issue {
        owner: usize,
        name: usize,
        lifetime: i64,
        audience: u32,
        who: Who,
    },
    Present {
        token: usize,
        secret: Secret,
        audience: u32,
    },
    SignIn {
        token: usize,
        secret: Secret,
        audience: u32,
    },
    UseSession {
        session: usize,
        secret: Secret,
        audience: u32,
    },
    CloseSession {
        session: usize,
        secret: Secret,
    },
    Revoke {
        token: usize,
        who: Who,
    },
    RevokeAll {
        owner: usize,
        who: Who,
    },
    Rotate {
        token: usize,
        overlap: Duration,
        who: Who,
    },
    ChangeMethod {
        target: Target,
        method: u8,
        who: Who,
    },
    PreviewMethod {
        target: Target,
        method: u8,
        who: Who,
    },
    Password {
        owner: usize,
    },
    List {
        owner: usize,
        who: Who,
    },
    Foresee,
    Sweep,
    Enable {
        owner: usize,
        on: bool,
    },
    Delete {
        owner: usize,
    },
    Rename {
        owner: usize,
    },
    MultiFactor {
        tenant: usize,
        on: bool,
    },
    Advance {
        by: Duration,
    },
    StepBack {
        by: Duration,
    },
    /// To `offset` from one of the instants ahead at which something ends, in their order.
    Approach {
        nth: usize,
        offset: i64,
    },
}

/// What an administrator does to a user or tenant without the policy.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "as in Op")]
pub enum Change {
    Enable { user: Id, on: bool },
    Delete { user: Id },
    Rename { user: Id },
    MultiFactor { tenant: Id, on: bool },
}

/// An answer, with numbers for identifiers and without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "as in the contract")]
pub enum Verdict {
    Refused {
        reason: RefusalReason,
        token: Option<usize>,
    },
    Issued {
        token: usize,
        ends: End,
    },
    Granted {
        token: usize,
        ends: End,
    },
    Opened {
        session: usize,
        token: usize,
        token_ends: End,
        ends: End,
        expires: Timestamp,
    },
    Checked {
        session: usize,
        token: usize,
        ends: End,
    },
    Closed {
        session: usize,
        token: usize,
    },
    Revoked {
        token: usize,
    },
    RevokedAll {
        count: usize,
    },
    Rotated {
        token: usize,
        ends: End,
    },
    MethodChanged {
        changes: bool,
    },
    MethodPreviewed {
        changes: bool,
        tokens: usize,
        owners: usize,
    },
    Listed(Vec<(usize, End)>),
    Foreseen(Vec<(usize, bool, End)>),
    /// Tokens ended, secrets erased, tokens forgotten, sessions forgotten.
    Swept([usize; 4]),
    Done,
}

/// A token as it should be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "as in the contract")]
pub struct TokenRow {
    pub index: usize,
    pub owner: usize,
    pub name: String,
    pub audience: u32,
    pub generation: u32,
    /// Whether its digest is gone (R6).
    pub erased: bool,
    /// Until when the secret before works.
    pub previous: Option<Timestamp>,
    pub created: Timestamp,
    pub expires: Timestamp,
    pub last_used: Option<Timestamp>,
    pub ended: Option<End>,
}

/// A session as it should be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "as in the contract")]
pub struct SessionRow {
    pub index: usize,
    pub token: usize,
    pub generation: u32,
    pub opened: Timestamp,
    pub last_used: Timestamp,
    pub ended: Option<End>,
}

/// All that is stored of tokens and sessions, in the order in which they were made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "as named")]
pub struct Rows {
    pub tokens: Vec<TokenRow>,
    pub sessions: Vec<SessionRow>,
}

/// Settings small enough for limits to matter, and operations on the world of [`USERS`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trace {
    /// What it shows.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// Most live tokens of an owner.
    pub tokens_per_owner: u32,
    /// Open sessions of a token; 0: any number.
    pub sessions_per_token: u32,
    /// Idle period of a token.
    pub idle_after: Duration,
    /// Greatest length of a session; its idle period is half an hour.
    pub session_lifetime: Duration,
    /// What happens.
    pub ops: Vec<Op>,
}

impl Trace {
    /// The settings that this trace runs under.
    #[must_use]
    pub fn parameters(&self) -> Parameters {
        Parameters {
            tokens_per_owner: self.tokens_per_owner,
            sessions_per_token: self.sessions_per_token,
            idle_after: self.idle_after,
            session_lifetime: self.session_lifetime,
            name_max_length: 8,
            ..Parameters::default()
        }
    }
}

/// An engine with its data, in the contract's own terms. It starts out with the tenants of [`tenant_id`] and the users
/// of [`user_id`], as [`USERS`] says, at [`START`], under [`Trace::parameters`].
#[allow(
    missing_docs,
    clippy::missing_errors_doc,
    reason = "one for one the contract's engine"
)]
pub trait Subject {
    /// Sets the clock, back or forth.
    fn set_now(&mut self, now: Timestamp);
    /// Does what needs no policy.
    fn administer(&mut self, change: Change);
    /// All tokens stored, with their owners and names.
    fn tokens(&mut self) -> Vec<(TokenState, String)>;
    /// All sessions stored.
    fn sessions(&mut self) -> Vec<Session>;

    fn issue(&mut self, request: IssueRequest, actor: Actor) -> Result<Issued, Denial>;
    fn authenticate(&mut self, presented: &[u8], audience: Audience) -> Result<Grant, Denial>;
    fn open_session(&mut self, presented: &[u8], audience: Audience) -> Result<OpenedSession, Denial>;
    fn check_session(&mut self, presented: &[u8], audience: Audience) -> Result<SessionGrant, Denial>;
    fn close_session(&mut self, presented: &[u8]) -> Result<ClosedSession, Denial>;
    fn revoke(&mut self, token: Id, actor: Actor) -> Result<(), Denial>;
    fn revoke_all(&mut self, owner: Id, actor: Actor) -> Result<u32, Denial>;
    fn rotate(&mut self, token: Id, overlap: Duration, actor: Actor) -> Result<Issued, Denial>;
    fn change_auth_method(&mut self, scope: Scope, method: &str, actor: Actor) -> Result<bool, Denial>;
    fn preview_auth_method(
        &mut self,
        scope: Scope,
        method: &str,
        actor: Actor,
    ) -> Result<MethodPreview, Denial>;
    fn decide_password_sign_in(&mut self, owner: Id) -> Result<(), Denial>;
    fn list_tokens(&mut self, owner: Id, actor: Actor) -> Result<Vec<ListedToken>, Denial>;
    fn foresee(&mut self, states: &[TokenState]) -> Vec<Outlook>;
    fn sweep(&mut self, limit: u32) -> Result<Swept, Denial>;
}
