//! Sessions of people on Patrol's own pages.
//!
//! Only a person's sign-in opens one, never a PAT (R12). It is good while all of this holds: it has not been closed; it
//! is neither too old nor too long unused, as `[web]` says; its owner is enabled and not deleted; the way that it was
//! opened is the authentication method in force for its owner; and neither that method nor the password has changed
//! since. Who changes a method is the one exception: their own session goes on, so that they see what they did. Roles
//! are the owner's at each use (R4).
//!
//! The secret is 32 random bytes, of which the digest is stored; what the browser keeps is identifier and secret.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use patrol_policy::Secret;
use patrol_policy::token;
use patrol_policy::types::{
    Actor, ActorRole, Cause, Digest, End, Id, MINUTE, RefusalReason, Scope, Timestamp,
};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::accounts::{anybody, judge_hash, refused, wrong};
use super::decision::invented;
use super::directory::{SET_PASSWORD, hash_new_password, normalize};
use super::events::AuditEvent;
use super::second_factor::FirstStep;
use super::{Caller, Error, Origin, Patrol};
use crate::store::{AccountEpochs, Read, StoreError, Transaction, UserRow, WebRow, WebSession};

/// A use is written down if the one before was longer ago than this, in ms: pages are looked at in bursts.
const USE_EVERY: u64 = MINUTE;

/// The event of a sign-in to the pages.
pub(super) const SIGN_IN: &str = "web_login";
/// The event of a sign-out.
const SIGN_OUT: &str = "web_logout";

/// A session that was just opened.
#[derive(Debug)]
pub struct WebSignIn {
    /// Who signed in.
    pub visitor: WebVisitor,
    /// What the browser keeps, and nobody else (R1): letters, digits, `-` and `_`.
    pub secret: Secret,
}

/// Somebody who is signed in to the pages, as of now (R4).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WebVisitor {
    /// The user.
    pub user: UserRow,
    /// Whether the user's tenant asks for a second factor (R11).
    pub multi_factor: bool,
    /// The session.
    pub session: Id,
    /// The authentication method that opened it.
    pub via: String,
    /// When it ends if it is not used again.
    pub ends: Timestamp,
}

impl WebVisitor {
    /// The visitor as the service and the audit trail see them, acting for themselves.
    #[must_use]
    pub fn caller(&self, origin: Origin) -> Caller {
        self.acting(ActorRole::User, origin)
    }

    /// The same, acting for others. That the roles are enough for it is for the one who asks to have tested.
    #[must_use]
    pub fn administrator(&self, origin: Origin) -> Caller {
        self.acting(ActorRole::Administrator, origin)
    }

    fn acting(&self, role: ActorRole, origin: Origin) -> Caller {
        Caller {
            actor: Actor {
                role,
                id: self.user.id,
            },
            name: Some(self.user.name.clone()),
            origin,
            session: Some(self.session),
        }
    }
}

impl Patrol {
    /// Signs in to the pages with user name and password, as far as these are enough: whoever has a second factor, or is
    /// to have one, shows it next. The tenant may be left out where there is only one.
    ///
    /// Slow on purpose: not to be called on a thread that answers others.
    ///
    /// # Errors
    /// [`Error::WrongPassword`] for anything wrong with name, password or account, or where the user signs in by other
    /// means; [`Error::Invalid`] where the tenant must be named; an outage.
    pub fn web_sign_in_with_password(
        &self,
        tenant: Option<&str>,
        user: &str,
        password: &Secret,
        origin: &Origin,
    ) -> Result<FirstStep, Error> {
        let mut about = None;
        self.judge_web_password(tenant, user, password, &mut about)
            .and_then(|(user, epoch)| self.first_step(&user, epoch, origin))
            .inspect_err(|error| self.note_web(SIGN_IN, about.as_ref(), error, origin))
    }

