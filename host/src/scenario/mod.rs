//! Scenarios: small stories about tokens, told in TOML, that a policy is tried by.
//!
//! A scenario has virtual time and steps in order, each with the verdict that is expected of it. It runs in the real
//! host: a [`Patrol`](crate::service::Patrol) with SQLite in a throw-away directory, the floor, and the policy under
//! its limits. Only the clock is the scenario's own, so that fifteen days take no time and a boundary is met to the
//! millisecond.
//!
//! Tenants, users, tokens and sessions go by names that the scenario gives them. Their secrets are kept here, and
//! neither scenarios nor reports have a place for one (R1).
//!
//! ```toml
//! about = "what it shows"
//! binding = true                   # false is the default
//! start = "2026-01-01T00:00:00Z"   # this is the default
//!
//! [parameters]                     # as [policy] in the configuration
//! idle_after = "7d"
//!
//! [[step]]
//! at = "+6d23h59m59s"              # from the start; or after = "1h", from the step before; or neither
//! do = "verify"                    # what to do, and to what
//! token = "backup"
//! expect = "allowed"               # the default; or a refusal's reason in the contract's words, `fault` and so on
//! ends = "+13d23h59m59s"           # what else the answer has to say
//! ```
//!
//! [`reference()`] lists what steps do and take. With `repeat = 3` a step is done three times, with `{n}` in names
//! standing for 1, 2 and 3. `as` says who asks: `administrator`, the default, `system`, `user:NAME` or `token:NAME`;
//! `secret` what is presented: `latest`, the default, `previous`, `wrong`, `mistyped` or `malformed`. Lists are compared
//! in any order.
//!
//! A verdict may take 2 s where `[parameters]` sets no `deadline`, so that a busy machine does not look like a slow
//! policy.
//!
//! A scenario ends with its first step that is not as expected: what comes after it was written for another world.
//!
//! The [`shipped`] scenarios say what the rules R1 to R13 come to; the policy that is built in passes all of them. Two
//! kinds of them are told apart, since a policy may be stricter than the rules ask:
//!
//! * **Binding** ones are about what no policy may get wrong: a secret that is not the token's, a token that is revoked,
//!   past its date, of another audience, of a disabled owner, or from before a change of method. A release that fails one
//!   of them is not staged. They ask for nothing that a sensible policy would refuse: names of two small words with a
//!   hyphen, lives of a day at most, four tokens of an owner.
//! * The others show what the rules come to in numbers and words: fifteen days, 104 tokens, names of 255 characters. A
//!   policy may differ in these; `patrol policy stage` says in which it does, and [`Report::differs`] is for an author
//!   who knows it. They, too, have names such that a policy may ask for team/purpose, but where names are what they are
//!   about.

mod action;
mod junit;
mod names;
mod parse;
mod report;
mod run;
mod shipped;
mod step;
mod world;

pub use action::reference;
pub use junit::junit;
pub use parse::{BadScenario, ScenarioMistake};
pub use report::{Difference, FailedStep, Report};
pub use run::Bench;
pub use shipped::shipped;

use crate::config::PolicyConfig;
use patrol_policy::types::Timestamp;
use step::Step;

/// A scenario that can be run.
#[derive(Clone, Debug)]
pub struct Scenario {
    name: String,
    file: String,
    about: String,
    binding: bool,
    start: Timestamp,
    policy: PolicyConfig,
    steps: Vec<Step>,
}

impl Scenario {
    /// Reads a scenario. `file` is what reports call it; its last part, without the ending, is the scenario's name.
    ///
    /// # Errors
    /// All mistakes, each with its line.
    pub fn parse(file: &str, text: &str) -> Result<Self, BadScenario> {
        parse::parse(file, text)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that it was read from.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// What it shows, in its author's words; may be empty.
    #[must_use]
    pub fn about(&self) -> &str {
        &self.about
    }

    /// Whether every policy has to pass it.
    #[must_use]
    pub const fn is_binding(&self) -> bool {
        self.binding
    }
}
