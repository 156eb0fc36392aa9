//! HAProxy's SPOE, as its `SPOE.txt` describes it. Frames are put together here by hand, not by what the door uses.

mod protocol;
mod wire;

use std::collections::BTreeMap;
use std::io::Write as _;

use patrol::doors::spop::serve;
use patrol_policy::types::{DAY, HOUR};
use patrol_tests::deployment::{Deployment, START, id, operator, user};
use serde_json::json;

use super::{Listener, PATIENCE, text};
use wire::*;

#[test]
fn a_good_token_sets_every_variable_and_allow_among_them() {
    let it = Deployment::new();
    let door = Listener::serving(&it.patrol, serve);
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
        ("identity", named("")),
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
    let door = Listener::serving(&it.patrol, serve);
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
    let door = Listener::serving(&it.patrol, serve);
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
    let door = Listener::serving(&it.patrol, serve);
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
    let door = Listener::serving(&it.patrol, serve);
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
fn an_identity_that_does_not_fit_is_none() {
    let it = Deployment::new();
    let roles: Vec<_> = (0..32).map(|n| format!("{n:064}")).collect();
    it.patrol.set_roles(&operator(), &user(it.alice), &roles).unwrap();
    let door = Listener::serving(&it.patrol, serve);
    // Each character becomes twelve.
    let token = text(&it.issue(it.alice, &"\u{1f511}".repeat(255)));
    let mut items = hello_items();
    items[1].1 = [&[3][..], &varint(4_096)].concat();
    let mut stream = door.connect(PATIENCE);
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
