//! `patrol doctor`: looks for what is wrong, and says what to do. It goes as far as what is broken allows.

mod policies;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use patrol_policy::types::{DAY, MINUTE, Timestamp};
use serde::Serialize;

use super::failure::Exit;
use super::print::{count, date, plain};
use super::{Session, caller};
use crate::config::Config;
use crate::gate::{KeyError, Keys};
use crate::journal;
use crate::private_file;
use crate::service::{AuditFilter, FLOOR_VIOLATION, OpenError, Patrol, PepperState, ServeLock, Settings};
use crate::store::sqlite::OpenError as StoreOpenError;
use crate::time::print_duration;

const EXAMPLES: &str = "\
Examples:
  patrol doctor
  patrol doctor --reset-clock

Exit codes: 12 something is wrong; `patrol --help` lists all.";

/// How far the clock may lie behind before that is a fault.
const CLOCK_TOLERANCE: u64 = MINUTE;

/// What to do beside looking.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct DoctorArgs {
    /// Repair a clock that once ran ahead: forget the highest time ever seen, and go by the machine's clock again.
    ///
    /// Patrol's time never goes back, so that a token that has expired stays expired. If the machine's clock once ran
    /// ahead by mistake, time stands still until it has caught up. With this option it goes back: tokens that lapsed
    /// in between, and were not yet marked as ended, work again. Stop the server first.
    #[arg(long)]
    reset_clock: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Warn,
    Fail,
}

#[derive(Debug, Serialize)]
struct Finding {
    status: Status,
    what: &'static str,
    advice: String,
}

/// What was found so far.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, status: Status, what: &'static str, advice: impl Into<String>) {
        let advice = advice.into();
        self.0.push(Finding { status, what, advice });
    }

    fn ok(&mut self, what: &'static str, found: impl Into<String>) {
        self.add(Status::Ok, what, found);
    }

    fn warn(&mut self, what: &'static str, advice: impl Into<String>) {
        self.add(Status::Warn, what, advice);
    }

    fn fail(&mut self, what: &'static str, advice: impl Into<String>) {
        self.add(Status::Fail, what, advice);
    }

    fn failed(&self) -> bool {
        self.0.iter().any(|finding| finding.status == Status::Fail)
    }

    fn failed_about(&self, what: &str) -> bool {
        let mut about = self.0.iter().filter(|finding| finding.what == what);
        about.any(|finding| finding.status == Status::Fail)
    }
}

#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    findings: &'a [Finding],
}

pub(super) fn run(session: &mut Session, args: &DoctorArgs) -> anyhow::Result<Exit> {
    let mut findings = Findings::default();
    let data = session.global.data.clone();
    let config = configuration(session, &mut findings);
    if directory(&data, &mut findings) {
        cache(&data, &mut findings);
        identity(&data, &mut findings);
        let serving = server(&data, &mut findings);
        if let Some(patrol) = open(&data, config, &mut findings) {
            integrity(&patrol, &mut findings);
            pepper(&patrol, &mut findings);
            policies::look(&patrol, &mut findings);
            alarms(&patrol, &mut findings);
            decisions(&patrol, &mut findings);
            clock(&patrol, args.reset_clock, serving, &mut findings);
        }
    }
    if session.out.is_json() {
        let report = Report {
            ok: !findings.failed(),
            findings: &findings.0,
        };
        session.out.answer(&report, String::new)?;
    } else {
        for finding in &findings.0 {
            let status = match finding.status {
                Status::Ok => "ok",
                Status::Warn => "warn",
                Status::Fail => "FAIL",
            };
            let line = format!("{status:<4}  {}: {}", finding.what, plain(&finding.advice));
            session.out.line(&line)?;
        }
    }
    Ok(if findings.failed() {
        Exit::Problems
    } else {
        Exit::Done
    })
}

/// The journal of decisions. Nothing else depends on it, so nothing about it is a failure.
fn decisions(patrol: &Patrol, findings: &mut Findings) {
    const WHAT: &str = "decision journal";
    let enabled = patrol.config().journal.enabled;
    let directory = journal::directory(patrol.data());
    let reader = match journal::Reader::open(&directory) {
        Ok(reader) => reader,
        Err(journal::Error::Missing(_)) if enabled => {
            return findings.ok(
                WHAT,
                "a server will begin it: none has run since it was turned on",
            );
        }
        Err(journal::Error::Missing(_)) => return findings.ok(WHAT, "it is off, and there is none"),
        Err(error) => return findings.warn(WHAT, error.to_string()),
    };
    let state = if enabled { "on" } else { "off" };
    let found = match reader.span() {
        Some((first, last)) => format!(
            "it is {state}; {} from {} to {}",
            count(reader.count(0), "decision"),
            date(first),
            date(last)
        ),
        None => format!("it is {state}; no decision yet"),
    };
    let mut damage = reader.notes().iter().filter(|note| !note.trouble.is_ordinary());
    match damage.next() {
        Some(note) => findings.warn(WHAT, format!("{found}, and some cannot be read: {note}")),
        None => findings.ok(WHAT, found),
    }
}

