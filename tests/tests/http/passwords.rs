//! Signing in with user name and password, over the wire (R11).

use patrol::config::Config;
use patrol::time::rfc3339;
use patrol_policy::types::HOUR;
use patrol_tests::deployment::{Deployment, START, operator, user};
use patrol_tests::wire::{Answer, check, send};
use serde_json::{Value, json};

use super::{Listener, api, assert_problem, post, session_of};

const PASSWORD: &str = "correct horse battery staple";

fn with_password() -> (Deployment, Listener) {
    let it = Deployment::new();
    let password = PASSWORD.as_bytes().to_vec().into();
    it.patrol
        .set_password(&operator(), &user(it.alice), &password)
        .unwrap();
    let listener = Listener::start(&it.patrol);
    (it, listener)
}

fn sign_in(listener: &Listener, body: &Value) -> Answer {
    post(listener.address, "/api/v1/login", "", body)
}

fn good() -> Value {
    json!({"tenant": "acme", "userName": "alice", "password": PASSWORD})
}

#[test]
fn r11_a_password_opens_a_session_that_every_door_accepts() {
    let (it, listener) = with_password();
    let answer = sign_in(&listener, &good());
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
    assert_eq!(answer.header("cache-control"), Some("no-store"));

    let bearer = format!("Bearer {session}");
    let basic = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        format!("anybody:{session}"),
    );
    let basic = format!("Basic {basic}");
    for credential in [
        ("x-tableau-session-token", &session),
        ("Authorization", &bearer),
        ("Authorization", &basic),
    ] {
        let answer = check(listener.address, &[(credential.0, credential.1)]);
        assert_eq!(answer.status, 200, "{credential:?}");
        assert_eq!(answer.header("x-patrol-user"), Some(&*it.alice.to_string()));
        assert_eq!(answer.header("x-patrol-roles"), Some("admin"));
        // No token is behind it, and none is named.
        assert_eq!(answer.header("x-patrol-token-id"), Some(""));
        assert_eq!(answer.header("x-patrol-token-name"), Some(""));
    }
    let sites = format!("GET /api/v1/tenants/{}/sites", it.tenant);
    assert_eq!(api(listener.address, &sites, &session).status, 200);
    let by_bearer = send(listener.address, &sites, &[("Authorization", &bearer)], b"");
    assert_eq!(by_bearer.unwrap().status, 200);

    assert_eq!(
        api(listener.address, "DELETE /api/v2/sessions", &session).status,
        204
    );
    assert_problem(
        &api(listener.address, &sites, &session),
        401,
        "E_401_UNAUTHORIZED",
    );
    assert_eq!(check(listener.address, &[("Authorization", &bearer)]).status, 401);
}

#[test]
fn r11_with_multi_factor_on_whoever_asks_is_told_that_a_pat_is_needed() {
    let (it, listener) = with_password();
    let session = session_of(&sign_in(&listener, &good()));
    it.patrol.set_multi_factor(&operator(), "acme", true).unwrap();
    for (name, password) in [
        ("alice", PASSWORD),
        ("alice", "wrong"),
        ("bob", "x"),
        ("nobody", "x"),
    ] {
        let body = json!({"tenant": "acme", "userName": name, "password": password});
        let answer = sign_in(&listener, &body);
        assert_problem(&answer, 403, "E_403_PAT_REQUIRED");
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains("personal access token"), "{message}");
        assert_eq!(answer.header("www-authenticate"), None);
    }
    // So are sessions that were opened before.
    let sites = format!("GET /api/v1/tenants/{}/sites", it.tenant);
    assert_eq!(api(listener.address, &sites, &session).status, 401);
    it.patrol.set_multi_factor(&operator(), "acme", false).unwrap();
    session_of(&sign_in(&listener, &good()));
}

#[test]
fn what_is_wrong_with_a_password_sign_in_is_not_told() {
    let (it, listener) = with_password();
    let wrong = [
        json!({"tenant": "acme", "userName": "alice", "password": "wrong"}),
        json!({"tenant": "acme", "userName": "alice", "password": ""}),
        json!({"tenant": "acme", "userName": "bob", "password": "has none"}),
        json!({"tenant": "acme", "userName": "nobody", "password": PASSWORD}),
        json!({"tenant": "elsewhere", "userName": "alice", "password": PASSWORD}),
        json!({"tenant": "acme", "userName": "\u{0}", "password": PASSWORD}),
    ];
    let first = sign_in(&listener, &wrong[0]);
    assert_problem(&first, 401, "E_401_UNAUTHORIZED");
    for body in &wrong {
        assert_eq!(sign_in(&listener, body), first, "{body}");
    }
    it.patrol
        .set_enabled(&operator(), &user(it.alice), false)
        .unwrap();
    assert_eq!(sign_in(&listener, &good()), first);
}

