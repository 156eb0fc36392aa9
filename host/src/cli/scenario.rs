//! `patrol scenario`.

mod watch;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::Session;
use super::failure::{Exit, Failure};
use super::print::{count, plain};
use crate::scenario::{BadScenario, Bench, FailedStep, Report, Scenario, junit, reference, shipped};

const EXAMPLES: &str = "\
Examples:
  patrol scenario run
  patrol scenario run tests/scenarios/r05-expiry.toml --policy policy.wasm --watch
  patrol scenario run scenarios/ --junit report.xml
  patrol scenario run --policy stricter.wasm --differs r05-expiry

Exit codes: 2 a scenario cannot be read; 6 the policy cannot be loaded; 12 a scenario failed; \
`patrol --help` lists all.";

/// What can be done with scenarios.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum ScenarioCommand {
    /// Run scenarios on a policy, in virtual time, on data that is thrown away
    ///
    /// Without files, those that come with Patrol: what the rules R1 to R13 come to. Needs no data directory and no
    /// configuration; with `--config`, the policy is run as `[policy]` says there (`isolation`, `warm_max_calls`,
    /// `max_component`, `memory`, `table_elements`).
    #[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", reference()))]
    Run(RunArgs),
}

#[derive(Args, Debug)]
pub(super) struct RunArgs {
    /// Scenarios, or directories whose .toml files are scenarios [default: those that come with Patrol]
    #[arg(value_name = "FILE|DIRECTORY")]
    paths: Vec<PathBuf>,
    /// The policy, a component [default: the one built in]
    #[arg(long, value_name = "COMPONENT")]
    policy: Option<PathBuf>,
    /// A scenario that tells of a rule which the policy changes: it has to fail, and is shown as `differ`. May be given
    /// more than once
    #[arg(long, value_name = "SCENARIO")]
    differs: Vec<String>,
    /// Run again whenever a scenario or the policy changes, until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// Write the results as JUnit XML, too
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Results<'a> {
    passed: usize,
    differ: usize,
    failed: usize,
    took_ms: u64,
    scenarios: Vec<Entry<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    name: &'a str,
    file: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    about: &'a str,
    binding: bool,
    ok: bool,
    /// Whether it was said to fail.
    differs: bool,
    steps: usize,
    took_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<&'a FailedStep>,
}

pub(super) fn run(session: &mut Session, command: ScenarioCommand) -> anyhow::Result<Exit> {
    let ScenarioCommand::Run(args) = command;
    if args.watch {
        watch::run(session, &args)
    } else {
        once(session, &args)
    }
}

/// Reads and runs everything that was asked for.
fn once(session: &mut Session, args: &RunArgs) -> anyhow::Result<Exit> {
    let began = Instant::now();
    let scenarios = read(&args.paths)?;
    let known = |name: &String| scenarios.iter().any(|scenario| scenario.name() == name);
    if let Some(name) = args.differs.iter().find(|name| !known(name)) {
        let name = name.escape_debug();
        return Err(Failure::Usage(format!(
            "none of the scenarios is called \"{name}\", as --differs has it"
        ))
        .into());
    }
    let component = args.policy.as_deref().map(component).transpose()?;
    let mut bench = Bench::new(component).context("cannot make a directory for the data")?;
    // Not one that merely lies in a data directory: what this command needs is all on its line.
    if session.global.config.is_some() {
        bench = bench.running_as(session.config()?.policy);
    }
    let mut reports = Vec::with_capacity(scenarios.len());
    let width = scenarios
        .iter()
        .map(|scenario| plain(scenario.name()).chars().count())
        .max()
        .unwrap_or(0);
    for scenario in &scenarios {
        let mut report = bench.run(scenario)?;
        report.differs = args.differs.contains(&report.name);
        if !session.out.is_json() {
            session.out.line(&lines(&report, width))?;
            session.out.flush()?;
        }
        reports.push(report);
    }
    let failed = reports.iter().filter(|report| !report.passed()).count();
    let differ = reports
        .iter()
        .filter(|report| report.passed() && report.differs)
        .count();
    let results = Results {
        passed: reports.len().saturating_sub(failed).saturating_sub(differ),
        differ,
        failed,
        took_ms: millis(began.elapsed()),
        scenarios: reports.iter().map(record).collect(),
    };
    session.out.answer(&results, || {
        let seconds = began.elapsed().as_secs_f64();
        let differ = match args.differs.is_empty() {
            true => String::new(),
            false => format!("{} differ, ", results.differ),
        };
        let mut text = format!(
            "{} passed, {differ}{} failed in {seconds:.1} s",
            results.passed, results.failed
        );
        text.push_str(consequence(&reports));
        text
    })?;
    session.out.flush()?;
    if let Some(path) = &args.junit {
        fs::write(path, junit(&reports)).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(if failed == 0 { Exit::Done } else { Exit::Problems })
}

/// What becomes of a policy that fails some of the scenarios, where binding ones are among those that were run.
fn consequence(reports: &[Report]) -> &'static str {
    let failed = || {
        reports
            .iter()
            .filter_map(|report| Some((report, report.failed.as_ref()?)))
    };
    if failed().next().is_none() || !reports.iter().any(|report| report.binding) {
        return "";
    }
    if failed().any(|(report, failed)| report.binding || failed.is_fault()) {
        "; `patrol policy stage` refuses this policy: a binding one failed, or ended in a fault"
    } else {
        "; `patrol policy stage` takes this policy and lists where it differs: no binding one failed"
    }
}

