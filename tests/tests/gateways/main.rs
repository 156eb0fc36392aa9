//! Patrol behind real gateways, end to end: the program, the shipped configurations, real clients.
//!
//! Each gateway has a module, which begins with the probe that all of them have to pass and goes on with what is its
//! own. A machine without a gateway skips its tests; `tests/run` installs what they need.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "tests"
)]

mod apache;
mod apache_oauth2;
mod caddy;
mod envoy;
mod git;
mod haproxy;
mod nginx;
mod traefik;

use patrol_tests::gateway::client::{Answer, curl, decided};
use patrol_tests::gateway::have;
use patrol_tests::gateway::patrol::Patrol;
use patrol_tests::gateway::probe::{Gateway, Setup, World};
use patrol_tests::gateway::upstream::Upstream;

/// As many roles as there can be, as long as they can be, and names of characters each of which becomes twelve.
fn the_largest_identity<G: Gateway>(world: &World<G>) {
    let roles: Vec<_> = (0..32).map(|n| format!("{n:064}")).collect();
    let roles: Vec<_> = roles.iter().map(String::as_str).collect();
    let name = "\u{1f511}".repeat(255);
    let token = world
        .patrol
        .token(&world.patrol.user(&name, &roles), &name, "30d");
    let arrived = world.bearer(&token.secret).arrived();
    let encoded = "%F0%9F%94%91".repeat(255);
    assert_eq!(arrived.header("X-Patrol-User-Name"), encoded);
    assert_eq!(arrived.header("X-Patrol-Token-Name"), encoded);
    assert_eq!(arrived.header("X-Patrol-Roles"), roles.join(","));
    assert_eq!(arrived.header("X-Patrol-User"), token.owner_id);
}

/// An answer of Patrol's, or one that looks like it.
fn assert_problem(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.all("Content-Type"), ["application/json"], "{answer:?}");
    assert_eq!(answer.all("Cache-Control"), ["no-store"], "{answer:?}");
    let code = format!("E_{status}_");
    assert!(
        answer.json()["errorCode"].as_str().unwrap().starts_with(&code),
        "{answer:?}"
    );
    assert!(answer.json()["message"].is_string(), "{answer:?}");
}

/// What routes ask for, and how failures are put off, as the client gets to know it.
fn what_routes_and_limits_say<G: Gateway>() {
    if !have(&[&["curl"], G::PROGRAMS].concat()) {
        return;
    }
    let configuration = r#"
        [limits]
        failures_per_address = 3
        [identity]
        signed = true
        [[route]]
        path = "/open/**"
        anonymous = true
        [[route]]
        path = "/office/**"
        any_role = ["boss"]
        [[route]]
        path = "/**"
    "#;
    let patrol = Patrol::with_doors(configuration, G::DOORS);
    patrol.user("ann", &["clerk"]);
    let token = patrol.token("ann", "routes", "30d");
    let bearer = format!("Authorization: Bearer {}", token.secret);
    let upstream = Upstream::start();
    let _server = patrol.serve();
    let gateway = G::launch(&Setup {
        patrol: &patrol,
        upstream: &upstream,
        guarded: true,
    });
    let ask = |path: &str, headers: &[&str]| {
        let url = gateway.url(path);
        let headers = headers.iter().flat_map(|header| ["--header", header]);
        let arguments: Vec<_> = std::iter::once(&*url).chain(headers).collect();
        decided(&arguments)
    };

    assert_problem(&ask("/office/safe", &[&bearer]), 403);
    assert_eq!(upstream.requests(), 0);
    let arrived = ask("/desk", &[&bearer]).arrived();
    assert_eq!(arrived.header("X-Patrol-Roles"), "clerk");
    let signed = arrived.header("X-Patrol-Identity");
    assert_eq!(signed.split('.').count(), 3, "{signed}");
    patrol.json(&["user", "set-roles", "ann", "boss"]);
    assert_eq!(
        ask("/office/safe", &[&bearer]).arrived().header("X-Patrol-Roles"),
        "boss"
    );

    // Nobody in particular, whoever they say they are.
    let arrived = ask("/open/x", &["X-Patrol-User: root", "X-Patrol-Identity: root"]).arrived();
    assert!(!format!("{arrived:?}").contains("root"), "{arrived:?}");
    assert!(arrived.all("X-Patrol-User").is_empty(), "{arrived:?}");
    assert_eq!(
        ask("/open/x", &[&bearer]).arrived().header("X-Patrol-User"),
        token.owner_id
    );

    let wrong = "Authorization: Bearer nonsense";
    let late = (0..50)
        .map(|_| ask("/desk", &[wrong]))
        .find(|answer| answer.status != 401);
    let late = late.expect("failures are put off");
    assert_problem(&late, 429);
    let wait = late.all("Retry-After")[0].parse::<u64>().unwrap();
    assert!((1..=60).contains(&wait), "{late:?}");
    // Nobody is locked out by the failures of others.
    assert_eq!(ask("/desk", &[&bearer]).status, 200);
    let open = curl(&[&*gateway.url("/open/x"), "--header", wrong]);
    assert!([401, 429].contains(&open.status), "{open:?}");
}
