//! Which rule applies to a request.
//!
//! The first `[[route]]` whose path and methods fit decides. Where there are routes and none fits, the request is
//! refused: a path that nobody thought of is not an open one. Without any route, what `[http]` says applies to all.
//!
//! Where a route looks at the path, a request whose path could be read in two ways is refused before any is compared
//! ([`path`]); likewise where one looks at the method, a method that could be.

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use super::Denial;
use super::credential::{Forms, Places};
use super::path::{self, Ambiguous};
use crate::config::{
    Challenge, Config, ConfigError, FORMS, HttpConfig, IdentityConfig, Pattern, RouteConfig,
};

/// What applies to which requests, ready for use.
pub(super) struct Rules {
    /// In the order of the file; without a path and for all methods, where the file has none.
    routes: Vec<Route>,
    looks_at_paths: bool,
    looks_at_methods: bool,
    places: Places,
    pub(super) identity: IdentityConfig,
}

/// What applies to some requests.
pub(super) struct Route {
    pattern: Option<Pattern>,
    /// Empty: all.
    methods: Vec<String>,
    pub(super) audience: String,
    any_role: Vec<String>,
    all_roles: Vec<String>,
    pub(super) forms: Forms,
    pub(super) anonymous: bool,
    missing: Option<HeaderValue>,
    invalid: Option<HeaderValue>,
}

impl RouteConfig {
    /// What applies where there is no route: to everything, as `[http]` says.
    pub(super) fn all() -> Self {
        Self {
            path: "/**".to_owned(),
            ..Self::default()
        }
    }
}

/// Why no route could be looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unclear {
    #[error("the path could be read in two ways: {0}")]
    Path(Ambiguous),
    #[error(
        "the method could be read in two ways: it has other characters than capital letters, digits, \"-\" and \"_\""
    )]
    Method,
}

/// Why a route does not apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Mismatch {
    #[error("its path does not fit")]
    Path,
    #[error("it is for other methods")]
    Method,
}

impl Rules {
    pub(super) fn new(config: &Config) -> Result<Self, ConfigError> {
        config.check()?;
        let places = Places::new(config);
        let routes: Vec<_> = if config.routes.is_empty() {
            vec![Route::new(&RouteConfig::all(), &config.http, &places)]
        } else {
            let routes = config.routes.iter();
            routes
                .map(|route| Route::new(route, &config.http, &places))
                .collect()
        };
        Ok(Self {
            looks_at_paths: routes.iter().any(|route| !route.fits_all_paths()),
            looks_at_methods: routes.iter().any(|route| !route.methods.is_empty()),
            routes,
            places,
            identity: config.identity.clone(),
        })
    }

    /// The route of a request.
    pub(super) fn find(&self, method: &str, target: &str) -> Result<&Route, Denial> {
        let path = match self.read(method, target) {
            Ok(path) => path,
            Err(Unclear::Path(_)) => {
                return Err(Denial::bad_request(
                    "E_400_PATH",
                    "the path could be read in two ways: send it without dot segments, empty segments and encoded \
                     separators",
                ));
            }
            Err(Unclear::Method) => {
                return Err(Denial::bad_request(
                    "E_400_METHOD",
                    "the method is not one that is known",
                ));
            }
        };
        let mut routes = self.routes.iter();
        routes
            .find(|route| route.fits(method, &path).is_ok())
            .ok_or_else(Denial::no_route)
    }

    /// The path to be compared; empty where no route looks at it.
    pub(super) fn read<'t>(&self, method: &str, target: &'t str) -> Result<Cow<'t, str>, Unclear> {
        // Methods are case-sensitive (RFC 9110), but not all services know it.
        let clear =
            |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
        if self.looks_at_methods && (method.is_empty() || !method.bytes().all(clear)) {
            return Err(Unclear::Method);
        }
        if self.looks_at_paths {
            path::path(target).map_err(Unclear::Path)
        } else {
            Ok(Cow::Borrowed(""))
        }
    }

    pub(super) fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The request headers that may hold a credential, whichever route applies.
    pub(super) const fn credential_headers(&self) -> &Arc<[HeaderName]> {
        self.places.all()
    }
}

