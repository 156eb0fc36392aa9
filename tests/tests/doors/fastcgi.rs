//! A FastCGI authorizer, as the specification (1.0) describes it. Records are put together here by hand.

mod wire;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{Duration, Instant};

use patrol::doors::fastcgi::serve;
use patrol_policy::types::HOUR;
use patrol_tests::deployment::{Deployment, START, id, operator};
use serde_json::json;

use super::{Listener, PATIENCE, text};
use wire::*;

#[test]
fn a_good_token_is_answered_200_with_all_variables() {
    let it = Deployment::new();
    let door = Listener::serving(&it.patrol, serve);
    let token = it.issue(it.alice, "nightly \u{2013} b");
    let said = ask(&door, &bearer(&text(&token)));
    let expected = [
        ("Status", "200 OK".to_owned()),
        ("Variable-PATROL_USER", it.alice.to_string()),
        ("Variable-PATROL_USER_NAME", "alice".to_owned()),
        ("Variable-PATROL_TENANT", it.tenant.to_string()),
        ("Variable-PATROL_ROLES", "admin".to_owned()),
        ("Variable-PATROL_TOKEN_ID", id(&token).to_string()),
        ("Variable-PATROL_TOKEN_NAME", "nightly %E2%80%93 b".to_owned()),
        ("Variable-PATROL_SESSION", String::new()),
        ("Variable-PATROL_IDENTITY", String::new()),
        (
            "Variable-PATROL_EXPIRES",
            said.headers["Variable-PATROL_EXPIRES"].clone(),
        ),
    ];
    // Nothing else: Apache sends the client whatever is no variable.
    let expected: BTreeMap<_, _> = expected
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    assert_eq!((said.headers, &*said.body), (expected, ""));

    let session = String::from_utf8(it.sign_in(&token)).unwrap();
    let said = ask(&door, &variables(&[("HTTP_X_TABLEAU_SESSION_TOKEN", &session)]));
    assert_eq!(said.status(), "200 OK");
    assert_ne!(said.headers["Variable-PATROL_SESSION"], "");
}

