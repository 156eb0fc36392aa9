//! What Envoy is answered over HTTP. The original request's method, path and query are those of the question itself.

use std::io::Write as _;

use patrol::config::Config;
use patrol_tests::deployment::Deployment;
use patrol_tests::wire::{Answer, connect, receive, send};

use super::{Listener, text};

fn ask(listener: &Listener, request: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    send(listener.address, request, headers, body).unwrap()
}

#[test]
fn envoy_is_told_who_it_is_and_which_headers_to_remove() {
    let mut config = Config::default();
    config.http.credential_headers = vec!["X-Api-Key".to_owned()];
    let it = Deployment::with(config);
    let listener = Listener::start(&it.patrol);
    let token = text(&it.issue(it.alice, "one"));
    let bearer = format!("Bearer {token}");
    for request in [
        "GET /check/envoy/",
        "GET /check/envoy/thing?a=b",
        "DELETE /check/envoy//a%20b/../c",
        "PURGE /check/envoy/x",
        "HEAD /check/envoy/x",
        "OPTIONS /check/envoy/x",
    ] {
        let answer = ask(&listener, request, &[("Authorization", &bearer)], b"");
        assert_eq!((answer.status, &*answer.body), (200, ""), "{request}");
        assert_eq!(answer.header("x-patrol-user"), Some(&*it.alice.to_string()));
        assert_eq!(answer.header("x-patrol-session"), Some(""), "empty, not absent");
        assert_eq!(
            answer.header("x-envoy-auth-headers-to-remove"),
            Some("authorization,x-tableau-session-token,x-api-key")
        );
    }
    for (credential, status) in [
        (&[("Authorization", "Bearer nonsense")][..], 401),
        (&[], 401),
        (&[("Authorization", &*bearer), ("x-api-key", &token)], 400),
    ] {
        let answer = ask(&listener, "GET /check/envoy/x", credential, b"");
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("x-envoy-auth-headers-to-remove"), None);
        assert_eq!(answer.header("www-authenticate").is_some(), status == 401);
    }
}

#[test]
fn the_path_is_the_questions_own_whatever_headers_say() {
    let it = Deployment::new();
    let listener = Listener::start(&it.patrol);
    let headers = [
        ("Authorization", "Bearer nonsense"),
        ("X-Original-URI", "/forged"),
        ("X-Original-Method", "FORGED"),
        ("X-Forwarded-Uri", "/forged"),
        ("X-Envoy-Original-Path", "/forged"),
        ("X-Forwarded-For", "203.0.113.9"),
        ("X-Real-IP", "192.0.2.7"),
    ];
    for (asked, told) in [
        ("/check/envoy/thing?token=x", "/thing"),
        ("/check/envoy/check/envoy/x", "/check/envoy/x"),
        ("/check/envoy/", "/"),
        ("/check/envoy//x", "//x"),
    ] {
        assert_eq!(ask(&listener, &format!("GET {asked}"), &headers, b"").status, 401);
        let event = it.last_event("verify_personal_access_token");
        assert_eq!(event["initiatingUrl"], told);
        assert_eq!(event["initiatingUserIpAddress"], "192.0.2.7");
    }
    // Sent twice, it is not Envoy that says so.
    ask(
        &listener,
        "GET /check/envoy/",
        &[&headers[..], &[("X-Real-IP", "192.0.2.8")]].concat(),
        b"",
    );
    let event = it.last_event("verify_personal_access_token");
    assert_eq!(event["initiatingUserIpAddress"], serde_json::Value::Null);
}

#[test]
fn another_prefix_is_no_question() {
    let it = Deployment::new();
    let listener = Listener::start(&it.patrol);
    let bearer = format!("Bearer {}", text(&it.issue(it.alice, "one")));
    for path in [
        "/check/envoy",
        "/check/envoyx",
        "/check/Envoy/x",
        "/check%2Fenvoy/x",
        "//check/envoy/x",
        "/x/check/envoy/x",
    ] {
        let answer = ask(
            &listener,
            &format!("GET {path}"),
            &[("Authorization", &bearer)],
            b"",
        );
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.header("x-patrol-user"), None);
    }
}

#[test]
fn a_body_is_not_looked_at_and_a_large_one_refused() {
    let it = Deployment::new();
    let listener = Listener::start(&it.patrol);
    let bearer = format!("Bearer {}", text(&it.issue(it.alice, "one")));
    let authorization = [("Authorization", &*bearer)];
    let post = |body: &[u8]| ask(&listener, "POST /check/envoy/x", &authorization, body).status;
    assert_eq!(post(b"token=x"), 200);
    assert_eq!(post(&[b'x'; 8 * 1024]), 200);
    assert_eq!(post(&[b'x'; 8 * 1024 + 1]), 400);
    // One whose length is not told could be of any.
    let mut stream = connect(listener.address).unwrap();
    let head = format!(
        "POST /check/envoy/x HTTP/1.1\r\nHost: patrol\r\nConnection: close\r\nAuthorization: {bearer}\r\n\
         Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(receive(stream).unwrap().status, 400);
}

#[test]
fn a_path_that_leads_out_of_the_question_is_none() {
    let it = Deployment::new();
    let listener = Listener::start(&it.patrol);
    let bearer = format!("Bearer {}", text(&it.issue(it.alice, "one")));
    let ask = |path: &str| {
        ask(
            &listener,
            &format!("GET /check/envoy{path}"),
            &[("Authorization", &bearer)],
            b"",
        )
    };
    // A gateway that resolves it to choose where it goes, and hands it on as it came, would have a client's own request
    // answered as if the gateway asked.
    for path in [
        "/../../api/v1/tenants/x",
        "/a/../../../api/v1/pat/login",
        "/./../../api/v1/pat/login",
        "//../../api/v1/pat/login",
        "/%2e%2E/%2e./api/v1/tenants/x",
        "/..%2f..%2Fapi/v1/tenants/x",
        "/..%5c../api/v1/tenants/x",
        "/..",
    ] {
        let answer = ask(path);
        assert_eq!(answer.status, 400, "{path}");
        assert_eq!(answer.header("x-patrol-user"), None, "{path}");
    }
    for path in ["/a/../b", "/a/b/%2e%2e/..", "/..a/b", "/a?/../../..", "/a%2f../b"] {
        assert_eq!(ask(path).status, 200, "{path}");
    }
}
