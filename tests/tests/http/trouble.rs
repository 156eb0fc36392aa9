//! What is answered where something is amiss or comes to its end.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use patrol_policy::types::DAY;
use patrol_tests::deployment::{Deployment, START, id, operator};
use patrol_tests::hostile;
use patrol_tests::wire::{self, check, connect, login, receive, send};

use super::{Listener, api, bearer, session_of, text};

#[test]
fn where_the_policy_fails_the_answer_is_503_and_never_yes() {
    let it = Deployment::new();
    let token = it.issue(it.alice, "one");
    let session = String::from_utf8(it.sign_in(&token)).unwrap();
    it.patrol.revoke(&operator(), id(&token)).unwrap();
    let token = text(&token);
    for case in [
        "unreachable",
        "floor-yes-to-anything",
        "floor-invented",
        "endless-loop",
    ] {
        let hostile = Arc::new(it.under(&hostile::policy(case)));
        let listener = Listener::start(&hostile);
        let answers = [
            bearer(listener.address, &token),
            check(listener.address, &[("x-tableau-session-token", &session)]),
            login(listener.address, &token).unwrap(),
            api(listener.address, "GET /api/v1/x", &session),
            api(listener.address, "DELETE /api/v2/sessions", &session),
        ];
        for answer in answers {
            assert_eq!(answer.status, 503, "{case}: {answer:?}");
            assert_eq!(answer.header("retry-after"), Some("1"));
            assert_eq!(answer.json()["errorCode"], "E_503_SERVICE_UNAVAILABLE");
            assert!(
                answer
                    .headers
                    .iter()
                    .all(|(name, _)| !name.starts_with("x-patrol"))
            );
        }
    }
}

#[test]
fn where_the_store_cannot_write_a_sign_in_is_503_and_verification_goes_on() {
    let it = Deployment::new();
    let listener = Listener::start(&it.patrol);
    let token = text(&it.issue(it.alice, "one"));
    let raw = rusqlite::Connection::open(it.path().join("patrol.db")).unwrap();
    raw.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(bearer(listener.address, &token).status, 200);
    let answer = login(listener.address, &token).unwrap();
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    // A use that has to be on disk before the answer is no yes either (R5).
    it.clock.set(START + 15 * DAY - 1);
    assert_eq!(bearer(listener.address, &token).status, 503);
    raw.execute_batch("ROLLBACK").unwrap();
    assert_eq!(bearer(listener.address, &token).status, 200);
    session_of(&login(listener.address, &token).unwrap());
}

#[test]
fn where_the_store_is_damaged_the_answer_is_503() {
    let it = Deployment::new();
    let listener = Listener::start(&it.patrol);
    let token = text(&it.issue(it.alice, "one"));
    let get = |path: &str| send(listener.address, &format!("GET {path}"), &[], b"").unwrap();
    assert_eq!((get("/healthz").status, get("/readyz").status), (200, 200));
    let raw = rusqlite::Connection::open(it.path().join("patrol.db")).unwrap();
    raw.execute_batch("ALTER TABLE token RENAME TO gone; DROP TABLE audit; ALTER TABLE meta RENAME TO lost;")
        .unwrap();
    let answer = bearer(listener.address, &token);
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert_eq!(login(listener.address, &token).unwrap().status, 503);
    assert_eq!((get("/healthz").status, get("/readyz").status), (200, 503));
}

#[test]
fn a_shutdown_lets_a_request_under_way_finish_and_takes_no_new_ones() {
    let it = Deployment::new();
    let listener = Listener::start(&it.patrol);
    let token = text(&it.issue(it.alice, "one"));
    let body = format!("{{\"token\":\"{token}\"}}");
    let mut stream = connect(listener.address).unwrap();
    let (first, rest) = body.split_at(20);
    let head = format!(
        "POST /api/v1/pat/login HTTP/1.1\r\nHost: patrol\r\nContent-Length: {}\r\n\r\n{first}",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // An idle connection does not hold it up.
    let mut idle = connect(listener.address).unwrap();
    assert_eq!(bearer(listener.address, &token).status, 200);

    listener.shut_down();
    while connect(listener.address).is_ok() {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(idle.read(&mut [0; 1]).unwrap(), 0);
    assert!(!listener.has_ended());
    stream.write_all(rest.as_bytes()).unwrap();
    session_of(&receive(stream).unwrap());
    drop(listener);
    assert_eq!(it.events("login_with_personal_access_token").len(), 1);
}

#[test]
fn one_connection_serves_one_request_after_another() {
    let it = Deployment::new();
    let listener = Listener::start(&it.patrol);
    let token = text(&it.issue(it.alice, "one"));
    let mut stream = wire::connect(listener.address).unwrap();
    let head = "GET /check/nginx HTTP/1.1\r\nHost: patrol\r\nX-Original-URI: /\r\nX-Original-Method: GET\r\n";
    let pipelined = format!(
        "{head}Authorization: Bearer {token}\r\n\r\n{head}Authorization: Bearer nonsense\r\n\r\n{head}Authorization: \
         Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(pipelined.as_bytes()).unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    let statuses: Vec<_> = all
        .match_indices("HTTP/1.1 ")
        .map(|(at, _)| &all[at + 9..at + 12])
        .collect();
    assert_eq!(statuses, ["200", "401", "200"]);
}

#[test]
fn a_body_that_does_not_come_keeps_no_connection() {
    let it = Deployment::new();
    let listener = Listener::start(&it.patrol);
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let slow = [
        "/api/v1/pat/login",
        "/api/v1/login",
        "/oauth2/introspect",
        "/oauth2/revoke",
    ]
    .map(|path| {
        let kind = if path.starts_with("/api") { "" } else { form };
        let mut stream = connect(listener.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let request = format!("POST {path} HTTP/1.1\r\nHost: x\r\n{kind}Content-Length: 4000\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let answering = stream.try_clone().unwrap();
        // A byte now and then, for as long as somebody takes it.
        let sending = std::thread::spawn(move || {
            for _ in 0..600 {
                if stream.write_all(b" ").is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            panic!("all of it was waited for");
        });
        (path, answering, sending)
    });
    for (path, mut answering, sending) in slow {
        let mut answer = Vec::new();
        // To the end: the connection is closed, by a reset where more was on its way.
        let _ = answering.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{path}: {answer}");
        sending.join().unwrap();
    }
}
