//! The command line: for administrators with access to the data directory, and for their scripts.
//!
//! A command opens the data directory, calls one method of the service and prints what came of it: text for people,
//! JSON for programs. It ends with one of the exit codes that `patrol --help` lists. Nothing but the creation and the
//! rotation of a token or a client prints a secret (R1), and no error holds one.

mod activation;
mod args;
mod audit;
mod client;
mod config;
mod doctor;
mod failure;
mod identity;
mod input;
mod method;
mod policy;
mod policy_new;
mod print;
mod reach;
mod records;
mod release;
mod releases;
mod route;
mod scenario;
mod serve;
mod site;
mod tenant;
mod token;
mod user;
mod verify;

use std::ffi::OsStr;
use std::io::IsTerminal as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser as _};
use patrol_policy::token::Kind;
use serde::Serialize;
use tracing_subscriber::EnvFilter;

use self::args::{Cli, Command, Global, LogFormat};
use self::failure::{Exit, Failure};
use self::print::{Out, count};
use crate::config::Config;
use crate::service::{Caller, Patrol, Settings};

/// The `patrol` program: parses its arguments, does what they ask for, and says how it went.
#[must_use]
pub fn main() -> ExitCode {
    if let Some(exit) = refuse_secrets() {
        return exit.into();
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse_arguments(&error).into(),
    };
    let json = cli.global.json;
    run(cli)
        .unwrap_or_else(|error| failure::report(&error, json))
        .into()
}

/// Refuses a token in an argument, whatever it was meant for, before it can get into a message or a record (R1).
fn refuse_secrets() -> Option<Exit> {
    let mut arguments = std::env::args_os();
    if !arguments.any(|argument| holds_secret(&argument.to_string_lossy())) {
        return None;
    }
    let message = "a token must not stand in an argument, where other users of the machine can see it: revoke it, and \
                   give tokens on standard input";
    Some(failure::report_usage(message, asked_for_json()))
}

/// Whether a text holds a token, or most of one.
fn holds_secret(text: &str) -> bool {
    let kinds = [Kind::Pat, Kind::Session, Kind::Account, Kind::Client];
    kinds.iter().any(|kind| {
        text.split(kind.prefix()).skip(1).any(|rest| {
            let digits = rest.chars().take_while(char::is_ascii_alphanumeric);
            digits.count() > 22
        })
    })
}

/// Whether JSON was asked for, by a guess: for arguments that were not understood.
fn asked_for_json() -> bool {
    std::env::args_os().any(|argument| argument == "--json")
}

/// Prints what clap has to say: help, the version, or a mistake.
fn refuse_arguments(error: &clap::Error) -> Exit {
    let usage = error.use_stderr();
    if usage && asked_for_json() {
        let text = error.to_string();
        let mistake = text.split("\n\n").next().unwrap_or_default();
        return failure::report_usage(mistake.trim_start_matches("error: "), true);
    }
    // Where help cannot be printed, its reader went away.
    let _ = error.print();
    if usage { Exit::Usage } else { Exit::Done }
}

fn run(cli: Cli) -> anyhow::Result<Exit> {
    let default = match cli.command {
        Command::Serve(_) => "info",
        // What goes wrong with a policy that is being tried is in the results.
        Command::Scenario(_) => "warn,patrol::service=off",
        _ => "warn",
    };
    start_log(cli.global.log_format, default)?;
    let mut session = Session {
        out: Out::open(cli.global.json)?,
        global: cli.global,
    };
    let exit = match cli.command {
        Command::Serve(args) => serve::run(&mut session, &args),
        Command::Tenant(command) => tenant::run(&mut session, command),
        Command::Site(command) => site::run(&mut session, command),
        Command::User(command) => user::run(&mut session, command),
        Command::Token(command) => token::run(&mut session, command),
        Command::Client(command) => client::run(&mut session, command),
        Command::Verify(args) => verify::run(&mut session, &args),
        Command::Sweep => sweep(&mut session),
        Command::Audit(command) => audit::run(&mut session, command),
        Command::Config(command) => config::run(&mut session, command),
        Command::Route(command) => route::run(&mut session, command),
        Command::Identity(command) => identity::run(&mut session, command),
        Command::Policy(command) => policy::run(&mut session, command),
        Command::Scenario(command) => scenario::run(&mut session, command),
        Command::Doctor(args) => doctor::run(&mut session, &args),
        Command::Openapi => {
            session
                .out
                .bytes(format!("{}\n", crate::http::openapi()).as_bytes())?;
            Ok(Exit::Done)
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "patrol", &mut script);
            session.out.bytes(&script)?;
            Ok(Exit::Done)
        }
        Command::Man { directory } => man(&mut session, directory.as_deref()),
    }?;
    session.out.flush()?;
    Ok(exit)
}

