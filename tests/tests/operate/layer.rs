//! Patrol in the process that it protects: what reaches the service, and what is answered in its place.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::body::{Body, to_bytes};
use axum::{Extension, Json, Router};
use http::{HeaderMap, Request, Response, StatusCode};
use patrol::config::{Config, RouteConfig};
use patrol::service::Patrol;
use patrol::{Gate, Identity, Meters, PatrolLayer};
use patrol_tests::deployment::{Deployment, id, operator};
use patrol_tests::hostile;
use serde_json::{Value, json};
use tower::{Layer as _, ServiceExt as _};

/// A service that tells what reached it, behind Patrol.
struct Protected {
    service: Router,
    reached: Arc<AtomicU32>,
    runtime: tokio::runtime::Runtime,
}

fn protected(patrol: &Arc<Patrol>) -> Protected {
    let gate = Arc::new(Gate::new(Arc::clone(patrol), Meters::default()).unwrap());
    let layer = PatrolLayer::new(gate).with_address(|extensions| extensions.get::<IpAddr>().copied());
    let reached = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&reached);
    let echo = move |identity: Option<Extension<Identity>>, headers: HeaderMap| async move {
        counted.fetch_add(1, Ordering::SeqCst);
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        let user = identity.map(|Extension(identity)| identity.user_name().to_owned());
        Json(json!({ "user": user, "headers": headers }))
    };
    Protected {
        service: Router::new().fallback(echo).layer(layer),
        reached,
        runtime: tokio::runtime::Builder::new_current_thread().build().unwrap(),
    }
}

impl Protected {
    fn ask(&self, headers: &[(&str, &str)]) -> Response<String> {
        let mut request = Request::get("/thing?query=1").extension::<IpAddr>("192.0.2.9".parse().unwrap());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        self.runtime.block_on(async {
            let (parts, body) = self.service.clone().oneshot(request).await.unwrap().into_parts();
            let body = to_bytes(body, 1 << 20).await.unwrap();
            Response::from_parts(parts, String::from_utf8(body.to_vec()).unwrap())
        })
    }
}

fn bearer(it: &Deployment) -> (String, patrol::Id) {
    let token = it.issue(it.alice, "one");
    let secret = String::from_utf8(token.secret.expose().to_vec()).unwrap();
    (format!("Bearer {secret}"), id(&token))
}

#[test]
fn the_service_is_told_who_calls_and_sees_neither_credential_nor_forgery() {
    let it = Deployment::new();
    let (authorization, token) = bearer(&it);
    let protected = protected(&it.patrol);
    let answer = protected.ask(&[
        ("Authorization", &authorization),
        ("X-Patrol-User", "root"),
        ("X-Patrol-User", "toor"),
        ("X_Patrol_User", "root"),
        ("x-patrol_roles", "root"),
        ("X_Tableau-Session_Token", "root"),
        ("X-Patrolling", "kept"),
        ("X-Request-Id", "seven"),
    ]);
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["x-request-id"], "seven");
    let arrived: Value = serde_json::from_str(answer.body()).unwrap();
    assert_eq!(arrived["user"], "alice");
    let headers: Vec<(String, String)> = serde_json::from_value(arrived["headers"].clone()).unwrap();
    let all = |name: &str| -> Vec<&str> {
        let found = headers.iter().filter(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).collect()
    };
    assert_eq!(all("x-patrol-user"), [it.alice.to_string()]);
    assert_eq!(all("x-patrol-user-name"), ["alice"]);
    assert_eq!(all("x-patrol-roles"), ["admin"]);
    assert_eq!(all("x-patrol-token-id"), [token.to_string()]);
    assert_eq!(all("x-patrol-session"), [""]);
    assert_eq!(all("x-patrolling"), ["kept"]);
    assert_eq!(all("x-request-id"), ["seven"]);
    assert!(!answer.body().contains("root"), "{}", answer.body());
    assert!(!answer.body().contains("patrol_pat_"), "{}", answer.body());
}

