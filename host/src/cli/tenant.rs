//! `patrol tenant`.

use clap::Subcommand;
use patrol_policy::types::Scope;

use super::args::Switch;
use super::failure::Exit;
use super::print::{date, plain};
use super::records::{Tenant, on_off, tenant_fields};
use super::{Session, caller, method};

const EXAMPLES: &str = "\
Examples:
  patrol tenant create example --auth-method saml --mfa
  patrol tenant set-auth-method example oidc:corp --preview

Exit codes: 4 no such tenant, 5 the name is taken; `patrol --help` lists all.";

/// What can be done with tenants.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum TenantCommand {
    /// Make a tenant, and the data directory if it is not there
    Create {
        /// The name: 1 to 255 characters without "/"
        name: String,
        /// How its users sign in: 1 to 64 of a-z 0-9 . _ : - as in password, saml or oidc:corp
        #[arg(long, value_name = "METHOD", default_value = "password")]
        auth_method: String,
        /// Turn multi-factor authentication on: the REST API then takes tokens, no passwords (R11)
        #[arg(long)]
        mfa: bool,
    },
    /// List all tenants, by name
    List,
    /// Show a tenant
    Show {
        /// Its name or UUID
        name: String,
    },
    /// Change the authentication method, which ends all tokens of the tenant at once (R9)
    ///
    /// Setting the method that it has already changes nothing. Ended tokens never come back.
    SetAuthMethod {
        /// The tenant's name or UUID
        name: String,
        /// The new method
        method: String,
        /// Only say how many tokens of how many owners would go, and when each was last used
        #[arg(long)]
        preview: bool,
    },
    /// Turn multi-factor authentication on or off; no token is disturbed (R11)
    SetMfa {
        /// The tenant's name or UUID
        name: String,
        /// Whether it is on
        #[arg(value_enum)]
        mfa: Switch,
    },
}

pub(super) fn run(session: &mut Session, command: TenantCommand) -> anyhow::Result<Exit> {
    match command {
        TenantCommand::Create {
            name,
            auth_method,
            mfa,
        } => {
            let patrol = session.open_with(true, false)?;
            let row = patrol.create_tenant(&caller(), &name, &auth_method, mfa)?;
            session.out.answer(&Tenant::from(&row), || {
                format!("Created.\n{}", tenant_fields(&row, patrol.now()))
            })?;
        }
        TenantCommand::List => {
            let patrol = session.open()?;
            let rows = patrol.tenants()?;
            let mut list = session.out.list(["NAME", "METHOD", "MFA", "CREATED", "ID"])?;
            for row in &rows {
                list.push(&Tenant::from(row), || {
                    [
                        plain(&row.name),
                        plain(&row.auth_method),
                        on_off(row.multi_factor).to_owned(),
                        date(row.created),
                        row.id.to_string(),
                    ]
                })?;
            }
            list.end("There is no tenant yet: make one with `patrol tenant create NAME`.")?;
        }
        TenantCommand::Show { name } => {
            let patrol = session.open()?;
            let row = patrol.tenant(&name)?;
            session
                .out
                .answer(&Tenant::from(&row), || tenant_fields(&row, patrol.now()))?;
        }
        TenantCommand::SetAuthMethod {
            name,
            method,
            preview,
        } => {
            let patrol = session.open()?;
            let row = patrol.tenant(&name)?;
            let who = format!("tenant {}", plain(&row.name));
            return method::set(session, &patrol, Scope::Tenant(row.id), &who, &method, preview);
        }
        TenantCommand::SetMfa { name, mfa } => {
            let patrol = session.open()?;
            let row = patrol.set_multi_factor(&caller(), &name, mfa == Switch::On)?;
            session.out.answer(&Tenant::from(&row), || {
                let mfa = on_off(row.multi_factor);
                format!("Multi-factor authentication of {} is {mfa}.", plain(&row.name))
            })?;
        }
    }
    Ok(Exit::Done)
}
