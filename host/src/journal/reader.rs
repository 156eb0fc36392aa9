//! Reading a journal, while it is written or from a copy.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use patrol_policy::types::Timestamp;

use super::block::record_at;
use super::error::{Error, Note, Trouble};
use super::key::{self, Key};
use super::seal::{BLOCK_HEAD, BlockHead, Sealer, TAG};
use super::walk::{Place, read_at, walk};
use super::{Record, directory};

/// Blocks that are held at the same time to give out their records in the order of time.
const WINDOW: usize = 64;
/// Notes that are kept of one look at a journal.
const NOTES: usize = 1_000;

/// A journal as it was when it was opened: all its blocks by their headers.
pub struct Reader {
    segments: Vec<Segment>,
    notes: Vec<Note>,
}

struct Segment {
    path: PathBuf,
    sealer: Sealer,
    blocks: Vec<Place>,
}

impl Reader {
    /// Opens the journal in a directory, with the key that lies in it. What is written later is not seen.
    ///
    /// # Errors
    /// Where there is no journal, its key cannot be used, or nothing in it was sealed with this key. What is wrong with
    /// single files is in [`Reader::notes`].
    pub fn open(directory: &Path) -> Result<Self, Error> {
        Self::open_with(directory, &directory.join(key::FILE))
    }

    /// As [`Reader::open`], with a key that lies elsewhere.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn open_with(directory: &Path, key_file: &Path) -> Result<Self, Error> {
        let listing = match directory::list(directory) {
            Ok(listing) => listing,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::Missing(directory.to_owned()));
            }
            Err(error) => return Err(Error::file(directory)(error)),
        };
        let key = match Key::read(key_file)? {
            Some(key) => key,
            None if listing.segments.is_empty() => return Err(Error::Missing(directory.to_owned())),
            None => return Err(super::KeyError::Missing(key_file.to_owned()).into()),
        };
        let mut reader = Self {
            segments: Vec::new(),
            notes: Vec::new(),
        };
        for path in listing.foreign {
            reader.note(path, None, Trouble::Foreign);
        }
        let newest = listing.segments.last().map(|(number, _)| *number);
        let (mut before, mut other_keys) = (None, 0_usize);
        for (number, path) in listing.segments {
            let expected = before.map_or(number, |before: u64| before.saturating_add(1));
            if let Some(missing) = number.checked_sub(expected).filter(|missing| *missing > 0) {
                let trouble = Trouble::MissingSegments(expected, missing);
                reader.note(directory.to_owned(), None, trouble);
            }
            before = Some(number);
            let walked = match File::open(&path) {
                Ok(mut file) => walk(&mut file, number, &key),
                // It was the oldest, and has made room since.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => Err(Trouble::Unreadable(error.to_string())),
            };
            match walked {
                Ok(segment) => {
                    for (offset, trouble) in segment.troubles {
                        reader.note(path.clone(), Some(offset), trouble);
                    }
                    if !segment.closed && newest != Some(number) {
                        reader.note(path.clone(), None, Trouble::Unclosed);
                    }
                    reader.segments.push(Segment {
                        path,
                        sealer: segment.sealer,
                        blocks: segment.blocks,
                    });
                }
                Err(trouble) => {
                    if trouble == Trouble::OtherKey {
                        other_keys = other_keys.saturating_add(1);
                    }
                    reader.note(path, Some(0), trouble);
                }
            }
        }
        if reader.segments.is_empty() && other_keys > 0 {
            return Err(Error::OtherKey {
                directory: directory.to_owned(),
                key: key_file.to_owned(),
            });
        }
        Ok(reader)
    }

    /// What is wrong with the journal as far as its headers tell; the first thousand such things.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// How many records there are in blocks with something at `since` or later, ms: what [`Reader::records`] gives and
    /// up to two blocks more.
    #[must_use]
    pub fn count(&self, since: Timestamp) -> u64 {
        self.heads()
            .filter(|head| head.last >= since)
            .fold(0, |sum, head| sum.saturating_add(head.records.into()))
    }

    /// The times of the earliest and the latest record, ms; none where there is no record.
    #[must_use]
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let first = self.heads().map(|head| head.first).min()?;
        let last = self.heads().map(|head| head.last).max()?;
        Some((first, last))
    }

    /// How many segments can be read.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// The records at `since` or later, ms, in the order of their times; of the same time, as they were pushed. Each
    /// thing that cannot be read is given out as a note in its place, and does not end it.
    ///
    /// Blocks with nothing so late are not read, and no more than 64 others are held. The order would only suffer
    /// where more than that overlap in time, as after a clock was put back.
    pub fn records(&self, since: Timestamp) -> Records<'_> {
        let mut plan: Vec<_> = self
            .segments
            .iter()
            .flat_map(|segment| segment.blocks.iter().map(move |place| (segment, *place)))
            .filter(|(_, place)| place.head.last >= since)
            .map(|(segment, place)| Planned {
                segment,
                place,
                earliest: place.head.first,
            })
            .collect();
        // How early a record may be in this block or any later one.
        let mut earliest = Timestamp::MAX;
        for planned in plan.iter_mut().rev() {
            earliest = earliest.min(planned.earliest);
            planned.earliest = earliest;
        }
        plan.reverse();
        Records {
            since,
            waiting: plan,
            held: Vec::new(),
            loaded: 0,
            open: None,
        }
    }

    fn heads(&self) -> impl Iterator<Item = &BlockHead> {
        let blocks = self.segments.iter().flat_map(|segment| &segment.blocks);
        blocks.map(|place| &place.head)
    }

    fn note(&mut self, path: PathBuf, offset: Option<u64>, trouble: Trouble) {
        if self.notes.len() < NOTES {
            self.notes.push(Note {
                path,
                offset,
                trouble,
            });
        }
    }
}

