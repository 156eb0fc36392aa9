//! Records on their way into the files, and what becomes of those that do not get there.

use std::fs;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::support::{Home, Line, OFF, ON, line, read, read_whole, segments, write};
use crate::journal::{Encode, LARGEST_RECORD, Record, Stats, Unwritable, Writer};
use crate::time::ManualClock;

#[test]
fn what_is_pushed_is_read_in_the_order_of_time() {
    let home = Home::new();
    home.write(&[
        &[line(10, "a"), line(12, "b"), line(11, ""), line(11, "c")],
        &[line(9, "d"), line(12, "e")],
    ]);
    let texts: Vec<_> = read_whole(&home.directory())
        .into_iter()
        .map(|Record { at, bytes }| (at, String::from_utf8(bytes).unwrap()))
        .collect();
    let expected = [(9, "d"), (10, "a"), (11, ""), (11, "c"), (12, "b"), (12, "e")];
    assert_eq!(texts, expected.map(|(at, text)| (at, text.to_owned())));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn everything_comes_back(
        blocks in prop::collection::vec(
            prop::collection::vec((0..50_u64, prop::collection::vec(any::<u8>(), 0..4_000)), 0..60),
            0..5,
        )
    ) {
        let home = Home::new();
        let blocks: Vec<Vec<Line>> = blocks
            .into_iter()
            .map(|block| block.into_iter().map(|(at, bytes)| line(at, bytes)).collect())
            .collect();
        let mut expected: Vec<Record> = blocks.iter().flatten().map(|line| line.0.clone()).collect();
        expected.sort_by_key(|record| record.at);
        let slices: Vec<_> = blocks.iter().map(Vec::as_slice).collect();
        home.write(&slices);
        prop_assert_eq!(home.open().count(0), expected.len() as u64);
        prop_assert_eq!(read_whole(&home.directory()), expected);
    }
}

#[test]
fn nothing_is_made_while_it_is_off() {
    let home = Home::new();
    let writer = home.off();
    writer.apply(&OFF).unwrap();
    writer.push(line(1, "a"));
    writer.flush();
    assert!(!writer.is_on());
    assert_eq!(writer.stats(), Stats::default());
    drop(writer);
    assert_eq!(fs::read_dir(home.data.path()).unwrap().count(), 0);
}

#[test]
fn it_is_turned_on_and_off_while_it_runs() {
    let home = Home::new();
    let writer = home.writer();
    assert!(writer.is_on());
    writer.push(line(1, "a"));
    writer.apply(&OFF).unwrap();
    assert_eq!(
        read_whole(&home.directory()),
        [line(1, "a").0],
        "it is written down before"
    );
    writer.push(line(2, "b"));
    // Another one may write in the meantime.
    write(&home.writer(), &[&[line(3, "c")]]);
    writer.apply(&ON).unwrap();
    writer.push(line(4, "d"));
    writer.apply(&ON).unwrap();
    drop(writer);
    let expected = [line(1, "a").0, line(3, "c").0, line(4, "d").0];
    assert_eq!(read_whole(&home.directory()), expected);
}