fn configuration(session: &Session, findings: &mut Findings) -> Config {
    match session.config() {
        Ok(config) => {
            findings.ok("configuration", "it can be used");
            config
        }
        Err(error) => {
            findings.fail(
                "configuration",
                format!("{error}; what follows is checked with the defaults"),
            );
            Config::default()
        }
    }
}

/// Looks at the directory as the operating system sees it; says whether it makes sense to go on.
fn directory(data: &Path, findings: &mut Findings) -> bool {
    const WHAT: &str = "data directory";
    let shown = data.display();
    let metadata = match fs::metadata(data) {
        Ok(metadata) if metadata.is_dir() => metadata,
        Ok(_) => {
            findings.fail(
                WHAT,
                format!("{shown} is no directory: choose another with --data"),
            );
            return false;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            findings.fail(
                WHAT,
                format!(
                    "{shown} is not there: name the right one with --data, or make it with `patrol serve` or `patrol \
                     tenant create`"
                ),
            );
            return false;
        }
        Err(error) => {
            findings.fail(WHAT, format!("{shown} cannot be read: {error}"));
            return false;
        }
    };
    match probe(data, metadata.uid()) {
        Ok(true) => findings.ok(WHAT, format!("{shown} is there and can be written to")),
        Ok(false) => findings.warn(
            WHAT,
            format!("{shown} belongs to another user than the one that runs this: run patrol as its owner"),
        ),
        Err(error) => findings.fail(
            WHAT,
            format!(
                "{shown} cannot be written to: {error}; give it to the user that patrol runs as, and see that its \
                 disk has room"
            ),
        ),
    }
    permissions(data, &metadata, findings);
    true
}

/// Writes a file into the directory and removes it; says whether it belongs to the directory's owner.
fn probe(data: &Path, owner: u32) -> io::Result<bool> {
    let path = data.join(format!(".doctor-{}", std::process::id()));
    let file = private_file::make(&path, &[&[0; 4_096]]);
    let written = file.and_then(|file| Ok(file.metadata()?.uid() == owner));
    // Best effort: it may not have been made.
    let _ = fs::remove_file(&path);
    written
}

fn permissions(data: &Path, directory: &fs::Metadata, findings: &mut Findings) {
    const WHAT: &str = "permissions";
    let mut sound = true;
    let mode = directory.mode() & 0o7777;
    if mode & 0o022 != 0 {
        sound = false;
        findings.fail(
            WHAT,
            format!(
                "others may write to {0} (mode {mode:03o}): run `chmod go-w {0}`",
                data.display()
            ),
        );
    }
    for name in [
        "patrol.db",
        "patrol.db-wal",
        "patrol.db-shm",
        "identity.key",
        "pepper.key",
        "web.key",
        "control.sock",
    ] {
        let path = data.join(name);
        let Ok(metadata) = fs::metadata(&path) else {
            continue;
        };
        let mode = metadata.mode() & 0o7777;
        if mode & 0o077 != 0 {
            sound = false;
            findings.fail(
                WHAT,
                format!(
                    "others may use {0} (mode {mode:03o}): run `chmod go= {0}`",
                    path.display()
                ),
            );
        }
        if metadata.uid() != directory.uid() {
            sound = false;
            findings.warn(
                WHAT,
                format!(
                    "{} and its directory belong to different users: run patrol as one user only, and give all files \
                     to it",
                    path.display()
                ),
            );
        }
    }
    if sound {
        findings.ok(WHAT, "nobody but the owner can change or read the data");
    }
}

fn cache(data: &Path, findings: &mut Findings) {
    const WHAT: &str = "compiled code";
    let path = data.join("compiled");
    let shown = path.display();
    match (fs::metadata(&path), fs::metadata(data)) {
        (Ok(cache), Ok(data)) if cache.is_dir() && cache.uid() == data.uid() && cache.mode() & 0o022 == 0 => {
            findings.ok(WHAT, format!("{shown} can be trusted"));
        }
        (Err(error), _) if error.kind() == io::ErrorKind::NotFound => {
            findings.ok(WHAT, "there is none yet: the next start makes it");
        }
        _ => findings.warn(
            WHAT,
            format!(
                "{shown} is not used, since others may have written to it, and each start compiles the policy anew: \
                 remove it"
            ),
        ),
    }
}

fn identity(data: &Path, findings: &mut Findings) {
    const WHAT: &str = "identity key";
    match Keys::load(data) {
        Ok(Some(_)) => findings.ok(WHAT, "it can be used"),
        Ok(None) => findings.ok(WHAT, "there is none yet: the first signature makes it"),
        // Who may use it was looked at with the other files.
        Err(KeyError::Exposed { .. }) => {}
        Err(error) => findings.fail(WHAT, error.to_string()),
    }
}

