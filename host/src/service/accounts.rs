//! Sign-in with user name and password (R11), for those whose authentication method is `password`, and the sessions that
//! it opens.
//!
//! No token is behind such a session, so there is nothing for the policy to judge: it says whether a password may sign
//! in at all, and the host does the rest. A session of this kind is good while all of this holds: it has not been
//! closed, is neither too old nor too long unused (by the same settings as other sessions, and by what the tenant's policy
//! says of them where that is stricter), its owner is enabled and
//! not deleted, neither their authentication method nor their tenant's nor their password has changed since, and
//! multi-factor authentication is off. Roles are the owner's at each use (R4).

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use patrol_policy::Secret;
use patrol_policy::token::{self, ACCOUNT_PREFIX, Kind, Presented, SCHEME_SHA256};
use patrol_policy::types::{
    Actor, ActorRole, Cause, ClosedSession, End, Id, Parameters, Refusal, RefusalReason, Scope, Timestamp,
};
use zeroize::Zeroizing;

use super::access::{Identity, LOGOUT, Names};
use super::decision::invented;
use super::directory::{normalize, tenant_named};
use super::events::AuditEvent;
use super::question::PasswordSignIn;
use super::{Caller, Error, Origin, Patrol, WRITE_THROUGH};
use crate::store::{
    AccountEpochs, AccountRow, AccountSession, PasswordRow, Read, StoreError, TenantRow, UserRow,
};

/// A new session that a password opened.
#[derive(Debug)]
pub struct AccountSignIn {
    /// Whose it is; `ends` says when the session ends if it is not used.
    pub identity: Identity,
    /// The session token, to be handed to the client and forgotten (R1).
    pub secret: Secret,
    /// When the session ends however much it is used.
    pub expires: Timestamp,
}

/// Whether a presented text claims to be a session of this kind.
pub(super) fn is_account(presented: &[u8]) -> bool {
    presented.starts_with(ACCOUNT_PREFIX.as_bytes())
}

impl Patrol {
    /// Signs in to the REST API with user name and password: refused where multi-factor authentication is on, whoever
    /// asks (R11). The tenant may be left out where there is only one.
    ///
    /// Slow on purpose: not to be called on a thread that answers others.
    ///
    /// # Errors
    /// [`RefusalReason::PatRequired`] as a refusal, [`Error::WrongPassword`] for anything wrong with name, password
    /// or account, [`Error::Invalid`] where the tenant must be named, and no verdict as elsewhere.
    pub fn sign_in_with_password(
        &self,
        tenant: Option<&str>,
        user: &str,
        password: &Secret,
        audience: &str,
        origin: &Origin,
    ) -> Result<AccountSignIn, Error> {
        let mut about = None;
        let judged = self.judge_account(tenant, &normalize(user), password, &mut about);
        let opened = judged.and_then(|(user, epoch)| self.open_account(&user, epoch, audience, origin));
        opened.inspect_err(|error| {
            let mut event = AuditEvent::new(LOGIN, self.now(), &anybody(origin));
            if let Some(user) = &about {
                event = event.user(user);
            }
            self.note(error, true, event);
        })
    }

    /// What stands for the tenant of a sign-in where attempts are counted: one text, whether it is named, given by its
    /// identifier in any of the many ways to write one, or left out.
    ///
    /// # Errors
    /// An outage.
    pub(crate) fn tenant_counted(&self, named: Option<&str>) -> Result<String, Error> {
        match tenant_meant(&*self.store.read()?, named) {
            Ok(Some(tenant)) => Ok(tenant.id.to_string()),
            // There is no such tenant, or it is not clear which: nobody's password is tried.
            Ok(None) | Err(Error::Invalid(_)) => Ok(normalize(named.unwrap_or_default())),
            Err(error) => Err(error),
        }
    }

    /// Whether this user may sign in to the REST API with a password at all (R11).
    ///
    /// # Errors
    /// Refusals as `wit/engine.wit` lists them for `decide-password-sign-in`.
    pub fn decide_password_sign_in(&self, user: Id) -> Result<(), Error> {
        self.put(&PasswordSignIn { owner: user }, |_, ()| Ok(()))
    }

