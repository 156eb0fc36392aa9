//! Reading a scenario: all mistakes at once, each with its line and, where one is near, what was probably meant.

use patrol_policy::types::{Cause, DAY, RefusalReason, Timestamp};
use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::Scenario;
use super::action::Action;
use super::names::{Known, of};
use super::report::moment;
use super::step::{Actor, Presented, Step, Told};
use crate::config::{self, Config, PolicyConfig};
use crate::time::{Millis, parse_duration, parse_instant};

/// When a scenario begins that does not say: 2026-01-01T00:00:00Z.
const START: Timestamp = 1_767_225_600_000;

/// How long a verdict may take where the scenario does not say, in ms. Much longer than in service: a busy machine must
/// not look like a slow policy.
const DEADLINE: Millis = Millis(2_000);

/// How often a step may be repeated.
const REPEATS: u32 = 10_000;

const TOP: &[&str] = &["about", "binding", "start", "parameters", "step"];

/// Endings that are neither yes nor a refusal by the policy.
const OTHER_ENDINGS: &[&str] = &[
    "allowed",
    "fault",
    "outage",
    "exists",
    "not-found",
    "invalid",
    "wrong-password",
];

/// A mistake in a scenario.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ScenarioMistake {
    /// The line in the file, from 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// A scenario that cannot be run, with all its mistakes.
#[derive(Debug, thiserror::Error)]
#[error("{}", told(.file, .mistakes))]
pub struct BadScenario {
    /// The file.
    pub file: String,
    /// All mistakes, in the order of the file; at least one.
    pub mistakes: Vec<ScenarioMistake>,
}

fn told(file: &str, mistakes: &[ScenarioMistake]) -> String {
    let all: Vec<_> = mistakes
        .iter()
        .map(|mistake| format!("{file}:{}: {}", mistake.line, mistake.message))
        .collect();
    all.join("; ")
}

pub(super) fn parse(file: &str, text: &str) -> Result<Scenario, BadScenario> {
    let mut reader = Reader {
        text,
        mistakes: Vec::new(),
        start: START,
        now: START,
        known: Known::default(),
    };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let start = error.span().map_or(0, |span| span.start);
        reader.add(start, error.message().to_owned());
    }
    let mut scenario = Scenario {
        name: std::path::Path::new(file)
            .file_stem()
            .map_or_else(|| file.to_owned(), |name| name.to_string_lossy().into_owned()),
        file: file.to_owned(),
        about: String::new(),
        binding: false,
        start: START,
        policy: PolicyConfig {
            deadline: DEADLINE,
            ..PolicyConfig::default()
        },
        steps: Vec::new(),
    };
    if errors.is_empty() {
        reader.document(document.get_ref(), &mut scenario);
    }
    if reader.mistakes.is_empty() && scenario.steps.is_empty() {
        reader.add(0, "there are no steps: add at least one [[step]]".to_owned());
    }
    if reader.mistakes.is_empty() {
        return Ok(scenario);
    }
    reader.mistakes.sort_by_key(|mistake| mistake.line);
    Err(BadScenario {
        file: file.to_owned(),
        mistakes: reader.mistakes,
    })
}

struct Reader<'t> {
    text: &'t str,
    mistakes: Vec<ScenarioMistake>,
    start: Timestamp,
    now: Timestamp,
    known: Known,
}

