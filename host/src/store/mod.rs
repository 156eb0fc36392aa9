//! Where the records are kept: the traits that a storage implements, and the embedded SQLite one.
//!
//! A storage answers in the contract's types plus the names that people and gateways need. Three properties are
//! asked of it, and the rest of the host relies on them:
//!
//! * **Coherent.** A read that starts after a write was acknowledged, by this process or by another on the same
//!   data, sees that write. Caches are welcome as long as this holds.
//! * **Atomic.** All of a [`Transaction`] is there after [`commit`](Transaction::commit) returned, whatever crashes
//!   next, or none of it.
//! * **Forward only.** Last-used times never move back, an end mark is never removed or changed.

mod accounts;
mod federation;
mod history;
mod links;
mod notices;
mod oversight;
mod pepper;
mod releases;
mod review;
mod rows;
mod second_factor;
mod sites;
pub mod sqlite;
mod tenants;
mod web;

use std::sync::Arc;
use std::time::Instant;

use patrol_policy::types::{
    Census, Digest, End, Id, LiveRule, Outage, Owner, PreviousSecret, Scope, Session, Timestamp, Token,
    TokenState,
};

pub use accounts::{
    AccountEpochs, AccountRead, AccountRow, AccountSession, PasswordRow, ReadAccounts, WriteAccounts,
};
pub use federation::{Account, LinkedAccount, ReadFederation, WriteFederation};
pub use history::ReadHistory;
pub use links::{LinkPurpose, LinkRow, ReadLinks, WriteLinks};
pub use notices::{EndingFilter, EndingPlace, NoticeKey, ReadNotices, WriteNotices};
pub use oversight::{AuditBack, EndsBy, EventCount, ReadOversight, TokenCount, Used};
pub use pepper::{ReadPepper, WritePepper};
pub use releases::{ActivationRow, ReadReleases, ReleaseRow, WriteReleases};
pub use review::{ReadReview, TokenPage, TokenPlace, TokenQuery, TokenSort, TokenStanding};
pub use rows::{
    AuditEntry, AuditFilter, AuditHead, ClientRow, NewClientRow, NewTenant, NewUser, SessionRead, SessionRow,
    TenantRow, TokenFilter, TokenRead, TokenRow, UserRow,
};
pub use second_factor::{HalfSignIn, ReadSecondFactor, SecondFactorRow, WriteSecondFactor};
pub use sites::{AuditHour, NewSite, ReadSites, SiteRow, SiteScope, WriteSites};
pub use tenants::Tenants;
pub use web::{ReadWeb, WebRow, WebSession, WriteWeb};

/// Why a storage could not do what was asked. The first three are outages; the last is the caller's mistake.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The storage failed or is not there.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// Another writer held the lock for longer than the busy time limit.
    #[error("the store is busy: another process has held its write lock for too long")]
    Busy,
    /// What is stored makes no sense.
    #[error("the store is corrupt: {0}")]
    Corrupt(String),
    /// A unique name is taken.
    #[error("{what} \"{name}\" exists already")]
    Exists {
        /// The kind of thing, such as "tenant".
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// There is no such thing.
    #[error("there is no {what} \"{name}\"")]
    NotFound {
        /// The kind of thing, such as "tenant".
        what: &'static str,
        /// The name or identifier that was looked for.
        name: String,
    },
}

impl StoreError {
    /// What a policy is told of it.
    #[must_use]
    pub fn outage(&self) -> Outage {
        match self {
            Self::Busy => Outage::Busy,
            Self::Corrupt(_) => Outage::Corrupt,
            _ => Outage::Unavailable,
        }
    }
}

/// The result of asking a storage.
pub type Result<T> = std::result::Result<T, StoreError>;

/// A storage, shared by all threads.
pub trait Store: Send + Sync + 'static {
    /// The token with this identifier, uses not yet written included. The hot path.
    fn token(&self, id: Id) -> Result<Option<TokenRead>>;

    /// The session with this identifier, uses not yet written included. The hot path.
    fn session(&self, id: Id) -> Result<Option<SessionRead>>;

    /// The session that a password opened with this identifier, uses not yet written included. The hot path.
    fn account_session(&self, id: Id) -> Result<Option<AccountRead>>;

    /// The client of the OAuth endpoints with this identifier, revoked ones included. On the hot path, too.
    fn client(&self, id: Id) -> Result<Option<Arc<ClientRow>>>;

    /// Notes a use of a token (R5), forward only. It reaches the disk with the next [`flush`](Self::flush), unless
    /// `durable`: then it is there when this returns.
    fn record_use(&self, id: Id, at: Timestamp, from: Option<&str>, durable: bool) -> Result<()>;

    /// Notes a use of a session, likewise.
    fn record_session_use(&self, id: Id, at: Timestamp, durable: bool) -> Result<()>;

    /// Notes a use of a session that a password opened, likewise.
    fn record_account_use(&self, id: Id, at: Timestamp, durable: bool) -> Result<()>;

    /// Writes all noted uses, and says how many records that were. Where it fails, all stay noted.
    fn flush(&self) -> Result<usize>;

    /// Since when the oldest noted use has been waiting to be written. A caller that sees it wait for much longer
    /// than the interval between flushes has a storage that does not write.
    fn oldest_unflushed(&self) -> Option<Instant>;

    /// How many records have a noted use that is not yet written.
    fn unflushed(&self) -> usize;

    /// A consistent view of everything, as of now.
    fn read(&self) -> Result<Box<dyn Read>>;

    /// Starts a transaction; waits for other writers, for a few seconds at most. Dropped without a commit, it
    /// changes nothing.
    fn begin(&self) -> Result<Box<dyn Transaction>>;

    /// Checks the whole of what is stored; the problems found, in words. Empty: none.
    fn check(&self) -> Result<Vec<String>>;
}

