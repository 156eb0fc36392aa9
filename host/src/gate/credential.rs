//! Finding the one credential of a request.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use patrol_policy::Secret;
use patrol_policy::token::{ACCOUNT_PREFIX, SESSION_PREFIX};
use zeroize::Zeroizing;

use crate::config::HttpConfig;

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

/// Where credentials are looked for.
pub(super) struct Forms {
    headers: Vec<HeaderName>,
}

impl Forms {
    pub(super) fn new(config: &HttpConfig) -> Self {
        // The names were checked when the configuration was read.
        let headers = config
            .credential_headers
            .iter()
            .filter_map(|name| HeaderName::try_from(name).ok());
        Self {
            headers: headers.collect(),
        }
    }

    /// The request headers that may hold a credential.
    pub(super) fn headers(&self) -> Arc<[HeaderName]> {
        [header::AUTHORIZATION, SESSION_HEADER]
            .into_iter()
            .chain(self.headers.iter().cloned())
            .collect()
    }

    /// The one credential of a request.
    ///
    /// Several are refused, whatever they are: gateway, Patrol and upstream might each look at another one.
    pub(super) fn read(&self, request: &HeaderMap) -> Result<Credential, NoCredential> {
        let mut found = None;
        let mut take = |credential: Option<Credential>| match credential {
            Some(_) if found.is_some() => Err(NoCredential::Ambiguous),
            Some(credential) => {
                found = Some(credential);
                Ok(())
            }
            None => Ok(()),
        };
        for value in request.get_all(header::AUTHORIZATION) {
            take(authorization(value)?)?;
        }
        for value in request.get_all(SESSION_HEADER) {
            take(nonempty(value.as_bytes()).map(Credential::Session))?;
        }
        for name in &self.headers {
            for value in request.get_all(name) {
                take(nonempty(value.as_bytes()).map(pat_or_session))?;
            }
        }
        found.ok_or(NoCredential::Missing)
    }
}

/// `Bearer TOKEN`, `token TOKEN`, or `Basic` with any user name and the token as the password.
fn authorization(value: &HeaderValue) -> Result<Option<Credential>, NoCredential> {
    let value = value.as_bytes().trim_ascii();
    // Some software joins repeated headers with a comma; no form that is read here has one.
    if value.contains(&b',') {
        return Err(NoCredential::Ambiguous);
    }
    let mut words = value.splitn(2, |byte| *byte == b' ');
    let scheme = words.next().unwrap_or_default();
    let rest = words.next().unwrap_or_default().trim_ascii();
    if scheme.eq_ignore_ascii_case(b"bearer") || scheme.eq_ignore_ascii_case(b"token") {
        return Ok(nonempty(rest).map(pat_or_session));
    }
    if scheme.eq_ignore_ascii_case(b"basic") {
        let decoded = Zeroizing::new(STANDARD.decode(rest).unwrap_or_default());
        let password = decoded
            .iter()
            .position(|byte| *byte == b':')
            .and_then(|colon| decoded.get(colon..));
        let password = password.and_then(|rest| rest.get(1..)).unwrap_or_default();
        return Ok(nonempty(password).map(pat_or_session));
    }
    // A scheme that Patrol does not speak presents nothing to it.
    Ok(None)
}

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

    const NAMES: [&str; 3] = ["authorization", "x-tableau-session-token", "x-api-key"];

    fn read(headers: &[(&str, &str)]) -> Result<(bool, String), NoCredential> {
        let config = HttpConfig {
            credential_headers: vec!["X-Api-Key".to_owned()],
            ..HttpConfig::default()
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = NAMES
                .into_iter()
                .find(|known| known.eq_ignore_ascii_case(name))
                .unwrap();
            map.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        let text = |secret: Secret| String::from_utf8(secret.into_bytes()).unwrap();
        Ok(match Forms::new(&config).read(&map)? {
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
}
