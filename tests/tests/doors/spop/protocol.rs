//! How connections begin, go on and end, whatever is asked on them.

use std::io::Write as _;
use std::time::{Duration, Instant};

use patrol::doors::spop::serve;
use patrol_tests::deployment::{Deployment, id};

use super::super::{Listener, PATIENCE, text};
use super::wire::*;

#[test]
fn both_say_hello_and_agree_on_the_smaller_frame() {
    let it = Deployment::new();
    let door = Listener::serving(&it.patrol, serve);
    for (offered, agreed) in [(4_096, 4_096), (16_380, 16_380), (1 << 30, 65_536)] {
        let mut stream = door.connect(PATIENCE);
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
    let door = Listener::serving(&it.patrol, serve);
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
        let mut stream = door.connect(PATIENCE);
        stream
            .write_all(&frame(HAPROXY_HELLO, FIN, (0, 0), &pairs(&items)))
            .unwrap();
        assert_left(stream, status, &format!("{items:?}"));
    }
    // Whoever speaks an older version as well is spoken to.
    let mut stream = door.connect(PATIENCE);
    let items = with("supported-versions", typed_text("1.0, 2.0"));
    stream
        .write_all(&frame(HAPROXY_HELLO, FIN, (0, 0), &pairs(&items)))
        .unwrap();
    assert_eq!(next(&mut stream).unwrap().kind, AGENT_HELLO);
}

#[test]
fn many_questions_at_once_are_answered_each_in_their_order() {
    let it = Deployment::new();
    let door = Listener::serving(&it.patrol, serve);
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
    let door = Listener::serving(&it.patrol, serve);
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
    let mut stream = door.connect(PATIENCE);
    stream.write_all(&notify(ids, &good)).unwrap();
    assert_left(stream, INVALID, "no HELLO");
    // HAProxy's own leave is answered, whenever it comes.
    let leave = pairs(&[("status-code", vec![3, 0]), ("message", typed_text("normal"))]);
    let leave = frame(HAPROXY_DISCONNECT, FIN, (0, 0), &leave);
    for mut stream in [greeted(&door), door.connect(PATIENCE)] {
        stream.write_all(&leave).unwrap();
        assert_left(stream, 0, "HAProxy leaves");
    }
}

/// Every byte of a good question changed, and every piece of it: whatever comes of that, it is not another identity,
/// and the door goes on.
#[test]
fn a_damaged_question_never_lets_anybody_else_in() {
    let it = Deployment::new();
    let door = Listener::serving(&it.patrol, serve);
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
fn whoever_says_nothing_is_left_after_a_while() {
    let it = Deployment::new();
    let door = Listener::serving(&it.patrol, serve);
    let silent = door.connect(PATIENCE);
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
    let door = Listener::serving(&it.patrol, serve);
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
