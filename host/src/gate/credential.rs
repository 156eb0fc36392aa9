//! Finding the one credential of a request.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use patrol_policy::Secret;
use patrol_policy::token::{ACCOUNT_PREFIX, SESSION_PREFIX};
use zeroize::Zeroizing;

use crate::config::{Config, FORMS, HttpConfig};

/// The header that carries a session.
pub const SESSION_HEADER: HeaderName = HeaderName::from_static("x-tableau-session-token");

/// What a request presents.
pub(super) enum Credential {
    /// A personal access token.
    Pat(Secret),
    /// A session token.
    Session(Secret),
}

/// Why a request presents nothing that could be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoCredential {
    /// No credential at all; not a failed attempt, since many clients always ask anonymously first.
    #[error("no credential was presented")]
    Missing,
    /// More than one, or one that could be read in two ways.
    #[error("exactly one credential must be presented")]
    Ambiguous,
}

/// How a credential was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `Authorization: Bearer TOKEN` (RFC 6750).
    Bearer = 1,
    /// `Authorization: Basic …` with any user name and the token as the password (RFC 7617).
    Basic = 2,
    /// `Authorization: token TOKEN`.
    Token = 4,
    /// `Authorization: TOKEN`, without a scheme, as cargo sends it.
    Bare = 8,
    /// `X-Tableau-Session-Token`.
    Session = 16,
}

impl Form {
    /// By the name that it has in a configuration.
    fn named(name: &str) -> Option<Self> {
        let all = [Self::Bearer, Self::Basic, Self::Token, Self::Bare, Self::Session];
        FORMS
            .into_iter()
            .zip(all)
            .find_map(|(known, form)| (known == name).then_some(form))
    }
}

/// The request headers in which a credential may be, whichever route applies: [`Places::all`] of them. A credential in
/// any of them counts where it is asked whether there is more than one, since who reads the request next might look
/// there; and the gateway takes all of them away before the service.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// Those that a configuration names.
    named: Vec<HeaderName>,
    all: Arc<[HeaderName]>,
}

impl Places {
    pub(super) fn new(config: &Config) -> Self {
        let routes = config
            .routes
            .iter()
            .filter_map(|route| route.credentials.as_ref());
        let headers = routes.flatten().filter(|form| Form::named(form).is_none());
        let mut named = Vec::new();
        for header in config.http.credential_headers.iter().chain(headers) {
            // The names were checked with the configuration.
            if let Ok(header) = HeaderName::try_from(header)
                && !named.contains(&header)
            {
                named.push(header);
            }
        }
        let all = [header::AUTHORIZATION, SESSION_HEADER]
            .into_iter()
            .chain(named.iter().cloned())
            .collect();
        Self { named, all }
    }

    /// All of them.
    pub(super) const fn all(&self) -> &Arc<[HeaderName]> {
        &self.all
    }
}

/// The forms in which a route reads credentials. One in another form is as none, but still counts as one of several.
#[derive(Debug)]
pub(super) struct Forms {
    places: Places,
    /// Which of [`Form`], added up.
    read: u8,
    /// Which of the named headers.
    headers: Vec<bool>,
}

impl Forms {
    /// The forms of a route; by default all but `bare`, and the headers of `[http]`.
    pub(super) fn new(places: &Places, http: &HttpConfig, forms: Option<&[String]>) -> Self {
        let default = Form::Bearer as u8 | Form::Basic as u8 | Form::Token as u8 | Form::Session as u8;
        let (read, names) = match forms {
            None => (default, &*http.credential_headers),
            Some(forms) => {
                let named = forms.iter().filter_map(|form| Form::named(form));
                (named.fold(0, |read, form| read | form as u8), forms)
            }
        };
        let reads = |header: &HeaderName| {
            names
                .iter()
                .any(|name| name.eq_ignore_ascii_case(header.as_str()))
        };
        Self {
            headers: places.named.iter().map(reads).collect(),
            places: places.clone(),
            read,
        }
    }

    const fn reads(&self, form: Form) -> bool {
        self.read & form as u8 != 0
    }

    /// The one credential of a request.
    ///
    /// Several are refused, whatever they are: gateway, Patrol and upstream might each look at another one.
    pub(super) fn read(&self, request: &HeaderMap) -> Result<Credential, NoCredential> {
        let mut found = Found::default();
        let mut authorizations = request.get_all(header::AUTHORIZATION).iter();
        if let Some(value) = authorizations.next() {
            // Even one that says nothing to Patrol may say something to another.
            if authorizations.next().is_some() {
                return Err(NoCredential::Ambiguous);
            }
            if let Some((form, text)) = authorization(value, self.reads(Form::Bare))? {
                found.take(text, self.reads(form), pat_or_session)?;
            }
        }
        for value in request.get_all(SESSION_HEADER) {
            found.take(value.as_bytes(), self.reads(Form::Session), Credential::Session)?;
        }
        for (name, read) in self.places.named.iter().zip(&self.headers) {
            for value in request.get_all(name) {
                found.take(value.as_bytes(), *read, pat_or_session)?;
            }
        }
        found.credential.ok_or(NoCredential::Missing)
    }
}

