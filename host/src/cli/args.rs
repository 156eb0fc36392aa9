//! What the command line takes, apart from what belongs to one command group only.

use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use patrol_policy::types::{DAY, Duration, Timestamp};

use super::{
    audit, client, config, doctor, identity, policy, route, scenario, serve, site, tenant, token, user,
    verify,
};
use crate::time::{ParseError, parse_duration, parse_expiration, parse_instant};

const EXIT_CODES: &str = "\
Examples:
  patrol serve
  patrol tenant create example
  patrol user create --tenant example --name ann --role admin
  patrol token create --owner ann --name nightly-backup --expires 90d
  patrol verify < token.txt

Users are named NAME, TENANT/NAME, or by their UUID. Dates are UTC: 2027-01-31 stands for that whole day. \
Durations are written 90d, 4h, 30m or \"1h 30m\"; a day has 24 hours.

Exit codes:
    0  done
    1  an unexpected failure
    2  a mistake in the command line or the configuration; also `config check`
    3  refused by the policy; also `verify`, for a token that is refused
    4  no such thing
    5  it exists already
    6  no verdict: the policy failed
    7  the store failed, is busy or is damaged
    8  another server runs on the data directory, or one that cannot be asked
    9  cannot listen on the address
   10  the data directory is missing, not writable, or open to other users
   11  the data was written by a newer version
   12  a check found problems (`audit verify`, `doctor`, `scenario run`)
  141  the reader of the output went away";

/// Issues, verifies and ends personal access tokens (PATs).
///
/// All commands work on a data directory, which `patrol serve` and `patrol tenant create` make. They may be used while
/// a server runs on it; what they change holds at once.
#[derive(Debug, Parser)]
#[command(name = "patrol", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What all commands take.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct Global {
    /// The data directory
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "PATROL_DATA",
        default_value = "./patrol-data"
    )]
    pub(super) data: PathBuf,
    /// The configuration file [default: patrol.toml in the data directory, if it exists]
    #[arg(long, global = true, value_name = "FILE", env = "PATROL_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// Print JSON: one object, for lists one array; errors too, on standard error
    #[arg(long, global = true, env = "PATROL_JSON", value_parser = FalseyValueParser::new())]
    pub(super) json: bool,
    /// The form of the log on standard error; PATROL_LOG says what is logged, such as `info` or `patrol=debug`
    /// [default: `info` for serve, else `warn`]
    #[arg(long, global = true, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Pretty)]
    pub(super) log_format: LogFormat,
}

/// The form of the log: for people, or one JSON object a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    Pretty,
    Json,
}

/// All commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the server: what gateways and resource servers ask, and the REST API that scripts call
    Serve(serve::ServeArgs),
    /// Manage tenants
    #[command(subcommand)]
    Tenant(tenant::TenantCommand),
    /// Manage the sites of a tenant
    #[command(subcommand)]
    Site(site::SiteCommand),
    /// Manage users, whose access tokens have
    #[command(subcommand)]
    User(user::UserCommand),
    /// Create, list, rotate and revoke tokens
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Manage the clients that may ask about tokens by OAuth 2.0 introspection, and revoke them
    #[command(subcommand)]
    Client(client::ClientCommand),
    /// Verify a token given on standard input; a yes counts as a use (R5)
    Verify(verify::VerifyArgs),
    /// Mark lapsed tokens as ended and delete records whose retention is over (R6)
    ///
    /// A running server does it once a minute.
    Sweep,
    /// Read and verify the audit trail
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Check the configuration file
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Say which rules apply to which requests
    #[command(subcommand)]
    Route(route::RouteCommand),
    /// Show and replace the key that signs who calls, for services that verify it
    #[command(subcommand)]
    Identity(identity::IdentityCommand),
    /// Show the policy in force; begin one of your own; sign, inspect and verify releases of policies
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Try a policy: run scenarios on it, in virtual time
    #[command(subcommand)]
    Scenario(scenario::ScenarioCommand),
    /// Check the data directory, the policy and the clock, and say what to do
    Doctor(doctor::DoctorArgs),
    /// Print the OpenAPI document of the REST API
    #[command(after_help = "Example:\n  patrol openapi > patrol.json")]
    Openapi,
    /// Print shell completions
    #[command(
        after_help = "Example:\n  patrol completions bash > ~/.local/share/bash-completion/completions/patrol"
    )]
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Print the manual page, or write all of them into a directory
    #[command(after_help = "Examples:\n  patrol man | man -l -\n  patrol man ~/.local/share/man/man1")]
    Man {
        /// Where to write one page for each command; the directory is made if it is not there
        directory: Option<PathBuf>,
    },
}

/// An expiration date: an instant, or a duration from the moment of creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiration {
    At(Timestamp),
    In(Duration),
}

impl FromStr for Expiration {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match parse_instant(text) {
            Ok(at) => Ok(Self::At(at)),
            // From instant 0, a duration is itself.
            Err(_) => parse_expiration(text, 0).map(Self::In),
        }
    }
}

impl Expiration {
    /// The instant meant, now.
    pub(super) const fn from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::In(duration) => now.saturating_add(duration),
        }
    }
}

/// One end of a period: an instant, a whole day, or a duration back from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    At(Timestamp),
    /// A day, by the instant at which it is over.
    Day(Timestamp),
    Ago(Duration),
}

impl FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(at) = parse_instant(text) {
            // Only a date is as short as that.
            return Ok(if text.len() == 10 {
                Self::Day(at)
            } else {
                Self::At(at)
            });
        }
        let duration = parse_duration(text).map_err(|_| {
            format!(
                "\"{}\" is not a date (2027-01-31), an instant (2027-01-31T17:00:00Z) or a duration back from now (7d)",
                text.escape_debug()
            )
        })?;
        Ok(Self::Ago(duration))
    }
}

impl Bound {
    /// The first instant of a period that begins here.
    pub(super) const fn first(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Day(over) => over.saturating_sub(DAY),
            Self::Ago(duration) => now.saturating_sub(duration),
        }
    }

    /// The first instant after a period that ends here.
    pub(super) const fn over(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) | Self::Day(at) => at,
            Self::Ago(duration) => now.saturating_sub(duration),
        }
    }
}

/// A switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Switch {
    On,
    Off,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_and_argument_says_what_it_is() {
        fn check(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            assert!(command.get_about().is_some(), "{path} has no help");
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{path} {argument} has no help");
            }
            for command in command.get_subcommands() {
                check(command, &path);
            }
        }
        let mut command = Cli::command();
        command.build();
        check(&command, "");
    }

    #[test]
    fn a_period_given_by_days_holds_both_days() {
        let day: Bound = "2027-01-31".parse().unwrap();
        let instant: Bound = "2027-01-31T00:00:00Z".parse().unwrap();
        assert_eq!(day.first(0), instant.first(0));
        assert_eq!(day.over(0), instant.over(0) + DAY);
        assert_eq!("7d".parse::<Bound>().unwrap().first(8 * DAY), DAY);
        assert!("soon".parse::<Bound>().unwrap_err().contains("2027-01-31"));
    }

    #[test]
    fn an_expiration_is_a_date_or_a_duration_from_now() {
        let at: Expiration = "2027-01-31".parse().unwrap();
        assert_eq!(at.from(0), at.from(5));
        assert_eq!("90d".parse::<Expiration>().unwrap().from(5), 90 * DAY + 5);
        assert!("90".parse::<Expiration>().is_err());
    }
}
