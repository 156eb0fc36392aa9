//! Envoy's `ext_authz` over gRPC: `envoy.service.auth.v3.Authorization/Check`, with health and reflection beside it.
//!
//! A question that cannot be read, and one that cannot be decided, is answered by a *denied* response, never by an error
//! of the call or of the check: those are Envoy's to judge, and a filter with `failure_mode_allow` lets them through.

mod translate;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::service::auth::v3::authorization_server::{
    Authorization, AuthorizationServer, SERVICE_NAME,
};
use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, health_reporter};

use crate::accept::accept;
use crate::gate::{self, Door, Gate, Listener};

/// A question is what Envoy tells of one request: its headers (at most 60 KiB unless raised there) and no body. Larger
/// ones end as an error of the call, which the shipped configuration answers with 503.
const QUESTION_BYTES: usize = 128 * 1024;
/// Of the call's own headers.
const HEADER_BYTES: u32 = 16 * 1024;
/// Connections at the same time; more wait to be accepted. Each of Envoy's workers holds one, or a few.
const CONNECTIONS: usize = 1_024;
/// Calls at the same time on one connection; Envoy opens another for more.
const STREAMS: u32 = 1_024;
/// From a connection to the end of its preface.
const BEGIN: Duration = Duration::from_secs(10);
/// How every connection begins (RFC 9113, 3.4).
const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How often a silent peer is asked whether it is still there, and how long it may take to say so.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));
/// How often it is seen to whether store and policy answer.
const HEALTH: Duration = Duration::from_secs(1);

/// What reflection tells of the service.
const DESCRIPTORS: &[u8] = include_bytes!(env!("PATROL_DESCRIPTORS"));

/// Serves until `shutdown`, then lets calls under way finish.
///
/// # Errors
/// Where the listener cannot be used at all. Errors of single connections end those connections only.
pub async fn serve(
    gate: Arc<Gate>,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let (reporter, routes) = services(&gate)?;
    // Known before anybody can ask.
    let status = health(&gate).await;
    report(&reporter, status).await;
    let watch = tokio::spawn(watch(Arc::clone(&gate), reporter, status, shutdown.clone()));

    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADER_BYTES)
        .keep_alive_interval(KEEP_ALIVE.0)
        .keep_alive_timeout(KEEP_ALIVE.1);
    accept(listener, &connections, shutdown.cancelled(), |stream, permit| {
        let service = TowerToHyperService::new(routes.clone());
        let (builder, watcher, shutdown) = (builder.clone(), graceful.watcher(), shutdown.clone());
        let counted = gate.meters().connected(Listener::Grpc);
        tokio::spawn(async move {
            // Who has not begun to speak yet holds up neither the others nor a shutdown.
            let begun = tokio::time::timeout(BEGIN, begins(&stream));
            if shutdown.run_until_cancelled(begun).await != Some(Ok(true)) {
                return;
            }
            let connection = watcher.watch(builder.serve_connection(TokioIo::new(stream), service));
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop((permit, counted));
        });
    })
    .await?;
    // Whoever watches the health is told that it is over, and that there is no more to come, before the drain: a watch
    // is a call under way that would never end.
    let _ = watch.await;
    let drain = gate.patrol().config().server.drain();
    if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("some calls were still under way when the time to drain was over");
    }
    Ok(())
}

/// Whether a connection begins as one of HTTP/2 does. Nothing is taken from it.
async fn begins(stream: &TcpStream) -> bool {
    let mut start = [0; PREFACE.len()];
    loop {
        match stream.peek(&mut start).await {
            Ok(length) if length == start.len() => return start == PREFACE,
            Ok(0) | Err(_) => return false,
            // In pieces, which no client has a reason for.
            Ok(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// All that the listener answers, and where it is told how things are.
fn services(gate: &Arc<Gate>) -> std::io::Result<(HealthReporter, Routes)> {
    let (reporter, health) = health_reporter();
    let check = AuthorizationServer::new(Check(Arc::clone(gate))).max_decoding_message_size(QUESTION_BYTES);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let mut routes = Routes::builder();
    routes
        .add_service(check)
        .add_service(health)
        .add_service(reflection().build_v1().map_err(std::io::Error::other)?)
        // What many tools still ask.
        .add_service(reflection().build_v1alpha().map_err(std::io::Error::other)?);
    Ok((reporter, routes.routes()))
}

/// Answers Envoy.
struct Check(Arc<Gate>);

#[tonic::async_trait]
impl Authorization for Check {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let verdict = translate::question(request.into_inner()).and_then(|question| {
            self.0.check(&gate::Request {
                door: Door::EnvoyGrpc,
                method: &question.method,
                uri: &question.path,
                headers: &question.headers,
                address: question.address,
            })
        });
        Ok(Response::new(match &verdict {
            Ok(admission) => translate::allowed(admission),
            Err(denial) => translate::denied(denial),
        }))
    }
}

/// Keeps what is said of the health true until `shutdown`. Whoever watches is told of changes only.
async fn watch(
    gate: Arc<Gate>,
    mut reporter: HealthReporter,
    mut status: ServingStatus,
    shutdown: CancellationToken,
) {
    let mut ticks = tokio::time::interval(HEALTH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        let now = health(&gate).await;
        if now != status {
            status = now;
            report(&reporter, status).await;
        }
    }
    report(&reporter, ServingStatus::NotServing).await;
    for name in ["", SERVICE_NAME] {
        reporter.clear_service_status(name).await;
    }
}

/// Of the server as a whole, and of the one service that matters.
async fn report(reporter: &HealthReporter, status: ServingStatus) {
    for name in ["", SERVICE_NAME] {
        reporter.set_service_status(name, status).await;
    }
}

/// Serving while store and policy answer, and the server is not about to end.
async fn health(gate: &Gate) -> ServingStatus {
    if gate.is_draining() {
        return ServingStatus::NotServing;
    }
    let patrol = Arc::clone(gate.patrol());
    let asked = tokio::task::spawn_blocking(move || patrol.ready());
    match asked.await {
        Ok(Ok(())) => return ServingStatus::Serving,
        Ok(Err(error)) => tracing::warn!(%error, "not ready"),
        Err(error) => tracing::error!(%error, "not ready: the look at store and policy ended early"),
    }
    ServingStatus::NotServing
}
