//! `patrol identity`.

use clap::Subcommand;
use patrol_policy::types::{MINUTE, Timestamp};
use serde::Serialize;

use super::failure::Exit;
use super::print::{date_and_distance, fields};
use super::{Session, caller};
use crate::gate::{Jwk, Keys, Previous};
use crate::time::{print_duration, rfc3339};

const EXAMPLES: &str = "\
Examples:
  patrol identity show
  patrol --json identity show | jq .keys
  patrol identity rotate

Where the configuration says [identity] signed = true, each request that is let in carries X-Patrol-Identity: a JWT \
(RFC 7519, EdDSA) that the service verifies with the keys at /.well-known/jwks.json.";

/// How long after its last signature could hold a key is still published: clocks differ, and a server takes a second
/// to notice.
const SLACK: u64 = MINUTE;

/// What can be done with the key that signs identities.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum IdentityCommand {
    /// Show the public keys, and whether identities are signed
    Show,
    /// Put a new key in force; a running server signs with it within a second
    ///
    /// The one before stays published until nothing that it signed holds any more.
    Rotate {
        /// Publish no key from before any longer: somebody else may have it
        #[arg(long)]
        forget: bool,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShowRecord<'a> {
    signed: bool,
    issuer: &'a str,
    lifetime: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    made: Option<String>,
    keys: Vec<&'a Jwk>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RotateRecord<'a> {
    kid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaced_kid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    published_until: Option<String>,
}

pub(super) fn run(session: &mut Session, command: IdentityCommand) -> anyhow::Result<Exit> {
    match command {
        IdentityCommand::Show => show(session),
        IdentityCommand::Rotate { forget } => rotate(session, forget),
    }
}

fn show(session: &mut Session) -> anyhow::Result<Exit> {
    let patrol = session.open()?;
    let (config, now) = (patrol.config(), patrol.now());
    let keys = Keys::load(patrol.data())?;
    let record = ShowRecord {
        signed: config.identity.signed,
        issuer: &config.identity.issuer,
        lifetime: print_duration(config.identity.lifetime.0),
        made: keys.as_ref().map(|keys| rfc3339(keys.made)),
        keys: keys.as_ref().map(|keys| keys.published(now)).unwrap_or_default(),
    };
    session.out.answer(&record, || {
        let signed = if record.signed {
            "yes"
        } else {
            "no: [identity] signed = false"
        };
        let mut rows = vec![
            ("signed", signed.to_owned()),
            ("issuer", record.issuer.to_owned()),
            ("lifetime", record.lifetime.clone()),
        ];
        match &keys {
            None => rows.push(("key", "none yet: the first signature makes one".to_owned())),
            Some(keys) => {
                rows.push(("key", keys.current.kid.clone()));
                rows.push(("made", date_and_distance(keys.made, now)));
                let old = keys.previous.iter().filter(|old| now < old.until);
                rows.extend(old.map(|old| ("previous", previous(old, now))));
            }
        }
        fields(rows)
    })?;
    Ok(Exit::Done)
}

fn previous(old: &Previous, now: Timestamp) -> String {
    format!(
        "{}, published until {}",
        old.key.kid,
        date_and_distance(old.until, now)
    )
}

fn rotate(session: &mut Session, forget: bool) -> anyhow::Result<Exit> {
    let patrol = session.open()?;
    let now = patrol.now();
    let lifetime = patrol.config().identity.lifetime.0;
    let until = now.saturating_add(lifetime).saturating_add(SLACK);
    let until = (!forget).then_some(until);
    let (keys, replaced) = Keys::rotate(patrol.data(), now, until)?;
    let replaced = replaced.map(|key| key.kid);
    patrol.note_identity_rotation(&caller(), &keys.current.kid, replaced.as_deref(), forget)?;
    let record = RotateRecord {
        kid: &keys.current.kid,
        replaced_kid: replaced.as_deref(),
        published_until: replaced.as_ref().and(until).map(rfc3339),
    };
    session.out.answer(&record, || {
        let mut rows = vec![("key", record.kid.to_owned())];
        rows.extend(record.replaced_kid.map(|kid| ("replaced", kid.to_owned())));
        let published = replaced
            .as_ref()
            .and(until)
            .map(|until| date_and_distance(until, now));
        rows.extend(published.map(|until| ("published until", until)));
        fields(rows)
    })?;
    Ok(Exit::Done)
}
