//! Telling people outside of tokens that end soon, or were just revoked: by webhook, and by mail.
//!
//! What there is to tell, and that it is told at most once, is [`Patrol`]'s to see to
//! ([`next_notices`](Patrol::next_notices), [`take_notice`](Patrol::take_notice)). Here it is sent:
//!
//! * Each notice is taken before a connection is opened for it. Where it is certain that nothing was sent, because the
//!   receiver could not be reached, it is given back and tried again, later each time, up to five minutes. An answer
//!   other than yes, or none in time, is not tried again: the notice may have arrived.
//! * After anything but a yes the channel is put off, so that a receiver that is out of order loses one notice at a time.
//! * A [`Courier`] has a thread for each channel, and requests wait for neither. It ends with the server, and is not waited for where a
//!   receiver is slow: what it had taken is sent or lost then, and not sent again.

mod mail;
mod text;
mod webhook;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

use crate::config::NoticeConfig;
use crate::private_file::{self, Unreadable};
use crate::service::{Error, Notice, NoticeChannel, NoticeOutcome, NoticeReader, Patrol, ServeLock};

/// Between two looks for something to tell.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Notices of one channel before the other has its turn.
const BATCH: u32 = 50;
/// How long one receiver may take, all in all.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long until there is a connection.
const CONNECTING: Duration = Duration::from_secs(5);
/// How long to wait after the first attempt that did not get through; twice as long after each further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// How long the end of a [`Courier`] waits for what is being sent.
const GRACE: Duration = Duration::from_millis(500);
/// No secret is longer, in bytes.
const LONGEST_SECRET: u64 = 1_024;

/// What became of a notice that was taken.
#[derive(Debug)]
enum Sent {
    /// The receiver said yes.
    Delivered,
    /// The receiver said something else.
    Refused(String),
    /// Nobody knows.
    Unknown(String),
    /// Certainly nothing of it was sent.
    Nothing(String),
}

/// Why something that is needed to send is not there.
fn unreadable(what: &str, error: &Unreadable) -> Sent {
    Sent::Nothing(match error {
        Unreadable::File(error) => format!("{what} cannot be read: {error}"),
        Unreadable::Exposed(mode) => {
            format!("{what} has mode {mode:o}, so that others could use it: chmod 600")
        }
        Unreadable::Damaged => format!("{what} is no file of at most {LONGEST_SECRET} bytes"),
    })
}

/// A secret in a file, without the end of its line.
fn secret(path: &std::path::Path) -> Result<zeroize::Zeroizing<Vec<u8>>, Unreadable> {
    let (mut text, _) = private_file::read(path, LONGEST_SECRET)?;
    while matches!(text.last(), Some(b'\n' | b'\r')) {
        text.pop();
    }
    Ok(text)
}

/// Sends what there is to tell by one channel, a round at a time.
pub struct Post {
    reader: NoticeReader,
    webhook: webhook::Webhook,
    wait: Duration,
    /// Not to be tried before.
    until: Option<Instant>,
}

impl Post {
    /// By this channel, from where it stopped.
    #[must_use]
    pub fn new(channel: NoticeChannel) -> Self {
        Self {
            reader: NoticeReader::new(channel),
            webhook: webhook::Webhook::default(),
            wait: FIRST_WAIT,
            until: None,
        }
    }

    /// One round: at most fifty notices, and none while the channel is not configured or is put off. Says how many were
    /// delivered; none means that there is nothing more for now. `stop` is asked before each.
    pub fn round(&mut self, patrol: &Patrol, lock: &ServeLock, stop: &dyn Fn() -> bool) -> usize {
        let config = patrol.config();
        let channel = self.reader.channel();
        if !channel.is_on(&config.notices) {
            // Turned on again, it is tried at once.
            (self.wait, self.until) = (FIRST_WAIT, None);
            self.reader.restart();
            return 0;
        }
        if self.until.is_some_and(|until| Instant::now() < until) {
            return 0;
        }
        let mut delivered = 0;
        if let Err(error) = self.tell(patrol, lock, &config.notices, stop, &mut delivered) {
            tracing::error!(%error, channel = channel.as_str(), "notices have to wait");
            self.put_off();
        }
        delivered
    }

