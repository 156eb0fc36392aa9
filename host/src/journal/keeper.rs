//! The journal on disk, as its one writer has it: appends blocks, begins and closes segments, deletes the oldest.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use patrol_policy::types::{Duration, Timestamp};

use super::block::{self, Draft};
use super::directory;
use super::error::Error;
use super::key::Key;
use super::seal::{BLOCK_HEAD, SEGMENT_HEAD, Sealer, TAG};
use super::walk::walk;
use super::{SMALLEST, Settings};

/// So many segments make up a full journal, and a full span of its age.
const PARTS: u64 = 16;
/// The smallest and the largest size that a segment is begun for, in bytes.
const SEGMENT: (u64, u64) = (256 * 1_024, 64 * 1_024 * 1_024);
/// A segment is not closed for its age before that, ms.
const YOUNGEST: Duration = 60_000;
/// The block that closes a segment. There is always room for it.
const CLOSING: u64 = (BLOCK_HEAD + TAG) as u64;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    size: u64,
    age: Duration,
}

impl From<&Settings> for Limits {
    fn from(settings: &Settings) -> Self {
        Self {
            size: settings.max_size.max(SMALLEST as u64),
            age: settings.max_age,
        }
    }
}

impl Limits {
    fn segment_size(&self) -> u64 {
        (self.size / PARTS).clamp(SEGMENT.0, SEGMENT.1)
    }

    fn segment_age(&self) -> Duration {
        (self.age / PARTS).max(YOUNGEST)
    }
}

/// What the journal has on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) bytes: u64,
    pub(super) segments: u64,
    pub(super) oldest: Option<Timestamp>,
}

/// A segment as it is counted.
struct Kept {
    path: PathBuf,
    bytes: u64,
    first: Timestamp,
    last: Timestamp,
}

/// The segment that is being written.
struct Current {
    kept: Kept,
    file: File,
    sealer: Sealer,
    /// The index of its next block.
    next: u32,
}

/// The journal on disk. Where something fails it should be dropped, and opened anew when it is tried again.
pub(super) struct Keeper {
    directory: PathBuf,
    _lock: File,
    key: Key,
    limits: Limits,
    /// Those before the current one, oldest first.
    earlier: VecDeque<Kept>,
    current: Option<Current>,
    /// The number of the next segment.
    number: u64,
    frame: Vec<u8>,
}

impl Keeper {
    /// Takes the journal, and makes directory and key where there are none.
    pub(super) fn open(directory: &Path, limits: Limits) -> Result<Self, Error> {
        directory::make(directory).map_err(Error::file(directory))?;
        let lock = directory::lock(directory)?;
        let key = Key::read_or_make(directory)?;
        let listing = directory::list(directory).map_err(Error::file(directory))?;
        let last = listing.segments.last().map(|(number, _)| *number);
        let earlier = listing
            .segments
            .into_iter()
            .filter_map(|(number, path)| Kept::look(number, path, &key))
            .collect();
        Ok(Self {
            directory: directory.to_owned(),
            _lock: lock,
            key,
            limits,
            earlier,
            current: None,
            number: last.map_or(1, |last| last.saturating_add(1)),
            frame: Vec::new(),
        })
    }

    pub(super) fn limit(&mut self, limits: Limits) {
        self.limits = limits;
    }

    pub(super) fn extent(&self) -> Extent {
        let all = || {
            let current = self.current.as_ref().map(|current| &current.kept);
            self.earlier.iter().chain(current)
        };
        Extent {
            bytes: all().fold(0, |sum, kept| sum.saturating_add(kept.bytes)),
            segments: u64::try_from(all().count()).unwrap_or(u64::MAX),
            oldest: all().map(|kept| kept.first).min(),
        }
    }

    /// Appends a block, which is in its file when this returns.
    pub(super) fn append(&mut self, draft: &mut Draft, now: Timestamp) -> io::Result<()> {
        let size = draft.size().saturating_add(CLOSING);
        if self.current.as_ref().is_some_and(|current| {
            let full = current.kept.bytes.saturating_add(size) > self.limits.segment_size();
            let old = now.saturating_sub(current.kept.first) > self.limits.segment_age();
            full || old || current.next == u32::MAX
        }) {
            self.close()?;
        }
        self.expire(now)?;
        self.make_room(size.saturating_add(SEGMENT_HEAD as u64))?;
        let mut current = match self.current.take() {
            Some(current) => current,
            None => self.begin(now)?,
        };
        let head = draft.seal(&current.sealer, current.next, &mut self.frame)?;
        if let Err(error) = current.write(&self.frame) {
            current.give_up();
            return Err(error);
        }
        if current.next == 0 {
            (current.kept.first, current.kept.last) = (head.first, head.last);
        }
        current.kept.first = current.kept.first.min(head.first);
        current.kept.last = current.kept.last.max(head.last);
        current.next = current.next.saturating_add(1);
        self.current = Some(current);
        Ok(())
    }