#[test]
fn a_refusal_is_the_answer_to_the_client() {
    let it = Deployment::new();
    let door = Listener::serving(&it.patrol, serve);
    let [revoked, expired] = ["revoked", "expired"].map(|name| it.issue_until(it.alice, name, START + HOUR));
    it.patrol.revoke(&operator(), id(&revoked)).unwrap();
    it.clock.set(START + HOUR);
    let answers =
        [text(&revoked), text(&expired), "nonsense".to_owned()].map(|token| ask(&door, &bearer(&token)));
    for said in &answers {
        assert_eq!(said, &answers[0], "they do not say why");
    }
    let said = &answers[0];
    assert_eq!(said.status(), "401 Unauthorized");
    assert_eq!(
        said.headers["WWW-Authenticate"],
        r#"Bearer realm="patrol", error="invalid_token""#
    );
    assert_eq!(said.headers["Content-Type"], "application/json");
    assert_eq!(said.headers["Cache-Control"], "no-store");
    assert!(said.variables().is_empty());
    let body: serde_json::Value = serde_json::from_str(&said.body).unwrap();
    let expected = json!({"errorCode": "E_401_UNAUTHORIZED", "message": "the token is not accepted"});
    assert_eq!(body, expected);
    let event = it.last_event("verify_personal_access_token");
    assert_eq!(event["initiatingUserIpAddress"], json!("192.0.2.7"));
    assert_eq!(event["initiatingUrl"], json!("/thing"));
    assert_eq!(event["initiatingUserAgent"], json!("test (a, b)"));

    let none = ask(&door, &variables(&[]));
    assert_eq!(none.status(), "401 Unauthorized");
    assert_eq!(none.headers["WWW-Authenticate"], r#"Bearer realm="patrol""#);
}

#[test]
fn two_credentials_are_refused_though_apache_joins_them() {
    let it = Deployment::new();
    let door = Listener::serving(&it.patrol, serve);
    let token = it.issue(it.alice, "twice");
    let session = String::from_utf8(it.sign_in(&token)).unwrap();
    let bearer = format!("Bearer {}", text(&token));
    let cases = [
        vec![("HTTP_AUTHORIZATION", format!("{bearer}, {bearer}"))],
        vec![
            ("HTTP_AUTHORIZATION", bearer.clone()),
            ("HTTP_AUTHORIZATION", bearer.clone()),
        ],
        vec![
            ("HTTP_AUTHORIZATION", bearer.clone()),
            ("HTTP_X_TABLEAU_SESSION_TOKEN", session.clone()),
        ],
        vec![("HTTP_X_TABLEAU_SESSION_TOKEN", format!("{session}, {session}"))],
        vec![("HTTP_X_TABLEAU_SESSION_TOKEN", format!("{session}, x"))],
    ];
    for case in cases {
        let case: Vec<_> = case.iter().map(|(name, value)| (*name, &**value)).collect();
        let said = ask(&door, &variables(&case));
        assert_eq!(said.status(), "400 Bad Request", "{case:?}");
        assert!(said.variables().is_empty());
    }
}

#[test]
fn a_question_that_lacks_something_is_answered_400() {
    let it = Deployment::new();
    let door = Listener::serving(&it.patrol, serve);
    let authorization = format!("Bearer {}", text(&it.issue(it.alice, "good")));
    let usual = [
        ("REQUEST_METHOD", "GET"),
        ("REQUEST_URI", "/thing"),
        ("REMOTE_ADDR", "192.0.2.7"),
        ("HTTP_AUTHORIZATION", &*authorization),
    ];
    let all = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(name, value)| pair(name, value));
        pairs.collect::<Vec<_>>().concat()
    };
    assert_eq!(ask(&door, &all(&usual)).status(), "200 OK");
    let mut cases = vec![all(&[])];
    for index in 0..3 {
        let mut missing = usual.to_vec();
        missing.remove(index);
        let mut empty = usual.to_vec();
        empty[index].1 = "";
        let mut twice = usual.to_vec();
        twice.push(usual[index]);
        cases.push(all(&missing));
        cases.push(all(&twice));
        if index < 2 {
            cases.push(all(&empty));
        }
    }
    for uri in ["*", "http://other/thing", "thing"] {
        let mut odd = usual.to_vec();
        odd[1].1 = uri;
        cases.push(all(&odd));
    }
    for (name, value) in [
        ("HTTP_", "a"),
        ("HTTP_A B", "a"),
        ("HTTP_A", "a\nb"),
        ("HTTP_A", "a\0b"),
    ] {
        cases.push([all(&usual), pair(name, value)].concat());
    }
    // A name or value longer than there is.
    let whole = all(&usual);
    cases.push(whole[..whole.len() - 1].to_vec());
    cases.push([&whole[..], &[1]].concat());
    cases.push([&whole[..], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]].concat());
    // More headers than anybody sends, and more bytes.
    cases.push([&whole[..], &pair("HTTP_A", "b").repeat(600)].concat());
    cases.push([&whole[..], &pair("A", &"b".repeat(70_000))].concat());
    for case in cases {
        let said = ask(&door, &case);
        assert_eq!(
            said.status(),
            "400 Bad Request",
            "{}",
            String::from_utf8_lossy(&case)
        );
        assert!(said.variables().is_empty());
    }
    // A client on a Unix socket has no address.
    let mut local = usual.to_vec();
    local[2].1 = "";
    assert_eq!(ask(&door, &all(&local)).status(), "200 OK");
}

#[test]
fn a_connection_serves_one_request_after_the_other() {
    let it = Deployment::new();
    let door = Listener::serving(&it.patrol, serve);
    let good = text(&it.issue(it.alice, "good"));
    let mut stream = door.connect(PATIENCE);
    for round in 0..20_u16 {
        let request = 1 + round * 3;
        let token = if round % 2 == 0 { &*good } else { "nonsense" };
        let keep = round < 19;
        stream
            .write_all(&question(request, keep, &bearer(token)))
            .unwrap();
        // Some servers end a body that there is not.
        if keep {
            stream.write_all(&record(STDIN, request, &[], 0)).unwrap();
        }
        let expected = if round % 2 == 0 {
            "200 OK"
        } else {
            "401 Unauthorized"
        };
        assert_eq!(answer(&mut stream, request).status(), expected);
    }
    assert_eq!(next(&mut stream), None, "the last was announced as such");
}

