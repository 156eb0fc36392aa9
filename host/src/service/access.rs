//! Letting in: verification of tokens and sessions, sign-in, sign-out.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use patrol_policy::Secret;
use patrol_policy::token::{self, Kind};
use patrol_policy::types::{Audience, Cause, ClosedSession, Duration, End, Id, Timestamp};

use super::call::Call;
use super::events::AuditEvent;
use super::question::{Authenticate, CheckSession, CloseSession, OpenSession};
use super::{Caller, Error, Origin, Patrol, STALLED, WRITE_THROUGH, accounts, floor};
use crate::policy::{Fault, FloorRule, Violation};
use crate::store::{AccountRow, SessionRow, StoreError, TokenRow};

/// The event of a sign-out.
pub(super) const LOGOUT: &str = "logout";

/// Whom a token or session lets in, as of now (R4).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Identity {
    pub(super) names: Names,
    /// The session, where one was presented.
    pub session: Option<Id>,
    /// When the token or session will end if it is not used again, and why.
    pub ends: End,
}

/// The record that holds the names; shared with the store's cache, not copied.
#[derive(Clone, Debug)]
pub(super) enum Names {
    Token(Arc<TokenRow>),
    Session(Arc<SessionRow>),
    Account(Arc<AccountRow>),
}

impl Identity {
    /// The token that was presented, or that opened the session; none where a password did.
    #[must_use]
    pub fn token(&self) -> Option<&TokenRow> {
        self.names.token()
    }

    /// The user, by the identifier that never changes (R10).
    #[must_use]
    pub fn user_id(&self) -> Id {
        match self.names.who() {
            Who::Owner(row) => row.state.token.owner,
            Who::User(row) => row.user.id,
        }
    }

    /// The user's name.
    #[must_use]
    pub fn user_name(&self) -> &str {
        match self.names.who() {
            Who::Owner(row) => &row.owner_name,
            Who::User(row) => &row.user.name,
        }
    }

    /// The user's e-mail address.
    #[must_use]
    pub fn user_email(&self) -> Option<&str> {
        match self.names.who() {
            Who::Owner(row) => row.owner_email.as_deref(),
            Who::User(row) => row.user.email.as_deref(),
        }
    }

    /// The user's tenant.
    #[must_use]
    pub fn tenant_id(&self) -> Id {
        match self.names.who() {
            Who::Owner(row) => row.state.token.tenant,
            Who::User(row) => row.user.tenant,
        }
    }

    /// The tenant's name.
    #[must_use]
    pub fn tenant_name(&self) -> &str {
        match self.names.who() {
            Who::Owner(row) => &row.tenant_name,
            Who::User(row) => &row.user.tenant_name,
        }
    }

    /// The user's roles at this moment, sorted (R4).
    #[must_use]
    pub fn roles(&self) -> &[String] {
        match self.names.who() {
            Who::Owner(row) => &row.owner_roles,
            Who::User(row) => &row.user.roles,
        }
    }

    /// When the session was opened or, where none was presented, the token was created.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        match &self.names {
            Names::Token(row) => row.state.token.created,
            Names::Session(row) => row.state.session.opened,
            Names::Account(row) => row.session.opened,
        }
    }

    /// The audience at which it was accepted (R12).
    #[must_use]
    pub fn audience(&self) -> &str {
        match self.names.who() {
            Who::Owner(row) => &row.audience,
            Who::User(row) => &row.audience,
        }
    }
}

/// Whose record holds the names.
enum Who<'a> {
    Owner(&'a TokenRow),
    User(&'a AccountRow),
}

impl Names {
    fn token(&self) -> Option<&TokenRow> {
        match self.who() {
            Who::Owner(row) => Some(row),
            Who::User(_) => None,
        }
    }

    fn who(&self) -> Who<'_> {
        match self {
            Self::Token(row) => Who::Owner(row),
            Self::Session(row) => Who::Owner(&row.token),
            Self::Account(row) => Who::User(row),
        }
    }
}

/// A new session.
#[derive(Debug)]
#[non_exhaustive]
pub struct SignIn {
    /// Whose it is; `ends` says when the session ends if it is not used.
    pub identity: Identity,
    /// The session token, to be handed to the client and forgotten (R1).
    pub secret: Secret,
    /// When the session ends however much it is used.
    pub expires: Timestamp,
    /// When the PAT itself will end if it is not used again, and why.
    pub token_ends: End,
}

