//! Frames, put together and taken apart by hand.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpStream;

use super::super::{Listener, PATIENCE, read};

pub(super) const HAPROXY_HELLO: u8 = 1;
pub(super) const HAPROXY_DISCONNECT: u8 = 2;
pub(super) const NOTIFY: u8 = 3;
pub(super) const AGENT_HELLO: u8 = 101;
pub(super) const AGENT_DISCONNECT: u8 = 102;
pub(super) const ACK: u8 = 103;
pub(super) const FIN: u32 = 1;
pub(super) const ABORT: u32 = 2;

pub(super) const TOO_BIG: u32 = 3;
pub(super) const INVALID: u32 = 4;
pub(super) const NO_VERSION: u32 = 5;
pub(super) const NO_FRAME_SIZE: u32 = 6;
pub(super) const NO_CAPABILITIES: u32 = 7;
pub(super) const BAD_VERSION: u32 = 8;
pub(super) const BAD_FRAME_SIZE: u32 = 9;
pub(super) const NO_FRAGMENTS: u32 = 10;

pub(super) const IDENTITY: [&str; 9] = [
    "user",
    "user_name",
    "tenant",
    "roles",
    "token_id",
    "token_name",
    "session",
    "expires",
    "identity",
];

/// A value with its type.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(u64),
    Text(String),
}

pub(super) fn varint(mut number: u64) -> Vec<u8> {
    if number < 240 {
        return vec![number as u8];
    }
    let mut bytes = vec![number as u8 | 240];
    number = (number - 240) >> 4;
    while number >= 128 {
        bytes.push(number as u8 | 128);
        number = (number - 128) >> 7;
    }
    bytes.push(number as u8);
    bytes
}

pub(super) fn string(text: &[u8]) -> Vec<u8> {
    [&varint(text.len() as u64), text].concat()
}

/// Takes apart what the door says.
pub(super) struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    pub(super) fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap();
        self.0 = rest;
        *first
    }

    pub(super) fn varint(&mut self) -> u64 {
        let mut number = u64::from(self.byte());
        let mut shift = 4;
        if number >= 240 {
            loop {
                let byte = self.byte();
                number += u64::from(byte) << shift;
                shift += 7;
                if byte < 128 {
                    break;
                }
            }
        }
        number
    }

    pub(super) fn string(&mut self) -> String {
        let length = self.varint() as usize;
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        String::from_utf8(text.to_vec()).unwrap()
    }

    pub(super) fn value(&mut self) -> Value {
        let kind = self.byte();
        match kind & 15 {
            0 => Value::Null,
            1 => Value::Bool(kind & 16 != 0),
            2..=5 => Value::Number(self.varint()),
            8 => Value::Text(self.string()),
            other => panic!("type {other}"),
        }
    }
}

/// A frame, whatever is in it.
pub(super) fn frame(kind: u8, flags: u32, ids: (u64, u64), payload: &[u8]) -> Vec<u8> {
    let body = [
        &[kind][..],
        &flags.to_be_bytes(),
        &varint(ids.0),
        &varint(ids.1),
        payload,
    ]
    .concat();
    [&(body.len() as u32).to_be_bytes()[..], &body].concat()
}

/// A frame that the door sent.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) ids: (u64, u64),
    pub(super) payload: Vec<u8>,
}

impl Frame {
    pub(super) fn pairs(&self) -> BTreeMap<String, Value> {
        let mut reader = Reader(&self.payload);
        let mut pairs = BTreeMap::new();
        while !reader.0.is_empty() {
            let name = reader.string();
            assert_eq!(pairs.insert(name, reader.value()), None);
        }
        pairs
    }

    /// The variables that an ACK sets, all of them in the scope of the transaction.
    pub(super) fn variables(&self) -> BTreeMap<String, Value> {
        assert_eq!(self.kind, ACK, "{self:?}");
        let mut reader = Reader(&self.payload);
        let mut variables = BTreeMap::new();
        while !reader.0.is_empty() {
            // SET-VAR, three arguments, TRANSACTION.
            assert_eq!([reader.byte(), reader.byte(), reader.byte()], [1, 3, 2]);
            let name = reader.string();
            assert_eq!(variables.insert(name, reader.value()), None, "each is set once");
        }
        variables
    }
}