/// One run of the program.
struct Session {
    global: Global,
    out: Out,
}

impl Session {
    /// The configuration file, if there is one.
    fn config_file(&self) -> Option<PathBuf> {
        let default = || self.global.data.join("patrol.toml");
        self.global
            .config
            .clone()
            .or_else(|| Some(default()).filter(|path| path.exists()))
    }

    /// The configuration.
    fn config(&self) -> anyhow::Result<Config> {
        Ok(Config::load(self.config_file().as_deref())?)
    }

    /// Opens the data directory, which must be there.
    fn open(&self) -> anyhow::Result<Patrol> {
        self.open_with(false, false)
    }

    fn open_with(&self, create: bool, check: bool) -> anyhow::Result<Patrol> {
        let settings = Settings {
            config: self.config()?,
            create,
            check,
            ..Settings::new(&self.global.data)
        };
        Ok(Patrol::open(settings)?)
    }
}

/// Whoever runs this program, for the audit trail.
fn caller() -> Caller {
    Caller::operator(Some(format!("{} (command line)", caller_name())))
}

/// What whoever runs this program is called.
fn caller_name() -> String {
    let named = |variable| {
        std::env::var(variable)
            .ok()
            .filter(|name| !name.is_empty() && !name.chars().any(char::is_control))
    };
    let name = named("SUDO_USER").or_else(|| named("USER")).or_else(|| {
        let process = std::fs::metadata("/proc/self").ok()?;
        Some(format!("uid {}", process.uid()))
    });
    let name = name.unwrap_or_else(|| "unknown".to_owned());
    name.chars().take(64).collect()
}

fn start_log(format: LogFormat, default: &str) -> anyhow::Result<()> {
    let filter = match std::env::var("PATROL_LOG") {
        Ok(filter) if !filter.is_empty() => EnvFilter::try_new(&filter)
            .map_err(|error| Failure::Usage(format!("PATROL_LOG is not a log filter: {error}")))?,
        _ => EnvFilter::new(default),
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match format {
        LogFormat::Pretty => subscriber.try_init(),
        LogFormat::Json => subscriber.json().try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("cannot start the log: {error}"))
}

#[derive(Serialize)]
struct SweptRecord {
    ended: u32,
    secrets: u32,
    forgotten: u32,
    sessions: u32,
    more: bool,
}

fn sweep(session: &mut Session) -> anyhow::Result<Exit> {
    let swept = session.open()?.sweep()?;
    let record = SweptRecord {
        ended: swept.ended,
        secrets: swept.secrets,
        forgotten: swept.forgotten,
        sessions: swept.sessions,
        more: swept.more,
    };
    session.out.answer(&record, || {
        let more = if swept.more {
            "; there is more to do, run it again"
        } else {
            ""
        };
        format!(
            "{} marked as ended, {} of rotations erased, {} and {} deleted{more}",
            count(swept.ended.into(), "token"),
            count(swept.secrets.into(), "old secret"),
            count(swept.forgotten.into(), "ended token"),
            count(swept.sessions.into(), "session"),
        )
    })?;
    Ok(Exit::Done)
}

fn man(session: &mut Session, directory: Option<&Path>) -> anyhow::Result<Exit> {
    match directory {
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            session.out.bytes(&page)?;
        }
        Some(directory) => {
            let write = || {
                std::fs::create_dir_all(directory)?;
                clap_mangen::generate_to(Cli::command(), directory)
            };
            write().with_context(|| format!("cannot write the manual pages into {}", directory.display()))?;
        }
    }
    Ok(Exit::Done)
}

/// A word as a shell reads it.
fn shell_word(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let safe = |c: char| c.is_ascii_alphanumeric() || "._/:=@%+,-".contains(c);
    if !word.is_empty() && word.chars().all(safe) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_in_an_argument_is_noticed() {
        let digits = "0aZ".repeat(24);
        assert!(holds_secret(&format!("--name=patrol_pat_{digits}")));
        assert!(holds_secret(&format!("patrol_ses_{digits}")));
        assert!(holds_secret(&format!("patrol_cli_{digits}")));
        assert!(!holds_secret("patrol_pat_list"));
        assert!(!holds_secret(&digits));
    }

    #[test]
    fn a_word_survives_the_shell() {
        for (word, quoted) in [
            ("/var/lib/patrol", "/var/lib/patrol"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(shell_word(OsStr::new(word)), quoted);
        }
    }
}
