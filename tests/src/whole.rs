//! All of Patrol as it is shipped: the component in wasmtime, the service around it, records in SQLite files.

use std::sync::Arc;

use patrol::config::Config;
use patrol::service::{Caller, Error, Origin, Patrol, Settings};
use patrol::store::{NewTenant, NewUser, TokenFilter, Transaction};
use patrol::time::{ManualClock, Millis};
use patrol_policy::types::{
    Actor, Audience, ClosedSession, Denial, Duration, Grant, Id, IssueRequest, Issued, ListedToken,
    MethodPreview, OpenedSession, Outlook, Parameters, Scope, Session, SessionGrant, Swept, Timestamp,
    TokenState,
};

use crate::trace::{Change, METHODS, START, Subject, USERS, tenant_id, user_id};

/// The shipped whole as a subject, on a data directory of its own.
pub struct Whole {
    patrol: Patrol,
    clock: Arc<ManualClock>,
    directory: tempfile::TempDir,
}

/// Audiences are numbered in the order in which they are first seen; these are seen in the order of their numbers.
const AUDIENCES: [&str; 4] = ["", "audience-1", "audience-2", "audience-3"];

fn denied(error: Error) -> Denial {
    match error {
        Error::Refused(refusal) => Denial::Refused(refusal),
        other => panic!("no verdict: {other}"),
    }
}

fn caller(actor: Actor) -> Caller {
    Caller {
        actor,
        name: None,
        origin: Origin::default(),
        session: None,
    }
}

impl Whole {
    /// The world that traces start from.
    #[must_use]
    pub fn new(parameters: Parameters) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(START));
        let mut settings = Settings {
            clock: clock.clone(),
            ..Settings::new(directory.path())
        };
        settings.config = config(&parameters);
        let patrol = Patrol::open(settings).unwrap();
        let mut transaction = patrol.store().begin().unwrap();
        for tenant in 0..2 {
            let new = NewTenant {
                id: tenant_id(tenant),
                name: &format!("tenant{tenant}"),
                auth_method: METHODS[0],
                multi_factor: false,
                created: START,
            };
            transaction.insert_tenant(&new).unwrap();
        }
        for (user, tenant) in USERS.iter().enumerate() {
            let new = NewUser {
                id: user_id(user),
                tenant: tenant_id(*tenant),
                name: &format!("user{user}"),
                email: None,
                roles: &[],
                created: START,
            };
            transaction.insert_user(&new).unwrap();
        }
        for (number, audience) in (1..).zip(&AUDIENCES[1..]) {
            assert_eq!(transaction.intern_audience(audience).unwrap(), number);
        }
        transaction.commit().unwrap();
        Self {
            patrol,
            clock,
            directory,
        }
    }

    /// The service.
    #[must_use]
    pub const fn patrol(&self) -> &Patrol {
        &self.patrol
    }

    fn written(&self, change: impl FnOnce(&mut dyn Transaction)) {
        let mut transaction = self.patrol.store().begin().unwrap();
        change(&mut *transaction);
        transaction.commit().unwrap();
    }
}

fn config(parameters: &Parameters) -> Config {
    let mut config = Config::default();
    let policy = &mut config.policy;
    policy.idle_after = Millis(parameters.idle_after);
    policy.tokens_per_owner = parameters.tokens_per_owner;
    policy.max_lifetime = Millis(parameters.max_lifetime);
    policy.max_overlap = Millis(parameters.max_overlap);
    policy.name_max_length = parameters.name_max_length;
    policy.session_lifetime = Millis(parameters.session_lifetime);
    policy.session_idle = Millis(parameters.session_idle);
    policy.sessions_per_token = parameters.sessions_per_token;
    policy.retention = Millis(parameters.retention);
    assert_eq!(policy.parameters(), *parameters);
    config
}

impl Subject for Whole {
    fn set_now(&mut self, now: Timestamp) {
        self.clock.set(now);
    }

    fn administer(&mut self, change: Change) {
        // As the service does it, which is free to refuse what makes no sense, such as enabling a deleted user.
        self.written(|transaction| match change {
            Change::Enable { user, on } => transaction.set_enabled(user, on).unwrap(),
            Change::Delete { user } => transaction.delete_user(user, self.clock_now()).unwrap(),
            Change::Rename { user } => transaction
                .rename_user(user, &format!("someone else {user}"))
                .unwrap(),
            Change::MultiFactor { tenant, on } => transaction.set_multi_factor(tenant, on).unwrap(),
        });
    }

    fn tokens(&mut self) -> Vec<(TokenState, String)> {
        let read = self.patrol.store().read().unwrap();
        let filter = TokenFilter {
            limit: 1_000,
            ..TokenFilter::default()
        };
        let rows = read.token_rows(&filter).unwrap();
        rows.into_iter()
            .map(|row| (read.token_state(row.state.token.id).unwrap().unwrap(), row.name))
            .collect()
    }

