//! What was altered, cut or moved is never taken for what was written, and what was not is still read.

use proptest::prelude::*;

use crate::journal::Record;
use crate::journal::fuzz::{Parsed, build, parse};
use crate::journal::seal::{BLOCK_HEAD, SEGMENT_HEAD, TAG};

const KEY: [u8; 32] = [7; 32];

fn record(at: u64, text: &str) -> Record {
    let bytes = text.as_bytes().to_vec();
    Record { at, bytes }
}

/// Three blocks, two of them of the same size.
fn blocks() -> Vec<Vec<Record>> {
    vec![
        vec![record(1, "one"), record(2, "two")],
        vec![record(3, "six"), record(4, "ten")],
        vec![record(5, "the last of them all")],
    ]
}

/// The segment, and where its blocks begin and the last one ends; the last block is the one that closes it.
fn segment() -> (Vec<u8>, Vec<usize>) {
    let mut starts = vec![SEGMENT_HEAD];
    for block in blocks() {
        let body: usize = block.iter().map(|record| 12 + record.bytes.len()).sum();
        starts.push(starts[starts.len() - 1] + BLOCK_HEAD + body + TAG);
    }
    starts.push(starts[starts.len() - 1] + BLOCK_HEAD + TAG);
    let bytes = build(&blocks(), &KEY, 1).unwrap();
    assert_eq!(Some(&bytes.len()), starts.last());
    (bytes, starts)
}

fn read(bytes: &[u8]) -> Parsed {
    parse(bytes, &KEY, 1)
}

/// The records of these blocks.
fn of(numbers: &[usize]) -> Vec<Record> {
    numbers
        .iter()
        .flat_map(|number| blocks()[*number].clone())
        .collect()
}

#[track_caller]
fn told(parsed: &Parsed, holds: &[&str]) {
    let Parsed { troubles, .. } = parsed;
    assert_eq!(troubles.len(), holds.len(), "{troubles:#?}");
    for (trouble, holds) in troubles.iter().zip(holds) {
        assert!(trouble.contains(holds), "{holds}: {troubles:#?}");
    }
}

#[test]
fn what_is_whole_is_read() {
    let parsed = read(&segment().0);
    assert_eq!(parsed.records, of(&[0, 1, 2]));
    told(&parsed, &[]);
}

#[test]
fn a_tail_torn_at_any_byte_costs_its_own_block_only() {
    let (bytes, starts) = segment();
    for end in 0..bytes.len() {
        let parsed = read(&bytes[..end]);
        let whole: Vec<_> = (0..3).filter(|block| starts[block + 1] <= end).collect();
        assert_eq!(parsed.records, of(&whole), "cut at {end}");
        if starts.contains(&end) {
            told(&parsed, &[]);
        } else {
            told(&parsed, &["no whole block"]);
            let from = starts.iter().rfind(|start| **start <= end).unwrap_or(&0);
            assert!(
                parsed.troubles[0].contains(&format!("{} bytes", end - from)),
                "{}",
                parsed.troubles[0]
            );
        }
    }
}

#[test]
fn a_tail_that_the_machine_filled_with_zeros_is_torn_too() {
    let (bytes, starts) = segment();
    let parsed = read(&[&bytes[..starts[2]], &[0; 100_000]].concat());
    assert_eq!(parsed.records, of(&[0, 1]));
    told(&parsed, &["the last 100000 bytes are no whole block"]);
}

#[test]
fn every_flipped_bit_is_found_and_costs_its_own_block_only() {
    let (bytes, starts) = segment();
    for offset in 0..bytes.len() {
        for bit in 0..8 {
            let mut bytes = bytes.clone();
            bytes[offset] ^= 1 << bit;
            let parsed = read(&bytes);
            let Some(hit) = starts.iter().rposition(|start| *start <= offset) else {
                assert_eq!(parsed.records, [], "bit {bit} of byte {offset}");
                assert_eq!(parsed.troubles.len(), 1);
                continue;
            };
            let others: Vec<_> = (0..3).filter(|block| *block != hit).collect();
            assert_eq!(parsed.records, of(&others), "bit {bit} of byte {offset}");
            // The block that closes has nothing in it; that its tag is not looked at does not matter.
            let closing_tag = offset >= starts[3] + BLOCK_HEAD;
            assert_eq!(
                parsed.troubles.is_empty(),
                closing_tag,
                "bit {bit} of byte {offset}"
            );
            if let Some(trouble) = parsed.troubles.first() {
                assert!(trouble.contains(&format!("at byte {}", starts[hit])), "{trouble}");
            }
        }
    }
}

/// The segment with its blocks in another order.
fn arranged(order: &[usize]) -> Vec<u8> {
    let (bytes, starts) = segment();
    let mut arranged = bytes[..SEGMENT_HEAD].to_vec();
    for block in order {
        arranged.extend_from_slice(&bytes[starts[*block]..starts[block + 1]]);
    }
    arranged
}

#[test]
fn blocks_that_are_swapped_doubled_or_taken_out_are_found() {
    let cases: &[(&[usize], &[usize], &[&str])] = &[
        (&[0, 1, 2, 3], &[0, 1, 2], &[]),
        (
            &[1, 0, 2, 3],
            &[1, 2],
            &["block 0 is missing", "block 0 is not in its place"],
        ),
        (&[0, 0, 1, 2, 3], &[0, 1, 2], &["block 0 is not in its place"]),
        (&[0, 1, 2, 1, 3], &[0, 1, 2], &["block 1 is not in its place"]),
        (&[0, 2, 3], &[0, 2], &["block 1 is missing"]),
        (&[2, 3], &[2], &["2 blocks from block 0 on are missing"]),
        (&[0, 1, 3], &[0, 1], &["block 2 is missing"]),
        (&[0, 1, 2, 3, 2], &[0, 1, 2], &["block 2 is not in its place"]),
        (&[0, 1, 2, 3, 3], &[0, 1, 2], &["block 3 is not in its place"]),
    ];
    for (order, records, troubles) in cases {
        let parsed = read(&arranged(order));
        assert_eq!(parsed.records, of(records), "{order:?}");
        told(&parsed, troubles);
    }
}

