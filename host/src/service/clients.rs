//! The clients of the OAuth endpoints: resource servers, and gateways in front of them, that may ask what a presented
//! token is worth (RFC 7662) and have it revoked (RFC 7009).
//!
//! A client has a secret made as a token's is: 32 random bytes, of which the SHA-256 is stored, compared in constant
//! time. It is limited to audiences, and to a tenant if so wanted: beyond these limits no token exists for it.
//!
//! * Introspection is a verification like any other. It is a use of the token (R5), since the resource server asks
//!   because somebody presents the token to it.
//! * It is for the token's own audience, if that is one of the client's (R12). Any other token is presented at an
//!   audience that no token is for, so that the policy refuses it after the same work, and no use is noted.
//! * A revocation ends the token for whoever can present it (R8, R12). That is the token's own doing, so it needs no
//!   right of the client's; but it is within the client's limits, too.

use std::fmt;
use std::sync::Arc;

use patrol_policy::Secret;
use patrol_policy::token::{self, ACCOUNT_PREFIX, Kind, SCHEME_SHA256, SESSION_PREFIX};
use patrol_policy::types::{Cause, End, Id, Refusal, RefusalReason, Timestamp};
use zeroize::Zeroizing;

use super::call::{Call, Operation};
use super::directory::{checked_name, found, tenant_named};
use super::events::AuditEvent;
use super::{Caller, Error, Identity, Origin, Patrol, floor};
use crate::config::check_audience;
use crate::store::{AccountRow, ClientRow, NewClientRow, Read, StoreError, TokenRow};

/// The name of an audience that no token can be for: it is too short to be one.
const NOWHERE: &str = "";

/// The most audiences that a client may have.
const AUDIENCES: usize = 32;

/// A client to be made.
#[derive(Clone, Debug, Default)]
pub struct ClientSpec {
    /// The name, unique among clients that are not revoked.
    pub name: String,
    /// The name or identifier of the tenant whose tokens it may ask about; none: all.
    pub tenant: Option<String>,
    /// The audiences whose tokens it may ask about; none: `http.audience` of the configuration.
    pub audiences: Vec<String>,
    /// When it stops working; none: never.
    pub expires: Option<Timestamp>,
}

/// A client that was just made, or got a new secret: the only time that it is seen.
#[derive(Debug)]
pub struct NewClient {
    /// The client.
    pub row: ClientRow,
    /// The secret, to be shown once.
    pub secret: Secret,
}

/// A client that has shown who it is.
#[derive(Clone)]
pub struct Client(Arc<ClientRow>);

impl Client {
    /// The identifier.
    #[must_use]
    pub fn id(&self) -> Id {
        self.0.id
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether a token is within the client's limits.
    fn covers(&self, row: &TokenRow) -> bool {
        self.covers_any(&row.audience, row.state.token.tenant)
    }

    /// Whether anything of this audience and tenant is.
    fn covers_any(&self, audience: &String, tenant: Id) -> bool {
        let own = self.0.tenant.as_ref();
        own.is_none_or(|(own, _)| *own == tenant) && self.0.audiences.contains(audience)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.0.id)
    }
}

/// Why a client was turned away: for the audit trail, not for whoever tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientRefusal {
    /// There is no client of this identifier.
    #[error("unknown-client")]
    Unknown,
    /// The secret is not the client's.
    #[error("wrong-secret")]
    WrongSecret,
    /// The client was revoked.
    #[error("revoked")]
    Revoked,
    /// The client has reached its expiration date.
    #[error("expired")]
    Expired,
}

