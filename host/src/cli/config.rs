//! `patrol config`.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;

use super::Session;
use super::failure::Exit;
use super::print::{count, plain};
use crate::config::{Config, Examined, Mistake};

const EXAMPLES: &str = "\
Examples:
  patrol config check
  patrol config check /etc/patrol/patrol.toml.new && systemctl reload patrol

Exit codes: 2 there are mistakes; `patrol --help` lists all.";

/// What can be done with the configuration.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum ConfigCommand {
    /// Explain all mistakes of a configuration file, with their lines
    ///
    /// A file without mistakes is one that `patrol serve` starts with. Changes nothing, and needs no data directory.
    Check {
        /// The file [default: --config, or patrol.toml in the data directory]
        file: Option<PathBuf>,
    },
}

#[derive(Serialize)]
struct CheckRecord<'a> {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a Path>,
    routes: usize,
    mistakes: &'a [Mistake],
}

pub(super) fn run(session: &mut Session, command: ConfigCommand) -> anyhow::Result<Exit> {
    let ConfigCommand::Check { file } = command;
    let file = file.or_else(|| session.config_file());
    let text = file.as_deref().map(Config::read).transpose()?.unwrap_or_default();
    let Examined { config, mistakes, .. } = crate::config::examine(&text);
    let record = CheckRecord {
        ok: mistakes.is_empty(),
        file: file.as_deref(),
        routes: config.routes.len(),
        mistakes: &mistakes,
    };
    session.out.answer(&record, || match &file {
        None => "there is no configuration file: everything is at its default".to_owned(),
        Some(file) => report(file, &text, &record),
    })?;
    Ok(if record.ok { Exit::Done } else { Exit::Usage })
}

/// The mistakes, each with the line that it is in, as compilers show them.
fn report(file: &Path, text: &str, record: &CheckRecord<'_>) -> String {
    let file = plain(&file.display().to_string());
    if record.ok {
        return format!("{file}: no mistakes, {}", count(size(record.routes), "route"));
    }
    let mut report = String::new();
    for mistake in record.mistakes {
        let (line, column) = (mistake.line.unwrap_or(1), mistake.column.unwrap_or(1));
        let key = match mistake.key.as_str() {
            "" => String::new(),
            key => format!("{}: ", plain(key)),
        };
        let source = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
        // One character for one, so that the mark stands where it should.
        let source: String = source
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        report.push_str(&format!(
            "{file}:{line}:{column}: {key}{}\n    {source}\n    {:>column$}\n",
            plain(&mistake.message),
            "^"
        ));
    }
    report.push_str(&count(size(record.mistakes.len()), "mistake"));
    report
}

fn size(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
