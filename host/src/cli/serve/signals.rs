//! What a running server is told by signals.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// SIGTERM or SIGINT: end; told a second time: at once.
    End(&'static str),
    /// SIGHUP: read the configuration again.
    Reload,
}

/// The signals that the server waits for.
pub(super) struct Signals {
    terminated: Signal,
    interrupted: Signal,
    hung_up: Signal,
}

impl Signals {
    /// Waits for them from now on; until then each would end the process.
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminated: signal(SignalKind::terminate())?,
            interrupted: signal(SignalKind::interrupt())?,
            hung_up: signal(SignalKind::hangup())?,
        })
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminated.recv() => Told::End("SIGTERM"),
            _ = self.interrupted.recv() => Told::End("SIGINT"),
            _ = self.hung_up.recv() => Told::Reload,
        }
    }
}
