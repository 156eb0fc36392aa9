//! What a verification costs, layer by layer, in one run:
//!
//! * `native`: the engine as Rust, the record in memory;
//! * `warm`, `per-call`: the same engine as the component, in an instance that is used again, or a fresh one;
//! * `sqlite/warm`, `sqlite/per-call`: all of `Patrol::authenticate`: the record from the data directory through the
//!   coherent cache, the floor, the use noted; `sqlite/per-call/miss` reads the row anew each time, and
//!   `sqlite/per-call/peppered` is of a token that is kept with the pepper: two MACs more, the policy's and the floor's;
//! * `sqlite/per-call/bound` is the same token where one of 100 tenants, another one, is bound to a release of its own, and
//!   `bound/own` where it is the token's tenant;
//! * at the end, `/check/nginx`, `/check/forward` and `/check/envoy` over HTTP against the same listener answering 204 at
//!   once, one worker thread each.
//!
//! `cargo bench -p patrol --bench authenticate`
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench stops at the first surprise"
)]

#[path = "../build/component.rs"]
mod component;
mod one_token;

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use criterion::{BenchmarkId, Criterion};
use one_token::OneToken;
use patrol::config::IsolationName;
use patrol::gate::{Gate, Meters};
use patrol::http;
use patrol::policy::{Isolation, Options, Policy};
use patrol::release::{CONTRACT, HOST_VERSION, Manifest, Release};
use patrol::service::{Caller, NewAccount, Origin, Patrol, ServeLock, Settings};
use patrol_policy::Engine;
use patrol_policy::types::DAY;

const AUDIENCE: &str = "api";

/// The component of the example that peppers, which issues what the built-in policy then has to verify with a MAC.
fn peppered() -> Arc<[u8]> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let built = component::build(env!("CARGO"), root, "peppered", &root.join("target/policies")).unwrap();
    std::fs::read(built).unwrap().into()
}

fn patrol(directory: &std::path::Path, isolation: IsolationName) -> Patrol {
    patrol_under(directory, isolation, None)
}

fn patrol_under(directory: &Path, isolation: IsolationName, component: Option<Arc<[u8]>>) -> Patrol {
    let mut settings = Settings::new(directory);
    settings.component = component;
    settings.config.policy.isolation = isolation;
    Patrol::open(settings).unwrap()
}

/// A data directory with one token, and the token.
fn one_user(directory: &Path, component: Option<Arc<[u8]>>) -> Vec<u8> {
    let patrol = patrol_under(directory, IsolationName::PerCall, component);
    let caller = Caller::operator(None);
    patrol.create_tenant(&caller, "acme", "password", false).unwrap();
    let account = NewAccount {
        name: "ada".to_owned(),
        email: None,
        roles: vec!["admin".to_owned()],
    };
    let owner = patrol.create_user(&caller, "acme", &account).unwrap().id;
    let expires = patrol.now() + 90 * DAY;
    patrol
        .issue(&caller, owner, "bench", expires, AUDIENCE)
        .unwrap()
        .secret
        .into_bytes()
}

fn engines(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("authenticate");
    let (mut host, presented) = (OneToken::new(), OneToken::presented());
    group.bench_function("native", |bencher| {
        bencher.iter(|| {
            Engine::new(&mut host)
                .authenticate(black_box(&presented), 1)
                .unwrap()
        });
    });
    for (name, isolation) in [
        ("warm", Isolation::Warm { max_calls: u32::MAX }),
        ("per-call", Isolation::PerCall),
    ] {
        let options = Options {
            isolation,
            ..Options::default()
        };
        let policy = Policy::load(Policy::<OneToken>::embedded(), &options).unwrap();
        // The host value goes in and comes back.
        let mut host = Some(OneToken::new());
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let (back, answer) = policy.authenticate(host.take().unwrap(), black_box(&presented), 1);
                host = Some(back);
                answer.unwrap()
            });
        });
    }
    group.finish();
}