#[test]
fn parameters_may_be_cut_anywhere_and_padded() {
    let it = Deployment::new();
    let door = Listener::serving(&it.patrol, serve);
    let token = text(&it.issue(it.alice, "in pieces"));
    let variables = bearer(&token);
    let mut bytes = begin(9, AUTHORIZER, true);
    for (index, byte) in variables.iter().enumerate() {
        bytes.extend(record(PARAMS, 9, &[*byte], (index % 256) as u8));
    }
    bytes.extend(record(PARAMS, 9, &[], 255));
    let mut stream = door.connect(PATIENCE);
    // In pieces on the wire as well.
    for piece in bytes.chunks(997) {
        stream.write_all(piece).unwrap();
    }
    assert_eq!(answer(&mut stream, 9).status(), "200 OK");
    // The largest records that there can be, and parameters just below the limit.
    let long = "b".repeat(64 * 1024 - variables.len() - 10);
    let most = [&variables[..], &pair("A", &long)].concat();
    stream.write_all(&question(10, false, &most)).unwrap();
    assert_eq!(answer(&mut stream, 10).status(), "200 OK");
}

#[test]
fn other_roles_are_refused_and_requests_are_not_mixed() {
    let it = Deployment::new();
    let door = Listener::serving(&it.patrol, serve);
    let token = text(&it.issue(it.alice, "good"));
    let variables = bearer(&token);
    for role in [0, RESPONDER, FILTER, 99] {
        for keep in [true, false] {
            let mut stream = door.connect(PATIENCE);
            stream.write_all(&begin(1, role, keep)).unwrap();
            assert_eq!(next(&mut stream).unwrap(), ended(1, UNKNOWN_ROLE), "{role}");
            if !keep {
                assert_eq!(next(&mut stream), None);
                continue;
            }
            // What follows of that request is passed over.
            stream.write_all(&record(PARAMS, 1, &variables, 0)).unwrap();
            stream.write_all(&record(PARAMS, 1, &[], 0)).unwrap();
            stream.write_all(&question(2, false, &variables)).unwrap();
            assert_eq!(answer(&mut stream, 2).status(), "200 OK");
        }
    }
    // One at a time: the second is refused, and its parameters are not those of the first.
    let mut stream = door.connect(PATIENCE);
    stream.write_all(&begin(1, AUTHORIZER, true)).unwrap();
    stream.write_all(&question(2, true, &variables)).unwrap();
    assert_eq!(next(&mut stream).unwrap(), ended(2, CANNOT_MULTIPLEX));
    stream
        .write_all(&record(PARAMS, 1, &bearer("nonsense"), 0))
        .unwrap();
    stream.write_all(&record(PARAMS, 1, &[], 0)).unwrap();
    assert_eq!(answer(&mut stream, 1).status(), "401 Unauthorized");
    // One that is given up.
    stream.write_all(&begin(3, AUTHORIZER, true)).unwrap();
    stream.write_all(&record(PARAMS, 3, &variables, 0)).unwrap();
    stream.write_all(&record(ABORT, 3, &[], 0)).unwrap();
    assert_eq!(next(&mut stream).unwrap(), ended(3, COMPLETE));
    stream
        .write_all(&question(3, false, &bearer("nonsense")))
        .unwrap();
    assert_eq!(answer(&mut stream, 3).status(), "401 Unauthorized");
}

#[test]
fn questions_about_the_door_itself_are_answered() {
    let it = Deployment::new();
    let door = Listener::serving(&it.patrol, serve);
    let mut stream = door.connect(PATIENCE);
    let names = ["FCGI_MPXS_CONNS", "FCGI_MAX_CONNS", "OTHER", "FCGI_MPXS_CONNS"];
    let asked = names.map(|name| pair(name, "")).concat();
    stream.write_all(&record(GET_VALUES, 0, &asked, 3)).unwrap();
    let known = [pair("FCGI_MPXS_CONNS", "0"), pair("FCGI_MAX_CONNS", "1024")].concat();
    let answer = next(&mut stream).unwrap();
    assert_eq!((answer.kind, answer.request), (GET_VALUES_RESULT, 0));
    assert_eq!(answer.content, known);
    stream.write_all(&record(77, 0, b"what?", 0)).unwrap();
    let answer = next(&mut stream).unwrap();
    assert_eq!((answer.kind, answer.content[0]), (UNKNOWN_TYPE, 77));
}

