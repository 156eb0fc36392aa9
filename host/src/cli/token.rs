//! `patrol token`.

use anyhow::Context as _;
use clap::{ArgGroup, Args, Subcommand};
use patrol_policy::types::{Duration, Id};
use serde::Serialize;
use zeroize::Zeroizing;

use super::args::Expiration;
use super::failure::Exit;
use super::print::{self, Printed, count, date_and_distance, fields, plain};
use super::records::{At, Ends, ShownToken, TokenState, full_name, uuid};
use super::user::UserArg;
use super::{Session, caller};
use crate::service::{NewToken, Patrol};
use crate::store::TokenFilter;
use crate::time::parse_duration;

const EXAMPLES: &str = "\
Examples:
  patrol token create --owner ann --name nightly-backup --expires 2027-01-31
  patrol --json token create --owner ann --name ci --expires 90d | jq -r .secret > token.txt
  patrol token list --owner ann
  patrol token rotate 0198c5f0-0000-7000-8000-000000000000 --overlap 1h

A token ends when it has not been used for 15 days (policy.idle_after), or at its expiration date, whichever \
comes first (R5).

Exit codes: 3 refused, for instance because the owner has 104 tokens (R7) or one of this name (R13), 4 no such \
token or user; `patrol --help` lists all.";

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum TokenCommand {
    /// Create a token and print its secret, this once (R1)
    Create(CreateArgs),
    /// List tokens that are live, or that have ended
    #[command(group = ArgGroup::new("whose").required(true))]
    List {
        /// Of this user: NAME, TENANT/NAME or UUID
        #[arg(long, value_name = "USER", group = "whose")]
        owner: Option<UserArg>,
        /// Of everyone
        #[arg(long, group = "whose")]
        all: bool,
        /// Those that have ended, until the retention period is over (R6)
        #[arg(long)]
        ended: bool,
    },
    /// Show a token, ended or not
    Show {
        /// The token's UUID
        id: Id,
    },
    /// Revoke a token, and the sessions opened with it, at once and for good (R8)
    Revoke {
        /// The token's UUID
        id: Id,
    },
    /// Revoke all tokens of a user at once and for good (R8)
    RevokeAll {
        /// NAME, TENANT/NAME or UUID
        #[arg(long, value_name = "USER")]
        owner: UserArg,
    },
    /// Give a token a new secret and print it, this once; name and dates stay
    Rotate {
        /// The token's UUID
        id: Id,
        /// How much longer the old secret works, such as 1h; 0s: no longer
        #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = parse_duration)]
        overlap: Duration,
    },
}

/// What to create.
#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// Whose access it has: NAME, TENANT/NAME or UUID
    #[arg(long, value_name = "USER")]
    owner: UserArg,
    /// What it is for, unique among the owner's live tokens (R13); up to 255 characters
    #[arg(long)]
    name: String,
    /// The expiration date: 2027-01-31 (the end of that day, UTC), 2027-01-31T17:00:00Z, or a duration from now such
    /// as 90d; at most 366 days away (policy.max_lifetime)
    #[arg(long, value_name = "DATE|DURATION")]
    expires: Expiration,
    /// Where it is good for (R12) [default: http.audience of the configuration, which is "api"]
    #[arg(long)]
    audience: Option<String>,
}

/// A token with its secret, as printed once.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewTokenRecord<'a> {
    #[serde(serialize_with = "uuid")]
    id: Id,
    name: &'a str,
    owner: &'a str,
    #[serde(serialize_with = "uuid")]
    owner_id: Id,
    tenant: &'a str,
    audience: &'a str,
    created: At,
    expires: At,
    ends: Ends,
    secret: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RevokedAllRecord<'a> {
    owner: &'a str,
    #[serde(serialize_with = "uuid")]
    owner_id: Id,
    tenant: &'a str,
    revoked: u32,
}