impl Patrol {
    /// Makes a client.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the tenant, [`Error::Exists`], [`Error::Invalid`], or an outage.
    pub fn create_client(&self, caller: &Caller, spec: &ClientSpec) -> Result<NewClient, Error> {
        let name = checked_name("client", &spec.name)?;
        let mut audiences = spec.audiences.clone();
        if audiences.is_empty() {
            audiences.push(self.config().http.audience.clone());
        }
        if audiences.len() > AUDIENCES {
            let message = format!("a client has at most {AUDIENCES} audiences");
            return Err(Error::Invalid(message));
        }
        for audience in &audiences {
            check_audience(audience)
                .map_err(|why| Error::Invalid(format!("\"{audience}\" cannot be an audience: {why}")))?;
        }
        if spec.expires.is_some_and(|expires| expires <= self.now()) {
            return Err(Error::Invalid(
                "the expiration date is not in the future".to_owned(),
            ));
        }
        let id = self.new_id()?;
        let bytes = draw()?;
        let row = self.change(|transaction| {
            let tenant = spec.tenant.as_deref();
            let tenant = tenant
                .map(|tenant| tenant_named(transaction, tenant))
                .transpose()?;
            let created = self.now();
            transaction.insert_client(&NewClientRow {
                id,
                name: &name,
                tenant: tenant.map(|tenant| tenant.id),
                audiences: &audiences,
                scheme: SCHEME_SHA256,
                digest: token::digest(&bytes),
                created,
                expires: spec.expires,
            })?;
            let row = found(transaction.client_row(id)?, "client", &name)?;
            let event = about(AuditEvent::new("create_client", created, caller), &row);
            Ok((row, event))
        })?;
        let secret = token::compose(Kind::Client, id, &bytes);
        Ok(NewClient { row, secret })
    }

    /// Gives a client a new secret; the old one stops working at once.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for a revoked one; or an outage.
    pub fn rotate_client(&self, caller: &Caller, id: Id) -> Result<NewClient, Error> {
        let bytes = draw()?;
        let row = self.change(|transaction| {
            live_client(transaction, id)?;
            transaction.replace_client_secret(id, SCHEME_SHA256, token::digest(&bytes))?;
            let row = live_client(transaction, id)?;
            let event = about(AuditEvent::new("rotate_client", self.now(), caller), &row);
            Ok((row, event))
        })?;
        let secret = token::compose(Kind::Client, id, &bytes);
        Ok(NewClient { row, secret })
    }

    /// Revokes a client for good, from the moment that this returns; its name becomes free.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for a revoked one; or an outage.
    pub fn revoke_client(&self, caller: &Caller, id: Id) -> Result<ClientRow, Error> {
        self.change(|transaction| {
            live_client(transaction, id)?;
            transaction.revoke_client(id, self.now())?;
            let row = found(transaction.client_row(id)?, "client", &id.to_string())?;
            let event = about(AuditEvent::new("revoke_client", self.now(), caller), &row);
            Ok((row, event))
        })
    }

    /// All clients, by name; revoked ones on demand.
    ///
    /// # Errors
    /// An outage.
    pub fn clients(&self, revoked: bool) -> Result<Vec<ClientRow>, Error> {
        Ok(self.store.read()?.clients(revoked)?)
    }

    /// The client with these credentials.
    ///
    /// # Errors
    /// [`Error::WrongClient`], or an outage.
    pub fn authenticate_client(&self, id: &[u8], secret: &Secret, origin: &Origin) -> Result<Client, Error> {
        self.judge_client(id, secret).inspect_err(|error| {
            let caller = Caller::token(Id::default(), origin.clone());
            let mut event = AuditEvent::new("authenticate_client", self.now(), &caller).by_nobody();
            if let Error::WrongClient { client: Some(id), .. } = error {
                event = event.detail("clientId", id.to_string());
            }
            self.note(error, true, event);
        })
    }

    fn judge_client(&self, id: &[u8], secret: &Secret) -> Result<Client, Error> {
        // Hashed before the store is asked, so that the time tells little of which clients there are.
        let text = token::parse(Kind::Client, secret.expose());
        let id = std::str::from_utf8(id).ok().and_then(|id| id.parse::<Id>().ok());
        let row = id.map(|id| self.store.client(id)).transpose()?.flatten();
        let Some(row) = row else {
            let reason = ClientRefusal::Unknown;
            return Err(Error::WrongClient { client: None, reason });
        };
        let matches =
            text.is_ok_and(|text| text.id() == row.id && bool::from(text.matches(row.scheme, &row.digest)));
        let reason = if row.revoked.is_some() {
            Some(ClientRefusal::Revoked)
        } else if !matches {
            Some(ClientRefusal::WrongSecret)
        } else if row.expires.is_some_and(|expires| self.now() >= expires) {
            Some(ClientRefusal::Expired)
        } else {
            None
        };
        match reason {
            None => Ok(Client(row)),
            Some(reason) => Err(Error::WrongClient {
                client: Some(row.id),
                reason,
            }),
        }
    }

