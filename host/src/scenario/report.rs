//! What became of a scenario.

use std::fmt::{self, Display};
use std::time::Duration;

use patrol_policy::types::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::time::{print_duration, rfc3339};

/// How a scenario went.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The scenario's name.
    pub name: String,
    /// The file that it was read from.
    pub file: String,
    /// What it shows.
    pub about: String,
    /// Whether every policy has to pass it.
    pub binding: bool,
    /// The steps that were run, the one that failed included.
    pub steps: usize,
    /// How long it took.
    pub took: Duration,
    /// The step that was not as expected, if there is one: nothing after it was run.
    pub failed: Option<FailedStep>,
    /// Whether it tells of a rule that the policy is said to change: then it has to fail, and the step where it does is
    /// where the policy differs.
    pub differs: bool,
}

/// A step that was not as expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct FailedStep {
    /// The line in the file, from 1.
    pub line: usize,
    /// Which step it is, from 1; repeated ones count each time.
    pub step: usize,
    /// When it was, from the start, such as `+14d 23h`.
    pub at: String,
    /// What it did, such as `verify backup`.
    pub what: String,
    /// What was different; at least one thing.
    pub differences: Vec<Difference>,
    /// Why the verdict was what it was, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl FailedStep {
    /// Whether the policy did not do its part at all, where another verdict than a fault was expected: no other opinion,
    /// but none.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        self.differences
            .iter()
            .any(|one| one.key == "verdict" && one.got == "fault")
    }
}

/// Something that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What: `verdict`, or a key of the step.
    pub key: &'static str,
    /// What was expected.
    pub expected: Value,
    /// What it was; null where nothing was told.
    pub got: Value,
}

impl Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is {}, where {} was expected",
            self.key,
            words(&self.got),
            words(&self.expected)
        )
    }
}

impl Report {
    /// Whether it went as it should: every step was as expected, or one was not and the policy is said to differ.
    #[must_use]
    pub const fn passed(&self) -> bool {
        self.failed.is_some() == self.differs
    }

    /// Why it did not pass, where that is no step's fault.
    #[must_use]
    pub fn unexpected(&self) -> Option<&'static str> {
        (self.differs && self.failed.is_none())
            .then_some("every step was as expected, though the policy is said to differ here")
    }
}

impl FailedStep {
    /// What was expected and what it was, a line for each.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let width = self
            .differences
            .iter()
            .map(|one| one.key.len())
            .max()
            .unwrap_or(0);
        let mut lines = Vec::new();
        for Difference { key, expected, got } in &self.differences {
            lines.push(format!("{key:<width$}  expected  {}", words(expected)));
            lines.push(format!("{:<width$}  got       {}", "", words(got)));
        }
        lines.extend(self.why.as_ref().map(|why| format!("({why})")));
        lines
    }
}

/// A value for people: texts as they are, lists with commas.
fn words(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(all) if all.is_empty() => "none".to_owned(),
        Value::Array(all) => all.iter().map(words).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// An instant as scenarios write it: from the start, or where it lies before that, by date.
pub(super) fn moment(at: Timestamp, start: Timestamp) -> String {
    match at.checked_sub(start) {
        Some(0) => "+0s".to_owned(),
        Some(after) => format!("+{}", print_duration(after)),
        None => rfc3339(at),
    }
}
