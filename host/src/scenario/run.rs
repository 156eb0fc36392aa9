//! Running scenarios, one after the other, each on data of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;

use super::report::{Difference, FailedStep, Report, moment};
use super::step::Step;
use super::world::{Facts, World};
use super::{Scenario, report};
use crate::config::{Config, PolicyConfig};
use crate::service::{Error, OpenError, Patrol, PolicyInfo, Settings};
use crate::time::{ManualClock, Millis};

/// A place to run scenarios on one policy. What it keeps is thrown away with it.
#[derive(Debug)]
pub struct Bench {
    directory: PathBuf,
    /// Where compiled code is kept from one scenario to the next.
    compiled: PathBuf,
    component: Option<Arc<[u8]>>,
    running: Option<PolicyConfig>,
    /// The deadline, instead of the scenarios'.
    deadline: Option<Millis>,
    runs: AtomicU32,
    /// Goes with the bench, where the bench made it.
    _own: Option<TempDir>,
}

impl Bench {
    /// A bench for a component; `None`: the policy that is built in.
    ///
    /// # Errors
    /// Where there is no place for temporary files.
    pub fn new(component: Option<Arc<[u8]>>) -> std::io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("patrol-scenario-").tempdir()?;
        Ok(Self {
            directory: directory.path().to_owned(),
            compiled: directory.path().join("compiled"),
            component,
            running: None,
            deadline: None,
            runs: AtomicU32::new(0),
            _own: Some(directory),
        })
    }

    /// A bench in a directory that the caller has made, and removes, for a component that is run as a configuration
    /// says, `deadline` included. Compiled code is kept in `compiled`.
    #[must_use]
    pub fn within(directory: &Path, compiled: &Path, component: Arc<[u8]>, policy: PolicyConfig) -> Self {
        Self {
            directory: directory.to_owned(),
            compiled: compiled.to_owned(),
            component: Some(component),
            deadline: Some(policy.deadline),
            running: Some(policy),
            runs: AtomicU32::new(0),
            _own: None,
        }
    }

    /// Has the policy say what it is.
    ///
    /// # Errors
    /// Where it cannot be asked; inside, where it does not say.
    pub fn describe(&self) -> Result<Result<PolicyInfo, Error>, OpenError> {
        let clock = Arc::new(ManualClock::at(0));
        let patrol = self.open(&PolicyConfig::default(), clock)?;
        Ok(patrol.policy_info())
    }

    /// Has the component run as a configuration says ([`PolicyConfig::running_as`]), whatever the scenarios say.
    #[must_use]
    pub fn running_as(self, policy: PolicyConfig) -> Self {
        Self {
            running: Some(policy),
            ..self
        }
    }

    /// Runs a scenario on fresh data.
    ///
    /// # Errors
    /// Where it cannot begin: the policy does not load, or there is no place for the data. What goes wrong later is in
    /// the report.
    pub fn run(&self, scenario: &Scenario) -> Result<Report, OpenError> {
        let began = Instant::now();
        let clock = Arc::new(ManualClock::at(scenario.start));
        let patrol = self.open(&scenario.policy, Arc::clone(&clock))?;
        let data = patrol.data().to_owned();
        let mut world = World::new(patrol, scenario.start);
        let mut report = Report {
            name: scenario.name.clone(),
            file: scenario.file.clone(),
            about: scenario.about.clone(),
            binding: scenario.binding,
            steps: 0,
            took: began.elapsed(),
            failed: None,
            differs: false,
        };
        for step in &scenario.steps {
            report.steps = report.steps.saturating_add(1);
            clock.set(step.at);
            let outcome = world.act(step);
            report.failed = judge(scenario, step, report.steps, outcome);
            if report.failed.is_some() {
                break;
            }
        }
        drop(world);
        // What cannot be deleted now goes with the bench.
        if let Err(error) = std::fs::remove_dir_all(&data) {
            tracing::warn!(%error, "the data of a scenario could not be deleted");
        }
        report.took = began.elapsed();
        Ok(report)
    }
}

impl Bench {
    /// A Patrol with fresh data.
    fn open(&self, policy: &PolicyConfig, clock: Arc<ManualClock>) -> Result<Patrol, OpenError> {
        let mut policy = match &self.running {
            Some(running) => policy.clone().running_as(running),
            None => policy.clone(),
        };
        policy.deadline = self.deadline.unwrap_or(policy.deadline);
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        // Made by the store itself, owner-only.
        let data = self.directory.join(format!("data-{run}"));
        Patrol::open(Settings {
            config: Config {
                policy,
                ..Config::default()
            },
            component: self.component.clone(),
            compiled: Some(self.compiled.clone()),
            clock,
            ..Settings::new(&data)
        })
    }
}

/// The step's failure, if it was not as expected.
fn judge(
    scenario: &Scenario,
    step: &Step,
    number: usize,
    outcome: Result<Facts, Error>,
) -> Option<FailedStep> {
    let verdict = outcome.as_ref().map_or_else(ending, |_| "allowed");
    let mut differences = Vec::new();
    if verdict != step.expect {
        differences.push(Difference {
            key: "verdict",
            expected: step.expect.clone().into(),
            got: verdict.into(),
        });
    }
    let mut why = None;
    match outcome {
        Ok(facts) => {
            for (key, expected) in &step.tells {
                let got = facts.get(key).cloned().unwrap_or(Value::Null);
                if got != *expected {
                    differences.push(Difference {
                        key,
                        expected: expected.clone(),
                        got,
                    });
                }
            }
        }
        Err(error) => why = Some(error.to_string()),
    }
    if differences.is_empty() {
        return None;
    }
    let name = step.action.shape().name;
    Some(report::FailedStep {
        line: step.line,
        step: number,
        at: moment(step.at, scenario.start),
        what: match step.told.subject() {
            Some(subject) => format!("{name} {subject}"),
            None => name.to_owned(),
        },
        differences,
        why,
    })
}

/// The word for an ending that is not a yes.
const fn ending(error: &Error) -> &'static str {
    match error {
        Error::Refused(refusal) => refusal.reason.as_str(),
        Error::Fault(_) => "fault",
        Error::Outage(_) => "outage",
        Error::Exists { .. } => "exists",
        Error::NotFound { .. } => "not-found",
        Error::Invalid(_) | Error::WrongClient { .. } => "invalid",
        Error::WrongPassword => "wrong-password",
    }
}
