//! Where a command that changes what runs is carried out: here, where no server runs, or by the server, which holds its
//! policies in memory.

use std::time::{Duration, Instant};

use super::Session;
use super::failure::Failure;
use crate::control::{Client, NAME};
use crate::service::{OpenError, Patrol, ServeLock};

/// How long a server may take to start or to end, between whose lock and whose socket there is a moment.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

/// Where it is.
pub(super) enum Reached {
    /// Here: no server runs, and none can start while the lock is held.
    Here(Box<Patrol>, ServeLock),
    /// At a running server.
    Server(Client),
}

impl Reached {
    /// Looks for a server.
    pub(super) fn find(session: &Session) -> anyhow::Result<Self> {
        let data = &session.global.data;
        if !data.join("serve.lock").exists() {
            // No server ever ran here, and there may be no data at all.
            let patrol = Box::new(session.open()?);
            let lock = ServeLock::take(patrol.data())?;
            return Ok(Self::Here(patrol, lock));
        }
        let begun = Instant::now();
        loop {
            match ServeLock::take(data) {
                Ok(lock) => return Ok(Self::Here(Box::new(session.open()?), lock)),
                Err(OpenError::InUse(_)) => {}
                Err(error) => return Err(error.into()),
            }
            match Client::connect(data) {
                Ok(client) => return Ok(Self::Server(client)),
                Err(source) if begun.elapsed() >= PATIENCE => {
                    let path = data.join(NAME);
                    return Err(Failure::NoAnswer { path, source }.into());
                }
                Err(_) => std::thread::sleep(PAUSE),
            }
        }
    }
}
