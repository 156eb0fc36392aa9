//! `patrol serve`.

mod announce;
mod notify;
mod reload;
mod signals;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::announce::{Listening, announce};
use self::notify::Notifier;
use self::reload::reload;
use self::signals::{Signals, Told};
use super::Session;
use super::failure::{self, Exit, Failure};
use crate::config::{Config, Server};
use crate::control::{self, Desk, Socket};
use crate::doors::{fastcgi, grpc, spop};
use crate::gate::{Gate, Listener, Meters};
use crate::http;
use crate::notices::Courier;
use crate::service::{Housekeeping, Patrol, ServeLock, Watchman};

const EXAMPLES: &str = "\
Examples:
  patrol serve
  patrol --data /var/lib/patrol serve --listen 127.0.0.1:9000 --log-format json

SIGTERM and SIGINT end it: requests under way are answered first; a second one ends it at once. SIGHUP makes it read \
its configuration again; one with mistakes is logged and changes nothing.

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

impl ServeArgs {
    /// The configuration, with what the command line says otherwise.
    fn over(&self, mut config: Config) -> Config {
        config.server.listen = self.listen.unwrap_or(config.server.listen);
        config.server.allow_non_loopback |= self.allow_non_loopback;
        config
    }
}

/// Each step can fail for one reason of its own, which is then told: configuration, data, another server, address.
pub(super) fn run(session: &mut Session, args: &ServeArgs) -> anyhow::Result<Exit> {
    let started = args.over(session.config()?);
    let config = &started.server;
    config.check()?;
    let patrol = session.open_with(true, true)?;
    let lock = Arc::new(ServeLock::take(patrol.data())?);
    // With the lock held, nobody activates another release any more.
    patrol.refresh_policies(&lock)?;
    patrol.note_passed_over()?;
    patrol.note_pepper()?;
    if let Err(error) = patrol.keep_journal(&lock) {
        // It is in nobody's way, and `patrol doctor` says so, too.
        tracing::error!(%error, "decisions are not written down");
    }
    let patrol = Arc::new(patrol);
    // Counting costs little, but nothing is less, where nobody asks.
    let meters = match config.metrics {
        Some(_) => Meters::prometheus()?,
        None => Meters::default(),
    };
    let gate = Arc::new(Gate::new(Arc::clone(&patrol), meters)?);
    let doors = Doors::bind(config.listen, config)?;
    let listening = doors.listening();
    let control = control(&patrol, &lock)?;
    let housekeeping = Housekeeping::start(&patrol).context("cannot start a thread")?;
    let watchman = Watchman::start(&patrol, &lock).context("cannot start a thread")?;
    let courier = Courier::start(&patrol, &lock).context("cannot start a thread")?;
    let bookkeeping = config.metrics.map(|_| http::Bookkeeping::start(&gate));
    let bookkeeping = bookkeeping.transpose().context("cannot start a thread")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("http")
        .build()
        .context("cannot start the server's threads")?;
    let ended = runtime.block_on(async {
        // Before anybody is told that the server is there: from then on a signal ends it in order.
        let signals = Signals::listen().context("cannot wait for signals")?;
        announce(session, &patrol, listening)?;
        let mut watch = Watch {
            session,
            args,
            gate: &gate,
            started: &started,
            signals,
            notifier: Arc::new(Notifier::from_environment()),
            status: format!("listening on http://{}", listening.http),
        };
        watch.serve(doors, control).await.context("cannot serve")
    })?;
    match ended {
        // Work that a request left behind ends first, then the last uses are written, then others may serve.
        Ended::InOrder => drop(runtime),
        Ended::AtOnce => runtime.shutdown_background(),
    }
    drop((bookkeeping, courier, watchman, housekeeping));
    // Not left to the last owner, which may be work that goes on for a moment.
    if let Err(error) = patrol.flush() {
        tracing::error!(%error, "last uses and refusals could not be written");
    }
    patrol.end_journal();
    drop((gate, patrol));
    drop(lock);
    tracing::info!("stopped");
    Ok(Exit::Done)
}

/// The socket at which operators ask, and whoever answers there.
fn control(patrol: &Arc<Patrol>, lock: &Arc<ServeLock>) -> Result<(Socket, Desk), Failure> {
    let socket = Socket::bind(patrol.data(), lock).map_err(|source| Failure::Control {
        path: patrol.data().join(control::NAME),
        source,
    })?;
    let desk = Desk {
        patrol: Arc::clone(patrol),
        lock: Arc::clone(lock),
        exit_code: failure::exit_code,
    };
    Ok((socket, desk))
}

/// How it ended.
enum Ended {
    /// What was under way was answered, or had its time.
    InOrder,
    /// What was under way was cut off, as told by a second signal.
    AtOnce,
}

/// Longer than any door waits for requests under way, since each keeps to the time in the configuration by itself.
const GRACE: Duration = Duration::from_secs(2);

/// The server while it runs.
struct Watch<'a> {
    session: &'a Session,
    args: &'a ServeArgs,
    gate: &'a Arc<Gate>,
    started: &'a Config,
    signals: Signals,
    notifier: Arc<Notifier>,
    status: String,
}

