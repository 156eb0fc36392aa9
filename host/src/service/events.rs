//! The audit trail's events, with the service's names.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use patrol_policy::types::{Actor, ActorRole, Id, Timestamp};
use serde::Serialize;

use super::RequestId;
use super::access::Identity;
use super::activity::LATE;
use super::clients::Client;
use crate::store::{SiteRow, StoreError, TokenRow, Transaction, UserRow};
use crate::time::rfc3339;

/// Where a request came from, as far as it is known.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The client's address.
    pub address: Option<IpAddr>,
    /// What the client calls itself.
    pub user_agent: Option<String>,
    /// What it asked for, without query.
    pub url: Option<String>,
    /// Which request it is.
    pub request: Option<RequestId>,
    /// The client of the OAuth endpoints that asked, and showed who it is.
    pub client: Option<Client>,
    /// The batch that it is a part of, whose events have this trace id; none: each has one of its own.
    pub batch: Option<Id>,
}

/// Who asks for something to be done.
#[derive(Clone, Debug)]
pub struct Caller {
    /// In what capacity; the host vouches for it.
    pub actor: Actor,
    /// A name for the audit trail.
    pub name: Option<String>,
    /// Where the request came from.
    pub origin: Origin,
    /// The session in which it came, if any.
    pub session: Option<Id>,
}

impl Caller {
    /// Somebody with access to the data directory: an administrator.
    #[must_use]
    pub fn operator(name: Option<String>) -> Self {
        let actor = Actor {
            role: ActorRole::Administrator,
            id: Id::default(),
        };
        Self {
            actor,
            name,
            origin: Origin::default(),
            session: None,
        }
    }

    /// The host's own housekeeping.
    #[must_use]
    pub fn system() -> Self {
        Self {
            actor: Actor {
                role: ActorRole::System,
                id: Id::default(),
            },
            name: None,
            origin: Origin::default(),
            session: None,
        }
    }

    /// The same, with one trace id for the events of all that it asks for.
    #[must_use]
    pub fn in_batch(&self, now: Timestamp) -> Self {
        let mut caller = self.clone();
        caller.origin.batch = Some(trace_id(now));
        caller
    }

    /// A person, signed in as themselves.
    #[must_use]
    pub fn user(id: Id, origin: Origin) -> Self {
        Self {
            actor: Actor {
                role: ActorRole::User,
                id,
            },
            name: None,
            origin,
            session: None,
        }
    }

    /// Whoever a session, or PAT, has let in, acting for themselves: as the PAT where there is one (R12), else as a
    /// person.
    #[must_use]
    pub fn of(identity: &Identity, origin: Origin) -> Self {
        let caller = match identity.token() {
            Some(row) => Self::token(row.state.token.id, origin),
            None => Self::user(identity.user_id(), origin),
        };
        Self {
            name: Some(identity.user_name().to_owned()),
            session: identity.session,
            ..caller
        }
    }

    /// The same, acting for others as an administrator. Whether the roles are enough for that is for the one who asks
    /// to have tested, and that no PAT is behind it (R12).
    #[must_use]
    pub fn administrator(identity: &Identity, origin: Origin) -> Self {
        let mut caller = Self::of(identity, origin);
        caller.actor = Actor {
            role: ActorRole::Administrator,
            id: identity.user_id(),
        };
        caller
    }

    /// Whoever presented a PAT, or a session opened with one (R12).
    #[must_use]
    pub fn token(id: Id, origin: Origin) -> Self {
        Self {
            actor: Actor {
                role: ActorRole::Token,
                id,
            },
            name: None,
            origin,
            session: None,
        }
    }
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// It was done.
    Success,
    /// Whoever asked could not show who they are.
    Unauthorized,
    /// It was refused for another reason.
    ClientError,
    /// No verdict.
    InternalError,
}

/// One event, as it is stored and exported: JSON with the service's field names.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEvent {
    event_type: &'static str,
    event_time: String,
    event_outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_outcome_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    initiating_user_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    initiating_user_display_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    initiating_user_email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    initiating_user_role: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    initiating_user_ip_address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    initiating_user_agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    initiating_session_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    initiating_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    initiating_client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    initiating_client_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    site_id: Option<String>,
    trace_uuid: String,
    /// The request that it happened in, by its sender's word. Not `trace_uuid`: that one holds the events of a batch
    /// together, and no client may put its own into somebody else's.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<RequestId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pat_user_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pat_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pat_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pat_expiration_time: Option<String>,
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    details: serde_json::Map<String, serde_json::Value>,
    /// For finding it again: the user whose record, token or sign-in it is about.
    #[serde(skip)]
    about: Option<Id>,
    #[serde(skip)]
    at: Timestamp,
}