/// A block that is still to be read.
struct Planned<'r> {
    segment: &'r Segment,
    place: Place,
    /// The time of the earliest record in it and those behind it.
    earliest: Timestamp,
}

/// A block that has been read.
struct Held {
    /// Its place among the blocks.
    order: u64,
    /// The block, opened in its place.
    bytes: Vec<u8>,
    /// Where its records end in it.
    end: usize,
    /// Its next record: when it was, and where it is.
    next: (Timestamp, Range<usize>),
}

impl Held {
    /// Goes on to the record that begins at `from`; false where there is none.
    fn go_to(&mut self, from: usize) -> bool {
        let next = self
            .bytes
            .get(..self.end)
            .and_then(|bytes| record_at(bytes, from));
        let found = next.is_some();
        if let Some(next) = next {
            self.next = next;
        }
        found
    }
}

/// The records of a journal, one after the other; see [`Reader::records`].
#[must_use = "it reads nothing unless it is asked for the next record"]
pub struct Records<'r> {
    since: Timestamp,
    /// The next one last.
    waiting: Vec<Planned<'r>>,
    held: Vec<Held>,
    /// How many blocks were loaded.
    loaded: u64,
    /// The segment that was read last.
    open: Option<(&'r Path, File)>,
}

impl Iterator for Records<'_> {
    type Item = Result<Record, Note>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let places = self.held.iter().enumerate();
            let first = places.min_by_key(|(_, held)| (held.next.0, held.order));
            let first = first.map(|(index, held)| (index, held.next.0));
            // Whatever is still on disk and earlier comes first.
            if self.held.len() < WINDOW
                && let Some(planned) = self
                    .waiting
                    .pop_if(|planned| first.is_none_or(|(_, at)| planned.earliest < at))
            {
                match self.load(&planned) {
                    Ok(()) => continue,
                    Err(note) => return Some(Err(note)),
                }
            }
            let (index, at) = first?;
            let held = self.held.get_mut(index)?;
            let place = held.next.1.clone();
            let bytes = held.bytes.get(place.clone()).unwrap_or_default().to_vec();
            if !held.go_to(place.end) {
                self.held.swap_remove(index);
            }
            if at >= self.since {
                return Some(Ok(Record { at, bytes }));
            }
        }
    }
}

impl<'r> Records<'r> {
    /// Reads a block.
    fn load(&mut self, planned: &Planned<'r>) -> Result<(), Note> {
        let Planned { segment, place, .. } = planned;
        let order = self.loaded;
        self.loaded = order.saturating_add(1);
        let note = |trouble| Note {
            path: segment.path.clone(),
            offset: Some(place.offset),
            trouble,
        };
        let size = place.head.size();
        let mut bytes = vec![0; usize::try_from(size).map_err(|_| note(Trouble::Damaged(size)))?];
        let length = match self.read(segment, place.offset, &mut bytes) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let behind = self.waiting.iter();
                let lost = behind
                    .filter(|waiting| std::ptr::eq(waiting.segment, *segment))
                    .fold(place.head.records.into(), |sum: u64, waiting| {
                        sum.saturating_add(waiting.place.head.records.into())
                    });
                self.waiting
                    .retain(|waiting| !std::ptr::eq(waiting.segment, *segment));
                return Err(note(Trouble::Removed(lost)));
            }
            Err(error) => return Err(note(Trouble::Unreadable(error.to_string()))),
        };
        let opened = bytes
            .get_mut(..length)
            .and_then(|bytes| segment.sealer.open_block(bytes))
            .is_some_and(|(head, _)| head == place.head);
        if !opened {
            return Err(note(Trouble::Damaged(size)));
        }
        let mut held = Held {
            order,
            end: bytes.len().saturating_sub(TAG),
            bytes,
            next: (0, 0..0),
        };
        if held.go_to(BLOCK_HEAD) {
            self.held.push(held);
        }
        Ok(())
    }

    fn read(&mut self, segment: &'r Segment, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let path = segment.path.as_path();
        let file = match &mut self.open {
            Some((open, file)) if *open == path => file,
            open => &mut open.insert((path, File::open(path)?)).1,
        };
        read_at(file, offset, into)
    }
}
