//! The listener, from the wire: what scripts and gateways are answered, byte by byte.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use patrol::config::{Challenge, Config};
use patrol::http::{router, serve};
use patrol::service::{Caller, NewAccount, NewToken, Origin, Patrol};
use patrol::time::rfc3339;
use patrol_policy::token::{Kind, compose};
use patrol_policy::types::{DAY, HOUR, Id, MINUTE};
use patrol_tests::deployment::{AUDIENCE, Deployment, START, id, operator, user};
use patrol_tests::hostile;
use patrol_tests::wire::{self, Answer, check, connect, login, receive, send};
use serde_json::json;
use tokio::sync::oneshot;

/// A listener in this process; shut down in order when dropped.
struct Listener {
    address: SocketAddr,
    shutdown: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    fn start(patrol: &Arc<Patrol>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (shutdown, told) = oneshot::channel();
        let router = router(Arc::clone(patrol));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            let told = async {
                // Dropping the sender is a word as well.
                let _ = told.await;
            };
            runtime.block_on(serve(router, listener, told)).unwrap();
        });
        Self {
            address,
            shutdown: Some(shutdown),
            thread: Some(thread),
        }
    }

    /// Tells it to end, without waiting.
    fn shut_down(&mut self) {
        drop(self.shutdown.take());
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shut_down();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(std::thread::panicking() || ended.is_ok(), "the listener failed");
        }
    }
}

fn text(token: &NewToken) -> String {
    String::from_utf8(token.secret.expose().to_vec()).unwrap()
}

fn bearer(server: SocketAddr, token: &str) -> Answer {
    check(server, &[("Authorization", &format!("Bearer {token}"))])
}

fn api(server: SocketAddr, request: &str, session: &str) -> Answer {
    send(server, request, &[("x-tableau-session-token", session)], b"").unwrap()
}

fn session_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["sessionToken"].as_str().unwrap().to_owned()
}

#[test]
fn a_script_signs_in_uses_its_session_and_signs_out() {
    let it = Deployment::new();
    let listener = Listener::start(&it.patrol);
    let token = text(&it.issue(it.alice, "one"));

    let answer = login(listener.address, &token).unwrap();
    let session = session_of(&answer);
    assert_eq!(
        answer.json(),
        json!({
            "sessionToken": session,
            "userId": it.alice.to_string(),
            "tenantId": it.tenant.to_string(),
            "sessionExpiration": rfc3339(START + 4 * HOUR),
        })
    );
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));

    // The other calls come later: that there is none is told to sessions only.
    for request in ["GET /api/v1/anything", "POST /api/v9", "PUT /api/v2/sessions/x"] {
        let answer = api(listener.address, request, &session);
        assert_eq!(
            (answer.status, &answer.json()["errorCode"]),
            (404, &json!("E_404_NOT_FOUND"))
        );
        let anonymous = send(listener.address, request, &[], b"").unwrap();
        assert_eq!(anonymous.status, 401, "{anonymous:?}");
    }

    let out = api(listener.address, "DELETE /api/v2/sessions", &session);
    assert_eq!((out.status, out.body.as_str()), (204, ""));
    assert_eq!(
        api(listener.address, "DELETE /api/v2/sessions", &session).status,
        401
    );
    assert_eq!(
        api(listener.address, "GET /api/v1/anything", &session).status,
        401
    );
}

#[test]
fn a_session_is_over_after_four_hours_or_thirty_minutes_idle() {
    let it = Deployment::new();
    let listener = Listener::start(&it.patrol);
    let token = text(&it.issue(it.alice, "one"));
    let sign_in = || session_of(&login(listener.address, &token).unwrap());
    let alive = |session: &str| match api(listener.address, "GET /api/v1/x", session).status {
        404 => true,
        401 => false,
        other => panic!("{other}"),
    };

    let (before, at) = (sign_in(), sign_in());
    it.clock.set(START + 30 * MINUTE - 1);
    assert!(alive(&before));
    it.clock.set(START + 30 * MINUTE);
    assert!(!alive(&at) && alive(&before));

    let opened = it.patrol.now();
    let session = sign_in();
    for quarters in 1..16 {
        it.clock.set(opened + quarters * 15 * MINUTE);
        assert!(alive(&session), "after {quarters} quarters of an hour");
    }
    it.clock.set(opened + 4 * HOUR - 1);
    assert!(alive(&session));
    it.clock.set(opened + 4 * HOUR);
    assert!(!alive(&session));
}

