//! `patrol policy rehearse`: what a release would have decided.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use patrol_policy::types::Timestamp;
use serde::Serialize;

use super::args::Bound;
use super::failure::{Exit, Failure};
use super::print::{count, date, date_and_distance, or_dash, plain};
use super::{Session, release};
use crate::journal::{self, Reader};
use crate::release::Release;
use crate::service::{Changed, Exchange, Matter, Patrol, Rehearsal, Report, WouldBe};
use crate::time::rfc3339;

pub(super) const EXAMPLES: &str = "\
Examples:
  patrol policy rehearse stricter-1.0.0.patrol
  patrol policy rehearse stricter-1.0.0.patrol --since 7d --json | jq '.changes[] | {was, would, tokens, owners}'
  patrol policy rehearse 3f2a91 --journal /backup/decisions

Exit codes: 0 nothing would change, 13 something would; 3 the release is refused, 4 there is no journal or nothing in it \
since then, 10 the journal cannot be read; `patrol --help` lists all.";

/// Damage that is told in full; more is counted.
const TOLD: usize = 20;
/// Lines of one table; `--json` has all.
const LINES: usize = 50;
/// Calls between two movements of the progress bar.
const STEP: u64 = 500;

#[derive(Args, Debug)]
pub(super) struct RehearseArgs {
    /// A release, or the id of one that was staged, or its first digits
    #[arg(value_name = "FILE|ID")]
    candidate: String,
    /// The directory of the journal [default: that of the data directory]
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,
    /// Only decisions since then: a duration back from now, a date or an instant [default: all that there are]
    #[arg(long, value_name = "TIME")]
    since: Option<Bound>,
    /// Decisions about this tenant alone, as if the release were its own: its name or UUID [default: all but those about
    /// tenants that had a release of their own]
    #[arg(long)]
    tenant: Option<String>,
}

/// A report, with what it was made from.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rehearsed<'a> {
    candidate: &'a str,
    since: Option<String>,
    first: Option<String>,
    last: Option<String>,
    /// Records that make no sense, or that another version of Patrol wrote.
    unreadable: u64,
    /// Places in the journal's files that could not be read.
    damaged: u64,
    damage: &'a [String],
    #[serde(flatten)]
    report: &'a Report,
}

pub(super) fn run(session: &mut Session, args: &RehearseArgs) -> anyhow::Result<Exit> {
    let patrol = session.open()?;
    let (name, mut rehearsal) = prepare(&patrol, args)?;
    let directory = args.journal.clone();
    let directory = directory.unwrap_or_else(|| journal::directory(patrol.data()));
    let reader = Reader::open(&directory)?;
    let since = args.since.map_or(0, |since| since.first(patrol.now()));
    let expected = reader.count(since);
    if expected == 0 {
        return Err(Failure::Nothing(nothing(&reader, &directory, since, patrol.now())).into());
    }
    let mut damage = Damage::of(&reader);
    let (first, last) = play(&mut rehearsal, &reader, since, expected, &mut damage)?;
    let report = rehearsal.report()?;
    if report.totals.calls == 0 && report.totals.elsewhere > 0 {
        // That nothing would change is no answer where nothing was asked.
        return Err(Failure::Nothing(format!(
            "the journal in {} has {}, and none that this release would decide{}",
            directory.display(),
            count(report.totals.elsewhere, "decision"),
            match args.tenant {
                Some(_) => ": none is about this tenant",
                None => ": all are about tenants that had a release of their own, see --tenant",
            }
        ))
        .into());
    }
    let rehearsed = Rehearsed {
        candidate: &name,
        since: args.since.map(|_| rfc3339(since)),
        first: first.map(rfc3339),
        last: last.map(rfc3339),
        unreadable: damage.records,
        damaged: damage.places,
        damage: &damage.told,
        report: &report,
    };
    if session.out.is_json() {
        session.out.answer(&rehearsed, String::new)?;
    } else {
        print(session, &rehearsed, patrol.now())?;
    }
    Ok(match report.changes.is_empty() {
        true => Exit::Done,
        false => Exit::Differs,
    })
}

