//! `patrol site`.

use std::convert::Infallible;

use clap::Subcommand;

use super::failure::Exit;
use super::print::{date, or_dash, plain};
use super::records::{Site, full_name, site_fields};
use super::{Session, caller};
use crate::service::{Error, NewSiteNames, Patrol, SiteRef};
use crate::store::SiteRow;

const EXAMPLES: &str = "\
Examples:
  patrol site create --tenant example Marketing
  patrol site list --tenant example
  patrol site rename example/Marketing Sales

Exit codes: 4 no such site or tenant, 5 the name is taken; `patrol --help` lists all.";

/// How commands point at a site. Parsing never fails: any text may be a name.
#[derive(Clone, Debug)]
pub(super) struct SiteArg(SiteRef);

impl std::str::FromStr for SiteArg {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        text.parse().map(Self)
    }
}

/// What can be done with sites.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum SiteCommand {
    /// Make a site; a tenant is made with one
    Create {
        /// The tenant's name or UUID
        #[arg(long)]
        tenant: String,
        /// The name, unique in the tenant: 1 to 255 characters without "/"
        name: String,
        /// What stands for the site in addresses: 1 to 255 letters, digits, "-" or "_" [default: those letters and
        /// digits that are in the name]
        #[arg(long, value_name = "TEXT")]
        content_url: Option<String>,
    },
    /// List sites, by tenant
    List {
        /// Of this tenant only: its name or UUID
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Give a site another name; its UUID and its part of addresses stay
    Rename {
        /// NAME, TENANT/NAME or UUID
        site: SiteArg,
        /// The new name
        name: String,
    },
    /// Delete a site for good; its events stay in the audit trail. A tenant's last site stays
    Delete {
        /// NAME, TENANT/NAME or UUID
        site: SiteArg,
    },
}

pub(super) fn run(session: &mut Session, command: SiteCommand) -> anyhow::Result<Exit> {
    match command {
        SiteCommand::Create {
            tenant,
            name,
            content_url,
        } => {
            let names = NewSiteNames { name, content_url };
            change(session, "Created.", |patrol| {
                patrol.create_site(&caller(), &tenant, &names)
            })
        }
        SiteCommand::List { tenant } => list(session, tenant.as_deref()),
        SiteCommand::Rename { site, name } => change(session, "Renamed.", |patrol| {
            patrol.rename_site(&caller(), &site.0, &name)
        }),
        SiteCommand::Delete { site } => change(session, "Deleted.", |patrol| {
            patrol.delete_site(&caller(), &site.0)
        }),
    }
}

/// Changes a site and shows what became of it.
fn change(
    session: &mut Session,
    done: &str,
    change: impl FnOnce(&Patrol) -> Result<SiteRow, Error>,
) -> anyhow::Result<Exit> {
    let patrol = session.open()?;
    let row = change(&patrol)?;
    session.out.answer(&Site::from(&row), || {
        format!("{done}\n{}", site_fields(&row, patrol.now()))
    })?;
    Ok(Exit::Done)
}

fn list(session: &mut Session, tenant: Option<&str>) -> anyhow::Result<Exit> {
    let patrol = session.open()?;
    let tenants = match tenant {
        Some(name) => vec![patrol.tenant(name)?],
        None => patrol.tenants()?,
    };
    let mut list = session.out.list(["SITE", "CONTENT URL", "CREATED", "ID"])?;
    for tenant in tenants {
        for row in patrol.sites(tenant.id, None, u32::MAX)? {
            list.push(&Site::from(&row), || {
                [
                    full_name(&row.tenant_name, &row.name),
                    or_dash(Some(plain(&row.content_url))),
                    date(row.created),
                    row.id.to_string(),
                ]
            })?;
        }
    }
    list.end("There is no tenant yet: make one with `patrol tenant create NAME`; it has a site.")?;
    Ok(Exit::Done)
}