#[test]
fn a_block_of_another_segment_does_not_open() {
    let (bytes, starts) = segment();
    // The same key, the same number, the same records: only what was drawn for the segment differs.
    let (other, _) = segment();
    let mut mixed = bytes.clone();
    mixed[starts[1]..starts[2]].copy_from_slice(&other[starts[1]..starts[2]]);
    let parsed = read(&mixed);
    assert_eq!(parsed.records, of(&[0, 2]));
    told(&parsed, &["are not what was written"]);
    // Nor does the body of a block under the header of another.
    let mut mixed = bytes.clone();
    mixed.copy_within(starts[0] + BLOCK_HEAD..starts[1], starts[1] + BLOCK_HEAD);
    let parsed = read(&mixed);
    assert_eq!(parsed.records, of(&[0, 2]));
    told(&parsed, &["does not open"]);
}

#[test]
fn a_segment_opens_with_its_key_and_under_its_number_only() {
    let (bytes, _) = segment();
    for bit in 0..256 {
        let mut key = KEY;
        key[bit / 8] ^= 1 << (bit % 8);
        let parsed = parse(&bytes, &key, 1);
        assert_eq!(parsed.records, []);
        told(&parsed, &["sealed with another key"]);
    }
    let parsed = parse(&bytes, &KEY, 2);
    assert_eq!(parsed.records, []);
    told(&parsed, &["segment 1 under another name"]);
    for stranger in [&b"SQLite format 3\0"[..], &[0; 72]] {
        let stranger = [stranger, &[1; 100]].concat();
        told(&parse(&stranger, &KEY, 1), &["does not begin as a segment"]);
    }
    let mut newer = bytes;
    newer[7] = 2;
    told(&parse(&newer, &KEY, 1), &["another version"]);
}

#[test]
fn what_lies_behind_a_hole_is_found_again() {
    let (bytes, starts) = segment();
    for from in starts[1]..starts[2] {
        // Bytes taken out of the second block, and bytes put in.
        let cut = [&bytes[..from], &bytes[starts[2] - (starts[2] - from) / 2..]].concat();
        let parsed = read(&cut);
        assert_eq!(
            parsed.records,
            if cut == bytes { of(&[0, 1, 2]) } else { of(&[0, 2]) }
        );
        let longer = [&bytes[..from], &[0xaa; 70_000], &bytes[from..]].concat();
        let parsed = read(&longer);
        let expected = if from == starts[1] {
            of(&[0, 1, 2])
        } else {
            of(&[0, 2])
        };
        assert_eq!(parsed.records, expected, "from {from}");
        assert!(!parsed.troubles.is_empty());
    }
}

#[derive(Clone, Debug)]
enum Edit {
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index, usize),
    Insert(prop::sample::Index, Vec<u8>),
    Double(prop::sample::Index, prop::sample::Index, usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let place = any::<prop::sample::Index>;
    prop_oneof![
        (place(), 1..=255_u8).prop_map(|(at, with)| Edit::Flip(at, with)),
        (place(), 1..200_usize).prop_map(|(at, length)| Edit::Cut(at, length)),
        (place(), prop::collection::vec(any::<u8>(), 1..200)).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        (place(), place(), 1..300_usize).prop_map(|(from, to, length)| Edit::Double(from, to, length)),
    ]
}

fn change(bytes: &mut Vec<u8>, edit: &Edit) {
    if bytes.is_empty() {
        return;
    }
    let length = bytes.len();
    let until = |at: usize, count: usize| (at + count).min(length);
    match edit {
        Edit::Flip(at, with) => bytes[at.index(length)] ^= with,
        Edit::Cut(at, count) => {
            let at = at.index(length);
            bytes.drain(at..until(at, *count));
        }
        Edit::Insert(at, inserted) => {
            let at = at.index(length);
            bytes.splice(at..at, inserted.iter().copied());
        }
        Edit::Double(from, to, count) => {
            let (from, to) = (from.index(length), to.index(length));
            let doubled = bytes[from..until(from, *count)].to_vec();
            bytes.splice(to..to, doubled);
        }
    }
}

proptest! {
    #[test]
    fn nothing_is_read_that_was_not_written(edits in prop::collection::vec(edit(), 1..6)) {
        let (mut bytes, _) = segment();
        let before = bytes.clone();
        for edit in &edits {
            change(&mut bytes, edit);
        }
        let parsed = read(&bytes);
        // Whole blocks, each at most once and in their order.
        let mut rest = parsed.records.as_slice();
        for block in blocks() {
            rest = rest.strip_prefix(block.as_slice()).unwrap_or(rest);
        }
        prop_assert_eq!(rest, &[]);
        if bytes == before {
            prop_assert!(parsed.troubles.is_empty());
        }
    }

    #[test]
    fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..2_000), head in any::<bool>()) {
        let (segment, _) = segment();
        let head = if head { &segment[..SEGMENT_HEAD] } else { &[] };
        prop_assert_eq!(read(&[head, &bytes].concat()).records, []);
    }
}