impl Watch<'_> {
    async fn serve(&mut self, doors: Doors, (socket, desk): (Socket, Desk)) -> std::io::Result<Ended> {
        let shutdown = CancellationToken::new();
        let mut serving = doors.open(self.gate, &shutdown);
        serving.spawn(control::serve(socket, desk, shutdown.clone()));
        let notifier = Arc::clone(&self.notifier);
        let watchdog = tokio::spawn(async move { notifier.watchdog().await });
        self.notifier.ready(&self.status);
        let mut outcome = Ok(Ended::InOrder);
        // When to close the doors, and then when to wait no longer.
        let mut due = None;
        loop {
            tokio::select! {
                told = self.signals.next() => match told {
                    Told::Reload if due.is_none() => self.reload(),
                    Told::Reload => tracing::warn!("SIGHUP received: too late, the server is about to end"),
                    Told::End(signal) if due.is_none() => {
                        tracing::info!("{signal} received: answering what is under way, then stopping");
                        due = Some(Instant::now().checked_add(self.begin_to_end()));
                    }
                    Told::End(signal) => {
                        tracing::warn!("{signal} received again: what is under way is cut off");
                        outcome = outcome.map(|_| Ended::AtOnce);
                        break;
                    }
                },
                () = until(due.flatten()), if due.is_some() => {
                    if shutdown.is_cancelled() {
                        tracing::warn!("the time to drain was over long ago: what is under way is cut off");
                        break;
                    }
                    shutdown.cancel();
                    due = Some(self.latest_end());
                }
                served = serving.join_next() => {
                    let Some(served) = served else { break };
                    if !shutdown.is_cancelled() {
                        // One door that cannot serve takes the others along: half a server would look like a whole
                        // one.
                        self.begin_to_end();
                        shutdown.cancel();
                        due = Some(self.latest_end());
                    }
                    outcome = outcome.and_then(|ended| {
                        served.map_err(std::io::Error::other).flatten().map(|()| ended)
                    });
                }
            }
        }
        watchdog.abort();
        outcome
    }

    /// Tells everybody who asks, and says how long to go on as before.
    fn begin_to_end(&self) -> Duration {
        self.gate.drain();
        self.notifier.stopping();
        self.server().drain_notice()
    }

    fn latest_end(&self) -> Option<Instant> {
        Instant::now().checked_add(self.server().drain().saturating_add(GRACE))
    }

    /// As configured by now.
    fn server(&self) -> Server {
        self.gate.patrol().config().server.clone()
    }

    fn reload(&self) {
        self.notifier.reloading();
        reload(self.session, self.args, self.gate, self.started);
        self.notifier.ready(&self.status);
    }
}

/// Ready at this instant; never, where there is none.
async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant.into()).await,
        None => std::future::pending().await,
    }
}

/// All listeners, with the addresses that they have.
struct Doors {
    http: Bound,
    grpc: Option<Bound>,
    spop: Option<Bound>,
    fastcgi: Option<Bound>,
    metrics: Option<Bound>,
}

type Bound = (SocketAddr, TcpListener);

impl Doors {
    fn bind(http: SocketAddr, config: &Server) -> Result<Self, Failure> {
        Ok(Self {
            http: bind(http)?,
            grpc: config.grpc.map(bind).transpose()?,
            spop: config.spop.map(bind).transpose()?,
            fastcgi: config.fastcgi.map(bind).transpose()?,
            metrics: config.metrics.map(bind).transpose()?,
        })
    }

    fn listening(&self) -> Listening {
        let address = |bound: &Option<Bound>| bound.as_ref().map(|(address, _)| *address);
        Listening {
            http: self.http.0,
            grpc: address(&self.grpc),
            spop: address(&self.spop),
            fastcgi: address(&self.fastcgi),
            metrics: address(&self.metrics),
        }
    }

    /// Serves at all of them.
    fn open(self, gate: &Arc<Gate>, shutdown: &CancellationToken) -> JoinSet<std::io::Result<()>> {
        let mut serving = JoinSet::new();
        let mut http = |kind, router, listener| {
            let shutdown = shutdown.clone().cancelled_owned();
            serving.spawn(http::serve_for(
                Arc::clone(gate),
                kind,
                router,
                listener,
                shutdown,
            ));
        };
        http(Listener::Http, http::router(Arc::clone(gate)), self.http.1);
        if let Some((_, listener)) = self.metrics {
            http(
                Listener::Metrics,
                http::metrics_router(Arc::clone(gate)),
                listener,
            );
        }
        if let Some((_, listener)) = self.grpc {
            serving.spawn(grpc::serve(Arc::clone(gate), listener, shutdown.clone()));
        }
        if let Some((_, listener)) = self.spop {
            serving.spawn(spop::serve(Arc::clone(gate), listener, shutdown.clone()));
        }
        if let Some((_, listener)) = self.fastcgi {
            serving.spawn(fastcgi::serve(Arc::clone(gate), listener, shutdown.clone()));
        }
        serving
    }
}

/// A listener, and the address that it has.
fn bind(address: SocketAddr) -> Result<(SocketAddr, TcpListener), Failure> {
    let listener = TcpListener::bind(address).map_err(|source| Failure::Listen { address, source })?;
    Ok((listener.local_addr().unwrap_or(address), listener))
}