fn service(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let presented = one_user(directory.path(), None);
    let mut group = criterion.benchmark_group("authenticate");
    for (name, isolation) in [
        ("warm", IsolationName::Warm),
        ("per-call", IsolationName::PerCall),
    ] {
        let patrol = patrol(directory.path(), isolation);
        let origin = Origin::default();
        group.bench_function(BenchmarkId::new("sqlite", name), |bencher| {
            bencher.iter(|| {
                patrol
                    .authenticate(black_box(&presented), AUDIENCE, &origin)
                    .unwrap()
            });
        });
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let secret = one_user(elsewhere.path(), Some(peppered()));
    let of_scheme_2 = self::patrol(elsewhere.path(), IsolationName::PerCall);
    group.bench_function("sqlite/per-call/peppered", |bencher| {
        bencher.iter(|| {
            of_scheme_2
                .authenticate(black_box(&secret), AUDIENCE, &Origin::default())
                .unwrap()
        });
    });
    let patrol = patrol(directory.path(), IsolationName::PerCall);
    let origin = Origin::default();
    group.bench_function("sqlite/per-call/miss", |bencher| {
        bencher.iter_custom(|rounds| {
            let mut spent = Duration::ZERO;
            for _ in 0..rounds {
                // Any commit makes the cached row stale.
                patrol.authenticate(&presented, AUDIENCE, &origin).unwrap();
                patrol.flush().unwrap();
                let start = Instant::now();
                patrol
                    .authenticate(black_box(&presented), AUDIENCE, &origin)
                    .unwrap();
                spent += start.elapsed();
            }
            spent
        });
    });
    group.finish();
}

/// What it costs that a tenant has a policy of its own: it has to be found out whose the token is.
fn tenants(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let presented = one_user(directory.path(), None);
    let mut settings = Settings::new(directory.path());
    settings.config.policy.isolation = IsolationName::PerCall;
    settings.config.policy.allow_unsigned = true;
    let patrol = Patrol::open(settings).unwrap();
    let caller = Caller::operator(None);
    for number in 1..100 {
        let name = format!("tenant {number}");
        patrol.create_tenant(&caller, &name, "password", false).unwrap();
    }
    let manifest = Manifest {
        name: "bench".to_owned(),
        version: "1.0.0".to_owned(),
        release: 1,
        component: String::new(),
        wit: CONTRACT.to_owned(),
        minimum_host: HOST_VERSION.to_owned(),
        created: "2027-01-31T17:00:00Z".to_owned(),
        notes: String::new(),
    };
    let release = Release::make(manifest, Policy::<OneToken>::embedded().to_vec(), None).unwrap();
    let row = patrol.stage(&caller, &release).unwrap().release;
    let id: String = row.digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let lock = ServeLock::take(directory.path()).unwrap();
    let origin = Origin::default();
    let mut group = criterion.benchmark_group("authenticate");
    for (name, bound) in [("bound", "tenant 1"), ("bound/own", "acme")] {
        let tenant = Some(patrol.tenant(bound).unwrap().id);
        patrol.activate(&lock, &caller, &id, tenant, false).unwrap();
        group.bench_function(format!("sqlite/per-call/{name}"), |bencher| {
            bencher.iter(|| {
                patrol
                    .authenticate(black_box(&presented), AUDIENCE, &origin)
                    .unwrap()
            });
        });
        patrol.rollback(&lock, &caller, tenant).unwrap();
    }
    group.finish();
}

/// A listener with one worker thread, until dropped.
struct Server {
    address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    fn start(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let until = async {
                let _ = stopped.await;
            };
            runtime.block_on(http::serve(router, listener, until)).unwrap();
        });
        Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Requests a second over 16 connections that each always have a request under way: what one worker can answer.
fn rate(server: &Server, request: &[u8], expected: &str, time: Duration) -> f64 {
    const CONNECTIONS: usize = 16;
    let mut streams: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let stream = TcpStream::connect(server.address).unwrap();
            stream.set_nodelay(true).unwrap();
            stream
        })
        .collect();
    let mut answered = 0_u64;
    let start = Instant::now();
    let mut buffer = [0; 2048];
    while start.elapsed() < time {
        // One client thread: sixteen requests out, sixteen answers in.
        for stream in &mut streams {
            stream.write_all(request).unwrap();
        }
        for stream in &mut streams {
            let mut length = 0;
            while !buffer[..length].ends_with(b"\r\n\r\n") {
                length += stream.read(&mut buffer[length..]).unwrap();
            }
            assert!(
                buffer.starts_with(expected.as_bytes()),
                "{}",
                String::from_utf8_lossy(&buffer[..length])
            );
            answered += 1;
        }
    }
    answered as f64 / start.elapsed().as_secs_f64()
}

fn over_http() {
    let directory = tempfile::tempdir().unwrap();
    let secret = String::from_utf8(one_user(directory.path(), None)).unwrap();
    let question = |path: &str, headers: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: patrol\r\n{headers}User-Agent: bench\r\nAuthorization: Bearer \
             {secret}\r\n\r\n"
        )
    };
    let nginx = question(
        "/check/nginx",
        "X-Original-URI: /\r\nX-Original-Method: GET\r\nX-Real-IP: 127.0.0.1\r\n",
    );
    let forward = question(
        "/check/forward",
        "X-Forwarded-Uri: /\r\nX-Forwarded-Method: GET\r\nX-Forwarded-For: 127.0.0.1\r\n",
    );
    let envoy = question("/check/envoy/", "X-Real-IP: 127.0.0.1\r\n");
    let nothing =
        Server::start(Router::new().route("/check/nginx", get(|| async { StatusCode::NO_CONTENT })));
    let [warm, per_call] = [IsolationName::Warm, IsolationName::PerCall].map(|isolation| {
        let patrol = Arc::new(patrol(directory.path(), isolation));
        let gate = Gate::new(patrol, Meters::default()).unwrap();
        Server::start(http::router(Arc::new(gate)))
    });
    let cases = [
        ("204 at once", &nothing, &nginx, "HTTP/1.1 204"),
        ("/check/nginx, warm", &warm, &nginx, "HTTP/1.1 200"),
        ("/check/nginx, per-call", &per_call, &nginx, "HTTP/1.1 200"),
        ("/check/forward, per-call", &per_call, &forward, "HTTP/1.1 200"),
        ("/check/envoy, per-call", &per_call, &envoy, "HTTP/1.1 200"),
    ];
    // Interleaved, and the median of several rounds each, since machines are noisy.
    const ROUNDS: usize = 7;
    let time = Duration::from_millis(700);
    let mut rates = cases.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        for ((_, server, request, expected), rates) in cases.iter().zip(&mut rates) {
            rates.push(rate(server, request.as_bytes(), expected, time));
        }
    }
    let medians = rates.map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates[ROUNDS / 2]
    });
    println!("\nhttp, one worker, 16 connections, median of {ROUNDS}:");
    for ((name, ..), median) in cases.iter().zip(medians) {
        println!(
            "  {name:<24} {median:>8.0} requests/s, {:.2} of 204",
            median / medians[0]
        );
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    engines(&mut criterion);
    service(&mut criterion);
    tenants(&mut criterion);
    criterion.final_summary();
    over_http();
}