pub(super) fn run(session: &mut Session, command: TokenCommand) -> anyhow::Result<Exit> {
    match command {
        TokenCommand::Create(args) => {
            let patrol = session.open()?;
            let owner = patrol.user(args.owner.get())?;
            let config = patrol.config();
            let audience = args.audience.as_deref().unwrap_or(&config.http.audience);
            let expires = args.expires.from(patrol.now());
            let token = patrol.issue(&caller(), owner.id, &args.name, expires, audience)?;
            print_secret(session, &patrol, token, "Created")?;
        }
        TokenCommand::List { owner, ended, .. } => list(session, owner.as_ref(), ended)?,
        TokenCommand::Show { id } => {
            let patrol = session.open()?;
            let now = patrol.now();
            let token = ShownToken::reviewed(patrol.show_token(id)?, now);
            session.out.answer(&token.record(), || token.fields(now))?;
        }
        TokenCommand::Revoke { id } => {
            let patrol = session.open()?;
            let row = patrol.revoke(&caller(), id)?;
            let ends = row.state.token.ended.context("a revoked token has ended")?;
            let token = ShownToken {
                row,
                ends,
                state: TokenState::Ended,
            };
            session.out.answer(&token.record(), || {
                let name = plain(&token.row.name);
                format!("Revoked \"{name}\" of {}. It never comes back.", token.owner())
            })?;
        }
        TokenCommand::RevokeAll { owner } => {
            let patrol = session.open()?;
            let owner = patrol.user(owner.get())?;
            let revoked = patrol.revoke_all(&caller(), owner.id)?;
            let record = RevokedAllRecord {
                owner: &owner.name,
                owner_id: owner.id,
                tenant: &owner.tenant_name,
                revoked,
            };
            session.out.answer(&record, || {
                let owner = full_name(&owner.tenant_name, &owner.name);
                format!("Revoked {} of {owner}.", count(revoked.into(), "token"))
            })?;
        }
        TokenCommand::Rotate { id, overlap } => {
            let patrol = session.open()?;
            let token = patrol.rotate(&caller(), id, overlap)?;
            print_secret(session, &patrol, token, "Rotated")?;
        }
    }
    Ok(Exit::Done)
}

fn list(session: &mut Session, owner: Option<&UserArg>, ended: bool) -> anyhow::Result<()> {
    let patrol = session.open()?;
    let owner = owner.map(|owner| patrol.user(owner.get())).transpose()?;
    let now = patrol.now();
    let mut list = session.out.list(ShownToken::HEADINGS)?;
    match owner {
        Some(owner) if !ended => {
            for token in patrol.list_tokens(&caller(), owner.id)? {
                let token = ShownToken::owned(token);
                list.push(&token.record(), || token.cells(now))?;
            }
        }
        owner => {
            let filter = TokenFilter {
                owner: owner.map(|owner| owner.id),
                limit: 1_000,
                ..TokenFilter::default()
            };
            let mut printed: Printed = Ok(());
            patrol.review_all(filter, |token| {
                let token = ShownToken::reviewed(token, now);
                if (token.state == TokenState::Ended) == ended {
                    printed = list.push(&token.record(), || token.cells(now));
                }
                printed.is_ok()
            })?;
            printed?;
        }
    }
    list.end(if ended {
        "There is no ended token."
    } else {
        "There is no live token."
    })?;
    Ok(())
}

/// Prints a token with its secret, which exists nowhere else from then on (R1).
fn print_secret(session: &mut Session, patrol: &Patrol, token: NewToken, done: &str) -> anyhow::Result<()> {
    let NewToken { row, secret, ends } = token;
    let state = row.state.token;
    // As large as it gets: a vector that grows leaves copies of the secret behind.
    let mut text = Zeroizing::new(Vec::with_capacity(16 * 1_024));
    if session.out.is_json() {
        let record = NewTokenRecord {
            id: state.id,
            name: &row.name,
            owner: &row.owner_name,
            owner_id: state.owner,
            tenant: &row.tenant_name,
            audience: &row.audience,
            created: At(state.created),
            expires: At(state.expires),
            ends: ends.into(),
            secret: std::str::from_utf8(secret.expose())
                .map_err(|_| anyhow::anyhow!("the policy made a secret that is no text"))?,
        };
        serde_json::to_writer(&mut *text, &record)?;
        text.push(b'\n');
    } else {
        let now = patrol.now();
        let name = plain(&row.name);
        let owner = full_name(&row.tenant_name, &row.owner_name);
        let head = format!("{done} \"{name}\" of {owner}. This is its secret, shown only this once:\n\n");
        let details = fields([
            ("audience", plain(&row.audience)),
            ("ends", format!("{}, unless it is used", print::end(ends, now))),
            ("expires", date_and_distance(state.expires, now)),
            ("id", state.id.to_string()),
        ]);
        text.extend_from_slice(head.as_bytes());
        text.extend_from_slice(secret.expose());
        text.extend_from_slice(format!("\n\n{details}\n").as_bytes());
    }
    drop(secret);
    session.out.secret(&text).with_context(|| {
        format!(
            "the secret of token {} could not be shown; it is lost: run `patrol token revoke {}`",
            state.id, state.id
        )
    })
}