    /// The user whose name and password these are, with how often the password was set. `about` is whom it was tried
    /// for, as far as there is such a user.
    fn judge_web_password(
        &self,
        tenant: Option<&str>,
        user: &str,
        password: &Secret,
        about: &mut Option<UserRow>,
    ) -> Result<(UserRow, u64), Error> {
        let (_, known) = self.find_account(tenant, &normalize(user))?;
        let Some((user, stored)) = known else {
            // The same work as for a real account, so that the time does not tell which names exist.
            return Err(wrong(password));
        };
        *about = Some(user.clone());
        match &stored.hash {
            Some(hash) => judge_hash(hash, password)?,
            None => return Err(wrong(password)),
        }
        Ok((user, stored.epoch))
    }

    /// Opens a session on the pages for a user who has shown who they are by this authentication method.
    ///
    /// # Errors
    /// [`Error::WrongPassword`] where the user may not sign in, or not by this method; an outage.
    pub fn open_web_session(&self, user: Id, via: &str, origin: &Origin) -> Result<WebSignIn, Error> {
        self.open_web(user, via, None, origin).inspect_err(|error| {
            let about = self.store.read().and_then(|read| read.user(user));
            self.note_web(SIGN_IN, about.ok().flatten().as_ref(), error, origin);
        })
    }

    /// As [`open_web_session`](Self::open_web_session), for a password of this epoch where it was one.
    pub(super) fn open_web(
        &self,
        user: Id,
        via: &str,
        password_epoch: Option<u64>,
        origin: &Origin,
    ) -> Result<WebSignIn, Error> {
        let id = self.new_id()?;
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let mut transaction = self.store.begin()?;
        let now = self.now();
        // What was looked at before may have changed, and cannot any more.
        let owner = transaction.owner(user)?.ok_or(Error::WrongPassword)?;
        let password = transaction.password(user)?.ok_or_else(invented)?.epoch;
        if !owner.enabled || owner.deleted.is_some() || password_epoch.is_some_and(|epoch| epoch != password)
        {
            return Err(Error::WrongPassword);
        }
        if method_in_force(&*transaction, user)?.as_deref() != Some(via) {
            return Err(Error::WrongPassword);
        }
        let session = WebSession {
            id,
            owner: owner.id,
            via: via.to_owned(),
            digest: token::digest(&bytes),
            opened: now,
            last_used: now,
            epochs: AccountEpochs {
                owner: owner.epoch,
                tenant: owner.tenant_epoch,
                password,
            },
            ended: None,
        };
        transaction.insert_web_session(&session)?;
        let row = transaction.web_row(id)?.ok_or_else(invented)?;
        AuditEvent::new(SIGN_IN, now, &anybody(origin))
            .by_user(&row.user)
            .session(id)
            .detail("authMethod", via)
            .write(&mut *transaction)?;
        transaction.put_clock_mark(now, false)?;
        transaction.commit()?;
        Ok(WebSignIn {
            visitor: self.visitor(row),
            secret: compose(id, &bytes),
        })
    }

    /// Whoever this session of the pages has let in.
    ///
    /// # Errors
    /// A refusal says why the session is not good, for the audit trail; an outage.
    pub fn web_session(&self, presented: &Secret) -> Result<WebVisitor, Error> {
        let (id, digest) = parse(presented).ok_or(refused(RefusalReason::Malformed))?;
        let row = self.store.read()?.web_row(id)?;
        let row = row.ok_or(refused(RefusalReason::Unknown))?;
        let now = self.now();
        self.judge_web(&row, digest, now)?;
        if now.saturating_sub(row.session.last_used) >= USE_EVERY {
            let mut transaction = self.store.begin()?;
            transaction.put_web_use(id, now)?;
            transaction.commit()?;
        }
        let mut row = row;
        row.session.last_used = now;
        Ok(self.visitor(row))
    }

