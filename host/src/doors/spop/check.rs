//! From a message to a question, and from the answer to variables.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use spop::frames::Ack;
use spop::types::TypedData;
use spop::{SpopFrame as _, VarScope};

use super::frame::{Message, Value, string};
use crate::doors::question::{HEADERS, PREFIX, Question};
use crate::gate::{Admission, Denial, Door, Gate, IDENTITY_HEADERS};

/// The message by which the shipped configuration asks.
const MESSAGE: &[u8] = b"check";

/// The verdict on the messages of one NOTIFY; none where there is no question among them.
pub(super) fn verdict(gate: &Gate, messages: &[Message<'_>]) -> Option<Result<Admission, Denial>> {
    let mut checks = messages.iter().filter(|message| message.name == MESSAGE);
    let check = checks.next()?;
    let question = question(check).filter(|_| checks.next().is_none());
    let Some(question) = question else {
        let message =
            "the gateway must send method, uri, source and headers, once each: see host/gateways/haproxy";
        return Some(Err(Denial::bad_request("E_400_GATEWAY", message)));
    };
    Some(question.ask(gate, Door::Spop))
}

/// Nothing where an argument is missing, there twice, or of the wrong kind. Others are nobody's business.
fn question<'a>(message: &Message<'a>) -> Option<Question<'a>> {
    let only = |name: &str| {
        let mut found = message
            .arguments
            .iter()
            .filter(|(known, _)| *known == name.as_bytes());
        let (_, value) = found.next()?;
        found.next().is_none().then_some(value)
    };
    let method = only("method")?.bytes().filter(|text| !text.is_empty())?;
    // Path and query only: HAProxy cuts off scheme and host where a client sends them.
    let uri = only("uri")?.bytes().filter(|text| text.starts_with(b"/"))?;
    let address = match only("source")? {
        Value::Plain(TypedData::IPv4(address)) => Some(IpAddr::from(*address)),
        Value::Plain(TypedData::IPv6(address)) => Some(IpAddr::from(*address).to_canonical()),
        // A client on a Unix socket has none.
        Value::Plain(TypedData::Null) => None,
        _ => return None,
    };
    Some(Question {
        method: String::from_utf8_lossy(method),
        uri: String::from_utf8_lossy(uri),
        headers: headers(only("headers")?.bytes()?)?,
        address,
    })
}

/// `req.hdrs_bin`: names and values, ended by an empty name and an empty value. A header that cannot be read could be
/// a credential, so that nothing is passed over.
fn headers(mut list: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    loop {
        let (name, rest) = string(list)?;
        let (value, rest) = string(rest)?;
        list = rest;
        if name.is_empty() {
            return (value.is_empty() && rest.is_empty()).then_some(headers);
        }
        let name = HeaderName::from_bytes(name).ok()?;
        let value = HeaderValue::from_bytes(value).ok()?;
        headers.try_append(name, value).ok()?;
        if headers.len() > HEADERS {
            return None;
        }
    }
}

/// Acknowledges a NOTIFY, with all variables that a verdict has, whatever it is: none keeps a value from before.
pub(super) fn acknowledge(
    out: &mut Vec<u8>,
    (stream, frame): (u64, u64),
    verdict: Option<&Result<Admission, Denial>>,
    max_bytes: usize,
) -> std::io::Result<()> {
    let begun = out.len();
    let ack = Ack::new(stream, frame);
    match verdict {
        None => ack,
        Some(Ok(admission)) => admitted(ack, admission),
        Some(Err(denial)) => denied(ack, denial),
    }
    .serialize_into(out)?;
    if out.len().saturating_sub(begun) <= max_bytes {
        return Ok(());
    }
    // An identity that does not fit is no identity.
    tracing::warn!(
        max_bytes,
        "an answer is larger than the gateway takes: it is told that there is no verdict"
    );
    out.truncate(begun);
    denied(Ack::new(stream, frame), &Denial::undecided()).serialize_into(out)
}

fn admitted(ack: Ack, admission: &Admission) -> Ack {
    let ack = set(ack, "allow", true);
    let ack = set(ack, "status", 200_u32);
    let ack = plain(ack, ["", "", ""]);
    admission.headers.iter().fold(ack, |ack, (name, value)| {
        set(
            ack,
            &variable(name),
            String::from_utf8_lossy(value.as_bytes()).into_owned(),
        )
    })
}

fn denied(ack: Ack, denial: &Denial) -> Ack {
    let ack = set(ack, "allow", false);
    let ack = set(ack, "status", u32::from(denial.status.as_u16()));
    let challenge = denial.challenge.as_ref().and_then(|value| value.to_str().ok());
    let wait = denial.retry_after.map(|seconds| seconds.to_string());
    let ack = plain(
        ack,
        [
            challenge.unwrap_or_default(),
            wait.as_deref().unwrap_or_default(),
            denial.to_response().body(),
        ],
    );
    IDENTITY_HEADERS
        .iter()
        .fold(ack, |ack, name| set(ack, &variable(name), ""))
}

fn plain(ack: Ack, [challenge, wait, body]: [&str; 3]) -> Ack {
    let ack = set(ack, "www_authenticate", challenge);
    let ack = set(ack, "retry_after", wait);
    set(ack, "body", body)
}

fn set(ack: Ack, name: &str, value: impl Into<TypedData>) -> Ack {
    ack.set_var(VarScope::Transaction, name, value)
}

/// `x-patrol-user-name` becomes `user_name`.
fn variable(header: &HeaderName) -> String {
    let name = header.as_str();
    name.strip_prefix(PREFIX).unwrap_or(name).replace('-', "_")
}
