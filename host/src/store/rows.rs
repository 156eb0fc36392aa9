//! What a storage hands out: the contract's records with the names that people and gateways need.

use std::sync::Arc;

use patrol_policy::types::{Digest, Epoch, Id, SessionState, Timestamp, TokenState};

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantRow {
    /// Its identifier.
    pub id: Id,
    /// Its unique name.
    pub name: String,
    /// The authentication method in force (R9).
    pub auth_method: String,
    /// How often the method changed.
    pub epoch: Epoch,
    /// When it last changed; 0 if never.
    pub epoch_since: Timestamp,
    /// Whether multi-factor authentication is on (R11).
    pub multi_factor: bool,
    /// When it was made.
    pub created: Timestamp,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// The identifier that never changes (R10).
    pub id: Id,
    /// The tenant.
    pub tenant: Id,
    /// The tenant's name.
    pub tenant_name: String,
    /// The user's name, unique in the tenant.
    pub name: String,
    /// The e-mail address.
    pub email: Option<String>,
    /// The roles, sorted (R4).
    pub roles: Vec<String>,
    /// Whether the user is enabled.
    pub enabled: bool,
    /// When the user was deleted, if so.
    pub deleted: Option<Timestamp>,
    /// The user's own authentication method; `None`: the tenant's.
    pub auth_method: Option<String>,
    /// Whether a password is set.
    pub has_password: bool,
    /// When the user was made.
    pub created: Timestamp,
}

/// A token with names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// The token and its owner. As stored in a [`TokenRead`], elsewhere with uses that are not yet written.
    pub state: TokenState,
    /// The token's name (R13).
    pub name: String,
    /// The audience's name (R12).
    pub audience: String,
    /// Where the last use came from (R13).
    pub last_used_from: Option<String>,
    /// The owner's name.
    pub owner_name: String,
    /// The owner's e-mail address.
    pub owner_email: Option<String>,
    /// The owner's roles at this moment (R4).
    pub owner_roles: Vec<String>,
    /// The tenant's name.
    pub tenant_name: String,
}

impl TokenRow {
    /// A token whose names nobody asks for.
    pub(crate) const fn nameless(state: TokenState) -> Self {
        Self {
            state,
            name: String::new(),
            audience: String::new(),
            last_used_from: None,
            owner_name: String::new(),
            owner_email: None,
            owner_roles: Vec::new(),
            tenant_name: String::new(),
        }
    }
}

/// A session with names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// The session, its token and the owner, as stored.
    pub state: SessionState,
    /// The token with names.
    pub token: TokenRow,
}

/// A token as read on the hot path.
#[derive(Clone, Debug)]
pub struct TokenRead {
    /// The state, with uses that are not yet written.
    pub state: TokenState,
    /// The names; its own `state` is as stored.
    pub row: Arc<TokenRow>,
}

/// A session as read on the hot path.
#[derive(Clone, Debug)]
pub struct SessionRead {
    /// The state, with uses that are not yet written, of session and token.
    pub state: SessionState,
    /// The names.
    pub row: Arc<SessionRow>,
}

/// Which tokens to list.
#[derive(Clone, Debug, Default)]
pub struct TokenFilter {
    /// Of this owner only.
    pub owner: Option<Id>,
    /// Of this tenant only.
    pub tenant: Option<Id>,
    /// Only those that a change of method would revoke now: live by this rule.
    pub live: Option<patrol_policy::types::LiveRule>,
    /// After this identifier.
    pub after: Option<Id>,
    /// At most this many.
    pub limit: u32,
}

/// A tenant to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewTenant<'a> {
    /// Its identifier.
    pub id: Id,
    /// Its name.
    pub name: &'a str,
    /// Its authentication method.
    pub auth_method: &'a str,
    /// Whether multi-factor authentication is on.
    pub multi_factor: bool,
    /// Now.
    pub created: Timestamp,
}

/// A user to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewUser<'a> {
    /// The identifier.
    pub id: Id,
    /// The tenant.
    pub tenant: Id,
    /// The name.
    pub name: &'a str,
    /// The e-mail address.
    pub email: Option<&'a str>,
    /// The roles.
    pub roles: &'a [String],
    /// Now.
    pub created: Timestamp,
}

/// A client of the OAuth endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRow {
    /// Its identifier, which it presents.
    pub id: Id,
    /// Its name, unique among those that are not revoked.
    pub name: String,
    /// The tenant, and its name, whose tokens it may ask about; none: all.
    pub tenant: Option<(Id, String)>,
    /// The audiences whose tokens it may ask about (R12).
    pub audiences: Vec<String>,
    /// How the secret is hashed; 0 once revoked.
    pub scheme: u8,
    /// The hash; zeroes once revoked.
    pub digest: Digest,
    /// When it was made.
    pub created: Timestamp,
    /// When it stops working, if ever.
    pub expires: Option<Timestamp>,
    /// When it was revoked, if so.
    pub revoked: Option<Timestamp>,
}

/// A client to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewClientRow<'a> {
    /// Its identifier.
    pub id: Id,
    /// Its name.
    pub name: &'a str,
    /// The tenant that it is limited to.
    pub tenant: Option<Id>,
    /// The audiences that it is limited to.
    pub audiences: &'a [String],
    /// How the secret is hashed.
    pub scheme: u8,
    /// The hash.
    pub digest: Digest,
    /// Now.
    pub created: Timestamp,
    /// When it stops working, if ever.
    pub expires: Option<Timestamp>,
}

/// One entry of the audit chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its number, from 1, without gaps.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// The event type, such as `create_personal_access_token`.
    pub event_type: String,
    /// The user it is about, for searching.
    pub user: Option<Id>,
    /// The event as JSON.
    pub body: String,
    /// SHA-256 over the entry before's hash and this entry.
    pub hash: [u8; 32],
}

/// Which audit entries to read.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// At this time or later.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// About this user.
    pub user: Option<Id>,
    /// Of this type.
    pub event_type: Option<String>,
    /// Only the last so many of those that match (still in order).
    pub last: Option<u32>,
    /// After this number.
    pub after: u64,
}

/// The end of the audit chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct AuditHead {
    /// The last entry's number; 0 if there is none.
    pub seq: u64,
    /// The last entry's hash.
    pub hash: [u8; 32],
}
