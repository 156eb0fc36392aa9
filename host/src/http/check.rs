//! What gateways ask over HTTP before they let a request through.
//!
//! One path for each kind of gateway. Each reads the original request from what its gateway sets itself, and from nowhere
//! else: whichever other headers there are, a client could have sent them.

use std::net::IpAddr;

use axum::body::HttpBody as _;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;

use super::{App, BODY_BYTES};
use crate::gate::{self, Denial, Door};

/// nginx's `auth_request`. The shipped configuration sets all three headers on the subrequest.
pub(super) async fn nginx(State(app): State<App>, request: Request) -> Response {
    // Borrowed: to have them handed over would be to have them copied.
    let headers = request.headers();
    let (Some(uri), Some(method)) = (
        only(headers, "x-original-uri"),
        only(headers, "x-original-method"),
    ) else {
        let message =
            "the gateway must set X-Original-URI and X-Original-Method, once each: see host/gateways/nginx";
        return Denial::bad_request("E_400_GATEWAY", message).into_response();
    };
    let verdict = app.gate().check(&gate::Request {
        door: Door::Nginx,
        method: &method,
        uri: &uri,
        headers,
        address: real_ip(headers),
    });
    verdict.into_response()
}

/// What stands before the original path in Envoy's question: `path_prefix` of its `http_service`.
const ENVOY: &str = "/check/envoy";

/// The request headers that Envoy drops before the service.
const ENVOY_REMOVES: HeaderName = HeaderName::from_static("x-envoy-auth-headers-to-remove");

/// Envoy's `ext_authz` over HTTP: the question has the original request's method, and its path and query behind the
/// prefix. No header is looked at for either.
pub(super) async fn envoy(State(app): State<App>, request: Request) -> Response {
    let target = request
        .uri()
        .path_and_query()
        .and_then(|target| target.as_str().strip_prefix(ENVOY));
    let small = request
        .body()
        .size_hint()
        .upper()
        .is_some_and(|bytes| bytes <= BODY_BYTES as u64);
    let (Some(uri), true) = (target, small) else {
        let message = "the gateway must send no bodies: see host/gateways/envoy";
        return Denial::bad_request("E_400_GATEWAY", message).into_response();
    };
    if leads_out(uri) {
        return Denial::bad_request("E_400_PATH", "the path leads out of itself").into_response();
    }
    let headers = request.headers();
    let verdict = app.gate().check(&gate::Request {
        door: Door::EnvoyHttp,
        method: request.method().as_str(),
        uri,
        headers,
        address: real_ip(headers),
    });
    match verdict {
        Ok(admission) => {
            let names: Vec<_> = admission
                .credential_headers
                .iter()
                .map(HeaderName::as_str)
                .collect();
            let mut response = HeaderValue::try_from(names.join(","))
                .map(|names| [(ENVOY_REMOVES, names)].into_response())
                .unwrap_or_else(|_| Denial::undecided().into_response());
            response.headers_mut().extend(admission.headers);
            response
        }
        Err(denial) => denial.into_response(),
    }
}

/// Whether a target's path has more `..` than there is to leave. Envoy resolves them before it asks. Another gateway might
/// take `/check/envoy/../../api/…` for a call of the API, hand it on as it came, and so let a client ask.
fn leads_out(target: &str) -> bool {
    let path = target.split('?').next().unwrap_or_default();
    if !path.contains(['.', '%']) {
        return false;
    }
    let mut depth = 0_usize;
    for segment in percent_decode_str(path)
        .collect::<Vec<u8>>()
        .split(|byte| matches!(byte, b'/' | b'\\'))
    {
        match segment {
            b"" | b"." => {}
            b".." => match depth.checked_sub(1) {
                Some(above) => depth = above,
                None => return true,
            },
            _ => depth = depth.saturating_add(1),
        }
    }
    false
}

/// Forward authentication, as Caddy (`forward_auth`) and Traefik (`forwardAuth`) have it. Both set the URI and the method
/// of the original request themselves. Caddy appends the client's query to the path that it asks for, so the query of
/// the question is nobody's word and is not looked at.
pub(super) async fn forward(State(app): State<App>, request: Request) -> Response {
    let headers = request.headers();
    let (Some(uri), Some(method), Some(address)) = (
        only(headers, "x-forwarded-uri"),
        only(headers, "x-forwarded-method"),
        only(headers, "x-forwarded-for").and_then(|hops| last_hop(&hops)),
    ) else {
        let message = "the gateway must set X-Forwarded-Uri, X-Forwarded-Method and X-Forwarded-For, once each: see \
                       host/gateways/caddy or host/gateways/traefik";
        return Denial::bad_request("E_400_GATEWAY", message).into_response();
    };
    let verdict = app.gate().check(&gate::Request {
        door: Door::Forward,
        method: &method,
        uri: &uri,
        headers,
        address: Some(address),
    });
    verdict.into_response()
}

/// The last address of an `X-Forwarded-For`: the one that the gateway saw itself. A gateway that trusts its clients
/// appends it to what they sent, one that does not sends nothing else; either way, those before it may be invented.
fn last_hop(hops: &str) -> Option<IpAddr> {
    hops.rsplit(',').next()?.trim().parse().ok()
}

/// The client's address, as the gateway says it, if it says so once.
pub(super) fn real_ip(headers: &HeaderMap) -> Option<IpAddr> {
    only(headers, "x-real-ip")?.parse().ok()
}

/// The value of a header that is there exactly once and not empty. A path may hold any bytes.
pub(super) fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<std::borrow::Cow<'a, str>> {
    let mut values = headers.get_all(name).iter();
    let value = Some(values.next()?.as_bytes()).filter(|value| !value.is_empty())?;
    values.next().is_none().then(|| String::from_utf8_lossy(value))
}