    /// Verifies a token or session that somebody presented to a resource server, within the limits of the client that
    /// asks. A yes about a token is a use of it (R5), from the address that `origin` names.
    ///
    /// # Errors
    /// As [`Patrol::authenticate`]; a token beyond the client's limits is refused.
    pub fn introspect(&self, client: &Client, presented: &[u8], origin: &Origin) -> Result<Identity, Error> {
        let origin = by_client(origin, client);
        let kind = kind_of(presented);
        if kind == Kind::Account {
            let covered = self.covered_account(client, presented)?;
            let audience = covered.as_deref().map_or(NOWHERE, |row| &row.audience);
            return self.check_account(presented, audience, &origin);
        }
        let event = match kind {
            Kind::Session => "verify_session",
            _ => "verify_personal_access_token",
        };
        self.covered(client, kind, presented)
            .map_err(Error::from)
            .and_then(|row| {
                let audience = row.as_deref().map_or(NOWHERE, |row| &row.audience);
                match kind {
                    Kind::Session => self.verify_session(presented, audience),
                    _ => self.verify_token(presented, audience, &origin),
                }
            })
            .inspect_err(|error| self.note_refused(event, kind, presented, error, &origin))
    }

    /// The record behind a presented text, where it is within the client's limits. Whether the secret is right is not
    /// looked at.
    fn covered(
        &self,
        client: &Client,
        kind: Kind,
        presented: &[u8],
    ) -> Result<Option<Arc<TokenRow>>, StoreError> {
        let Ok(text) = token::parse(kind, presented) else {
            return Ok(None);
        };
        let row = match kind {
            Kind::Session => self
                .store
                .session(text.id())?
                .map(|read| Arc::new(read.row.token.clone())),
            _ => self.store.token(text.id())?.map(|read| read.row),
        };
        Ok(row.filter(|row| client.covers(row)))
    }

    /// The same of a session that a password opened.
    fn covered_account(
        &self,
        client: &Client,
        presented: &[u8],
    ) -> Result<Option<Arc<AccountRow>>, StoreError> {
        let Ok(text) = token::parse(Kind::Account, presented) else {
            return Ok(None);
        };
        let row = self.store.account_session(text.id())?.map(|read| read.row);
        Ok(row.filter(|row| client.covers_any(&row.audience, row.user.tenant)))
    }

