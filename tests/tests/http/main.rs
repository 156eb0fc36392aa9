//! The listener, from the wire: what scripts and gateways are answered, byte by byte.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod envoy;
mod gateways;
mod identity;
mod limits;
mod oauth;
mod routes;
mod scripts;
mod trouble;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use patrol::gate::{Gate, Meters};
use patrol::http::{router, serve};
use patrol::service::{NewToken, Patrol};
use patrol_tests::wire::{Answer, check, send};
use tokio::sync::oneshot;

/// A listener in this process; shut down in order when dropped.
struct Listener {
    address: SocketAddr,
    gate: Arc<Gate>,
    shutdown: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    fn start(patrol: &Arc<Patrol>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (shutdown, told) = oneshot::channel();
        let gate = Arc::new(Gate::new(Arc::clone(patrol), Meters::default()).unwrap());
        let router = router(Arc::clone(&gate));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            let told = async {
                // Dropping the sender is a word as well.
                let _ = told.await;
            };
            runtime.block_on(serve(router, listener, told)).unwrap();
        });
        Self {
            address,
            gate,
            shutdown: Some(shutdown),
            thread: Some(thread),
        }
    }

    /// Tells it to end, without waiting.
    fn shut_down(&mut self) {
        drop(self.shutdown.take());
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shut_down();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(std::thread::panicking() || ended.is_ok(), "the listener failed");
        }
    }
}

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

fn session_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["sessionToken"].as_str().unwrap().to_owned()
}
