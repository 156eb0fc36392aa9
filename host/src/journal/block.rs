//! Records, on their way into a block and out of it.

use std::ops::Range;

use patrol_policy::types::Timestamp;

use super::LARGEST_RECORD;
use super::seal::{BLOCK_HEAD, BlockHead, Fields, Sealer, TAG, Unsealable};

/// Bytes of records after which a block is sealed.
const FULL: usize = 64 * 1_024;
/// Time and length of a record, before its bytes.
const RECORD_HEAD: usize = 12;
/// The most bytes that the records of a block can have: one more of the largest where it was all but full.
pub(super) const LARGEST: u32 = 64 * 1_024 + 1_024 * 1_024 + 12;

/// Records that wait to be sealed together.
#[derive(Default)]
pub(super) struct Draft {
    /// The records as they came, each with its time and length.
    bytes: Vec<u8>,
    /// Where each of them is.
    places: Vec<(Timestamp, Range<usize>)>,
}

impl Draft {
    /// Adds a record, unless it is too large.
    pub(super) fn push(&mut self, at: Timestamp, record: &[u8]) -> bool {
        let Some(length) = u32::try_from(record.len())
            .ok()
            .filter(|_| record.len() <= LARGEST_RECORD)
        else {
            return false;
        };
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&at.to_le_bytes());
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(record);
        self.places.push((at, start..self.bytes.len()));
        true
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= FULL
    }

    /// How many records there are.
    pub(super) fn records(&self) -> u64 {
        u64::try_from(self.places.len()).unwrap_or(u64::MAX)
    }

    /// The bytes of the block that they make.
    pub(super) fn size(&self) -> u64 {
        let size = self.bytes.len().saturating_add(BLOCK_HEAD + TAG);
        u64::try_from(size).unwrap_or(u64::MAX)
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.places.clear();
    }

    /// Seals them into `frame` as the block with this index, in the order of their times; of the same time, as they
    /// came. They stay here.
    pub(super) fn seal(
        &mut self,
        sealer: &Sealer,
        index: u32,
        frame: &mut Vec<u8>,
    ) -> Result<BlockHead, Unsealable> {
        self.places.sort_by_key(|(at, _)| *at);
        frame.clear();
        frame.resize(BLOCK_HEAD, 0);
        for (_, place) in &self.places {
            frame.extend_from_slice(self.bytes.get(place.clone()).ok_or(Unsealable)?);
        }
        let head = BlockHead {
            index,
            length: u32::try_from(self.bytes.len()).map_err(|_| Unsealable)?,
            records: u32::try_from(self.places.len()).map_err(|_| Unsealable)?,
            first: self.places.first().map_or(0, |(at, _)| *at),
            last: self.places.last().map_or(0, |(at, _)| *at),
            closing: false,
        };
        sealer.seal_block(&head, frame)?;
        Ok(head)
    }
}

/// Seals the block that closes a segment into `frame`.
pub(super) fn seal_closing(
    sealer: &Sealer,
    index: u32,
    at: Timestamp,
    frame: &mut Vec<u8>,
) -> Result<(), Unsealable> {
    frame.clear();
    frame.resize(BLOCK_HEAD, 0);
    let head = BlockHead {
        index,
        length: 0,
        records: 0,
        first: at,
        last: at,
        closing: true,
    };
    sealer.seal_block(&head, frame)
}

/// The record that begins at `position` in the records of a block, and where the next one begins.
pub(super) fn record_at(body: &[u8], position: usize) -> Option<(Timestamp, Range<usize>)> {
    let mut fields = Fields(body.get(position..)?);
    let at = fields.u64()?;
    let length = usize::try_from(fields.u32()?).ok()?;
    fields.bytes(length)?;
    let start = position.checked_add(RECORD_HEAD)?;
    Some((at, start..start.checked_add(length)?))
}
