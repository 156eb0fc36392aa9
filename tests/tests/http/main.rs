//! The listener, from the wire: what scripts and gateways are answered, byte by byte.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod activity;
mod envoy;
mod errors;
mod gateways;
mod identity;
mod limits;
mod oauth;
mod passwords;
mod routes;
mod scripts;
mod tenants;
mod tokens;
mod trouble;

use std::net::SocketAddr;

use patrol::service::NewToken;
use patrol_tests::listener::Listener;
use patrol_tests::wire::{Answer, check, send};

fn text(token: &NewToken) -> String {
    String::from_utf8(token.secret.expose().to_vec()).unwrap()
}

fn bearer(server: SocketAddr, token: &str) -> Answer {
    check(server, &[("Authorization", &format!("Bearer {token}"))])
}

/// Asks as nginx does on behalf of a request by this client.
fn ask(server: SocketAddr, method: &str, uri: &str, from: &str, credential: &[(&str, &str)]) -> Answer {
    let gateway = [
        ("X-Original-URI", uri),
        ("X-Original-Method", method),
        ("X-Real-IP", from),
    ];
    send(server, "GET /check/nginx", &[&gateway, credential].concat(), b"").unwrap()
}

fn api(server: SocketAddr, request: &str, session: &str) -> Answer {
    send(server, request, &[("x-tableau-session-token", session)], b"").unwrap()
}

/// Sends JSON with a session; an empty one is left out.
fn post(server: SocketAddr, path: &str, session: &str, body: &serde_json::Value) -> Answer {
    let mut headers = vec![("Content-Type", "application/json")];
    if !session.is_empty() {
        headers.push(("x-tableau-session-token", session));
    }
    let request = format!("POST {path}");
    send(server, &request, &headers, body.to_string().as_bytes()).unwrap()
}

/// Asserts what went wrong.
#[track_caller]
fn assert_problem(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(
        answer.header("content-type"),
        Some("application/json"),
        "{answer:?}"
    );
    let problem = answer.json();
    assert_eq!(problem["errorCode"], code, "{answer:?}");
    assert!(!problem["message"].as_str().unwrap().is_empty(), "{answer:?}");
    assert_eq!(problem.as_object().unwrap().len(), 2, "{answer:?}");
}

fn session_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["sessionToken"].as_str().unwrap().to_owned()
}
