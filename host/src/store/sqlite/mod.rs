//! The embedded storage: one SQLite file in WAL mode, shared by any number of processes of one machine.
//!
//! * One connection writes, a few read; see `connections.rs`. Every transaction takes the write lock when it begins,
//!   so what it reads cannot change under it, and counting and inserting is one step (R7).
//! * The hot path reads rows from memory that are never stale; see `cache.rs`.
//! * Last-used times are written together, a moment later, and nobody can tell; see `uses.rs`.
//! * A commit waits for the disk. Only a flush of last-used times does not: a power failure may undo it.

mod accounts;
mod audit;
mod cache;
mod columns;
mod connections;
mod error;
mod federation;
mod history;
mod links;
mod notices;
mod open;
mod oversight;
mod pepper;
mod queries;
mod read;
mod releases;
mod review;
mod schema;
mod second_factor;
mod sites;
mod uses;
mod web;
mod write;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use patrol_policy::types::{Id, Timestamp};

pub use audit::{AuditVerdict, ChainFault, ChainVerifier, verify_audit};
pub use open::{OpenError, OpenOptions};

use self::cache::HotRows;
use self::connections::{Durability, Lent as _, Readers, WriteGuard, Writer};
use self::read::View;
use self::uses::Uses;
use super::{
    AccountRead, ClientRow, Read, Result, SessionRead, Store, StoreError, TokenRead, Transaction,
    WriteAccounts as _,
};

/// How long a use that must be on disk before the verdict is given waits for other writers. A gateway that asks for
/// a verdict does not wait for long, and a late yes is worth nothing.
const VERDICT_PATIENCE: Duration = Duration::from_millis(80);

/// The storage in a data directory.
#[derive(Debug)]
pub struct SqliteStore {
    uses: Arc<Uses>,
    writer: Arc<Writer>,
    readers: Arc<Readers>,
    hot: HotRows,
}

impl SqliteStore {
    /// Opens the data directory, and brings its schema up to date.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(directory: &Path, options: &OpenOptions) -> std::result::Result<Self, OpenError> {
        open::open(directory, options)
    }

    fn transaction(&self, durability: Durability, patience: Duration) -> Result<View<WriteGuard>> {
        Ok(View {
            lent: self.writer.begin(durability, patience)?,
            uses: Arc::clone(&self.uses),
        })
    }
}

impl Store for SqliteStore {
    fn token(&self, id: Id) -> Result<Option<TokenRead>> {
        self.uses.consistent(|| {
            let row = self.hot.tokens.get_or_read(&self.hot.watch, id, || {
                let view = View {
                    lent: self.readers.borrow()?,
                    uses: Arc::clone(&self.uses),
                };
                view.stored_token(id)
            })?;
            Ok(row.map(|row| {
                let mut state = row.state;
                self.uses.merge_token(&mut state);
                TokenRead { state, row }
            }))
        })
    }

    fn session(&self, id: Id) -> Result<Option<SessionRead>> {
        self.uses.consistent(|| {
            let row = self.hot.sessions.get_or_read(&self.hot.watch, id, || {
                let view = View {
                    lent: self.readers.borrow()?,
                    uses: Arc::clone(&self.uses),
                };
                view.stored_session(id)
            })?;
            Ok(row.map(|row| {
                let mut state = row.state;
                self.uses.merge_session(&mut state);
                SessionRead { state, row }
            }))
        })
    }

    fn account_session(&self, id: Id) -> Result<Option<AccountRead>> {
        self.uses.consistent(|| {
            let row = self.hot.accounts.get_or_read(&self.hot.watch, id, || {
                let view = View {
                    lent: self.readers.borrow()?,
                    uses: Arc::clone(&self.uses),
                };
                view.stored_account(id)
            })?;
            Ok(row.map(|row| AccountRead {
                last_used: self.uses.latest_account_use(&row.session),
                row,
            }))
        })
    }

    fn client(&self, id: Id) -> Result<Option<Arc<ClientRow>>> {
        self.hot.clients.get_or_read(&self.hot.watch, id, || {
            let view = View {
                lent: self.readers.borrow()?,
                uses: Arc::clone(&self.uses),
            };
            view.client_row(id)
        })
    }

    fn record_use(&self, id: Id, at: Timestamp, from: Option<&str>, durable: bool) -> Result<()> {
        if durable {
            let mut transaction = self.transaction(Durability::Full, VERDICT_PATIENCE)?;
            transaction.put_use(id, at, from)?;
            return transaction.lent.commit();
        }
        self.uses.tokens.note(id, at, from);
        Ok(())
    }

    fn record_session_use(&self, id: Id, at: Timestamp, durable: bool) -> Result<()> {
        if durable {
            let mut transaction = self.transaction(Durability::Full, VERDICT_PATIENCE)?;
            transaction.put_session_use(id, at)?;
            return transaction.lent.commit();
        }
        self.uses.sessions.note(id, at, None);
        Ok(())
    }

    fn record_account_use(&self, id: Id, at: Timestamp, durable: bool) -> Result<()> {
        if durable {
            let mut transaction = self.transaction(Durability::Full, VERDICT_PATIENCE)?;
            transaction.put_account_use(id, at)?;
            return transaction.lent.commit();
        }
        self.uses.accounts.note(id, at, None);
        Ok(())
    }

    fn flush(&self) -> Result<usize> {
        let batch = self.uses.collect();
        if batch.len() > 0 {
            let mut transaction = self.transaction(Durability::Relaxed, Duration::MAX)?;
            transaction.put_uses(&batch)?;
            transaction.lent.commit()?;
            self.uses.written(&batch);
        }
        Ok(batch.len())
    }

    fn oldest_unflushed(&self) -> Option<Instant> {
        self.uses.oldest()
    }

    fn unflushed(&self) -> usize {
        self.uses.len()
    }

    fn read(&self) -> Result<Box<dyn Read>> {
        Ok(Box::new(View {
            lent: self.readers.snapshot()?,
            uses: Arc::clone(&self.uses),
        }))
    }

    fn begin(&self) -> Result<Box<dyn Transaction>> {
        Ok(Box::new(self.transaction(Durability::Full, Duration::MAX)?))
    }

    fn check(&self) -> Result<Vec<String>> {
        let view = View {
            lent: self.readers.snapshot()?,
            uses: Arc::clone(&self.uses),
        };
        let connection = view.lent.connection()?;
        let mut problems = open::problems(connection, "integrity_check")?;
        let mut orphans =
            connection.prepare("SELECT \"table\", count(*) FROM pragma_foreign_key_check GROUP BY 1")?;
        let orphans = orphans.query_map([], |row| {
            let (table, count): (String, i64) = (row.get(0)?, row.get(1)?);
            Ok(format!(
                "{count} rows of table {table} refer to rows that are not there"
            ))
        })?;
        problems.extend(orphans.collect::<rusqlite::Result<Vec<_>>>()?);
        match verify_audit(&view) {
            Ok(AuditVerdict::Sound(_)) => (),
            Ok(AuditVerdict::Broken { seq, fault }) => problems.push(format!("audit entry {seq}: {fault}")),
            Err(StoreError::Corrupt(what)) => {
                problems.push(format!("the audit trail cannot be read: {what}"))
            }
            Err(error) => return Err(error),
        }
        Ok(problems)
    }
}
