//! HAProxy's SPOE, as its `SPOE.txt` describes it. Frames are put together here by hand, not by what the door uses.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use patrol::doors::spop::serve;
use patrol_policy::types::{DAY, HOUR};
use patrol_tests::deployment::{Deployment, START, id, operator, user};
use serde_json::json;

use super::{Door, read, text};

const HAPROXY_HELLO: u8 = 1;
const HAPROXY_DISCONNECT: u8 = 2;
const NOTIFY: u8 = 3;
const AGENT_HELLO: u8 = 101;
const AGENT_DISCONNECT: u8 = 102;
const ACK: u8 = 103;
const FIN: u32 = 1;
const ABORT: u32 = 2;

const TOO_BIG: u32 = 3;
const INVALID: u32 = 4;
const NO_VERSION: u32 = 5;
const NO_FRAME_SIZE: u32 = 6;
const NO_CAPABILITIES: u32 = 7;
const BAD_VERSION: u32 = 8;
const BAD_FRAME_SIZE: u32 = 9;
const NO_FRAGMENTS: u32 = 10;

const IDENTITY: [&str; 8] = [
    "user",
    "user_name",
    "tenant",
    "roles",
    "token_id",
    "token_name",
    "session",
    "expires",
];

/// A value with its type.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Null,
    Bool(bool),
    Number(u64),
    Text(String),
}