    /// Ends what was presented: a token with all its sessions (R8), or one session. Says whether anything ended: what
    /// is unknown, has ended before or is beyond the client's limits leaves nothing to do.
    ///
    /// The token of a disabled owner ends, too: it would come back with its owner.
    ///
    /// # Errors
    /// No verdict: nothing was changed.
    pub fn revoke_presented(
        &self,
        client: &Client,
        presented: &[u8],
        origin: &Origin,
    ) -> Result<bool, Error> {
        let origin = by_client(origin, client);
        let ended = match kind_of(presented) {
            Kind::Session => self.revoke_presented_session(client, presented, &origin),
            Kind::Account => match self.covered_account(client, presented)? {
                Some(_) => self.close_account(presented, &origin, true).map(drop),
                None => return Ok(false),
            },
            _ => self.revoke_presented_token(client, presented, &origin),
        };
        match ended {
            Ok(()) => Ok(true),
            Err(Error::Refused(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn revoke_presented_token(
        &self,
        client: &Client,
        presented: &[u8],
        origin: &Origin,
    ) -> Result<(), Error> {
        let judged = (|| {
            let text = token::parse(Kind::Pat, presented).map_err(|reason| refused(reason, None))?;
            let read = self.store.token(text.id())?;
            let read = read.ok_or_else(|| refused(RefusalReason::Unknown, None))?;
            let id = read.state.token.id;
            let (store, keyring, now) = (&self.store, &self.keyring, self.now());
            let mut call = Call::new(store, keyring, now, self.parameters(), Operation::Look, None);
            let mac = call.mac_of(presented, &read.state.token)?;
            if !floor::is_secret_of(&text, mac, &read.state.token, now) {
                // Its digests are gone if it has ended.
                let ended = read.state.token.ended.map(|end| end.cause.into());
                return Err(refused(ended.unwrap_or(RefusalReason::WrongSecret), Some(id)));
            }
            if !client.covers(&read.row) {
                return Err(refused(RefusalReason::WrongAudience, Some(id)));
            }
            Ok(id)
        })();
        let id = judged.inspect_err(|error| {
            self.note_refused(
                "revoke_personal_access_token",
                Kind::Pat,
                presented,
                error,
                origin,
            );
        })?;
        self.revoke(&Caller::token(id, origin.clone()), id).map(drop)
    }

    fn revoke_presented_session(
        &self,
        client: &Client,
        presented: &[u8],
        origin: &Origin,
    ) -> Result<(), Error> {
        let end = || {
            let row = self.covered(client, Kind::Session, presented)?;
            let row = row.ok_or_else(|| refused(RefusalReason::Unknown, None))?;
            match self.end_presented_session(presented, origin) {
                Err(Error::Refused(refusal)) if refusal.reason == RefusalReason::OwnerDisabled => {
                    self.end_resting_session(presented, &row, origin)
                }
                other => other.map(drop),
            }
        };
        end().inspect_err(|error| self.note_refused("logout", Kind::Session, presented, error, origin))
    }

    /// Ends the session of a disabled owner, which would come back with its owner.
    fn end_resting_session(&self, presented: &[u8], row: &TokenRow, origin: &Origin) -> Result<(), Error> {
        let text = token::parse(Kind::Session, presented).map_err(|reason| refused(reason, None))?;
        self.change(|transaction| {
            let state = transaction.session_state(text.id())?;
            let session = state.map(|state| state.session);
            let session = session
                .filter(|session| bool::from(text.matches(SCHEME_SHA256, &session.digest)))
                .ok_or_else(|| refused(RefusalReason::WrongSecret, None))?;
            let now = self.now();
            let cause = Cause::SessionClosed;
            transaction.end_session(session.id, End { at: now, cause })?;
            let caller = Caller::token(session.token, origin.clone());
            let event = AuditEvent::new("logout", now, &caller)
                .token(row)
                .session(session.id);
            Ok(((), event))
        })
    }
}

/// Sessions say that they are; whatever else there is, is judged as a token.
fn kind_of(presented: &[u8]) -> Kind {
    if presented.starts_with(SESSION_PREFIX.as_bytes()) {
        Kind::Session
    } else if presented.starts_with(ACCOUNT_PREFIX.as_bytes()) {
        Kind::Account
    } else {
        Kind::Pat
    }
}

fn by_client(origin: &Origin, client: &Client) -> Origin {
    Origin {
        client: Some(client.clone()),
        ..origin.clone()
    }
}

fn refused(reason: RefusalReason, token: Option<Id>) -> Error {
    Error::Refused(Refusal { reason, token })
}

/// 32 bytes for a secret.
fn draw() -> Result<Zeroizing<[u8; 32]>, StoreError> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    Ok(bytes)
}

fn live_client<R: Read + ?Sized>(read: &R, id: Id) -> Result<ClientRow, Error> {
    let row = read.client_row(id)?.filter(|row| row.revoked.is_none());
    found(row, "client", &id.to_string())
}

/// An event about a client.
fn about(event: AuditEvent, row: &ClientRow) -> AuditEvent {
    let event = event
        .detail("clientId", row.id.to_string())
        .detail("clientName", row.name.as_str())
        .detail("audiences", row.audiences.clone());
    match &row.tenant {
        Some((id, name)) => event.tenant(*id, name),
        None => event,
    }
}
