//! A listener of Patrol's in this process.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use patrol::gate::{Gate, Meters};
use patrol::http::{router, serve};
use patrol::service::Patrol;
use tokio_util::sync::CancellationToken;

/// A listener on a port of this machine; shut down in order when dropped.
pub struct Listener {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it asks.
    pub gate: Arc<Gate>,
    shutdown: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// The one for HTTP, with the checks, the REST API and the pages.
    ///
    /// # Panics
    /// Here and in all other methods: where what must work does not.
    #[must_use]
    pub fn start(patrol: &Arc<Patrol>) -> Self {
        Self::serving(patrol, |gate, listener, told| {
            serve(router(gate), listener, async move { told.cancelled().await })
        })
    }

    /// Another one.
    pub fn serving<S: Future<Output = std::io::Result<()>>>(
        patrol: &Arc<Patrol>,
        serve: impl FnOnce(Arc<Gate>, TcpListener, CancellationToken) -> S + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let gate = Arc::new(Gate::new(Arc::clone(patrol), Meters::default()).expect("a gate"));
        let shutdown = CancellationToken::new();
        let (asked, told) = (Arc::clone(&gate), shutdown.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .expect("a runtime");
            runtime
                .block_on(serve(asked, listener, told))
                .expect("it ends in order");
        });
        Self {
            address,
            gate,
            shutdown,
            thread: Some(thread),
        }
    }

    /// A connection to it, on which nothing is waited for longer than this.
    #[must_use]
    pub fn connect(&self, patience: Duration) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(patience)).expect("a time");
        stream.set_nodelay(true).expect("no delay");
        stream
    }

    /// Tells it to end, without waiting.
    pub fn shut_down(&self) {
        self.shutdown.cancel();
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits until it has ended.
    pub fn ended(mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it ends in order");
        }
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