#[test]
fn r8_a_session_is_over_with_its_pat() {
    let it = Deployment::new();
    let listener = Listener::start(&it.patrol);
    let token = it.issue(it.alice, "one");
    let session = session_of(&login(listener.address, &text(&token)).unwrap());
    assert_eq!(api(listener.address, "GET /api/v1/x", &session).status, 404);
    it.patrol.revoke(&operator(), id(&token)).unwrap();
    assert_eq!(api(listener.address, "GET /api/v1/x", &session).status, 401);
    assert_eq!(bearer(listener.address, &session).status, 401);
    assert_eq!(bearer(listener.address, &text(&token)).status, 401);
}

#[test]
fn every_401_is_the_same_whatever_is_wrong_with_the_token() {
    let it = Deployment::new();
    let listener = Listener::start(&it.patrol);
    let good = it.issue(it.alice, "good");
    let revoked = it.issue(it.alice, "revoked");
    let expired = it.issue_until(it.alice, "expired", START + HOUR);
    let elsewhere = it
        .patrol
        .issue(&operator(), it.alice, "elsewhere", START + DAY, "reports")
        .unwrap();
    let resting = it.issue(it.bob, "resting");
    it.patrol.revoke(&operator(), id(&revoked)).unwrap();
    it.patrol.set_enabled(&operator(), &user(it.bob), false).unwrap();
    it.clock.set(START + HOUR);
    let composed = |id| {
        let text = compose(Kind::Pat, id, &[4; 32]).into_bytes();
        String::from_utf8(text).unwrap()
    };
    let wrong = [
        ("malformed", "nonsense".to_owned()),
        ("cut", text(&good)[..82].to_owned()),
        ("mistyped", text(&good)[..82].to_owned() + "-"),
        ("unknown", composed(Id::from_u128(3))),
        ("wrong secret", composed(id(&good))),
        ("revoked", text(&revoked)),
        ("expired", text(&expired)),
        ("other audience", text(&elsewhere)),
        ("disabled owner", text(&resting)),
    ];
    let (first_check, first_login) = {
        let token = &wrong[0].1;
        (
            bearer(listener.address, token),
            login(listener.address, token).unwrap(),
        )
    };
    for (what, token) in &wrong {
        assert_eq!(bearer(listener.address, token), first_check, "{what}");
        assert_eq!(login(listener.address, token).unwrap(), first_login, "{what}");
    }
    for answer in [&first_check, &first_login] {
        assert_eq!(answer.status, 401);
        assert_eq!(answer.json()["errorCode"], "E_401_UNAUTHORIZED");
        assert_eq!(
            answer.header("www-authenticate"),
            Some("Bearer realm=\"patrol\", error=\"invalid_token\"")
        );
    }
    // Sessions: unknown, malformed, closed.
    let closed = session_of(&login(listener.address, &text(&good)).unwrap());
    api(listener.address, "DELETE /api/v2/sessions", &closed);
    let unknown = compose(Kind::Session, Id::from_u128(3), &[4; 32]).into_bytes();
    for session in [&*closed, "nonsense", std::str::from_utf8(&unknown).unwrap()] {
        let answer = api(listener.address, "GET /api/v1/x", session);
        assert_eq!((answer.status, &answer.body), (401, &first_check.body));
        assert_eq!(answer.headers, first_check.headers);
    }
}

#[test]
fn a_request_without_a_credential_is_challenged_without_an_error() {
    let it = Deployment::new();
    let listener = Listener::start(&it.patrol);
    for credential in [&[][..], &[("Authorization", "Negotiate abc")]] {
        let answer = check(listener.address, credential);
        assert_eq!(answer.status, 401);
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"patrol\""));
    }
    // No attempt was made, so there is none to tell of.
    assert_eq!(it.events("verify_personal_access_token").len(), 0);
}

#[test]
fn git_is_asked_for_basic_where_so_configured() {
    let mut config = Config::default();
    config.http.challenge = Challenge::Basic;
    let it = Deployment::with(config);
    let listener = Listener::start(&it.patrol);
    for answer in [check(listener.address, &[]), bearer(listener.address, "nonsense")] {
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.starts_with("Basic realm=\"patrol\""), "{challenge}");
    }
}

