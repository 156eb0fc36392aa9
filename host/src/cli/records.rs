//! Records as programs read them: JSON with camelCase keys, times in RFC 3339, identifiers as UUID text.

use patrol_policy::types::{End, Id, Timestamp};
use serde::{Serialize, Serializer};

use super::print::{self, date, fields, or_dash, plain};
use crate::service::{OwnedToken, ReviewedToken, WaysIn};
use crate::store::{SiteRow, TenantRow, TokenRow, UserRow};
use crate::time::{rfc3339, roughly};

/// Writes an identifier as a UUID.
pub(super) fn uuid<S: Serializer>(id: &Id, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

/// An instant in RFC 3339.
#[derive(Clone, Copy)]
pub(super) struct At(pub(super) Timestamp);

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&rfc3339(self.0))
    }
}

/// When and why something ends.
#[derive(Serialize)]
pub(super) struct Ends {
    at: At,
    cause: &'static str,
}

impl From<End> for Ends {
    fn from(end: End) -> Self {
        Self {
            at: At(end.at),
            cause: end.cause.as_str(),
        }
    }
}

/// A tenant.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tenant<'a> {
    #[serde(serialize_with = "uuid")]
    id: Id,
    name: &'a str,
    auth_method: &'a str,
    multi_factor: bool,
    created: At,
}

impl<'a> From<&'a TenantRow> for Tenant<'a> {
    fn from(row: &'a TenantRow) -> Self {
        Self {
            id: row.id,
            name: &row.name,
            auth_method: &row.auth_method,
            multi_factor: row.multi_factor,
            created: At(row.created),
        }
    }
}

/// A tenant for people.
pub(super) fn tenant_fields(row: &TenantRow, now: Timestamp) -> String {
    fields([
        ("tenant", plain(&row.name)),
        ("method", plain(&row.auth_method)),
        ("MFA", on_off(row.multi_factor).to_owned()),
        ("created", print::date_and_distance(row.created, now)),
        ("id", row.id.to_string()),
    ])
}

/// A switch in words.
pub(super) const fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

/// A site.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Site<'a> {
    #[serde(serialize_with = "uuid")]
    id: Id,
    tenant: &'a str,
    name: &'a str,
    content_url: &'a str,
    created: At,
}

impl<'a> From<&'a SiteRow> for Site<'a> {
    fn from(row: &'a SiteRow) -> Self {
        Self {
            id: row.id,
            tenant: &row.tenant_name,
            name: &row.name,
            content_url: &row.content_url,
            created: At(row.created),
        }
    }
}

/// A site for people.
pub(super) fn site_fields(row: &SiteRow, now: Timestamp) -> String {
    fields([
        ("site", full_name(&row.tenant_name, &row.name)),
        ("content url", or_dash(Some(plain(&row.content_url)))),
        ("created", print::date_and_distance(row.created, now)),
        ("id", row.id.to_string()),
    ])
}

/// A user.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct User<'a> {
    #[serde(serialize_with = "uuid")]
    id: Id,
    tenant: &'a str,
    name: &'a str,
    email: Option<&'a str>,
    roles: &'a [String],
    enabled: bool,
    deleted: Option<At>,
    auth_method: Option<&'a str>,
    has_password: bool,
    created: At,
}

impl<'a> From<&'a UserRow> for User<'a> {
    fn from(row: &'a UserRow) -> Self {
        Self {
            id: row.id,
            tenant: &row.tenant_name,
            name: &row.name,
            email: row.email.as_deref(),
            roles: &row.roles,
            enabled: row.enabled,
            deleted: row.deleted.map(At),
            auth_method: row.auth_method.as_deref(),
            has_password: row.has_password,
            created: At(row.created),
        }
    }
}

/// A user with how they get in besides their password.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ShownUser<'a> {
    #[serde(flatten)]
    user: User<'a>,
    second_factor: bool,
    recovery_codes_left: u32,
    accounts: Vec<LinkedRecord<'a>>,
}

#[derive(Serialize)]
struct LinkedRecord<'a> {
    provider: &'a str,
    issuer: &'a str,
    subject: &'a str,
    linked: At,
}

impl<'a> ShownUser<'a> {
    pub(super) fn of(row: &'a UserRow, ways: &'a WaysIn) -> Self {
        let accounts = ways.accounts.iter().map(|account| LinkedRecord {
            provider: &account.provider,
            issuer: &account.issuer,
            subject: &account.subject,
            linked: At(account.linked),
        });
        Self {
            user: User::from(row),
            second_factor: ways.second_factor.enrolled,
            recovery_codes_left: ways.second_factor.recovery_left,
            accounts: accounts.collect(),
        }
    }
}

/// The same for people.
pub(super) fn ways_in_fields(ways: &WaysIn, now: Timestamp) -> Vec<(&'static str, String)> {
    let factor = ways.second_factor;
    let second = match factor.recovery_left {
        _ if !factor.enrolled => "off".to_owned(),
        1 => "on, 1 recovery code left".to_owned(),
        left => format!("on, {left} recovery codes left"),
    };
    let accounts = ways.accounts.iter().map(|account| {
        let whose = [&account.provider, &account.issuer, &account.subject].map(|text| plain(text));
        let linked = print::date_and_distance(account.linked, now);
        ("account", format!("{}, linked {linked}", whose.join(" ")))
    });
    [("second factor", second)].into_iter().chain(accounts).collect()
}