#[test]
fn an_orderly_end_loses_nothing() {
    let home = Home::new();
    let writer = Arc::new(home.writer());
    let threads: Vec<_> = (0..4_u64)
        .map(|thread| {
            let writer = Arc::clone(&writer);
            std::thread::spawn(move || {
                for number in 0..1_000_u64 {
                    writer.push(line(number, format!("{thread}/{number}")));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    drop(writer);
    let mut records = read_whole(&home.directory());
    assert!(records.is_sorted_by_key(|record| record.at));
    records.dedup();
    assert_eq!(records.len(), 4_000);
}

#[test]
fn a_record_is_in_its_file_soon_without_anybody_asking() {
    let home = Home::new();
    let writer = home.writer();
    writer.push(line(1, "a"));
    let begun = Instant::now();
    while writer.stats().appended == 0 {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(read_whole(&home.directory()), [line(1, "a").0]);
}

#[test]
fn what_is_too_large_or_unwritable_is_dropped_and_counted() {
    let home = Home::new();
    let writer = home.writer();
    let largest = vec![b'x'; LARGEST_RECORD];
    write(
        &writer,
        &[&[
            line(1, vec![b'x'; LARGEST_RECORD + 1]),
            line(2, "unwritable"),
            line(3, &largest),
            line(4, "a"),
        ]],
    );
    let stats = writer.stats();
    assert_eq!((stats.appended, stats.dropped, stats.overrun), (2, 2, 0));
    drop(writer);
    assert_eq!(
        read_whole(&home.directory()),
        [line(3, largest).0, line(4, "a").0]
    );
}

#[test]
fn the_counters_tell_what_there_is() {
    let home = Home::new();
    home.write(&[&[line(700, "before")]]);
    let writer = home.writer();
    let stats = writer.stats();
    assert_eq!((stats.segments, stats.oldest, stats.appended), (1, Some(700), 0));
    write(&writer, &[&[line(800, "a"), line(650, "b")]]);
    let stats = writer.stats();
    let on_disk: u64 = segments(&home.directory()).iter().map(|(_, size)| size).sum();
    assert_eq!((stats.segments, stats.bytes), (2, on_disk));
    assert_eq!((stats.oldest, stats.appended, stats.dropped), (Some(650), 2, 0));
    assert!(stats.on && !stats.failing);
    writer.apply(&OFF).unwrap();
    assert!(!writer.stats().on);
}

/// A record that takes as long to be written down as the test wants.
struct Slow {
    wait: Arc<Mutex<Receiver<()>>>,
    size: usize,
}

impl Encode for Slow {
    fn at(&self) -> u64 {
        1
    }

    fn size(&self) -> usize {
        self.size
    }

    fn encode(&self, _: &mut Vec<u8>) -> Result<(), Unwritable> {
        // Without a sender, at once.
        let _ = self.wait.lock().unwrap().recv();
        Ok(())
    }
}

#[test]
fn nobody_waits_where_the_queue_is_full() {
    let home = Home::new();
    let clock = Arc::new(ManualClock::at(1));
    let writer = Writer::new(home.data.path(), clock);
    writer.apply(&ON).unwrap();
    writer.flush();
    let (go, wait): (Sender<()>, _) = channel();
    let wait = Arc::new(Mutex::new(wait));
    // The queue, and one that has been taken out of it.
    for _ in 0..10_000 {
        writer.push(Slow {
            wait: Arc::clone(&wait),
            size: 0,
        });
    }
    let stats = writer.stats();
    assert!(
        (10_000 - 8_193..=10_000 - 8_192).contains(&stats.dropped),
        "{stats:?}"
    );
    assert_eq!(stats.dropped, stats.overrun);
    drop(go);
    writer.flush();
    let after = writer.stats();
    assert_eq!(after.appended + after.dropped, 10_000);
    assert_eq!(after.dropped, stats.dropped);
}

#[test]
fn what_waits_takes_no_more_memory_than_it_may() {
    let home = Home::new();
    let writer = Writer::new(home.data.path(), Arc::new(ManualClock::at(1)));
    writer.apply(&ON).unwrap();
    writer.flush();
    let (go, wait): (Sender<()>, _) = channel();
    let wait = Arc::new(Mutex::new(wait));
    let push = |count: u32| {
        for _ in 0..count {
            writer.push(Slow {
                wait: Arc::clone(&wait),
                size: 1 << 20,
            });
        }
        writer.stats().overrun
    };
    // 64 of them have room, and one that has been taken out of the queue.
    let overrun = push(100);
    assert!((35..=36).contains(&overrun), "{overrun}");
    drop(go);
    writer.flush();
    // All of it is free again.
    assert_eq!(push(64), overrun);
    writer.flush();
}

#[test]
fn a_disk_that_fails_costs_records_until_it_works_again() {
    let home = Home::new();
    let writer = home.writer();
    write(&writer, &[&[line(1, "a")]]);
    // Nobody can write into a directory that is a file, not even root.
    let aside = home.data.path().join("aside");
    fs::rename(home.directory(), &aside).unwrap();
    fs::remove_file(aside.join("0000000001.journal")).unwrap();
    fs::write(home.directory(), "in the way").unwrap();
    for at in 2..5 {
        write(&writer, &[&[line(at, "b")]]);
    }
    let stats = writer.stats();
    assert!(stats.failing, "{stats:?}");
    assert_eq!((stats.appended, stats.dropped, stats.overrun), (1, 3, 0));

    fs::remove_file(home.directory()).unwrap();
    fs::rename(&aside, home.directory()).unwrap();
    let begun = Instant::now();
    while writer.stats().failing {
        assert!(begun.elapsed() < Duration::from_secs(60));
        write(&writer, &[&[line(9, "c")]]);
    }
    let stats = writer.stats();
    assert_eq!(stats.appended, 2);
    drop(writer);
    let (records, _) = read(&home.open(), 0);
    assert_eq!(records, [line(9, "c").0]);
}

#[test]
fn a_journal_that_is_removed_is_begun_anew_without_losing_a_record() {
    let home = Home::new();
    let writer = home.writer();
    write(&writer, &[&[line(1, "a")]]);
    fs::remove_dir_all(home.directory()).unwrap();
    write(&writer, &[&[line(2, "b")]]);
    assert_eq!((writer.stats().dropped, writer.stats().segments), (0, 1));
    drop(writer);
    assert_eq!(read_whole(&home.directory()), [line(2, "b").0]);
}

/// By hand: `cargo nextest run --workspace --lib measures --run-ignored only --no-capture`.
#[test]
#[ignore = "it measures, and asserts nothing of time"]
#[allow(clippy::print_stdout, reason = "it is what it is for")]
fn measures_what_a_push_and_a_read_cost() {
    const EACH: u64 = 1_000;
    for threads in [1_u32, 4] {
        let home = Home::new();
        let writer = Arc::new(home.writer());
        let mut spent = Duration::ZERO;
        for _ in 0..200 {
            let pushers: Vec<_> = (0..threads)
                .map(|_| {
                    let writer = Arc::clone(&writer);
                    std::thread::spawn(move || {
                        let records: Vec<_> = (0..EACH).map(|at| line(at, [7; 300])).collect();
                        let begun = Instant::now();
                        for record in records {
                            writer.push(record);
                        }
                        begun.elapsed()
                    })
                })
                .collect();
            spent += pushers
                .into_iter()
                .map(|pusher| pusher.join().unwrap())
                .sum::<Duration>();
            writer.flush();
        }
        let pushes = 200 * EACH * u64::from(threads);
        let stats = writer.stats();
        println!(
            "{threads} threads: {} ns a push, {} of {pushes} dropped",
            spent.as_nanos() / u128::from(pushes),
            stats.dropped
        );
    }
    let home = Home::new();
    let writer = home.writer_with(&crate::journal::Settings {
        max_size: 1 << 30,
        ..ON
    });
    for at in 0..1_000_000_u64 {
        writer.push(line(at, [7; 300]));
        if at % 4_000 == 0 {
            writer.flush();
        }
    }
    drop(writer);
    let begun = Instant::now();
    let reader = home.open();
    let opened = begun.elapsed();
    assert_eq!(reader.count(0), 1_000_000);
    assert_eq!(reader.records(0).filter(Result::is_ok).count(), 1_000_000);
    println!(
        "a million records: opened in {opened:?}, read in {:?}",
        begun.elapsed()
    );
}
