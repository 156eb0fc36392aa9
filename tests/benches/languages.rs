//! What a check costs by the policy that is built in and by the one in JavaScript, on instances that are used again and on
//! fresh ones; on a host in memory, so that nothing but the policies differs.
//!
//! ```sh
//! cargo bench -p patrol-tests --bench languages    # tests/run installs what builds the policy in JavaScript
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench stops at the first surprise"
)]

use std::time::{Duration, Instant};

use patrol::policy::{Isolation, Options, Policy};
use patrol_policy::types::{Actor, ActorRole, DAY, IssueRequest, Parameters};
use patrol_tests::memory::MemoryHost;
use patrol_tests::native::Native;
use patrol_tests::trace::{START, user_id};
use patrol_tests::{javascript, wasm};

const ROUND: Duration = Duration::from_secs(2);

fn main() {
    println!("| policy | isolation | issue | authenticate | open a session | check it | list 100 tokens |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let component = javascript::component().map(|path| std::fs::read(path).unwrap());
    for (name, isolation) in [
        ("warm", Isolation::Warm { max_calls: 1_000 }),
        ("per-call", Isolation::PerCall),
    ] {
        let options = Options {
            isolation,
            ..Options::default()
        };
        measure("built in", name, wasm::embedded(), &options);
        if let Some(component) = &component {
            measure("JavaScript", name, component, &javascript::options(isolation));
        }
    }
}

fn measure(name: &str, isolation: &str, component: &[u8], options: &Options) {
    let policy = Policy::<MemoryHost>::load(component, options).unwrap();
    let host = Native::new(Parameters {
        sessions_per_token: 3,
        ..Parameters::default()
    })
    .host;
    let actor = Actor {
        role: ActorRole::Administrator,
        id: user_id(0),
    };
    let request = |number: u32| IssueRequest {
        owner: user_id(0),
        name: format!("token {number}"),
        expires: START + 30 * DAY,
        audience: 1,
    };
    let mut full = host.clone();
    let mut presented = Vec::new();
    for number in 0..100 {
        let (back, issued) = policy.issue(full, &request(number), actor);
        full = back;
        presented = issued.unwrap().secret.into_bytes();
    }
    let (full, opened) = policy.open_session(full, &presented, 1);
    let session = opened.unwrap().secret.into_bytes();
    let cells = [
        median(&host, |host| policy.issue(host, &request(0), actor).1.map(drop)),
        median(&full, |host| policy.authenticate(host, &presented, 1).1.map(drop)),
        median(&full, |host| policy.open_session(host, &presented, 1).1.map(drop)),
        median(&full, |host| policy.check_session(host, &session, 1).1.map(drop)),
        median(&full, |host| {
            policy.list_tokens(host, user_id(0), actor).1.map(drop)
        }),
    ];
    let cells: Vec<_> = cells
        .iter()
        .map(|time| format!("{:.1} µs", time.as_secs_f64() * 1e6))
        .collect();
    println!("| {name} | {isolation} | {} |", cells.join(" | "));
}

/// Of all calls in a round, each on a copy of the host, whose making is not counted.
fn median<E: std::fmt::Debug>(
    host: &MemoryHost,
    mut call: impl FnMut(MemoryHost) -> Result<(), E>,
) -> Duration {
    let mut times = Vec::new();
    let began = Instant::now();
    while began.elapsed() < ROUND {
        let host = host.clone();
        let start = Instant::now();
        call(host).unwrap();
        times.push(start.elapsed());
    }
    times.sort_unstable();
    times[times.len() / 2]
}
