//! `patrol policy shadow`: a candidate beside the policy of a running server.

use std::path::Path;

use clap::Args;
use patrol_policy::types::{Duration, Timestamp};

use super::failure::{Exit, Failure};
use super::print::{count, date, date_and_distance, hex, or_dash, plain};
use super::reach::Reached;
use super::{Session, caller, caller_name, release};
use crate::control::{Client, Verb};
use crate::service::ShadowStatus;
use crate::time::parse_duration;

pub(super) const EXAMPLES: &str = "\
Examples:
  patrol policy shadow stricter-1.0.0.patrol --for 1h
  patrol policy shadow
  patrol policy shadow stop

Exit codes of what it found: 0 no difference, 13 some; 4 there is no server, or no shadow; `patrol --help` lists all.";

/// What ends the shadow.
const STOP: &str = "stop";

#[derive(Args, Debug)]
pub(super) struct ShadowArgs {
    /// A release, which is staged then, or the id of one that was staged, or its first digits; or `stop` [default: say
    /// what was found so far]
    #[arg(value_name = "FILE|ID|stop")]
    candidate: Option<String>,
    /// When it ends by itself [default: when it is told to]
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    lasting: Option<Duration>,
    /// Beside what decides about this tenant, and for nobody else: its name or UUID [default: beside everybody's]
    #[arg(long)]
    tenant: Option<String>,
}

pub(super) fn run(session: &mut Session, args: ShadowArgs) -> anyhow::Result<Exit> {
    let begins = args
        .candidate
        .as_deref()
        .is_some_and(|candidate| candidate != STOP);
    if !begins && (args.lasting.is_some() || args.tenant.is_some()) {
        let why = "--for and --tenant are for a shadow that begins: name the release that is to be one";
        return Err(Failure::Usage(why.to_owned()).into());
    }
    if args.lasting == Some(0) {
        let why = "a shadow that ends at once hears nothing: give --for a longer time";
        return Err(Failure::Usage(why.to_owned()).into());
    }
    let client = server(session)?;
    let caller = caller_name();
    match args.candidate.as_deref() {
        None => found(session, client.ask(&caller, Verb::ShadowStatus)?),
        Some(STOP) => found(session, client.ask(&caller, Verb::ShadowStop)?),
        Some(candidate) => {
            let verb = Verb::Shadow {
                release: staged(session, candidate)?,
                tenant: args.tenant,
                lasting: args.lasting,
            };
            let status: ShadowStatus = client.ask(&caller, verb)?;
            session.out.answer(&status, || {
                let until = status.until.map(|until| format!(" until {}", date(until)));
                format!(
                    "{} hears what is decided{}; `patrol policy shadow` says what it found, `patrol policy shadow stop` \
                     ends it",
                    named(&status),
                    until.unwrap_or_default()
                )
            })?;
            Ok(Exit::Done)
        }
    }
}

/// The running server.
fn server(session: &Session) -> anyhow::Result<Client> {
    match Reached::find(session)? {
        Reached::Server(client) => Ok(client),
        Reached::Here(..) => Err(Failure::Nothing(
            "no server is running, and a shadow hears what a server decides: start it with `patrol serve`, or see what \
             would have been with `patrol policy rehearse`"
                .to_owned(),
        )
        .into()),
    }
}

/// The id of the candidate, which is staged now if it is a file.
fn staged(session: &Session, candidate: &str) -> anyhow::Result<String> {
    let path = Path::new(candidate);
    if !path.exists() {
        return Ok(candidate.to_owned());
    }
    let patrol = session.open()?;
    let release = release::read(path, patrol.config().policy.max_component.bytes())?;
    let row = patrol.stage(&caller(), &release)?;
    Ok(hex(&row.release.digest))
}

fn named(status: &ShadowStatus) -> String {
    let id: String = status.release.chars().take(12).collect();
    format!(
        "{} {}, release {} ({id})",
        plain(&status.name),
        plain(&status.version),
        status.number
    )
}

/// Says what was found.
fn found(session: &mut Session, status: Option<ShadowStatus>) -> anyhow::Result<Exit> {
    let Some(status) = status else {
        return Err(Failure::Nothing(
            "there is no shadow, and was none since the server started: begin one with `patrol policy shadow FILE`"
                .to_owned(),
        )
        .into());
    };
    let exit = match status.totals.changed {
        0 => Exit::Done,
        _ => Exit::Differs,
    };
    if session.out.is_json() {
        session.out.answer(&status, String::new)?;
        return Ok(exit);
    }
    let now = status
        .ended
        .unwrap_or_else(|| session.open().map_or(status.began, |patrol| patrol.now()));
    let out = &mut session.out;
    for line in summary(&status, now) {
        out.line(&line)?;
    }
    if !status.changes.is_empty() {
        out.line("")?;
        let mut list = out.list(["ASKED", "WAS", "WOULD BE", "TOKENS", "OWNERS", "CALLS"])?;
        for change in &status.changes {
            list.push(change, || {
                [
                    change.asked.clone(),
                    change.was.clone(),
                    change.would.clone(),
                    change.tokens.to_string(),
                    change.owners.to_string(),
                    change.calls.to_string(),
                ]
            })?;
        }
        list.end_inner()?;
        out.line("")?;
        out.line(&format!(
            "the latest {}:",
            count_of(status.latest.len(), "difference")
        ))?;
        let mut list = out.list(["WHEN", "OWNER", "TOKEN", "ASKED", "WAS", "WOULD BE"])?;
        for one in &status.latest {
            list.push(one, || {
                let token = one.token_name.as_deref().map(plain);
                [
                    date(one.at),
                    or_dash(one.owner_name.as_deref().map(plain)),
                    or_dash(token.or_else(|| one.token.map(|token| token.to_string()))),
                    one.function.clone(),
                    one.was.clone(),
                    one.would.clone(),
                ]
            })?;
        }
        list.end_inner()?;
    }
    Ok(exit)
}

fn count_of(number: usize, noun: &str) -> String {
    count(u64::try_from(number).unwrap_or(u64::MAX), noun)
}

fn summary(status: &ShadowStatus, now: Timestamp) -> Vec<String> {
    let totals = &status.totals;
    let state = match (status.ended, status.until) {
        (Some(ended), _) => format!("ended {}", date(ended)),
        (None, Some(until)) => format!("until {}", date_and_distance(until, now)),
        (None, None) => "until it is told to end".to_owned(),
    };
    let mut lines = vec![
        format!(
            "{}: since {}, {state}",
            named(status),
            date_and_distance(status.began, now)
        ),
        format!(
            "{}: {} as before, {} otherwise, {}; {} not heard",
            count(totals.calls, "call"),
            totals.unchanged,
            totals.changed,
            count(totals.faults, "fault"),
            status.dropped
        ),
    ];
    if let Some(failure) = &status.failure {
        lines.push(format!("it ended early: {}", plain(failure)));
    }
    if !status.answered_from_the_store.is_empty() {
        let asked = status.answered_from_the_store.iter();
        let asked: Vec<_> = asked
            .map(|(name, times)| format!("{times} \u{d7} {name}"))
            .collect();
        lines.push(format!("answered from the store: {}", asked.join(", ")));
    }
    lines
}