    /// Signs out of the pages: the presented session is over. One that is over already stays so.
    ///
    /// # Errors
    /// As [`Patrol::web_session`].
    pub fn close_web_session(&self, presented: &Secret, origin: &Origin) -> Result<(), Error> {
        let (id, digest) = parse(presented).ok_or(refused(RefusalReason::Malformed))?;
        let mut transaction = self.store.begin()?;
        let now = self.now();
        let row = transaction.web_row(id)?.ok_or(refused(RefusalReason::Unknown))?;
        self.judge_web(&row, digest, now)?;
        transaction.end_web_session(id, closed(now))?;
        AuditEvent::new(SIGN_OUT, now, &anybody(origin))
            .by_user(&row.user)
            .session(id)
            .write(&mut *transaction)?;
        Ok(transaction.commit()?)
    }

    /// Ends all sessions of a user on the pages but this one; says how many.
    ///
    /// # Errors
    /// An outage.
    pub fn end_web_sessions(&self, caller: &Caller, user: &UserRow, but: Option<Id>) -> Result<u32, Error> {
        self.change(|transaction| {
            let now = self.now();
            let ended = transaction.end_web_sessions(user.id, but, closed(now))?;
            let event = AuditEvent::new("batch_revoke_session", now, caller)
                .user(user)
                .detail("count", ended);
            Ok((ended, event))
        })
    }

    /// Sets the password of somebody who shows the one before. The session in which they do so goes on; all others that
    /// a password opened, here and at the REST API, are over. It disturbs no token (R10).
    ///
    /// Slow on purpose: not to be called on a thread that answers others.
    ///
    /// # Errors
    /// [`Error::WrongPassword`] for the one before, or where the session is over; [`Error::Invalid`] for one that cannot
    /// be; an outage.
    pub fn change_password(
        &self,
        visitor: &WebVisitor,
        before: &Secret,
        password: &Secret,
        origin: &Origin,
    ) -> Result<(), Error> {
        self.replace_password(visitor, before, password, origin)
            .inspect_err(|error| self.note_web(SET_PASSWORD, Some(&visitor.user), error, origin))
    }

    fn replace_password(
        &self,
        visitor: &WebVisitor,
        before: &Secret,
        password: &Secret,
        origin: &Origin,
    ) -> Result<(), Error> {
        let user = &visitor.user;
        let stored = self.store.read()?.password(user.id)?.ok_or_else(invented)?;
        judge_hash(&stored.hash.ok_or(Error::WrongPassword)?, before)?;
        let hash = hash_new_password(password)?;
        self.change(|transaction| {
            // Hashing takes a while. What is over by now, by another password or method, is not to come back.
            let row = transaction
                .web_row(visitor.session)?
                .ok_or(Error::WrongPassword)?;
            let good = row.session.ended.is_none() && row.owner.enabled && row.owner.deleted.is_none();
            if !good || row.session.epochs != row.epochs || row.epochs.password != stored.epoch {
                return Err(Error::WrongPassword);
            }
            transaction.set_password_hash(user.id, &hash)?;
            transaction.rebind_web_session(visitor.session)?;
            let caller = visitor.caller(origin.clone());
            Ok(((), AuditEvent::new(SET_PASSWORD, self.now(), &caller).user(user)))
        })
    }

    /// As part of a change of method: the session in which it is asked for goes on, so that whoever asked sees what they
    /// did. It must have been good until now, and must be theirs; that it was opened by the method before is remembered.
    pub(super) fn keep_across_change(
        transaction: &mut dyn Transaction,
        caller: &Caller,
        scope: Scope,
    ) -> Result<(), Error> {
        let Some(session) = caller.session else {
            return Ok(());
        };
        let Some(row) = transaction.web_row(session)? else {
            return Ok(());
        };
        let mut before = row.epochs;
        match scope {
            Scope::Owner(user) if user == row.owner.id => before.owner = before.owner.saturating_sub(1),
            Scope::Owner(_) => return Ok(()),
            Scope::Tenant(tenant) if tenant == row.user.tenant => {
                before.tenant = before.tenant.saturating_sub(1);
            }
            Scope::Tenant(_) => return Ok(()),
        }
        if row.owner.id == caller.actor.id && row.session.epochs == before {
            transaction.rebind_web_session(session)?;
        }
        Ok(())
    }

