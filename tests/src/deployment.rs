//! A whole host in a temporary directory: the built-in policy in wasmtime, real SQLite files, and a clock that stands
//! where it is put.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use patrol::config::Config;
use patrol::release::{CONTRACT, Manifest, Release};
use patrol::service::{Caller, Error, Identity, NewAccount, NewToken, Origin, Patrol, Settings, UserRef};
use patrol::store::AuditFilter;
use patrol::time::{ManualClock, Millis};
use patrol_policy::Secret;
use patrol_policy::types::{DAY, Id, RefusalReason, Timestamp};
use rusqlite::OpenFlags;
use rusqlite::types::Value as Cell;
use serde_json::Value;
use tempfile::TempDir;

/// The instant at which every deployment starts.
pub const START: Timestamp = 1_800_000_000_000;
/// The audience of the service's REST API (R12).
pub const AUDIENCE: &str = "api";
/// What an expiration date may be without a test minding it.
pub const LIFETIME: Timestamp = 300 * DAY;

/// A data directory with a tenant, `acme`, and two users in it, `alice` and `bob`.
pub struct Deployment {
    /// The host. Further ones on the same directory: [`another`](Self::another).
    pub patrol: Arc<Patrol>,
    /// The clock of all hosts on the directory.
    pub clock: Arc<ManualClock>,
    /// The tenant.
    pub tenant: Id,
    /// A user with the role `admin`.
    pub alice: Id,
    /// A user with no role.
    pub bob: Id,
    settings: Settings,
    // Last, so that the files outlive the host.
    dir: TempDir,
}

impl Default for Deployment {
    fn default() -> Self {
        Self::new()
    }
}

impl Deployment {
    /// With the default configuration.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Config::default())
    }

    /// With this configuration.
    ///
    /// # Panics
    /// Here and in all other methods: where what must work does not.
    #[must_use]
    pub fn with(mut config: Config) -> Self {
        // The machine that runs the tests may be busier than one that serves.
        config.policy.deadline = Millis(5_000);
        let dir = tempfile::tempdir().expect("a temporary directory");
        share_compiled_code(dir.path());
        let clock = Arc::new(ManualClock::at(START));
        let settings = Settings {
            config,
            clock: Arc::clone(&clock) as _,
            ..Settings::new(dir.path())
        };
        let patrol = Patrol::open(settings.clone()).expect("a new data directory opens");
        let admin = operator();
        let tenant = patrol.create_tenant(&admin, "acme", "password", false);
        let user = |name: &str, roles: &[&str]| {
            let account = NewAccount {
                name: name.to_owned(),
                email: Some(format!("{name}@example.com")),
                roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            };
            patrol.create_user(&admin, "acme", &account).expect("a user").id
        };
        let (alice, bob) = (user("alice", &["admin"]), user("bob", &[]));
        Self {
            tenant: tenant.expect("a tenant").id,
            alice,
            bob,
            patrol: Arc::new(patrol),
            clock,
            settings,
            dir,
        }
    }

    /// The data directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// One more host on the same directory, which knows of the first what another process would.
    #[must_use]
    pub fn another(&self) -> Patrol {
        Patrol::open(self.settings.clone()).expect("the data directory opens again")
    }

    /// One more host on the same directory, with another policy.
    #[must_use]
    pub fn under(&self, component: &[u8]) -> Patrol {
        let settings = Settings {
            component: Some(component.into()),
            ..self.settings.clone()
        };
        Patrol::open(settings).expect("the policy loads")
    }

    /// Opens a session of this user with a password, which is set for it.
    #[must_use]
    pub fn sign_in_as(&self, name: &str) -> Vec<u8> {
        const PASSWORD: &[u8] = b"correct horse battery staple";
        let user = UserRef::Name {
            tenant: Some("acme".to_owned()),
            name: name.to_owned(),
        };
        let password = Secret::new(PASSWORD.to_vec());
        self.patrol
            .set_password(&operator(), &user, &password)
            .expect("a password is set");
        let signed_in =
            self.patrol
                .sign_in_with_password(Some("acme"), name, &password, AUDIENCE, &Origin::default());
        signed_in.expect("a sign-in").secret.into_bytes()
    }

    /// Creates a token for an owner, as an administrator.
    #[must_use]
    pub fn issue(&self, owner: Id, name: &str) -> NewToken {
        self.issue_until(owner, name, self.patrol.now() + LIFETIME)
    }

    /// Creates a token with this expiration date.
    #[must_use]
    pub fn issue_until(&self, owner: Id, name: &str, expires: Timestamp) -> NewToken {
        self.patrol
            .issue(&operator(), owner, name, expires, AUDIENCE)
            .expect("a token is issued")
    }

    /// Presents a token at the audience.
    pub fn verify(&self, token: &NewToken) -> Result<Identity, Error> {
        verify(&self.patrol, token)
    }

    /// Opens a session with a token, and returns what to present from now on.
    #[must_use]
    pub fn sign_in(&self, token: &NewToken) -> Vec<u8> {
        let signed_in = self
            .patrol
            .open_session(token.secret.expose(), AUDIENCE, &Origin::default());
        signed_in.expect("a session is opened").secret.into_bytes()
    }

    /// Presents a session at the audience.
    pub fn check(&self, session: &[u8]) -> Result<Identity, Error> {
        self.patrol.check_session(session, AUDIENCE, &Origin::default())
    }

    /// All events of a type, as stored, oldest first.
    #[must_use]
    pub fn events(&self, event_type: &str) -> Vec<Value> {
        self.patrol.flush().expect("refusals are written");
        let filter = AuditFilter {
            event_type: Some(event_type.to_owned()),
            ..AuditFilter::default()
        };
        let mut events = Vec::new();
        let read = self.patrol.audit(&filter, |entry| {
            events.push(serde_json::from_str(&entry.body).expect("an event is JSON"));
            true
        });
        read.expect("the audit trail can be read");
        events
    }

    /// The last event of a type.
    #[must_use]
    pub fn last_event(&self, event_type: &str) -> Value {
        let mut events = self.events(event_type);
        events
            .pop()
            .unwrap_or_else(|| panic!("there is no event {event_type}"))
    }

    /// Asserts how the last event of a type went, and why.
    pub fn assert_event(&self, event_type: &str, outcome: &str, reason: Option<&str>) {
        let event = self.last_event(event_type);
        let told = (
            event["eventOutcome"].as_str(),
            event["eventOutcomeReason"].as_str(),
        );
        assert_eq!(told, (Some(outcome), reason), "{event}");
    }

    /// A way to the data behind the host's back.
    #[must_use]
    pub fn raw(&self) -> rusqlite::Connection {
        raw(self.path())
    }

    /// Every row of every table, in words.
    #[must_use]
    pub fn dump(&self) -> Dump {
        dump(&self.raw())
    }
}

