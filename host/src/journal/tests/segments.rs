//! How much is kept.

use super::support::{DAY, Home, Line, MIB, OFF, ON, line, read_whole, segments, write};
use crate::journal::Settings;

const SMALL: Settings = Settings {
    max_size: 4 * MIB,
    ..ON
};
/// A block of the size at which blocks are sealed, and what is around it.
const BLOCK: u64 = 64 * 1_024;

fn on_disk(home: &Home) -> u64 {
    segments(&home.directory()).iter().map(|(_, size)| size).sum()
}

/// A record of 16 KiB: four of them are a block.
fn large(number: u64) -> Line {
    let mut bytes = vec![b'.'; 16 * 1_024];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    line(number, bytes)
}

#[test]
fn the_oldest_make_room_for_the_newest() {
    let home = Home::new();
    let writer = home.writer_with(&SMALL);
    for number in 0..1_024 {
        writer.push(large(number));
        if number % 32 == 31 {
            writer.flush();
            assert!(on_disk(&home) <= SMALL.max_size, "after {number}");
            assert_eq!(writer.stats().bytes, on_disk(&home));
        }
    }
    let stats = writer.stats();
    assert_eq!((stats.appended, stats.dropped), (1_024, 0));
    drop(writer);
    assert!(on_disk(&home) <= SMALL.max_size);
    let kept = read_whole(&home.directory());
    let numbers: Vec<_> = kept.iter().map(|record| record.at).collect();
    let oldest = numbers[0];
    assert_eq!(
        numbers,
        (oldest..1_024).collect::<Vec<_>>(),
        "the newest, without gaps"
    );
    assert_eq!(stats.oldest, Some(oldest));
    // Not much less than what is allowed: a segment of a sixteenth, and a block.
    assert!(on_disk(&home) > SMALL.max_size - SMALL.max_size / 16 - 2 * BLOCK);
    let segments = segments(&home.directory());
    assert!((15..=22).contains(&segments.len()), "{segments:?}");
}

#[test]
fn what_another_run_has_left_counts_too() {
    let home = Home::new();
    for run in 0..20 {
        let writer = home.writer_with(&SMALL);
        for number in 0..20 {
            writer.push(large(run * 20 + number));
        }
        drop(writer);
        assert!(on_disk(&home) <= SMALL.max_size, "{run}");
    }
    let kept = read_whole(&home.directory());
    assert_eq!(kept.last().map(|record| record.at), Some(399));
    assert!(kept.len() > 200 && kept.len() < 260, "{}", kept.len());
}

#[test]
fn a_smaller_limit_holds_at_once() {
    let home = Home::new();
    let writer = home.writer();
    for number in 0..512 {
        writer.push(large(number));
    }
    writer.flush();
    assert!(on_disk(&home) > 8 * MIB);
    writer.apply(&SMALL).unwrap();
    writer.flush();
    assert!(on_disk(&home) <= SMALL.max_size);
    write(&writer, &[&[large(512)]]);
    drop(writer);
    let kept = read_whole(&home.directory());
    assert_eq!(kept.last().map(|record| record.at), Some(512));
}

#[test]
fn what_is_too_old_goes() {
    let home = Home::new();
    let writer = home.writer();
    // A block each day.
    for day in 0..100 {
        home.clock.set(day * DAY);
        write(&writer, &[&[line(day * DAY, "x")]]);
    }
    drop(writer);
    let kept = read_whole(&home.directory());
    let oldest = kept[0].at / DAY;
    // A sixteenth of it is two days.
    assert!((67..=69).contains(&oldest), "{oldest}");
    assert_eq!(kept.len() as u64, 100 - oldest);
}

#[test]
fn what_is_too_old_goes_without_new_records_too() {
    let home = Home::new();
    home.clock.set(DAY);
    home.write(&[&[line(DAY, "x")]]);
    home.clock.set(40 * DAY);
    let writer = home.writer();
    writer.flush();
    assert_eq!(segments(&home.directory()), []);
    assert_eq!((writer.stats().segments, writer.stats().oldest), (0, None));
    // The one that is being written as well, where the limit is changed.
    write(&writer, &[&[line(40 * DAY, "y")]]);
    home.clock.set(50 * DAY);
    let shorter = Settings { max_age: DAY, ..ON };
    writer.apply(&shorter).unwrap();
    writer.flush();
    assert_eq!(segments(&home.directory()), []);
    writer.apply(&OFF).unwrap();
}

#[test]
fn a_number_is_never_used_again() {
    let home = Home::new();
    for at in 1..4 {
        home.write(&[&[line(at, "x")]]);
    }
    let names: Vec<_> = segments(&home.directory())
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(
        names,
        ["0000000001.journal", "0000000002.journal", "0000000003.journal"]
    );
    // Without a record there is no segment.
    drop(home.writer());
    assert_eq!(segments(&home.directory()).len(), 3);
}