/// Whether a server runs. Looks only: where no server ever ran, no lock file is made.
fn server(data: &Path, findings: &mut Findings) -> bool {
    const WHAT: &str = "server";
    if !data.join("serve.lock").exists() {
        findings.ok(WHAT, "none is running");
        return false;
    }
    match ServeLock::take(data) {
        Ok(_) => {
            findings.ok(WHAT, "none is running");
            false
        }
        Err(OpenError::InUse(_)) => {
            findings.ok(WHAT, "one is running");
            true
        }
        Err(error) => {
            findings.fail(WHAT, error.to_string());
            false
        }
    }
}

fn open(data: &Path, config: Config, findings: &mut Findings) -> Option<Patrol> {
    let settings = Settings {
        config,
        create: false,
        ..Settings::new(data)
    };
    match Patrol::open(settings) {
        Ok(patrol) => {
            findings.ok("schema", "this version's");
            Some(patrol)
        }
        Err(error) => {
            let what = match &error {
                OpenError::Store(StoreOpenError::Newer { .. }) => "schema",
                OpenError::Store(StoreOpenError::Exposed { .. }) => "permissions",
                OpenError::Policy(_) => "policy",
                _ => "database",
            };
            let advice = error.to_string();
            // What the checks of the directory have said already, they have said better.
            if what != "permissions" || !findings.failed_about(what) {
                findings.fail(what, advice);
            }
            findings.warn("database, policy, clock", "not checked: mend the above first");
            None
        }
    }
}

fn integrity(patrol: &Patrol, findings: &mut Findings) {
    const WHAT: &str = "database";
    const RESTORE: &str = "stop the server and restore the data directory from a backup";
    match patrol.store().check() {
        Ok(problems) if problems.is_empty() => {
            findings.ok(WHAT, "tables, references and audit trail are whole");
        }
        Ok(problems) => {
            for problem in problems {
                findings.fail(WHAT, format!("{problem}; {RESTORE}"));
            }
        }
        Err(error) => findings.fail(WHAT, format!("{error}; {RESTORE}")),
    }
}

fn pepper(patrol: &Patrol, findings: &mut Findings) {
    const WHAT: &str = "pepper";
    match patrol.pepper_state() {
        Ok(PepperState::Unused) => findings.ok(WHAT, "no token needs one"),
        Ok(PepperState::Right { tokens }) => findings.ok(
            WHAT,
            format!(
                "it is the right one, and {tokens} tokens need it: keep a copy, apart from the database's"
            ),
        ),
        Ok(PepperState::Wrong { tokens, why }) => {
            findings.fail(
                WHAT,
                format!("{why}; without it {tokens} tokens cannot be verified"),
            );
        }
        Err(error) => findings.fail(WHAT, error.to_string()),
    }
}

/// How far back a policy's breach of the floor is told.
const ALARMS_SINCE: u64 = 30 * DAY;

/// Whether a policy allowed of late what nothing may allow.
fn alarms(patrol: &Patrol, findings: &mut Findings) {
    const WHAT: &str = "floor";
    let filter = AuditFilter {
        event_type: Some(FLOOR_VIOLATION.to_owned()),
        since: Some(patrol.now().saturating_sub(ALARMS_SINCE)),
        last: Some(1),
        ..AuditFilter::default()
    };
    let mut last = None;
    let read = patrol.audit(&filter, |entry| {
        last = Some(entry.at);
        true
    });
    match (read, last) {
        (Ok(()), None) => findings.ok(WHAT, "no policy allowed what nothing may allow, in the last 30 days"),
        (Ok(()), Some(at)) => findings.warn(
            WHAT,
            format!(
                "a policy allowed what nothing may allow, last on {}, and was turned down: do not run it; `patrol \
                 audit list --type {FLOOR_VIOLATION}` says which and what",
                date(at)
            ),
        ),
        (Err(error), _) => findings.fail(WHAT, error.to_string()),
    }
}

fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn clock(patrol: &Patrol, reset: bool, serving: bool, findings: &mut Findings) {
    const WHAT: &str = "clock";
    let lag = patrol.clock_lag();
    let behind = print_duration(lag);
    let seen = date(patrol.now());
    if lag == 0 {
        findings.ok(WHAT, "the machine's clock is not behind any time that was seen");
    } else if reset && serving {
        findings.fail(WHAT, "a server is running: stop it, then run this again");
    } else if reset {
        let to = wall();
        match patrol.reset_clock(&caller(), to) {
            Ok(()) => findings.ok(
                WHAT,
                format!(
                    "set back by {behind}, from {seen} to {}: tokens that lapsed in between and were not marked as \
                     ended work again",
                    date(to)
                ),
            ),
            Err(error) => findings.fail(WHAT, format!("it could not be set back: {error}")),
        }
    } else {
        let advice = format!(
            "the machine's clock is {behind} behind {seen}, the latest time that was seen, and patrol's time stands \
             still: set the machine's clock, or, if it is right, run `patrol doctor --reset-clock`"
        );
        if lag > CLOCK_TOLERANCE {
            findings.fail(WHAT, advice);
        } else {
            findings.warn(WHAT, advice);
        }
    }
}
