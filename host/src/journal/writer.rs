//! Taking records from requests, and the thread that writes them down.
//!
//! A request pays for moving its record into a queue. The thread looks at the queue every few milliseconds while there
//! is traffic, rather than being woken for each record: waking it would cost the request a system call.

mod scribe;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;

use patrol_policy::types::Timestamp;

use self::scribe::{Message, Scribe};
use super::error::Error;
use super::keeper::{Extent, Keeper, Limits};
use super::{Settings, directory};
use crate::time::Clock;

/// Records that may wait to be written down: what comes in some tenths of a second at the highest rates, should the
/// disk take that long.
const QUEUE: usize = 8_192;
/// Bytes of memory that they may take, about, as far as [`Encode::size`] says.
const QUEUE_BYTES: usize = 64 << 20;

/// What can be written down. It is turned into bytes on the writing thread, not on the request's. As it waits in a
/// queue with room for 8,192, a large one should be boxed.
pub trait Encode: Send + 'static {
    /// When it was, ms since the epoch.
    fn at(&self) -> Timestamp;

    /// About how many bytes of memory it takes besides itself. It is always the same of the same record.
    fn size(&self) -> usize {
        0
    }

    /// Appends its bytes, [`LARGEST_RECORD`](super::LARGEST_RECORD) of them at most.
    ///
    /// # Errors
    /// Where it has none; it is dropped and counted.
    fn encode(&self, into: &mut Vec<u8>) -> Result<(), Unwritable>;
}

/// A record that cannot be turned into bytes.
#[derive(Debug, thiserror::Error)]
#[error("the record cannot be written down")]
pub struct Unwritable;

/// What became of the records, and what the journal has on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Whether records are taken.
    pub on: bool,
    /// Whether the last block could not be written. It is tried again with the next ones.
    pub failing: bool,
    /// Records in sealed blocks, since the start.
    pub appended: u64,
    /// Records that were not kept since the start: because the queue was full, the disk was, or they were too large.
    pub dropped: u64,
    /// Of these, those that the queue had no room for.
    pub overrun: u64,
    /// Bytes of all segments.
    pub bytes: u64,
    /// How many segments there are.
    pub segments: u64,
    /// The time of the oldest record, ms since the epoch.
    pub oldest: Option<Timestamp>,
}

/// What requests and the writing thread share.
struct Shared {
    on: AtomicBool,
    failing: AtomicBool,
    appended: AtomicU64,
    /// Dropped by the thread.
    lost: AtomicU64,
    /// Dropped by requests.
    overrun: AtomicU64,
    /// Bytes of the records in the queue.
    waiting: AtomicUsize,
    bytes: AtomicU64,
    segments: AtomicU64,
    /// `u64::MAX` where there is none.
    oldest: AtomicU64,
}

impl Shared {
    fn extends(&self, extent: Extent) {
        self.bytes.store(extent.bytes, Ordering::Relaxed);
        self.segments.store(extent.segments, Ordering::Relaxed);
        let oldest = extent.oldest.unwrap_or(u64::MAX);
        self.oldest.store(oldest, Ordering::Relaxed);
    }
}

/// Writes the journal of a data directory. When dropped, it first writes down what it has.
pub struct Writer<T> {
    directory: PathBuf,
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
    /// There once it was first turned on.
    queue: OnceLock<SyncSender<Message<T>>>,
    control: Mutex<Control>,
}

#[derive(Default)]
struct Control {
    on: bool,
    thread: Option<JoinHandle<()>>,
}

impl<T: Encode> Writer<T> {
    /// The writer for a data directory, turned off. Nothing is made, on disk or in memory, before it is turned on.
    #[must_use]
    pub fn new(data: &Path, clock: Arc<dyn Clock>) -> Self {
        Self {
            directory: directory(data),
            clock,
            shared: Arc::new(Shared {
                on: AtomicBool::new(false),
                failing: AtomicBool::new(false),
                appended: AtomicU64::new(0),
                lost: AtomicU64::new(0),
                overrun: AtomicU64::new(0),
                waiting: AtomicUsize::new(0),
                bytes: AtomicU64::new(0),
                segments: AtomicU64::new(0),
                oldest: AtomicU64::new(u64::MAX),
            }),
            queue: OnceLock::new(),
            control: Mutex::new(Control::default()),
        }
    }

