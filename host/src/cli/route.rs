//! `patrol route`.

use clap::Subcommand;

use super::Session;
use super::failure::Exit;
use super::print::{fields, or_dash, plain};
use crate::config::{Challenge, Config, Examined};
use crate::gate::{Applies, Explanation, explain, explain_routes};

const EXAMPLES: &str = "\
Examples:
  patrol route list
  patrol route explain POST /api/v1/things?dry-run=1
  patrol --json route explain GET /%61dmin | jq .route.audience

The rules are those of the configuration file; a running server follows them once it has read it.";

/// What can be asked about routes.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum RouteCommand {
    /// Say which route applies to a request, why those before it do not, and what it asks for
    Explain {
        /// The method, such as GET
        method: String,
        /// The path as a client sends it, with or without a query
        path: String,
    },
    /// List all routes in the order in which they are looked at
    List,
}

pub(super) fn run(session: &mut Session, command: RouteCommand) -> anyhow::Result<Exit> {
    let (config, lines) = match session.config_file() {
        Some(file) => {
            let Examined {
                config, route_lines, ..
            } = Config::load_examined(&file)?;
            (config, route_lines)
        }
        None => (Config::default(), Vec::new()),
    };
    match command {
        RouteCommand::Explain { method, path } => {
            let explanation = explain(&config, &lines, &method, &path)?;
            session.out.answer(&explanation, || describe(&explanation))?;
        }
        RouteCommand::List => list(session, &explain_routes(&config, &lines))?,
    }
    Ok(Exit::Done)
}

fn describe(explanation: &Explanation) -> String {
    let request = format!("{} {}", plain(&explanation.method), plain(&explanation.target));
    let mut rows = vec![("request", request)];
    rows.extend(explanation.path.as_deref().map(|path| ("path", plain(path))));
    for route in &explanation.passed_over {
        let which = which(route.number, route.line, &route.path);
        rows.push(("passed over", format!("{which}: {}", route.reason)));
    }
    match (&explanation.route, &explanation.refused) {
        (Some(route), _) => rows.extend(terms(route)),
        (None, Some(why)) => rows.push(("refused", format!("400, {why}"))),
        (None, None) => rows.push(("refused", "403, no route applies".to_owned())),
    }
    fields(rows)
}

fn which(number: usize, line: Option<usize>, path: &str) -> String {
    let path = plain(path);
    match line {
        _ if number == 0 => "there are none: [http] applies to all requests".to_owned(),
        Some(line) => format!("{number}, {path} (line {line})"),
        None => format!("{number}, {path}"),
    }
}

fn terms(route: &Applies) -> Vec<(&'static str, String)> {
    let anonymous = if route.anonymous {
        "whoever presents nothing is let in, without identity"
    } else {
        "no"
    };
    vec![
        ("route", which(route.number, route.line, &route.path)),
        ("methods", methods(route)),
        ("audience", route.audience.clone()),
        ("roles", roles(route)),
        ("credentials", or_dash(joined(&route.credentials))),
        ("challenge", challenge(route)),
        ("anonymous", anonymous.to_owned()),
    ]
}

fn methods(route: &Applies) -> String {
    joined(&route.methods).unwrap_or_else(|| "all".to_owned())
}

fn roles(route: &Applies) -> String {
    let any = joined(&route.any_role).map(|roles| format!("one of {roles}"));
    let all = joined(&route.all_roles).map(|roles| format!("all of {roles}"));
    let asked: Vec<_> = any.into_iter().chain(all).collect();
    if asked.is_empty() {
        "none needed".to_owned()
    } else {
        asked.join("; ")
    }
}

fn challenge(route: &Applies) -> String {
    let name = match route.challenge {
        Challenge::Bearer => "Bearer",
        Challenge::Basic => "Basic",
        Challenge::None => "none",
    };
    match &route.realm {
        Some(realm) => format!("{name}, realm \"{realm}\""),
        None => name.to_owned(),
    }
}

fn joined(names: &[String]) -> Option<String> {
    let names: Vec<_> = names.iter().map(|name| plain(name)).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn list(session: &mut Session, routes: &[Applies]) -> anyhow::Result<()> {
    let headings = [
        "ROUTE",
        "LINE",
        "PATH",
        "METHODS",
        "AUDIENCE",
        "ROLES",
        "CREDENTIALS",
        "CHALLENGE",
        "ANONYMOUS",
    ];
    let mut list = session.out.list(headings)?;
    for route in routes {
        list.push(route, || {
            let number = (route.number > 0).then(|| route.number.to_string());
            [
                or_dash(number),
                or_dash(route.line.map(|line| line.to_string())),
                plain(&route.path),
                methods(route),
                route.audience.clone(),
                roles(route),
                or_dash(joined(&route.credentials)),
                challenge(route),
                if route.anonymous { "yes" } else { "no" }.to_owned(),
            ]
        })?;
    }
    list.end("there are no routes")?;
    Ok(())
}