#[test]
fn a_gateway_is_told_who_it_is_in_eight_headers_for_pat_and_session() {
    let it = Deployment::new();
    let listener = Listener::start(&it.patrol);
    it.patrol
        .rename_user(&operator(), &user(it.alice), "Zoé 100%, ops")
        .unwrap();
    it.patrol
        .set_roles(&operator(), &user(it.alice), &["viewer".into(), "admin".into()])
        .unwrap();
    let token = it.issue(it.alice, "在庫, nightly");
    let answer = bearer(listener.address, &text(&token));
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    let expected = |session: &str, expires: u64| {
        [
            ("x-patrol-user", it.alice.to_string()),
            ("x-patrol-user-name", "Zo%C3%A9 100%25, ops".to_owned()),
            ("x-patrol-tenant", it.tenant.to_string()),
            ("x-patrol-roles", "admin,viewer".to_owned()),
            ("x-patrol-token-id", id(&token).to_string()),
            ("x-patrol-token-name", "%E5%9C%A8%E5%BA%AB, nightly".to_owned()),
            ("x-patrol-session", session.to_owned()),
            ("x-patrol-expires", rfc3339(expires)),
        ]
    };
    for (name, value) in expected("", START + 15 * DAY) {
        assert_eq!(answer.header(name), Some(&*value), "{name}");
    }

    let secret = session_of(&login(listener.address, &text(&token)).unwrap());
    let session = it.check(secret.as_bytes()).unwrap().session.unwrap().to_string();
    for form in [
        ("x-tableau-session-token", secret.clone()),
        ("Authorization", format!("Bearer {secret}")),
    ] {
        let answer = check(listener.address, &[(form.0, &form.1)]);
        assert_eq!(answer.status, 200);
        for (name, value) in expected(&session, START + 30 * MINUTE) {
            assert_eq!(answer.header(name), Some(&*value), "{name}");
        }
    }

    // Without roles the header is there all the same, and empty.
    let plain = NewAccount {
        name: "plain".to_owned(),
        ..NewAccount::default()
    };
    let plain = it.patrol.create_user(&operator(), "acme", &plain).unwrap().id;
    let answer = bearer(listener.address, &text(&it.issue(plain, "one")));
    assert_eq!(answer.header("x-patrol-roles"), Some(""));
}

#[test]
fn what_a_client_says_of_itself_is_not_believed_and_its_query_not_kept() {
    let it = Deployment::new();
    let listener = Listener::start(&it.patrol);
    let token = text(&it.issue(it.alice, "one"));
    let forged = [
        ("Authorization", &*format!("Bearer {token}")),
        ("X-Patrol-User", "somebody else"),
        ("X-Forwarded-For", "203.0.113.9"),
    ];
    let answer = check(listener.address, &forged);
    assert_eq!(answer.header("x-patrol-user"), Some(&*it.alice.to_string()));

    bearer(listener.address, "nonsense");
    let event = it.last_event("verify_personal_access_token");
    assert_eq!(event["initiatingUserIpAddress"], "192.0.2.7");
    assert_eq!(event["initiatingUrl"], "/thing");
}

#[test]
fn what_could_be_read_in_two_ways_is_a_bad_request() {
    let mut config = Config::default();
    config.http.credential_headers = vec!["X-Api-Key".to_owned()];
    let it = Deployment::with(config);
    let listener = Listener::start(&it.patrol);
    let token = it.issue(it.alice, "one");
    let session = String::from_utf8(it.sign_in(&token)).unwrap();
    let token = text(&token);
    let authorization = ("Authorization", &*format!("Bearer {token}"));
    assert_eq!(check(listener.address, &[("X-Api-Key", &token)]).status, 200);

    let both = format!("Bearer {token}, Bearer {token}");
    let credentials: [&[(&str, &str)]; 6] = [
        &[authorization, authorization],
        &[authorization, ("x-tableau-session-token", &session)],
        &[authorization, ("X-Api-Key", &token)],
        &[("X-Api-Key", &token), ("X-Api-Key", "other")],
        &[
            ("x-tableau-session-token", &session),
            ("x-tableau-session-token", "x"),
        ],
        &[("Authorization", &both)],
    ];
    for credential in credentials {
        let answer = check(listener.address, credential);
        assert_eq!(
            (answer.status, &answer.json()["errorCode"]),
            (400, &json!("E_400_CREDENTIALS"))
        );
    }

    let (uri, method) = (("X-Original-URI", "/thing"), ("X-Original-Method", "GET"));
    let gateways: [&[(&str, &str)]; 5] = [
        &[],
        &[uri],
        &[method],
        &[uri, uri, method],
        &[uri, method, ("X-Original-Method", "POST")],
    ];
    for gateway in gateways {
        let headers = [gateway, &[authorization]].concat();
        let answer = send(listener.address, "GET /check/nginx", &headers, b"").unwrap();
        assert_eq!(
            (answer.status, &answer.json()["errorCode"]),
            (400, &json!("E_400_GATEWAY"))
        );
    }
    // Any method of the subrequest will do: it is the gateway's.
    for method in ["GET", "HEAD", "POST"] {
        let headers = [uri, ("X-Original-Method", "DELETE"), authorization];
        let answer = send(listener.address, &format!("{method} /check/nginx"), &headers, b"").unwrap();
        assert_eq!(answer.status, 200, "{method}");
    }
}

