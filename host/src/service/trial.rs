//! Trying out a policy before it is let near anybody's tokens: its component is read, compared with the contract,
//! compiled, started, and asked questions whose answers are known, on records of its own that are thrown away.
//!
//! The known answers are the scenarios that come with Patrol ([`shipped`]). What no policy may get wrong is in the
//! *binding* ones, and a policy that fails one of them is refused. In the others it may differ, since it may be stricter
//! than the rules ask: that is no reason to refuse it, and one to say so. A fault is: it is no other opinion, but none.
//!
//! Compiling and asking happen on a thread of its own, which is waited for no longer than [`COMPILING`] and
//! [`ANSWERING`]. A compiler cannot be interrupted: a thread that takes longer is left behind, and its directory with it,
//! until the process ends.
//!
//! Scenarios run whole [`Patrol`](super::Patrol)s, and so stand above this module in all but this: here they are used as
//! a judge of one component, in a directory apart.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::call::Call;
use crate::config::PolicyConfig;
use crate::policy::{LoadError, Options, Policy};
use crate::release::{Step, Unfit};
use crate::scenario::{Bench, Report, Scenario, Terms, shipped};

/// How long a policy may take to be compiled and started.
pub(super) const COMPILING: Duration = Duration::from_secs(30);

/// How long it may take for all of its answers. A tenth of it is much, but machines are busy.
pub(super) const ANSWERING: Duration = Duration::from_secs(60);

/// What the thread says.
enum Told {
    /// It was compiled and started.
    Compiled,
    /// The verdict: in which scenarios it differs.
    Verdict(Result<Vec<Report>, Unfit>),
}

/// Whether a component is a policy for this host, before anything of it is compiled.
pub(super) fn read(component: &[u8]) -> Result<(), Unfit> {
    Policy::<Call>::check(component).map_err(|error| unfit(&error))
}

/// Tries out a component in a directory that is made for it, and removed; in which scenarios it differs.
pub(super) fn run(scratch: &Path, component: &[u8], config: &PolicyConfig) -> Result<Vec<Report>, Unfit> {
    let (tell, told) = channel();
    let (directory, component) = (scratch.to_owned(), Arc::<[u8]>::from(component));
    let config = config.clone();
    let started = std::thread::Builder::new()
        .name("trial".to_owned())
        .spawn(move || {
            let verdict = try_out(&directory, component, &config, &tell);
            // Best effort: nothing of this name is ever read.
            let _ = std::fs::remove_dir_all(&directory);
            // Nobody waits for it any more, where it took too long.
            let _ = tell.send(Told::Verdict(verdict));
        });
    started.map_err(|error| Unfit::at(Step::Compile, format!("it cannot be tried out: {error}")))?;
    let late = |step, what: &str, patience: Duration| {
        let why = format!("{what} took longer than {} s", patience.as_secs());
        Err(Unfit::at(step, why))
    };
    let gone = || Err(Unfit::at(Step::Answers, "the trial ended without a verdict"));
    match told.recv_timeout(COMPILING) {
        Ok(Told::Compiled) => {}
        Ok(Told::Verdict(verdict)) => return verdict,
        Err(RecvTimeoutError::Timeout) => return late(Step::Compile, "to compile and start it", COMPILING),
        Err(RecvTimeoutError::Disconnected) => return gone(),
    }
    match told.recv_timeout(ANSWERING) {
        Ok(Told::Verdict(verdict)) => verdict,
        Ok(Told::Compiled) | Err(RecvTimeoutError::Disconnected) => gone(),
        Err(RecvTimeoutError::Timeout) => late(Step::Answers, "its answers", ANSWERING),
    }
}

/// Whether a component can be loaded, and nothing more; its compiled code is then in the cache.
fn load(component: &[u8], options: &Options) -> Result<(), Unfit> {
    Policy::<Call>::load(component, options)
        .map(drop)
        .map_err(|error| unfit(&error))
}

/// A component that is not loaded, by the step at which that was seen.
fn unfit(error: &LoadError) -> Unfit {
    let step = match error {
        LoadError::TooLarge(_) => Step::Size,
        LoadError::NotAComponent(_) => Step::Parse,
        LoadError::Imports(_)
        | LoadError::ImportTypes(_)
        | LoadError::Line { .. }
        | LoadError::Newer { .. }
        | LoadError::Exports(_) => Step::World,
        LoadError::Limits(_) | LoadError::Start(_) | LoadError::Options(_) | LoadError::Engine(_) => {
            Step::Compile
        }
    };
    Unfit::at(step, error.to_string())
}