/// Every row of every table, in words.
pub type Dump = BTreeMap<String, Vec<String>>;

/// Opens the database of a data directory for reading.
#[must_use]
pub fn raw(directory: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open_with_flags(directory.join("patrol.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)
        .expect("the database opens")
}

/// Every row of every table, in words, at one instant.
#[must_use]
pub fn dump(connection: &rusqlite::Connection) -> Dump {
    let view = connection.unchecked_transaction().expect("a view");
    let mut tables = view
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
        .expect("a query");
    let tables = tables
        .query_map([], |row| row.get(0))
        .expect("the tables")
        .collect::<Result<Vec<String>, _>>();
    let rows = |table: &str| {
        let mut query = view
            .prepare(&format!("SELECT * FROM \"{table}\" ORDER BY 1"))
            .expect("a query");
        let columns = query.column_count();
        query
            .query_map([], |row| {
                let cells: Result<Vec<Cell>, _> = (0..columns).map(|column| row.get(column)).collect();
                Ok(format!("{:?}", cells?))
            })
            .expect("rows")
            .collect::<Result<Vec<_>, _>>()
            .expect("every row can be read")
    };
    let tables = tables.expect("every name can be read");
    tables
        .into_iter()
        .map(|table| {
            let rows = rows(&table);
            (table, rows)
        })
        .collect()
}

/// How many rows of which tables are in one dump and not in the other: changed, new or gone.
#[must_use]
pub fn changed_rows(before: &Dump, after: &Dump) -> BTreeMap<String, usize> {
    let mut changed = BTreeMap::new();
    for (table, rows) in after {
        let old: std::collections::HashSet<_> = before.get(table).into_iter().flatten().collect();
        let new: std::collections::HashSet<_> = rows.iter().collect();
        let differing = new.difference(&old).count().max(old.difference(&new).count());
        if differing > 0 {
            changed.insert(table.clone(), differing);
        }
    }
    changed
}

/// Somebody with access to the data directory.
#[must_use]
pub fn operator() -> Caller {
    Caller::operator(Some("operator".to_owned()))
}

/// A person, signed in as themselves.
#[must_use]
pub fn person(id: Id) -> Caller {
    Caller::user(id, Origin::default())
}

/// The user with this identifier.
#[must_use]
pub fn user(id: Id) -> UserRef {
    UserRef::Id(id)
}

/// A release of a component, signed by nobody.
///
/// # Panics
/// Where the component is larger than any host takes.
#[must_use]
pub fn release(name: &str, component: Vec<u8>, number: u32) -> Release {
    let manifest = Manifest {
        name: name.to_owned(),
        version: format!("1.{number}.0"),
        release: number,
        component: String::new(),
        wit: CONTRACT.to_owned(),
        minimum_host: "0.0.1".to_owned(),
        created: "2027-01-31T17:00:00Z".to_owned(),
        notes: String::new(),
    };
    Release::make(manifest, component, None).expect("a release")
}

/// Presents a token at the audience, to some host.
pub fn verify(patrol: &Patrol, token: &NewToken) -> Result<Identity, Error> {
    patrol.authenticate(token.secret.expose(), AUDIENCE, &Origin::default())
}

/// Asserts that the policy said no, for this reason.
#[track_caller]
pub fn assert_refused<T: std::fmt::Debug>(result: Result<T, Error>, reason: RefusalReason) {
    match result {
        Err(Error::Refused(refusal)) => assert_eq!(refusal.reason, reason),
        other => panic!("{reason} was expected: {other:?}"),
    }
}

/// The token's identifier.
#[must_use]
pub fn id(token: &NewToken) -> Id {
    token.row.state.token.id
}

/// Lets all data directories of one build share what the policy was compiled to, beside the tests themselves. It is the
/// host that decides whether to use it.
pub fn share_compiled_code(directory: &Path) {
    let test = std::env::current_exe().expect("a test knows its own path");
    let shared: PathBuf = test.with_file_name("patrol-compiled");
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&shared)
        .expect("a directory for compiled code");
    symlink(shared, directory.join("compiled")).expect("a link to it");
}
