//! Finding all mistakes of a configuration file at once, each with its line.
//!
//! The file is read three times over. As TOML: where it is none, that is all there is to say. Key by key: each is
//! looked up and each value read on its own, so that one that is wrong does not hide the next. And as a whole, without
//! those that were wrong: what the values mean together is in [`rules`](super::rules).

use std::ops::Range;

use serde::{Deserialize as _, Serialize};
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer, Error};

use super::rules::Finding;
use super::schema::{keys, list, nearest};
use super::{Config, Step};

/// A mistake, with where it is and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// The line in the file, from 1; none where there is no file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The column in the line, in characters, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// The key, such as `policy.idle_after` or `route[2].path`, where routes are counted from 1; empty where the file
    /// is not TOML.
    pub key: String,
    /// What is wrong, and what would be right.
    pub message: String,
    /// Whether it is about where the server listens, which its command line may say otherwise.
    #[serde(skip)]
    pub(super) about_listeners: bool,
}

impl From<Finding> for Mistake {
    fn from(Finding { at, why }: Finding) -> Self {
        Self {
            line: None,
            column: None,
            key: name(&at),
            message: why,
            about_listeners: false,
        }
    }
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, "line {line}, column {column}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// A configuration file, read as far as it can be.
#[derive(Debug)]
pub struct Examined {
    /// What the file says; where there are mistakes, without what is wrong.
    pub config: Config,
    /// All mistakes, in the order of the file.
    pub mistakes: Vec<Mistake>,
    /// The line of each route, from 1.
    pub route_lines: Vec<usize>,
}

/// Reads a configuration, and finds its mistakes.
#[must_use]
pub fn examine(text: &str) -> Examined {
    let mut found = Found {
        text,
        mistakes: Vec::new(),
    };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        found.add(error.span(), &[], error.message().to_owned());
    }
    if !errors.is_empty() {
        return found.end(Config::default(), Vec::new());
    }
    let sound = found.sound(document.get_ref(), &mut Vec::new());
    let route_lines = route_lines(text, &sound);
    let whole = Spanned::new(document.span(), sound.clone());
    let config = match Config::deserialize(Deserializer::from(whole)) {
        Ok(config) => config,
        Err(error) => {
            found.add(error.span(), &[], error.message().to_owned());
            return found.end(Config::default(), route_lines);
        }
    };
    let told: Vec<String> = found
        .mistakes
        .iter()
        .map(|(_, mistake)| mistake.key.clone())
        .collect();
    let routes_whole = !told.iter().any(|key| key.starts_with("route"));
    for Finding { at, why } in config.findings() {
        // What was left out for being wrong is not missing, and routes without all their keys are in nobody's way.
        let order = matches!(at.as_slice(), [Step::Key(_), Step::Index(_)]);
        if !told.contains(&name(&at)) && (routes_whole || !order) {
            found.add(place(&sound, &at), &at, why);
        }
    }
    for Finding { at, why } in config.server.findings() {
        found.add(place(&sound, &at), &at, why).about_listeners = true;
    }
    found.end(config, route_lines)
}

struct Found<'t> {
    text: &'t str,
    mistakes: Vec<(usize, Mistake)>,
}