impl AuditEvent {
    /// An event of this type, that went well so far.
    pub(super) fn new(event_type: &'static str, at: Timestamp, caller: &Caller) -> Self {
        let by_user = caller.actor.role == ActorRole::User;
        // Operators of the data directory have no identifier.
        let person = by_user || caller.actor.role == ActorRole::Administrator;
        let person = person && caller.actor.id != Id::default();
        let client = caller.origin.client.as_ref();
        let role = match caller.actor.role {
            ActorRole::User => None,
            role => Some(role.as_str().to_owned()),
        };
        Self {
            event_type,
            event_time: rfc3339(at),
            event_outcome: Outcome::Success,
            event_outcome_reason: None,
            initiating_user_id: person.then(|| caller.actor.id.to_string()),
            initiating_user_display_name: caller.name.clone(),
            initiating_user_email: None,
            initiating_user_role: role,
            initiating_user_ip_address: caller.origin.address,
            initiating_user_agent: caller.origin.user_agent.clone(),
            initiating_session_id: caller.session.map(|id| id.to_string()),
            initiating_url: caller.origin.url.clone(),
            initiating_client_id: client.map(|client| client.id().to_string()),
            initiating_client_name: client.map(|client| client.name().to_owned()),
            tenant_id: None,
            tenant_name: None,
            site_id: None,
            trace_uuid: caller.origin.batch.unwrap_or_else(|| trace_id(at)).to_string(),
            request_id: caller.origin.request,
            pat_user_id: None,
            pat_id: None,
            pat_name: None,
            pat_expiration_time: None,
            details: serde_json::Map::new(),
            about: (by_user && person).then_some(caller.actor.id),
            at,
        }
    }

    /// The same, at another time.
    pub(super) const fn at(mut self, at: Timestamp) -> Self {
        self.at = at;
        self
    }

    /// The request that it happened in.
    pub(super) const fn request_id(&self) -> Option<RequestId> {
        self.request_id
    }

    /// It did not go well.
    pub(super) fn failed(mut self, error: &super::Error, unauthorized: bool) -> Self {
        use super::Error;
        self.event_outcome = match error {
            Error::Fault(_) | Error::Outage(_) => Outcome::InternalError,
            Error::WrongPassword | Error::WrongClient { .. } => Outcome::Unauthorized,
            _ if unauthorized => Outcome::Unauthorized,
            _ => Outcome::ClientError,
        };
        self.event_outcome_reason = Some(match error {
            Error::Refused(refusal) => refusal.reason.as_str().to_owned(),
            Error::Fault(fault) => format!("policy-fault-{}", fault.kind()),
            other => other.to_string(),
        });
        self
    }

    /// It was tried by somebody who is not known in any capacity.
    pub(super) fn by_nobody(mut self) -> Self {
        self.initiating_user_role = None;
        self
    }

    /// It concerns this token.
    pub(super) fn token(mut self, row: &TokenRow) -> Self {
        let token = &row.state.token;
        self.pat_id = Some(token.id.to_string());
        self.pat_name = Some(row.name.clone());
        self.pat_user_id = Some(token.owner.to_string());
        self.pat_expiration_time = Some(rfc3339(token.expires));
        self.tenant_id = Some(token.tenant.to_string());
        self.tenant_name = Some(row.tenant_name.clone());
        self.about = Some(token.owner);
        self
    }

    /// It was done with this token, by its owner.
    pub(super) fn by_owner_of(mut self, row: &TokenRow) -> Self {
        self.initiating_user_id = Some(row.state.token.owner.to_string());
        self.initiating_user_display_name = Some(row.owner_name.clone());
        self.initiating_user_email.clone_from(&row.owner_email);
        self.initiating_user_role = Some(row.owner_roles.join(","));
        self.token(row)
    }

    /// It was done by this user, or tried in this user's name.
    pub(super) fn by_user(mut self, user: &UserRow) -> Self {
        self.initiating_user_id = Some(user.id.to_string());
        self.initiating_user_display_name = Some(user.name.clone());
        self.initiating_user_email.clone_from(&user.email);
        self.initiating_user_role = Some(user.roles.join(","));
        self.user(user)
    }