/// What was found so far.
#[derive(Default)]
struct Found {
    any: bool,
    credential: Option<Credential>,
}

impl Found {
    fn take(
        &mut self,
        text: impl AsRef<[u8]>,
        read: bool,
        kind: impl FnOnce(Secret) -> Credential,
    ) -> Result<(), NoCredential> {
        let Some(text) = nonempty(text.as_ref()) else {
            return Ok(());
        };
        if std::mem::replace(&mut self.any, true) {
            return Err(NoCredential::Ambiguous);
        }
        self.credential = read.then(|| kind(text));
        Ok(())
    }
}

/// What an `Authorization` header presents, and how. `bare`: whether a single word is taken for a token, whatever it
/// looks like.
fn authorization(value: &HeaderValue, bare: bool) -> Result<Option<(Form, Text<'_>)>, NoCredential> {
    let value = value.as_bytes().trim_ascii();
    // Some software joins repeated headers with a comma; no form that is read here has one.
    if value.contains(&b',') {
        return Err(NoCredential::Ambiguous);
    }
    let mut words = value.splitn(2, |byte| *byte == b' ');
    let scheme = words.next().unwrap_or_default();
    let rest = words.next().unwrap_or_default().trim_ascii();
    let is = |name: &str| scheme.eq_ignore_ascii_case(name.as_bytes());
    if is("bearer") {
        return Ok(Some((Form::Bearer, Text::Borrowed(rest))));
    }
    if is("token") {
        return Ok(Some((Form::Token, Text::Borrowed(rest))));
    }
    if is("basic") {
        let mut decoded = Zeroizing::new(STANDARD.decode(rest).unwrap_or_default());
        let colon = decoded.iter().position(|byte| *byte == b':');
        let password = colon.map_or(decoded.len(), |colon| colon.saturating_add(1));
        let password = decoded.split_off(password);
        return Ok(Some((Form::Basic, Text::Decoded(Zeroizing::new(password)))));
    }
    let known = scheme.starts_with(PREFIX);
    if rest.is_empty() && (known || (bare && !NAMED_ALONE.into_iter().any(is))) {
        return Ok(Some((Form::Bare, Text::Borrowed(scheme))));
    }
    // A scheme that Patrol does not speak presents nothing to it.
    Ok(None)
}

/// A credential's text, where it stands or decoded.
enum Text<'a> {
    Borrowed(&'a [u8]),
    Decoded(Zeroizing<Vec<u8>>),
}

impl AsRef<[u8]> for Text<'_> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Borrowed(text) => text,
            Self::Decoded(text) => text,
        }
    }
}

/// How all that Patrol issues begins.
const PREFIX: &[u8] = b"patrol_";

/// Schemes that some clients name without anything after them.
const NAMED_ALONE: [&str; 3] = ["negotiate", "ntlm", "digest"];

fn pat_or_session(text: Secret) -> Credential {
    let session = [SESSION_PREFIX, ACCOUNT_PREFIX];
    if session
        .iter()
        .any(|prefix| text.expose().starts_with(prefix.as_bytes()))
    {
        Credential::Session(text)
    } else {
        Credential::Pat(text)
    }
}