    /// The user whose name and password these are, with how often the password was set. `about` is whom it was tried
    /// for, as far as there is such a user.
    fn judge_account(
        &self,
        tenant: Option<&str>,
        user: &str,
        password: &Secret,
        about: &mut Option<UserRow>,
    ) -> Result<(UserRow, u64), Error> {
        let (tenant, known) = self.find_account(tenant, user)?;
        let multi_factor = tenant.is_some_and(|tenant| tenant.multi_factor);
        let Some((user, stored)) = known else {
            // The same work as for a real account, so that the time does not tell which names exist.
            return Err(if multi_factor {
                pat_required()
            } else {
                wrong(password)
            });
        };
        *about = Some(user.clone());
        self.judge_password(user.id, &stored, multi_factor, password)?;
        Ok((user, stored.epoch))
    }

    /// The tenant and the account that are meant, as far as there are such.
    #[allow(clippy::type_complexity, reason = "named nowhere else")]
    pub(super) fn find_account(
        &self,
        tenant: Option<&str>,
        user: &str,
    ) -> Result<(Option<TenantRow>, Option<(UserRow, PasswordRow)>), Error> {
        let read = self.store.read()?;
        let Some(tenant) = tenant_meant(&*read, tenant)? else {
            return Ok((None, None));
        };
        let Some(user) = read.users_by_name(Some(tenant.id), user)?.pop() else {
            return Ok((Some(tenant), None));
        };
        let stored = read.password(user.id)?.ok_or_else(invented)?;
        Ok((Some(tenant), Some((user, stored))))
    }

    fn judge_password(
        &self,
        user: Id,
        stored: &PasswordRow,
        multi_factor: bool,
        password: &Secret,
    ) -> Result<(), Error> {
        match self.decide_password_sign_in(user) {
            Ok(()) => {}
            // What is wrong with the account is for those who know its password; that a PAT is needed is for all.
            Err(Error::Refused(_)) if multi_factor => return Err(pat_required()),
            Err(Error::Refused(refusal)) if refusal.reason != RefusalReason::PatRequired => {
                return Err(wrong(password));
            }
            Err(error) => return Err(error),
        }
        let Some(hash) = &stored.hash else {
            return Err(wrong(password));
        };
        judge_hash(hash, password)
    }

    /// Opens a session for a user whose password, of this epoch, was right.
    fn open_account(
        &self,
        user: &UserRow,
        password_epoch: u64,
        audience: &str,
        origin: &Origin,
    ) -> Result<AccountSignIn, Error> {
        let audience = self.intern_audience(audience)?;
        let id = self.new_id()?;
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let mut transaction = self.store.begin()?;
        let now = self.now();
        // Hashing takes a while: what was looked at before it may have changed, and cannot any more.
        let owner = transaction.owner(user.id)?.ok_or(Error::WrongPassword)?;
        let factor = transaction.second_factor(owner.id)?;
        // A password alone opens nothing for those who have a second factor, which this way cannot ask for.
        if owner.multi_factor || factor.is_some_and(|factor| factor.confirmed.is_some()) {
            return Err(pat_required());
        }
        let unchanged = transaction
            .password(user.id)?
            .is_some_and(|row| row.epoch == password_epoch);
        if !unchanged || !owner.enabled || owner.deleted.is_some() {
            return Err(Error::WrongPassword);
        }
        // Who signs in by other means now does not by the password from before: it would open again what the change has
        // ended (R9).
        let method = transaction.auth_method(Scope::Owner(owner.id))?;
        if method.as_deref() != Some(BY_PASSWORD) {
            return Err(Error::WrongPassword);
        }
        let session = AccountSession {
            id,
            owner: owner.id,
            audience,
            digest: token::digest(&bytes),
            opened: now,
            last_used: now,
            epochs: AccountEpochs {
                owner: owner.epoch,
                tenant: owner.tenant_epoch,
                password: password_epoch,
            },
            ended: None,
        };
        transaction.insert_account_session(&session)?;
        let row = transaction.account_row(id)?.ok_or_else(invented)?;
        let event = AuditEvent::new(LOGIN, now, &anybody(origin));
        event.by_user(&row.user).session(id).write(&mut *transaction)?;
        transaction.put_clock_mark(now, false)?;
        transaction.commit()?;
        let (lifetime, idle) = own_ends(&session, now, &self.account_rules(user.tenant));
        Ok(AccountSignIn {
            identity: Identity {
                names: Names::Account(Arc::new(row)),
                session: Some(id),
                ends: lifetime.or_earlier(idle),
            },
            secret: token::compose(Kind::Account, id, &bytes),
            expires: lifetime.at,
        })
    }

