//! Where the endpoints are (RFC 8414).

use std::borrow::Cow;

use axum::extract::State;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::{App, Failure, not_stored};
use crate::config::Config;

/// Where it is looked for.
pub(super) const PATH: &str = "/.well-known/oauth-authorization-server";

/// How a client may authenticate (RFC 7591).
const METHODS: &[&str] = &["client_secret_basic", "client_secret_post"];

/// The members that RFC 8414 requires, and those that say what there is.
///
/// RFC 8414 leaves out members without elements, but requires `response_types_supported` and gives an absent
/// `grant_types_supported` a default: Patrol supports none of either, and says so.
#[derive(Serialize)]
struct Metadata<'a> {
    issuer: &'a str,
    response_types_supported: [&'static str; 0],
    grant_types_supported: [&'static str; 0],
    introspection_endpoint: String,
    introspection_endpoint_auth_methods_supported: &'static [&'static str],
    revocation_endpoint: String,
    revocation_endpoint_auth_methods_supported: &'static [&'static str],
    /// The keys of the signed identity header, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_uri: Option<String>,
}

/// `GET /.well-known/oauth-authorization-server`.
pub(super) async fn metadata(State(app): State<App>, headers: HeaderMap) -> Response {
    let config = app.config();
    let Some(issuer) = issuer(&config, &headers) else {
        return Failure::Request("the request must name one host, or api.public_url must be set")
            .into_response();
    };
    let at = |path: &str| format!("{issuer}{path}");
    let body = Metadata {
        issuer: &issuer,
        response_types_supported: [],
        grant_types_supported: [],
        introspection_endpoint: at("/oauth2/introspect"),
        introspection_endpoint_auth_methods_supported: METHODS,
        revocation_endpoint: at("/oauth2/revoke"),
        revocation_endpoint_auth_methods_supported: METHODS,
        jwks_uri: config.identity.signed.then(|| at("/.well-known/jwks.json")),
    };
    // What is made from the client's own Host header is for that client only.
    not_stored(axum::Json(body).into_response())
}

/// What Patrol calls itself: `api.public_url` or, where that is not set, the address that the client used.
pub(super) fn issuer<'a>(config: &'a Config, headers: &HeaderMap) -> Option<Cow<'a, str>> {
    if let Some(url) = &config.api.public_url {
        return Some(Cow::Borrowed(url.trim_end_matches('/')));
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next()?.to_str().ok()?;
    let authority: Authority = host.parse().ok()?;
    let plain = hosts.next().is_none() && !authority.as_str().contains('@');
    plain.then(|| Cow::Owned(format!("http://{authority}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn named(config: &Config, hosts: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, host.parse().unwrap());
        }
        issuer(config, &headers).map(Cow::into_owned)
    }

    #[test]
    fn the_issuer_is_the_public_url_or_the_one_host_that_was_asked() {
        let mut config = Config::default();
        assert_eq!(
            named(&config, &["127.0.0.1:8787"]).as_deref(),
            Some("http://127.0.0.1:8787")
        );
        for wrong in [&[][..], &["a", "b"], &["user@host"], &["a/b"], &["a b"], &[""]] {
            assert_eq!(named(&config, wrong), None, "{wrong:?}");
        }
        config.api.public_url = Some("https://api.example.com/".to_owned());
        assert_eq!(
            named(&config, &["elsewhere"]).as_deref(),
            Some("https://api.example.com")
        );
    }
}
