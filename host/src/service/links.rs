//! Links that are good once: the one with which the first tenant is made, on an empty data directory, and those with
//! which a user sets a password that nobody else has seen.
//!
//! A link is 32 random bytes behind an identifier, of which the digest is stored. A newer one takes the place of an
//! older one. It is used up in the same transaction as what it is used for, so that two who use it at once do not both
//! succeed.

use patrol_policy::Secret;
use patrol_policy::token;
use patrol_policy::types::{DAY, RefusalReason, Timestamp};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::accounts::{BY_PASSWORD, anybody, refused};
use super::directory::{
    SET_PASSWORD, checked_email, checked_name, checked_roles, find_user, found, hash_new_password,
    make_tenant, make_user,
};
use super::events::AuditEvent;
use super::web::{compose, method_in_force, parse};
use super::{Caller, Error, Origin, Patrol, UserRef, WebSignIn};
use crate::store::{LinkPurpose, LinkRow, NewTenant, NewUser, Read, StoreError, UserRow};

/// For how long a link to set things up is good, in ms.
const SETUP_FOR: u64 = DAY;
/// For how long a link to set a password is good, in ms: whoever is invited may be away over a weekend.
const PASSWORD_FOR: u64 = 3 * DAY;

/// The event of a use of a link to set things up that was refused.
const SET_UP: &str = "use_setup_link";
/// The event of a use of a link to set a password that was refused.
const USE_LINK: &str = "use_password_link";

/// A link that was just made.
#[derive(Debug)]
pub struct Link {
    /// What whoever opens it shows, and nobody else is to see (R1): letters, digits, `-` and `_`.
    pub secret: Secret,
    /// From when on it is no longer good.
    pub expires: Timestamp,
    page: &'static str,
}

impl Link {
    /// Where it leads, on Patrol's own pages: a path with the secret in its query.
    #[must_use]
    pub fn path(&self) -> Zeroizing<String> {
        let secret = str::from_utf8(self.secret.expose()).unwrap_or_default();
        let mut path = Zeroizing::new(String::with_capacity(128));
        path.push_str(self.page);
        path.push_str("?link=");
        path.push_str(secret);
        path
    }
}

/// What the first tenant and its administrator are to be called.
#[derive(Clone, Debug, Default)]
pub struct FirstNames {
    /// The tenant.
    pub tenant: String,
    /// The administrator.
    pub user: String,
    /// The administrator's e-mail address.
    pub email: Option<String>,
}

impl Patrol {
    /// Makes a link with which the first tenant can be made, in the place of any before it; none where there is a
    /// tenant.
    ///
    /// # Errors
    /// An outage.
    pub fn setup_link(&self) -> Result<Option<Link>, Error> {
        if !self.tenants()?.is_empty() {
            return Ok(None);
        }
        self.change(|transaction| {
            let (link, row) = self.new_link(LinkPurpose::Setup, SETUP_FOR, "/ui/setup")?;
            transaction.put_link(&row)?;
            let event = AuditEvent::new("create_setup_link", row.created, &Caller::system())
                .detail("linkId", row.id.to_string());
            Ok((Some(link), event))
        })
    }

    /// Makes a link with which this user can set a password, in the place of any before it. It disturbs nothing until
    /// it is used.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Invalid`] where the user does not sign in by password, is disabled or is not
    /// clear; an outage.
    pub fn password_link(&self, caller: &Caller, user: &UserRef) -> Result<(UserRow, Link), Error> {
        self.change(|transaction| {
            let user = find_user(transaction, user)?;
            if user.deleted.is_some() {
                return found(None, "user", &user.id.to_string());
            }
            if !user.enabled {
                return Err(Error::Invalid(
                    "the user is disabled: enable them before they set a password".to_owned(),
                ));
            }
            if method_in_force(transaction, user.id)?.as_deref() != Some(BY_PASSWORD) {
                return Err(Error::Invalid(
                    "the user's authentication method is not \"password\": a password would be of no use"
                        .to_owned(),
                ));
            }
            let password = found(transaction.password(user.id)?, "user", &user.name)?;
            let purpose = LinkPurpose::Password {
                user: user.id,
                epoch: password.epoch,
            };
            let (link, row) = self.new_link(purpose, PASSWORD_FOR, "/ui/password")?;
            transaction.put_link(&row)?;
            let event = AuditEvent::new("create_password_link", row.created, caller)
                .user(&user)
                .detail("linkId", row.id.to_string());
            Ok(((user, link), event))
        })
    }