impl Patrol {
    /// Verifies a presented PAT for an audience; success is a use (R3, R4, R5, R12).
    ///
    /// # Errors
    /// [`Error::Refused`] with the reason, which is for the audit trail and not for whoever presented it;
    /// [`Error::Fault`] and [`Error::Outage`] where there is no verdict.
    pub fn authenticate(&self, presented: &[u8], audience: &str, origin: &Origin) -> Result<Identity, Error> {
        self.verify_token(presented, audience, origin)
            .inspect_err(|error| {
                self.note_refused(
                    "verify_personal_access_token",
                    Kind::Pat,
                    presented,
                    error,
                    origin,
                )
            })
    }

    pub(super) fn verify_token(
        &self,
        presented: &[u8],
        audience: &str,
        origin: &Origin,
    ) -> Result<Identity, Error> {
        self.check_not_stalled()?;
        let audience = self.known_audience(audience)?;
        let question = Authenticate { presented, audience };
        self.put(&question, |call, grant| {
            let now = call.now;
            let allowed = (grant.token, grant.owner, grant.tenant);
            let seen = call.seen_token(grant.token)?.ok_or_else(invented)?;
            let (state, row) = (seen.state, Arc::clone(&seen.row));
            let mac = call.mac_of(presented, &state.token)?;
            floor::check_token(presented, mac, allowed, &state, audience, now)?;
            floor::check_moved(call.moved.as_ref(), grant.token)?;
            if call.used {
                // What is on disk is `row`; `state` has uses of this process that may not be.
                let created = row.state.token.created;
                let stored = row.state.token.last_used.unwrap_or(created);
                // A clock that was set back behind the creation makes a use the earlier of the two, and it is the use
                // that counts: what is on disk must not go on saying otherwise.
                // Idle by the policy that decides, or by another that may decide after a crash.
                let idle_after = idle_after(grant.ends, Cause::Idle, now)
                    .min(call.rules.idle_after)
                    .min(self.parameters().idle_after);
                let durable =
                    now < created || now.saturating_sub(stored).saturating_add(WRITE_THROUGH) >= idle_after;
                let address = origin.address.map(|address| address.to_string());
                self.store
                    .record_use(state.token.id, now, address.as_deref(), durable)?;
            }
            Ok(Identity {
                names: Names::Token(row),
                session: None,
                ends: grant.ends,
            })
        })
    }

    /// Verifies a presented PAT and opens a session with it (R3).
    ///
    /// # Errors
    /// As [`Patrol::authenticate`].
    pub fn open_session(&self, presented: &[u8], audience: &str, origin: &Origin) -> Result<SignIn, Error> {
        const EVENT: &str = "login_with_personal_access_token";
        let result = self.check_not_stalled().and_then(|()| {
            let audience = self.known_audience(audience)?;
            let question = OpenSession { presented, audience };
            self.put(&question, |call, opened| {
                let now = call.now;
                let grant = opened.grant;
                let seen = call.seen_token(grant.token)?.ok_or_else(invented)?;
                let allowed = (grant.token, grant.owner, grant.tenant);
                let (state, row) = (seen.state, Arc::clone(&seen.row));
                let mac = call.mac_of(presented, &state.token)?;
                floor::check_token(presented, mac, allowed, &state, audience, now)?;
                floor::check_moved(call.moved.as_ref(), grant.token)?;
                floor::check_opened(call.opened, &call.closed, &opened)?;
                let used = call.used;
                let caller = token_caller(grant.token, origin);
                let event = AuditEvent::new(EVENT, now, &caller)
                    .by_owner_of(&row)
                    .session(opened.session);
                let transaction = call.transaction()?;
                if used {
                    let address = origin.address.map(|address| address.to_string());
                    transaction.put_use(grant.token, now, address.as_deref())?;
                }
                event.write(transaction)?;
                let names = Names::Token(row);
                let identity = Identity {
                    names,
                    session: Some(opened.session),
                    ends: opened.ends,
                };
                Ok(SignIn {
                    identity,
                    secret: opened.secret,
                    expires: opened.expires,
                    token_ends: grant.ends,
                })
            })
        });
        result.inspect_err(|error| self.note_refused(EVENT, Kind::Pat, presented, error, origin))
    }

    /// Verifies a presented session, of either kind, for an audience. Not a use of its PAT (R5); roles are the
    /// owner's now (R4).
    ///
    /// # Errors
    /// As [`Patrol::authenticate`].
    pub fn check_session(
        &self,
        presented: &[u8],
        audience: &str,
        origin: &Origin,
    ) -> Result<Identity, Error> {
        if accounts::is_account(presented) {
            return self.check_account(presented, audience, origin);
        }
        self.verify_session(presented, audience)
            .inspect_err(|error| self.note_refused("verify_session", Kind::Session, presented, error, origin))
    }