    /// Verifies a presented session of this kind for an audience.
    pub(super) fn check_account(
        &self,
        presented: &[u8],
        audience: &str,
        origin: &Origin,
    ) -> Result<Identity, Error> {
        let mut about = None;
        self.verify_account(presented, audience, &mut about)
            .inspect_err(|error| self.note_account("verify_session", about.as_deref(), error, origin))
    }

    fn verify_account(
        &self,
        presented: &[u8],
        audience: &str,
        about: &mut Option<Arc<AccountRow>>,
    ) -> Result<Identity, Error> {
        self.check_not_stalled()?;
        let presented = token::parse(Kind::Account, presented).map_err(refused)?;
        let read = self.store.account_session(presented.id())?;
        let read = read.ok_or(RefusalReason::Unknown).map_err(refused)?;
        let row = Arc::clone(about.insert(read.row));
        let (now, parameters) = (self.now(), self.account_rules(row.user.tenant));
        judge(&row, &presented, read.last_used, now, &parameters).map_err(refused)?;
        if row.audience != audience {
            return Err(refused(RefusalReason::WrongAudience));
        }
        let session = &row.session;
        let unused = now.saturating_sub(session.last_used);
        let durable = unused.saturating_add(WRITE_THROUGH) >= parameters.session_idle;
        self.store.record_account_use(session.id, now, durable)?;
        let (lifetime, idle) = own_ends(session, now, &parameters);
        Ok(Identity {
            session: Some(session.id),
            ends: lifetime.or_earlier(idle),
            names: Names::Account(row),
        })
    }

    /// Ends a presented session of this kind; one of a disabled owner, which would come back with its owner, only if
    /// `resting`.
    pub(super) fn close_account(
        &self,
        presented: &[u8],
        origin: &Origin,
        resting: bool,
    ) -> Result<ClosedSession, Error> {
        let mut about = None;
        self.end_account(presented, origin, resting, &mut about)
            .inspect_err(|error| self.note_account(LOGOUT, about.as_ref(), error, origin))
    }

    fn end_account(
        &self,
        presented: &[u8],
        origin: &Origin,
        resting: bool,
        about: &mut Option<AccountRow>,
    ) -> Result<ClosedSession, Error> {
        let presented = token::parse(Kind::Account, presented).map_err(refused)?;
        let mut transaction = self.store.begin()?;
        let now = self.now();
        let row = transaction.account_row(presented.id())?;
        let row = &*about.insert(row.ok_or(RefusalReason::Unknown).map_err(refused)?);
        let parameters = self.account_rules(row.user.tenant);
        match judge(row, &presented, row.session.last_used, now, &parameters) {
            Ok(()) => {}
            Err(RefusalReason::OwnerDisabled) if resting => {}
            Err(reason) => return Err(refused(reason)),
        }
        let end = End {
            at: now,
            cause: Cause::SessionClosed,
        };
        transaction.end_account_session(row.session.id, end)?;
        let event = AuditEvent::new(LOGOUT, now, &anybody(origin));
        event
            .by_user(&row.user)
            .session(row.session.id)
            .write(&mut *transaction)?;
        transaction.put_clock_mark(now, false)?;
        transaction.commit()?;
        Ok(ClosedSession {
            session: row.session.id,
            token: Id::default(),
            owner: row.user.id,
            tenant: row.user.tenant,
        })
    }

    /// How long these sessions last: as configured, unless the tenant's policy says that sessions last less.
    fn account_rules(&self, tenant: Id) -> Parameters {
        let configured = self.parameters();
        let rules = self.policies.load().of_tenant(tenant).running.rules(&configured);
        Parameters {
            session_lifetime: configured.session_lifetime.min(rules.session_lifetime),
            session_idle: configured.session_idle.min(rules.session_idle),
            ..configured
        }
    }

