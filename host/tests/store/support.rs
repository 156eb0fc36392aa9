//! A store in a temporary directory, with a tenant and a user in it.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use patrol::store::sqlite::{OpenOptions, SqliteStore};
use patrol::store::{NewTenant, NewUser, Store, Transaction};
use patrol_policy::types::{Cause, DAY, Digest, End, Id, LiveRule, Session, Timestamp, Token};
use tempfile::TempDir;

/// The instant of all tests.
pub const NOW: Timestamp = 1_700_000_000_000;

/// Short waits and a small cache.
pub fn options() -> OpenOptions {
    OpenOptions {
        busy_limit: Duration::from_secs(5),
        readers: 4,
        cached: 1_000,
        ..OpenOptions::default()
    }
}

pub fn open(directory: &Path) -> SqliteStore {
    SqliteStore::open(directory, &options()).unwrap()
}

/// A second way to the data, behind the store's back.
pub fn raw(directory: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(directory.join("patrol.db")).unwrap()
}

/// A new identifier.
pub fn id() -> Id {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut random = [0; 10];
    random[2..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    Id::new_v7(NOW, &random)
}

pub fn digest(seed: u64) -> Digest {
    Digest {
        a: seed,
        b: seed ^ u64::MAX,
        c: 3,
        d: seed.rotate_left(17),
    }
}

pub fn rule() -> LiveRule {
    LiveRule {
        now: NOW,
        idle_since: NOW - 15 * DAY,
    }
}

pub fn revoked(at: Timestamp) -> End {
    End {
        at,
        cause: Cause::Revoked,
    }
}

pub struct Fixture {
    pub store: SqliteStore,
    pub tenant: Id,
    pub owner: Id,
    pub audience: u32,
    // Last, so that the files outlive the store.
    pub dir: TempDir,
}

impl Fixture {
    pub fn new() -> Self {
        Self::with(&options())
    }

    pub fn with(options: &OpenOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(dir.path(), options).unwrap();
        let (tenant, owner) = (id(), id());
        let mut transaction = store.begin().unwrap();
        insert_tenant(&mut *transaction, tenant, "acme");
        insert_user(&mut *transaction, owner, tenant, "alice");
        let audience = transaction.intern_audience("rest-api").unwrap();
        transaction.commit().unwrap();
        Self {
            store,
            tenant,
            owner,
            audience,
            dir,
        }
    }

    /// A token as it is born now, not stored.
    pub fn token(&self) -> Token {
        let id = id();
        Token {
            id,
            owner: self.owner,
            tenant: self.tenant,
            audience: self.audience,
            scheme: 1,
            digest: digest(id.lo),
            generation: 0,
            previous: None,
            created: NOW,
            expires: NOW + 90 * DAY,
            last_used: None,
            owner_epoch: 0,
            tenant_epoch: 0,
            ended: None,
        }
    }

    /// A session of a token, not stored.
    pub fn session(&self, token: Id) -> Session {
        let id = id();
        Session {
            id,
            token,
            generation: 0,
            digest: digest(id.lo),
            opened: NOW,
            last_used: NOW,
            ended: None,
        }
    }

    /// Stores what `change` makes of a new token.
    pub fn stored(&self, change: impl FnOnce(&mut Token)) -> Token {
        let mut token = self.token();
        change(&mut token);
        self.write(|transaction| transaction.insert_token(&token, "script").unwrap());
        token
    }

    /// One transaction.
    pub fn write<T>(&self, work: impl FnOnce(&mut dyn Transaction) -> T) -> T {
        let mut transaction = self.store.begin().unwrap();
        let value = work(&mut *transaction);
        transaction.commit().unwrap();
        value
    }
}

pub fn insert_tenant(transaction: &mut dyn Transaction, id: Id, name: &str) {
    let tenant = NewTenant {
        id,
        name,
        auth_method: "password",
        multi_factor: false,
        created: NOW,
    };
    transaction.insert_tenant(&tenant).unwrap();
}

pub fn insert_user(transaction: &mut dyn Transaction, id: Id, tenant: Id, name: &str) {
    let user = NewUser {
        id,
        tenant,
        name,
        email: None,
        roles: &[],
        created: NOW,
    };
    transaction.insert_user(&user).unwrap();
}
