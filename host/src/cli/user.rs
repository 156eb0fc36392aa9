//! `patrol user`.

use std::convert::Infallible;

use clap::{ArgGroup, Subcommand};
use patrol_policy::types::Scope;
use serde::Serialize;
use zeroize::Zeroizing;

use super::failure::Exit;
use super::print::{fields, or_dash, plain};
use super::records::{ShownUser, User, full_name, roles, user_fields, user_state, ways_in_fields};
use super::{Session, caller, input, method};
use crate::service::{NewAccount, Patrol, UserRef};
use crate::store::UserRow;
use crate::time::rfc3339;

const EXAMPLES: &str = "\
Examples:
  patrol user create --tenant example --name ann --email ann@example.com --role admin --role auditor
  patrol user set-password example/ann < password.txt
  patrol user link ann
  patrol user remove-second-factor ann
  patrol user disable ann

Exit codes: 4 no such user or tenant, 5 the name is taken; `patrol --help` lists all.";

/// How commands point at a user. Parsing never fails: any text may be a name.
#[derive(Clone, Debug)]
pub(super) struct UserArg(UserRef);

impl std::str::FromStr for UserArg {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        text.parse().map(Self)
    }
}

impl UserArg {
    /// What the service is asked for.
    pub(super) const fn get(&self) -> &UserRef {
        &self.0
    }
}

/// What can be done with users.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum UserCommand {
    /// Make a user
    Create {
        /// The tenant's name or UUID
        #[arg(long)]
        tenant: String,
        /// The user's name, unique in the tenant: 1 to 255 characters without "/"
        #[arg(long)]
        name: String,
        /// The e-mail address
        #[arg(long)]
        email: Option<String>,
        /// A role, which the user's tokens have, too (R4); may be repeated
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<String>,
    },
    /// List users, by tenant and name
    List {
        /// Of this tenant only: its name or UUID
        #[arg(long)]
        tenant: Option<String>,
        /// Deleted ones, too
        #[arg(long)]
        deleted: bool,
    },
    /// Show a user; a deleted one by UUID
    Show {
        /// NAME, TENANT/NAME or UUID
        user: UserArg,
    },
    /// Give a user another name; no token is disturbed (R10)
    Rename {
        /// NAME, TENANT/NAME or UUID
        user: UserArg,
        /// The new name
        name: String,
    },
    /// Give a user another e-mail address, or none; no token is disturbed (R10)
    #[command(group = ArgGroup::new("address").required(true))]
    SetEmail {
        /// NAME, TENANT/NAME or UUID
        user: UserArg,
        /// The new address
        #[arg(group = "address")]
        email: Option<String>,
        /// Take the address away
        #[arg(long, group = "address")]
        none: bool,
    },
    /// Replace a user's roles; the user's tokens and sessions have the new ones at once (R4)
    SetRoles {
        /// NAME, TENANT/NAME or UUID
        user: UserArg,
        /// All roles from now on; none, if none is given
        roles: Vec<String>,
    },
    /// Set a user's password, 8 to 1024 bytes, from the first line of standard input; no token is disturbed (R10)
    SetPassword {
        /// NAME, TENANT/NAME or UUID
        user: UserArg,
    },
    /// Make a link with which a user sets a password that nobody else has seen: good once, for 72 hours
    ///
    /// A newer link takes the place of an older one. No token is disturbed (R10).
    Link {
        /// NAME, TENANT/NAME or UUID
        user: UserArg,
    },
    /// Take a user's second factor away, who has lost it with its recovery codes
    ///
    /// The password alone signs them in to the pages from then on, or, where the tenant asks for a second factor (R11),
    /// lets them set up a new one. Be sure that it is they who ask. No token and no session ends.
    RemoveSecondFactor {
        /// NAME, TENANT/NAME or UUID
        user: UserArg,
    },
    /// Take a user's account at an identity provider away, and end their sessions on the pages
    ///
    /// The next account that the provider vouches for, and by which the user is found, becomes theirs. No token ends.
    Unlink {
        /// NAME, TENANT/NAME or UUID
        user: UserArg,
        /// The provider's name in the configuration
        provider: String,
    },
    /// Give a user an authentication method of their own, which ends all their tokens at once (R9)
    ///
    /// Setting the method that the user has already changes nothing. Ended tokens never come back.
    SetAuthMethod {
        /// NAME, TENANT/NAME or UUID
        user: UserArg,
        /// The new method
        method: String,
        /// Only say how many tokens would go, and when each was last used
        #[arg(long)]
        preview: bool,
    },
    /// Let a disabled user in again, with the tokens that have not ended meanwhile (R4)
    Enable {
        /// NAME, TENANT/NAME or UUID
        user: UserArg,
    },
    /// Refuse a user's tokens and sessions from now on, until the user is enabled again (R4)
    Disable {
        /// NAME, TENANT/NAME or UUID
        user: UserArg,
    },
    /// Delete a user for good, with all tokens and sessions (R4); the name becomes free
    Delete {
        /// NAME, TENANT/NAME or UUID
        user: UserArg,
    },
}

