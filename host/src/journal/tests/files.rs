//! The files: whose they are, what they give away, and what a killed process leaves behind.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use super::support::{Home, ON, line, read, segments, write};
use crate::journal::{Error, KeyError, Reader, Trouble, Writer};
use crate::time::ManualClock;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn everything_is_its_owners_alone() {
    let home = Home::new();
    home.write(&[&[line(1, "a")]]);
    assert_eq!(mode(&home.directory()), 0o700);
    for file in fs::read_dir(home.directory()).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
}

#[test]
fn a_key_that_others_may_read_is_refused_with_what_to_do() {
    let home = Home::new();
    home.write(&[&[line(1, "a")]]);
    let key = home.directory().join("key");
    fs::set_permissions(&key, Permissions::from_mode(0o640)).unwrap();
    let error = Reader::open(&home.directory()).err().unwrap();
    assert!(matches!(error, Error::Key(KeyError::Exposed { mode: 0o640, .. })));
    assert!(error.to_string().contains("chmod go= "), "{error}");
    let writer = home.off();
    assert!(writer.apply(&ON).is_err() && !writer.is_on());
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    writer.apply(&ON).unwrap();
}

#[test]
fn only_one_process_writes_and_it_says_so() {
    let home = Home::new();
    let first = home.writer();
    let second = home.off();
    assert!(matches!(second.apply(&ON), Err(Error::InUse(_))));
    assert!(!second.is_on());
    drop(first);
    second.apply(&ON).unwrap();
}

#[test]
fn nothing_can_be_seen_without_the_key() {
    let home = Home::new();
    let text = "nightly backup of acme by ann";
    home.write(&[&[line(0x0102_0304_0506_0708, text.repeat(10))]]);
    let key = fs::read(home.directory().join("key")).unwrap();
    for (name, _) in segments(&home.directory()) {
        let bytes = fs::read(home.directory().join(name)).unwrap();
        for shown in [
            &text.as_bytes()[..8],
            &0x0102_0304_0506_0708_u64.to_le_bytes(),
            &key[21..37],
        ] {
            assert!(!bytes.windows(shown.len()).any(|window| window == shown));
        }
    }
    // A key of its own is another one.
    let other = Home::new();
    other.write(&[&[line(1, "x")]]);
    let refused = Reader::open_with(&home.directory(), &other.directory().join("key"));
    assert!(matches!(refused, Err(Error::OtherKey { .. })));
    // And the right one opens it from wherever it is kept.
    let kept = home.data.path().join("kept");
    fs::rename(home.directory().join("key"), &kept).unwrap();
    assert_eq!(
        read(&Reader::open_with(&home.directory(), &kept).unwrap(), 0)
            .0
            .len(),
        1
    );
    let missing = Reader::open(&home.directory());
    assert!(matches!(missing, Err(Error::Key(KeyError::Missing(_)))));
}

#[test]
fn without_its_key_old_records_are_lost_and_new_ones_are_kept() {
    let home = Home::new();
    home.write(&[&[line(1, "a")]]);
    let key = home.directory().join("key");
    fs::remove_file(&key).unwrap();
    home.write(&[&[line(2, "b")]]);
    let (records, notes) = read(&home.open(), 0);
    assert_eq!(records, [line(2, "b").0]);
    assert_eq!(notes.len(), 1);
    assert_eq!(notes[0].trouble, Trouble::OtherKey);
    assert_eq!(notes[0].path, home.segment(1));

    for damaged in ["", "patrol-journal-key-1:\n", &"x".repeat(65)] {
        fs::write(&key, damaged).unwrap();
        let refused = Reader::open(&home.directory());
        assert!(matches!(refused, Err(Error::Key(KeyError::Damaged { .. }))));
        let refused = home.off().apply(&ON);
        assert!(
            matches!(refused, Err(Error::Key(KeyError::Damaged { .. }))),
            "none is made in its place"
        );
    }
}

#[test]
fn what_is_not_the_journals_is_left_alone_and_named() {
    let home = Home::new();
    home.write(&[&[line(1, "a")]]);
    let foreign = [
        "0000000001.journal.bak",
        "1.journal",
        "00000000001.journal",
        "notes.txt",
    ];
    for name in foreign {
        fs::write(home.directory().join(name), "mine").unwrap();
    }
    fs::create_dir(home.directory().join("0000000009.journal")).unwrap();
    let outside = home.data.path().join("outside");
    fs::write(&outside, "mine").unwrap();
    std::os::unix::fs::symlink(&outside, home.directory().join("0000000008.journal")).unwrap();
    home.write(&[&[line(2, "b")]]);
    home.clock.set(u64::MAX / 2);
    drop(home.writer());
    let (records, notes) = read(&home.open(), 0);
    assert_eq!(records, [], "all are too old");
    assert_eq!(notes.len(), foreign.len() + 2);
    for note in &notes {
        assert_eq!(note.trouble, Trouble::Foreign);
        assert!(note.path.exists(), "{note}");
    }
    assert_eq!(fs::read_to_string(outside).unwrap(), "mine");
}