fn varint(mut number: u64) -> Vec<u8> {
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

fn string(text: &[u8]) -> Vec<u8> {
    [&varint(text.len() as u64), text].concat()
}

/// Takes apart what the door says.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap();
        self.0 = rest;
        *first
    }

    fn varint(&mut self) -> u64 {
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

    fn string(&mut self) -> String {
        let length = self.varint() as usize;
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        String::from_utf8(text.to_vec()).unwrap()
    }

    fn value(&mut self) -> Value {
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
fn frame(kind: u8, flags: u32, ids: (u64, u64), payload: &[u8]) -> Vec<u8> {
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
struct Frame {
    kind: u8,
    ids: (u64, u64),
    payload: Vec<u8>,
}

impl Frame {
    fn pairs(&self) -> BTreeMap<String, Value> {
        let mut reader = Reader(&self.payload);
        let mut pairs = BTreeMap::new();
        while !reader.0.is_empty() {
            let name = reader.string();
            assert_eq!(pairs.insert(name, reader.value()), None);
        }
        pairs
    }

    /// The variables that an ACK sets, all of them in the scope of the transaction.
    fn variables(&self) -> BTreeMap<String, Value> {
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
fn next(stream: &mut TcpStream) -> Option<Frame> {
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

fn typed_text(text: &str) -> Vec<u8> {
    [&[8][..], &string(text.as_bytes())].concat()
}

/// What HAProxy says first, by default.
fn hello_items() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("supported-versions", typed_text("2.0")),
        ("max-frame-size", [&[3][..], &varint(16_380)].concat()),
        ("capabilities", typed_text("pipelining,async,fragmentation")),
        ("engine-id", typed_text("an engine")),
    ]
}

fn pairs(items: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let pairs = items
        .iter()
        .map(|(name, value)| [&string(name.as_bytes())[..], value].concat());
    pairs.collect::<Vec<_>>().concat()
}

/// `req.hdrs_bin`.
fn headers(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut list = Vec::new();
    for (name, value) in headers.iter().chain(&[("", "")]) {
        list.extend(string(name.as_bytes()));
        list.extend(string(value.as_bytes()));
    }
    [&[9][..], &string(&list)].concat()
}

/// What the shipped configuration asks with, for a request with these headers.
fn arguments(sent: &[(&str, &str)]) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("method", typed_text("GET")),
        ("uri", typed_text("/thing?a=b")),
        ("source", vec![6, 192, 0, 2, 7]),
        ("headers", headers(sent)),
    ]
}

fn message(name: &str, arguments: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let count = [arguments.len() as u8];
    [&string(name.as_bytes())[..], &count, &pairs(arguments)].concat()
}

fn notify(ids: (u64, u64), arguments: &[(&str, Vec<u8>)]) -> Vec<u8> {
    frame(NOTIFY, FIN, ids, &message("check", arguments))
}

/// A connection on which both have said HELLO.
fn greeted(door: &Door) -> TcpStream {
    let mut stream = door.connect();
    let hello = frame(HAPROXY_HELLO, FIN, (0, 0), &pairs(&hello_items()));
    stream.write_all(&hello).unwrap();
    assert_eq!(next(&mut stream).unwrap().kind, AGENT_HELLO);
    stream
}

fn ask(stream: &mut TcpStream, arguments: &[(&str, Vec<u8>)]) -> BTreeMap<String, Value> {
    stream.write_all(&notify((7, 1), arguments)).unwrap();
    let answer = next(stream).unwrap();
    assert_eq!(answer.ids, (7, 1));
    answer.variables()
}

fn bearer(token: &str) -> Vec<(&'static str, Vec<u8>)> {
    arguments(&[("host", "a"), ("authorization", &format!("Bearer {token}"))])
}

/// Asserts that the connection is ended, by a DISCONNECT with this status, and by nothing after it.
fn assert_left(mut stream: TcpStream, status: u32, what: &str) {
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

fn named(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[test]
fn both_say_hello_and_agree_on_the_smaller_frame() {
    let it = Deployment::new();
    let door = Door::start(&it.patrol, serve);
    for (offered, agreed) in [(4_096, 4_096), (16_380, 16_380), (1 << 30, 65_536)] {
        let mut stream = door.connect();
        let mut items = hello_items();
        items[1].1 = [&[3][..], &varint(offered)].concat();
        // HAProxy checks health so, and hangs up.
        items.push(("healthcheck", vec![0x11]));
        stream
            .write_all(&frame(HAPROXY_HELLO, FIN, (0, 0), &pairs(&items)))
            .unwrap();
        let answer = next(&mut stream).unwrap();
        assert_eq!((answer.kind, answer.ids), (AGENT_HELLO, (0, 0)));
        let expected = [
            ("capabilities", named("pipelining")),
            ("max-frame-size", Value::Number(agreed)),
            ("version", named("2.0")),
        ];
        assert!(
            answer
                .pairs()
                .into_iter()
                .eq(expected.map(|(name, value)| (name.to_owned(), value)))
        );
    }
}

#[test]
fn a_hello_that_cannot_be_agreed_to_is_answered_by_why() {
    let it = Deployment::new();
    let door = Door::start(&it.patrol, serve);
    let without = |missing: &str| {
        let items = hello_items().into_iter().filter(|(name, _)| *name != missing);
        items.collect::<Vec<_>>()
    };
    let with = |name: &'static str, value: Vec<u8>| {
        let mut items = without(name);
        items.push((name, value));
        items
    };
    let size = |size: u64| with("max-frame-size", [&[3][..], &varint(size)].concat());
    let mut twice = hello_items();
    twice.push(twice[0].clone());
    let cases = [
        (without("supported-versions"), NO_VERSION),
        (with("supported-versions", vec![0]), NO_VERSION),
        (with("supported-versions", typed_text("1.0")), BAD_VERSION),
        (with("supported-versions", typed_text("nonsense")), BAD_VERSION),
        (with("supported-versions", typed_text("")), BAD_VERSION),
        (without("max-frame-size"), NO_FRAME_SIZE),
        (with("max-frame-size", typed_text("16380")), NO_FRAME_SIZE),
        (size(0), BAD_FRAME_SIZE),
        (size(4_095), BAD_FRAME_SIZE),
        (without("capabilities"), NO_CAPABILITIES),
        (twice, INVALID),
    ];
    for (items, status) in cases {
        let mut stream = door.connect();
        stream
            .write_all(&frame(HAPROXY_HELLO, FIN, (0, 0), &pairs(&items)))
            .unwrap();
        assert_left(stream, status, &format!("{items:?}"));
    }
    // Whoever speaks an older version as well is spoken to.
    let mut stream = door.connect();
    let items = with("supported-versions", typed_text("1.0, 2.0"));
    stream
        .write_all(&frame(HAPROXY_HELLO, FIN, (0, 0), &pairs(&items)))
        .unwrap();
    assert_eq!(next(&mut stream).unwrap().kind, AGENT_HELLO);
}

#[test]
fn a_good_token_sets_every_variable_and_allow_among_them() {
    let it = Deployment::new();
    let door = Door::start(&it.patrol, serve);
    let token = it.issue(it.alice, "nightly \u{2013} b");
    let mut stream = greeted(&door);
    let said = ask(&mut stream, &bearer(&text(&token)));
    let expected = [
        ("allow", Value::Bool(true)),
        ("status", Value::Number(200)),
        ("www_authenticate", named("")),
        ("retry_after", named("")),
        ("body", named("")),
        ("user", named(&it.alice.to_string())),
        ("user_name", named("alice")),
        ("tenant", named(&it.tenant.to_string())),
        ("roles", named("admin")),
        ("token_id", named(&id(&token).to_string())),
        ("token_name", named("nightly %E2%80%93 b")),
        ("session", named("")),
        ("expires", said["expires"].clone()),
    ];
    let expected: BTreeMap<_, _> = expected
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    assert_eq!(said, expected);
    assert!(matches!(&said["expires"], Value::Text(text) if text.ends_with('Z')));

    // A session says which.
    let session = String::from_utf8(it.sign_in(&token)).unwrap();
    let said = ask(&mut stream, &arguments(&[("x-tableau-session-token", &session)]));
    assert_eq!(said["allow"], Value::Bool(true));
    assert_ne!(said["session"], named(""));
}

#[test]
fn a_refusal_sets_every_variable_and_no_identity() {
    let it = Deployment::new();
    let door = Door::start(&it.patrol, serve);
    let mut stream = greeted(&door);
    let [revoked, expired] = ["revoked", "expired"].map(|name| it.issue_until(it.alice, name, START + HOUR));
    let resting = it.issue_until(it.bob, "resting", START + DAY);
    it.patrol.revoke(&operator(), id(&revoked)).unwrap();
    it.patrol.set_enabled(&operator(), &user(it.bob), false).unwrap();
    it.clock.set(START + HOUR);
    let wrong = [
        text(&revoked),
        text(&expired),
        text(&resting),
        "nonsense".to_owned(),
    ];
    let answers = wrong.map(|token| ask(&mut stream, &bearer(&token)));
    for said in &answers {
        assert_eq!(said, &answers[0], "they do not say why");
    }
    let said = &answers[0];
    assert_eq!(said["allow"], Value::Bool(false));
    assert_eq!(said["status"], Value::Number(401));
    assert_eq!(
        said["www_authenticate"],
        named(r#"Bearer realm="patrol", error="invalid_token""#)
    );
    let Value::Text(body) = &said["body"] else {
        panic!("{said:?}")
    };
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let expected = json!({"errorCode": "E_401_UNAUTHORIZED", "message": "the token is not accepted"});
    assert_eq!(body, expected);
    for name in IDENTITY {
        assert_eq!(said[name], named(""), "{name}");
    }

    let none = ask(&mut stream, &arguments(&[("host", "a")]));
    assert_eq!(none["status"], Value::Number(401));
    assert_eq!(none["www_authenticate"], named(r#"Bearer realm="patrol""#));
}

#[test]
fn the_audit_trail_tells_of_the_address_and_the_path_that_haproxy_named() {
    let it = Deployment::new();
    let door = Door::start(&it.patrol, serve);
    let mut stream = greeted(&door);
    let mapped = [&[0_u8; 10][..], &[0xff, 0xff, 192, 0, 2, 9]].concat();
    let sources = [
        (vec![6, 192, 0, 2, 7], json!("192.0.2.7")),
        ([&[7][..], &mapped].concat(), json!("192.0.2.9")),
        // A client on a Unix socket.
        (vec![0], json!(null)),
    ];
    for (source, expected) in sources {
        let mut arguments = bearer("nonsense");
        arguments[2].1 = source;
        assert_eq!(ask(&mut stream, &arguments)["status"], Value::Number(401));
        let event = it.last_event("verify_personal_access_token");
        assert_eq!(event["initiatingUserIpAddress"], expected, "{event}");
        assert_eq!(event["initiatingUrl"], json!("/thing"), "{event}");
    }
}

#[test]
fn a_question_that_lacks_something_is_answered_400() {
    let it = Deployment::new();
    let door = Door::start(&it.patrol, serve);
    let good = bearer(&text(&it.issue(it.alice, "good")));
    let with = |name: &'static str, value: Vec<u8>| {
        let mut arguments = good.clone();
        arguments.retain(|(known, _)| *known != name);
        arguments.push((name, value));
        arguments
    };
    let mut cases = Vec::new();
    for index in 0..good.len() {
        let (mut missing, mut twice) = (good.clone(), good.clone());
        missing.remove(index);
        twice.push(good[index].clone());
        cases.extend([missing, twice]);
    }
    let list = |bytes: &[u8]| [&[9][..], &string(bytes)].concat();
    cases.extend([
        with("method", vec![0]),
        with("method", typed_text("")),
        with("uri", vec![0]),
        with("uri", typed_text("")),
        with("uri", typed_text("*")),
        with("uri", typed_text("http://other/thing")),
        with("source", typed_text("192.0.2.7")),
        with("headers", vec![0]),
        with("headers", list(b"")),
        // Not ended, ended early, a name or value that no header has.
        with("headers", list(b"\x01a\x01b")),
        with("headers", list(b"\x01a\x01b\0")),
        with("headers", list(b"\x01a\x01b\0\x01x")),
        with("headers", list(b"\x01a\x01b\0\0\x01a\x01b\0\0")),
        with("headers", list(b"\x01a\xef\0\0")),
        with("headers", list(b"\x02a \x01b\0\0")),
        with("headers", list(b"\x01a\x02b\n\0\0")),
    ]);
    let many: Vec<_> = (0..600).map(|_| ("a", "b")).collect();
    cases.push(with("headers", headers(&many)));
    let mut stream = greeted(&door);
    for arguments in &cases {
        let said = ask(&mut stream, arguments);
        assert_eq!(said["allow"], Value::Bool(false), "{arguments:?}");
        assert_eq!(said["status"], Value::Number(400), "{arguments:?}");
        assert_eq!(said["user"], named(""));
    }
    // Two questions in one.
    let two = [message("check", &good), message("check", &good)].concat();
    stream.write_all(&frame(NOTIFY, FIN, (7, 1), &two)).unwrap();
    assert_eq!(
        next(&mut stream).unwrap().variables()["status"],
        Value::Number(400)
    );
    // No question: nothing is said, so nothing is allowed.
    for other in [message("other", &good), Vec::new()] {
        stream.write_all(&frame(NOTIFY, FIN, (7, 1), &other)).unwrap();
        assert_eq!(next(&mut stream).unwrap().variables(), BTreeMap::new());
    }
    // What is not asked for is passed over, and the connection still serves.
    let more = [&good[..], &[("more", vec![0x11])]].concat();
    assert_eq!(ask(&mut stream, &more)["allow"], Value::Bool(true));
}

#[test]
fn two_credentials_are_seen_as_two() {
    let it = Deployment::new();
    let door = Door::start(&it.patrol, serve);
    let mut stream = greeted(&door);
    let token = text(&it.issue(it.alice, "twice"));
    let bearer = format!("Bearer {token}");
    for second in [
        ("authorization", &*bearer),
        ("Authorization", &bearer),
        ("x-tableau-session-token", "x"),
    ] {
        let said = ask(&mut stream, &arguments(&[("authorization", &bearer), second]));
        assert_eq!(
            (&said["allow"], &said["status"]),
            (&Value::Bool(false), &Value::Number(400)),
            "{second:?}"
        );
    }
}

#[test]
fn many_questions_at_once_are_answered_each_in_their_order() {
    let it = Deployment::new();
    let door = Door::start(&it.patrol, serve);
    let mut stream = greeted(&door);
    let good = text(&it.issue(it.alice, "good"));
    // In one piece, then byte by byte.
    let questions: Vec<_> = (0..200_u64)
        .map(|n| {
            let token = if n % 3 == 0 { &*good } else { "nonsense" };
            notify((n * 1_000, n % 7), &bearer(token))
        })
        .collect();
    let mut writer = stream.try_clone().unwrap();
    let all = questions.concat();
    let last = questions[0].clone();
    let writing = std::thread::spawn(move || {
        writer.write_all(&all).unwrap();
        for byte in last {
            writer.write_all(&[byte]).unwrap();
        }
    });
    for n in (0..200_u64).chain([0]) {
        let answer = next(&mut stream).unwrap();
        assert_eq!(answer.ids, (n * 1_000, n % 7));
        assert_eq!(answer.variables()["allow"], Value::Bool(n % 3 == 0), "{n}");
    }
    writing.join().unwrap();
}

#[test]
fn what_is_no_frame_ends_the_connection_with_why() {
    let it = Deployment::new();
    let door = Door::start(&it.patrol, serve);
    let good = bearer(&text(&it.issue(it.alice, "good")));
    let payload = message("check", &good);
    let ids = (7, 1);
    let cases = [
        (
            "a frame beyond what was agreed",
            16_381_u32.to_be_bytes().to_vec(),
            TOO_BIG,
        ),
        ("a frame of 4 GiB", u32::MAX.to_be_bytes().to_vec(), TOO_BIG),
        ("a frame of nothing", vec![0; 4], INVALID),
        ("a frame without flags", vec![0, 0, 0, 1, 3], INVALID),
        ("HTTP", b"GET / HTTP/1.1\r\n\r\n".to_vec(), TOO_BIG),
        ("an unknown type", frame(77, FIN, ids, &payload), INVALID),
        ("what only an agent says", frame(ACK, FIN, ids, &[]), INVALID),
        (
            "a second HELLO",
            frame(HAPROXY_HELLO, FIN, (0, 0), &pairs(&hello_items())),
            INVALID,
        ),
        ("a fragment", frame(NOTIFY, 0, ids, &payload), NO_FRAGMENTS),
        (
            "the rest of a fragment",
            frame(0, FIN, ids, &payload),
            NO_FRAGMENTS,
        ),
        ("an abort", frame(NOTIFY, FIN | ABORT, ids, &payload), INVALID),
        (
            "a message cut short",
            frame(NOTIFY, FIN, ids, &payload[..payload.len() - 1]),
            INVALID,
        ),
        (
            "a message with a rest",
            frame(NOTIFY, FIN, ids, &[&payload[..], &[1]].concat()),
            INVALID,
        ),
        (
            "more arguments than there are",
            frame(NOTIFY, FIN, ids, b"\x05check\xff"),
            INVALID,
        ),
        (
            "a string longer than the frame",
            frame(NOTIFY, FIN, ids, b"\xfe\xff\xff\xff\xff\x7f"),
            INVALID,
        ),
        (
            "a number without an end",
            frame(NOTIFY, FIN, ids, &[0xff; 40]),
            INVALID,
        ),
    ];
    for (what, bytes, status) in &cases {
        let mut stream = greeted(&door);
        // What was asked before is answered.
        stream
            .write_all(&[notify(ids, &good), bytes.clone()].concat())
            .unwrap();
        assert_eq!(
            next(&mut stream).unwrap().variables()["allow"],
            Value::Bool(true),
            "{what}"
        );
        assert_left(stream, *status, what);
    }
    // Before HELLO nothing is answered, however good it is.
    let mut stream = door.connect();
    stream.write_all(&notify(ids, &good)).unwrap();
    assert_left(stream, INVALID, "no HELLO");
    // HAProxy's own leave is answered, whenever it comes.
    let leave = pairs(&[("status-code", vec![3, 0]), ("message", typed_text("normal"))]);
    let leave = frame(HAPROXY_DISCONNECT, FIN, (0, 0), &leave);
    for mut stream in [greeted(&door), door.connect()] {
        stream.write_all(&leave).unwrap();
        assert_left(stream, 0, "HAProxy leaves");
    }
}

/// Every byte of a good question changed, and every piece of it: whatever comes of that, it is not another identity,
/// and the door goes on.
#[test]
fn a_damaged_question_never_lets_anybody_else_in() {
    let it = Deployment::new();
    let door = Door::start(&it.patrol, serve);
    let token = it.issue(it.alice, "good");
    let question = notify((7, 1), &bearer(&text(&token)));
    let mut stream = greeted(&door);
    let mut answered = [0; 2];
    for index in 4..question.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut damaged = question.clone();
            damaged[index] ^= change;
            stream.write_all(&damaged).unwrap();
            let answer = next(&mut stream).unwrap();
            if answer.kind == AGENT_DISCONNECT {
                answered[0] += 1;
                stream = greeted(&door);
                continue;
            }
            answered[1] += 1;
            let said = answer.variables();
            if said.get("allow") == Some(&Value::Bool(true)) {
                assert_eq!(said["token_id"], named(&id(&token).to_string()));
            }
        }
    }
    assert!(answered.iter().all(|count| *count > 20), "{answered:?}");
    // A length that does not fit what follows: too long waits, too short is no frame.
    for end in (0..question.len()).step_by(7) {
        let mut stream = greeted(&door);
        stream.write_all(&question[..end]).unwrap();
        drop(stream);
    }
    assert_eq!(
        ask(&mut stream, &bearer(&text(&token)))["allow"],
        Value::Bool(true)
    );
}

#[test]
fn an_identity_that_does_not_fit_is_none() {
    let it = Deployment::new();
    let roles: Vec<_> = (0..32).map(|n| format!("{n:064}")).collect();
    it.patrol.set_roles(&operator(), &user(it.alice), &roles).unwrap();
    let door = Door::start(&it.patrol, serve);
    // Each character becomes twelve.
    let token = text(&it.issue(it.alice, &"\u{1f511}".repeat(255)));
    let mut items = hello_items();
    items[1].1 = [&[3][..], &varint(4_096)].concat();
    let mut stream = door.connect();
    stream
        .write_all(&frame(HAPROXY_HELLO, FIN, (0, 0), &pairs(&items)))
        .unwrap();
    assert_eq!(next(&mut stream).unwrap().kind, AGENT_HELLO);
    let said = ask(&mut stream, &bearer(&token));
    assert_eq!(
        (&said["allow"], &said["status"]),
        (&Value::Bool(false), &Value::Number(503))
    );
    assert_eq!(said["user"], named(""));
    // Where there is room, it does.
    let said = ask(&mut greeted(&door), &bearer(&token));
    assert_eq!(said["allow"], Value::Bool(true));
    assert!(matches!(&said["token_name"], Value::Text(name) if name.len() == 3_060));
}

#[test]
fn whoever_says_nothing_is_left_after_a_while() {
    let it = Deployment::new();
    let door = Door::start(&it.patrol, serve);
    let silent = door.connect();
    let mut slow = greeted(&door);
    slow.write_all(&notify((7, 1), &bearer("x"))[..20]).unwrap();
    let begun = Instant::now();
    assert_left(silent, 2, "no HELLO");
    assert_left(slow, 2, "half a frame");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[test]
fn a_shutdown_answers_what_has_arrived_and_takes_leave() {
    let it = Deployment::new();
    let door = Door::start(&it.patrol, serve);
    let token = text(&it.issue(it.alice, "good"));
    let question = notify((7, 1), &bearer(&token));
    let idle = greeted(&door);
    let mut busy = greeted(&door);
    let mut half = greeted(&door);
    half.write_all(&question[..30]).unwrap();
    busy.write_all(&question.repeat(50)).unwrap();
    let begun = Instant::now();
    door.shut_down();
    half.write_all(&question[30..]).unwrap();
    for _ in 0..50 {
        assert_eq!(next(&mut busy).unwrap().variables()["allow"], Value::Bool(true));
    }
    assert_eq!(next(&mut half).unwrap().variables()["allow"], Value::Bool(true));
    for stream in [idle, busy, half] {
        assert_left(stream, 0, "the shutdown");
    }
    door.ended();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}