#[test]
fn what_is_no_record_ends_the_connection_without_an_answer() {
    let it = Deployment::new();
    let door = Listener::serving(&it.patrol, serve);
    let good = question(1, true, &bearer(&text(&it.issue(it.alice, "good"))));
    let cases = [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0; 64],
        vec![2, BEGIN, 0, 1, 0, 0, 0, 0],
        record(BEGIN, 1, &[], 0),
        record(BEGIN, 1, &[0, AUTHORIZER, 0], 0),
        record(BEGIN, 1, &[0; 9], 0),
        [begin(1, AUTHORIZER, true), begin(1, AUTHORIZER, true)].concat(),
        [begin(1, AUTHORIZER, true), record(END, 1, &[0; 8], 0)].concat(),
        [begin(1, AUTHORIZER, true), record(77, 1, &[], 0)].concat(),
    ];
    for case in cases {
        let mut stream = door.connect(PATIENCE);
        // What was asked before is answered.
        stream.write_all(&good).unwrap();
        assert_eq!(answer(&mut stream, 1).status(), "200 OK");
        stream.write_all(&case).unwrap();
        assert_eq!(next(&mut stream), None, "{case:?}");
    }
    // Cut short anywhere, there is no answer either.
    for end in 0..good.len() {
        let mut stream = door.connect(PATIENCE);
        stream.write_all(&good[..end]).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(next(&mut stream), None, "cut at {end}");
    }
    // The door goes on.
    let mut stream = door.connect(PATIENCE);
    stream.write_all(&good).unwrap();
    assert_eq!(answer(&mut stream, 1).status(), "200 OK");
}

/// Every byte of a good question changed: whatever comes of that, it is not another identity, and the door goes on.
#[test]
fn a_damaged_question_never_lets_anybody_else_in() {
    let it = Deployment::new();
    let door = Listener::serving(&it.patrol, serve);
    let token = it.issue(it.alice, "good");
    let question = question(1, false, &bearer(&text(&token)));
    let mut allowed = 0;
    for index in 0..question.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut damaged = question.clone();
            damaged[index] ^= change;
            let mut stream = door.connect(PATIENCE);
            stream.write_all(&damaged).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let mut said = Vec::new();
            while let Some(record) = next(&mut stream) {
                if record.kind == STDOUT {
                    said.extend(record.content);
                }
            }
            let said = String::from_utf8(said).unwrap();
            if said.starts_with("Status: 200") {
                allowed += 1;
                let identity = format!("\r\nVariable-PATROL_TOKEN_ID: {}\r\n", id(&token));
                assert!(said.contains(&identity), "{index}: {said}");
            }
        }
    }
    assert!(allowed > 100, "{allowed}: in the software, the host, the path");
}

#[test]
fn a_shutdown_answers_what_has_begun_and_closes_what_is_idle() {
    let it = Deployment::new();
    let door = Listener::serving(&it.patrol, serve);
    let question = question(1, true, &bearer(&text(&it.issue(it.alice, "good"))));
    let mut half = door.connect(PATIENCE);
    half.write_all(&question[..30]).unwrap();
    let mut idle = door.connect(PATIENCE);
    idle.write_all(&question).unwrap();
    assert_eq!(answer(&mut idle, 1).status(), "200 OK");
    // Until the first bytes were read there is nothing that has begun.
    std::thread::sleep(Duration::from_millis(200));
    let begun = Instant::now();
    door.shut_down();
    assert_eq!(next(&mut idle), None);
    half.write_all(&question[30..]).unwrap();
    assert_eq!(answer(&mut half, 1).status(), "200 OK");
    assert_eq!(next(&mut half), None);
    drop((idle, half));
    door.ended();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}
