//! Telling systemd how the server is doing, as `sd_notify(3)` has it: a datagram to the socket that it named.
//!
//! Where there is no such socket, nothing is sent; where sending fails, that is logged and changes nothing.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Where to tell it.
pub(super) struct Notifier {
    to: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// As the environment says.
    pub(super) fn from_environment() -> Self {
        let to = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        let to = to.and_then(|name| match socket(&name) {
            Ok(socket) => Some(socket),
            Err(error) => {
                tracing::warn!(%error, "systemd cannot be told how the server is doing");
                None
            }
        });
        let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
        let mine = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|time| *time > 0 && mine);
        Self {
            watchdog: watchdog.map(Duration::from_micros).filter(|_| to.is_some()),
            to,
        }
    }

    /// The server is there, or there again after a reload.
    pub(super) fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={status}"));
    }

    /// The configuration is being read again; [`Notifier::ready`] says that it was.
    pub(super) fn reloading(&self) {
        self.send("RELOADING=1");
    }

    /// The server is about to end.
    pub(super) fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=answering what is under way");
    }

    /// Says again and again that the server is alive, if systemd waits for that. To be run where requests are
    /// answered: if none of them gets a turn, neither does this.
    pub(super) async fn watchdog(&self) {
        let often = self.watchdog.and_then(|time| time.checked_div(3));
        let Some(often) = often.filter(|often| !often.is_zero()) else {
            return;
        };
        let mut turns = tokio::time::interval(often);
        loop {
            turns.tick().await;
            self.send("WATCHDOG=1");
        }
    }

    fn send(&self, state: &str) {
        let Some((socket, to)) = &self.to else { return };
        if let Err(error) = socket.send_to_addr(state.as_bytes(), to) {
            tracing::warn!(%error, "systemd could not be told how the server is doing");
        }
    }
}

/// A socket to send from, and the address to send to: a path, or after `@` a name without one.
fn socket(name: &OsStr) -> std::io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes() {
        [b'@', name @ ..] => by_name(name)?,
        _ => SocketAddr::from_pathname(name)?,
    };
    Ok((UnixDatagram::unbound()?, address))
}

#[cfg(target_os = "linux")]
fn by_name(name: &[u8]) -> std::io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt as _;
    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn by_name(_: &[u8]) -> std::io::Result<SocketAddr> {
    Err(std::io::ErrorKind::Unsupported.into())
}