    /// Turns it on or off, or changes how much is kept, at any time. What was pushed before it is turned off is written
    /// down before this returns, and another process may write then.
    ///
    /// # Errors
    /// Where it cannot be turned on: another process writes, the key cannot be used, the disk is full. It is off then,
    /// and can be tried again.
    pub fn apply(&self, settings: &Settings) -> Result<(), Error> {
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        let limits = Limits::from(settings);
        match (control.on, settings.enabled) {
            (false, false) => {}
            (false, true) => {
                let keeper = Keeper::open(&self.directory, limits)?;
                self.shared.extends(keeper.extent());
                let queue = self.start(&mut control)?;
                // It only fails where the thread has ended, and then each record is counted as dropped.
                let _ = queue.send(Message::Open(Box::new(keeper), limits));
                control.on = true;
                self.shared.on.store(true, Ordering::Release);
            }
            (true, true) => self.tell(Message::Limit(limits)),
            (true, false) => {
                control.on = false;
                self.shared.on.store(false, Ordering::Release);
                self.tell(Message::Close);
                self.flush();
            }
        }
        Ok(())
    }

    /// Whether records are taken: where they are not, there is no need to make one.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.shared.on.load(Ordering::Relaxed)
    }

    /// Hands over a record. It never waits: where there is no room, the record is dropped and counted.
    pub fn push(&self, record: T) {
        if !self.is_on() {
            return;
        }
        let size = record.size();
        let waiting = &self.shared.waiting;
        // Counted before it can be taken, so that the count never goes below nothing.
        let before = waiting.fetch_add(size, Ordering::Relaxed);
        let room = before.saturating_add(size) <= QUEUE_BYTES;
        let queue = self.queue.get().filter(|_| room);
        let pushed = queue.is_some_and(|queue| queue.try_send(Message::Record(record)).is_ok());
        if !pushed {
            waiting.fetch_sub(size, Ordering::Relaxed);
            self.shared.overrun.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until what was pushed before is in the files, or was dropped.
    pub fn flush(&self) {
        let (done, flushed) = sync_channel(1);
        self.tell(Message::Flush(done));
        // An error: there is no thread, and nothing to wait for.
        let _ = flushed.recv();
    }

    /// What became of the records, and what is on disk.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let shared = &self.shared;
        let overrun = shared.overrun.load(Ordering::Relaxed);
        let oldest = shared.oldest.load(Ordering::Relaxed);
        Stats {
            on: self.is_on(),
            failing: shared.failing.load(Ordering::Relaxed),
            appended: shared.appended.load(Ordering::Relaxed),
            dropped: shared.lost.load(Ordering::Relaxed).saturating_add(overrun),
            overrun,
            bytes: shared.bytes.load(Ordering::Relaxed),
            segments: shared.segments.load(Ordering::Relaxed),
            oldest: Some(oldest).filter(|oldest| *oldest != u64::MAX),
        }
    }

    fn tell(&self, message: Message<T>) {
        if let Some(queue) = self.queue.get() {
            let _ = queue.send(message);
        }
    }

    /// The queue, with the thread at its other end.
    fn start(&self, control: &mut Control) -> Result<&SyncSender<Message<T>>, Error> {
        if let Some(queue) = self.queue.get() {
            return Ok(queue);
        }
        let (queue, waiting) = sync_channel(QUEUE);
        let scribe = Scribe::new(
            waiting,
            Arc::clone(&self.shared),
            Arc::clone(&self.clock),
            self.directory.clone(),
        );
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || scribe.run())
            .map_err(Error::Thread)?;
        control.thread = Some(thread);
        Ok(self.queue.get_or_init(|| queue))
    }
}

impl<T> Drop for Writer<T> {
    fn drop(&mut self) {
        drop(self.queue.take());
        let control = self.control.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = control.thread.take() {
            // It only ends by itself or by a panic, which has been reported where it happened.
            let _ = thread.join();
        }
    }
}

impl<T> std::fmt::Debug for Writer<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}
