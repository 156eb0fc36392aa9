use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use crate::journal::{Encode, Note, Reader, Record, Settings, Unwritable, Writer, directory};
use crate::time::ManualClock;

/// A record that is its own bytes.
#[derive(Clone, Debug)]
pub(super) struct Line(pub(super) Record);

pub(super) fn line(at: u64, bytes: impl AsRef<[u8]>) -> Line {
    let bytes = bytes.as_ref().to_vec();
    Line(Record { at, bytes })
}

impl Encode for Line {
    fn at(&self) -> u64 {
        self.0.at
    }

    fn encode(&self, into: &mut Vec<u8>) -> Result<(), Unwritable> {
        if self.0.bytes == b"unwritable" {
            return Err(Unwritable);
        }
        into.extend_from_slice(&self.0.bytes);
        Ok(())
    }
}

/// A data directory.
pub(super) struct Home {
    pub(super) data: TempDir,
    pub(super) clock: Arc<ManualClock>,
}

pub(super) const MIB: u64 = 1 << 20;
pub(super) const DAY: u64 = 86_400_000;

pub(super) const ON: Settings = Settings {
    enabled: true,
    max_size: 256 * MIB,
    max_age: 30 * DAY,
};
pub(super) const OFF: Settings = Settings { enabled: false, ..ON };

impl Home {
    pub(super) fn new() -> Self {
        Self {
            data: tempfile::tempdir().unwrap(),
            clock: Arc::new(ManualClock::at(1_000)),
        }
    }

    pub(super) fn off(&self) -> Writer<Line> {
        Writer::new(self.data.path(), Arc::clone(&self.clock) as _)
    }

    pub(super) fn writer(&self) -> Writer<Line> {
        self.writer_with(&ON)
    }

    pub(super) fn writer_with(&self, settings: &Settings) -> Writer<Line> {
        let writer = self.off();
        writer.apply(settings).unwrap();
        writer
    }

    /// Writes these, each list as a block, and ends.
    pub(super) fn write(&self, blocks: &[&[Line]]) {
        write(&self.writer(), blocks);
    }

    pub(super) fn directory(&self) -> PathBuf {
        directory(self.data.path())
    }

    pub(super) fn segment(&self, number: u64) -> PathBuf {
        self.directory().join(format!("{number:010}.journal"))
    }

    pub(super) fn open(&self) -> Reader {
        Reader::open(&self.directory()).unwrap()
    }
}

pub(super) fn write(writer: &Writer<Line>, blocks: &[&[Line]]) {
    for block in blocks {
        for line in *block {
            writer.push(line.clone());
        }
        writer.flush();
    }
}

/// All records, and what was told instead of others.
pub(super) fn read(reader: &Reader, since: u64) -> (Vec<Record>, Vec<Note>) {
    let (mut records, mut notes) = (Vec::new(), reader.notes().to_vec());
    for record in reader.records(since) {
        match record {
            Ok(record) => records.push(record),
            Err(note) => notes.push(note),
        }
    }
    (records, notes)
}

/// All records of a journal with nothing wrong.
pub(super) fn read_whole(directory: &Path) -> Vec<Record> {
    let (records, notes) = read(&Reader::open(directory).unwrap(), 0);
    assert_eq!(notes, []);
    records
}

/// The names and sizes of the segments.
pub(super) fn segments(directory: &Path) -> Vec<(String, u64)> {
    let mut found: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                entry.metadata().unwrap().len(),
            )
        })
        .filter(|(name, _)| name.ends_with(".journal"))
        .collect();
    found.sort();
    found
}