#[test]
fn a_password_sign_in_that_is_none_is_a_bad_request() {
    let (it, listener) = with_password();
    for body in [
        json!({}),
        json!([]),
        json!({"userName": "alice"}),
        json!({"password": PASSWORD}),
        json!({"userName": 1, "password": PASSWORD}),
        json!({"userName": "alice", "password": [PASSWORD]}),
        json!({"username": "alice", "password": PASSWORD}),
    ] {
        let answer = sign_in(&listener, &body);
        assert_problem(&answer, 400, "E_400_BAD_REQUEST");
        assert!(!answer.body.contains(PASSWORD), "{answer:?}");
    }
    let as_form = [("Content-Type", "application/x-www-form-urlencoded")];
    let body = good().to_string();
    let answer = send(listener.address, "POST /api/v1/login", &as_form, body.as_bytes());
    assert_problem(&answer.unwrap(), 415, "E_415_UNSUPPORTED_MEDIA_TYPE");
    let long = json!({"userName": "alice", "password": "x".repeat(8 * 1024)});
    assert_problem(&sign_in(&listener, &long), 413, "E_413_CONTENT_TOO_LARGE");
    // The tenant may be left out only while there is one.
    let without = json!({"userName": "alice", "password": PASSWORD, "more": true});
    session_of(&sign_in(&listener, &without));
    it.patrol
        .create_tenant(&operator(), "umbrella", "password", false)
        .unwrap();
    assert_problem(&sign_in(&listener, &without), 400, "E_400_BAD_REQUEST");
}

#[test]
fn a_flood_of_passwords_leaves_the_rest_of_the_server_alone() {
    let (it, listener) = with_password();
    let token = super::text(&it.issue(it.bob, "one"));
    let address = listener.address;
    let guessing: Vec<_> = (0..12)
        .map(|round| {
            std::thread::spawn(move || {
                let password = format!("guess {round}");
                let body = json!({"tenant": "acme", "userName": "alice", "password": password});
                post(address, "/api/v1/login", "", &body).status
            })
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(super::bearer(address, &token).status, 200);
    }
    for guess in guessing {
        let status = guess.join().unwrap();
        assert!([401, 429, 503].contains(&status), "{status}");
    }
}

#[test]
fn guessing_a_password_is_put_off_before_the_hash_and_says_for_how_long() {
    let (_it, listener) = with_password();
    let wrong = json!({"tenant": "acme", "userName": "alice", "password": "wrong"});
    let answers: Vec<_> = (0..20).map(|_| sign_in(&listener, &wrong)).collect();
    let last = answers.last().unwrap();
    assert_eq!(answers[0].status, 401);
    assert_problem(last, 429, "E_429_TOO_MANY_REQUESTS");
    let wait: u64 = last.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    // The right one has to wait as well, and others have not.
    assert_eq!(sign_in(&listener, &good()).status, 429);
    let other = json!({"tenant": "acme", "userName": "bob", "password": "wrong"});
    assert_eq!(sign_in(&listener, &other).status, 401);
}

#[test]
fn guesses_are_counted_however_the_tenant_is_named() {
    let mut config = Config::default();
    config.limits.passwords_per_user = 3;
    let it = Deployment::with(config);
    let listener = Listener::start(&it.patrol);
    let id = it.tenant.to_string();
    let plain = id.replace('-', "");
    let spellings = [
        Some("acme".to_owned()),
        None,
        Some(" acme\u{a0}".to_owned()),
        Some(id.to_uppercase()),
        Some(format!("{{{id}}}")),
        Some(format!("urn:uuid:{id}")),
        Some(plain.to_uppercase()),
        Some(plain),
        Some(id),
    ];
    let statuses = spellings.map(|tenant| {
        let mut body = json!({"userName": "alice", "password": "wrong"});
        if let Some(tenant) = tenant {
            body["tenant"] = tenant.into();
        }
        sign_in(&listener, &body).status
    });
    assert_eq!(statuses, [401, 401, 401, 429, 429, 429, 429, 429, 429]);
}
