//! What it costs a check to be counted: the whole of `Gate::check` with a good token, with meters that count and with
//! meters that do not, and the counting alone.
//!
//! `cargo bench -p patrol --bench meters`
#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "a bench stops at the first surprise"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, header};
use patrol::config::IsolationName;
use patrol::gate::{Kind, Request};
use patrol::{Caller, DAY, Door, Gate, Meters, NewAccount, Patrol, Settings};

const AUDIENCE: &str = "api";

fn gate(directory: &std::path::Path, meters: Meters) -> (Gate, HeaderMap) {
    let mut settings = Settings::new(directory);
    settings.config.policy.isolation = IsolationName::Warm;
    let patrol = Patrol::open(settings).unwrap();
    let caller = Caller::operator(None);
    patrol.create_tenant(&caller, "acme", "password", false).unwrap();
    let account = NewAccount {
        name: "ada".to_owned(),
        email: None,
        roles: vec!["admin".to_owned()],
    };
    let owner = patrol.create_user(&caller, "acme", &account).unwrap().id;
    let expires = patrol.now() + 90 * DAY;
    let token = patrol.issue(&caller, owner, "bench", expires, AUDIENCE).unwrap();
    let token = String::from_utf8(token.secret.into_bytes()).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    (Gate::new(Arc::new(patrol), meters).unwrap(), headers)
}

fn checks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("check");
    for (name, meters) in [
        ("uncounted", Meters::default()),
        ("counted", Meters::prometheus().unwrap()),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let (gate, headers) = gate(directory.path(), meters);
        let request = Request {
            door: Door::Nginx,
            method: "GET",
            uri: "/thing",
            headers: &headers,
            address: None,
        };
        let mut calls = 0_u32;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                calls += 1;
                // As often as a server under load would.
                if calls.is_multiple_of(100_000) {
                    gate.meters().upkeep();
                }
                gate.check(black_box(&request)).unwrap()
            });
        });
    }
    group.finish();
}

fn counting(criterion: &mut Criterion) {
    for (name, meters) in [
        ("verdict/uncounted", Meters::default()),
        ("verdict/counted", Meters::prometheus().unwrap()),
    ] {
        let mut calls = 0_u32;
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                calls += 1;
                if calls.is_multiple_of(100_000) {
                    meters.upkeep();
                }
                meters.verdict(Door::Nginx, Kind::Allowed, black_box(Duration::from_micros(17)));
            });
        });
    }
}

criterion_group!(benches, counting, checks);
criterion_main!(benches);