fn nonempty(text: &[u8]) -> Option<Secret> {
    let text = text.trim_ascii();
    (!text.is_empty()).then(|| Secret::new(text.to_vec()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;
    use crate::config::RouteConfig;

    const NAMES: [&str; 4] = [
        "authorization",
        "x-tableau-session-token",
        "x-api-key",
        "private-token",
    ];

    fn read(headers: &[(&str, &str)]) -> Result<(bool, String), NoCredential> {
        read_as(None, headers)
    }

    /// As a route does that names these forms.
    fn read_as(forms: Option<&[&str]>, headers: &[(&str, &str)]) -> Result<(bool, String), NoCredential> {
        let mut config = Config::default();
        config.http.credential_headers = vec!["X-Api-Key".to_owned()];
        config.routes = vec![RouteConfig {
            credentials: Some(vec!["Private-Token".to_owned(), "bearer".to_owned()]),
            ..RouteConfig::default()
        }];
        let forms: Option<Vec<_>> = forms.map(|forms| forms.iter().map(|form| (*form).to_owned()).collect());
        let forms = Forms::new(&Places::new(&config), &config.http, forms.as_deref());
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = NAMES
                .into_iter()
                .find(|known| known.eq_ignore_ascii_case(name))
                .unwrap();
            map.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        let text = |secret: Secret| String::from_utf8(secret.into_bytes()).unwrap();
        Ok(match forms.read(&map)? {
            Credential::Pat(secret) => (false, text(secret)),
            Credential::Session(secret) => (true, text(secret)),
        })
    }

    #[test]
    fn each_form_is_read() {
        let pat = Ok((false, "tok".to_owned()));
        assert_eq!(read(&[("Authorization", "Bearer tok")]), pat);
        assert_eq!(read(&[("Authorization", "bearer  tok ")]), pat);
        assert_eq!(read(&[("Authorization", "token tok")]), pat);
        assert_eq!(
            read(&[("Authorization", "Basic YW55Ym9keTp0b2s=")]),
            pat,
            "anybody:tok"
        );
        assert_eq!(read(&[("Authorization", "Basic OnRvaw==")]), pat, ":tok");
        assert_eq!(read(&[("X-Api-Key", "tok")]), pat);
        assert_eq!(
            read(&[("X-Tableau-Session-Token", "tok")]),
            Ok((true, "tok".to_owned()))
        );
        let session = "patrol_ses_x";
        assert_eq!(
            read(&[("Authorization", "Bearer patrol_ses_x")]),
            Ok((true, session.to_owned()))
        );
    }

    #[test]
    fn nothing_presented_is_told_apart_from_something_wrong() {
        assert_eq!(read(&[]), Err(NoCredential::Missing));
        for value in [
            "",
            "Bearer",
            "Bearer ",
            "Basic",
            "Basic Og==",
            "Basic ===",
            "Negotiate abc",
            "Basic bm9jb2xvbg==",
        ] {
            assert_eq!(
                read(&[("Authorization", value)]),
                Err(NoCredential::Missing),
                "{value}"
            );
        }
    }

    #[test]
    fn more_than_one_credential_is_refused() {
        let two = [
            vec![("Authorization", "Bearer a"), ("Authorization", "Bearer b")],
            vec![("Authorization", "Bearer a, Bearer b")],
            vec![("Authorization", "Bearer a"), ("X-Tableau-Session-Token", "b")],
            vec![("Authorization", "Bearer a"), ("X-Api-Key", "a")],
            vec![("X-Api-Key", "a"), ("X-Api-Key", "b")],
        ];
        for headers in two {
            assert_eq!(read(&headers), Err(NoCredential::Ambiguous), "{headers:?}");
        }
    }
    #[test]
    fn a_route_reads_its_own_forms_and_no_other() {
        let pat = Ok((false, "tok".to_owned()));
        let forms = [
            ("bearer", ("Authorization", "Bearer tok")),
            ("token", ("Authorization", "token tok")),
            ("basic", ("Authorization", "Basic OnRvaw==")),
            ("bare", ("Authorization", "tok")),
            ("PRIVATE-TOKEN", ("Private-Token", "tok")),
            ("x-api-key", ("X-Api-Key", "tok")),
        ];
        for (name, _) in forms {
            for (other, header) in forms {
                let expected = if name == other {
                    pat.clone()
                } else {
                    Err(NoCredential::Missing)
                };
                assert_eq!(read_as(Some(&[name]), &[header]), expected, "{name} {header:?}");
            }
        }
        let session = ("X-Tableau-Session-Token", "tok");
        assert_eq!(
            read_as(Some(&["session"]), &[session]),
            Ok((true, "tok".to_owned()))
        );
        assert_eq!(read_as(Some(&["bearer"]), &[session]), Err(NoCredential::Missing));
        assert_eq!(read_as(Some(&[]), &[session]), Err(NoCredential::Missing));
    }

    #[test]
    fn one_credential_too_many_is_seen_in_places_that_the_route_does_not_read() {
        for header in [
            ("X-Api-Key", "b"),
            ("Private-Token", "b"),
            ("X-Tableau-Session-Token", "b"),
        ] {
            let both = [("Authorization", "Bearer a"), header];
            assert_eq!(
                read_as(Some(&["bearer"]), &both),
                Err(NoCredential::Ambiguous),
                "{header:?}"
            );
        }
        for value in ["Basic OnRvaw==", "token a", "patrol_pat_a"] {
            let both = [("Authorization", value), ("Private-Token", "b")];
            assert_eq!(
                read_as(Some(&["private-token"]), &both),
                Err(NoCredential::Ambiguous),
                "{value}"
            );
        }
        let two = [("Authorization", "Negotiate a"), ("Authorization", "Bearer b")];
        assert_eq!(read(&two), Err(NoCredential::Ambiguous));
    }

    #[test]
    fn a_scheme_is_no_bare_token() {
        for value in [
            "Bearer",
            "Basic",
            "token",
            "Negotiate",
            "NTLM",
            "Digest",
            "AWS4 x",
        ] {
            assert_eq!(
                read_as(Some(&["bare"]), &[("Authorization", value)]),
                Err(NoCredential::Missing),
                "{value}"
            );
        }
    }
}
