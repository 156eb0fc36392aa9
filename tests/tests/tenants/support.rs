//! Two tenants of one installation: `acme` has what everybody has, `globex` may be bound to a release of its own.

use patrol::config::Config;
use patrol::release::{Release, Shelf, hex};
use patrol::service::{NewAccount, NewToken, Patrol, ReleaseError, ReleaseRow, ServeLock};
use patrol_policy::types::Id;
use patrol_tests::deployment::{AUDIENCE, Deployment, LIFETIME, operator, person, release};
use patrol_tests::policies;

pub struct Two {
    pub it: Deployment,
    /// The other tenant.
    pub globex: Id,
    /// A user of it.
    pub carol: Id,
    /// Where nobody serves.
    pub lock: ServeLock,
}

impl Two {
    /// With the built-in policy for everybody.
    pub fn new() -> Self {
        let mut config = Config::default();
        config.policy.allow_unsigned = true;
        let it = Deployment::with(config);
        let globex = it.patrol.create_tenant(&operator(), "globex", "password", false);
        let carol = NewAccount {
            name: "carol".to_owned(),
            ..NewAccount::default()
        };
        let carol = it.patrol.create_user(&operator(), "globex", &carol);
        Self {
            globex: globex.unwrap().id,
            carol: carol.unwrap().id,
            lock: ServeLock::take(it.path()).unwrap(),
            it,
        }
    }

    /// With `globex` bound to the stricter policy: seven idle days, twenty tokens, names by a pattern.
    pub fn stricter() -> Self {
        let two = Self::new();
        let release = two.keep(policies::read("stricter"), 1);
        two.bind(&release);
        two
    }

    /// Keeps a release of a component; its id.
    pub fn keep(&self, component: Vec<u8>, number: u32) -> String {
        keep(&self.it.patrol, &release("stricter", component, number))
    }

    /// Binds `globex` to a release.
    pub fn bind(&self, release: &str) {
        self.activate(release, Some(self.globex)).unwrap();
    }

    pub fn activate(&self, release: &str, tenant: Option<Id>) -> Result<ReleaseRow, ReleaseError> {
        self.it
            .patrol
            .activate(&self.lock, &operator(), release, tenant, true)
    }

    pub fn unbind(&self) -> Option<ReleaseRow> {
        let patrol = &self.it.patrol;
        patrol
            .rollback(&self.lock, &operator(), Some(self.globex))
            .unwrap()
    }

    /// A token each, of `alice` and of `carol`, with a name that both policies take.
    pub fn issue(&self, name: &str) -> [NewToken; 2] {
        [self.it.alice, self.carol].map(|owner| issue(&self.it.patrol, owner, name))
    }
}

pub fn issue(patrol: &Patrol, owner: Id, name: &str) -> NewToken {
    let expires = patrol.now() + LIFETIME;
    patrol
        .issue(&person(owner), owner, name, expires, AUDIENCE)
        .unwrap()
}

/// Keeps a release without a trial, since some here would not pass it; its id.
pub fn keep(patrol: &Patrol, release: &Release) -> String {
    let shelf = Shelf::of(patrol.data());
    shelf.make().unwrap();
    shelf.keep(release).unwrap();
    let manifest = release.manifest();
    let row = ReleaseRow {
        digest: release.digest(),
        name: manifest.name.clone(),
        version: manifest.version.clone(),
        number: manifest.release,
        staged: patrol.now(),
    };
    let mut transaction = patrol.store().begin().unwrap();
    transaction.insert_release(&row).unwrap();
    transaction.commit().unwrap();
    hex(&row.digest)
}