#[test]
fn whoever_is_refused_is_answered_in_the_services_place() {
    let it = Deployment::new();
    let (authorization, token) = bearer(&it);
    let protected = protected(&it.patrol);
    let missing = protected.ask(&[]);
    assert_eq!(missing.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(missing.headers()["www-authenticate"], "Bearer realm=\"patrol\"");
    assert_eq!(missing.headers()["content-type"], "application/json");
    assert!(missing.headers().contains_key("x-request-id"));

    it.patrol.revoke(&operator(), token).unwrap();
    let revoked = protected.ask(&[("Authorization", &authorization)]);
    let unknown = protected.ask(&[("Authorization", "Bearer nonsense")]);
    for answer in [&revoked, &unknown] {
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        let problem: Value = serde_json::from_str(answer.body()).unwrap();
        assert_eq!(problem["errorCode"], "E_401_UNAUTHORIZED");
        let challenge = &answer.headers()["www-authenticate"];
        assert_eq!(challenge, "Bearer realm=\"patrol\", error=\"invalid_token\"");
    }
    assert_eq!(revoked.body(), unknown.body(), "why, is for the audit trail");
    let event = it.last_event("verify_personal_access_token");
    assert_eq!(event["initiatingUserIpAddress"], "192.0.2.9");
    assert_eq!(event["initiatingUrl"], "/thing");

    let two = protected.ask(&[("Authorization", "Bearer a"), ("x-tableau-session-token", "b")]);
    assert_eq!(two.status(), StatusCode::BAD_REQUEST);
    assert_eq!(protected.reached.load(Ordering::SeqCst), 0);
}

#[test]
fn a_grpc_call_is_refused_in_the_way_of_grpc() {
    let it = Deployment::new();
    let protected = protected(&it.patrol);
    for (headers, status) in [
        (&[("content-type", "application/grpc")][..], "16"),
        (
            &[
                ("content-type", "application/grpc+proto"),
                ("Authorization", "Bearer a, Bearer b"),
            ],
            "3",
        ),
    ] {
        let answer = protected.ask(headers);
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "application/grpc");
        assert_eq!(answer.headers()["grpc-status"], status);
        assert!(!answer.headers()["grpc-message"].is_empty());
        assert_eq!(answer.body(), "");
    }
    assert_eq!(protected.reached.load(Ordering::SeqCst), 0);
}

#[test]
fn where_there_is_no_verdict_nobody_gets_in() {
    let it = Deployment::new();
    let (authorization, _) = bearer(&it);
    for case in ["unreachable", "floor-yes-to-anything"] {
        let protected = protected(&Arc::new(it.under(&hostile::policy(case))));
        // Not a token of the deployment: the floor must hold.
        let answers = [
            protected.ask(&[(
                "Authorization",
                &authorization.replace("patrol_pat_", "patrol_pat_0"),
            )]),
            protected.ask(&[("Authorization", "Bearer nonsense")]),
        ];
        for answer in answers {
            assert_eq!(
                answer.status(),
                StatusCode::SERVICE_UNAVAILABLE,
                "{case}: {answer:?}"
            );
            assert_eq!(answer.headers()["retry-after"], "1");
        }
        let grpc = [
            ("Authorization", "Bearer nonsense"),
            ("content-type", "application/grpc"),
        ];
        let answer = protected.ask(&grpc);
        assert_eq!(answer.headers()["grpc-status"], "14");
        assert_eq!(answer.headers()["grpc-retry-pushback-ms"], "1000");
        assert_eq!(protected.reached.load(Ordering::SeqCst), 0, "{case}");
    }
}

#[test]
fn a_client_cannot_have_the_identity_dropped_by_the_next_proxy() {
    let it = Deployment::new();
    let (authorization, _) = bearer(&it);
    let protected = protected(&it.patrol);
    for connection in ["X-Patrol-User", "keep-alive, x-patrol-roles"] {
        let answer = protected.ask(&[("Authorization", &authorization), ("Connection", connection)]);
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{connection}");
    }
    let answer = protected.ask(&[
        ("Authorization", &authorization),
        ("Connection", "keep-alive, te"),
    ]);
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(protected.reached.load(Ordering::SeqCst), 1);
}