/// What policies read; see `wit/storage.wit` for each.
pub trait ReadRecords: Send {
    /// The policy's view of a token.
    fn token_state(&self, id: Id) -> Result<Option<TokenState>>;
    /// A user as the policy sees it.
    fn owner(&self, id: Id) -> Result<Option<Owner>>;
    /// How many tokens of the owner are live (R7).
    fn count_live_tokens(&self, owner: Id, rule: LiveRule) -> Result<u32>;
    /// Whether a live token of the owner has this name (R13).
    fn live_name_exists(&self, owner: Id, name: &str, rule: LiveRule) -> Result<bool>;
    /// The owner's live tokens, oldest first.
    fn list_live_tokens(&self, owner: Id, rule: LiveRule) -> Result<Vec<TokenState>>;
    /// Sessions of a token that are not marked as ended, oldest first.
    fn list_open_sessions(&self, token: Id) -> Result<Vec<Session>>;
    /// A session with its token.
    fn session_state(&self, id: Id) -> Result<Option<patrol_policy::types::SessionState>>;
    /// The authentication method in force.
    fn auth_method(&self, scope: Scope) -> Result<Option<String>>;
    /// What a change of method would revoke (R9).
    fn census(&self, scope: Scope, rule: LiveRule) -> Result<Census>;
    /// Tokens of these tenants that are not marked as ended and no longer live, oldest first.
    fn list_lapsed_tokens(&self, tenants: &Tenants, rule: LiveRule, limit: u32) -> Result<Vec<TokenState>>;
}

/// Everything that can be read, consistently.
pub trait Read:
    ReadRecords
    + ReadAccounts
    + ReadFederation
    + ReadHistory
    + ReadLinks
    + ReadNotices
    + ReadOversight
    + ReadPepper
    + ReadReleases
    + ReadReview
    + ReadSecondFactor
    + ReadSites
    + ReadWeb
{
    /// How many tokens of these tenants are live, and how many of these end by then if they are not used again. Looks
    /// at all of them.
    fn count_tokens(&self, tenants: &Tenants, rule: LiveRule, ending_by: Timestamp) -> Result<(u64, u64)>;
    /// How many sessions of tokens of these tenants are not marked as ended, were opened after one time and used after
    /// another. Uses that are not yet written are left out.
    fn count_sessions(
        &self,
        tenants: &Tenants,
        opened_after: Timestamp,
        used_after: Timestamp,
    ) -> Result<u64>;

    /// One token, with names.
    fn token_row(&self, id: Id) -> Result<Option<TokenRow>>;
    /// Tokens with names, in the order of their identifiers, at most `filter.limit`, after `filter.after`.
    fn token_rows(&self, filter: &TokenFilter) -> Result<Vec<TokenRow>>;
    /// All tenants, by name.
    fn tenants(&self) -> Result<Vec<TenantRow>>;
    /// The tenant with this identifier.
    fn tenant(&self, id: Id) -> Result<Option<TenantRow>>;
    /// The tenant with this name.
    fn tenant_by_name(&self, name: &str) -> Result<Option<TenantRow>>;
    /// Users of one tenant or of all, by tenant and name; deleted ones on demand.
    fn users(&self, tenant: Option<Id>, deleted: bool) -> Result<Vec<UserRow>>;
    /// The user with this identifier, deleted ones included.
    fn user(&self, id: Id) -> Result<Option<UserRow>>;
    /// The users, not deleted, with this name, of one tenant or of all.
    fn users_by_name(&self, tenant: Option<Id>, name: &str) -> Result<Vec<UserRow>>;
    /// Clients of the OAuth endpoints, by name; revoked ones on demand.
    fn clients(&self, revoked: bool) -> Result<Vec<ClientRow>>;
    /// The client with this identifier, revoked ones included.
    fn client_row(&self, id: Id) -> Result<Option<ClientRow>>;
    /// The number of an audience, if it is known.
    fn audience(&self, name: &str) -> Result<Option<u32>>;
    /// Audit entries in order, those that the filter lets through.
    fn audit(&self, filter: &AuditFilter, each: &mut dyn FnMut(AuditEntry) -> bool) -> Result<()>;
    /// The last audit entry's number and hash, as recorded beside the chain.
    fn audit_head(&self) -> Result<AuditHead>;
    /// The highest time that was ever stored, for a clock that must not go back.
    fn clock_mark(&self) -> Result<Timestamp>;
}

