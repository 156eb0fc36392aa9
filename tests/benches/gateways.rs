//! What Patrol's check costs each gateway: requests a second with it and without it, in one run, on one machine that
//! client, gateway, Patrol and service share. The service answers two bytes at once, so there is nothing that the check
//! could hide behind: before a real service the ratio is better.
//!
//! ```sh
//! cargo bench -p patrol-tests --bench gateways            # all that are installed; tests/run installs them
//! cargo bench -p patrol-tests --bench gateways -- caddy   # those with this in their name
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench stops at the first surprise"
)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use patrol_tests::gateway::apache::Apache;
use patrol_tests::gateway::apache_oauth2::ApacheOauth2;
use patrol_tests::gateway::caddy::{CurrentCaddy, DebianCaddy};
use patrol_tests::gateway::envoy::{EnvoyGrpc, EnvoyHttp};
use patrol_tests::gateway::haproxy::HaProxy;
use patrol_tests::gateway::have;
use patrol_tests::gateway::nginx::Nginx;
use patrol_tests::gateway::patrol::Patrol;
use patrol_tests::gateway::probe::{Gateway, Setup};
use patrol_tests::gateway::traefik::Traefik;
use patrol_tests::gateway::upstream::Upstream;

/// Clients, each of which keeps this many connections busy.
const CLIENTS: usize = 2;
const CONNECTIONS: usize = 8;
/// Rounds, of which the median counts; in each, both are measured, since machines are noisy.
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_millis(700);

fn main() {
    println!("| gateway | without Patrol, requests/s | with Patrol | ratio | one request, without | with |");
    println!("| --- | --- | --- | --- | --- | --- |");
    measure::<Nginx>();
    measure::<DebianCaddy>();
    measure::<CurrentCaddy>();
    measure::<Traefik>();
    measure::<EnvoyGrpc>();
    measure::<EnvoyHttp>();
    measure::<HaProxy>();
    measure::<Apache>();
    measure::<ApacheOauth2>();
}

/// Prints a line of the table, where the gateway is there and was asked for.
fn measure<G: Gateway>() {
    let asked: Vec<_> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .map(|argument| argument.to_lowercase())
        .collect();
    let name = G::NAME.to_lowercase();
    if !asked.is_empty() && !asked.iter().any(|part| name.contains(part)) || !have(G::PROGRAMS) {
        return;
    }
    let upstream = Upstream::quiet();
    // The second one lends the gateway without a check a place for its files, and is never asked.
    let [patrol, idle] = [(); 2].map(|()| {
        let patrol = Patrol::with_doors(G::CONFIGURATION, G::DOORS);
        patrol.user("ann", &["admin"]);
        patrol
    });
    let token = patrol.token("ann", "bench", "30d");
    let _server = patrol.serve();
    let [with, without] = [(&patrol, true), (&idle, false)].map(|(patrol, guarded)| {
        G::launch(&Setup {
            patrol,
            upstream: &upstream,
            guarded,
        })
    });
    let request = format!(
        "GET /thing HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\nAuthorization: Bearer {}\r\n\r\n",
        token.secret
    );
    let ports = [without.port(), with.port()];
    let mut rates = [(); 2].map(|()| Vec::new());
    let mut times = rates.clone();
    // One round to warm up.
    for round in 0..=ROUNDS {
        for (index, port) in ports.into_iter().enumerate() {
            let rate = rate(port, &request);
            let time = one_by_one(port, &request);
            if round > 0 {
                rates[index].push(rate);
                times[index].push(time);
            }
        }
    }
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[ROUNDS / 2]
    };
    let [without, with] = rates.map(median);
    let [alone, checked] = times.map(median);
    println!(
        "| {} | {without:.0} | {with:.0} | {:.2} | {:.0} \u{b5}s | {:.0} \u{b5}s |",
        G::NAME,
        with / without,
        1e6 * alone,
        1e6 * checked,
    );
}

/// Requests a second over all connections.
fn rate(port: u16, request: &str) -> f64 {
    let begun = Instant::now();
    let answered: usize = std::thread::scope(|scope| {
        let clients = [(); CLIENTS].map(|()| scope.spawn(|| busy(port, request, CONNECTIONS)));
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    answered as f64 / begun.elapsed().as_secs_f64()
}

/// Seconds from request to answer where nobody else asks.
fn one_by_one(port: u16, request: &str) -> f64 {
    let begun = Instant::now();
    let answered = busy(port, request, 1);
    begun.elapsed().as_secs_f64() / answered as f64
}

/// Asks over some connections for a round: on each a request, then from each its answer. How many were answered.
fn busy(port: u16, request: &str, connections: usize) -> usize {
    let mut streams: Vec<_> = (0..connections).map(|_| connect(port)).collect();
    let mut answered = 0;
    let begun = Instant::now();
    while begun.elapsed() < ROUND {
        for stream in &mut streams {
            stream.write_all(request.as_bytes()).unwrap();
        }
        for stream in &mut streams {
            if !receive(stream) {
                *stream = connect(port);
            }
            answered += 1;
        }
    }
    answered
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// Reads one answer, which must be the service's; whether the connection stays. Some gateways close one after 1,000.
fn receive(stream: &mut TcpStream) -> bool {
    let mut buffer = [0; 4096];
    let mut length = 0;
    while !buffer[..length].ends_with(b"\r\n\r\nok") {
        let read = stream.read(&mut buffer[length..]).unwrap();
        length += read;
        assert!(read > 0, "{}", String::from_utf8_lossy(&buffer[..length]));
    }
    let answer = String::from_utf8_lossy(&buffer[..length]);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    !answer.to_ascii_lowercase().contains("\r\nconnection: close")
}
