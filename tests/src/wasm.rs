//! The engine as a component, over maps: what the native one says, it must say through the runtime as well.

use patrol::policy::{Answer, Ending, Options, Policy};
use patrol_policy::types::{
    Actor, Audience, ClosedSession, Denial, Duration, Grant, Id, IssueRequest, Issued, ListedToken,
    MethodPreview, OpenedSession, Outlook, Parameters, Scope, Session, SessionGrant, Swept, Timestamp,
    TokenState,
};

use crate::memory::MemoryHost;
use crate::native::Native;
use crate::trace::{Change, Subject};

/// The embedded policy as a subject.
pub struct Wasm<'a> {
    policy: &'a Policy<MemoryHost>,
    // Away during a call.
    world: Option<Native>,
}

/// The embedded policy's component.
#[must_use]
pub fn embedded() -> &'static [u8] {
    Policy::<MemoryHost>::embedded()
}

/// The embedded policy with a note in it: another component, which decides the same.
#[must_use]
pub fn noted(note: u8) -> Vec<u8> {
    let section = [0, 6, 4, b'n', b'o', b't', b'e', note];
    [embedded(), &section].concat()
}

/// The embedded policy, run in some way.
///
/// # Panics
/// If it does not load.
#[must_use]
pub fn load(options: &Options) -> Policy<MemoryHost> {
    Policy::load(embedded(), options).expect("the embedded policy")
}

impl<'a> Wasm<'a> {
    /// A policy in the world that traces start from.
    #[must_use]
    pub fn new(policy: &'a Policy<MemoryHost>, parameters: Parameters) -> Self {
        Self {
            policy,
            world: Some(Native::new(parameters)),
        }
    }

    fn world(&mut self) -> &mut Native {
        self.world.as_mut().expect("no call is under way")
    }

    fn ask<T>(
        &mut self,
        question: impl FnOnce(&Policy<MemoryHost>, MemoryHost) -> Answer<MemoryHost, T>,
    ) -> Result<T, Denial> {
        let world = self.world.take().expect("no call is under way");
        let (host, verdict) = question(self.policy, world.host);
        self.world = Some(Native { host });
        verdict.map_err(|ending| match ending {
            Ending::Refused(refusal) => Denial::Refused(refusal),
            Ending::Outage(outage) => Denial::Outage(outage),
            Ending::Fault(fault) => panic!("{fault}"),
        })
    }
}

impl Subject for Wasm<'_> {
    fn set_now(&mut self, now: Timestamp) {
        self.world().set_now(now);
    }

    fn administer(&mut self, change: Change) {
        self.world().administer(change);
    }

    fn tokens(&mut self) -> Vec<(TokenState, String)> {
        self.world().tokens()
    }

    fn sessions(&mut self) -> Vec<Session> {
        self.world().sessions()
    }

    fn issue(&mut self, request: IssueRequest, actor: Actor) -> Result<Issued, Denial> {
        self.ask(|policy, host| policy.issue(host, &request, actor))
    }

    fn authenticate(&mut self, presented: &[u8], audience: Audience) -> Result<Grant, Denial> {
        self.ask(|policy, host| policy.authenticate(host, presented, audience))
    }

    fn open_session(&mut self, presented: &[u8], audience: Audience) -> Result<OpenedSession, Denial> {
        self.ask(|policy, host| policy.open_session(host, presented, audience))
    }

    fn check_session(&mut self, presented: &[u8], audience: Audience) -> Result<SessionGrant, Denial> {
        self.ask(|policy, host| policy.check_session(host, presented, audience))
    }

    fn close_session(&mut self, presented: &[u8]) -> Result<ClosedSession, Denial> {
        self.ask(|policy, host| policy.close_session(host, presented))
    }

    fn revoke(&mut self, token: Id, actor: Actor) -> Result<(), Denial> {
        self.ask(|policy, host| policy.revoke(host, token, actor))
    }

    fn revoke_all(&mut self, owner: Id, actor: Actor) -> Result<u32, Denial> {
        self.ask(|policy, host| policy.revoke_all(host, owner, actor))
    }

    fn rotate(&mut self, token: Id, overlap: Duration, actor: Actor) -> Result<Issued, Denial> {
        self.ask(|policy, host| policy.rotate(host, token, overlap, actor))
    }

    fn change_auth_method(&mut self, scope: Scope, method: &str, actor: Actor) -> Result<bool, Denial> {
        self.ask(|policy, host| policy.change_auth_method(host, scope, method, actor))
    }

    fn preview_auth_method(
        &mut self,
        scope: Scope,
        method: &str,
        actor: Actor,
    ) -> Result<MethodPreview, Denial> {
        self.ask(|policy, host| policy.preview_auth_method(host, scope, method, actor))
    }

    fn decide_password_sign_in(&mut self, owner: Id) -> Result<(), Denial> {
        self.ask(|policy, host| policy.decide_password_sign_in(host, owner))
    }

    fn list_tokens(&mut self, owner: Id, actor: Actor) -> Result<Vec<ListedToken>, Denial> {
        self.ask(|policy, host| policy.list_tokens(host, owner, actor))
    }

    fn foresee(&mut self, states: &[TokenState]) -> Vec<Outlook> {
        self.ask(|policy, host| policy.foresee(host, states))
            .expect("no refusal is possible")
    }

    fn sweep(&mut self, limit: u32) -> Result<Swept, Denial> {
        self.ask(|policy, host| policy.sweep(host, limit))
    }
}