impl Found<'_> {
    fn add(&mut self, span: Option<Range<usize>>, at: &[Step], message: String) -> &mut Mistake {
        let offset = span.map_or(0, |span| span.start);
        let (line, column) = line_and_column(self.text, offset);
        let mistake = Mistake {
            line: Some(line),
            column: Some(column),
            key: name(at),
            message,
            about_listeners: false,
        };
        &mut self.mistakes.push_mut((offset, mistake)).1
    }

    fn end(mut self, config: Config, route_lines: Vec<usize>) -> Examined {
        self.mistakes.sort_by_key(|(offset, _)| *offset);
        Examined {
            config,
            mistakes: self.mistakes.into_iter().map(|(_, mistake)| mistake).collect(),
            route_lines,
        }
    }

    /// What of a table can be used.
    fn sound<'i>(&mut self, table: &DeTable<'i>, at: &mut Vec<Step>) -> DeTable<'i> {
        let known = keys::<Config>(&words(at)).unwrap_or_default();
        let mut sound = DeTable::new();
        for (key, value) in table {
            let name = key.get_ref();
            at.push(Step::Key(name.to_string().into()));
            if !known.contains(&name.as_ref()) {
                let why = match nearest(name, known.iter().copied()) {
                    Some(near) => format!("there is no such key; did you mean `{near}`?"),
                    None => format!("there is no such key; there are {}", list(known)),
                };
                self.add(Some(key.span()), at, why);
            } else if let Some(value) = self.sound_value(value, at) {
                sound.insert(key.clone(), value);
            }
            at.pop();
        }
        sound
    }

    fn sound_value<'i>(
        &mut self,
        value: &Spanned<DeValue<'i>>,
        at: &mut Vec<Step>,
    ) -> Option<Spanned<DeValue<'i>>> {
        let is_table = keys::<Config>(&words(at)).is_some();
        match value.get_ref() {
            DeValue::Table(table) if is_table => {
                let sound = DeValue::Table(self.sound(table, at));
                Some(Spanned::new(value.span(), sound))
            }
            DeValue::Array(entries) if is_table => {
                let mut sound = entries.clone();
                for (index, entry) in sound.iter_mut().enumerate() {
                    at.push(Step::Index(index));
                    // One that is no table stays, so that the others keep their numbers, as one without keys.
                    *entry = self
                        .sound_value(entry, at)
                        .unwrap_or_else(|| Spanned::new(entry.span(), DeValue::Table(DeTable::new())));
                    at.pop();
                }
                Some(Spanned::new(value.span(), DeValue::Array(sound)))
            }
            _ => match alone(value.clone(), at) {
                Ok(()) => Some(value.clone()),
                Err(error) => {
                    let span = error.span().unwrap_or_else(|| value.span());
                    self.add(Some(span), at, error.message().to_owned());
                    None
                }
            },
        }
    }
}

/// Reads a value as if nothing else were in the file.
fn alone(value: Spanned<DeValue<'_>>, at: &[Step]) -> Result<(), Error> {
    let span = value.span();
    let mut whole = value;
    for step in at.iter().rev() {
        let around = match step {
            Step::Key(key) => {
                let mut table = DeTable::new();
                table.insert(Spanned::new(span.clone(), key.to_string().into()), whole);
                DeValue::Table(table)
            }
            Step::Index(_) => DeValue::Array(std::iter::once(whole).collect()),
        };
        whole = Spanned::new(span.clone(), around);
    }
    match whole.into_inner() {
        DeValue::Table(table) => Config::deserialize(Deserializer::from(Spanned::new(span, table))).map(drop),
        // Whatever has a place stands in the table that the file is.
        _ => Ok(()),
    }
}

/// Where something is in the file; where it is not there, what it would be in.
fn place(document: &DeTable<'_>, at: &[Step]) -> Option<Range<usize>> {
    let mut table = Some(document);
    let mut array = None;
    let mut span = None;
    for step in at {
        let value = match step {
            Step::Key(key) => table.and_then(|table| {
                let mut entries = table.iter();
                entries.find_map(|(name, value)| (name.get_ref() == key).then_some(value))
            }),
            Step::Index(index) => array.and_then(|array: &toml::de::DeArray<'_>| array.get(*index)),
        };
        let Some(value) = value else { break };
        span = Some(value.span());
        table = value.get_ref().as_table();
        array = value.get_ref().as_array();
    }
    span
}

fn route_lines(text: &str, document: &DeTable<'_>) -> Vec<usize> {
    let routes = document
        .get("route")
        .and_then(|routes| routes.get_ref().as_array());
    routes
        .into_iter()
        .flat_map(|routes| routes.iter())
        .map(|route| line_and_column(text, route.span().start).0)
        .collect()
}

pub(super) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..text.floor_char_boundary(offset)).unwrap_or_default();
    let line = before.matches('\n').count().saturating_add(1);
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
    (line, column.saturating_add(1))
}

fn words(at: &[Step]) -> Vec<&str> {
    at.iter()
        .filter_map(|step| match step {
            Step::Key(key) => Some(&**key),
            Step::Index(_) => None,
        })
        .collect()
}

/// A place, as people read it.
pub(super) fn name(at: &[Step]) -> String {
    let mut name = String::new();
    for step in at {
        match step {
            Step::Key(key) => {
                if !name.is_empty() {
                    name.push('.');
                }
                name.push_str(key);
            }
            Step::Index(index) => name.push_str(&format!("[{}]", index.saturating_add(1))),
        }
    }
    name
}

#[cfg(test)]
mod tests;
