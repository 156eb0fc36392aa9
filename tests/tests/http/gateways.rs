//! What gateways are answered: yes with identity headers, no without reasons, or a bad request.

use patrol::config::{Challenge, Config};
use patrol::service::{Caller, NewAccount, Origin};
use patrol::time::rfc3339;
use patrol_policy::token::{Kind, compose};
use patrol_policy::types::{DAY, HOUR, Id, MINUTE};
use patrol_tests::deployment::{AUDIENCE, Deployment, START, id, operator, user};
use patrol_tests::wire::{check, login, send};
use serde_json::json;

use super::{Listener, api, bearer, session_of, text};

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
fn a_gateway_is_told_who_it_is_for_pat_and_session() {
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
            // There all the same, so that no copy that a client sends is taken for it.
            ("x-patrol-identity", String::new()),
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
    // A path is whatever the client asked for, ASCII or not.
    let odd = [("X-Original-URI", "/gr\u{f6}\u{df}e"), method, authorization];
    assert_eq!(
        send(listener.address, "GET /check/nginx", &odd, b"")
            .unwrap()
            .status,
        200
    );
    // Any method of the subrequest will do: it is the gateway's.
    for method in ["GET", "HEAD", "POST"] {
        let headers = [uri, ("X-Original-Method", "DELETE"), authorization];
        let answer = send(listener.address, &format!("{method} /check/nginx"), &headers, b"").unwrap();
        assert_eq!(answer.status, 200, "{method}");
    }
}

#[test]
fn forward_authentication_reads_each_thing_from_the_one_place_that_caddy_and_traefik_set() {
    let it = Deployment::new();
    let listener = Listener::start(&it.patrol);
    let token = text(&it.issue(it.alice, "one"));
    let bearer = format!("Bearer {token}");
    let authorization = ("Authorization", &*bearer);
    let uri = ("X-Forwarded-Uri", "/thing?query=1");
    let method = ("X-Forwarded-Method", "GET");
    let address = ("X-Forwarded-For", "192.0.2.7");
    let ask = |target: &str, headers: &[(&str, &str)]| {
        send(listener.address, &format!("GET {target}"), headers, b"").unwrap()
    };
    let answer = ask("/check/forward", &[uri, method, address, authorization]);
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert_eq!(answer.header("x-patrol-user"), Some(&*it.alice.to_string()));
    assert_eq!(answer.header("x-patrol-session"), Some(""));

    // Nothing stands in for what is missing, there twice or unreadable, least of all what other gateways set.
    let originals = [
        ("X-Original-URI", "/thing"),
        ("X-Original-Method", "GET"),
        ("X-Real-IP", "192.0.2.7"),
    ];
    let lacking: [&[(&str, &str)]; 10] = [
        &[],
        &[method, address],
        &[uri, address],
        &[uri, method],
        &[uri, uri, method, address],
        &[uri, method, ("X-Forwarded-Method", "POST"), address],
        &[uri, method, address, ("X-Forwarded-For", "192.0.2.8")],
        &[("X-Forwarded-Uri", ""), method, address],
        &[uri, method, ("X-Forwarded-For", "192.0.2.8, unknown")],
        &[uri, method, ("X-Forwarded-For", "192.0.2.8,")],
    ];
    for gateway in lacking {
        let headers = [gateway, &originals, &[authorization]].concat();
        for target in [
            "/check/forward",
            "/check/forward?X-Forwarded-Uri=/thing&uri=/thing&method=GET",
        ] {
            let answer = ask(target, &headers);
            assert_eq!(
                (answer.status, &answer.json()["errorCode"]),
                (400, &json!("E_400_GATEWAY")),
                "{gateway:?}"
            );
        }
    }

    // The query of the question is the client's. Of several addresses the gateway vouches for the last.
    let nonsense = ("Authorization", "Bearer nonsense");
    let hops = ("X-Forwarded-For", "203.0.113.9, 2001:db8::7");
    let others = [("X-Original-URI", "/other"), ("X-Real-IP", "203.0.113.8")];
    let headers = [&others[..], &[uri, method, hops, nonsense]].concat();
    assert_eq!(ask("/check/forward?/other", &headers).status, 401);
    let event = it.last_event("verify_personal_access_token");
    assert_eq!(event["initiatingUserIpAddress"], "2001:db8::7");
    assert_eq!(event["initiatingUrl"], "/thing");
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