    fn tell(
        &mut self,
        patrol: &Patrol,
        lock: &ServeLock,
        config: &NoticeConfig,
        stop: &dyn Fn() -> bool,
        delivered: &mut usize,
    ) -> Result<(), Error> {
        let channel = self.reader.channel();
        for notice in patrol.next_notices(lock, &mut self.reader, BATCH)? {
            if stop() {
                self.reader.restart();
                break;
            }
            if !patrol.take_notice(channel, &notice)? {
                continue;
            }
            let (id, channel_name) = (&notice.id, channel.as_str());
            let outcome = match self.send(config, &notice) {
                Sent::Delivered => {
                    tracing::debug!(id, channel = channel_name, "a notice was delivered");
                    patrol.settle_notice(channel, &notice, NoticeOutcome::Delivered)?;
                    (self.wait, self.until) = (FIRST_WAIT, None);
                    *delivered = delivered.saturating_add(1);
                    continue;
                }
                Sent::Nothing(why) => {
                    let channel = channel_name;
                    tracing::warn!(id, channel, why, "a notice could not be sent, and is tried again");
                    NoticeOutcome::Unreachable
                }
                Sent::Refused(why) => {
                    let channel = channel_name;
                    tracing::error!(id, channel, why, "a notice was refused, and is not sent again");
                    NoticeOutcome::Refused
                }
                Sent::Unknown(why) => {
                    let channel = channel_name;
                    tracing::error!(id, channel, why, "a notice may be lost, and is not sent again");
                    NoticeOutcome::Unknown
                }
            };
            // The next one waits, too: a receiver that is out of order loses one at a time.
            self.put_off();
            return patrol.settle_notice(channel, &notice, outcome);
        }
        Ok(())
    }

    fn send(&self, config: &NoticeConfig, notice: &Notice) -> Sent {
        match (self.reader.channel(), &config.webhook, &config.mail) {
            (NoticeChannel::Webhook, Some(url), _) => {
                let key = config.webhook_secret_file.as_deref();
                self.webhook.send(url, key, notice)
            }
            (NoticeChannel::Mail, _, Some(config)) => mail::send(config, notice),
            _ => Sent::Nothing("it is not configured".to_owned()),
        }
    }

    fn put_off(&mut self) {
        self.reader.restart();
        self.until = Instant::now().checked_add(self.wait);
        self.wait = self.wait.saturating_mul(2).min(LONGEST_WAIT);
    }
}

/// The threads that send notices while a server runs, one for each channel, so that neither waits for the other; they end
/// when this is dropped.
#[derive(Debug)]
pub struct Courier {
    stop: Vec<Sender<()>>,
    ended: Receiver<()>,
}

impl Courier {
    /// Starts them.
    ///
    /// # Errors
    /// Where the machine has no thread to give.
    pub fn start(patrol: &Arc<Patrol>, lock: &Arc<ServeLock>) -> std::io::Result<Self> {
        let (ending, ended) = channel::<()>();
        let mut stop = Vec::new();
        for one in NoticeChannel::ALL {
            let (stopping, stopped) = channel::<()>();
            stop.push(stopping);
            let (patrol, lock, ending) = (Arc::clone(patrol), Arc::clone(lock), ending.clone());
            std::thread::Builder::new()
                .name(format!("notices-{}", one.as_str()))
                .spawn(move || {
                    let _ending = ending;
                    let mut post = Post::new(one);
                    let mut wait = LOOK_EVERY;
                    while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                        let stop = || stopped.try_recv() != Err(TryRecvError::Empty);
                        let delivered = post.round(&patrol, &lock, &stop);
                        wait = if delivered > 0 { Duration::ZERO } else { LOOK_EVERY };
                    }
                })?;
        }
        Ok(Self { stop, ended })
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        self.stop.clear();
        // It ends when the last thread has. What takes longer is left to itself: it was taken, and nobody sends it again.
        let _ = self.ended.recv_timeout(GRACE);
    }
}
