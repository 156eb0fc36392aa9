//! What the administrators of one tenant look at: its users by name, its part of the audit trail backwards, and counts.

use patrol_policy::types::{Id, LiveRule, Timestamp};

use super::{AuditEntry, Result, UserRow};

/// Which events of a tenant to read backwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditBack {
    /// The tenant.
    pub tenant: Id,
    /// About this user.
    pub user: Option<Id>,
    /// In this hour, counted from the epoch, or later.
    pub from_hour: u64,
    /// In this hour or before.
    pub until_hour: u64,
    /// Older than the event with this number.
    pub before: Option<u64>,
}

/// Why a token will end if it is not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EndsBy {
    /// Its expiration date comes first.
    Expiration,
    /// It idles out first (R5).
    Idleness,
}

/// How lately a token was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Used {
    /// Not once.
    Never,
    /// Not since the time asked for.
    Before,
    /// Since then.
    Since,
}

/// Live tokens that are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenCount {
    /// In which week from now they end, from 0.
    pub week: u32,
    /// Why.
    pub ends_by: EndsBy,
    /// How lately they were used.
    pub used: Used,
    /// How many.
    pub count: u64,
}

/// Events that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventCount {
    /// On which day, counted from the epoch, in UTC.
    pub day: u64,
    /// Their type.
    pub event_type: String,
    /// How they went.
    pub outcome: String,
    /// Why, where not well.
    pub reason: Option<String>,
    /// How many.
    pub count: u64,
}

/// What can be read of a tenant as a whole.
pub trait ReadOversight: Send {
    /// Users of a tenant, not deleted, in the order of their names after `after`, at most `limit`: those whose name or
    /// e-mail address has `text` in it, whatever the case of its ASCII letters.
    fn users_named(&self, tenant: Id, text: &str, after: &str, limit: u32) -> Result<Vec<UserRow>>;
    /// Events of a tenant, the newest hour first and in it the latest, until `each` says that it has enough. About one
    /// user: in the order of their numbers, whatever the hour.
    fn audit_back(&self, filter: &AuditBack, each: &mut dyn FnMut(AuditEntry) -> bool) -> Result<()>;
    /// The event with this number, if it is one of the tenant's.
    fn audit_entry(&self, tenant: Id, seq: u64) -> Result<Option<AuditEntry>>;
    /// Live tokens of a tenant; those that end in week `last_week` from now or later are counted there. Looks at all of
    /// them.
    fn count_by_end(
        &self,
        tenant: Id,
        rule: LiveRule,
        used_since: Timestamp,
        last_week: u32,
    ) -> Result<Vec<TokenCount>>;
    /// Events of a tenant from this hour on, of which only the last `most` are looked at. Says how many that were.
    fn count_events(&self, tenant: Id, from_hour: u64, most: u32) -> Result<(Vec<EventCount>, u64)>;
}
