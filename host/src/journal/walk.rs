//! Going through a segment by its blocks' headers: which blocks there are, and what is wrong between them.

use std::io::{self, Read, Seek, SeekFrom};

use super::block;
use super::error::Trouble;
use super::key::Key;
use super::seal::{BLOCK_HEAD, BlockHead, MARK, SEGMENT_HEAD, Sealer};

/// Bytes that are searched at a time for the next header behind damage.
const WINDOW: usize = 64 * 1_024;

/// A block, and where it begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) head: BlockHead,
}

/// A segment as its headers tell it. What the blocks hold has not been looked at.
pub(super) struct Segment {
    pub(super) sealer: Sealer,
    /// Blocks with records, in their order.
    pub(super) blocks: Vec<Place>,
    /// Whether it ends with the block that closes it.
    pub(super) closed: bool,
    /// What is wrong, and where.
    pub(super) troubles: Vec<(u64, Trouble)>,
}

/// Goes through the segment that should have this number.
///
/// # Errors
/// What is wrong with it, where nothing in it can be read.
pub(super) fn walk(source: &mut (impl Read + Seek), number: u64, key: &Key) -> Result<Segment, Trouble> {
    let unreadable = |error: io::Error| Trouble::Unreadable(error.to_string());
    // What is appended from now on is for another time.
    let end = source.seek(SeekFrom::End(0)).map_err(unreadable)?;
    let mut head = [0; SEGMENT_HEAD];
    if read_at(source, 0, &mut head).map_err(unreadable)? < head.len() {
        return Err(Trouble::Torn(end));
    }
    let (sealer, own) = Sealer::open(key, &head)?;
    if own != number {
        return Err(Trouble::Misnamed(own));
    }
    let mut walk = Walk {
        source,
        end,
        offset: SEGMENT_HEAD as u64,
        floor: SEGMENT_HEAD as u64,
        expected: 0,
        damaged: false,
        found: Segment {
            sealer,
            blocks: Vec::new(),
            closed: false,
            troubles: Vec::new(),
        },
    };
    walk.go().map_err(unreadable)?;
    Ok(walk.found)
}

struct Walk<'s, S> {
    source: &'s mut S,
    end: u64,
    /// Where the next block should begin.
    offset: u64,
    /// Where the next header may be at the earliest, should there be none at `offset`.
    floor: u64,
    /// The index of the next block.
    expected: u32,
    /// Whether what is missing at the next block has been told as damage.
    damaged: bool,
    found: Segment,
}

impl<S: Read + Seek> Walk<'_, S> {
    fn go(&mut self) -> io::Result<()> {
        while self.offset < self.end {
            let head = self.head()?;
            let after = head.map(|head| self.offset.saturating_add(head.size()));
            match (head, after) {
                (Some(head), Some(after)) if after <= self.end => self.pass(head, after),
                _ => {
                    if !self.recover(head.is_some())? {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// The header at `offset`.
    fn head(&mut self) -> io::Result<Option<BlockHead>> {
        let mut bytes = [0; BLOCK_HEAD];
        if read_at(self.source, self.offset, &mut bytes)? < bytes.len() {
            return Ok(None);
        }
        let head = self.found.sealer.open_head(&bytes);
        Ok(head.filter(|head| head.length <= block::LARGEST))
    }

    /// Takes a block that is there from its beginning to its end.
    fn pass(&mut self, head: BlockHead, after: u64) {
        let offset = self.offset;
        if head.index < self.expected || self.found.closed {
            self.found.troubles.push((offset, Trouble::Misplaced(head.index)));
        } else {
            let missing = head.index.saturating_sub(self.expected);
            if missing > 0 && !self.damaged {
                let trouble = Trouble::MissingBlocks(self.expected, missing);
                self.found.troubles.push((offset, trouble));
            }
            self.damaged = false;
            self.expected = head.index.saturating_add(1);
            if head.closing {
                self.found.closed = true;
            } else {
                self.found.blocks.push(Place { offset, head });
            }
        }
        self.floor = offset.saturating_add(BLOCK_HEAD as u64);
        self.offset = after;
    }

    /// Goes on behind something that is no whole block; false where nothing follows.
    fn recover(&mut self, begun: bool) -> io::Result<bool> {
        let rest = self.end.saturating_sub(self.offset);
        let Some(next) = self.search()? else {
            // What is written is cut off behind a beginning, and files are extended by zeros.
            let torn = begun || rest < BLOCK_HEAD as u64 || self.only_zeros()?;
            let trouble = if torn && !self.found.closed {
                Trouble::Torn(rest)
            } else {
                Trouble::Damaged(rest)
            };
            self.found.troubles.push((self.offset, trouble));
            return Ok(false);
        };
        let mut from = self.offset;
        if next < from {
            // Bytes are missing in the last block, so that it seemed to reach into this one.
            from = self.floor.saturating_sub(BLOCK_HEAD as u64);
            if self.found.blocks.last().is_some_and(|last| last.offset == from) {
                self.found.blocks.pop();
            }
        }
        let trouble = Trouble::Damaged(next.saturating_sub(from));
        self.found.troubles.push((from, trouble));
        self.damaged = true;
        self.offset = next;
        self.floor = next.saturating_add(1);
        Ok(true)
    }

    /// Where the next header is that opens and is still to come.
    fn search(&mut self) -> io::Result<Option<u64>> {
        let mut window = vec![0; WINDOW];
        let mut at = self.floor;
        if at == self.offset {
            at = at.saturating_add(1);
        }
        loop {
            let length = read_at(self.source, at, &mut window)?;
            let read = window.get(..length).unwrap_or_default();
            for (index, bytes) in read.windows(BLOCK_HEAD).enumerate() {
                if bytes.starts_with(&MARK)
                    && let Some(bytes) = bytes.first_chunk()
                    && let Some(head) = self.found.sealer.open_head(bytes)
                    && head.index >= self.expected
                {
                    let found = at.saturating_add(u64::try_from(index).unwrap_or(u64::MAX));
                    // It was looked at already, and what it begins is not there.
                    if found != self.offset {
                        return Ok(Some(found).filter(|found| *found < self.end));
                    }
                }
            }
            if length < window.len() {
                return Ok(None);
            }
            at = at.saturating_add((WINDOW - BLOCK_HEAD + 1) as u64);
        }
    }

    fn only_zeros(&mut self) -> io::Result<bool> {
        let mut window = vec![0; WINDOW];
        let mut at = self.offset;
        loop {
            let length = read_at(self.source, at, &mut window)?;
            let read = window.get(..length).unwrap_or_default();
            if read.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            if length < window.len() {
                return Ok(true);
            }
            at = at.saturating_add(WINDOW as u64);
        }
    }
}

/// Reads from an offset on, as much as fits and is there.
pub(super) fn read_at(source: &mut (impl Read + Seek), offset: u64, into: &mut [u8]) -> io::Result<usize> {
    source.seek(SeekFrom::Start(offset))?;
    let mut filled = 0_usize;
    while let Some(room) = into.get_mut(filled..).filter(|room| !room.is_empty()) {
        match source.read(room) {
            Ok(0) => break,
            Ok(read) => filled = filled.saturating_add(read),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
