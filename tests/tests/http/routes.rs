//! Which request needs what.

use patrol::config::{Challenge, Config, RouteConfig};
use patrol_policy::types::DAY;
use patrol_tests::deployment::{Deployment, START, id, operator, user};
use patrol_tests::wire::Answer;
use serde_json::json;

use super::{Listener, ask, text};

fn route(path: &str) -> RouteConfig {
    RouteConfig {
        path: path.to_owned(),
        ..RouteConfig::default()
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn with(routes: Vec<RouteConfig>) -> Config {
    Config {
        routes,
        ..Config::default()
    }
}

fn bearer(listener: &Listener, method: &str, uri: &str, token: &str) -> Answer {
    let authorization = format!("Bearer {token}");
    ask(
        listener.address,
        method,
        uri,
        "192.0.2.7",
        &[("Authorization", &authorization)],
    )
}

fn anonymous(listener: &Listener, method: &str, uri: &str) -> Answer {
    ask(listener.address, method, uri, "192.0.2.7", &[])
}

#[test]
fn the_first_route_that_fits_decides_and_none_is_a_no() {
    let it = Deployment::with(with(vec![
        RouteConfig {
            methods: names(&["GET"]),
            anonymous: true,
            ..route("/open/**")
        },
        route("/open/**"),
        route("/api/*"),
    ]));
    let listener = Listener::start(&it.patrol);
    let token = text(&it.issue(it.alice, "one"));
    for (method, uri, unknown, known) in [
        ("GET", "/open/a/b", 200, 200),
        ("HEAD", "/open", 200, 200),
        ("POST", "/open/a", 401, 200),
        ("DELETE", "/api/x?y=/z", 401, 200),
        ("GET", "/api", 403, 403),
        ("GET", "/api/x/y", 403, 403),
        ("GET", "/API/x", 403, 403),
        ("GET", "/", 403, 403),
    ] {
        assert_eq!(
            anonymous(&listener, method, uri).status,
            unknown,
            "{method} {uri}"
        );
        assert_eq!(
            bearer(&listener, method, uri, &token).status,
            known,
            "{method} {uri}"
        );
    }
    let answer = bearer(&listener, "GET", "/", &token);
    assert_eq!(answer.json()["errorCode"], "E_403_NO_ROUTE");
    assert_eq!(answer.header("x-patrol-user"), None);
}

#[test]
fn who_comes_in_anonymously_is_nobody_and_a_bad_credential_is_still_a_no() {
    let it = Deployment::with(with(vec![RouteConfig {
        anonymous: true,
        ..route("/**")
    }]));
    let listener = Listener::start(&it.patrol);
    let answer = anonymous(&listener, "GET", "/");
    assert_eq!(answer.status, 200);
    for name in patrol::gate::IDENTITY_HEADERS.iter() {
        assert_eq!(answer.header(name.as_str()), Some(""), "{name}");
    }
    assert_eq!(bearer(&listener, "GET", "/", "nonsense").status, 401);
    let token = text(&it.issue(it.alice, "one"));
    let answer = bearer(&listener, "GET", "/", &token);
    assert_eq!(answer.header("x-patrol-user"), Some(&*it.alice.to_string()));
}

#[test]
fn a_path_is_what_it_means_however_it_is_written() {
    let it = Deployment::with(with(vec![
        RouteConfig {
            all_roles: names(&["root"]),
            ..route("/admin/**")
        },
        RouteConfig {
            anonymous: true,
            ..route("/**")
        },
    ]));
    let listener = Listener::start(&it.patrol);
    assert_eq!(anonymous(&listener, "GET", "/free").status, 200);
    for uri in [
        "/admin",
        "/admin/",
        "/admin/x",
        "/%61dmin",
        "/%61%64%6d%69%6E/x",
        "/admin?",
        "/admin?/..",
    ] {
        assert_eq!(anonymous(&listener, "GET", uri).status, 401, "{uri}");
    }
    for uri in [
        "/free/../admin",
        "/./admin",
        "//admin",
        "/free//x",
        "/free%2f..%2fadmin",
        "/%2e%2e/admin",
        "/free\\..\\admin",
        "/free%5cadmin",
        "/admin;x=1",
        "/admin%3bx",
        "/admin#",
        "/admin%23",
        "/admin%00",
        "/admin%0a",
        "/admin%7f",
        "/%2561dmin",
        "/%",
        "/%4",
        "/%zz",
        "/%ff",
        "/%c0%afadmin",
        "/gr\u{f6}\u{df}e",
        "admin",
        "*",
        "http://service/admin",
    ] {
        let answer = anonymous(&listener, "GET", uri);
        assert_eq!(
            (answer.status, &answer.json()["errorCode"]),
            (400, &json!("E_400_PATH")),
            "{uri}"
        );
    }
}

#[test]
fn a_path_that_nobody_looks_at_may_be_any() {
    let it = Deployment::with(with(vec![
        RouteConfig {
            methods: names(&["GET"]),
            anonymous: true,
            ..route("/**")
        },
        route("/**"),
    ]));
    let listener = Listener::start(&it.patrol);
    assert_eq!(anonymous(&listener, "GET", "/a/../b;c//d%2f").status, 200);
    assert_eq!(anonymous(&listener, "POST", "/a/../b;c//d%2f").status, 401);
    // But here the method is looked at, and not every service minds its case.
    for method in ["get", "Post", "G\u{e9}T", "GET,POST"] {
        let answer = anonymous(&listener, method, "/");
        assert_eq!(
            (answer.status, &answer.json()["errorCode"]),
            (400, &json!("E_400_METHOD")),
            "{method}"
        );
    }
}

#[test]
fn r04_a_route_asks_for_roles_that_the_owner_has_at_that_moment() {
    let it = Deployment::with(with(vec![
        RouteConfig {
            any_role: names(&["admin", "operator"]),
            ..route("/any/**")
        },
        RouteConfig {
            all_roles: names(&["admin", "auditor"]),
            ..route("/all/**")
        },
        RouteConfig {
            any_role: names(&["admin", "operator"]),
            all_roles: names(&["auditor"]),
            ..route("/both/**")
        },
    ]));
    let listener = Listener::start(&it.patrol);
    let made = it.issue(it.alice, "one");
    let token = text(&made);
    for (roles, any, all, both) in [
        (&["admin"][..], 200, 403, 403),
        (&["operator", "auditor"], 200, 403, 200),
        (&["admin", "auditor"], 200, 200, 200),
        (&["auditor"], 403, 403, 403),
        (&["Admin", "administrator"], 403, 403, 403),
        (&[], 403, 403, 403),
    ] {
        it.patrol
            .set_roles(&operator(), &user(it.alice), &names(roles))
            .unwrap();
        for (uri, expected) in [("/any/x", any), ("/all/x", all), ("/both/x", both)] {
            assert_eq!(
                bearer(&listener, "PUT", uri, &token).status,
                expected,
                "{roles:?} {uri}"
            );
        }
    }
    let answer = bearer(&listener, "PUT", "/both/x?secret=1", &token);
    assert_eq!(answer.json()["errorCode"], "E_403_FORBIDDEN");
    assert_eq!(answer.header("www-authenticate"), None);
    let event = it.last_event("deny_by_role");
    assert_eq!(event["eventOutcome"], "client_error");
    assert_eq!(event["eventOutcomeReason"], "not-permitted");
    assert_eq!(event["initiatingUserId"], it.alice.to_string());
    assert_eq!(event["initiatingUserIpAddress"], "192.0.2.7");
    assert_eq!(event["initiatingUrl"], "/both/x");
    assert_eq!(event["patId"], id(&made).to_string());
    assert_eq!(
        event["details"]["requiredRoles"],
        "one of admin,operator and all of auditor"
    );
    assert_eq!(event["details"]["method"], "PUT");
    // Not enough is no failed attempt: nobody guesses by it.
    for _ in 0..100 {
        assert_eq!(bearer(&listener, "PUT", "/both/x", &token).status, 403);
    }
}

#[test]
fn r12_a_route_has_an_audience_of_its_own() {
    let it = Deployment::with(with(vec![
        RouteConfig {
            audience: Some("reports".to_owned()),
            ..route("/reports/**")
        },
        route("/**"),
    ]));
    let listener = Listener::start(&it.patrol);
    let api = text(&it.issue(it.alice, "api"));
    let reports = it
        .patrol
        .issue(&operator(), it.alice, "reports", START + DAY, "reports")
        .unwrap();
    let reports = text(&reports);
    assert_eq!(bearer(&listener, "GET", "/reports/1", &api).status, 401);
    assert_eq!(bearer(&listener, "GET", "/reports/1", &reports).status, 200);
    assert_eq!(bearer(&listener, "GET", "/other", &api).status, 200);
    assert_eq!(bearer(&listener, "GET", "/other", &reports).status, 401);
}

#[test]
fn a_route_reads_its_own_forms_and_challenges_its_own_way() {
    let it = Deployment::with(with(vec![
        RouteConfig {
            credentials: Some(names(&["basic"])),
            challenge: Some(Challenge::Basic),
            realm: Some("repositories".to_owned()),
            ..route("/git/**")
        },
        RouteConfig {
            credentials: Some(names(&["bare", "PRIVATE-TOKEN"])),
            challenge: Some(Challenge::None),
            ..route("/crates/**")
        },
        route("/**"),
    ]));
    let listener = Listener::start(&it.patrol);
    let token = text(&it.issue(it.alice, "one"));
    let basic = {
        use base64::Engine as _;
        let pair = format!("anybody:{token}");
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
    };
    let bearer = format!("Bearer {token}");
    let forms = [
        ("Authorization", &*bearer),
        ("Authorization", &*basic),
        ("Authorization", &*token),
        ("Private-Token", &*token),
    ];
    for (uri, accepted) in [
        ("/git/x", [false, true, false, false]),
        ("/crates/x", [false, false, true, true]),
        ("/other", [true, true, false, false]),
    ] {
        for (form, accepted) in forms.into_iter().zip(accepted) {
            let answer = ask(listener.address, "GET", uri, "192.0.2.7", &[form]);
            assert_eq!(answer.status, if accepted { 200 } else { 401 }, "{uri} {form:?}");
            if !accepted {
                // As if nothing had been presented.
                let nothing = anonymous(&listener, "GET", uri);
                assert_eq!(
                    (answer.body, answer.headers),
                    (nothing.body, nothing.headers),
                    "{uri}"
                );
            }
            let two = [form, ("x-tableau-session-token", "x")];
            assert_eq!(
                ask(listener.address, "GET", uri, "192.0.2.7", &two).status,
                400,
                "{uri} {form:?}"
            );
        }
    }
    let challenge = |uri: &str| {
        let answer = anonymous(&listener, "GET", uri);
        answer.header("www-authenticate").map(str::to_owned)
    };
    assert_eq!(
        challenge("/git/x").unwrap(),
        "Basic realm=\"repositories\", charset=\"UTF-8\""
    );
    assert_eq!(challenge("/crates/x"), None);
    assert_eq!(challenge("/other").unwrap(), "Bearer realm=\"patrol\"");
}

#[test]
fn every_header_that_may_hold_a_credential_is_named_to_the_gateway_whatever_the_route() {
    let mut config = with(vec![
        RouteConfig {
            credentials: Some(names(&["X-Vault-Token", "bearer"])),
            ..route("/vault/**")
        },
        RouteConfig {
            anonymous: true,
            ..route("/**")
        },
    ]);
    config.http.credential_headers = names(&["X-Api-Key"]);
    let it = Deployment::with(config);
    let listener = Listener::start(&it.patrol);
    let headers = http::HeaderMap::new();
    let admission = listener
        .gate
        .check(&patrol::gate::Request {
            door: patrol::gate::Door::Layer,
            method: "GET",
            uri: "/open",
            headers: &headers,
            address: None,
        })
        .unwrap();
    let named: Vec<_> = admission
        .credential_headers
        .iter()
        .map(|name| name.as_str())
        .collect();
    assert_eq!(
        named,
        [
            "authorization",
            "x-tableau-session-token",
            "x-api-key",
            "x-vault-token"
        ]
    );
}

#[test]
fn a_configuration_that_makes_no_sense_changes_nothing() {
    let it = Deployment::with(with(vec![route("/a")]));
    let listener = Listener::start(&it.patrol);
    for wrong in [
        vec![route("")],
        vec![route("/a**")],
        vec![route("/**"), route("/b")],
    ] {
        let error = listener.gate.reconfigure(with(wrong)).unwrap_err();
        assert!(error.to_string().contains("route["), "{error}");
        assert_eq!(anonymous(&listener, "GET", "/a").status, 401);
        assert_eq!(anonymous(&listener, "GET", "/b").status, 403);
    }
    listener.gate.reconfigure(with(vec![route("/b")])).unwrap();
    assert_eq!(anonymous(&listener, "GET", "/a").status, 403);
    assert_eq!(anonymous(&listener, "GET", "/b").status, 401);
}