/// The candidate, by what it is called.
fn prepare(patrol: &Patrol, args: &RehearseArgs) -> anyhow::Result<(String, Rehearsal)> {
    let tenant = args
        .tenant
        .as_deref()
        .map(|name| patrol.tenant(name))
        .transpose()?;
    let tenant = tenant.map(|row| row.id);
    let path = Path::new(&args.candidate);
    if is_component(path) {
        if !patrol.config().policy.allow_unsigned {
            let why = "this is a bare component, which nobody signed: sign it with `patrol policy sign`, or set \
                       `allow_unsigned = true` in `[policy]` where policies are developed";
            return Err(Failure::Usage(why.to_owned()).into());
        }
        let component = std::fs::read(path);
        let component = component.with_context(|| format!("cannot read {}", path.display()))?;
        let rehearsal = patrol.rehearse_component(&component, tenant)?;
        return Ok((path.display().to_string(), rehearsal));
    }
    let release = match path.exists() {
        true => release::read(path, patrol.config().policy.max_component.bytes())?,
        false => patrol.release(&args.candidate)?.1,
    };
    Ok((called(&release), patrol.rehearse(&release, tenant)?))
}

fn called(release: &Release) -> String {
    let manifest = release.manifest();
    format!(
        "{} {}, release {}",
        manifest.name, manifest.version, manifest.release
    )
}

/// Whether a file begins as a WebAssembly component does.
fn is_component(path: &Path) -> bool {
    use std::io::Read as _;
    let mut start = [0; 4];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && start == *b"\0asm"
}

fn nothing(reader: &Reader, directory: &Path, since: Timestamp, now: Timestamp) -> String {
    match reader.span() {
        Some((first, last)) => format!(
            "the journal in {} has no decision since {}: it has some from {} to {}",
            directory.display(),
            date(since),
            date(first),
            date_and_distance(last, now)
        ),
        None => format!(
            "there is no decision yet in the journal in {}: a server writes them down where the configuration has \
             `enabled = true` in `[journal]`",
            directory.display()
        ),
    }
}

/// What could not be read.
struct Damage {
    records: u64,
    places: u64,
    told: Vec<String>,
}

impl Damage {
    fn of(reader: &Reader) -> Self {
        let mut damage = Self {
            records: 0,
            places: 0,
            told: Vec::new(),
        };
        let notes = reader.notes().iter();
        notes
            .filter(|note| !note.trouble.is_ordinary())
            .for_each(|note| damage.note(note));
        damage
    }

    fn note(&mut self, note: &journal::Note) {
        self.places = self.places.saturating_add(1);
        self.tell(note.to_string());
    }

    fn tell(&mut self, what: String) {
        if self.told.len() < TOLD {
            self.told.push(what);
        }
    }
}

/// Puts all decisions to the candidate. Says when the first and the last one was.
fn play(
    rehearsal: &mut Rehearsal,
    reader: &Reader,
    since: Timestamp,
    expected: u64,
    damage: &mut Damage,
) -> anyhow::Result<(Option<Timestamp>, Option<Timestamp>)> {
    let bar = progress(expected);
    let (mut first, mut last, mut played) = (None, None, 0_u64);
    for record in reader.records(since) {
        let record = match record {
            Ok(record) => record,
            Err(note) => {
                damage.note(&note);
                continue;
            }
        };
        match Exchange::decode(&record.bytes) {
            Ok(exchange) => {
                first = first.or(Some(record.at));
                last = Some(record.at);
                rehearsal.play(&Arc::new(exchange))?;
            }
            Err(why) => {
                damage.records = damage.records.saturating_add(1);
                damage.tell(format!("a decision of {} cannot be read: {why}", date(record.at)));
            }
        }
        played = played.saturating_add(1);
        if played.is_multiple_of(STEP) {
            bar.set_position(played);
        }
    }
    bar.finish_and_clear();
    Ok((first, last))
}

/// On standard error, for whoever sits there.
fn progress(expected: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(expected);
    let style = "{wide_bar} {human_pos}/{human_len} decisions, {per_sec}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar
}

fn print(session: &mut Session, rehearsed: &Rehearsed<'_>, now: Timestamp) -> anyhow::Result<()> {
    let Rehearsed { report, .. } = rehearsed;
    let out = &mut session.out;
    for changed in &report.changes {
        out.line(&format!("{}:", headline(changed)))?;
        let mut list = out.list(["  TENANT", "OWNER", "TOKEN", "LAST USED", "CALLS"])?;
        for one in changed.list.iter().take(LINES) {
            list.push(one, || {
                let name = |name: &Option<String>| or_dash(name.as_deref().map(plain));
                let id = one.subject.token.map(|token| token.to_string());
                let token = one.token_name.as_deref().map(plain).or(id);
                [
                    format!("  {}", name(&one.tenant_name)),
                    name(&one.owner_name),
                    or_dash(token),
                    or_dash(one.last_used.map(|at| date_and_distance(at, now))),
                    one.calls.to_string(),
                ]
            })?;
        }
        list.end_inner()?;
        if let Some(more) = changed.list.len().checked_sub(LINES).filter(|more| *more > 0) {
            out.line(&format!("  and {more} more; --json lists all"))?;
        }
        out.line("")?;
    }
    for line in summary(rehearsed) {
        out.line(&line)?;
    }
    Ok(())
}