    pub(super) fn verify_session(&self, presented: &[u8], audience: &str) -> Result<Identity, Error> {
        self.check_not_stalled()?;
        let audience = self.known_audience(audience)?;
        let question = CheckSession { presented, audience };
        self.put(&question, |call, grant| {
            let allowed = (grant.session, grant.token, grant.owner, grant.tenant);
            let row = session_floor(call, presented, allowed, Some(audience))?;
            let row = row.ok_or_else(invented)?;
            if call.used {
                let session = &row.state.session;
                let unused = call.now.saturating_sub(session.last_used);
                let idle_after = idle_after(grant.ends, Cause::SessionIdle, call.now)
                    .min(call.rules.session_idle)
                    .min(self.parameters().session_idle);
                let durable = unused.saturating_add(WRITE_THROUGH) >= idle_after;
                self.store.record_session_use(session.id, call.now, durable)?;
            }
            Ok(Identity {
                names: Names::Session(row),
                session: Some(grant.session),
                ends: grant.ends,
            })
        })
    }

    /// Ends a presented session, of either kind; where a password opened it, the answer's `token` is all zeros.
    ///
    /// # Errors
    /// As [`Patrol::authenticate`].
    pub fn close_session(&self, presented: &[u8], origin: &Origin) -> Result<ClosedSession, Error> {
        if accounts::is_account(presented) {
            return self.close_account(presented, origin, false);
        }
        self.end_presented_session(presented, origin)
            .inspect_err(|error| self.note_refused(LOGOUT, Kind::Session, presented, error, origin))
    }

    /// As [`Patrol::close_session`], without a word of a refusal.
    pub(super) fn end_presented_session(
        &self,
        presented: &[u8],
        origin: &Origin,
    ) -> Result<ClosedSession, Error> {
        self.put(&CloseSession { presented }, |call, closed| {
            let allowed = (closed.session, closed.token, closed.owner, closed.tenant);
            session_floor(call, presented, allowed, None)?;
            floor::check_closed(&call.closed, &closed)?;
            let row = Arc::clone(&call.seen_token(closed.token)?.ok_or_else(invented)?.row);
            let caller = token_caller(closed.token, origin);
            let event = AuditEvent::new(LOGOUT, call.now, &caller)
                .by_owner_of(&row)
                .session(closed.session);
            event.write(call.transaction()?)?;
            Ok(closed)
        })
    }

    /// Verification must stop where uses cannot be written: R5 would no longer be exact after a restart.
    pub(super) fn check_not_stalled(&self) -> Result<(), Error> {
        if self.stalled.load(Ordering::Relaxed) {
            let seconds = STALLED.as_secs();
            let message = format!("last uses could not be written for more than {seconds} s");
            return Err(StoreError::Unavailable(message).into());
        }
        Ok(())
    }

    pub(super) fn note_refused(
        &self,
        event: &'static str,
        kind: Kind,
        presented: &[u8],
        error: &Error,
        origin: &Origin,
    ) {
        let about = match error {
            Error::Refused(refusal) => refusal.token,
            _ => token::parse(kind, presented)
                .ok()
                .filter(|_| kind == Kind::Pat)
                .map(|text| text.id()),
        };
        let caller = token_caller(about.unwrap_or_default(), origin);
        let mut record = AuditEvent::new(event, self.now(), &caller);
        // Names are for the reader of the trail; if the store is out, the event does without.
        if let Some(read) = about.and_then(|id| self.store.token(id).ok().flatten()) {
            // The token is known by now, who presented it is not.
            record = record.token(&read.row);
        }
        self.note(error, true, record);
    }
}

/// The idle period, as the end that a use led to tells it.
fn idle_after(ends: End, idle: Cause, used: Timestamp) -> Duration {
    if ends.cause == idle {
        ends.at.saturating_sub(used)
    } else {
        Duration::MAX
    }
}

fn session_floor(
    call: &Call,
    presented: &[u8],
    allowed: (Id, Id, Id, Id),
    audience: Option<Audience>,
) -> Result<Option<Arc<SessionRow>>, Error> {
    let seen = call.session.as_ref().ok_or_else(invented)?;
    floor::check_session(presented, allowed, &seen.state, audience, call.now)?;
    Ok(seen.row.clone())
}

pub(super) fn invented() -> Error {
    let what = "something that it did not look up or that is not there";
    let rule = FloorRule::Identity;
    Fault::Floor(Violation { rule, what }).into()
}

fn token_caller(token: Id, origin: &Origin) -> Caller {
    Caller::token(token, origin.clone())
}
