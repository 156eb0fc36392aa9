//! `patrol audit`.

use std::str::FromStr;

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

use super::Session;
use super::args::Bound;
use super::failure::Exit;
use super::print::{OutputError, Printed, count, date, hex, or_dash, plain};
use super::user::UserArg;
use crate::service::{AuditReport, Error, Patrol};
use crate::store::{AuditEntry, AuditFilter, AuditHead, StoreError};

const EXAMPLES: &str = "\
Examples:
  patrol audit list --since 7d --user ann
  patrol audit export --since 2027-01-01 --until 2027-01-31 > january.jsonl
  patrol audit verify --head 1042:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08

Exit codes: 12 the trail was altered or does not contain the head; `patrol --help` lists all.";

/// What can be done with the audit trail.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum AuditCommand {
    /// List the latest events, oldest first
    List {
        #[command(flatten)]
        period: Period,
        /// Only about this user, or their tokens and sign-ins: NAME, TENANT/NAME or UUID
        #[arg(long)]
        user: Option<UserArg>,
        /// Only of this type, such as revoke_personal_access_token
        #[arg(long = "type", value_name = "TYPE")]
        event_type: Option<String>,
        /// At most so many: the latest that match
        #[arg(long, value_name = "COUNT", default_value_t = 100)]
        limit: u32,
    },
    /// Print all events as JSON lines, oldest first, each with its number and hash
    Export {
        #[command(flatten)]
        period: Period,
    },
    /// Verify that no event was removed, altered or moved, and print the trail's head
    Verify {
        /// A head that `audit verify` printed before and that was kept elsewhere: the trail must still contain it
        #[arg(long, value_name = "SEQ:HASH")]
        head: Option<Head>,
    },
}

/// From when to when.
#[derive(Debug, Args)]
pub(super) struct Period {
    /// At this time or later: 2027-01-31 (from the start of that day, UTC), an instant, or 7d (that long ago)
    #[arg(long, value_name = "TIME")]
    since: Option<Bound>,
    /// Before this time: 2027-01-31 (to the end of that day, UTC), an instant, or 7d (that long ago)
    #[arg(long, value_name = "TIME")]
    until: Option<Bound>,
}

impl Period {
    fn filter(&self, patrol: &Patrol) -> AuditFilter {
        let now = patrol.now();
        AuditFilter {
            since: self.since.map(|bound| bound.first(now)),
            until: self.until.map(|bound| bound.over(now)),
            ..AuditFilter::default()
        }
    }
}

/// The end of the chain at some time, as `SEQ:HASH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head(AuditHead);

impl FromStr for Head {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str =
            "a head is SEQ:HASH, a number and 64 hexadecimal digits, as `audit verify` prints it";
        let (seq, digits) = text.split_once(':').ok_or(EXPECTED)?;
        let seq = seq.parse().map_err(|_| EXPECTED)?;
        let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
        let mut hash = [0; 32];
        if pairs.len() != hash.len() || !rest.is_empty() || !digits.bytes().all(|c| c.is_ascii_hexdigit()) {
            return Err(EXPECTED);
        }
        for (byte, pair) in hash.iter_mut().zip(pairs) {
            let pair = std::str::from_utf8(pair).map_err(|_| EXPECTED)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| EXPECTED)?;
        }
        Ok(Self(AuditHead { seq, hash }))
    }
}

fn print_head(head: AuditHead) -> String {
    format!("{}:{}", head.seq, hex(&head.hash))
}

/// What people look for in an event. All of it may be missing: what is stored may have been tampered with.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Event {
    event_outcome: Option<String>,
    event_outcome_reason: Option<String>,
    initiating_user_display_name: Option<String>,
    initiating_user_role: Option<String>,
    pat_name: Option<String>,
    pat_id: Option<String>,
}

/// An entry whose body is no JSON object, which Patrol did not write.
#[derive(Serialize)]
struct DamagedRecord<'a> {
    seq: u64,
    hash: String,
    damaged: &'a str,
}

/// Prints an entry for programs: the event as it is stored, with its number and hash.
fn record(entry: &AuditEntry) -> serde_json::Result<String> {
    let hash = hex(&entry.hash);
    let whole = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&entry.body);
    match (whole, entry.body.strip_prefix('{')) {
        (Ok(event), Some(members)) if !event.is_empty() && !members.contains('\n') => {
            Ok(format!("{{\"seq\":{},\"hash\":\"{hash}\",{members}", entry.seq))
        }
        _ => serde_json::to_string(&DamagedRecord {
            seq: entry.seq,
            hash,
            damaged: &entry.body,
        }),
    }
}

fn cells(entry: &AuditEntry) -> [String; 7] {
    let event: Event = serde_json::from_str(&entry.body).unwrap_or_default();
    let shown = |text: Option<String>| or_dash(text.map(|text| plain(&text)));
    [
        entry.seq.to_string(),
        date(entry.at),
        plain(&entry.event_type),
        shown(event.event_outcome),
        shown(event.event_outcome_reason),
        shown(event.initiating_user_display_name.or(event.initiating_user_role)),
        shown(event.pat_name.or(event.pat_id)),
    ]
}