    fn note_account(&self, event: &'static str, about: Option<&AccountRow>, error: &Error, origin: &Origin) {
        let mut record = AuditEvent::new(event, self.now(), &anybody(origin));
        if let Some(row) = about {
            // The session is known by now, who presented it is not.
            record = record.user(&row.user).session(row.session.id);
        }
        self.note(error, true, record);
    }
}

/// The tenant that a sign-in is to, as far as there is such a one.
fn tenant_meant<R: Read + ?Sized>(read: &R, named: Option<&str>) -> Result<Option<TenantRow>, Error> {
    let Some(name) = named else {
        let mut tenants = read.tenants()?;
        if tenants.len() > 1 {
            return Err(Error::Invalid("there are several tenants: name one".to_owned()));
        }
        return Ok(tenants.pop());
    };
    match tenant_named(read, name) {
        Ok(tenant) => Ok(Some(tenant)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The authentication method of those who may sign in with a password.
pub(super) const BY_PASSWORD: &str = "password";

/// The event of a sign-in.
const LOGIN: &str = "login_with_password";

/// The verdict on a presented session. The first of these that holds is the reason against it.
fn judge(
    row: &AccountRow,
    presented: &Presented,
    last_used: Timestamp,
    now: Timestamp,
    parameters: &Parameters,
) -> Result<(), RefusalReason> {
    let AccountRow { session, owner, .. } = row;
    if presented.id() != session.id || !bool::from(presented.matches(SCHEME_SHA256, &session.digest)) {
        return Err(RefusalReason::WrongSecret);
    }
    if let Some(end) = session.ended {
        return Err(end.cause.into());
    }
    if owner.deleted.is_some() {
        return Err(RefusalReason::OwnerDeleted);
    }
    if !owner.enabled {
        return Err(RefusalReason::OwnerDisabled);
    }
    if (session.epochs.owner, session.epochs.tenant) != (row.epochs.owner, row.epochs.tenant) {
        return Err(RefusalReason::AuthMethodChanged);
    }
    // A new password signs out those that came in by the old one.
    if session.epochs.password != row.epochs.password {
        return Err(RefusalReason::SessionClosed);
    }
    if owner.multi_factor {
        return Err(RefusalReason::PatRequired);
    }
    let (lifetime, idle) = own_ends(session, last_used, parameters);
    let end = lifetime.or_earlier(idle);
    // At the very instant it is over.
    if now < end.at {
        Ok(())
    } else {
        Err(end.cause.into())
    }
}

/// When a session reaches its greatest length, and its idle period if it was last used at `used`.
fn own_ends(session: &AccountSession, used: Timestamp, parameters: &Parameters) -> (End, End) {
    let lifetime = End {
        at: session.opened.saturating_add(parameters.session_lifetime),
        cause: Cause::SessionLifetime,
    };
    let idle = End {
        at: used.saturating_add(parameters.session_idle),
        cause: Cause::SessionIdle,
    };
    (lifetime, idle)
}

pub(super) fn refused(reason: RefusalReason) -> Error {
    Error::Refused(Refusal { reason, token: None })
}

fn pat_required() -> Error {
    refused(RefusalReason::PatRequired)
}

/// Whether this is the password that was hashed.
pub(super) fn judge_hash(hash: &str, password: &Secret) -> Result<(), Error> {
    let hash = PasswordHash::new(hash)
        .map_err(|_| StoreError::Corrupt("a password hash is not in PHC format".to_owned()))?;
    Argon2::default()
        .verify_password(password.expose(), &hash)
        .map_err(|_| Error::WrongPassword)
}

/// The answer to what cannot be right, after as much work as for what could be.
pub(super) fn wrong(password: &Secret) -> Error {
    let _ = hash_password(password);
    Error::WrongPassword
}

/// Hashes a password with argon2id, in PHC format.
pub(super) fn hash_password(password: &Secret) -> Result<String, Error> {
    let hash = Argon2::default()
        .hash_password(password.expose())
        .map_err(|error| Error::Invalid(format!("the password cannot be used: {error}")))?;
    Ok(hash.to_string())
}

/// Somebody who is yet to show who they are.
pub(super) fn anybody(origin: &Origin) -> Caller {
    Caller {
        actor: Actor {
            role: ActorRole::User,
            id: Id::default(),
        },
        name: None,
        origin: origin.clone(),
        session: None,
    }
}
