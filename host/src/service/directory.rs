//! Tenants and users: the names that people go by, around identifiers that never change (R10).

use patrol_policy::Secret;
use patrol_policy::types::Id;
use unicode_normalization::UnicodeNormalization;

use super::accounts::hash_password;
use super::events::AuditEvent;
use super::sites::DEFAULT_SITE;
use super::tokens::check_method;
use super::{Caller, Error, Patrol};
use crate::store::{NewSite, NewTenant, NewUser, Read, StoreError, TenantRow, Transaction, UserRow};

/// The event of a password that is set, by whomever.
pub(super) const SET_PASSWORD: &str = "set_user_password";

/// A user to be made.
#[derive(Clone, Debug, Default)]
pub struct NewAccount {
    /// The name, unique in the tenant.
    pub name: String,
    /// The e-mail address.
    pub email: Option<String>,
    /// The roles (R4).
    pub roles: Vec<String>,
}

/// How people point at a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserRef {
    /// By identifier, which also finds deleted users.
    Id(Id),
    /// By name, and by tenant where the name alone is not enough.
    Name {
        /// The tenant's name.
        tenant: Option<String>,
        /// The user's name.
        name: String,
    },
}

impl std::str::FromStr for UserRef {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        Ok(match text.split_once('/') {
            Some((tenant, name)) => Self::Name {
                tenant: Some(normalize(tenant)),
                name: normalize(name),
            },
            None => Self::Name {
                tenant: None,
                name: normalize(text),
            },
        })
    }
}

/// A text in the form in which names are compared: Unicode NFC, surrounding space trimmed (R13).
pub(crate) fn normalize(text: &str) -> String {
    text.trim().nfc().collect()
}

pub(super) fn checked_name(what: &str, text: &str) -> Result<String, Error> {
    let name = normalize(text);
    let length = name.chars().count();
    if !(1..=255).contains(&length) || name.chars().any(char::is_control) || name.contains('/') {
        return Err(Error::Invalid(format!(
            "\"{}\" cannot be the name of a {what}: use 1 to 255 characters without control characters and \"/\"",
            text.escape_debug()
        )));
    }
    Ok(name)
}

pub(super) fn checked_email(text: &str) -> Result<String, Error> {
    let email = normalize(text);
    let odd = |c: char| c.is_control() || c.is_whitespace();
    let parts = email
        .split_once('@')
        .is_some_and(|(user, host)| !user.is_empty() && !host.is_empty());
    if !parts || email.chars().count() > 254 || email.chars().any(odd) {
        return Err(Error::Invalid(format!(
            "\"{}\" is not an e-mail address",
            text.escape_debug()
        )));
    }
    Ok(email)
}

/// Roles reach gateways in a header, separated by commas.
pub(super) fn checked_roles(roles: &[String]) -> Result<Vec<String>, Error> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._:/-".contains(c);
    let mut checked = Vec::with_capacity(roles.len());
    for role in roles {
        if !(1..=64).contains(&role.len()) || !role.chars().all(fits) {
            return Err(Error::Invalid(format!(
                "\"{}\" cannot be a role: use 1 to 64 letters, digits or any of . _ : / -",
                role.escape_debug()
            )));
        }
        checked.push(role.clone());
    }
    checked.sort_unstable();
    checked.dedup();
    if checked.len() > 32 {
        return Err(Error::Invalid("a user has at most 32 roles".to_owned()));
    }
    Ok(checked)
}

