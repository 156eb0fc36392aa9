//! The decision journal: what was decided and on what grounds, kept for rehearsals in sealed, bounded files.
//!
//! What a record holds is its writer's business; here it is bytes with a time. The journal is off unless the
//! configuration says otherwise, and it is never in the way: a request hands its record to a bounded queue and goes
//! on, and where the queue is full or the disk is, records are dropped and counted, and verdicts are as ever.
//!
//! # Files
//!
//! `DATA/decisions/` belongs to its owner alone. It holds the key, a lock that one writing process has, and segments
//! numbered in the order in which they were begun. One thread appends to the newest segment, a whole block at a time
//! with one write; nothing else is ever changed but by deleting the oldest segment. Each start begins a new segment.
//!
//! ```text
//! segment   = "PATROLJ" version(1) | number(8) | salt(32) | sealed: made(8) | tag(16)
//!             block*
//! block     = mark(4) index(4) | sealed: length(4) records(4) first(8) last(8) flags(4) 0(4) | tag(16)
//!             sealed: record* | tag(16)
//! record    = time(8) length(4) bytes
//! ```
//!
//! Numbers are little-endian, times are ms since the epoch. Records are collected for a second or 64 KiB and sealed
//! together, in the order of their times. The last block of a segment that was closed has no records and says so.
//!
//! # Sealing
//!
//! ChaCha20-Poly1305 (RFC 8439) under a key of the segment's own, HMAC-SHA-256 of its number and 32 random bytes under
//! the journal's key. A nonce is the block's index and which part of it is sealed: no two parts of a segment share one,
//! and no two segments share a key, even if they had the same number. A write that failed may have left a part of its
//! block somewhere, so its index is not used again: the segment ends there, and the next try begins another.
//!
//! * Without the key there is nothing to see but how many bytes were written and when the files were touched. Even how
//!   many decisions there were, and when, is sealed.
//! * Whatever is altered does not open. The segment's header is sealed with its number and salt, a block's header with
//!   its index, and its records with its header.
//! * Nothing can be moved: a block opens in its own segment only, a segment under its own number. Blocks count on from
//!   0, so that one that is missing, doubled or out of its place is found, and so is a segment that is missing between
//!   others.
//! * What an enemy who can write here can do is to delete: the newest blocks of a segment that was never closed, the
//!   newest segments, the oldest ones, or everything. The first is told as what it also may be, a process that was
//!   killed. A journal is there to rehearse by, and the audit trail is elsewhere.
//! * The key is a file beside the segments, owner-only: whoever can read it can read the journal, and could read the
//!   database as well. It keeps what is in a backup or a copy of the segments from whoever does not have the key too.
//!   Losing it makes the journal worthless, and nothing else: a new one is made, and old segments go in their time.
//!
//! Nothing is compressed: what is written would depend on what callers sent, and its length would tell.
//!
//! # Reading
//!
//! Any process that may read the key can read while another writes, or from a copy. It looks at the blocks' headers
//! first, which tells how many records there are, and then reads the blocks it needs, one after the other. What was cut
//! short at the end of a segment, by `kill -9` or because it is being written just now, is no block yet and is left
//! out, with a [`Note`]. Damage in the middle costs the blocks it lies in: each is told with its file and offset, and
//! reading goes on behind it, where the next header opens.
//!
//! # What is lost
//!
//! An orderly end seals what is there. `kill -9` loses what was collected in the last second. Nothing is synchronized
//! with the disk, so that a machine that loses its power may lose what its kernel had not written yet.

mod block;
mod directory;
mod error;
#[doc(hidden)]
pub mod fuzz;
mod keeper;
mod key;
mod reader;
mod seal;
mod walk;
mod writer;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use patrol_policy::types::{Duration, Timestamp};

pub use error::{Error, KeyError, Note, Trouble};
pub use reader::{Reader, Records};
pub use writer::{Encode, Stats, Unwritable, Writer};

/// The smallest journal that can be kept, in bytes: room for a few blocks of the largest records.
pub const SMALLEST: usize = 4 * 1_024 * 1_024;

/// The largest record, in bytes; a larger one is dropped.
pub const LARGEST_RECORD: usize = 1_024 * 1_024;

/// Whether a journal is kept, and how much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether records are taken at all.
    pub enabled: bool,
    /// What all segments together may have at most, in bytes; at least [`SMALLEST`].
    pub max_size: u64,
    /// Segments with nothing younger than this are deleted, ms.
    pub max_age: Duration,
}

/// Something that was written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When it was, ms since the epoch.
    pub at: Timestamp,
    /// What it was.
    pub bytes: Vec<u8>,
}

/// Where the journal of a data directory is.
#[must_use]
pub fn directory(data: &Path) -> PathBuf {
    data.join("decisions")
}