    /// Whether this link can be used to make the first tenant.
    ///
    /// # Errors
    /// [`Error::Refused`] where it cannot, or not any more; an outage.
    pub fn check_setup_link(&self, presented: &Secret) -> Result<(), Error> {
        judge_setup(&*self.store.read()?, presented, self.now()).map(drop)
    }

    /// Whose password this link can set.
    ///
    /// # Errors
    /// [`Error::Refused`] where it can set none, or not any more; an outage.
    pub fn check_password_link(&self, presented: &Secret) -> Result<UserRow, Error> {
        let (_, user) = judge_password(&*self.store.read()?, presented, self.now())?;
        Ok(user)
    }

    /// Makes the first tenant, whose members sign in by password, and its administrator, who is signed in then. The
    /// administrator has the first of the roles that `api.admin_roles` lists.
    ///
    /// Slow on purpose: not to be called on a thread that answers others.
    ///
    /// # Errors
    /// [`Error::Refused`] where the link is not good, or not any more; [`Error::Invalid`] for names and passwords that
    /// cannot be; an outage.
    pub fn set_up(
        &self,
        presented: &Secret,
        names: &FirstNames,
        password: &Secret,
        origin: &Origin,
    ) -> Result<WebSignIn, Error> {
        let user = self
            .make_first(presented, names, password, origin)
            .inspect_err(|error| self.note_web(SET_UP, None, error, origin))?;
        self.open_web_session(user.id, BY_PASSWORD, origin)
    }

    fn make_first(
        &self,
        presented: &Secret,
        names: &FirstNames,
        password: &Secret,
        origin: &Origin,
    ) -> Result<UserRow, Error> {
        // Whoever has no link has nobody hash for them.
        self.check_setup_link(presented)?;
        let tenant = checked_name("tenant", &names.tenant)?;
        let name = checked_name("user", &names.user)?;
        let email = names.email.as_deref().map(checked_email).transpose()?;
        let first_role = self.config().api.admin_roles.first().cloned();
        let roles = checked_roles(&Vec::from_iter(first_role))?;
        let hash = hash_new_password(password)?;
        let (tenant_id, site, id) = (self.new_id()?, self.new_id()?, self.new_id()?);
        self.change(|transaction| {
            let created = self.now();
            let link = judge_setup(transaction, presented, created)?;
            transaction.use_link(link.id, created)?;
            let new = NewTenant {
                id: tenant_id,
                name: &tenant,
                auth_method: BY_PASSWORD,
                multi_factor: false,
                created,
            };
            let caller = anybody(origin);
            let (_, made) = make_tenant(transaction, &new, site, &caller)?;
            let new = NewUser {
                id,
                tenant: tenant_id,
                name: &name,
                email: email.as_deref(),
                roles: &roles,
                created,
            };
            let (user, event) = make_user(transaction, &new, &caller)?;
            transaction.set_password_hash(id, &hash)?;
            let link = link.id.to_string();
            made.by_user(&user)
                .detail("linkId", link.as_str())
                .write(transaction)?;
            event
                .by_user(&user)
                .detail("linkId", link.as_str())
                .write(transaction)?;
            let event = AuditEvent::new(SET_PASSWORD, created, &caller).by_user(&user);
            Ok((user, event.detail("linkId", link)))
        })
    }

