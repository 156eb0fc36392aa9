//! From Envoy's words to the gate's, and back.

use std::borrow::Cow;
use std::net::IpAddr;

use envoy_types::pb::envoy::config::core::v3::address::Address;
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{HeaderValue as Pair, HeaderValueOption};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer};
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{
    CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse,
};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use envoy_types::pb::google::rpc;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tonic::Code;

use crate::gate::{Admission, Denial};

/// What Envoy wants to know.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) address: Option<IpAddr>,
}

/// Reads what Envoy tells of a request.
///
/// # Errors
/// A denial, where method or path are missing, or something could be read in two ways.
pub(super) fn question(request: CheckRequest) -> Result<Question, Denial> {
    let attributes = request.attributes.unwrap_or_default();
    let http = attributes.request.and_then(|request| request.http);
    let http = http.filter(|http| !http.method.is_empty() && !http.path.is_empty());
    let mut http = http.ok_or(Denial::bad_request(
        "E_400_GATEWAY",
        "the gateway must tell method and path: see host/gateways/envoy",
    ))?;
    Ok(Question {
        headers: headers(&mut http)?,
        method: http.method,
        path: http.path,
        address: attributes.source.and_then(address),
    })
}

/// The client's headers. Envoy fills in `header_map` with `encode_raw_headers`, where two of a name stay two; otherwise
/// `headers`, where they are joined by a comma, which the gate refuses in a credential.
fn headers(http: &mut HttpRequest) -> Result<HeaderMap, Denial> {
    let raw = http.header_map.take().map(|map| map.headers).unwrap_or_default();
    if !raw.is_empty() && !http.headers.is_empty() {
        return Err(unreadable());
    }
    let mut headers = HeaderMap::with_capacity(raw.len().saturating_add(http.headers.len()));
    for (name, value) in http.headers.drain() {
        put(&mut headers, &name, HeaderValue::try_from(value))?;
    }
    for pair in raw {
        let value = match (pair.value, pair.raw_value) {
            (text, raw) if text.is_empty() => HeaderValue::try_from(raw),
            (text, raw) if raw.is_empty() => HeaderValue::try_from(text),
            _ => return Err(unreadable()),
        };
        put(&mut headers, &pair.key, value)?;
    }
    Ok(headers)
}

fn put(
    headers: &mut HeaderMap,
    name: &str,
    value: Result<HeaderValue, header::InvalidHeaderValue>,
) -> Result<(), Denial> {
    // Such as `:path`, which stands in a field of its own.
    if name.starts_with(':') {
        return Ok(());
    }
    let name = HeaderName::try_from(name).map_err(|_| unreadable())?;
    let mut value = value.map_err(|_| unreadable())?;
    // It may be a credential, and is then not shown where somebody prints the request.
    value.set_sensitive(true);
    headers
        .try_append(name, value)
        .map(drop)
        .map_err(|_| unreadable())
}

fn unreadable() -> Denial {
    Denial::bad_request("E_400_HEADERS", "the request's headers cannot be read")
}

/// The client's address; Envoy puts there the one it trusts (`use_remote_address`, `xff_num_trusted_hops`).
fn address(peer: Peer) -> Option<IpAddr> {
    match peer.address?.address? {
        Address::SocketAddress(socket) => socket.address.parse().ok(),
        _ => None,
    }
}

/// Yes: with who it is, in place of whatever the client sent under these names, and without the credential.
pub(super) fn allowed(admission: &Admission) -> CheckResponse {
    let headers = admission.headers.iter();
    let remove = admission.credential_headers.iter();
    let response = OkHttpResponse {
        headers: headers.map(|(name, value)| set(name, value)).collect(),
        headers_to_remove: remove.map(|name| name.as_str().to_owned()).collect(),
        ..OkHttpResponse::default()
    };
    answer(Code::Ok.into(), HttpResponse::OkResponse(response))
}

/// No. Also where there is no verdict: an *error* response would be let in by a filter with `failure_mode_allow`.
pub(super) fn denied(denial: &Denial) -> CheckResponse {
    let response = denial.to_response();
    let headers = response.headers().iter().map(|(name, value)| set(name, value));
    let denied = DeniedHttpResponse {
        status: Some(HttpStatus {
            code: denial.status.as_u16().into(),
        }),
        headers: headers.collect(),
        body: response.into_body(),
    };
    answer(denial.grpc_status().into(), HttpResponse::DeniedResponse(denied))
}

fn answer(code: i32, response: HttpResponse) -> CheckResponse {
    CheckResponse {
        status: Some(rpc::Status {
            code,
            ..rpc::Status::default()
        }),
        http_response: Some(response),
        ..CheckResponse::default()
    }
}

fn set(name: &HeaderName, value: &HeaderValue) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(Pair {
            key: name.as_str().to_owned(),
            value: Cow::into_owned(String::from_utf8_lossy(value.as_bytes())),
            ..Pair::default()
        }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..HeaderValueOption::default()
    }
}
