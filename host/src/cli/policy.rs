//! `patrol policy`.

use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;

use super::failure::Exit;
use super::policy_new::NewArgs;
use super::print::{fields, hex, plain};
use super::release::SignArgs;
use super::{Session, activation, policy_new, release, releases};
use crate::policy::Isolation;
use crate::service::{Patrol, PolicyInfo};
use crate::time::print_duration;

/// What can be done with the policy.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum PolicyCommand {
    /// Show name, version, digest (SHA-256), limits, imports and exports
    Show,
    /// Write a project for a policy of your own, built on the stock rules
    New(NewArgs),
    /// Make a key that signs releases, and print its public half for `[policy] trusted_keys`
    Keygen {
        /// Where to write the secret key: a new file that only you can read
        file: PathBuf,
    },
    /// Make a release of a component: a file with its manifest and signature
    Sign(SignArgs),
    /// Print what is signed of a release, for `ssh-keygen -Y sign -n patrol-release`
    Message {
        /// The release
        file: PathBuf,
    },
    /// Put the signature that `ssh-keygen -Y sign` made into a release that has none
    Attach {
        /// The release
        file: PathBuf,
        /// The signature
        signature: PathBuf,
    },
    /// Say what is in a release, whoever signed it
    Inspect {
        /// The release
        file: PathBuf,
    },
    /// Say whether this host would take a release: its digest, its signature, and what its manifest asks for
    ///
    /// Signatures are verified by the `[policy] trusted_keys` of the configuration; no data directory is needed.
    Verify {
        /// The release
        file: PathBuf,
    },
    /// Judge a release as `verify` does, try it out on records of its own, and keep it to be activated
    Stage {
        /// The release
        file: PathBuf,
    },
    /// List the releases that were staged, and say which ones are active, which run, for whom and since when
    List,
    /// Make a release the active one; a running server goes over to it without losing a request
    ///
    /// The server watches it from then on: a release that faults too often in its first minutes is rolled back by itself
    /// (`[policy] watch`, `watch_faults`, `watch_least`).
    Activate {
        /// The release's id, or its first digits
        id: String,
        /// Of this tenant alone: its name or UUID
        #[arg(long)]
        tenant: Option<String>,
        /// Even where it has no higher number than the one that is active
        #[arg(long)]
        allow_downgrade: bool,
    },
    /// Make the release before the active one active again, on a running server too
    Rollback {
        /// Of this tenant alone: its name or UUID
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Say in what two releases differ
    Diff {
        /// The id of one, or its first digits
        a: String,
        /// The id of the other
        b: String,
    },
}

const EXAMPLES: &str = "\
Examples:
  patrol --json policy show | jq -r .digest
  patrol policy new stricter
  patrol policy keygen release.key
  patrol policy sign stricter.wasm --name stricter --policy-version 1.2.0 --number 3 --key release.key
  patrol policy verify stricter-1.2.0.patrol

With a key of OpenSSH, which may live in an agent or a security token, and is trusted by its line in the .pub file:
  patrol policy sign stricter.wasm --name stricter --policy-version 1.2.0 --number 3 --unsigned
  patrol policy message stricter-1.2.0.patrol | ssh-keygen -Y sign -n patrol-release -f ~/.ssh/id_ed25519 > sig
  patrol policy attach stricter-1.2.0.patrol sig";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PolicyRecord<'a> {
    name: &'a str,
    version: &'a str,
    digest: String,
    size: usize,
    isolation: String,
    limits: Limits,
    imports: &'a [String],
    exports: &'a [String],
}

/// The parameters; durations such as "15d".
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Limits {
    idle_after: String,
    tokens_per_owner: u32,
    max_lifetime: String,
    max_overlap: String,
    name_max_length: u32,
    session_lifetime: String,
    session_idle: String,
    sessions_per_token: u32,
    retention: String,
}

/// How instances of the policy are used, in words.
pub(super) fn isolation(patrol: &Patrol) -> String {
    match patrol.config().policy.isolation() {
        Isolation::PerCall => "per-call".to_owned(),
        Isolation::Warm { max_calls } => format!("warm, {max_calls} calls"),
    }
}

pub(super) fn run(session: &mut Session, command: PolicyCommand) -> anyhow::Result<Exit> {
    match command {
        PolicyCommand::Show => show(session),
        PolicyCommand::New(args) => policy_new::run(session, &args),
        PolicyCommand::Keygen { file } => release::keygen(session, &file),
        PolicyCommand::Sign(args) => release::sign(session, args),
        PolicyCommand::Message { file } => release::message(session, &file),
        PolicyCommand::Attach { file, signature } => release::attach(session, &file, &signature),
        PolicyCommand::Inspect { file } => release::inspect(session, &file),
        PolicyCommand::Verify { file } => release::verify(session, &file),
        PolicyCommand::Stage { file } => activation::stage(session, &file),
        PolicyCommand::List => releases::list(session),
        PolicyCommand::Activate {
            id,
            tenant,
            allow_downgrade,
        } => activation::activate(session, id, tenant, allow_downgrade),
        PolicyCommand::Rollback { tenant } => activation::rollback(session, tenant),
        PolicyCommand::Diff { a, b } => activation::diff(session, &a, &b),
    }
}

fn show(session: &mut Session) -> anyhow::Result<Exit> {
    let patrol = session.open()?;
    let info = patrol.policy_info()?;
    let p = info.description.parameters;
    let record = PolicyRecord {
        name: &info.description.name,
        version: &info.description.version,
        digest: hex(&info.digest),
        size: info.size,
        isolation: isolation(&patrol),
        limits: Limits {
            idle_after: print_duration(p.idle_after),
            tokens_per_owner: p.tokens_per_owner,
            max_lifetime: print_duration(p.max_lifetime),
            max_overlap: print_duration(p.max_overlap),
            name_max_length: p.name_max_length,
            session_lifetime: print_duration(p.session_lifetime),
            session_idle: print_duration(p.session_idle),
            sessions_per_token: p.sessions_per_token,
            retention: print_duration(p.retention),
        },
        imports: &info.imports,
        exports: &info.exports,
    };
    session.out.answer(&record, || text(&record, &info))?;
    Ok(Exit::Done)
}

fn text(record: &PolicyRecord<'_>, info: &PolicyInfo) -> String {
    let limits = &record.limits;
    let sessions = match limits.sessions_per_token {
        0 => "any number".to_owned(),
        number => number.to_string(),
    };
    fields([
        (
            "policy",
            format!("{} {}", plain(record.name), plain(record.version)),
        ),
        ("sha-256", record.digest.clone()),
        ("size", format!("{} bytes", record.size)),
        ("isolation", record.isolation.clone()),
        ("tokens expire unused after (R5)", limits.idle_after.clone()),
        ("live tokens of a user (R7)", limits.tokens_per_owner.to_string()),
        ("farthest expiration date", limits.max_lifetime.clone()),
        ("longest overlap of a rotation", limits.max_overlap.clone()),
        (
            "longest name (R13)",
            format!("{} characters", limits.name_max_length),
        ),
        ("sessions last", limits.session_lifetime.clone()),
        ("sessions end unused after", limits.session_idle.clone()),
        ("open sessions of a token", sessions),
        ("ended tokens are kept for (R6)", limits.retention.clone()),
        ("imports", info.imports.join(", ")),
        ("exports", info.exports.join(", ")),
    ])
}