pub(super) fn run(session: &mut Session, command: UserCommand) -> anyhow::Result<Exit> {
    match command {
        UserCommand::Create {
            tenant,
            name,
            email,
            roles,
        } => {
            let patrol = session.open()?;
            let account = NewAccount { name, email, roles };
            let row = patrol.create_user(&caller(), &tenant, &account)?;
            show(session, &patrol, &row, "Created.")
        }
        UserCommand::List { tenant, deleted } => list(session, tenant.as_deref(), deleted),
        UserCommand::Show { user } => {
            let patrol = session.open()?;
            let row = patrol.user(user.get())?;
            let ways = patrol.ways_in(row.id)?;
            session.out.answer(&ShownUser::of(&row, &ways), || {
                let now = patrol.now();
                fields(
                    user_fields(&row, now)
                        .into_iter()
                        .chain(ways_in_fields(&ways, now)),
                )
            })?;
            Ok(Exit::Done)
        }
        UserCommand::Rename { user, name } => change(session, "Renamed.", |patrol| {
            patrol.rename_user(&caller(), user.get(), &name)
        }),
        UserCommand::SetEmail { user, email, .. } => change(session, "Changed.", |patrol| {
            patrol.set_email(&caller(), user.get(), email.as_deref())
        }),
        UserCommand::SetRoles { user, roles } => change(session, "Changed.", |patrol| {
            patrol.set_roles(&caller(), user.get(), &roles)
        }),
        UserCommand::SetPassword { user } => {
            let password = input::secret_line("password", "patrol user set-password USER")?;
            change(session, "The password is set.", |patrol| {
                patrol.set_password(&caller(), user.get(), &password)
            })
        }
        UserCommand::Link { user } => link(session, &user),
        UserCommand::RemoveSecondFactor { user } => {
            change(session, "The second factor is removed.", |patrol| {
                patrol.remove_second_factor(&caller(), user.get())
            })
        }
        UserCommand::Unlink { user, provider } => change(session, "The account is unlinked.", |patrol| {
            patrol.unlink_account(&caller(), user.get(), &provider)
        }),
        UserCommand::SetAuthMethod {
            user,
            method,
            preview,
        } => {
            let patrol = session.open()?;
            let row = patrol.user(user.get())?;
            let who = format!("user {}", full_name(&row.tenant_name, &row.name));
            method::set(session, &patrol, Scope::Owner(row.id), &who, &method, preview)
        }
        UserCommand::Enable { user } => change(session, "Enabled.", |patrol| {
            patrol.set_enabled(&caller(), user.get(), true)
        }),
        UserCommand::Disable { user } => change(session, "Disabled.", |patrol| {
            patrol.set_enabled(&caller(), user.get(), false)
        }),
        UserCommand::Delete { user } => change(session, "Deleted.", |patrol| {
            patrol.delete_user(&caller(), user.get())
        }),
    }
}

/// Changes a user and shows what became of them.
fn change(
    session: &mut Session,
    done: &str,
    change: impl FnOnce(&Patrol) -> Result<UserRow, crate::service::Error>,
) -> anyhow::Result<Exit> {
    let patrol = session.open()?;
    let row = change(&patrol)?;
    show(session, &patrol, &row, done)
}

fn show(session: &mut Session, patrol: &Patrol, row: &UserRow, done: &str) -> anyhow::Result<Exit> {
    session.out.answer(&User::from(row), || {
        format!("{done}\n{}", fields(user_fields(row, patrol.now())))
    })?;
    Ok(Exit::Done)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LinkRecord<'a> {
    user: User<'a>,
    link: &'a str,
    expires: String,
}

/// Makes a link and prints it, this once: where the pages are, as far as the configuration says so.
fn link(session: &mut Session, user: &UserArg) -> anyhow::Result<Exit> {
    let patrol = session.open()?;
    let (row, link) = patrol.password_link(&caller(), user.get())?;
    let config = patrol.config();
    let path = link.path();
    let base = config.api.public_url.as_deref().unwrap_or_default();
    let mut address = Zeroizing::new(String::with_capacity(base.len().saturating_add(path.len())));
    address.push_str(base.trim_end_matches('/'));
    address.push_str(&path);
    let record = LinkRecord {
        user: User::from(&row),
        link: &address,
        expires: rfc3339(link.expires),
    };
    session.out.answer(&record, || {
        let who = full_name(&row.tenant_name, &row.name);
        let hint = match base {
            "" => "\nIt begins with the address at which people reach Patrol, such as https://patrol.example.com",
            _ => "",
        };
        format!(
            "Good once, for {who}, until {}; it is not shown again:\n{}{hint}",
            record.expires, record.link
        )
    })?;
    Ok(Exit::Done)
}

fn list(session: &mut Session, tenant: Option<&str>, deleted: bool) -> anyhow::Result<Exit> {
    let rows = session.open()?.users(tenant, deleted)?;
    let mut list = session
        .out
        .list(["USER", "E-MAIL", "ROLES", "STATE", "METHOD", "ID"])?;
    for row in &rows {
        list.push(&User::from(row), || {
            [
                full_name(&row.tenant_name, &row.name),
                or_dash(row.email.as_deref().map(plain)),
                roles(&row.roles),
                user_state(row).to_owned(),
                or_dash(row.auth_method.as_deref().map(plain)),
                row.id.to_string(),
            ]
        })?;
    }
    list.end("There is no user yet: make one with `patrol user create --tenant TENANT --name NAME`.")?;
    Ok(Exit::Done)
}