#[test]
fn a_sign_in_that_is_no_sign_in_is_a_bad_request() {
    let it = Deployment::new();
    let listener = Listener::start(&it.patrol);
    let post = |body: &[u8]| send(listener.address, "POST /api/v1/pat/login", &[], body).unwrap();
    for body in [
        "x",
        "{}",
        "[]",
        "{\"token\":1}",
        "{\"token\":null}",
        "{\"Token\":\"x\"}",
        "{\"token\":\"x\"",
    ] {
        let answer = post(body.as_bytes());
        assert_eq!(
            (answer.status, &answer.json()["errorCode"]),
            (400, &json!("E_400_BAD_REQUEST")),
            "{body}"
        );
    }
    assert_eq!(post(b"\xff\xfe").status, 400);
    assert_eq!(
        send(listener.address, "POST /api/v1/pat/login", &[], b"")
            .unwrap()
            .status,
        400
    );
    // Members that are not known are not minded, and neither is the type that the client states.
    let token = text(&it.issue(it.alice, "one"));
    assert_eq!(
        post(format!("{{\"token\":\"{token}\",\"more\":1}}").as_bytes()).status,
        200
    );
}

#[test]
fn what_is_too_large_is_refused_and_harms_nobody() {
    let it = Deployment::new();
    let listener = Listener::start(&it.patrol);
    let token = text(&it.issue(it.alice, "one"));
    let padded = |bytes: usize| {
        let body = format!("{{\"token\":\"{token}\"}}");
        let padding = " ".repeat(bytes - body.len());
        (body + &padding).into_bytes()
    };
    let post = |body: &[u8]| send(listener.address, "POST /api/v1/pat/login", &[], body);
    assert_eq!(post(&padded(8 * 1024)).unwrap().status, 200);
    // The server may close before all was sent: then there is no answer, and no yes.
    for bytes in [8 * 1024 + 1, 4 << 20] {
        let answer = post(&padded(bytes));
        assert!(
            answer.as_ref().is_ok_and(|a| a.status == 413) || bytes > 1 << 20 && answer.is_err(),
            "{answer:?}"
        );
    }
    let long = "x".repeat(64 * 1024);
    let answer = send(
        listener.address,
        "GET /check/nginx",
        &[("Authorization", &long)],
        b"",
    );
    assert!(
        answer.as_ref().map_or(true, |answer| answer.status == 431),
        "{answer:?}"
    );
    assert_eq!(bearer(listener.address, &token).status, 200);
}

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
    let mut listener = Listener::start(&it.patrol);
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
    assert!(!listener.thread.as_ref().unwrap().is_finished());
    stream.write_all(rest.as_bytes()).unwrap();
    session_of(&receive(stream).unwrap());
    drop(listener);
    assert_eq!(it.events("login_with_personal_access_token").len(), 1);
}

#[test]
fn r12_a_pat_presented_to_the_listener_of_another_audience_is_refused() {
    let mut config = Config::default();
    config.http.audience = "reports".to_owned();
    let it = Deployment::with(config);
    let listener = Listener::start(&it.patrol);
    let token = it.issue(it.alice, "for the api");
    assert_eq!(token.row.audience, AUDIENCE);
    assert_eq!(bearer(listener.address, &text(&token)).status, 401);
    assert_eq!(login(listener.address, &text(&token)).unwrap().status, 401);
    let caller = Caller::user(it.alice, Origin::default());
    let right = it
        .patrol
        .issue(&caller, it.alice, "for reports", START + DAY, "reports")
        .unwrap();
    assert_eq!(bearer(listener.address, &text(&right)).status, 200);
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