/// What policies write; see `wit/storage.wit` for each. Reads see it.
pub trait WriteRecords: ReadRecords {
    /// Stores a new token (R2).
    fn insert_token(&mut self, token: &Token, name: &str) -> Result<()>;
    /// Replaces a token's secret.
    fn replace_secret(
        &mut self,
        id: Id,
        generation: u32,
        scheme: u8,
        digest: Digest,
        previous: Option<PreviousSecret>,
    ) -> Result<()>;
    /// Marks a token as ended and erases its digests (R6); an existing mark stays.
    fn end_token(&mut self, id: Id, end: End) -> Result<()>;
    /// Marks the owner's live tokens as ended; says how many.
    fn end_live_tokens(&mut self, owner: Id, rule: LiveRule, end: End) -> Result<u32>;
    /// Stores a new session.
    fn insert_session(&mut self, session: &Session) -> Result<()>;
    /// Marks a session as ended; an existing mark stays.
    fn end_session(&mut self, id: Id, end: End) -> Result<()>;
    /// Sets a method and raises its epoch (R9): one row.
    fn set_auth_method(&mut self, scope: Scope, method: &str, at: Timestamp) -> Result<()>;
    /// Erases previous secrets of tokens of these tenants whose overlap was over at `until`.
    fn erase_previous_secrets(&mut self, tenants: &Tenants, until: Timestamp, limit: u32) -> Result<u32>;
    /// Deletes tokens of these tenants that ended at `ended_until` or before, with their sessions.
    fn forget_tokens(&mut self, tenants: &Tenants, ended_until: Timestamp, limit: u32) -> Result<u32>;
    /// Deletes sessions of tokens of these tenants that are marked as ended or have lapsed.
    fn forget_sessions(
        &mut self,
        tenants: &Tenants,
        opened_until: Timestamp,
        used_until: Timestamp,
        limit: u32,
    ) -> Result<u32>;
}

/// Everything that can be written, atomically. Reads see what the transaction wrote.
pub trait Transaction:
    Read
    + WriteRecords
    + WriteAccounts
    + WriteFederation
    + WriteLinks
    + WriteNotices
    + WritePepper
    + WriteReleases
    + WriteSecondFactor
    + WriteSites
    + WriteWeb
{
    /// Notes a use of a token as part of this transaction, forward only.
    fn put_use(&mut self, id: Id, at: Timestamp, from: Option<&str>) -> Result<()>;
    /// Notes a use of a session as part of this transaction, forward only.
    fn put_session_use(&mut self, id: Id, at: Timestamp) -> Result<()>;

    /// Stores a new tenant.
    fn insert_tenant(&mut self, tenant: &NewTenant<'_>) -> Result<()>;
    /// Turns multi-factor authentication of a tenant on or off (R11).
    fn set_multi_factor(&mut self, tenant: Id, on: bool) -> Result<()>;
    /// Stores a new user.
    fn insert_user(&mut self, user: &NewUser<'_>) -> Result<()>;
    /// Gives a user another name (R10).
    fn rename_user(&mut self, user: Id, name: &str) -> Result<()>;
    /// Gives a user another e-mail address (R10).
    fn set_email(&mut self, user: Id, email: Option<&str>) -> Result<()>;
    /// Replaces a user's roles (R4).
    fn set_roles(&mut self, user: Id, roles: &[String]) -> Result<()>;
    /// Replaces a user's password hash, which disturbs no token (R10) and ends the sessions that passwords opened.
    fn set_password_hash(&mut self, user: Id, hash: &str) -> Result<()>;
    /// Enables or disables a user (R4).
    fn set_enabled(&mut self, user: Id, enabled: bool) -> Result<()>;
    /// Marks a user as deleted (R4); the name becomes free.
    fn delete_user(&mut self, user: Id, at: Timestamp) -> Result<()>;
    /// Stores a new client of the OAuth endpoints.
    fn insert_client(&mut self, client: &NewClientRow<'_>) -> Result<()>;
    /// Replaces the secret of a client that is not revoked.
    fn replace_client_secret(&mut self, client: Id, scheme: u8, digest: Digest) -> Result<()>;
    /// Marks a client as revoked and erases its digest; an existing mark stays.
    fn revoke_client(&mut self, client: Id, at: Timestamp) -> Result<()>;
    /// The number of an audience, made where it is new.
    fn intern_audience(&mut self, name: &str) -> Result<u32>;
    /// Appends an audit event to the chain. `body` is its JSON text.
    fn append_audit(&mut self, at: Timestamp, event_type: &str, user: Option<Id>, body: &str) -> Result<()>;
    /// Sets the clock's high-water mark: raised only, unless `force` (an operator's repair).
    fn put_clock_mark(&mut self, at: Timestamp, force: bool) -> Result<()>;

    /// How many rows this transaction has written so far, of all tables (R9's cost).
    fn rows_written(&self) -> u64;

    /// Makes it durable. When this returns, every later read of every process sees it.
    fn commit(self: Box<Self>) -> Result<()>;
}
