//! What a reader sees of a journal.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::support::{Home, Line, line, read, read_whole, write};
use crate::journal::{Error, Reader, Trouble};

fn times(home: &Home, since: u64) -> Vec<u64> {
    let (records, notes) = read(&home.open(), since);
    assert_eq!(notes, []);
    records.iter().map(|record| record.at).collect()
}

#[test]
fn only_what_is_late_enough_is_read_and_counted() {
    let home = Home::new();
    for segment in 0..3_u64 {
        let at = segment * 100;
        home.write(&[
            &[line(at + 1, "a"), line(at + 2, "b")],
            &[line(at + 11, "c"), line(at + 12, "d"), line(at + 13, "e")],
        ]);
    }
    let all = [1, 2, 11, 12, 13, 101, 102, 111, 112, 113, 201, 202, 211, 212, 213];
    assert_eq!(times(&home, 0), all);
    assert_eq!(times(&home, 112), all[8..]);
    assert_eq!(times(&home, 213), [213]);
    assert!(times(&home, 214).is_empty());
    let reader = home.open();
    assert_eq!(reader.span(), Some((1, 213)));
    assert_eq!(reader.segments(), 3);
    // Whole blocks count.
    assert_eq!([0, 14, 112, 214].map(|since| reader.count(since)), [15, 10, 8, 0]);
}

#[test]
fn blocks_that_overlap_in_time_are_merged() {
    let home = Home::new();
    let writer = home.writer();
    // Each block reaches into the next ones, as where one call takes longer than many others.
    for block in 0..50_u64 {
        let late: Vec<Line> = (0..20)
            .map(|number| line((block * 20 + number) ^ 0b11_1111, "x"))
            .collect();
        write(&writer, &[&late]);
    }
    drop(writer);
    let times = times(&home, 0);
    assert_eq!(times.len(), 1_000);
    assert!(times.is_sorted());
}

#[test]
fn a_clock_that_was_put_back_costs_the_order_and_nothing_else() {
    let home = Home::new();
    let writer = home.writer();
    for block in 0..100 {
        write(&writer, &[&[line(1_000 + block, "x"), line(900 - block, "y")]]);
    }
    drop(writer);
    let mut times = times(&home, 0);
    times.sort_unstable();
    let expected: Vec<_> = (801..=900).chain(1_000..1_100).collect();
    assert_eq!(times, expected);
}

#[test]
fn where_there_is_no_journal_that_is_said() {
    let home = Home::new();
    let missing = Reader::open(&home.directory());
    assert!(matches!(missing, Err(Error::Missing(_))));
    let why = missing.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(why.contains("enabled = true"), "{why}");
    // A directory without a journal is none either.
    assert!(matches!(Reader::open(home.data.path()), Err(Error::Missing(_))));
    drop(home.writer());
    assert_eq!(read_whole(&home.directory()), [], "an empty one is one");
    assert_eq!(home.open().span(), None);
}

#[test]
fn a_segment_that_is_deleted_while_it_is_read_is_told_once() {
    let home = Home::new();
    home.write(&[&[line(1, "a")], &[line(2, "b"), line(3, "c")], &[line(4, "d")]]);
    home.write(&[&[line(5, "e")]]);
    let reader = home.open();
    fs::remove_file(home.segment(1)).unwrap();
    let (records, notes) = read(&reader, 2);
    assert_eq!(records, [line(5, "e").0]);
    let troubles: Vec<_> = notes.iter().map(|note| note.trouble.clone()).collect();
    assert_eq!(troubles, [Trouble::Removed(3)]);
    assert!(troubles[0].is_ordinary());
}

#[test]
fn damage_is_told_with_its_file_and_offset_and_read_past() {
    let home = Home::new();
    home.write(&[&[line(1, "a")], &[line(2, "b")], &[line(3, "c")]]);
    let path = home.segment(1);
    let mut bytes = fs::read(&path).unwrap();
    // A block of one byte: 56 of header, 12 of record, 1, and a tag of 16.
    let second = 72 + 85;
    bytes[second + 60] ^= 1;
    fs::write(&path, bytes).unwrap();
    let reader = home.open();
    assert_eq!(reader.notes(), [], "its header is sound");
    let (records, notes) = read(&reader, 0);
    assert_eq!(records, [line(1, "a").0, line(3, "c").0]);
    assert_eq!(notes.len(), 1);
    assert!(!notes[0].trouble.is_ordinary());
    assert_eq!(
        notes[0].to_string(),
        format!(
            "{} at byte {second}: 85 bytes are not what was written, and are passed over",
            path.display()
        )
    );
}

#[test]
fn whoever_reads_while_it_is_written_sees_whole_records_and_never_less_than_before() {
    let home = Home::new();
    let writer = Arc::new(home.writer());
    let done = Arc::new(AtomicBool::new(false));
    let pusher = {
        let (writer, done) = (Arc::clone(&writer), Arc::clone(&done));
        std::thread::spawn(move || {
            for at in 0..20_000_u64 {
                writer.push(line(at, at.to_string()));
                if at % 1_000 == 0 {
                    writer.flush();
                }
            }
            writer.flush();
            done.store(true, Ordering::Release);
        })
    };
    let mut before = 0;
    loop {
        let last = done.load(Ordering::Acquire);
        let (records, notes) = read(&home.open(), 0);
        assert!(notes.iter().all(|note| note.trouble.is_ordinary()), "{notes:?}");
        for (at, record) in (0..).zip(&records) {
            assert_eq!((record.at, &record.bytes), (at, &at.to_string().into_bytes()));
        }
        assert!(records.len() >= before);
        before = records.len();
        if last {
            break;
        }
    }
    pusher.join().unwrap();
    assert_eq!(before, 20_000);
}