impl Reader<'_> {
    fn add(&mut self, offset: usize, message: String) {
        let line = config::line_of(self.text, offset);
        self.mistakes.push(ScenarioMistake { line, message });
    }

    /// Tells of each key that is not among the known ones.
    fn check_keys(&mut self, table: &DeTable<'_>, known: &[&str], of: &str) {
        for key in table.keys() {
            let name = key.get_ref();
            if !known.contains(&name.as_ref()) {
                let message = unknown(&format!("{of} no key `{name}`"), name, known);
                self.add(key.span().start, message);
            }
        }
    }

    fn document(&mut self, document: &DeTable<'_>, scenario: &mut Scenario) {
        self.check_keys(document, TOP, "a scenario has");
        if let Some(about) = document.get("about") {
            match about.get_ref().as_str() {
                Some(text) => text.clone_into(&mut scenario.about),
                None => self.add(about.span().start, "`about` is a text".to_owned()),
            }
        }
        if let Some(binding) = document.get("binding") {
            match binding.get_ref().as_bool() {
                Some(whether) => scenario.binding = whether,
                None => self.add(binding.span().start, "`binding` is true or false".to_owned()),
            }
        }
        if let Some(start) = document.get("start") {
            match start.get_ref().as_str().map(parse_instant) {
                Some(Ok(at)) => (scenario.start, self.start, self.now) = (at, at, at),
                Some(Err(error)) => self.add(start.span().start, error.to_string()),
                None => self.add(start.span().start, "`start` is a text, an instant".to_owned()),
            }
        }
        if let Some(parameters) = document.get("parameters") {
            self.parameters(parameters, scenario);
        }
        let Some(steps) = document.get("step") else {
            return;
        };
        let Some(steps) = steps.get_ref().as_array() else {
            self.add(steps.span().start, "write each step as [[step]]".to_owned());
            return;
        };
        for step in steps.iter() {
            match step.get_ref() {
                DeValue::Table(table) => {
                    if let Err((offset, message)) = self.step(table, step, &mut scenario.steps) {
                        self.add(offset, message);
                    }
                }
                _ => self.add(step.span().start, "a step is a table".to_owned()),
            }
        }
    }

    fn parameters(&mut self, value: &Spanned<DeValue<'_>>, scenario: &mut Scenario) {
        let DeValue::Table(table) = value.get_ref() else {
            self.add(value.span().start, "`parameters` is a table".to_owned());
            return;
        };
        let before = self.mistakes.len();
        self.check_keys(table, &config::policy_keys(), "`[parameters]` has");
        if self.mistakes.len() > before {
            return;
        }
        let mut table = table.clone();
        if table.get("deadline").is_none() {
            let deadline = DeValue::String(crate::time::print_duration(DEADLINE.0).into());
            table.insert(
                Spanned::new(value.span(), "deadline".into()),
                Spanned::new(value.span(), deadline),
            );
        }
        let policy = match PolicyConfig::deserialize(Deserializer::from(Spanned::new(value.span(), table))) {
            Ok(policy) => policy,
            Err(error) => {
                let start = error.span().unwrap_or_else(|| value.span()).start;
                self.add(start, error.message().to_owned());
                return;
            }
        };
        let whole = Config {
            policy: policy.clone(),
            ..Config::default()
        };
        match whole.check() {
            Ok(()) => scenario.policy = policy,
            Err(error) => self.add(value.span().start, error.to_string()),
        }
    }

    /// Reads a step, once for each time that it is repeated.
    fn step(
        &mut self,
        table: &DeTable<'_>,
        whole: &Spanned<DeValue<'_>>,
        steps: &mut Vec<Step>,
    ) -> Result<(), (usize, String)> {
        let start = whole.span().start;
        let names: Vec<_> = Action::ALL.iter().map(|action| action.shape().name).collect();
        let Some(does) = table.get("do") else {
            let message = format!("a step needs `do`, one of {}", config::list(&names));
            return Err((start, message));
        };
        let does_at = does.span().start;
        let name = does.get_ref().as_str().unwrap_or_default();
        let action = Action::from_name(name).ok_or_else(|| {
            (
                does_at,
                unknown(&format!("there is no step `{name}`"), name, &names),
            )
        })?;
        let before = self.mistakes.len();
        self.check_keys(table, &action.keys(), &format!("`{name}` has"));
        for needed in action.shape().needs {
            if table.get(*needed).is_none() {
                self.add(does_at, format!("`{name}` needs `{needed}`"));
            }
        }
        if self.mistakes.len() > before {
            self.learn_anyway(action, table);
            return Ok(());
        }
        let deserializer = Deserializer::from(Spanned::new(whole.span(), table.clone()));
        let told = Told::deserialize(deserializer).map_err(|error| {
            let at = error.span().map_or(start, |span| span.start);
            (at, error.message().to_owned())
        })?;
        let line = config::line_of(self.text, does_at);
        let times = told.repeat.unwrap_or(1);
        if !(1..=REPEATS).contains(&times) {
            let at = table.get("repeat").map_or(start, |value| value.span().start);
            return Err((at, format!("`repeat` is a number from 1 to {REPEATS}")));
        }
        for number in 1..=times {
            let told = told.numbered(number);
            match self.ready(action, line, told, number == 1) {
                Ok(step) => steps.push(step),
                Err((key, message)) => {
                    self.learn_anyway(action, table);
                    let at = table.get(key).map_or(does_at, |value| value.span().start);
                    return Err((at, message));
                }
            }
        }
        Ok(())
    }

    /// What a step with a mistake would have made is known all the same, so that later steps are not blamed.
    fn learn_anyway(&mut self, action: Action, table: &DeTable<'_>) {
        let text = |key: &str| {
            let value = table.get(key)?.get_ref().as_str()?;
            Some(value.to_owned())
        };
        let (made, known) = match action {
            Action::CreateTenant => (text("tenant"), &mut self.known.tenants),
            Action::CreateUser => (text("user"), &mut self.known.users),
            Action::Issue => (text("token"), &mut self.known.tokens),
            Action::OpenSession | Action::SignIn => (text("session"), &mut self.known.sessions),
            _ => return,
        };
        known.extend(made);
    }

    /// What is meant by an instant: `+15d` from the start, or a date or instant.
    fn instant(&self, text: &str) -> Result<Timestamp, String> {
        match text.strip_prefix('+') {
            Some(after) => parse_duration(after)
                .map(|after| self.start.saturating_add(after))
                .map_err(|_| format!("\"{text}\" is not a time from the start, such as \"+14d23h59m59s\"")),
            None => parse_instant(text).map_err(|_| {
                format!(
                    "\"{text}\" is not a time from the start, such as \"+15d\", or an instant, such as \
                     \"2026-01-16T00:00:00Z\""
                )
            }),
        }
    }

    fn time(&mut self, told: &Told, first: bool) -> Result<(), (&'static str, String)> {
        match (&told.at, &told.after) {
            (Some(_), Some(_)) => Err(("after", "a step has either `at` or `after`".to_owned())),
            (Some(at), None) if first => {
                let at = self.instant(at).map_err(|why| ("at", why))?;
                if at < self.now {
                    let (at, now) = (moment(at, self.start), moment(self.now, self.start));
                    return Err((
                        "at",
                        format!("time does not go back: the step before is at {now}, this one at {at}"),
                    ));
                }
                self.now = at;
                Ok(())
            }
            (None, Some(after)) => {
                let after = parse_duration(after).map_err(|why| ("after", why.to_string()))?;
                self.now = self.now.saturating_add(after);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// One step, with all that it says understood.
    fn ready(
        &mut self,
        action: Action,
        line: usize,
        mut told: Told,
        first: bool,
    ) -> Result<Step, (&'static str, String)> {
        self.time(&told, first)?;
        let expect = told.expect.clone().unwrap_or_else(|| "allowed".to_owned());
        let endings = endings();
        if !endings.contains(&expect.as_str()) {
            return Err((
                "expect",
                unknown(&format!("there is no verdict `{expect}`"), &expect, &endings),
            ));
        }
        let mut tells = told.expected(action);
        for (key, text) in told.expected_instants() {
            if let Some(text) = text {
                let at = self.instant(text).map_err(|why| (key, why))?;
                tells.insert(key, moment(at, self.start).into());
            }
        }
        for key in ["why", "token_why"] {
            let cause = tells.get(key).and_then(serde_json::Value::as_str);
            if let Some(cause) = cause.filter(|cause| Cause::from_name(cause).is_none()) {
                let causes: Vec<_> = Cause::ALL.iter().map(|cause| cause.as_str()).collect();
                return Err((
                    key,
                    unknown(&format!("nothing ends by `{cause}`"), cause, &causes),
                ));
            }
        }
        if expect != "allowed"
            && let Some(key) = tells.keys().next()
        {
            return Err((
                key,
                format!("`{key}` is told with a yes only, and here `{expect}` is expected"),
            ));
        }
        let expires = match told.expires.as_deref() {
            None => self.now.saturating_add(DAY.saturating_mul(90)),
            // From now, where nothing says that it is from the start.
            Some(text) => match parse_duration(text) {
                Ok(after) if !text.starts_with('+') => self.now.saturating_add(after),
                _ => self.instant(text).map_err(|why| ("expires", why))?,
            },
        };
        let overlap = told.overlap.as_deref().map(parse_duration).transpose();
        let overlap = overlap.map_err(|why| ("overlap", why.to_string()))?.unwrap_or(0);
        let presented = match told.secret.as_deref() {
            None => Presented::Latest,
            Some(text) => presented(text).map_err(|why| ("secret", why))?,
        };
        let actor = match told.actor.as_deref() {
            None => Actor::Administrator,
            Some(text) => self.actor(text).map_err(|why| ("as", why))?,
        };
        self.known.check(action, &mut told, expect == "allowed")?;
        Ok(Step {
            action,
            line,
            at: self.now,
            expect,
            tells,
            told,
            actor,
            presented,
            expires,
            overlap,
        })
    }

    fn actor(&self, text: &str) -> Result<Actor, String> {
        match text.split_once(':') {
            Some(("user", user)) => {
                of(&self.known.users, "user", user)?;
                Ok(Actor::User(user.to_owned()))
            }
            Some(("token", token)) => {
                of(&self.known.tokens, "token", token)?;
                Ok(Actor::Token(token.to_owned()))
            }
            None if text == "administrator" => Ok(Actor::Administrator),
            None if text == "system" => Ok(Actor::System),
            _ => Err(format!(
                "\"{text}\" is nobody: write administrator, system, user:NAME or token:NAME"
            )),
        }
    }
}

fn presented(text: &str) -> Result<Presented, String> {
    let found = Presented::NAMES.iter().find(|(name, _)| *name == text);
    found.map(|(_, presented)| *presented).ok_or_else(|| {
        let names = Presented::NAMES.map(|(name, _)| name);
        unknown(&format!("there is no secret `{text}`"), text, &names)
    })
}

/// All that can be expected.
fn endings() -> Vec<&'static str> {
    let refusals = RefusalReason::ALL.iter().map(|reason| reason.as_str());
    OTHER_ENDINGS.iter().copied().chain(refusals).collect()
}

fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    match config::nearest(name, known.iter().copied()) {
        Some(near) => format!("{what}; did you mean `{near}`?"),
        None => format!("{what}; there are {}", config::list(known)),
    }
}
