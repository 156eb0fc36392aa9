//! The engine compiled for this machine, over maps.

use patrol_policy::Engine;
use patrol_policy::types::{
    Actor, Audience, ClosedSession, Denial, Duration, Grant, Id, IssueRequest, Issued, ListedToken,
    MethodPreview, OpenedSession, Outlook, Parameters, Scope, Session, SessionGrant, Swept, Timestamp,
    TokenState,
};

use crate::memory::MemoryHost;
use crate::trace::{Change, METHODS, START, Subject, USERS, tenant_id, user_id};

/// The native engine as a subject.
#[derive(Debug)]
pub struct Native {
    /// Its data.
    pub host: MemoryHost,
}

impl Native {
    /// The world that traces start from.
    #[must_use]
    pub fn new(parameters: Parameters) -> Self {
        let mut host = MemoryHost::new(START, parameters, 1);
        for tenant in 0..2 {
            host.add_tenant(tenant_id(tenant), METHODS[0]);
        }
        for (user, tenant) in USERS.iter().enumerate() {
            host.add_user(user_id(user), tenant_id(*tenant), &format!("user{user}"));
        }
        Self { host }
    }

    /// The engine over its data.
    pub fn engine(&mut self) -> Engine<'_, MemoryHost> {
        Engine::new(&mut self.host)
    }
}

impl Subject for Native {
    fn set_now(&mut self, now: Timestamp) {
        self.host.now = now;
    }

    fn administer(&mut self, change: Change) {
        match change {
            Change::Enable { user, on } => self.host.set_enabled(user, on),
            Change::Delete { user } => self.host.delete(user),
            Change::Rename { user } => self.host.rename(user, "someone else"),
            Change::MultiFactor { tenant, on } => self.host.set_multi_factor(tenant, on),
        }
    }

    fn tokens(&mut self) -> Vec<(TokenState, String)> {
        self.host.tokens()
    }

    fn sessions(&mut self) -> Vec<Session> {
        self.host.rows.sessions.values().copied().collect()
    }

    fn issue(&mut self, request: IssueRequest, actor: Actor) -> Result<Issued, Denial> {
        self.engine().issue(request, actor)
    }

    fn authenticate(&mut self, presented: &[u8], audience: Audience) -> Result<Grant, Denial> {
        self.engine().authenticate(presented, audience)
    }

    fn open_session(&mut self, presented: &[u8], audience: Audience) -> Result<OpenedSession, Denial> {
        self.engine().open_session(presented, audience)
    }

    fn check_session(&mut self, presented: &[u8], audience: Audience) -> Result<SessionGrant, Denial> {
        self.engine().check_session(presented, audience)
    }

    fn close_session(&mut self, presented: &[u8]) -> Result<ClosedSession, Denial> {
        self.engine().close_session(presented)
    }

    fn revoke(&mut self, token: Id, actor: Actor) -> Result<(), Denial> {
        self.engine().revoke(token, actor)
    }

    fn revoke_all(&mut self, owner: Id, actor: Actor) -> Result<u32, Denial> {
        self.engine().revoke_all(owner, actor)
    }

    fn rotate(&mut self, token: Id, overlap: Duration, actor: Actor) -> Result<Issued, Denial> {
        self.engine().rotate(token, overlap, actor)
    }

    fn change_auth_method(&mut self, scope: Scope, method: &str, actor: Actor) -> Result<bool, Denial> {
        self.engine().change_auth_method(scope, method, actor)
    }

    fn preview_auth_method(
        &mut self,
        scope: Scope,
        method: &str,
        actor: Actor,
    ) -> Result<MethodPreview, Denial> {
        self.engine().preview_auth_method(scope, method, actor)
    }

    fn decide_password_sign_in(&mut self, owner: Id) -> Result<(), Denial> {
        self.engine().decide_password_sign_in(owner)
    }

    fn list_tokens(&mut self, owner: Id, actor: Actor) -> Result<Vec<ListedToken>, Denial> {
        self.engine().list_tokens(owner, actor)
    }

    fn foresee(&mut self, states: &[TokenState]) -> Vec<Outlook> {
        self.engine().foresee(states)
    }

    fn sweep(&mut self, limit: u32) -> Result<Swept, Denial> {
        self.engine().sweep(limit)
    }
}