#[test]
fn segments_that_are_missing_renamed_or_cut_are_named() {
    let home = Home::new();
    for at in 1..7 {
        home.write(&[&[line(at, "x")]]);
    }
    let look = || {
        let (records, notes) = read(&home.open(), 0);
        let times: Vec<_> = records.iter().map(|record| record.at).collect();
        let troubles: Vec<_> = notes.into_iter().map(|note| note.trouble).collect();
        (times, troubles)
    };
    // The oldest may go: that is how room is made.
    fs::remove_file(home.segment(1)).unwrap();
    assert_eq!(look(), (vec![2, 3, 4, 5, 6], vec![]));
    fs::remove_file(home.segment(3)).unwrap();
    fs::remove_file(home.segment(4)).unwrap();
    assert_eq!(look(), (vec![2, 5, 6], vec![Trouble::MissingSegments(3, 2)]));
    fs::rename(home.segment(5), home.segment(4)).unwrap();
    let told = [
        Trouble::MissingSegments(3, 1),
        Trouble::Misnamed(5),
        Trouble::MissingSegments(5, 1),
    ];
    assert_eq!(look(), (vec![2, 6], told.to_vec()));
    fs::rename(home.segment(4), home.segment(5)).unwrap();
    fs::copy(home.segment(6), home.segment(3)).unwrap();
    fs::copy(home.segment(5), home.segment(4)).unwrap();
    let told = [Trouble::Misnamed(6), Trouble::Misnamed(5)];
    assert_eq!(look(), (vec![2, 5, 6], told.to_vec()));
    fs::remove_file(home.segment(3)).unwrap();
    fs::remove_file(home.segment(4)).unwrap();
    // Without the block that closes it, it may have had more.
    let bytes = fs::read(home.segment(5)).unwrap();
    fs::write(home.segment(5), &bytes[..bytes.len() - 72]).unwrap();
    let told = [Trouble::MissingSegments(3, 2), Trouble::Unclosed];
    assert_eq!(look(), (vec![2, 5, 6], told.to_vec()));
}

#[test]
fn a_copy_of_the_directory_is_a_journal() {
    let home = Home::new();
    let writer = home.writer();
    write(&writer, &[&[line(1, "a")], &[line(2, "b")]]);
    let copy = home.data.path().join("copy");
    fs::create_dir(&copy).unwrap();
    for file in fs::read_dir(home.directory()).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.join(file.file_name())).unwrap();
    }
    // As if it had been copied while the second block was written.
    let segment = copy.join("0000000001.journal");
    let bytes = fs::read(&segment).unwrap();
    fs::write(&segment, &bytes[..bytes.len() - 1]).unwrap();
    let (records, notes) = read(&Reader::open(&copy).unwrap(), 0);
    assert_eq!(records, [line(1, "a").0]);
    assert_eq!(notes.len(), 1);
    assert_eq!(notes[0].trouble, Trouble::Torn(84));
}

/// Where the process that is started by a test writes; without it, the test that is this process does nothing.
const CHILD: &str = "PATROL_TEST_JOURNAL";

/// Starts this test binary again as a process that writes to a journal, behind a line of shell.
fn child(data: &Path, before: &str) -> std::process::Child {
    Command::new("sh")
        .arg("-c")
        .arg(format!("{before} exec \"$0\" \"$@\""))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "journal::tests::files::writes_until_it_is_killed"])
        .args(["--nocapture", "--test-threads=1"])
        .env(CHILD, data)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
#[allow(clippy::print_stdout, reason = "it is how the parent knows")]
fn writes_until_it_is_killed() {
    let Some(data) = std::env::var_os(CHILD) else {
        return;
    };
    let writer = Writer::new(Path::new(&data), Arc::new(ManualClock::at(0)));
    writer.apply(&ON).unwrap();
    for at in 0.. {
        writer.push(line(at, at.to_string().repeat(50)));
        if at % 97 == 96 {
            writer.flush();
            let stats = writer.stats();
            println!("\nkept {} {}", stats.appended, stats.dropped);
        }
    }
}

/// Lets a process write until it has told so many times how much is kept, and kills it. What it told last.
fn write_and_kill(data: &Path, before: &str, times: usize) -> (usize, usize) {
    let mut child = child(data, before);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let told = lines
        .map(Result::unwrap)
        .filter_map(|line| {
            let (kept, dropped) = line.strip_prefix("kept ")?.split_once(' ')?;
            Some((kept.parse().unwrap(), dropped.parse().unwrap()))
        })
        .nth(times)
        .unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    told
}

#[test]
fn what_was_sealed_survives_kill_9() {
    let home = Home::new();
    let mut kept = 0;
    for round in 0..12_usize {
        let (more, dropped) = write_and_kill(home.data.path(), "", 3 * round);
        assert_eq!(dropped, 0);
        kept += more;
        let (records, notes) = read(&home.open(), 0);
        assert!(records.len() >= kept, "round {round}");
        kept = records.len();
        for note in notes {
            assert!(note.trouble.is_ordinary(), "round {round}: {note}");
        }
    }
    // Each of them wrote from 0 on, without a gap.
    let (records, _) = read(&home.open(), 0);
    let mut of = vec![0; 1 + records.iter().map(|record| record.at as usize).max().unwrap()];
    for record in &records {
        assert_eq!(record.bytes, record.at.to_string().repeat(50).into_bytes());
        of[record.at as usize] += 1;
    }
    assert_eq!(of[0], 12);
    assert!(of.is_sorted_by(|before, after| before >= after));
}

#[test]
fn a_block_that_could_only_be_written_in_part_is_written_anew_elsewhere() {
    let home = Home::new();
    // No file of this process may have more than 50 KiB: the write that would goes half way, and fails.
    let (kept, dropped) = write_and_kill(home.data.path(), "trap '' XFSZ; ulimit -f 100;", 20);
    assert!(kept > 1_900 && dropped == 0, "{kept} {dropped}");
    let segments = segments(&home.directory());
    assert!(segments.len() > 5, "{segments:?}");
    assert!(segments.iter().all(|(_, size)| *size <= 100 * 512));
    let (records, notes) = read(&home.open(), 0);
    assert!(
        notes.iter().all(|note| note.trouble == Trouble::Unclosed),
        "{notes:?}"
    );
    assert!(records.len() >= kept);
    for (at, record) in (0..).zip(&records) {
        assert_eq!(record.at, at);
    }
}