    /// Sets the password of the user whom this link is for. It disturbs no token (R10), and ends the sessions that the
    /// password before opened. Nobody is signed in by it.
    ///
    /// Slow on purpose: not to be called on a thread that answers others.
    ///
    /// # Errors
    /// [`Error::Refused`] where the link is not good, or not any more; [`Error::Invalid`] for a password that cannot
    /// be; an outage.
    pub fn set_password_by_link(
        &self,
        presented: &Secret,
        password: &Secret,
        origin: &Origin,
    ) -> Result<UserRow, Error> {
        let mut about = None;
        self.change_by_link(presented, password, origin, &mut about)
            .inspect_err(|error| self.note_web(USE_LINK, about.as_ref(), error, origin))
    }

    fn change_by_link(
        &self,
        presented: &Secret,
        password: &Secret,
        origin: &Origin,
        about: &mut Option<UserRow>,
    ) -> Result<UserRow, Error> {
        *about = Some(self.check_password_link(presented)?);
        let hash = hash_new_password(password)?;
        self.change(|transaction| {
            let now = self.now();
            let (link, user) = judge_password(transaction, presented, now)?;
            transaction.use_link(link.id, now)?;
            transaction.set_password_hash(user.id, &hash)?;
            let event = AuditEvent::new(SET_PASSWORD, now, &anybody(origin))
                .by_user(&user)
                .detail("linkId", link.id.to_string());
            Ok((user, event))
        })
    }

    fn new_link(
        &self,
        purpose: LinkPurpose,
        good_for: u64,
        page: &'static str,
    ) -> Result<(Link, LinkRow), Error> {
        let id = self.new_id()?;
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let created = self.now();
        let expires = created.saturating_add(good_for);
        let link = Link {
            secret: compose(id, &bytes),
            expires,
            page,
        };
        let row = LinkRow {
            id,
            digest: token::digest(&bytes),
            purpose,
            created,
            expires,
            used: None,
        };
        Ok((link, row))
    }
}

/// The link that is presented, if it is good for anything.
fn judge<R: Read + ?Sized>(read: &R, presented: &Secret, now: Timestamp) -> Result<LinkRow, Error> {
    let (id, digest) = parse(presented).ok_or(refused(RefusalReason::Malformed))?;
    let link = read.link(id)?.ok_or(refused(RefusalReason::Unknown))?;
    if !bool::from(link.digest.to_bytes().ct_eq(&digest.to_bytes())) {
        return Err(refused(RefusalReason::WrongSecret));
    }
    if link.used.is_some() {
        return Err(refused(RefusalReason::Revoked));
    }
    // At the very instant it is over.
    if now >= link.expires {
        return Err(refused(RefusalReason::Expired));
    }
    Ok(link)
}

fn judge_setup<R: Read + ?Sized>(read: &R, presented: &Secret, now: Timestamp) -> Result<LinkRow, Error> {
    let link = judge(read, presented, now)?;
    if link.purpose != LinkPurpose::Setup {
        return Err(refused(RefusalReason::NotPermitted));
    }
    // Somebody else has set things up, by other means.
    if !read.tenants()?.is_empty() {
        return Err(refused(RefusalReason::Revoked));
    }
    Ok(link)
}

fn judge_password<R: Read + ?Sized>(
    read: &R,
    presented: &Secret,
    now: Timestamp,
) -> Result<(LinkRow, UserRow), Error> {
    let link = judge(read, presented, now)?;
    let LinkPurpose::Password { user: id, epoch } = link.purpose else {
        return Err(refused(RefusalReason::NotPermitted));
    };
    let user = read.user(id)?.ok_or(refused(RefusalReason::NoSuchOwner))?;
    if user.deleted.is_some() {
        return Err(refused(RefusalReason::OwnerDeleted));
    }
    if !user.enabled {
        return Err(refused(RefusalReason::OwnerDisabled));
    }
    if method_in_force(read, id)?.as_deref() != Some(BY_PASSWORD) {
        return Err(refused(RefusalReason::AuthMethodChanged));
    }
    let password = read.password(id)?;
    if password.is_none_or(|password| password.epoch != epoch) {
        return Err(refused(RefusalReason::Revoked));
    }
    Ok((link, user))
}
