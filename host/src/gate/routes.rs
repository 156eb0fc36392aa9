//! Which rule applies to a request.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use patrol_policy::types::Timestamp;

use super::credential::Forms;
use super::{Admission, Denial, identity};
use crate::config::{Challenge, Config, ConfigError};
use crate::service::Identity;

/// What applies to which requests, ready for use.
pub(super) struct Rules {
    default: Route,
}

/// What applies to some requests.
pub(super) struct Route {
    pub(super) audience: String,
    pub(super) forms: Forms,
    pub(super) anonymous: bool,
    missing: Option<HeaderValue>,
    invalid: Option<HeaderValue>,
    credential_headers: Arc<[HeaderName]>,
}

impl Rules {
    pub(super) fn new(config: &Config) -> Result<Self, ConfigError> {
        let http = &config.http;
        let forms = Forms::new(http);
        let (missing, invalid) = challenges(http.challenge, &http.realm);
        Ok(Self {
            default: Route {
                audience: http.audience.clone(),
                credential_headers: forms.headers(),
                forms,
                anonymous: false,
                missing,
                invalid,
            },
        })
    }

    /// The route of a request.
    pub(super) fn find(&self, _method: &str, _uri: &str) -> Result<&Route, Denial> {
        Ok(&self.default)
    }

    pub(super) fn admit(&self, route: &Route, identity: Option<Identity>, _now: Timestamp) -> Admission {
        Admission {
            headers: identity::headers(identity.as_ref()),
            identity,
            credential_headers: Arc::clone(&route.credential_headers),
        }
    }
}

impl Route {
    /// Whether these roles are enough.
    pub(super) const fn permits(&self, _roles: &[String]) -> bool {
        true
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
