//! What doors with a protocol of their own share: connections that are accepted in bounds, read in bounds, and ended so
//! that the last word arrives.

use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroize as _;

use crate::accept::accept;
use crate::gate::{Gate, Listener};

/// Connections of one door at the same time; more wait to be accepted.
const CONNECTIONS: u32 = 1_024;
/// How long an answer may take to be taken by the other side.
const WRITE_TIME: Duration = Duration::from_secs(5);
/// How long the other side may take to close a connection that is over.
const LINGER_TIME: Duration = Duration::from_secs(1);

/// Gives every connection to `serve`, until `shutdown`; then waits until those that are open have ended, which each of
/// them does by itself when it learns of the shutdown.
///
/// # Errors
/// Where the listener cannot be used at all.
pub(super) async fn serve_each<F, S>(
    gate: &Gate,
    (which, listener): (Listener, TcpListener),
    shutdown: &CancellationToken,
    serve: F,
) -> io::Result<()>
where
    F: Fn(TcpStream) -> S,
    S: Future<Output = ()> + Send + 'static,
{
    let connections = Arc::new(Semaphore::new(usize::try_from(CONNECTIONS).unwrap_or(1)));
    accept(listener, &connections, shutdown.cancelled(), |stream, permit| {
        let connection = serve(stream);
        let counted = gate.meters().connected(which);
        tokio::spawn(async move {
            connection.await;
            drop((permit, counted));
        });
    })
    .await?;
    // Whoever holds all permits knows that nobody else holds any.
    let drain = gate.patrol().config().server.drain();
    if timeout(drain, connections.acquire_many(CONNECTIONS))
        .await
        .is_err()
    {
        tracing::warn!("some connections were still open when the time to drain was over");
    }
    Ok(())
}

/// So long from now.
pub(super) fn after(duration: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(duration).unwrap_or(now)
}

/// Writes all of it, in bounded time.
pub(super) async fn send(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    timeout(WRITE_TIME, stream.write_all(bytes)).await?
}

/// Ends a connection after its last answer. To close it while something is unread would reset it, and with it the
/// answer on its way.
pub(super) async fn end(mut stream: TcpStream) {
    if stream.shutdown().await.is_ok() {
        let _ = timeout(LINGER_TIME, async {
            let mut rest = [0_u8; 512];
            while matches!(stream.read(&mut rest).await, Ok(count) if count > 0) {}
            rest.zeroize();
        })
        .await;
    }
}

/// What was read and not yet understood. It may hold credentials, so that it cannot be printed, stays where it is
/// (a buffer that grows leaves copies behind), and is wiped in the end.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    filled: usize,
    touched: usize,
}

impl Buffer {
    /// Room for so many bytes; the system gives the memory when it is used.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            bytes: vec![0; capacity],
            filled: 0,
            touched: 0,
        }
    }

    /// What there is.
    pub(super) fn filled(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }

    /// Forgets the first so many bytes.
    pub(super) fn consume(&mut self, count: usize) {
        let count = count.min(self.filled);
        self.bytes.copy_within(count..self.filled, 0);
        self.filled = self.filled.saturating_sub(count);
    }

    /// Reads what is there, or waits for it; 0 at the end of the stream.
    ///
    /// # Errors
    /// As the stream; and where there is no room, since then more was sent than may be in one piece.
    pub(super) async fn read(&mut self, stream: &mut TcpStream) -> io::Result<usize> {
        let room = self.bytes.get_mut(self.filled..).unwrap_or_default();
        if room.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let count = stream.read(room).await?;
        self.filled = self.filled.saturating_add(count);
        self.touched = self.touched.max(self.filled);
        Ok(count)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(touched) = self.bytes.get_mut(..self.touched) {
            touched.zeroize();
        }
    }
}