/// What would change, in one line.
fn headline(changed: &Changed) -> String {
    let Changed {
        change,
        calls,
        tokens,
        owners,
        ..
    } = changed;
    let of = match *owners {
        0 => String::new(),
        owners => format!(" of {}", count(owners, "owner")),
    };
    let who = match change.asked {
        Matter::Token if *tokens > 0 => format!("{}{of}", count(*tokens, "token")),
        Matter::Session if *tokens > 0 => format!("sessions of {}{of}", count(*tokens, "token")),
        Matter::Rotation if *tokens > 0 => format!("rotations of {}{of}", count(*tokens, "token")),
        Matter::Revocation if *tokens > 0 => format!("revocations of {}{of}", count(*tokens, "token")),
        Matter::Creation => format!("{}{of}", count(*calls, "new token")),
        Matter::Rotation => format!("{}{of}", count(*calls, "rotation")),
        Matter::Revocation => format!("{}{of}", count(*calls, "revocation")),
        Matter::List => format!("{}{of}", count(*calls, "list")),
        Matter::Method => format!("{}{of}", count(*calls, "change of method")),
        Matter::Password => format!("{}{of}", count(*calls, "password sign-in")),
        _ => count(*calls, "call"),
    };
    let becomes = match (&change.was, &change.would) {
        (WouldBe::Accepted, WouldBe::Refused(reason)) => format!("would now be refused: {reason}"),
        (WouldBe::Refused(reason), WouldBe::Accepted) => {
            format!("would now be accepted, which were refused: {reason}")
        }
        (WouldBe::Refused(was), WouldBe::Refused(would)) => {
            format!("would be refused for another reason: {would}, not {was}")
        }
        (WouldBe::Accepted, WouldBe::OtherEnd) => "would be accepted, and end at another time".to_owned(),
        (WouldBe::Accepted, WouldBe::OtherAnswer) => "would have another answer".to_owned(),
        (was, WouldBe::Fault(kind)) => format!("would have no verdict, but a fault: {kind} (was {was})"),
        (was, would) => format!("would be {would} (was {was})"),
    };
    format!("{who} {becomes} ({})", count(*calls, "call"))
}

fn summary(rehearsed: &Rehearsed<'_>) -> Vec<String> {
    let Rehearsed {
        candidate,
        report,
        first,
        last,
        ..
    } = rehearsed;
    let totals = &report.totals;
    let mut lines = vec![format!(
        "{}: {} from {} to {}: {} as before, {} otherwise, {}",
        plain(candidate),
        count(totals.calls, "call"),
        or_dash(first.clone()),
        or_dash(last.clone()),
        totals.unchanged,
        totals.changed,
        count(totals.faults, "fault"),
    )];
    if totals.elsewhere > 0 {
        lines.push(format!(
            "left out: {} that this release would not decide",
            count(totals.elsewhere, "call")
        ));
    }
    if totals.without_verdict > 0 {
        lines.push(format!(
            "left out: {} without a verdict, since the store had failed",
            count(totals.without_verdict, "call")
        ));
    }
    if !report.answered_from_the_store.is_empty() {
        let asked = report.answered_from_the_store.iter();
        let asked: Vec<_> = asked
            .map(|(name, times)| format!("{times} \u{d7} {name}"))
            .collect();
        lines.push(format!(
            "answered from the store as it is now, since the journal does not say: {}",
            asked.join(", ")
        ));
    }
    if rehearsed.damaged > 0 || rehearsed.unreadable > 0 {
        lines.push(format!(
            "not read: {} in the journal's files, {}",
            count(rehearsed.damaged, "damaged place"),
            count(rehearsed.unreadable, "decision")
        ));
        lines.extend(rehearsed.damage.iter().map(|what| format!("  {}", plain(what))));
    }
    lines
}
