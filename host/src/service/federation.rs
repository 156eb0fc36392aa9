//! Signing in to the pages by somebody else's word: an identity provider's, or a gateway's.
//!
//! Neither makes a user. Each signs in those who are there already, of its tenant, and only those whose authentication
//! method in force is its own: whoever signs in by other means cannot be signed in by this one, whatever it says.

use std::path::Path;

use patrol_policy::Secret;
use patrol_policy::types::Id;

use super::directory::{normalize, tenant_named};
use super::events::AuditEvent;
use super::web::{SIGN_IN, method_in_force};
use super::{Caller, Error, Origin, Patrol, WebSignIn, WebVisitor};
use crate::private_file::{self, Unreadable};
use crate::store::{Account, LinkedAccount, Read, StoreError, UserRow};

/// A file with a secret is not larger.
const SECRET_BYTES: u64 = 4_096;

/// By what somebody who is not known yet is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sought<'a> {
    /// By user name.
    Name(&'a str),
    /// By e-mail address, which whoever says so has verified.
    Email(&'a str),
}

/// Who somebody is, by the word of an identity provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched {
    /// The provider's name in the configuration.
    pub provider: String,
    /// The issuer.
    pub issuer: String,
    /// The subject: the one thing that stays.
    pub subject: String,
}

/// Why somebody who showed who they are elsewhere is not signed in here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Stranger {
    /// No user of the tenant is found by what is known of them.
    #[error("there is no such user")]
    Unknown,
    /// More than one is.
    #[error("several users have this e-mail address")]
    Ambiguous,
    /// They are found, but sign in by another method.
    #[error("the user's authentication method is another one")]
    OtherMethod,
    /// They are found, but disabled.
    #[error("the owner is disabled")]
    Disabled,
    /// Another account of the same provider is theirs already.
    #[error("another account of this provider belongs to the user already")]
    OtherAccount,
    /// The provider has said nothing by which to find them, or has not verified it.
    #[error("the provider has told no verified e-mail address and no name to find the user by")]
    Nameless,
}

/// What becomes of a page that a gateway has named a user for.
#[derive(Debug)]
pub enum PageAdmission {
    /// The browser's session is the user's already.
    Stays,
    /// A session was opened.
    Opened(Box<WebSignIn>),
    /// The browser's session is somebody else's and must not be used; a new one is opened with the next page.
    NotTheirs,
}

impl Patrol {
    /// Signs in somebody whom a provider vouches for: by the account that is theirs, or, the first time, by what the
    /// provider says of them. `sought` is asked only then.
    ///
    /// # Errors
    /// An outage. That they are not let in is no error, but why not.
    pub fn web_sign_in_by_provider(
        &self,
        tenant: Option<&str>,
        vouched: &Vouched,
        sought: Option<Sought<'_>>,
        origin: &Origin,
    ) -> Result<Result<WebSignIn, Stranger>, Error> {
        let method = format!("oidc:{}", vouched.provider);
        let mut about = None;
        let found = self.find_vouched(tenant, vouched, sought, &method, origin, &mut about)?;
        self.open_found(found, about, &method, origin)
    }

    /// Whether an account at a provider is somebody's already, who is not deleted.
    ///
    /// # Errors
    /// An outage.
    pub fn is_known_account(&self, vouched: &Vouched) -> Result<bool, Error> {
        let user = self.store.read()?.federated_user(account(vouched))?;
        Ok(user.is_some_and(|user| user.deleted.is_none()))
    }

