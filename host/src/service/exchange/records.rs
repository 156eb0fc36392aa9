//! The records that storage answers with, without their digests.

use patrol_policy::types::{
    Audience, Digest, End, Epoch, Id, Owner, PreviousSecret, Session, SessionState, Timestamp, Token,
    TokenState,
};
use serde::{Deserialize, Serialize};

/// A token and its owner, who is said once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "as in `Token`")]
pub struct TokenSeen {
    pub id: Id,
    pub audience: Audience,
    pub scheme: u8,
    pub generation: u32,
    /// The scheme of the secret before, and until when it works.
    pub previous: Option<(u8, Timestamp)>,
    pub created: Timestamp,
    pub expires: Timestamp,
    pub last_used: Option<Timestamp>,
    pub owner_epoch: Epoch,
    pub tenant_epoch: Epoch,
    pub ended: Option<End>,
    pub owner: Owner,
}

/// A session of a token that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "as in `Session`")]
pub struct OpenSessionSeen {
    pub id: Id,
    pub generation: u32,
    pub opened: Timestamp,
    pub last_used: Timestamp,
    pub ended: Option<End>,
}

/// A session with its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "as in `SessionState`")]
pub struct SessionSeen {
    pub session: OpenSessionSeen,
    pub token: TokenSeen,
}

impl From<&TokenState> for TokenSeen {
    fn from(state: &TokenState) -> Self {
        let TokenState { token, owner } = state;
        Self {
            id: token.id,
            audience: token.audience,
            scheme: token.scheme,
            generation: token.generation,
            previous: token.previous.map(|previous| (previous.scheme, previous.until)),
            created: token.created,
            expires: token.expires,
            last_used: token.last_used,
            owner_epoch: token.owner_epoch,
            tenant_epoch: token.tenant_epoch,
            ended: token.ended,
            owner: *owner,
        }
    }
}

impl TokenSeen {
    /// The token, with no digest in the place of each.
    pub(crate) fn state(&self) -> TokenState {
        let token = Token {
            id: self.id,
            owner: self.owner.id,
            tenant: self.owner.tenant,
            audience: self.audience,
            scheme: self.scheme,
            digest: Digest::default(),
            generation: self.generation,
            previous: self.previous.map(|(scheme, until)| PreviousSecret {
                scheme,
                digest: Digest::default(),
                until,
            }),
            created: self.created,
            expires: self.expires,
            last_used: self.last_used,
            owner_epoch: self.owner_epoch,
            tenant_epoch: self.tenant_epoch,
            ended: self.ended,
        };
        TokenState {
            token,
            owner: self.owner,
        }
    }
}

impl From<&Session> for OpenSessionSeen {
    fn from(session: &Session) -> Self {
        Self {
            id: session.id,
            generation: session.generation,
            opened: session.opened,
            last_used: session.last_used,
            ended: session.ended,
        }
    }
}

impl OpenSessionSeen {
    /// The session of this token, with no digest in the place of one.
    pub(crate) fn session(&self, token: Id) -> Session {
        Session {
            id: self.id,
            token,
            generation: self.generation,
            digest: Digest::default(),
            opened: self.opened,
            last_used: self.last_used,
            ended: self.ended,
        }
    }
}

impl From<&SessionState> for SessionSeen {
    fn from(state: &SessionState) -> Self {
        Self {
            session: (&state.session).into(),
            token: (&state.token).into(),
        }
    }
}

impl SessionSeen {
    /// The session and its token, with no digest in the place of each.
    pub(crate) fn state(&self) -> SessionState {
        SessionState {
            session: self.session.session(self.token.id),
            token: self.token.state(),
        }
    }
}
