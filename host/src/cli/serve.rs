//! `patrol serve`.

use std::ffi::OsStr;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::failure::{Exit, Failure};
use super::print::{fields, hex, plain};
use super::{Session, policy, shell_word};
use crate::doors::{fastcgi, grpc, spop};
use crate::gate::{Gate, Meters};
use crate::http;
use crate::service::{Housekeeping, Patrol, PolicyInfo, ServeLock};

const EXAMPLES: &str = "\
Examples:
  patrol serve
  patrol --data /var/lib/patrol serve --listen 127.0.0.1:9000 --log-format json

SIGTERM and SIGINT end it: requests under way are answered first.

Exit codes: 7 the data is damaged, 8 another server runs on it, 9 the address is in use, 10 the data directory \
cannot be used; `patrol --help` lists all.";

/// Where to listen.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ServeArgs {
    /// The address and port [default: server.listen of the configuration, which is 127.0.0.1:8787]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Allow an address that other machines can reach. Patrol speaks no TLS: whoever can listen in sees the tokens
    #[arg(long)]
    allow_non_loopback: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StartedRecord<'a> {
    address: SocketAddr,
    #[serde(flatten)]
    more: Listening,
    data: &'a Path,
    policy: PolicyRecord<'a>,
    tenants: usize,
}

/// Where else it listens.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
struct Listening {
    #[serde(skip_serializing_if = "Option::is_none")]
    grpc: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spop: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fastcgi: Option<SocketAddr>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PolicyRecord<'a> {
    name: &'a str,
    version: &'a str,
    digest: String,
    isolation: String,
}

/// Each step can fail for one reason of its own, which is then told: configuration, data, another server, address.
pub(super) fn run(session: &mut Session, args: &ServeArgs) -> anyhow::Result<Exit> {
    let mut config = session.config()?.server;
    config.listen = args.listen.unwrap_or(config.listen);
    config.allow_non_loopback |= args.allow_non_loopback;
    config.check()?;
    let patrol = Arc::new(session.open_with(true, true)?);
    let gate = Arc::new(Gate::new(Arc::clone(&patrol), Meters::default())?);
    let lock = ServeLock::take(patrol.data())?;
    let (address, http) = bind(config.listen)?;
    let grpc = config.grpc.map(bind).transpose()?;
    let spop = config.spop.map(bind).transpose()?;
    let fastcgi = config.fastcgi.map(bind).transpose()?;
    let listening = Listening {
        grpc: grpc.as_ref().map(|(address, _)| *address),
        spop: spop.as_ref().map(|(address, _)| *address),
        fastcgi: fastcgi.as_ref().map(|(address, _)| *address),
    };
    let housekeeping = Housekeeping::start(&patrol).context("cannot start a thread")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("http")
        .build()
        .context("cannot start the server's threads")?;
    runtime.block_on(async {
        // Before anybody is told that the server is there: from then on a signal ends it in order.
        let ended = ended().context("cannot wait for signals")?;
        announce(session, &patrol, address, listening)?;
        let shutdown = CancellationToken::new();
        let mut serving = JoinSet::new();
        let router = http::router(Arc::clone(&gate));
        serving.spawn(http::serve(router, http, shutdown.clone().cancelled_owned()));
        if let Some((_, listener)) = grpc {
            serving.spawn(grpc::serve(Arc::clone(&gate), listener, shutdown.clone()));
        }
        if let Some((_, listener)) = spop {
            serving.spawn(spop::serve(Arc::clone(&gate), listener, shutdown.clone()));
        }
        if let Some((_, listener)) = fastcgi {
            serving.spawn(fastcgi::serve(Arc::clone(&gate), listener, shutdown.clone()));
        }
        let mut outcome = Ok(());
        let mut ended = std::pin::pin!(ended);
        loop {
            tokio::select! {
                () = &mut ended, if !shutdown.is_cancelled() => shutdown.cancel(),
                served = serving.join_next() => {
                    let Some(served) = served else { break };
                    // One door that cannot serve takes the others along: half a server would look like a whole one.
                    shutdown.cancel();
                    outcome = outcome.and(served.map_err(std::io::Error::other).flatten());
                }
            }
        }
        outcome.context("cannot serve")
    })?;
    // Work that a request left behind ends first, then the last uses are written, then others may serve.
    drop(runtime);
    drop(housekeeping);
    drop(gate);
    drop(patrol);
    drop(lock);
    tracing::info!("stopped");
    Ok(Exit::Done)
}

