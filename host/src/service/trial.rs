//! Trying out a policy before it is let near anybody's tokens: its component is read, compared with the contract,
//! compiled, started, and asked questions whose answers are known, on records of its own that are thrown away.
//!
//! The known answers are the scenarios that come with Patrol ([`shipped`]). What no policy may get wrong is in the
//! *binding* ones, and a policy that fails one of them is refused. In the others it may differ, since it may be stricter
//! than the rules ask: that is no reason to refuse it, and one to say so. A fault is: it is no other opinion, but none.
//!
//! Compiling and asking happen on a thread of its own, which is waited for no longer than `[policy] trial` says, for each
//! of the two. A compiler cannot be interrupted: a thread that takes longer is left behind, and its directory with it,
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
use crate::scenario::{Bench, Report, Scenario, shipped};
use crate::time::print_duration;

/// What the thread says.
enum Told {
    /// It was compiled and started.
    Compiled,
    /// The verdict: in which scenarios it differs.
    Verdict(Result<Vec<Report>, Unfit>),
}

/// Whether a component is a policy for this host, before anything of it is compiled.
pub(super) fn read(component: &[u8], options: &Options) -> Result<(), Unfit> {
    Policy::<Call>::check(component, options).map_err(|error| unfit(&error))
}

/// Tries out a component in a directory that is made for it, and removed; in which scenarios it differs. Its compiled
/// code stays in the cache, so that what is activated later need not be compiled again.
pub(super) fn run(
    scratch: &Path,
    options: &Options,
    component: &[u8],
    config: &PolicyConfig,
) -> Result<Vec<Report>, Unfit> {
    let (tell, told) = channel();
    let patience_ms = config.trial.0;
    let patience = Duration::from_millis(patience_ms);
    let (directory, component) = (scratch.to_owned(), Arc::<[u8]>::from(component));
    let config = config.clone();
    let options = Options {
        cache_dir: options.cache_dir.clone(),
        ..config.options()
    };
    let started = std::thread::Builder::new()
        .name("trial".to_owned())
        .spawn(move || {
            let verdict = try_out(&directory, &options, component, &config, &tell);
            // Best effort: nothing of this name is ever read.
            let _ = std::fs::remove_dir_all(&directory);
            // Nobody waits for it any more, where it took too long.
            let _ = tell.send(Told::Verdict(verdict));
        });
    started.map_err(|error| Unfit::at(Step::Compile, format!("it cannot be tried out: {error}")))?;
    let late = |step, what: &str| {
        let patience = print_duration(patience_ms);
        let why = format!("{what} took longer than the {patience} of `[policy] trial`");
        Err(Unfit::at(step, why))
    };
    let gone = || Err(Unfit::at(Step::Answers, "the trial ended without a verdict"));
    match told.recv_timeout(patience) {
        Ok(Told::Compiled) => {}
        Ok(Told::Verdict(verdict)) => return verdict,
        Err(RecvTimeoutError::Timeout) => return late(Step::Compile, "to compile and start it"),
        Err(RecvTimeoutError::Disconnected) => return gone(),
    }
    match told.recv_timeout(patience) {
        Ok(Told::Verdict(verdict)) => verdict,
        Ok(Told::Compiled) | Err(RecvTimeoutError::Disconnected) => gone(),
        Err(RecvTimeoutError::Timeout) => late(Step::Answers, "its answers"),
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
        LoadError::TooLarge { .. } => Step::Size,
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
    options: &Options,
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
    load(&component, options)?;
    let _ = tell.send(Told::Compiled);

    let own = directory.join("compiled");
    let compiled = options.cache_dir.as_deref().unwrap_or(&own);
    let scenarios = shipped().map_err(|error| unable(&error))?;
    let bench = Bench::within(directory, compiled, component, config.clone());
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
