//! What has to happen by itself while a server runs: uses and refusals are written every half second, and once a
//! minute the policy sweeps (R6) and the clock's mark is raised.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use patrol_policy::types::Swept;

use super::events::AuditEvent;
use super::policies::{Chosen, Running};
use super::question::{Sweep, Whose};
use super::{Caller, Error, OpenError, Patrol, STALLED};
use crate::private_file;
use crate::store::Tenants;

/// Between two flushes; DESIGN asks for a second at most.
const FLUSH_EVERY: Duration = Duration::from_millis(500);
/// Between two sweeps.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Records of each kind in one round: short enough that other writers need not wait.
const ROUND: u32 = 500;
/// Rounds in one sweep of the server; the next one goes on.
const ROUNDS: u32 = 40;

/// The right to serve a data directory: one process at a time. Held until dropped.
#[derive(Debug)]
pub struct ServeLock {
    _file: File,
}

impl ServeLock {
    /// Takes it.
    ///
    /// # Errors
    /// [`OpenError::InUse`] where another server has it, [`OpenError::Lock`] where the lock file cannot be made.
    pub fn take(data: &Path) -> Result<Self, OpenError> {
        let path = data.join("serve.lock");
        let file = private_file::lock_file(&path).map_err(|source| OpenError::Lock {
            path: path.clone(),
            source,
        })?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse(data.to_owned())),
            Err(TryLockError::Error(source)) => Err(OpenError::Lock { path, source }),
        }
    }
}

/// The thread that keeps house; stops, after a last flush, when dropped.
#[derive(Debug)]
pub struct Housekeeping {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Housekeeping {
    /// Starts it.
    ///
    /// # Errors
    /// Where the machine has no thread to give.
    pub fn start(patrol: &Arc<Patrol>) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let patrol = Arc::clone(patrol);
        let thread = std::thread::Builder::new()
            .name("housekeeping".to_owned())
            .spawn(move || {
                let mut swept = Instant::now();
                loop {
                    let ending = stopped.recv_timeout(FLUSH_EVERY) != Err(RecvTimeoutError::Timeout);
                    patrol.flush_and_watch();
                    if ending {
                        return;
                    }
                    if swept.elapsed() >= SWEEP_EVERY {
                        patrol.sweep_and_mark();
                        swept = Instant::now();
                    }
                }
            })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Housekeeping {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It only ends by itself or by a panic, which has been reported where it happened.
            let _ = thread.join();
        }
    }
}

impl Patrol {
    fn flush_and_watch(&self) {
        if let Err(error) = self.flush() {
            tracing::error!(%error, "last uses and refusals could not be written yet");
        }
        let stalled = self
            .store
            .oldest_unflushed()
            .is_some_and(|since| since.elapsed() > STALLED);
        if self.stalled.swap(stalled, Ordering::Relaxed) != stalled {
            if stalled {
                tracing::error!("last uses cannot be written: no verdicts until they can");
            } else {
                tracing::info!("last uses are written again");
            }
        }
    }

    fn sweep_and_mark(&self) {
        match self.sweep() {
            Ok(swept) if swept != Swept::default() => tracing::info!(?swept, "swept"),
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "could not sweep"),
        }
        let marked = self.store.begin().and_then(|mut transaction| {
            transaction.put_clock_mark(self.now(), false)?;
            transaction.commit()
        });
        if let Err(error) = marked {
            tracing::error!(%error, "could not raise the clock's mark");
        }
    }

    /// Marks tokens that have lapsed as ended and erases their digests, deletes records whose retention is over and
    /// sessions that have ended (R6), in short rounds.
    ///
    /// # Errors
    /// A fault of the policy or an outage of the store; the rounds before it stand.
    pub fn sweep(&self) -> Result<Swept, Error> {
        self.sweep_in_rounds(ROUNDS, ROUND)
    }

    /// One round of [`Patrol::sweep`], over at most `limit` records of each kind, of the tenants of each policy.
    ///
    /// # Errors
    /// As [`Patrol::sweep`].
    pub fn sweep_round(&self, limit: u32) -> Result<Swept, Error> {
        self.sweep_in_rounds(1, limit)
    }

    /// Every policy sweeps the records of the tenants that it governs; what one does wrong keeps no other from it.
    fn sweep_in_rounds(&self, rounds: u32, limit: u32) -> Result<Swept, Error> {
        let mut total = Swept::default();
        let mut failed = None;
        let mut done: Vec<Arc<Running>> = Vec::new();
        for _ in 0..rounds {
            // Each round anew: what is activated meanwhile goes on with it.
            let policies = self.policies.load_full();
            total.more = false;
            for chosen in policies.governing() {
                let running = Arc::clone(chosen.running);
                if done.iter().any(|done| Arc::ptr_eq(done, &running)) {
                    continue;
                }
                match self.sweep_governed(chosen, limit) {
                    Ok(swept) => {
                        total.ended = total.ended.saturating_add(swept.ended);
                        total.secrets = total.secrets.saturating_add(swept.secrets);
                        total.forgotten = total.forgotten.saturating_add(swept.forgotten);
                        total.sessions = total.sessions.saturating_add(swept.sessions);
                        total.more |= swept.more;
                        if swept.more {
                            continue;
                        }
                    }
                    Err(error) => failed = failed.or(Some(error)),
                }
                done.push(running);
            }
            if !total.more {
                break;
            }
        }
        failed.map_or(Ok(total), Err)
    }

    fn sweep_governed(&self, chosen: Chosen<'_>, limit: u32) -> Result<Swept, Error> {
        let whose = Whose::Everybody;
        // The rest of the housekeeping is nobody's policy, and done with everybody's.
        let hosts_too = matches!(chosen.tenants, Tenants::All | Tenants::AllBut(_));
        self.ask(chosen, &Sweep { whose, limit }, |call, mut swept| {
            if hosts_too {
                // Sessions that passwords opened are the host's own to judge, and to forget.
                let parameters = self.parameters();
                let (opened, used) = (
                    call.now.saturating_sub(parameters.session_lifetime),
                    call.now.saturating_sub(parameters.session_idle),
                );
                let forgotten = call.transaction()?.forget_account_sessions(opened, used, limit)?;
                let web = &self.config().web;
                let (opened, used) = (
                    call.now.saturating_sub(web.session_lifetime.0),
                    call.now.saturating_sub(web.session_idle.0),
                );
                let of_pages = call.transaction()?.forget_web_sessions(opened, used, limit)?;
                let links = call.now;
                let links = call.transaction()?.forget_links(links, limit)?;
                swept.sessions = swept.sessions.saturating_add(forgotten).saturating_add(of_pages);
                swept.more |= forgotten.max(of_pages).max(links) >= limit && limit > 0;
            }
            if swept.ended > 0 || swept.forgotten > 0 {
                let event = AuditEvent::new("sweep_personal_access_tokens", call.now, &Caller::system())
                    .detail("ended", swept.ended)
                    .detail("forgotten", swept.forgotten);
                event.write(call.transaction()?)?;
            }
            Ok(swept)
        })
        .inspect_err(|error| {
            let event = AuditEvent::new("sweep_personal_access_tokens", self.now(), &Caller::system());
            self.note(error, false, event);
        })
    }
}