/// A user for people.
pub(super) fn user_fields(row: &UserRow, now: Timestamp) -> [(&'static str, String); 8] {
    let method = match &row.auth_method {
        Some(method) => plain(method),
        None => "the tenant's".to_owned(),
    };
    [
        ("user", full_name(&row.tenant_name, &row.name)),
        ("e-mail", or_dash(row.email.as_deref().map(plain))),
        ("roles", roles(&row.roles)),
        ("state", user_state(row).to_owned()),
        ("method", method),
        (
            "password",
            if row.has_password { "set" } else { "none" }.to_owned(),
        ),
        ("created", print::date_and_distance(row.created, now)),
        ("id", row.id.to_string()),
    ]
}

/// Whether a user can be let in.
pub(super) const fn user_state(row: &UserRow) -> &'static str {
    match (row.deleted, row.enabled) {
        (Some(_), _) => "deleted",
        (None, true) => "enabled",
        (None, false) => "disabled",
    }
}

/// A user's name with the tenant's, as commands take it.
pub(super) fn full_name(tenant: &str, user: &str) -> String {
    format!("{}/{}", plain(tenant), plain(user))
}

/// Roles for people.
pub(super) fn roles(roles: &[String]) -> String {
    or_dash(Some(plain(&roles.join(", "))))
}

/// Whether a token would let its owner in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum TokenState {
    /// It would.
    Live,
    /// It never will again.
    Ended,
    /// Not while its owner is disabled.
    Resting,
}

impl TokenState {
    /// The word for it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Ended => "ended",
            Self::Resting => "resting",
        }
    }
}

/// A token with when and why it ends.
pub(super) struct ShownToken {
    pub(super) row: TokenRow,
    pub(super) ends: End,
    pub(super) state: TokenState,
}

impl ShownToken {
    /// A token as reviewed at this time.
    pub(super) fn reviewed(token: ReviewedToken, now: Timestamp) -> Self {
        let ended = token.row.state.token.ended.is_some() || token.outlook.ends.at <= now;
        let state = match (token.outlook.live, ended) {
            (true, _) => TokenState::Live,
            (false, true) => TokenState::Ended,
            (false, false) => TokenState::Resting,
        };
        Self {
            ends: token.outlook.ends,
            row: token.row,
            state,
        }
    }

    /// A token in its owner's list.
    pub(super) fn owned(token: OwnedToken) -> Self {
        let state = if token.row.state.owner.enabled {
            TokenState::Live
        } else {
            TokenState::Resting
        };
        Self {
            ends: token.ends,
            row: token.row,
            state,
        }
    }

    /// The owner's name with the tenant's.
    pub(super) fn owner(&self) -> String {
        full_name(&self.row.tenant_name, &self.row.owner_name)
    }

    /// The token for programs.
    pub(super) fn record(&self) -> Token<'_> {
        let token = &self.row.state.token;
        Token {
            id: token.id,
            name: &self.row.name,
            owner: &self.row.owner_name,
            owner_id: token.owner,
            tenant: &self.row.tenant_name,
            audience: &self.row.audience,
            created: At(token.created),
            expires: At(token.expires),
            last_used: token.last_used.map(At),
            last_used_from: self.row.last_used_from.as_deref(),
            generation: token.generation,
            state: self.state,
            ends: self.ends.into(),
        }
    }

    /// The headings of [`cells`](Self::cells).
    pub(super) const HEADINGS: [&'static str; 8] = [
        "NAME",
        "OWNER",
        "AUDIENCE",
        "CREATED",
        "LAST USED",
        "ENDS",
        "WHY",
        "ID",
    ];

    /// The token as a row of a table for people.
    pub(super) fn cells(&self, now: Timestamp) -> [String; 8] {
        let token = &self.row.state.token;
        let ends = match self.state {
            TokenState::Resting => format!("{} (owner disabled)", date(self.ends.at)),
            _ => format!("{} ({})", date(self.ends.at), roughly(self.ends.at, now)),
        };
        [
            plain(&self.row.name),
            self.owner(),
            plain(&self.row.audience),
            date(token.created),
            self.last_used(now),
            ends,
            print::cause(self.ends.cause),
            token.id.to_string(),
        ]
    }

    /// The token for people.
    pub(super) fn fields(&self, now: Timestamp) -> String {
        let token = &self.row.state.token;
        let from = match &self.row.last_used_from {
            Some(from) => format!(", from {}", plain(from)),
            None => String::new(),
        };
        fields([
            ("token", plain(&self.row.name)),
            ("owner", self.owner()),
            ("audience", plain(&self.row.audience)),
            ("state", self.state.as_str().to_owned()),
            (
                if self.state == TokenState::Ended {
                    "ended"
                } else {
                    "ends"
                },
                print::end(self.ends, now),
            ),
            ("expires", print::date_and_distance(token.expires, now)),
            ("last used", format!("{}{from}", self.last_used(now))),
            ("created", print::date_and_distance(token.created, now)),
            ("rotations", token.generation.to_string()),
            ("id", token.id.to_string()),
        ])
    }

    fn last_used(&self, now: Timestamp) -> String {
        self.row
            .state
            .token
            .last_used
            .map_or_else(|| "never".to_owned(), |at| print::date_and_distance(at, now))
    }
}

/// A token for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Token<'a> {
    #[serde(serialize_with = "uuid")]
    id: Id,
    name: &'a str,
    owner: &'a str,
    #[serde(serialize_with = "uuid")]
    owner_id: Id,
    tenant: &'a str,
    audience: &'a str,
    created: At,
    expires: At,
    last_used: Option<At>,
    last_used_from: Option<&'a str>,
    generation: u32,
    state: TokenState,
    ends: Ends,
}
