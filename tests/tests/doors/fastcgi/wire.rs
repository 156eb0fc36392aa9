//! Records, put together and taken apart by hand.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpStream;

use super::super::{Listener, PATIENCE, read};

pub(super) const BEGIN: u8 = 1;
pub(super) const ABORT: u8 = 2;
pub(super) const END: u8 = 3;
pub(super) const PARAMS: u8 = 4;
pub(super) const STDIN: u8 = 5;
pub(super) const STDOUT: u8 = 6;
pub(super) const GET_VALUES: u8 = 9;
pub(super) const GET_VALUES_RESULT: u8 = 10;
pub(super) const UNKNOWN_TYPE: u8 = 11;

pub(super) const RESPONDER: u8 = 1;
pub(super) const AUTHORIZER: u8 = 2;
pub(super) const FILTER: u8 = 3;

pub(super) const COMPLETE: u8 = 0;
pub(super) const CANNOT_MULTIPLEX: u8 = 1;
pub(super) const UNKNOWN_ROLE: u8 = 3;

pub(super) fn record(kind: u8, request: u16, content: &[u8], padding: u8) -> Vec<u8> {
    let [high, low] = request.to_be_bytes();
    let [long, short] = (content.len() as u16).to_be_bytes();
    let padded = vec![0xee; padding.into()];
    [
        &[1, kind, high, low, long, short, padding, 0][..],
        content,
        &padded,
    ]
    .concat()
}

pub(super) fn begin(request: u16, role: u8, keep: bool) -> Vec<u8> {
    record(BEGIN, request, &[0, role, keep.into(), 0, 0, 0, 0, 0], 0)
}

pub(super) fn length(length: usize) -> Vec<u8> {
    match length {
        0..128 => vec![length as u8],
        _ => (length as u32 | 0x8000_0000).to_be_bytes().to_vec(),
    }
}

pub(super) fn pair(name: &str, value: &str) -> Vec<u8> {
    [
        &length(name.len())[..],
        &length(value.len()),
        name.as_bytes(),
        value.as_bytes(),
    ]
    .concat()
}

/// What Apache sends for a request with these variables among others.
pub(super) fn variables(more: &[(&str, &str)]) -> Vec<u8> {
    let usual = [
        ("SERVER_SOFTWARE", "Apache"),
        ("REQUEST_METHOD", "GET"),
        ("REQUEST_URI", "/thing?a=b"),
        ("REMOTE_ADDR", "192.0.2.7"),
        ("HTTP_HOST", "a"),
        ("HTTP_USER_AGENT", "test (a, b)"),
        ("FCGI_ROLE", "AUTHORIZER"),
        ("FCGI_APACHE_ROLE", "AUTHENTICATOR"),
    ];
    let all = usual.iter().chain(more).map(|(name, value)| pair(name, value));
    all.collect::<Vec<_>>().concat()
}

pub(super) fn bearer(token: &str) -> Vec<u8> {
    variables(&[("HTTP_AUTHORIZATION", &format!("Bearer {token}"))])
}

pub(super) fn question(request: u16, keep: bool, variables: &[u8]) -> Vec<u8> {
    let chunks = variables
        .chunks(60_000)
        .map(|chunk| record(PARAMS, request, chunk, 0));
    [
        begin(request, AUTHORIZER, keep),
        chunks.collect::<Vec<_>>().concat(),
        record(PARAMS, request, &[], 0),
    ]
    .concat()
}

/// A record that the door sent.
#[derive(Debug, PartialEq)]
pub(super) struct Record {
    pub(super) kind: u8,
    pub(super) request: u16,
    pub(super) content: Vec<u8>,
}

/// The next record, if there is one before the door closes.
pub(super) fn next(stream: &mut TcpStream) -> Option<Record> {
    let head = read(stream, 8);
    if head.is_empty() {
        return None;
    }
    assert_eq!((head.len(), head[0]), (8, 1), "{head:?}");
    let content = usize::from(u16::from_be_bytes([head[4], head[5]]));
    let mut body = read(stream, content + usize::from(head[6]));
    body.truncate(content);
    Some(Record {
        kind: head[1],
        request: u16::from_be_bytes([head[2], head[3]]),
        content: body,
    })
}

/// What is said to a request: status, headers and body.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn status(&self) -> &str {
        &self.headers["Status"]
    }

    pub(super) fn variables(&self) -> Vec<&str> {
        let names = self.headers.keys().map(String::as_str);
        names.filter(|name| name.starts_with("Variable-")).collect()
    }
}

pub(super) fn answer(stream: &mut TcpStream, request: u16) -> Answer {
    let mut said = Vec::new();
    loop {
        let record = next(stream).expect("an answer");
        assert_eq!((record.kind, record.request), (STDOUT, request));
        if record.content.is_empty() {
            break;
        }
        said.extend(record.content);
    }
    assert_eq!(next(stream).unwrap(), ended(request, COMPLETE));
    let said = String::from_utf8(said).unwrap();
    let (head, body) = said.split_once("\r\n\r\n").unwrap();
    let mut headers = BTreeMap::new();
    for line in head.split("\r\n") {
        let (name, value) = line.split_once(": ").unwrap();
        assert_eq!(headers.insert(name.to_owned(), value.to_owned()), None);
    }
    Answer {
        headers,
        body: body.to_owned(),
    }
}

pub(super) fn ended(request: u16, how: u8) -> Record {
    Record {
        kind: END,
        request,
        content: vec![0, 0, 0, 0, how, 0, 0, 0],
    }
}

pub(super) fn ask(door: &Listener, variables: &[u8]) -> Answer {
    let mut stream = door.connect(PATIENCE);
    stream.write_all(&question(1, false, variables)).unwrap();
    let said = answer(&mut stream, 1);
    assert_eq!(next(&mut stream), None, "no other request was announced");
    said
}