    /// The user whom an account belongs to. One that belongs to nobody is given to the user who is found by what is
    /// sought, for good.
    fn find_vouched(
        &self,
        tenant: Option<&str>,
        vouched: &Vouched,
        sought: Option<Sought<'_>>,
        method: &str,
        origin: &Origin,
        about: &mut Option<UserRow>,
    ) -> Result<Result<Id, Stranger>, Error> {
        let mut transaction = self.store.begin()?;
        let tenant = only_tenant(&*transaction, tenant)?;
        let known = transaction.federated_user(account(vouched))?;
        if let Some(user) = known.filter(|user| user.deleted.is_none()) {
            *about = Some(user.clone());
            // Who configures a provider for another tenant hands nobody of this one over to it.
            if Some(user.tenant) != tenant {
                return Ok(Err(Stranger::Unknown));
            }
            return Ok(admissible(&*transaction, &user, method)?.map(|()| user.id));
        }
        let Some(sought) = sought else {
            return Ok(Err(Stranger::Nameless));
        };
        let user = match find(&*transaction, tenant, sought)? {
            Ok(user) => user,
            Err(why) => return Ok(Err(why)),
        };
        *about = Some(user.clone());
        if let Err(why) = admissible(&*transaction, &user, method)? {
            return Ok(Err(why));
        }
        let theirs = transaction.federated_accounts(user.id)?;
        let same =
            |other: &LinkedAccount| other.provider == vouched.provider && other.issuer == vouched.issuer;
        if theirs.iter().any(same) {
            return Ok(Err(Stranger::OtherAccount));
        }
        let now = self.now();
        transaction.link_federated(account(vouched), user.id, now)?;
        AuditEvent::new("link_identity", now, &Caller::user(user.id, origin.clone()))
            .by_user(&user)
            .detail("provider", vouched.provider.as_str())
            .detail("issuer", vouched.issuer.as_str())
            .detail("subject", vouched.subject.as_str())
            .write(&mut *transaction)?;
        transaction.put_clock_mark(now, false)?;
        transaction.commit()?;
        Ok(Ok(user.id))
    }

    /// Admits to the pages whom a gateway names. `presented` is the session that the browser has; a new one is opened
    /// only if `may_open`.
    ///
    /// # Errors
    /// An outage. That they are not let in is no error, but why not.
    pub fn web_admit_by_gateway(
        &self,
        tenant: Option<&str>,
        sought: Sought<'_>,
        method: &str,
        presented: Option<&Secret>,
        may_open: bool,
        origin: &Origin,
    ) -> Result<Result<PageAdmission, Stranger>, Error> {
        let visitor = presented.and_then(|presented| self.web_session(presented).ok());
        let (found, about) = {
            let read = self.store.read()?;
            let tenant = only_tenant(&*read, tenant)?;
            match find(&*read, tenant, sought)? {
                Ok(user) => (admissible(&*read, &user, method)?.map(|()| user.id), Some(user)),
                Err(why) => (Err(why), None),
            }
        };
        if let (Some(visitor), Ok(user)) = (&visitor, &found)
            && visitor.user.id == *user
        {
            return Ok(Ok(PageAdmission::Stays));
        }
        if let Some(visitor) = &visitor {
            match found {
                // The gateway's word counts for nothing here, and the session was not opened by it.
                Err(why) if visitor.via != method => return Ok(Err(why)),
                _ if !may_open => return Ok(Ok(PageAdmission::NotTheirs)),
                _ => self.end_of_other(visitor, presented, origin)?,
            }
        } else if !may_open {
            return Ok(found.map(|_| PageAdmission::NotTheirs));
        }
        match self.open_found(found, about, method, origin)? {
            Ok(opened) => Ok(Ok(PageAdmission::Opened(Box::new(opened)))),
            Err(_) if visitor.is_some() => Ok(Ok(PageAdmission::NotTheirs)),
            Err(why) => Ok(Err(why)),
        }
    }

    /// Closes a session in a browser that somebody else uses now.
    fn end_of_other(
        &self,
        visitor: &WebVisitor,
        presented: Option<&Secret>,
        origin: &Origin,
    ) -> Result<(), Error> {
        let Some(presented) = presented else { return Ok(()) };
        match self.close_web_session(presented, origin) {
            // It ended meanwhile by itself.
            Err(Error::Refused(_)) => Ok(()),
            closed => closed,
        }
        .inspect(|()| tracing::debug!(session = %visitor.session, "the gateway names somebody else now"))
    }