pub(super) fn run(session: &mut Session, command: AuditCommand) -> anyhow::Result<Exit> {
    let patrol = session.open()?;
    match command {
        AuditCommand::List {
            period,
            user,
            event_type,
            limit,
        } => {
            let user = user.map(|user| patrol.user(user.get())).transpose()?;
            let filter = AuditFilter {
                user: user.map(|user| user.id),
                event_type,
                last: Some(limit),
                ..period.filter(&patrol)
            };
            list(session, &patrol, &filter)
        }
        AuditCommand::Export { period } => export(session, &patrol, &period.filter(&patrol)),
        AuditCommand::Verify { head } => verify(session, &patrol, head),
    }
}

fn list(session: &mut Session, patrol: &Patrol, filter: &AuditFilter) -> anyhow::Result<Exit> {
    let mut list = session
        .out
        .list(["SEQ", "TIME", "TYPE", "OUTCOME", "REASON", "WHO", "TOKEN"])?;
    let mut printed: Printed = Ok(());
    patrol.audit(filter, |entry| {
        printed = record(&entry)
            .map_err(|error| OutputError(error.into()))
            .and_then(|record| list.push_json(&record, || cells(&entry)));
        printed.is_ok()
    })?;
    printed?;
    list.end("There is no such event.")?;
    Ok(Exit::Done)
}

fn export(session: &mut Session, patrol: &Patrol, filter: &AuditFilter) -> anyhow::Result<Exit> {
    let mut printed: Printed = Ok(());
    patrol.audit(filter, |entry| {
        printed = record(&entry)
            .map_err(|error| OutputError(error.into()))
            .and_then(|record| session.out.line(&record));
        printed.is_ok()
    })?;
    printed?;
    Ok(Exit::Done)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChainRecord {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    entries: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

fn verify(session: &mut Session, patrol: &Patrol, kept: Option<Head>) -> anyhow::Result<Exit> {
    let (seq, problem) = match patrol.verify_audit() {
        Ok(AuditReport::Sound(head)) => match kept {
            Some(Head(kept)) if !contains(patrol, kept)? => (
                Some(kept.seq),
                format!(
                    "the trail does not contain the head {}: it was made anew, or cut off and continued",
                    print_head(kept)
                ),
            ),
            _ => return sound(session, head, kept),
        },
        Ok(AuditReport::Broken { seq, fault }) => (Some(seq), format!("entry {seq}: {fault}")),
        Err(Error::Outage(StoreError::Corrupt(what))) => (None, format!("it cannot be read: {what}")),
        Err(error) => return Err(error.into()),
    };
    let record = ChainRecord {
        ok: false,
        entries: None,
        head: None,
        seq,
        problem: Some(problem.clone()),
    };
    session.out.answer(&record, || {
        format!("The audit trail is broken: {}", plain(&problem))
    })?;
    Ok(Exit::Problems)
}

fn sound(session: &mut Session, head: AuditHead, kept: Option<Head>) -> anyhow::Result<Exit> {
    let record = ChainRecord {
        ok: true,
        entries: Some(head.seq),
        head: Some(print_head(head)),
        seq: None,
        problem: None,
    };
    session.out.answer(&record, || {
        let contains = if kept.is_some() {
            ", and it contains the head that was kept"
        } else {
            ""
        };
        format!(
            "The audit trail is whole: {}{contains}.\n{}\nKeep this head somewhere else: with `patrol audit verify \
             --head` it proves later that nothing up to here was changed.",
            count(head.seq, "entry"),
            print_head(head)
        )
    })?;
    Ok(Exit::Done)
}

/// Whether a chain that is whole contains this entry.
fn contains(patrol: &Patrol, kept: AuditHead) -> anyhow::Result<bool> {
    let Some(before) = kept.seq.checked_sub(1) else {
        return Ok(kept == AuditHead::default());
    };
    let filter = AuditFilter {
        after: before,
        ..AuditFilter::default()
    };
    let mut found = false;
    patrol.audit(&filter, |entry| {
        found = entry.seq == kept.seq && entry.hash == kept.hash;
        false
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn entry(body: &str) -> AuditEntry {
        AuditEntry {
            seq: 7,
            at: 0,
            event_type: "logout".to_owned(),
            user: None,
            body: body.to_owned(),
            hash: [0xab; 32],
        }
    }

    #[test]
    fn a_head_is_read_as_it_is_printed() {
        let head = AuditHead {
            seq: 42,
            hash: [0x5f; 32],
        };
        assert_eq!(print_head(head).parse(), Ok(Head(head)));
        for text in ["", "42", "42:5f", "x:5f", &format!("42:+f{}", "5f".repeat(31))] {
            assert!(text.parse::<Head>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_event_is_exported_as_it_is_stored() {
        let line = record(&entry(r#"{"eventType":"logout","n":1.10}"#)).unwrap();
        let hash = "ab".repeat(32);
        assert_eq!(
            line,
            format!(r#"{{"seq":7,"hash":"{hash}","eventType":"logout","n":1.10}}"#)
        );
    }

    #[test]
    fn an_entry_that_is_no_event_cannot_break_the_lines() {
        for body in ["", "{}", "[1]", "{\"a\":1}\n{\"b\":2}", "{\n\"a\":1}", "{\"a\":"] {
            let line = record(&entry(body)).unwrap();
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(value["damaged"], body);
            assert!(!line.contains('\n'));
        }
    }
}
