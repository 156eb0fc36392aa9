//! What a policy is written with: `use patrol_policy::prelude::*;`.

pub use alloc::string::String;
pub use alloc::vec::Vec;

pub use crate::token::Scheme;
pub use crate::types::{
    Actor, ActorRole, Audience, Cause, ClosedSession, DAY, Denial, Description, Duration, End, Grant, HOUR,
    Id, IssueRequest, Issued, Level, ListedToken, MINUTE, MethodPreview, OpenedSession, Outlook, Owner,
    Parameters, Refusal, RefusalReason, Scope, SessionGrant, Swept, Timestamp, Token, TokenState,
};
pub use crate::{Engine, Host, Policy, Secret};
