//! The HTTP listener: what gateways ask (`/check/…`, `/oauth2/…`), what scripts call (`/api/…`), the pages for
//! people (`/ui/…`), and whether all is well.
//!
//! Plain HTTP/1.1 for a gateway on the same machine; TLS is the gateway's work. Verification happens on the worker
//! that read the request, since it takes microseconds and never waits for a lock for longer than a gateway would wait
//! for the answer; whatever writes goes to the blocking pool.

mod answer;
mod api;
mod check;
mod keys;
mod metrics;
mod oauth;
mod trace;
mod upload;
mod web;

pub use api::openapi;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{any, get};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::accept::accept;
use crate::config::Config;
use crate::gate::{Gate, Listener};
use crate::service::{Error, Patrol};

pub use metrics::{Bookkeeping, metrics_router};

/// Request bodies are small: a sign-in holds one token.
const BODY_BYTES: usize = 8 * 1024;
/// Headers larger than this are refused with 431.
const HEADER_BYTES: usize = 32 * 1024;
/// Connections at the same time; more wait to be accepted.
const CONNECTIONS: usize = 4_096;
/// From the first byte of a request to the end of its headers.
const HEADER_TIME: Duration = Duration::from_secs(10);
/// Passwords that are hashed at the same time. Each takes 19 MiB and some tens of milliseconds of a core.
const HASHING: usize = 2;
/// How long a sign-in with a password waits for others to be hashed.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a shutdown waits for requests under way, where no configuration says it.
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// Who connected, by the connection itself: no header says it. An extension of every request.
#[derive(Clone, Copy, Debug)]
struct Peer(std::net::SocketAddr);

/// What every handler needs.
#[derive(Clone)]
struct App {
    gate: Arc<Gate>,
    /// One permit for each password that is hashed at the same time.
    hashing: Arc<Semaphore>,
}

impl App {
    fn new(gate: Arc<Gate>) -> Self {
        Self {
            gate,
            hashing: Arc::new(Semaphore::new(HASHING)),
        }
    }

    fn gate(&self) -> &Gate {
        &self.gate
    }

    fn config(&self) -> Arc<Config> {
        self.gate.patrol().config()
    }

    /// What whoever hashes a password holds until it is done; none where too many others do for too long: whoever floods
    /// the calls that hash keeps neither all cores nor all memory.
    async fn hashing(&self) -> Option<OwnedSemaphorePermit> {
        let permit = Arc::clone(&self.hashing).acquire_owned();
        tokio::time::timeout(PATIENCE, permit).await.ok()?.ok()
    }

    /// Runs what writes to the store where it may wait.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Patrol) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let patrol = Arc::clone(self.gate.patrol());
        tokio::task::spawn_blocking(move || work(&patrol))
            .await
            .unwrap_or_else(|error| {
                tracing::error!(%error, "a request's work ended early");
                Err(Error::interrupted("the work ended early"))
            })
    }
}

/// All that the listener answers.
pub fn router(gate: Arc<Gate>) -> Router {
    let app = App::new(gate);
    Router::new()
        .route("/check/envoy/", any(check::envoy))
        .route("/check/envoy/{*path}", any(check::envoy))
        .route("/check/forward", any(check::forward))
        .route("/check/nginx", any(check::nginx))
        .merge(oauth::routes())
        .route("/.well-known/jwks.json", get(keys::jwks))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(app.clone())
        .merge(web::router(app.clone()))
        .merge(api::router(app))
        .method_not_allowed_fallback(api::method_not_allowed)
        .fallback(api::not_found)
}

/// 200 while store and policy answer and no end is near: a gateway may send requests here.
async fn ready(State(app): State<App>) -> axum::response::Response {
    if app.gate().is_draining() {
        return (StatusCode::SERVICE_UNAVAILABLE, "not ready: about to end\n").into_response();
    }
    match app.blocking(Patrol::ready).await {
        Ok(()) => "ready\n".into_response(),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "not ready: see the log\n").into_response()
        }
    }
}

/// Serves until `shutdown` is ready, then lets requests under way finish.
///
/// # Errors
/// Where the listener cannot be used at all. Errors of single connections end those connections only.
pub async fn serve(
    router: Router,
    listener: std::net::TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> std::io::Result<()> {
    run(router, listener, None, shutdown).await
}

/// As [`serve`]; connections are counted by the gate's meters, and a shutdown waits for as long as its configuration
/// says.
///
/// # Errors
/// As [`serve`].
pub async fn serve_for(
    gate: Arc<Gate>,
    kind: Listener,
    router: Router,
    listener: std::net::TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> std::io::Result<()> {
    run(router, listener, Some((gate, kind)), shutdown).await
}

async fn run(
    router: Router,
    listener: std::net::TcpListener,
    counted: Option<(Arc<Gate>, Listener)>,
    shutdown: impl Future<Output = ()> + Send,
) -> std::io::Result<()> {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(HEADER_BYTES);
    accept(listener, &connections, shutdown, |stream, permit| {
        let (router, gate) = (router.clone(), counted.as_ref().map(|(gate, _)| Arc::clone(gate)));
        let peer = stream.peer_addr().ok().map(Peer);
        let service = service_fn(move |mut request: Request<Incoming>| {
            if let Some(peer) = peer {
                request.extensions_mut().insert(peer);
            }
            trace::answer(router.clone(), gate.clone(), request)
        });
        let counted = counted
            .as_ref()
            .map(|(gate, kind)| gate.meters().connected(*kind));
        let connection = graceful.watch(builder.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop((permit, counted));
        });
    })
    .await?;
    let drain = counted.map_or(DRAIN_TIME, |(gate, _)| gate.patrol().config().server.drain());
    if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests were still under way when the time to drain was over");
    }
    Ok(())
}