impl Route {
    fn new(route: &RouteConfig, http: &HttpConfig, places: &Places) -> Self {
        let terms = Terms::of(route, http);
        let (missing, invalid) = challenges(terms.challenge, terms.realm);
        Self {
            // It was checked with the configuration; one that is none would fit nothing.
            pattern: Pattern::parse(&route.path).ok(),
            methods: route.methods.clone(),
            audience: terms.audience.to_owned(),
            any_role: route.any_role.clone(),
            all_roles: route.all_roles.clone(),
            forms: Forms::new(places, http, route.credentials.as_deref()),
            anonymous: route.anonymous,
            missing,
            invalid,
        }
    }

    /// Whether it applies to a request.
    pub(super) fn fits(&self, method: &str, path: &str) -> Result<(), Mismatch> {
        if !self.fits_all_paths() && !self.pattern.as_ref().is_some_and(|pattern| pattern.fits(path)) {
            return Err(Mismatch::Path);
        }
        // What a HEAD is told is what a GET would be (RFC 9110 §9.3.2).
        let named = |name: &String| name == method || (method == "HEAD" && name == "GET");
        if self.methods.is_empty() || self.methods.iter().any(named) {
            Ok(())
        } else {
            Err(Mismatch::Method)
        }
    }

    fn fits_all_paths(&self) -> bool {
        self.pattern.as_ref().is_some_and(Pattern::fits_all)
    }

    /// Whether these roles are enough (R4).
    pub(super) fn permits(&self, roles: &[String]) -> bool {
        let has = |role: &String| roles.iter().any(|theirs| theirs == role);
        (self.any_role.is_empty() || self.any_role.iter().any(has)) && self.all_roles.iter().all(has)
    }

    /// The roles that it asks for, in words, for the audit trail.
    pub(super) fn required_roles(&self) -> String {
        let mut parts = Vec::new();
        if !self.any_role.is_empty() {
            parts.push(format!("one of {}", self.any_role.join(",")));
        }
        if !self.all_roles.is_empty() {
            parts.push(format!("all of {}", self.all_roles.join(",")));
        }
        parts.join(" and ")
    }

    /// Nothing was presented (RFC 6750: no error code then).
    pub(super) fn missing(&self) -> Denial {
        Denial::unauthorized(self.missing.as_ref(), "a personal access token is needed")
    }

    /// Something was presented and is not accepted.
    pub(super) fn invalid(&self) -> Denial {
        Denial::unauthorized(self.invalid.as_ref(), "the token is not accepted")
    }
}

/// What a route says, and where it says nothing, what `[http]` does.
pub(super) struct Terms<'a> {
    pub(super) audience: &'a str,
    pub(super) challenge: Challenge,
    pub(super) realm: &'a str,
    pub(super) credentials: Vec<&'a str>,
}

impl<'a> Terms<'a> {
    pub(super) fn of(route: &'a RouteConfig, http: &'a HttpConfig) -> Self {
        let credentials = match &route.credentials {
            Some(forms) => forms.iter().map(String::as_str).collect(),
            None => FORMS
                .into_iter()
                .filter(|form| *form != "bare")
                .chain(http.credential_headers.iter().map(String::as_str))
                .collect(),
        };
        Self {
            audience: route.audience.as_ref().unwrap_or(&http.audience),
            challenge: route.challenge.unwrap_or(http.challenge),
            realm: route.realm.as_ref().unwrap_or(&http.realm),
            credentials,
        }
    }
}

fn challenges(challenge: Challenge, realm: &str) -> (Option<HeaderValue>, Option<HeaderValue>) {
    let (missing, invalid) = match challenge {
        Challenge::Bearer => (
            format!("Bearer realm=\"{realm}\""),
            format!("Bearer realm=\"{realm}\", error=\"invalid_token\""),
        ),
        Challenge::Basic => {
            let challenge = format!("Basic realm=\"{realm}\", charset=\"UTF-8\"");
            (challenge.clone(), challenge)
        }
        Challenge::None => return (None, None),
    };
    // The realm was checked when the configuration was read.
    let value = |text: String| HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("Bearer"));
    (Some(value(missing)), Some(value(invalid)))
}