    fn judge_web(&self, row: &WebRow, digest: Digest, now: Timestamp) -> Result<(), Error> {
        let WebRow { session, owner, .. } = row;
        if !bool::from(session.digest.to_bytes().ct_eq(&digest.to_bytes())) {
            return Err(refused(RefusalReason::WrongSecret));
        }
        if let Some(end) = session.ended {
            return Err(refused(end.cause.into()));
        }
        if owner.deleted.is_some() {
            return Err(refused(RefusalReason::OwnerDeleted));
        }
        if !owner.enabled {
            return Err(refused(RefusalReason::OwnerDisabled));
        }
        if (session.epochs.owner, session.epochs.tenant) != (row.epochs.owner, row.epochs.tenant) {
            return Err(refused(RefusalReason::AuthMethodChanged));
        }
        if session.epochs.password != row.epochs.password {
            return Err(refused(RefusalReason::SessionClosed));
        }
        let end = self.web_end(session, session.last_used);
        // At the very instant it is over.
        if now < end.at {
            Ok(())
        } else {
            Err(refused(end.cause.into()))
        }
    }

    fn web_end(&self, session: &WebSession, used: Timestamp) -> End {
        let config = self.config();
        let lifetime = End {
            at: session.opened.saturating_add(config.web.session_lifetime.0),
            cause: Cause::SessionLifetime,
        };
        lifetime.or_earlier(End {
            at: used.saturating_add(config.web.session_idle.0),
            cause: Cause::SessionIdle,
        })
    }

    fn visitor(&self, row: WebRow) -> WebVisitor {
        WebVisitor {
            ends: self.web_end(&row.session, row.session.last_used).at,
            multi_factor: row.owner.multi_factor,
            session: row.session.id,
            via: row.session.via,
            user: row.user,
        }
    }

    pub(super) fn note_web(
        &self,
        event: &'static str,
        about: Option<&UserRow>,
        error: &Error,
        origin: &Origin,
    ) {
        let mut record = AuditEvent::new(event, self.now(), &anybody(origin));
        if let Some(user) = about {
            record = record.user(user);
        }
        self.note(error, true, record);
    }
}

/// The authentication method in force for a user: their own, or else their tenant's.
pub(super) fn method_in_force<R: Read + ?Sized>(read: &R, user: Id) -> Result<Option<String>, Error> {
    Ok(read.auth_method(Scope::Owner(user))?)
}

pub(super) const fn closed(at: Timestamp) -> End {
    End {
        at,
        cause: Cause::SessionClosed,
    }
}

pub(super) fn compose(id: Id, secret: &[u8; 32]) -> Secret {
    let mut bytes = Zeroizing::new([0; 48]);
    let (head, tail) = bytes.split_at_mut(16);
    head.copy_from_slice(&id.to_bytes());
    tail.copy_from_slice(secret);
    // As large as it gets: a text that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(64));
    URL_SAFE_NO_PAD.encode_string(*bytes, &mut text);
    Secret::new(std::mem::take(&mut *text).into_bytes())
}

/// The identifier, and the digest of the secret.
pub(super) fn parse(presented: &Secret) -> Option<(Id, Digest)> {
    let mut bytes = Zeroizing::new([0; 48]);
    let length = URL_SAFE_NO_PAD
        .decode_slice(presented.expose(), &mut *bytes)
        .ok()?;
    let (head, tail) = bytes.split_first_chunk::<16>()?;
    let secret = Zeroizing::new(<[u8; 32]>::try_from(tail).ok()?);
    (length == 48).then(|| (Id::from_bytes(*head), token::digest(&secret)))
}