    fn sessions(&mut self) -> Vec<Session> {
        // The storage has no listing of all sessions, since nobody but this test wants one.
        let database = rusqlite::Connection::open(self.directory.path().join("patrol.db")).unwrap();
        let ids: Vec<[u8; 16]> = database
            .prepare("SELECT id FROM session")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let read = self.patrol.store().read().unwrap();
        ids.into_iter()
            .map(|id| read.session_state(Id::from_bytes(id)).unwrap().unwrap().session)
            .collect()
    }

    fn issue(&mut self, request: IssueRequest, actor: Actor) -> Result<Issued, Denial> {
        let audience = AUDIENCES[request.audience as usize];
        let made = self.patrol.issue(
            &caller(actor),
            request.owner,
            &request.name,
            request.expires,
            audience,
        );
        let made = made.map_err(denied)?;
        Ok(Issued {
            token: made.row.state.token.id,
            secret: made.secret,
            ends: made.ends,
        })
    }

    fn authenticate(&mut self, presented: &[u8], audience: Audience) -> Result<Grant, Denial> {
        let audience = AUDIENCES[audience as usize];
        let identity = self
            .patrol
            .authenticate(presented, audience, &Origin::default())
            .map_err(denied)?;
        let token = identity.token().unwrap().state.token;
        Ok(Grant {
            token: token.id,
            owner: token.owner,
            tenant: token.tenant,
            ends: identity.ends,
        })
    }

    fn open_session(&mut self, presented: &[u8], audience: Audience) -> Result<OpenedSession, Denial> {
        let audience = AUDIENCES[audience as usize];
        let opened = self
            .patrol
            .open_session(presented, audience, &Origin::default())
            .map_err(denied)?;
        let token = opened.identity.token().unwrap().state.token;
        let grant = Grant {
            token: token.id,
            owner: token.owner,
            tenant: token.tenant,
            ends: opened.token_ends,
        };
        Ok(OpenedSession {
            session: opened.identity.session.unwrap(),
            secret: opened.secret,
            grant,
            ends: opened.identity.ends,
            expires: opened.expires,
        })
    }

    fn check_session(&mut self, presented: &[u8], audience: Audience) -> Result<SessionGrant, Denial> {
        let audience = AUDIENCES[audience as usize];
        let identity = self
            .patrol
            .check_session(presented, audience, &Origin::default())
            .map_err(denied)?;
        let token = identity.token().unwrap().state.token;
        Ok(SessionGrant {
            session: identity.session.unwrap(),
            token: token.id,
            owner: token.owner,
            tenant: token.tenant,
            ends: identity.ends,
        })
    }

    fn close_session(&mut self, presented: &[u8]) -> Result<ClosedSession, Denial> {
        self.patrol
            .close_session(presented, &Origin::default())
            .map_err(denied)
    }

    fn revoke(&mut self, token: Id, actor: Actor) -> Result<(), Denial> {
        self.patrol
            .revoke(&caller(actor), token)
            .map(drop)
            .map_err(denied)
    }

    fn revoke_all(&mut self, owner: Id, actor: Actor) -> Result<u32, Denial> {
        self.patrol.revoke_all(&caller(actor), owner).map_err(denied)
    }

    fn rotate(&mut self, token: Id, overlap: Duration, actor: Actor) -> Result<Issued, Denial> {
        let made = self
            .patrol
            .rotate(&caller(actor), token, overlap)
            .map_err(denied)?;
        Ok(Issued {
            token: made.row.state.token.id,
            secret: made.secret,
            ends: made.ends,
        })
    }

    fn change_auth_method(&mut self, scope: Scope, method: &str, actor: Actor) -> Result<bool, Denial> {
        let effect = self
            .patrol
            .change_auth_method(&caller(actor), scope, method)
            .map_err(denied)?;
        assert_eq!(effect.changes, effect.from != method);
        Ok(effect.changes)
    }

    fn preview_auth_method(
        &mut self,
        scope: Scope,
        method: &str,
        actor: Actor,
    ) -> Result<MethodPreview, Denial> {
        let effect = self
            .patrol
            .preview_auth_method(&caller(actor), scope, method)
            .map_err(denied)?;
        assert_eq!(effect.changes, effect.from != method);
        Ok(MethodPreview {
            changes: effect.changes,
            tokens: effect.tokens.unwrap(),
            owners: effect.owners.unwrap(),
        })
    }

    fn decide_password_sign_in(&mut self, owner: Id) -> Result<(), Denial> {
        self.patrol.decide_password_sign_in(owner).map_err(denied)
    }

    fn list_tokens(&mut self, owner: Id, actor: Actor) -> Result<Vec<ListedToken>, Denial> {
        let listed = self.patrol.list_tokens(&caller(actor), owner).map_err(denied)?;
        let token = |one: patrol::service::OwnedToken| ListedToken {
            token: one.row.state.token.id,
            ends: one.ends,
        };
        Ok(listed.into_iter().map(token).collect())
    }

    fn foresee(&mut self, states: &[TokenState]) -> Vec<Outlook> {
        self.patrol.foresee(states).unwrap()
    }

    fn sweep(&mut self, limit: u32) -> Result<Swept, Denial> {
        self.patrol.sweep_round(limit).map_err(denied)
    }
}

impl Whole {
    fn clock_now(&self) -> Timestamp {
        self.patrol.now()
    }
}