    /// It concerns this user.
    pub(super) fn user(mut self, user: &UserRow) -> Self {
        self.about = Some(user.id);
        self.detail("userId", user.id.to_string())
            .detail("userName", user.name.as_str())
            .tenant(user.tenant, &user.tenant_name)
    }

    /// It concerns all PATs of this user.
    pub(super) fn pats_of(mut self, user: &UserRow) -> Self {
        self.pat_user_id = Some(user.id.to_string());
        self.about = Some(user.id);
        self.tenant(user.tenant, &user.tenant_name)
    }

    /// It happened in this tenant.
    pub(super) fn tenant(mut self, id: Id, name: &str) -> Self {
        self.tenant_id = Some(id.to_string());
        self.tenant_name = Some(name.to_owned());
        self
    }

    /// It concerns this site.
    pub(super) fn site(mut self, site: &SiteRow) -> Self {
        self.site_id = Some(site.id.to_string());
        self.detail("siteName", site.name.as_str())
            .tenant(site.tenant, &site.tenant_name)
    }

    /// It happened in, or to, this session.
    pub(super) fn session(mut self, id: Id) -> Self {
        self.initiating_session_id = Some(id.to_string());
        self
    }

    /// One more fact.
    pub(super) fn detail(mut self, key: &str, value: impl Into<serde_json::Value>) -> Self {
        self.details.insert(key.to_owned(), value.into());
        self
    }

    /// Appends it to the chain, in the transaction of what it records.
    pub(super) fn write(&self, transaction: &mut dyn Transaction) -> Result<(), StoreError> {
        self.write_at(transaction, self.at)
    }

    /// When it counts as recorded: when it happened, unless it had to wait for so long that its hour may have been
    /// read already.
    const fn filed(&self, now: Timestamp) -> Timestamp {
        if now.saturating_sub(self.at) > LATE {
            now
        } else {
            self.at
        }
    }

    fn write_at(&self, transaction: &mut dyn Transaction, at: Timestamp) -> Result<(), StoreError> {
        let body = serde_json::to_string(self)
            .map_err(|error| StoreError::Corrupt(format!("an audit event has no JSON form: {error}")))?;
        transaction.append_audit(at, self.event_type, self.about, &body)
    }
}

fn trace_id(at: Timestamp) -> Id {
    let mut random = [0; 10];
    // A trace id is no secret: without randomness the time alone has to do.
    let _ = getrandom::fill(&mut random);
    Id::new_v7(at, &random)
}

/// Refusals that are kept one by one between two flushes; of more, only the number is kept.
const KEPT: usize = 1_000;

/// Events that record no change, such as refused sign-ins, on their way to the chain. Writing each at once would let
/// anyone with a wrong token keep the disk busy: they are written together, at most [`KEPT`] at a time, and what is
/// over that is counted.
#[derive(Debug, Default)]
pub(super) struct Journal {
    queue: Mutex<Queue>,
    /// Held by whoever writes: two at once would write the same events twice, and forget others.
    writing: Mutex<()>,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<AuditEvent>,
    dropped: u64,
}

impl Journal {
    /// Takes an event.
    pub(super) fn push(&self, event: AuditEvent) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.events.len() < KEPT {
            queue.events.push_back(event);
        } else {
            queue.dropped = queue.dropped.saturating_add(1);
        }
    }

    /// How many events wait to be written.
    pub(super) fn len(&self) -> usize {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.events.len()
    }

    /// Writes everything, in one transaction; keeps it if that fails.
    pub(super) fn flush(
        &self,
        now: Timestamp,
        begin: impl FnOnce() -> Result<Box<dyn Transaction>, StoreError>,
    ) -> Result<(), StoreError> {
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.len() == 0 {
            return Ok(());
        }
        let mut transaction = begin()?;
        let (events, dropped) = {
            let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            (queue.events.clone(), queue.dropped)
        };
        for event in &events {
            event.write_at(&mut *transaction, event.filed(now))?;
        }
        if dropped > 0 {
            let more = AuditEvent::new("more_refusals", now, &Caller::system()).detail("count", dropped);
            more.write(&mut *transaction)?;
        }
        transaction.commit()?;
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.events.drain(..events.len());
        queue.dropped = queue.dropped.saturating_sub(dropped);
        Ok(())
    }
}