impl Patrol {
    pub(super) fn new_id(&self) -> Result<Id, Error> {
        let mut random = [0; 10];
        getrandom::fill(&mut random).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Id::new_v7(self.now(), &random))
    }

    /// Runs a change of tenants, users or clients, with its audit event in the same transaction.
    pub(super) fn change<T>(
        &self,
        change: impl FnOnce(&mut dyn Transaction) -> Result<(T, AuditEvent), Error>,
    ) -> Result<T, Error> {
        let mut transaction = self.store.begin()?;
        let (value, event) = change(&mut *transaction)?;
        self.complete(transaction, event)?;
        Ok(value)
    }

    /// Commits a change together with its audit event.
    pub(super) fn complete(
        &self,
        mut transaction: Box<dyn Transaction>,
        event: AuditEvent,
    ) -> Result<(), Error> {
        event.write(&mut *transaction)?;
        transaction.put_clock_mark(self.now(), false)?;
        Ok(transaction.commit()?)
    }

    /// Makes a tenant, with one site.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::Invalid`], or an outage.
    pub fn create_tenant(
        &self,
        caller: &Caller,
        name: &str,
        auth_method: &str,
        multi_factor: bool,
    ) -> Result<TenantRow, Error> {
        let name = checked_name("tenant", name)?;
        check_method(auth_method)?;
        let (id, site) = (self.new_id()?, self.new_id()?);
        self.change(|transaction| {
            let new = NewTenant {
                id,
                name: &name,
                auth_method,
                multi_factor,
                created: self.now(),
            };
            make_tenant(transaction, &new, site, caller)
        })
    }

    /// Turns multi-factor authentication of a tenant on or off (R11). It disturbs no token.
    ///
    /// # Errors
    /// [`Error::NotFound`], or an outage.
    pub fn set_multi_factor(&self, caller: &Caller, tenant: &str, on: bool) -> Result<TenantRow, Error> {
        self.change(|transaction| {
            let id = tenant_named(transaction, tenant)?.id;
            transaction.set_multi_factor(id, on)?;
            let row = found(transaction.tenant(id)?, "tenant", tenant)?;
            let event = AuditEvent::new("set_multi_factor", self.now(), caller)
                .tenant(row.id, &row.name)
                .detail("multiFactor", on);
            Ok((row, event))
        })
    }

    /// All tenants, by name.
    ///
    /// # Errors
    /// An outage.
    pub fn tenants(&self) -> Result<Vec<TenantRow>, Error> {
        Ok(self.store.read()?.tenants()?)
    }

    /// The tenant with this name or identifier.
    ///
    /// # Errors
    /// [`Error::NotFound`], or an outage.
    pub fn tenant(&self, name: &str) -> Result<TenantRow, Error> {
        tenant_named(&*self.store.read()?, name)
    }

    /// Makes a user.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the tenant, [`Error::Exists`], [`Error::Invalid`], or an outage.
    pub fn create_user(&self, caller: &Caller, tenant: &str, account: &NewAccount) -> Result<UserRow, Error> {
        let name = checked_name("user", &account.name)?;
        let email = account.email.as_deref().map(checked_email).transpose()?;
        let roles = checked_roles(&account.roles)?;
        let id = self.new_id()?;
        self.change(|transaction| {
            let new = NewUser {
                id,
                tenant: tenant_named(transaction, tenant)?.id,
                name: &name,
                email: email.as_deref(),
                roles: &roles,
                created: self.now(),
            };
            make_user(transaction, &new, caller)
        })
    }

    /// Users of one tenant or all, by tenant and name; deleted ones on demand.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the tenant, or an outage.
    pub fn users(&self, tenant: Option<&str>, deleted: bool) -> Result<Vec<UserRow>, Error> {
        let read = self.store.read()?;
        let tenant = tenant.map(|name| tenant_named(&*read, name)).transpose()?;
        Ok(read.users(tenant.map(|tenant| tenant.id), deleted)?)
    }

    /// The user that is pointed at.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Invalid`] where several users have the name; or an outage.
    pub fn user(&self, user: &UserRef) -> Result<UserRow, Error> {
        find_user(&*self.store.read()?, user)
    }

    /// Changes a user and records it as `event`, with what the change has to say.
    pub(super) fn change_user(
        &self,
        caller: &Caller,
        user: &UserRef,
        event: &'static str,
        change: impl FnOnce(
            &mut dyn Transaction,
            &UserRow,
        ) -> Result<Option<(&'static str, serde_json::Value)>, Error>,
    ) -> Result<UserRow, Error> {
        self.change(|transaction| {
            let before = find_user(transaction, user)?;
            if before.deleted.is_some() {
                return Err(Error::NotFound {
                    what: "user",
                    name: before.id.to_string(),
                });
            }
            let detail = change(transaction, &before)?;
            let after = found(transaction.user(before.id)?, "user", &before.name)?;
            let mut event = AuditEvent::new(event, self.now(), caller).user(&after);
            if let Some((key, value)) = detail {
                event = event.detail(key, value);
            }
            Ok((after, event))
        })
    }

    /// Gives a user another name. It disturbs no token (R10).
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Exists`], [`Error::Invalid`], or an outage; so for the next ones.
    pub fn rename_user(&self, caller: &Caller, user: &UserRef, name: &str) -> Result<UserRow, Error> {
        let name = checked_name("user", name)?;
        self.change_user(caller, user, "rename_user", |transaction, before| {
            transaction.rename_user(before.id, &name)?;
            Ok(Some(("userNameBefore", before.name.as_str().into())))
        })
    }

    /// Gives a user another e-mail address, or none. It disturbs no token (R10).
    ///
    /// # Errors
    /// As [`Patrol::rename_user`].
    pub fn set_email(&self, caller: &Caller, user: &UserRef, email: Option<&str>) -> Result<UserRow, Error> {
        let email = email.map(checked_email).transpose()?;
        self.change_user(caller, user, "set_user_email", |transaction, before| {
            transaction.set_email(before.id, email.as_deref())?;
            Ok(Some(("emailBefore", before.email.clone().into())))
        })
    }

    /// Replaces a user's roles. The user's tokens and sessions have the new ones at once (R4).
    ///
    /// # Errors
    /// As [`Patrol::rename_user`].
    pub fn set_roles(&self, caller: &Caller, user: &UserRef, roles: &[String]) -> Result<UserRow, Error> {
        let roles = checked_roles(roles)?;
        self.change_user(caller, user, "set_user_roles", |transaction, before| {
            transaction.set_roles(before.id, &roles)?;
            Ok(Some(("roles", roles.clone().into())))
        })
    }

    /// Sets a user's password. It disturbs no token (R10), and ends the sessions that the one before opened.
    ///
    /// # Errors
    /// As [`Patrol::rename_user`].
    pub fn set_password(&self, caller: &Caller, user: &UserRef, password: &Secret) -> Result<UserRow, Error> {
        // Slow on purpose: before the write lock is taken.
        let hash = hash_new_password(password)?;
        self.change_user(caller, user, SET_PASSWORD, |transaction, before| {
            transaction.set_password_hash(before.id, &hash)?;
            Ok(None)
        })
    }

    /// Enables or disables a user: a disabled user's tokens and sessions are refused at once, and work again once
    /// the user is enabled, unless they have ended meanwhile (R4).
    ///
    /// # Errors
    /// As [`Patrol::rename_user`].
    pub fn set_enabled(&self, caller: &Caller, user: &UserRef, enabled: bool) -> Result<UserRow, Error> {
        let event = if enabled { "enable_user" } else { "disable_user" };
        self.change_user(caller, user, event, |transaction, before| {
            transaction.set_enabled(before.id, enabled)?;
            Ok(None)
        })
    }

    /// Deletes a user, for good: their tokens and sessions are refused at once (R4). The name becomes free.
    ///
    /// # Errors
    /// As [`Patrol::rename_user`].
    pub fn delete_user(&self, caller: &Caller, user: &UserRef) -> Result<UserRow, Error> {
        self.change_user(caller, user, "delete_user", |transaction, before| {
            transaction.delete_user(before.id, self.now())?;
            Ok(None)
        })
    }
}

/// Hashes a password that is to be set.
pub(super) fn hash_new_password(password: &Secret) -> Result<String, Error> {
    let length = password.expose().len();
    if !(8..=1024).contains(&length) {
        return Err(Error::Invalid("a password has 8 to 1024 bytes".to_owned()));
    }
    hash_password(password)
}

/// Makes a tenant whose names have been checked, with one site.
pub(super) fn make_tenant(
    transaction: &mut dyn Transaction,
    new: &NewTenant<'_>,
    site: Id,
    caller: &Caller,
) -> Result<(TenantRow, AuditEvent), Error> {
    transaction.insert_tenant(new)?;
    transaction.insert_site(&NewSite {
        id: site,
        tenant: new.id,
        name: DEFAULT_SITE,
        content_url: "",
        created: new.created,
    })?;
    let tenant = found(transaction.tenant(new.id)?, "tenant", new.name)?;
    let event = AuditEvent::new("create_tenant", new.created, caller)
        .tenant(new.id, new.name)
        .detail("authMethod", new.auth_method)
        .detail("multiFactor", new.multi_factor);
    Ok((tenant, event))
}

/// Makes a user whose names and roles have been checked.
pub(super) fn make_user(
    transaction: &mut dyn Transaction,
    new: &NewUser<'_>,
    caller: &Caller,
) -> Result<(UserRow, AuditEvent), Error> {
    transaction.insert_user(new)?;
    let user = found(transaction.user(new.id)?, "user", new.name)?;
    let event = AuditEvent::new("create_user", new.created, caller)
        .user(&user)
        .detail("roles", new.roles.to_vec());
    Ok((user, event))
}

pub(super) fn found<T>(row: Option<T>, what: &'static str, name: &str) -> Result<T, Error> {
    row.ok_or_else(|| Error::NotFound {
        what,
        name: name.to_owned(),
    })
}

pub(super) fn tenant_named<R: Read + ?Sized>(read: &R, name: &str) -> Result<TenantRow, Error> {
    let by_id = match name.parse() {
        Ok(id) => read.tenant(id)?,
        Err(_) => None,
    };
    let tenant = match by_id {
        Some(tenant) => Some(tenant),
        None => read.tenant_by_name(&normalize(name))?,
    };
    found(tenant, "tenant", name)
}

pub(super) fn find_user<R: Read + ?Sized>(read: &R, user: &UserRef) -> Result<UserRow, Error> {
    match user {
        UserRef::Id(id) => found(read.user(*id)?, "user", &id.to_string()),
        UserRef::Name { tenant, name } => {
            let tenant = tenant
                .as_deref()
                .map(|tenant| tenant_named(read, tenant))
                .transpose()?;
            let mut users = read.users_by_name(tenant.as_ref().map(|tenant| tenant.id), name)?;
            if users.len() > 1 {
                let names: Vec<_> = users
                    .iter()
                    .map(|u| format!("{}/{}", u.tenant_name, u.name))
                    .collect();
                return Err(Error::Invalid(format!(
                    "several users have the name \"{name}\": write one of {}",
                    names.join(", ")
                )));
            }
            found(users.pop(), "user", name)
        }
    }
}
