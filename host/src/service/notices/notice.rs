//! What a notice says.

use patrol_policy::types::Timestamp;
use serde::Serialize;

use crate::store::NoticeKey;

/// What a notice says, and the JSON that is posted: the fields in camel case, those left out that do not apply.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Notice {
    /// The same for all channels: a receiver can tell by it that it has seen a notice.
    pub id: String,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: NoticeKind,
    /// When this was written, RFC 3339.
    pub time: String,
    /// The tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Named>,
    /// The tokens' owner; none where a whole tenant is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Named>,
    /// The token, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<NoticeToken>,
    /// When it ends, of one that is about to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends: Option<NoticeEnd>,
    /// When and by whom, of revoked ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked: Option<NoticeRevocation>,
    #[serde(skip)]
    pub(super) key: NoticeKey,
    /// The last use that it rests on, of a token that is about to end.
    #[serde(skip)]
    pub(super) last_used: Option<Timestamp>,
    #[serde(skip)]
    pub(super) owner_email: Option<String>,
}

impl Notice {
    /// The e-mail address of the tokens' owner, where there is one owner, and it is known.
    #[must_use]
    pub fn owner_email(&self) -> Option<&str> {
        self.owner_email.as_deref()
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum NoticeKind {
    /// A token is about to end by itself.
    #[serde(rename = "token.ending")]
    Ending,
    /// A token was revoked.
    #[serde(rename = "token.revoked")]
    Revoked,
    /// All tokens of a user or a tenant were revoked.
    #[serde(rename = "tokens.revoked")]
    AllRevoked,
}

/// A tenant or user.
#[derive(Clone, Debug, Serialize)]
pub struct Named {
    /// The identifier.
    pub id: String,
    /// The name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A token.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NoticeToken {
    /// The identifier, which is no secret.
    pub id: String,
    /// The name.
    pub name: String,
    /// The expiration date, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// The last use, RFC 3339; none: it was never used.
    pub last_used: Option<String>,
    /// Where that came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_from: Option<String>,
}

/// When and why a token ends.
#[derive(Clone, Debug, Serialize)]
pub struct NoticeEnd {
    /// When, RFC 3339: the first instant at which it is over.
    pub at: String,
    /// `expiration-date` or `idle`.
    pub cause: &'static str,
}

/// How tokens were revoked.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NoticeRevocation {
    /// When, RFC 3339.
    pub at: String,
    /// `revoked` or `auth-method-changed`.
    pub cause: &'static str,
    /// In what capacity somebody did it: `user` (the owner), `administrator`, `token` (the token itself) or `system`.
    pub by_role: String,
    /// Who, where they have a name or identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// How many tokens, where it is not one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Of how many owners.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owners: Option<u64>,
    /// The new authentication method, where a change of it was why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_method: Option<String>,
}