fn record(report: &Report) -> Entry<'_> {
    Entry {
        name: &report.name,
        file: &report.file,
        about: &report.about,
        binding: report.binding,
        ok: report.passed(),
        differs: report.differs,
        steps: report.steps,
        took_ms: millis(report.took),
        failed: report.failed.as_ref(),
    }
}

fn millis(took: std::time::Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

/// One line for a scenario; where it failed or differs, also where and how.
fn lines(report: &Report, width: usize) -> String {
    let word = match (report.passed(), report.differs) {
        (true, false) => "ok    ",
        (true, true) => "differ",
        (false, _) => "FAILED",
    };
    let steps = count(u64::try_from(report.steps).unwrap_or(u64::MAX), "step");
    let mut text = format!(
        "{word}  {:<width$}  {:>5} ms  {steps}",
        plain(&report.name),
        millis(report.took)
    );
    if report.binding {
        text.push_str(", binding");
    }
    if let Some(why) = report.unexpected() {
        text.push_str(&format!("\n        {}: {why}", plain(&report.file)));
    }
    if let Some(failed) = &report.failed {
        text.push_str(&format!(
            "\n        {}:{}: step {}, {} at {}",
            plain(&report.file),
            failed.line,
            failed.step,
            plain(&failed.what),
            failed.at
        ));
        for line in failed.lines() {
            text.push_str("\n          ");
            text.push_str(&plain(&line));
        }
    }
    text
}

/// The scenarios that were asked for, in order.
fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<Scenario>> {
    if paths.is_empty() {
        return shipped().map_err(bad);
    }
    let mut scenarios = Vec::new();
    let mut mistakes = Vec::new();
    for file in files(paths)? {
        let text = fs::read_to_string(&file).map_err(|error| unreadable(&file, &error))?;
        match Scenario::parse(&file.display().to_string(), &text) {
            Ok(scenario) => scenarios.push(scenario),
            Err(error) => mistakes.push(error.to_string()),
        }
    }
    if mistakes.is_empty() {
        Ok(scenarios)
    } else {
        Err(Failure::Usage(mistakes.join("; ")).into())
    }
}

fn bad(error: BadScenario) -> anyhow::Error {
    Failure::Usage(error.to_string()).into()
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Usage(format!("cannot read {}: {error}", path.display()))
}

/// The files that are meant: those named, and in the order of their names the `.toml` files of directories.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = fs::read_dir(path).map_err(|error| unreadable(path, &error))?;
        let mut inside = Vec::new();
        for entry in entries {
            let file = entry.map_err(|error| unreadable(path, &error))?.path();
            if file.extension().is_some_and(|extension| extension == "toml") {
                inside.push(file);
            }
        }
        if inside.is_empty() {
            return Err(Failure::Usage(format!(
                "there is no scenario in {}: their names end with .toml",
                path.display()
            )));
        }
        inside.sort();
        files.append(&mut inside);
    }
    Ok(files)
}

fn component(path: &Path) -> Result<Arc<[u8]>, Failure> {
    let bytes = fs::read(path).map_err(|error| unreadable(path, &error))?;
    Ok(bytes.into())
}
