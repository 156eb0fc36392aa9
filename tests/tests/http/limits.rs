//! Failures are put off, good credentials never.

use std::time::Duration;

use patrol::config::Config;
use patrol_policy::token::{Kind, compose};
use patrol_policy::types::Id;
use patrol_tests::deployment::{Deployment, id, operator};
use patrol_tests::wire::{Answer, send};

use super::{Listener, ask, text};

const ALLOWED: u32 = 3;

fn limited(address: u32, token: u32) -> Config {
    let mut config = Config::default();
    config.limits.failures_per_address = address;
    config.limits.failures_per_token = token;
    config
}

fn present(listener: &Listener, from: &str, token: &str) -> Answer {
    let authorization = format!("Bearer {token}");
    ask(
        listener.address,
        "GET",
        "/thing",
        from,
        &[("Authorization", &authorization)],
    )
}

fn composed(id: Id) -> String {
    String::from_utf8(compose(Kind::Pat, id, &[4; 32]).into_bytes()).unwrap()
}

/// Asserts that an answer puts off, and says how long, in whole seconds.
#[track_caller]
fn put_off(answer: &Answer) {
    assert_eq!(answer.status, 429, "{answer:?}");
    assert_eq!(answer.json()["errorCode"], "E_429_TOO_MANY_REQUESTS");
    assert_eq!(answer.header("www-authenticate"), None);
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60 / u64::from(ALLOWED)).contains(&wait), "{wait}");
}

#[test]
fn one_failure_too_many_from_an_address_is_put_off_and_a_good_token_is_not() {
    let it = Deployment::with(limited(ALLOWED, 0));
    let listener = Listener::start(&it.patrol);
    let good = text(&it.issue(it.alice, "good"));
    let here = "192.0.2.7";
    for _ in 0..ALLOWED {
        assert_eq!(present(&listener, here, "nonsense").status, 401);
        assert_eq!(present(&listener, here, &good).status, 200);
    }
    put_off(&present(&listener, here, "nonsense"));
    // A token that is unknown is counted where it comes from, too.
    put_off(&present(&listener, here, &composed(Id::from_u128(3))));
    assert_eq!(present(&listener, here, &good).status, 200);
    assert_eq!(present(&listener, "192.0.2.8", "nonsense").status, 401);
}

#[test]
fn asking_without_a_credential_is_no_failure() {
    let it = Deployment::with(limited(ALLOWED, 0));
    let listener = Listener::start(&it.patrol);
    let here = "192.0.2.7";
    for _ in 0..ALLOWED * 5 {
        assert_eq!(ask(listener.address, "GET", "/thing", here, &[]).status, 401);
    }
    for _ in 0..ALLOWED {
        assert_eq!(present(&listener, here, "nonsense").status, 401);
        assert_eq!(ask(listener.address, "GET", "/thing", here, &[]).status, 401);
    }
    put_off(&present(&listener, here, "nonsense"));
    assert_eq!(ask(listener.address, "GET", "/thing", here, &[]).status, 401);
}

#[test]
fn a_network_of_ipv6_addresses_is_one() {
    let it = Deployment::with(limited(ALLOWED, 0));
    let listener = Listener::start(&it.patrol);
    for host in 0..ALLOWED {
        assert_eq!(
            present(&listener, &format!("2001:db8::{host:x}"), "nonsense").status,
            401
        );
    }
    put_off(&present(&listener, "2001:db8::ffff", "nonsense"));
    assert_eq!(present(&listener, "2001:db8:0:1::1", "nonsense").status, 401);
}

#[test]
fn a_token_that_is_guessed_at_from_everywhere_is_put_off_everywhere_and_still_good() {
    let it = Deployment::with(limited(0, ALLOWED));
    let listener = Listener::start(&it.patrol);
    let token = it.issue(it.alice, "guessed");
    let guess = composed(id(&token));
    for host in 0..ALLOWED {
        assert_eq!(present(&listener, &format!("192.0.2.{host}"), &guess).status, 401);
    }
    put_off(&present(&listener, "198.51.100.1", &guess));
    assert_eq!(present(&listener, "198.51.100.1", &text(&token)).status, 200);
    // Others are not affected, and what does not exist is not remembered.
    let other = it.issue(it.alice, "other");
    assert_eq!(
        present(&listener, "198.51.100.1", &composed(id(&other))).status,
        401
    );
    for _ in 0..ALLOWED * 2 {
        assert_eq!(
            present(&listener, "198.51.100.1", &composed(Id::from_u128(3))).status,
            401
        );
    }
    // Once revoked it fails like any other guess.
    it.patrol.revoke(&operator(), id(&token)).unwrap();
    put_off(&present(&listener, "203.0.113.1", &text(&token)));
}

#[test]
fn a_sign_in_and_a_session_are_counted_as_checks_are() {
    let it = Deployment::with(limited(ALLOWED, 0));
    let listener = Listener::start(&it.patrol);
    let login = |from: &str| {
        let headers = [("Content-Type", "application/json"), ("X-Real-IP", from)];
        send(
            listener.address,
            "POST /api/v1/pat/login",
            &headers,
            br#"{"token":"nonsense"}"#,
        )
        .unwrap()
    };
    for _ in 0..ALLOWED {
        assert_eq!(login("192.0.2.7").status, 401);
    }
    put_off(&login("192.0.2.7"));
    put_off(&present(&listener, "192.0.2.7", "nonsense"));
    let session = [("x-tableau-session-token", "nonsense")];
    put_off(&ask(listener.address, "GET", "/thing", "192.0.2.7", &session));
    assert_eq!(login("192.0.2.8").status, 401);
}

#[test]
fn counts_outlive_a_change_of_the_configuration_that_is_not_about_them() {
    let it = Deployment::with(limited(ALLOWED, 0));
    let listener = Listener::start(&it.patrol);
    for _ in 0..ALLOWED {
        assert_eq!(present(&listener, "192.0.2.7", "nonsense").status, 401);
    }
    let mut config = (*it.patrol.config()).clone();
    config.http.realm = "elsewhere".to_owned();
    listener.gate.reconfigure(config.clone()).unwrap();
    put_off(&present(&listener, "192.0.2.7", "nonsense"));
    config.limits.failures_per_address = 0;
    listener.gate.reconfigure(config).unwrap();
    assert_eq!(present(&listener, "192.0.2.7", "nonsense").status, 401);
}

#[test]
fn passwords_are_put_off_before_they_are_looked_at_by_address_and_user() {
    let mut config = Config::default();
    config.limits.passwords_per_user = ALLOWED;
    let it = Deployment::with(config);
    let listener = Listener::start(&it.patrol);
    let attempt = |from: &str, user: &str| {
        let address = from.parse().unwrap();
        let attempt = listener.gate.password_attempt(Some(address), Some("acme"), user);
        attempt.unwrap()
    };
    for spelling in ["alice", " alice", "alice\u{a0}"] {
        assert_eq!(attempt("192.0.2.7", spelling), None);
    }
    let wait = attempt("192.0.2.7", "alice").unwrap();
    assert!(
        wait <= Duration::from_secs(20) && wait > Duration::from_secs(10),
        "{wait:?}"
    );
    assert_eq!(attempt("192.0.2.7", "bob"), None);
    assert_eq!(attempt("192.0.2.8", "alice"), None);
}
