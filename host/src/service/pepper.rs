//! The pepper: the key under which secrets are kept where a policy wishes so (`wit/keyring.wit`).
//!
//! It is in a file of the data directory, owner-only, and nowhere else: not in the database, so that a copy of that is
//! worth nothing without this file, and not with any policy, which may only ask for MACs. What the database has is a
//! *check*, the MAC of a constant, by which a pepper is known for the one that was used before.
//!
//! * It is made when a policy asks for the first MAC, within a transaction: the database's own lock sees to it that one
//!   process makes it, and only where neither file nor check is there. It is in its file, and the file on the disk,
//!   before anything that was made with it can be committed.
//! * Where there is a check, no pepper is ever made: one that is missing or another one is an outage, and no secret is
//!   taken for a wrong one. It is looked for again with each request, so putting the file back is all that is needed.
//! * A record that needs a pepper where there never was one is an outage, too: somebody wrote it who had no business
//!   to.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use hmac::{Hmac, KeyInit as _, Mac as _};
use patrol_policy::types::Digest;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{Error, Patrol};
use crate::key_text;
use crate::private_file::{self, Unreadable};
use crate::store::{StoreError, Transaction};

const FILE: &str = "pepper.key";
const PREFIX: &str = "patrol-pepper-1:";

/// By what name a policy asks for MACs.
pub(super) const KEYRING: &str = "patrol:policy/keyring@0.1.0";

/// What the check is the MAC of. No policy can ask for it: what it asks for has 32 bytes.
const CHECKED: &[u8] = b"patrol: this is the pepper";

/// Why there is no pepper to work with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PepperError {
    /// The file cannot be read or written.
    #[error("cannot use the pepper {path}: {source}", path = .path.display())]
    File { path: PathBuf, source: std::io::Error },
    /// Others may read it.
    #[error("others may use the pepper {path} (mode {mode:03o}): run `chmod go= {path}`", path = .path.display())]
    Exposed { path: PathBuf, mode: u32 },
    /// It is not what was written.
    #[error("the pepper {} is damaged: put it back from its backup", .0.display())]
    Damaged(PathBuf),
    /// It is gone.
    #[error("the pepper {} is missing, and there are tokens that are kept with it: put it back from its backup", .0.display())]
    Missing(PathBuf),
    /// It is another than before.
    #[error("the pepper {} is not the one that tokens are kept with: put that one back from its backup", .0.display())]
    Another(PathBuf),
    /// It was never made.
    #[error("a token is kept with a pepper, and there never was one here")]
    NeverMade,
    /// The system gives no randomness.
    #[error("no randomness for a new pepper: {0}")]
    Randomness(getrandom::Error),
}

impl From<PepperError> for StoreError {
    fn from(error: PepperError) -> Self {
        match error {
            PepperError::NeverMade => Self::Corrupt(error.to_string()),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

/// The pepper itself. It cannot be printed, and is wiped when dropped.
pub(crate) struct Pepper(Zeroizing<[u8; 32]>);

impl Pepper {
    /// HMAC-SHA-256 of 32 bytes.
    pub(crate) fn mac(&self, message: &Digest) -> Digest {
        Digest::from_bytes(&self.of(&message.to_bytes()))
    }

    #[cfg(test)]
    pub(super) fn of_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    fn check(&self) -> [u8; 32] {
        self.of(CHECKED)
    }

    fn of(&self, message: &[u8]) -> [u8; 32] {
        // A key that is shorter than a block is followed by zeros (RFC 2104, 2).
        let mut block = Zeroizing::new([0; 64]);
        if let Some(start) = block.first_chunk_mut() {
            *start = *self.0;
        }
        let mut mac = Hmac::<Sha256>::new((&*block).into());
        mac.update(message);
        mac.finalize().into_bytes().into()
    }

    fn generate() -> Result<Self, PepperError> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes).map_err(PepperError::Randomness)?;
        Ok(Self(bytes))
    }

    /// Reads it from its file; none where there is no file.
    fn read(path: &Path) -> Result<Option<Self>, PepperError> {
        let found = private_file::if_there(private_file::read_key(path, PREFIX)).map_err(|why| {
            let path = path.to_owned();
            match why {
                Unreadable::File(source) => PepperError::File { path, source },
                Unreadable::Exposed(mode) => PepperError::Exposed { path, mode },
                Unreadable::Damaged => PepperError::Damaged(path),
            }
        })?;
        Ok(found.map(Self))
    }
}

/// Where the pepper of a data directory is found, and made.
pub(crate) struct Keyring {
    data: PathBuf,
    /// Once it is known for the right one by a check that is committed.
    known: OnceLock<Arc<Pepper>>,
}

impl Keyring {
    pub(crate) fn new(data: &Path) -> Self {
        Self {
            data: data.to_owned(),
            known: OnceLock::new(),
        }
    }