/// A listener, and the address that it has.
fn bind(address: SocketAddr) -> Result<(SocketAddr, TcpListener), Failure> {
    let listener = TcpListener::bind(address).map_err(|source| Failure::Listen { address, source })?;
    Ok((listener.local_addr().unwrap_or(address), listener))
}

/// Ready once the process is told to end.
fn ended() -> std::io::Result<impl Future<Output = ()> + Send> {
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    async fn received(signal: &mut Signal, name: &str) {
        signal.recv().await;
        tracing::info!("{name} received: answering what is under way, then stopping");
    }
    Ok(async move {
        tokio::select! {
            () = received(&mut terminated, "SIGTERM") => {}
            () = received(&mut interrupted, "SIGINT") => {}
        }
    })
}

/// Says that the server is there, and, where there is no tenant yet, how to begin.
fn announce(
    session: &mut Session,
    patrol: &Patrol,
    address: SocketAddr,
    more: Listening,
) -> anyhow::Result<()> {
    let info = patrol.policy_info()?;
    let tenants = patrol.tenants()?.len();
    let record = StartedRecord {
        address,
        more,
        data: patrol.data(),
        policy: PolicyRecord {
            name: &info.description.name,
            version: &info.description.version,
            digest: hex(&info.digest),
            isolation: policy::isolation(patrol),
        },
        tenants,
    };
    let first = (tenants == 0).then(|| first_steps(session, address));
    let printed = session.out.answer(&record, || {
        let mut text = summary(&record, &info);
        text.extend(first);
        text
    });
    // A server whose output nobody reads is still a server.
    if let Err(error) = printed.and_then(|()| session.out.flush()) {
        tracing::warn!(%error, "started, but could not say so");
    }
    Ok(())
}

fn summary(record: &StartedRecord<'_>, info: &PolicyInfo) -> String {
    let about = &info.description;
    let more = [
        ("grpc", record.more.grpc),
        ("spop", record.more.spop),
        ("fastcgi", record.more.fastcgi),
    ];
    let more = more
        .into_iter()
        .filter_map(|(what, address)| Some((what, address?.to_string())));
    let http = [("listening on", format!("http://{}", record.address))];
    let rest = [
        ("data", plain(&record.data.display().to_string())),
        (
            "policy",
            format!(
                "{} {}, {}",
                plain(&about.name),
                plain(&about.version),
                record.policy.isolation
            ),
        ),
        ("sha-256", record.policy.digest.clone()),
    ];
    fields(http.into_iter().chain(more).chain(rest))
}

/// The commands that lead from nothing to a verified token, to be copied as they are.
fn first_steps(session: &Session, address: SocketAddr) -> String {
    let program = std::env::args_os().next().unwrap_or_else(|| "patrol".into());
    let mut patrol = shell_word(&program);
    let mut option = |name: &str, value: &OsStr| {
        patrol.push_str(&format!(" {name} {}", shell_word(value)));
    };
    option("--data", session.global.data.as_os_str());
    if let Some(config) = &session.global.config {
        option("--config", config.as_os_str());
    }
    format!(
        "\n\nThere is no tenant yet. These commands, in another terminal, make the first token:\n\n\
         \x20 {patrol} tenant create example\n\
         \x20 {patrol} user create --tenant example --name ann --role admin\n\
         \x20 {patrol} token create --owner ann --name first --expires 90d\n\n\
         and this one, with the secret in $PAT (`read -rs PAT` takes it unseen), signs in with it:\n\n\
         \x20 printf '{{\"token\":\"%s\"}}' \"$PAT\" | curl --json @- http://{address}/api/v1/pat/login\n"
    )
}