#[test]
fn the_denial_and_the_answer_are_bodies_of_known_length() {
    let it = Deployment::new();
    let (authorization, _) = bearer(&it);
    let gate = Arc::new(Gate::new(Arc::clone(&it.patrol), Meters::default()).unwrap());
    let inner = tower::service_fn(|_: Request<Body>| async {
        Ok::<_, std::convert::Infallible>(Response::new(Body::from("five!")))
    });
    let service = PatrolLayer::new(gate).layer(inner);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for (authorization, expected) in [(authorization.as_str(), Some(5)), ("Bearer x", None)] {
        let request = Request::get("/").header("Authorization", authorization);
        let request = request.body(Body::empty()).unwrap();
        let response = runtime.block_on(service.clone().oneshot(request)).unwrap();
        let body = Body::new(response.into_body());
        let exact = http_body_length(&body);
        let bytes = runtime.block_on(to_bytes(body, 1 << 20)).unwrap();
        assert_eq!(exact, Some(bytes.len() as u64));
        assert!(expected.is_none_or(|expected| expected == bytes.len()));
    }
}

fn http_body_length(body: &Body) -> Option<u64> {
    axum::body::HttpBody::size_hint(body).exact()
}

#[test]
fn routes_apply_and_nobody_is_somebody_where_anyone_is_let_in() {
    let mut config = patrol::Config::default();
    config.routes = vec![patrol::config::RouteConfig {
        path: "/thing".to_owned(),
        anonymous: true,
        ..patrol::config::RouteConfig::default()
    }];
    let it = Deployment::with(config.clone());
    let open = protected(&it.patrol);
    let answer = open.ask(&[("X-Patrol-User", "root"), ("X_Patrol_User", "root")]);
    assert_eq!(answer.status(), StatusCode::OK);
    let arrived: Value = serde_json::from_str(answer.body()).unwrap();
    assert_eq!(arrived["user"], Value::Null);
    assert!(
        arrived["headers"]
            .as_array()
            .unwrap()
            .contains(&json!(["x-patrol-user", ""]))
    );
    assert!(!answer.body().contains("root"), "{}", answer.body());

    config.routes[0].path = "/another".to_owned();
    let it = Deployment::with(config);
    let closed = protected(&it.patrol);
    let (authorization, _) = bearer(&it);
    let refused = closed.ask(&[("Authorization", &authorization)]);
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    let call = [
        ("Authorization", authorization.as_str()),
        ("content-type", "application/grpc"),
    ];
    assert_eq!(closed.ask(&call).headers()["grpc-status"], "7");
    assert_eq!(closed.reached.load(Ordering::SeqCst), 0);
}

#[test]
fn a_connect_is_no_request_for_the_root() {
    let it = Deployment::with(Config {
        routes: vec![RouteConfig {
            path: "/".to_owned(),
            anonymous: true,
            ..RouteConfig::default()
        }],
        ..Config::default()
    });
    let protected = protected(&it.patrol);
    let ask = |request: http::request::Builder| {
        let request = request.body(Body::empty()).unwrap();
        let answer = protected
            .runtime
            .block_on(protected.service.clone().oneshot(request));
        answer.unwrap().status()
    };
    assert_eq!(ask(Request::get("/")), StatusCode::OK);
    assert_eq!(ask(Request::get("http://service.example/?x")), StatusCode::OK);
    let reached = protected.reached.load(Ordering::SeqCst);
    for target in ["inside.example:22", "inside.example"] {
        let connect = Request::builder().method("CONNECT").uri(target);
        assert_eq!(ask(connect), StatusCode::BAD_REQUEST, "{target}");
    }
    assert_eq!(protected.reached.load(Ordering::SeqCst), reached);
}
