//! The doors with protocols of their own, from the wire: what they are told and what they say, byte by byte.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod fastcgi;
mod spop;

use std::future::Future;
use std::io::{ErrorKind, Read as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use patrol::gate::{Gate, Meters};
use patrol::service::{NewToken, Patrol};
use tokio_util::sync::CancellationToken;

/// Nothing here takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A door in this process; shut down in order when dropped.
struct Door {
    address: SocketAddr,
    shutdown: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Door {
    fn start<S: Future<Output = std::io::Result<()>> + 'static>(
        patrol: &Arc<Patrol>,
        serve: fn(Arc<Gate>, TcpListener, CancellationToken) -> S,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let gate = Arc::new(Gate::new(Arc::clone(patrol), Meters::default()).unwrap());
        let told = shutdown.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(serve(gate, listener, told)).unwrap();
        });
        Self {
            address,
            shutdown,
            thread: Some(thread),
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Tells it to end, without waiting.
    fn shut_down(&self) {
        self.shutdown.cancel();
    }

    /// Waits until it has ended.
    fn ended(mut self) {
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.shut_down();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(std::thread::panicking() || ended.is_ok(), "the door failed");
        }
    }
}

/// So many bytes, or as many as come before the other side closes.
fn read(stream: &mut TcpStream, bytes: usize) -> Vec<u8> {
    let mut read = vec![0; bytes];
    let mut filled = 0;
    while filled < bytes {
        match stream.read(&mut read[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            // It closed while something was on its way to it.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{error}"),
        }
    }
    read.truncate(filled);
    read
}

fn text(token: &NewToken) -> String {
    String::from_utf8(token.secret.expose().to_vec()).unwrap()
}
