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

use patrol_tests::gateway::client::Answer;
use patrol_tests::gateway::probe::{Gateway, World};

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
