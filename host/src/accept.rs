//! Accepting connections, for every listener: so many at the same time, none of them waiting for another's mistake.

use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Hands every connection to `each`, with the permit that it keeps until it is over, until `shutdown` is ready. While
/// all permits are taken, more connections wait to be accepted.
///
/// # Errors
/// Where the listener cannot be used at all.
pub(crate) async fn accept(
    listener: TcpListener,
    connections: &Arc<Semaphore>,
    shutdown: impl Future<Output = ()>,
    mut each: impl FnMut(TcpStream, OwnedSemaphorePermit),
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let permit = tokio::select! {
            () = &mut shutdown => return Ok(()),
            permit = Arc::clone(connections).acquire_owned() => permit.map_err(io::Error::other)?,
        };
        let accepted = tokio::select! {
            () = &mut shutdown => return Ok(()),
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                // Answers are small; without this they would wait for the acknowledgement of the one before.
                let _ = stream.set_nodelay(true);
                each(stream, permit);
            }
            Err(error) => {
                // Out of descriptors, usually: those under way will give some back.
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