/// The next frame, if there is one before the door closes.
pub(super) fn next(stream: &mut TcpStream) -> Option<Frame> {
    let length = read(stream, 4);
    if length.is_empty() {
        return None;
    }
    let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
    let body = read(stream, length);
    assert_eq!(body.len(), length, "a frame is whole");
    assert_eq!(body[1..5], FIN.to_be_bytes(), "nothing is fragmented");
    let mut reader = Reader(&body[5..]);
    let ids = (reader.varint(), reader.varint());
    Some(Frame {
        kind: body[0],
        ids,
        payload: reader.0.to_vec(),
    })
}

pub(super) fn typed_text(text: &str) -> Vec<u8> {
    [&[8][..], &string(text.as_bytes())].concat()
}

/// What HAProxy says first, by default.
pub(super) fn hello_items() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("supported-versions", typed_text("2.0")),
        ("max-frame-size", [&[3][..], &varint(16_380)].concat()),
        ("capabilities", typed_text("pipelining,async,fragmentation")),
        ("engine-id", typed_text("an engine")),
    ]
}

pub(super) fn pairs(items: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let pairs = items
        .iter()
        .map(|(name, value)| [&string(name.as_bytes())[..], value].concat());
    pairs.collect::<Vec<_>>().concat()
}

/// `req.hdrs_bin`.
pub(super) fn headers(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut list = Vec::new();
    for (name, value) in headers.iter().chain(&[("", "")]) {
        list.extend(string(name.as_bytes()));
        list.extend(string(value.as_bytes()));
    }
    [&[9][..], &string(&list)].concat()
}

/// What the shipped configuration asks with, for a request with these headers.
pub(super) fn arguments(sent: &[(&str, &str)]) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("method", typed_text("GET")),
        ("uri", typed_text("/thing?a=b")),
        ("source", vec![6, 192, 0, 2, 7]),
        ("headers", headers(sent)),
    ]
}

pub(super) fn message(name: &str, arguments: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let count = [arguments.len() as u8];
    [&string(name.as_bytes())[..], &count, &pairs(arguments)].concat()
}

pub(super) fn notify(ids: (u64, u64), arguments: &[(&str, Vec<u8>)]) -> Vec<u8> {
    frame(NOTIFY, FIN, ids, &message("check", arguments))
}

/// A connection on which both have said HELLO.
pub(super) fn greeted(door: &Listener) -> TcpStream {
    let mut stream = door.connect(PATIENCE);
    let hello = frame(HAPROXY_HELLO, FIN, (0, 0), &pairs(&hello_items()));
    stream.write_all(&hello).unwrap();
    assert_eq!(next(&mut stream).unwrap().kind, AGENT_HELLO);
    stream
}

pub(super) fn ask(stream: &mut TcpStream, arguments: &[(&str, Vec<u8>)]) -> BTreeMap<String, Value> {
    stream.write_all(&notify((7, 1), arguments)).unwrap();
    let answer = next(stream).unwrap();
    assert_eq!(answer.ids, (7, 1));
    answer.variables()
}

pub(super) fn bearer(token: &str) -> Vec<(&'static str, Vec<u8>)> {
    arguments(&[("host", "a"), ("authorization", &format!("Bearer {token}"))])
}

/// Asserts that the connection is ended, by a DISCONNECT with this status, and by nothing after it.
pub(super) fn assert_left(mut stream: TcpStream, status: u32, what: &str) {
    let Some(last) = next(&mut stream) else {
        panic!("{what}: closed without a word");
    };
    assert_eq!((last.kind, last.ids), (AGENT_DISCONNECT, (0, 0)), "{what}");
    let said = last.pairs();
    assert_eq!(
        said["status-code"],
        Value::Number(status.into()),
        "{what}: {said:?}"
    );
    assert!(
        matches!(&said["message"], Value::Text(text) if !text.is_empty()),
        "{what}"
    );
    assert!(next(&mut stream).is_none(), "{what}: it goes on");
}

pub(super) fn named(text: &str) -> Value {
    Value::Text(text.to_owned())
}
