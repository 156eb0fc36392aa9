//! What would apply to a request, and why, for people who write routes.

use serde::Serialize;

use super::routes::{Rules, Terms, Unclear};
use crate::config::{Challenge, Config, ConfigError, RouteConfig};

/// What applies to a request.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The method that was asked about.
    pub method: String,
    /// The request target that was asked about.
    pub target: String,
    /// The path as routes see it, decoded; none where none looks at it, or where it is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Why the request is refused before any route is looked for, with 400.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The routes that were looked at before, and why each does not apply.
    pub passed_over: Vec<PassedOver>,
    /// The route that applies; none where the request is refused: with 400 as said, else with 403.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<Applies>,
}

/// A route that does not apply.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PassedOver {
    /// Its number, from 1.
    pub number: usize,
    /// Its line in the configuration file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Its path.
    pub path: String,
    /// Why not.
    pub reason: String,
}

/// What a route asks for; what it leaves out is as `[http]` says.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Applies {
    /// Its number, from 1; 0 where the configuration has no route, and `[http]` applies to all requests.
    pub number: usize,
    /// Its line in the configuration file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Its path.
    pub path: String,
    /// Its methods; empty: all.
    pub methods: Vec<String>,
    /// The audience that a token must be for (R12).
    pub audience: String,
    /// Roles of which the caller must have one (R4); empty: none is needed.
    pub any_role: Vec<String>,
    /// Roles of which the caller must have all (R4).
    pub all_roles: Vec<String>,
    /// The forms in which a credential is read.
    pub credentials: Vec<String>,
    /// What a 401 asks for.
    pub challenge: Challenge,
    /// The realm in the challenge; none where there is no challenge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub realm: Option<String>,
    /// Whether who presents nothing is let in.
    pub anonymous: bool,
}

impl Applies {
    fn of(number: usize, line: Option<usize>, route: &RouteConfig, config: &Config) -> Self {
        let terms = Terms::of(route, &config.http);
        Self {
            number,
            line,
            path: route.path.clone(),
            methods: route.methods.clone(),
            audience: terms.audience.to_owned(),
            any_role: route.any_role.clone(),
            all_roles: route.all_roles.clone(),
            credentials: terms.credentials.iter().map(|form| (*form).to_owned()).collect(),
            challenge: terms.challenge,
            realm: (terms.challenge != Challenge::None).then(|| terms.realm.to_owned()),
            anonymous: route.anonymous,
        }
    }
}

/// All routes in the order in which they are looked at; without any, the one that stands for there being none. `lines`
/// are those of the routes in their file, where they are known.
#[must_use]
pub fn routes(config: &Config, lines: &[usize]) -> Vec<Applies> {
    if config.routes.is_empty() {
        return vec![Applies::of(0, None, &RouteConfig::all(), config)];
    }
    let lines = lines.iter().copied().map(Some).chain(std::iter::repeat(None));
    let numbered = (1..).zip(lines).zip(&config.routes);
    numbered
        .map(|((number, line), route)| Applies::of(number, line, route, config))
        .collect()
}

/// Says what applies to a request. `lines` as for [`routes`].
///
/// # Errors
/// Where the configuration makes no sense.
pub fn explain(
    config: &Config,
    lines: &[usize],
    method: &str,
    target: &str,
) -> Result<Explanation, ConfigError> {
    let rules = Rules::new(config)?;
    let mut explanation = Explanation {
        method: method.to_owned(),
        target: target.to_owned(),
        path: None,
        refused: None,
        passed_over: Vec::new(),
        route: None,
    };
    let path = match rules.read(method, target) {
        Ok(path) => path,
        Err(unclear @ (Unclear::Path(_) | Unclear::Method)) => {
            explanation.refused = Some(unclear.to_string());
            return Ok(explanation);
        }
    };
    explanation.path = (!path.is_empty()).then(|| path.clone().into_owned());
    for (route, described) in rules.routes().iter().zip(routes(config, lines)) {
        match route.fits(method, &path) {
            Ok(()) => {
                explanation.route = Some(described);
                break;
            }
            Err(mismatch) => explanation.passed_over.push(PassedOver {
                number: described.number,
                line: described.line,
                path: described.path,
                reason: mismatch.to_string(),
            }),
        }
    }
    Ok(explanation)
}