fn try_out(
    directory: &Path,
    component: Arc<[u8]>,
    config: &PolicyConfig,
    tell: &Sender<Told>,
) -> Result<Vec<Report>, Unfit> {
    let unable =
        |error: &dyn std::fmt::Display| Unfit::at(Step::Compile, format!("it cannot be tried out: {error}"));
    // Left over from a process that had this number before and was killed.
    let _ = std::fs::remove_dir_all(directory);
    let made = DirBuilder::new().mode(0o700).create(directory);
    made.map_err(|error| unable(&error))?;
    let options = Options {
        isolation: config.isolation(),
        deadline: Duration::from_millis(config.deadline.0),
        cache_dir: Some(directory.join("compiled")),
        ..Options::default()
    };
    load(&component, &options)?;
    let _ = tell.send(Told::Compiled);

    let scenarios = shipped().map_err(|error| unable(&error))?;
    let bench = Bench::within(directory, component, Terms::of(config));
    let described = bench.describe().map_err(|error| unable(&error))?;
    described.map_err(|error| {
        let why = format!("it does not say what it is: {error}");
        Unfit::at(Step::Answers, why)
    })?;
    judge(&bench, scenarios)
}

/// In which scenarios a policy differs, if that is no reason to refuse it.
fn judge(bench: &Bench, mut scenarios: Vec<Scenario>) -> Result<Vec<Report>, Unfit> {
    // What it must not get wrong first: the rest matters only where it does not.
    scenarios.sort_by_key(|scenario| !scenario.is_binding());
    let mut differs = Vec::new();
    for scenario in &scenarios {
        let report = bench
            .run(scenario)
            .map_err(|error| Unfit::at(Step::Compile, format!("it cannot be tried out: {error}")))?;
        let Some(failed) = &report.failed else {
            continue;
        };
        if !report.binding && !failed.is_fault() {
            differs.push(report);
            continue;
        }
        let why = format!(
            "it gave a wrong answer in {}:{}, {} at {}: {}; `patrol scenario run --policy COMPONENT` shows it",
            report.file,
            failed.line,
            failed.what,
            failed.at,
            failed.lines().join(", ")
        );
        return Err(Unfit::at(Step::Answers, why));
    }
    Ok(differs)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use super::*;

    /// The shipped scenarios, told to a policy with other parameters: what these change stands for what a policy's author
    /// did.
    fn told(parameters: &str) -> Vec<Scenario> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/scenarios");
        let scenario = |scenario: Scenario| {
            let file = format!("{}.toml", scenario.name());
            let text = std::fs::read_to_string(directory.join(&file)).unwrap();
            let (before, steps) = text.split_once("\n[[step]]").unwrap();
            let table = if before.contains("[parameters]") {
                ""
            } else {
                "[parameters]\n"
            };
            Scenario::parse(
                &file,
                &format!("{before}\n{table}{parameters}\n\n[[step]]{steps}"),
            )
            .unwrap()
        };
        shipped().unwrap().into_iter().map(scenario).collect()
    }

    #[test]
    fn a_stricter_policy_differs_in_scenarios_that_are_not_binding_and_is_not_refused() {
        let bench = Bench::new(None).unwrap();
        assert_eq!(judge(&bench, told("")).unwrap().len(), 0);
        let stricter = "idle_after = \"1d\"\ntokens_per_owner = 4\nmax_lifetime = \"1d\"\nmax_overlap = \"1m\"\n\
             name_max_length = 20\nsession_lifetime = \"10m\"\nsession_idle = \"1m\"";
        let differs = judge(&bench, told(stricter)).unwrap();
        let names: Vec<_> = differs.iter().map(|report| report.name.as_str()).collect();
        for name in [
            "r01-created-and-shown",
            "r05-expiry",
            "r07-limit",
            "r13-names",
            "rotation",
            "sessions",
        ] {
            assert!(names.contains(&name), "{name}: {names:?}");
        }
        assert!(differs.iter().all(|report| !report.binding));
    }
}