    /// Closes the segment that is being written.
    pub(super) fn close(&mut self) -> io::Result<()> {
        let Some(mut current) = self.current.take() else {
            return Ok(());
        };
        block::seal_closing(&current.sealer, current.next, current.kept.last, &mut self.frame)?;
        let closed = current.write(&self.frame);
        if closed.is_err() {
            // Its blocks are whole, and it is as if it had been killed.
            current.cut();
        }
        self.earlier.push_back(current.kept);
        closed
    }

    /// Deletes segments with nothing younger than the limit, and what the size does not allow.
    pub(super) fn prune(&mut self, now: Timestamp) -> io::Result<()> {
        if self.current.as_ref().is_some_and(|current| {
            let age = now.saturating_sub(current.kept.first);
            age > self.limits.segment_age()
        }) {
            self.close()?;
        }
        self.expire(now)?;
        self.make_room(0)
    }

    fn expire(&mut self, now: Timestamp) -> io::Result<()> {
        let before = now.saturating_sub(self.limits.age);
        while self.earlier.front().is_some_and(|kept| kept.last < before) {
            self.remove_oldest()?;
        }
        Ok(())
    }

    /// Deletes the oldest until so many bytes fit in.
    fn make_room(&mut self, size: u64) -> io::Result<()> {
        while self.extent().bytes.saturating_add(size) > self.limits.size {
            if self.earlier.is_empty() {
                if self.current.is_none() {
                    return Ok(());
                }
                self.close()?;
            }
            self.remove_oldest()?;
        }
        Ok(())
    }

    fn remove_oldest(&mut self) -> io::Result<()> {
        if let Some(oldest) = self.earlier.front() {
            remove(&oldest.path)?;
            self.earlier.pop_front();
        }
        Ok(())
    }

    fn begin(&mut self, now: Timestamp) -> io::Result<Current> {
        let number = self.number;
        let (sealer, head) = Sealer::begin(&self.key, number, now)?;
        let path = directory::segment(&self.directory, number);
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        self.number = number.checked_add(1).ok_or(io::ErrorKind::FileTooLarge)?;
        let mut current = Current {
            kept: Kept {
                path,
                bytes: 0,
                first: now,
                last: now,
            },
            file,
            sealer,
            next: 0,
        };
        if let Err(error) = current.write(&head) {
            current.give_up();
            return Err(error);
        }
        Ok(current)
    }
}

impl Kept {
    /// Looks at a segment that another run has left behind; none where it has gone.
    fn look(number: u64, path: PathBuf, key: &Key) -> Option<Self> {
        let mut file = File::open(&path).ok()?;
        let metadata = file.metadata().ok()?;
        let bytes = metadata.len();
        let blocks = walk(&mut file, number, key).map(|segment| segment.blocks);
        let blocks = blocks.unwrap_or_default();
        // Where nothing in it says so, its age is that of the file.
        let written = metadata.mtime().saturating_mul(1_000);
        let written = Timestamp::try_from(written).unwrap_or_default();
        let first = blocks.iter().map(|block| block.head.first).min();
        let last = blocks.iter().map(|block| block.head.last).max();
        Some(Self {
            path,
            bytes,
            first: first.unwrap_or(written),
            last: last.unwrap_or(written),
        })
    }
}

impl Current {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Whoever removes the journal means it, and would not find what is written to a file without a name.
        if self.file.metadata()?.nlink() == 0 {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the segment was removed"));
        }
        self.file.write_all(bytes)?;
        let written = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.kept.bytes = self.kept.bytes.saturating_add(written);
        Ok(())
    }

    /// Takes back what was written of a block that could not be written whole. Should even that fail, readers find
    /// that it is none.
    fn cut(&self) {
        let _ = self.file.set_len(self.kept.bytes);
    }

    /// Leaves the segment as it was before the last write. Without a block there is no use for it.
    fn give_up(self) {
        self.cut();
        if self.next == 0 {
            let _ = fs::remove_file(&self.kept.path);
        }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
