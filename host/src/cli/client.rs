//! `patrol client`.

use anyhow::Context as _;
use clap::Subcommand;
use patrol_policy::types::{Id, Timestamp};
use serde::Serialize;
use zeroize::Zeroizing;

use super::args::Expiration;
use super::failure::Exit;
use super::print::{self, date, fields, or_dash, plain};
use super::records::{At, uuid};
use super::{Session, caller};
use crate::service::{ClientSpec, NewClient, Patrol};
use crate::store::ClientRow;

const EXAMPLES: &str = "\
Examples:
  patrol client create apache --audience api
  patrol --json client create reports --tenant example --expires 90d
  patrol client rotate 0198c5f0-0000-7000-8000-000000000000

A client is a resource server, or the gateway in front of one. With its id and secret it may ask what a presented \
token is worth (POST /oauth2/introspect, RFC 7662; an answer of `active` counts as a use of the token, R5) and have a \
presented token revoked (POST /oauth2/revoke, RFC 7009). Tokens of other audiences and other tenants than the \
client's do not exist for it. GET /.well-known/oauth-authorization-server says where the endpoints are (RFC 8414).

Exit codes: 4 no such client or tenant, 5 the name is taken; `patrol --help` lists all.";

/// What can be done with clients.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum ClientCommand {
    /// Make a client and print its id and secret, the secret this once
    Create {
        /// What it is, unique among clients that are not revoked: 1 to 255 characters without "/"
        name: String,
        /// Limit it to tokens of this tenant: its name or UUID [default: all tenants]
        #[arg(long)]
        tenant: Option<String>,
        /// Limit it to tokens for this audience (R12); may be repeated [default: http.audience of the configuration,
        /// which is "api"]
        #[arg(long = "audience", value_name = "AUDIENCE")]
        audiences: Vec<String>,
        /// When it stops working: 2027-01-31 (the end of that day, UTC), 2027-01-31T17:00:00Z, or a duration from now
        /// such as 90d [default: never]
        #[arg(long, value_name = "DATE|DURATION")]
        expires: Option<Expiration>,
    },
    /// List clients, by name
    List {
        /// Those that were revoked, too
        #[arg(long)]
        revoked: bool,
    },
    /// Revoke a client at once and for good; its name becomes free
    #[command(visible_alias = "delete")]
    Revoke {
        /// The client's id
        id: Id,
    },
    /// Give a client a new secret and print it, this once; the old one stops working at once
    Rotate {
        /// The client's id
        id: Id,
    },
}

/// A client for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Client<'a> {
    #[serde(serialize_with = "uuid")]
    client_id: Id,
    name: &'a str,
    tenant: Option<&'a str>,
    audiences: &'a [String],
    created: At,
    expires: Option<At>,
    revoked: Option<At>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<&'a str>,
}

impl<'a> Client<'a> {
    fn new(row: &'a ClientRow, client_secret: Option<&'a str>) -> Self {
        Self {
            client_id: row.id,
            name: &row.name,
            tenant: tenant(row),
            audiences: &row.audiences,
            created: At(row.created),
            expires: row.expires.map(At),
            revoked: row.revoked.map(At),
            client_secret,
        }
    }
}

fn tenant(row: &ClientRow) -> Option<&str> {
    row.tenant.as_ref().map(|(_, name)| name.as_str())
}

pub(super) fn run(session: &mut Session, command: ClientCommand) -> anyhow::Result<Exit> {
    match command {
        ClientCommand::Create {
            name,
            tenant,
            audiences,
            expires,
        } => {
            let patrol = session.open()?;
            let expires = expires.map(|expires| expires.from(patrol.now()));
            let spec = ClientSpec {
                name,
                tenant,
                audiences,
                expires,
            };
            let client = patrol.create_client(&caller(), &spec)?;
            print_secret(session, &patrol, client, "Created")?;
        }
        ClientCommand::List { revoked } => list(session, revoked)?,
        ClientCommand::Revoke { id } => {
            let patrol = session.open()?;
            let row = patrol.revoke_client(&caller(), id)?;
            session.out.answer(&Client::new(&row, None), || {
                format!(
                    "Revoked the client \"{}\". It never comes back.",
                    plain(&row.name)
                )
            })?;
        }
        ClientCommand::Rotate { id } => {
            let patrol = session.open()?;
            let client = patrol.rotate_client(&caller(), id)?;
            print_secret(session, &patrol, client, "Rotated")?;
        }
    }
    Ok(Exit::Done)
}

fn list(session: &mut Session, revoked: bool) -> anyhow::Result<()> {
    let patrol = session.open()?;
    let rows = patrol.clients(revoked)?;
    let now = patrol.now();
    let headings = ["NAME", "TENANT", "AUDIENCES", "CREATED", "STATE", "ID"];
    let mut list = session.out.list(headings)?;
    for row in &rows {
        list.push(&Client::new(row, None), || {
            [
                plain(&row.name),
                or_dash(tenant(row).map(plain)),
                plain(&row.audiences.join(", ")),
                date(row.created),
                state(row, now),
                row.id.to_string(),
            ]
        })?;
    }
    list.end("There is no client yet: make one with `patrol client create NAME`.")?;
    Ok(())
}

fn state(row: &ClientRow, now: Timestamp) -> String {
    match (row.revoked, row.expires) {
        (Some(at), _) => format!("revoked {}", date(at)),
        (None, Some(at)) if at <= now => format!("expired {}", date(at)),
        (None, Some(at)) => format!("until {}", date(at)),
        (None, None) => "live".to_owned(),
    }
}

/// Prints a client with its secret, which exists nowhere else from then on.
fn print_secret(session: &mut Session, patrol: &Patrol, client: NewClient, done: &str) -> anyhow::Result<()> {
    let NewClient { row, secret } = client;
    let shown = std::str::from_utf8(secret.expose()).context("a secret that is no text")?;
    // As large as it gets: a vector that grows leaves copies of the secret behind.
    let mut text = Zeroizing::new(Vec::with_capacity(16 * 1_024));
    if session.out.is_json() {
        serde_json::to_writer(&mut *text, &Client::new(&row, Some(shown)))?;
        text.push(b'\n');
    } else {
        let head = format!(
            "{done} the client \"{}\". This is its secret, shown only this once:\n\n",
            plain(&row.name)
        );
        let expires = row.expires.map(|at| print::date_and_distance(at, patrol.now()));
        let details = fields([
            ("client id", row.id.to_string()),
            ("audiences", plain(&row.audiences.join(", "))),
            ("tenant", tenant(&row).map_or_else(|| "all".to_owned(), plain)),
            ("expires", expires.unwrap_or_else(|| "never".to_owned())),
        ]);
        text.extend_from_slice(head.as_bytes());
        text.extend_from_slice(shown.as_bytes());
        text.extend_from_slice(format!("\n\n{details}\n").as_bytes());
    }
    session.out.secret(&text).with_context(|| {
        format!(
            "the secret of client {} could not be shown; it is lost: run `patrol client rotate {}`",
            row.id, row.id
        )
    })
}
