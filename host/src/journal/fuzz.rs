//! A way in for fuzzing: a segment as bytes, without files.

use std::io::Cursor;

use patrol_policy::types::Timestamp;
use zeroize::Zeroizing;

use super::Record;
use super::block::{self, Draft, record_at};
use super::key::Key;
use super::seal::{BLOCK_HEAD, Sealer};
use super::walk::{read_at, walk};

/// What could be read of a segment, and what was said of the rest.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The records, in the order of the blocks.
    pub records: Vec<Record>,
    /// What is wrong.
    pub troubles: Vec<String>,
}

/// Reads a segment as a [`Reader`](super::Reader) does.
#[must_use]
pub fn parse(bytes: &[u8], key: &[u8; 32], number: u64) -> Parsed {
    let key = Key::new(Zeroizing::new(*key));
    let mut source = Cursor::new(bytes);
    let segment = match walk(&mut source, number, &key) {
        Ok(segment) => segment,
        Err(trouble) => {
            return Parsed {
                records: Vec::new(),
                troubles: vec![trouble.to_string()],
            };
        }
    };
    let mut parsed = Parsed::default();
    for (offset, trouble) in segment.troubles {
        parsed.troubles.push(format!("at byte {offset}: {trouble}"));
    }
    for place in segment.blocks {
        let mut block = vec![0; usize::try_from(place.head.size()).unwrap_or_default()];
        let read = read_at(&mut source, place.offset, &mut block).unwrap_or_default();
        match block
            .get_mut(..read)
            .and_then(|block| segment.sealer.open_block(block))
        {
            Some((_, body)) => parsed.records.append(&mut records(body)),
            None => parsed
                .troubles
                .push(format!("at byte {}: the block does not open", place.offset)),
        }
    }
    parsed
}

/// The records in the body of a block, as it is once it has been opened.
#[must_use]
pub fn records(body: &[u8]) -> Vec<Record> {
    let mut records = Vec::new();
    let mut position = 0;
    while let Some((at, place)) = record_at(body, position) {
        position = place.end;
        let bytes = body.get(place).unwrap_or_default().to_vec();
        records.push(Record { at, bytes });
    }
    records
}

/// A closed segment with a block for each of these lists of records; none where it cannot be sealed.
#[must_use]
pub fn build(blocks: &[Vec<Record>], key: &[u8; 32], number: u64) -> Option<Vec<u8>> {
    let key = Key::new(Zeroizing::new(*key));
    let (sealer, head) = Sealer::begin(&key, number, 0).ok()?;
    let mut bytes = head.to_vec();
    let (mut frame, mut index) = (Vec::with_capacity(BLOCK_HEAD), 0_u32);
    let mut last: Timestamp = 0;
    for block in blocks {
        let mut draft = Draft::default();
        for record in block {
            draft.push(record.at, &record.bytes);
        }
        let head = draft.seal(&sealer, index, &mut frame).ok()?;
        bytes.extend_from_slice(&frame);
        index = index.checked_add(1)?;
        last = head.last;
    }
    block::seal_closing(&sealer, index, last, &mut frame).ok()?;
    bytes.extend_from_slice(&frame);
    Some(bytes)
}