    fn open_found(
        &self,
        found: Result<Id, Stranger>,
        about: Option<UserRow>,
        method: &str,
        origin: &Origin,
    ) -> Result<Result<WebSignIn, Stranger>, Error> {
        let opened = match found {
            Ok(user) => self.open_web_session(user, method, origin),
            Err(why) => {
                let told = Error::Invalid(why.to_string());
                self.note_web(SIGN_IN, about.as_ref(), &told, origin);
                return Ok(Err(why));
            }
        };
        match opened {
            // What was true a moment ago is so no more.
            Err(Error::WrongPassword) => Ok(Err(Stranger::OtherMethod)),
            opened => opened.map(Ok),
        }
    }

    /// Notes in the audit trail that a sign-in by an identity provider went wrong before anybody was known.
    pub fn note_failed_sign_in(&self, provider: &str, why: &str, origin: &Origin) {
        let told = Error::Invalid(format!("oidc:{provider}: {why}"));
        self.note_web(SIGN_IN, None, &told, origin);
    }

    /// A secret from a file that only its owner can read, without the line's end; a relative path starts in the data
    /// directory.
    ///
    /// # Errors
    /// What to mend.
    pub fn secret_file(&self, path: &Path) -> Result<Secret, String> {
        let path = self.data.join(path);
        let told = |why: &str| format!("{}: {why}", path.display());
        let (text, _) = private_file::read(&path, SECRET_BYTES).map_err(|error| match error {
            Unreadable::File(error) => told(&error.to_string()),
            Unreadable::Exposed(mode) => told(&format!(
                "others may read or write it (mode {mode:04o}): chmod 600 it, and have the secret replaced"
            )),
            Unreadable::Damaged => told("it is no file, or too large"),
        })?;
        let end = text.trim_ascii_end().len();
        match text.get(..end) {
            Some(text) if !text.is_empty() => Ok(Secret::new(text.to_vec())),
            _ => Err(told("it is empty")),
        }
    }
}

fn account(vouched: &Vouched) -> Account<'_> {
    Account {
        provider: &vouched.provider,
        issuer: &vouched.issuer,
        subject: &vouched.subject,
    }
}

/// The tenant that is configured, or else the only one. Where there are several and none is named, there is none.
fn only_tenant<R: Read + ?Sized>(read: &R, named: Option<&str>) -> Result<Option<Id>, Error> {
    if let Some(name) = named {
        return match tenant_named(read, name) {
            Ok(tenant) => Ok(Some(tenant.id)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        };
    }
    let mut tenants = read.tenants()?;
    Ok(if tenants.len() > 1 {
        None
    } else {
        tenants.pop().map(|tenant| tenant.id)
    })
}

/// The user of a tenant who is sought, if it is clear who that is.
fn find<R: Read + ?Sized>(
    read: &R,
    tenant: Option<Id>,
    sought: Sought<'_>,
) -> Result<Result<UserRow, Stranger>, StoreError> {
    let Some(tenant) = tenant else {
        return Ok(Err(Stranger::Unknown));
    };
    let mut users = match sought {
        Sought::Name(name) => read.users_by_name(Some(tenant), &normalize(name))?,
        Sought::Email(email) => read.users_by_email(tenant, &normalize(email))?,
    };
    Ok(match (users.pop(), users.is_empty()) {
        (Some(user), true) => Ok(user),
        (Some(_), false) => Err(Stranger::Ambiguous),
        (None, _) => Err(Stranger::Unknown),
    })
}

/// Whether a user may sign in at all, and by this method.
fn admissible<R: Read + ?Sized>(
    read: &R,
    user: &UserRow,
    method: &str,
) -> Result<Result<(), Stranger>, Error> {
    if method_in_force(read, user.id)?.as_deref() != Some(method) {
        return Ok(Err(Stranger::OtherMethod));
    }
    Ok(if user.enabled {
        Ok(())
    } else {
        Err(Stranger::Disabled)
    })
}
