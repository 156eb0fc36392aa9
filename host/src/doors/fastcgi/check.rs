//! From CGI parameters to a question, and from the answer to CGI headers.

use std::fmt::Write as _;
use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::record::pair;
use crate::doors::question::{HEADERS, PREFIX, Question};
use crate::gate::{Admission, Denial, Door, Gate};

/// The verdict on a request with these parameters; nothing where there were more than are read.
pub(super) fn verdict(gate: &Gate, parameters: Option<&[u8]>) -> Result<Admission, Denial> {
    let Some(parameters) = parameters else {
        let message = "the request's headers are too large";
        return Err(Denial::bad_request("E_400_TOO_LARGE", message));
    };
    let Some(question) = question(parameters) else {
        let message = "the gateway must send REQUEST_METHOD, REQUEST_URI and REMOTE_ADDR, once each: see \
                       host/gateways/apache";
        return Err(Denial::bad_request("E_400_GATEWAY", message));
    };
    question.ask(gate, Door::FastCgi)
}

/// Nothing where a parameter is missing, there twice, or not to be read.
fn question(mut parameters: &[u8]) -> Option<Question<'_>> {
    let (mut method, mut uri, mut address) = (None, None, None);
    let mut headers = HeaderMap::new();
    while !parameters.is_empty() {
        let (name, value, rest) = pair(parameters)?;
        parameters = rest;
        let once = match name {
            b"REQUEST_METHOD" => method.replace(value),
            b"REQUEST_URI" => uri.replace(value),
            b"REMOTE_ADDR" => address.replace(value),
            _ => {
                if let Some(name) = name.strip_prefix(b"HTTP_") {
                    add(&mut headers, name, value)?;
                }
                None
            }
        };
        if once.is_some() {
            return None;
        }
    }
    let address = std::str::from_utf8(address?).ok()?;
    Some(Question {
        method: String::from_utf8_lossy(method.filter(|text| !text.is_empty())?),
        // Path and query only: what names another host is not for this one.
        uri: String::from_utf8_lossy(uri.filter(|text| text.starts_with(b"/"))?),
        headers,
        // A client on a Unix socket has none.
        address: address.parse().ok().map(|address: IpAddr| address.to_canonical()),
    })
}

/// `HTTP_USER_AGENT` was `User-Agent`. A header that cannot be read could be a credential, so that none is passed over.
fn add(headers: &mut HeaderMap, name: &[u8], value: &[u8]) -> Option<()> {
    let dashed = |byte: &u8| if *byte == b'_' { b'-' } else { *byte };
    let name: Vec<u8> = name.iter().map(dashed).collect();
    let name = HeaderName::from_bytes(&name).ok()?;
    let value = HeaderValue::from_bytes(value).ok()?;
    // Apache joins headers of one name with commas. No credential has one in it, so that a header that has may have
    // been two, and is handed on as two: of a credential, that is one too many.
    if value.as_bytes().contains(&b',') {
        headers.try_append(name.clone(), value.clone()).ok()?;
    }
    headers.try_append(name, value).ok()?;
    (headers.len() <= HEADERS).then_some(())
}

/// The answer, as an authorizer gives it: with a 200, variables for the server; otherwise the answer to the client.
pub(super) fn answer(verdict: &Result<Admission, Denial>) -> String {
    let admission = match verdict {
        Ok(admission) => admission,
        Err(denial) => return denied(denial),
    };
    // Without a status of its own, an answer would be taken for a 200.
    let mut text = "Status: 200 OK\r\n".to_owned();
    for (name, value) in &admission.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        let _ = write!(text, "Variable-{}: {value}\r\n", variable(name));
    }
    text.push_str("\r\n");
    text
}

fn denied(denial: &Denial) -> String {
    let reason = denial.status.canonical_reason().unwrap_or("Denied");
    let mut text = format!("Status: {} {reason}\r\n", denial.status.as_u16());
    if let Some(challenge) = denial.challenge.as_ref().and_then(|value| value.to_str().ok()) {
        let _ = write!(text, "WWW-Authenticate: {challenge}\r\n");
    }
    if let Some(seconds) = denial.retry_after {
        let _ = write!(text, "Retry-After: {seconds}\r\n");
    }
    // Apache says that every body of an authorizer is HTML; by this header the shipped configuration knows better.
    let _ = write!(text, "X-Patrol-Code: {}\r\n", denial.code);
    text.push_str("Cache-Control: no-store\r\nContent-Type: application/json\r\n\r\n");
    text.push_str(denial.to_response().body());
    text
}

/// `x-patrol-user-name` becomes `PATROL_USER_NAME`.
fn variable(header: &HeaderName) -> String {
    let name = header.as_str();
    let name = name.strip_prefix(PREFIX).unwrap_or(name);
    format!("PATROL_{}", name.to_ascii_uppercase().replace('-', "_"))
}