    /// A keyring of its own, with a pepper that is in no file: whatever is made with it fits nothing that is stored.
    pub(crate) fn made_up() -> Result<Self, Error> {
        let pepper = Pepper::generate().map_err(StoreError::from)?;
        let keyring = Self::new(Path::new(""));
        keyring.remember(&Arc::new(pepper));
        Ok(keyring)
    }

    /// The pepper, if it was needed before.
    pub(crate) fn known(&self) -> Option<Arc<Pepper>> {
        self.known.get().map(Arc::clone)
    }

    /// Remembers a pepper whose check is committed.
    pub(crate) fn remember(&self, pepper: &Arc<Pepper>) {
        // Somebody else may have been faster, with the same one.
        let _ = self.known.set(Arc::clone(pepper));
    }

    /// The pepper that records were made with, by the check that is committed.
    pub(crate) fn find(&self, check: Option<[u8; 32]>) -> Result<Arc<Pepper>, PepperError> {
        let check = check.ok_or(PepperError::NeverMade)?;
        let pepper = Arc::new(self.right(check)?);
        self.remember(&pepper);
        Ok(pepper)
    }

    /// The pepper, made and noted if there never was one. It is there to stay only once the transaction is committed,
    /// so it is not remembered here.
    pub(crate) fn find_or_make(&self, transaction: &mut dyn Transaction) -> Result<Arc<Pepper>, StoreError> {
        if let Some(check) = transaction.pepper_check()? {
            return Ok(Arc::new(self.right(check)?));
        }
        // There may be a file without a check: of a transaction that was not committed, or of a database that was put
        // back to what it was before. Nothing in the database was made with it, or with any other.
        let pepper = match Pepper::read(&self.path())? {
            Some(found) => found,
            None => self.make()?,
        };
        transaction.put_pepper_check(pepper.check())?;
        Ok(Arc::new(pepper))
    }

    fn right(&self, check: [u8; 32]) -> Result<Pepper, PepperError> {
        let pepper = Pepper::read(&self.path())?.ok_or_else(|| PepperError::Missing(self.path()))?;
        // Both sides come from the data directory: nobody can learn anything from how long this takes.
        if pepper.check() == check {
            Ok(pepper)
        } else {
            Err(PepperError::Another(self.path()))
        }
    }

    fn make(&self) -> Result<Pepper, PepperError> {
        let pepper = Pepper::generate()?;
        let path = self.path();
        // The caller has seen that there is none, and holds the lock.
        let text = key_text::line(PREFIX, &pepper.0);
        if let Err(source) = private_file::replace(&path, text.as_bytes()) {
            return Err(PepperError::File { path, source });
        }
        tracing::warn!(
            path = %path.display(),
            "a pepper was made: keep a copy of it, apart from those of the database"
        );
        Ok(pepper)
    }

    fn path(&self) -> PathBuf {
        self.data.join(FILE)
    }
}

/// How a data directory stands to its pepper.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PepperState {
    /// Nothing was ever kept with one.
    Unused,
    /// It is the right one.
    Right {
        /// How many tokens need it.
        tokens: u64,
    },
    /// It cannot be used.
    Wrong {
        /// How many tokens cannot be verified, therefore.
        tokens: u64,
        /// Why, and what to do.
        why: String,
    },
}

impl Patrol {
    /// How the data directory stands to its pepper. Looks at all tokens, unless there never was one.
    ///
    /// # Errors
    /// An outage of the store.
    pub fn pepper_state(&self) -> Result<PepperState, Error> {
        let read = self.store.read()?;
        let Some(check) = read.pepper_check()? else {
            return Ok(PepperState::Unused);
        };
        let tokens = read.count_peppered()?;
        Ok(match self.keyring.right(check) {
            Ok(_) => PepperState::Right { tokens },
            Err(error) => PepperState::Wrong {
                tokens,
                why: error.to_string(),
            },
        })
    }

    /// How many tokens are kept with the pepper. Looks at all of them, unless there never was one.
    pub(super) fn count_peppered(&self) -> Result<u64, Error> {
        let read = self.store.read()?;
        Ok(match read.pepper_check()? {
            Some(_) => read.count_peppered()?,
            None => 0,
        })
    }

    /// Says in the log what is wrong with the pepper, if anything is: whoever starts a server should not hear of it
    /// from those who are not let in.
    ///
    /// # Errors
    /// An outage of the store.
    pub fn note_pepper(&self) -> Result<(), Error> {
        if let PepperState::Wrong { tokens, why } = self.pepper_state()? {
            tracing::error!(tokens, why, "tokens cannot be verified");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "tests"
    )]

    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use patrol_policy::memory::hmac_sha256;

    use super::*;
    use crate::store::Store as _;
    use crate::store::sqlite::{OpenOptions, SqliteStore};

    const NEW: &str = "pepper.key.new";

    const MESSAGE: Digest = Digest {
        a: 1,
        b: 2,
        c: 3,
        d: u64::MAX,
    };

