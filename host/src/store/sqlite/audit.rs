//! The audit trail: entries that each seal the one before.
//!
//! An entry's hash is SHA-256 over the hash before it, its number, time, type, user and body, each preceded by its
//! length, so that nothing can be moved from one to the next. The number and hash of the last entry stand beside
//! the chain, so that cutting its end off shows as well. Whoever can write to the database can of course make a whole
//! new chain; to prove that they did not, keep a head (as [`verify_audit`] reports it) somewhere else.

use patrol_policy::types::{Id, Timestamp};
use rusqlite::{Connection, Result as SqlResult, ToSql, params};
use sha2::{Digest as _, Sha256};

use super::columns::{Columns, bound};
use crate::store::{AuditEntry, AuditFilter, AuditHead, Read, Result};

/// What a verification of the audit chain found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditVerdict {
    /// The chain is whole; this is its end.
    Sound(AuditHead),
    /// The chain is broken.
    Broken {
        /// The first number at which it is.
        seq: u64,
        /// What is wrong there.
        fault: ChainFault,
    },
}

/// How an audit chain is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainFault {
    /// The entry is not what was written: its hash does not follow from it and the one before.
    #[error("the entry was altered, inserted or moved")]
    Altered,
    /// There is no entry with this number.
    #[error("the entry is missing")]
    Missing,
    /// The entry comes after one with the same or a greater number.
    #[error("the entry is out of order")]
    OutOfOrder,
    /// The chain does not end as recorded beside it.
    #[error("the chain does not end as recorded")]
    HeadMismatch,
}

/// Verifies a chain entry by entry, in constant memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChainVerifier {
    last: AuditHead,
    broken: Option<(u64, ChainFault)>,
}

impl ChainVerifier {
    /// Takes the next entry; says whether the chain is whole so far.
    pub fn next(&mut self, entry: &AuditEntry) -> bool {
        if self.broken.is_some() {
            return false;
        }
        let expected = self.last.seq.saturating_add(1);
        let hash = entry_hash(
            &self.last.hash,
            entry.seq,
            entry.at,
            &entry.event_type,
            entry.user,
            &entry.body,
        );
        self.broken = if entry.seq > expected {
            Some((expected, ChainFault::Missing))
        } else if entry.seq < expected {
            Some((entry.seq, ChainFault::OutOfOrder))
        } else if entry.hash != hash {
            Some((entry.seq, ChainFault::Altered))
        } else {
            self.last = AuditHead { seq: entry.seq, hash };
            None
        };
        self.broken.is_none()
    }

    /// Compares the end of the chain with the head recorded beside it.
    #[must_use]
    pub fn finish(self, head: AuditHead) -> AuditVerdict {
        let broken = self.broken.or_else(|| {
            if self.last.seq < head.seq {
                Some((self.last.seq.saturating_add(1), ChainFault::Missing))
            } else if self.last != head {
                Some((self.last.seq, ChainFault::HeadMismatch))
            } else {
                None
            }
        });
        match broken {
            Some((seq, fault)) => AuditVerdict::Broken { seq, fault },
            None => AuditVerdict::Sound(self.last),
        }
    }
}

/// Verifies the whole audit chain of a storage, in constant memory.
///
/// # Errors
/// Fails where the storage does, for instance where an entry cannot be decoded.
pub fn verify_audit(read: &dyn Read) -> Result<AuditVerdict> {
    let mut verifier = ChainVerifier::default();
    read.audit(&AuditFilter::default(), &mut |entry| verifier.next(&entry))?;
    Ok(verifier.finish(read.audit_head()?))
}

/// The hash of an entry that follows one with the hash `before`.
fn entry_hash(
    before: &[u8; 32],
    seq: u64,
    at: Timestamp,
    event_type: &str,
    user: Option<Id>,
    body: &str,
) -> [u8; 32] {
    let user = user.map(Id::to_bytes);
    let fields: [&[u8]; 5] = [
        &seq.to_be_bytes(),
        &at.to_be_bytes(),
        event_type.as_bytes(),
        user.as_ref().map_or(&[], |bytes| bytes),
        body.as_bytes(),
    ];
    let mut hasher = Sha256::new_with_prefix(before);
    for field in fields {
        hasher.update((field.len() as u64).to_be_bytes());
        hasher.update(field);
    }
    hasher.finalize().into()
}

/// Appends an entry. The transaction holds the write lock, so no other process can have read the same head.
pub(super) fn append(
    connection: &Connection,
    at: Timestamp,
    event_type: &str,
    user: Option<Id>,
    body: &str,
) -> Result<()> {
    let head = head(connection)?;
    let seq = head.seq.saturating_add(1);
    let hash = entry_hash(&head.hash, seq, at, event_type, user, body);
    connection
        .prepare_cached(
            "INSERT INTO audit (seq, at, type, user, body, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![seq, at, event_type, user.map(Id::to_bytes), body, hash])?;
    connection
        .prepare_cached("UPDATE meta SET audit_seq = ?1, audit_hash = ?2")?
        .execute(params![seq, hash])?;
    Ok(())
}

/// The end of the chain as recorded beside it.
pub(super) fn head(connection: &Connection) -> Result<AuditHead> {
    let mut statement = connection.prepare_cached("SELECT audit_seq, audit_hash FROM meta")?;
    Ok(statement.query_row([], |row| {
        let mut columns = Columns::of(row);
        Ok(AuditHead {
            seq: columns.take()?,
            hash: columns.take()?,
        })
    })?)
}

/// Hands out the entries that the filter lets through, in order, until `each` says that it has enough.
pub(super) fn read(
    connection: &Connection,
    filter: &AuditFilter,
    each: &mut dyn FnMut(AuditEntry) -> bool,
) -> Result<()> {
    let (after, since, until) = (
        bound(filter.after),
        filter.since.map(bound),
        filter.until.map(bound),
    );
    let user = filter.user.map(Id::to_bytes);
    let mut conditions = "seq > :after".to_owned();
    let mut parameters: Vec<(&str, &dyn ToSql)> = vec![(":after", &after)];
    if since.is_some() {
        conditions.push_str(" AND at >= :since");
        parameters.push((":since", &since));
    }
    if until.is_some() {
        conditions.push_str(" AND at < :until");
        parameters.push((":until", &until));
    }
    if user.is_some() {
        conditions.push_str(" AND user = :user");
        parameters.push((":user", &user));
    }
    if filter.event_type.is_some() {
        conditions.push_str(" AND type = :type");
        parameters.push((":type", &filter.event_type));
    }
    let mut sql =
        format!("SELECT seq, at, type, user, body, hash FROM audit WHERE {conditions} ORDER BY seq");
    if filter.last.is_some() {
        sql = format!("SELECT * FROM ({sql} DESC LIMIT :last) ORDER BY seq");
        parameters.push((":last", &filter.last));
    }
    let mut statement = connection.prepare_cached(&sql)?;
    let entries: SqlResult<()> = (|| {
        let mut rows = statement.query(&*parameters)?;
        while let Some(row) = rows.next()? {
            if !each(Columns::of(row).audit_entry()?) {
                break;
            }
        }
        Ok(())
    })();
    Ok(entries?)
}