    fn store(data: &Path) -> SqliteStore {
        let options = OpenOptions {
            check: false,
            ..OpenOptions::default()
        };
        SqliteStore::open(data, &options).unwrap()
    }

    /// As a call that stores something does it.
    fn made(keyring: &Keyring, store: &SqliteStore) -> Result<Arc<Pepper>, StoreError> {
        let mut transaction = store.begin()?;
        let pepper = keyring.find_or_make(&mut *transaction)?;
        transaction.commit()?;
        Ok(pepper)
    }

    fn found(data: &Path, store: &SqliteStore) -> Result<Arc<Pepper>, PepperError> {
        Keyring::new(data).find(store.read().unwrap().pepper_check().unwrap())
    }

    #[test]
    fn it_makes_the_hmac_sha_256_of_what_is_in_its_file() {
        let data = tempfile::tempdir().unwrap();
        let store = store(data.path());
        let pepper = made(&Keyring::new(data.path()), &store).unwrap();
        let text = fs::read_to_string(data.path().join(FILE)).unwrap();
        let digits = text.strip_prefix(PREFIX).unwrap().strip_suffix('\n').unwrap();
        let key = key_text::decode(digits).unwrap();
        let expected = hmac_sha256(&*key, &MESSAGE.to_bytes());
        assert_eq!(pepper.mac(&MESSAGE).to_bytes(), expected);
        assert_eq!(
            found(data.path(), &store).unwrap().mac(&MESSAGE),
            pepper.mac(&MESSAGE)
        );
        let mode = fs::metadata(data.path().join(FILE)).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o600);
        assert!(!data.path().join(NEW).exists());
        // The check is not of a length that a policy could ask for.
        assert_ne!(CHECKED.len(), 32);
    }

    #[test]
    fn of_many_that_need_one_at_the_same_time_one_makes_it() {
        let data = tempfile::tempdir().unwrap();
        // As many processes: each has a store and a keyring of its own.
        let stores: Vec<_> = (0..8).map(|_| store(data.path())).collect();
        let macs: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = stores
                .iter()
                .map(|store| {
                    let data = data.path();
                    scope.spawn(move || made(&Keyring::new(data), store).unwrap().mac(&MESSAGE))
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(macs.iter().all(|mac| *mac == macs[0]), "{macs:?}");
        let kept = found(data.path(), &stores[0]).unwrap();
        assert_eq!(kept.mac(&MESSAGE), macs[0]);
    }

    #[test]
    fn one_that_was_made_for_what_was_then_not_committed_is_used_by_the_next() {
        let data = tempfile::tempdir().unwrap();
        let store = store(data.path());
        fs::write(data.path().join(NEW), "cut off").unwrap();
        let keyring = Keyring::new(data.path());
        let mut transaction = store.begin().unwrap();
        let first = keyring.find_or_make(&mut *transaction).unwrap();
        drop(transaction);
        assert!(keyring.known().is_none());
        assert!(matches!(found(data.path(), &store), Err(PepperError::NeverMade)));
        assert_eq!(made(&keyring, &store).unwrap().mac(&MESSAGE), first.mac(&MESSAGE));
        assert!(found(data.path(), &store).is_ok());
    }

    #[test]
    fn where_one_was_used_none_is_made_and_no_other_is_taken() {
        let data = tempfile::tempdir().unwrap();
        let store = store(data.path());
        let path = data.path().join(FILE);
        made(&Keyring::new(data.path()), &store).unwrap();
        let right = fs::read(&path).unwrap();
        let refuses = |told: &str| {
            let keyring = Keyring::new(data.path());
            let check = store.read().unwrap().pepper_check().unwrap();
            let Err(why) = keyring.find(check) else {
                panic!("{told}: it was found");
            };
            assert!(why.to_string().contains(told), "{why}");
            let Err(why) = made(&keyring, &store) else {
                panic!("{told}: one was made");
            };
            assert!(
                matches!(&why, StoreError::Unavailable(text) if text.contains(told)),
                "{why}"
            );
            assert!(keyring.known().is_none());
        };
        fs::remove_file(&path).unwrap();
        refuses("is missing");
        assert!(!path.exists());
        let elsewhere = tempfile::tempdir().unwrap();
        made(&Keyring::new(elsewhere.path()), &self::store(elsewhere.path())).unwrap();
        fs::copy(elsewhere.path().join(FILE), &path).unwrap();
        refuses("is not the one");
        for damaged in [
            &b""[..],
            &right[..right.len() - 1],
            &[&right[..], b"\n"].concat(),
            &[b"patrol-pepper-2:", &right[PREFIX.len()..]].concat(),
        ] {
            fs::write(&path, damaged).unwrap();
            refuses("is damaged");
        }
        fs::write(&path, &right).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        refuses("chmod go=");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(found(data.path(), &store).is_ok());
    }
}
