//! Runs a policy: a WebAssembly component that decides, and can do nothing else.
//!
//! A policy is code that somebody else may have written, so this layer assumes that it is hostile and makes these
//! promises to the layers above, whatever the component does:
//!
//! * **Every call ends.** There is a deadline on the guest's time, a limit on its calls to the host, and one on each
//!   thing that it can make the host allocate; [`limits`] lists them all.
//! * **Every call says how it ended.** A yes, a [refusal](Ending::Refused), an [outage](Ending::Outage) of the store,
//!   or a [`Fault`]: the policy did not do its part. Nothing but a well-formed yes is a yes. A store that failed
//!   during the call is an outage even if the policy swallowed it and said yes.
//! * **The host value comes back.** It is moved in, usually with an open transaction, and returned with the verdict,
//!   after a fault as well: it is the caller who commits or rolls back.
//! * **A call leaves nothing behind.** With [`Isolation::PerCall`] each gets a fresh instance, whose memory is wiped
//!   when it ends. With [`Isolation::Warm`] that is left to the policy, and an instance whose call ended in a fault
//!   or an outage is never used again.
//!
//! It does not promise that a yes is right. That is for the caller to check against the records: the floor.
//!
//! No type of wasmtime leaves this module.

mod bindings;
mod cache;
mod checks;
mod exports;
mod fault;
pub mod limits;
mod pool;
mod ports;
mod release;
mod runtime;
#[cfg(test)]
mod tests;
mod world;

use std::time::Duration;

use patrol_policy::types::{
    Actor, Audience, ClosedSession, Description, Grant, Id, IssueRequest, Issued, ListedToken, MethodPreview,
    OpenedSession, Outlook, Refusal, RefusalReason, Scope, SessionGrant, Swept, TokenState,
};

use bindings::patrol::policy::types as wit;
use checks::Lifted;
use exports::Call;
use limits::{FORESEEN_AT_ONCE, NAME_BYTES, PRESENTED_BYTES, SWEPT_AT_ONCE};
use pool::{Answered, Pool};
use ports::State;

pub use fault::{Ending, Fault, FloorRule, Violation};
pub use release::{Isolation, LoadError, Options};

/// What a call gives back: the host value that was moved in, and how it ended.
pub type Answer<H, T> = (H, Result<T, Ending>);

/// A loaded policy, shared by all threads. Each method is one decision of `wit/engine.wit`, on behalf of a host value
/// that answers the policy's questions.
pub struct Policy<H: 'static> {
    pool: Pool<H>,
    deadline: Duration,
    bulk_deadline: Duration,
}

impl<H: patrol_policy::Host + Send + 'static> Policy<H> {
    /// The component of the policy that is built with this host.
    #[must_use]
    pub fn embedded() -> &'static [u8] {
        release::EMBEDDED
    }

    /// Judges a component without compiling it: its size, that it is one, that it imports nothing but what this host's
    /// contract has, and exports all of it, each by the right type. Quick, and safe with anybody's bytes.
    ///
    /// # Errors
    /// [`LoadError`] says what it is instead, and what to do.
    pub fn check(component: &[u8], options: &Options) -> Result<(), LoadError> {
        release::check(component, options.component_bytes)
    }

    /// Loads a component: [checks](Self::check) it and compiles it, unless [`Options::cache_dir`] holds its code already. Then one instance is made, within all
    /// limits and without a host to ask, since only that shows whether it starts and whether the types of its
    /// exports are right.
    ///
    /// # Errors
    /// [`LoadError`] says what is wrong with the component, the options or the machine, and what to do.
    pub fn load(component: &[u8], options: &Options) -> Result<Self, LoadError> {
        let pool = Pool::new(release::Release::load(component, options)?, options);
        pool.try_out(options.deadline)?;
        Ok(Self {
            pool,
            deadline: options.deadline,
            bulk_deadline: options.bulk_deadline,
        })
    }

    /// SHA-256 of the component.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.pool.release().digest
    }

    /// The interfaces that it imports, such as `patrol:policy/clock@0.1.0`.
    #[must_use]
    pub fn imports(&self) -> &[String] {
        &self.pool.release().import_names
    }

    /// The interfaces that it exports.
    #[must_use]
    pub fn exports(&self) -> &[String] {
        &self.pool.release().export_names
    }

    /// The size of the component in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.pool.release().size
    }

    /// Whether its native code came from the cache.
    #[must_use]
    pub fn is_from_cache(&self) -> bool {
        self.pool.release().from_cache
    }

    /// Creates a token (R1, R2, R7, R13).
    pub fn issue(&self, host: H, request: &IssueRequest, actor: Actor) -> Answer<H, Issued> {
        if request.name.len() > NAME_BYTES {
            return (host, refuse(RefusalReason::NameInvalid));
        }
        let request = request.clone().into();
        self.decide(host, |call| call.issue(&request, actor.into()), checks::issued)
    }

    /// Verifies a presented token for an audience; a yes is a use (R3, R4, R5, R12).
    pub fn authenticate(&self, host: H, presented: &[u8], audience: Audience) -> Answer<H, Grant> {
        self.decide_presented(
            host,
            presented,
            |call| call.authenticate(presented, audience),
            checks::flat,
        )
    }

    /// Verifies a presented token and opens a session with it; a yes is a use (R3).
    pub fn open_session(&self, host: H, presented: &[u8], audience: Audience) -> Answer<H, OpenedSession> {
        self.decide_presented(
            host,
            presented,
            |call| call.open_session(presented, audience),
            checks::opened_session,
        )
    }

    /// Verifies a presented session. Not a use of its token (R5).
    pub fn check_session(&self, host: H, presented: &[u8], audience: Audience) -> Answer<H, SessionGrant> {
        self.decide_presented(
            host,
            presented,
            |call| call.check_session(presented, audience),
            checks::flat,
        )
    }

    /// Ends a presented session.
    pub fn close_session(&self, host: H, presented: &[u8]) -> Answer<H, ClosedSession> {
        self.decide_presented(
            host,
            presented,
            |call| call.close_session(presented),
            checks::flat,
        )
    }

    /// Revokes a token (R8).
    pub fn revoke(&self, host: H, token: Id, actor: Actor) -> Answer<H, ()> {
        self.decide(host, |call| call.revoke(token.into(), actor.into()), checks::flat)
    }

    /// Revokes all live tokens of an owner (R8); says how many.
    pub fn revoke_all(&self, host: H, owner: Id, actor: Actor) -> Answer<H, u32> {
        self.decide_in_bulk(
            host,
            |call| call.revoke_all(owner.into(), actor.into()),
            checks::flat,
        )
    }

    /// Gives a live token a new secret; the old one works for `overlap` milliseconds more.
    pub fn rotate(
        &self,
        host: H,
        token: Id,
        overlap: patrol_policy::types::Duration,
        actor: Actor,
    ) -> Answer<H, Issued> {
        self.decide(
            host,
            |call| call.rotate(token.into(), overlap, actor.into()),
            checks::issued,
        )
    }

    /// Changes the authentication method, which ends all tokens in the scope at once (R9); false where it was set
    /// already.
    pub fn change_auth_method(&self, host: H, scope: Scope, method: &str, actor: Actor) -> Answer<H, bool> {
        self.decide(
            host,
            |call| call.change_auth_method(scope.into(), method, actor.into()),
            checks::flat,
        )
    }

    /// Says what [`change_auth_method`](Self::change_auth_method) would do, and does nothing (R9).
    pub fn preview_auth_method(
        &self,
        host: H,
        scope: Scope,
        method: &str,
        actor: Actor,
    ) -> Answer<H, MethodPreview> {
        self.decide_in_bulk(
            host,
            |call| call.preview_auth_method(scope.into(), method, actor.into()),
            checks::flat,
        )
    }

    /// Whether this user may sign in with user name and password (R11).
    pub fn decide_password_sign_in(&self, host: H, owner: Id) -> Answer<H, ()> {
        self.decide(
            host,
            |call| call.decide_password_sign_in(owner.into()),
            checks::flat,
        )
    }

    /// An owner's live tokens, oldest first (R6, R8).
    pub fn list_tokens(&self, host: H, owner: Id, actor: Actor) -> Answer<H, Vec<ListedToken>> {
        self.decide_in_bulk(
            host,
            |call| call.list_tokens(owner.into(), actor.into()),
            checks::listed,
        )
    }

    /// When each of these tokens ended or will end, in the same order. Asks only the clock and the settings.
    pub fn foresee(&self, mut host: H, states: &[TokenState]) -> Answer<H, Vec<Outlook>> {
        let mut all = Vec::with_capacity(states.len());
        for states in states.chunks(FORESEEN_AT_ONCE) {
            let wire: Vec<wit::TokenState> = states.iter().map(|state| (*state).into()).collect();
            let (back, outlooks) = self.decide_in_bulk(
                host,
                |call| call.foresee(&wire).map(Ok),
                |answer| checks::outlooks(answer, wire.len()),
            );
            host = back;
            match outlooks {
                Ok(outlooks) => all.extend(outlooks),
                Err(ending) => return (host, Err(ending)),
            }
        }
        (host, Ok(all))
    }

    /// One round of housekeeping, at most `limit` records of each kind, and at most [`SWEPT_AT_ONCE`] (R6).
    pub fn sweep(&self, host: H, limit: u32) -> Answer<H, Swept> {
        let limit = limit.min(SWEPT_AT_ONCE);
        self.decide_in_bulk(
            host,
            |call| call.sweep(limit),
            |answer| checks::swept(answer, limit),
        )
    }

    /// What the policy says of itself.
    pub fn describe(&self, host: H) -> Answer<H, Description> {
        self.decide(host, |call| call.describe().map(Ok), checks::description)
    }

    /// One decision.
    fn decide<W, T>(
        &self,
        host: H,
        question: impl FnOnce(Call<'_, State<H>>) -> Answered<W>,
        lift: impl FnOnce(W) -> Lifted<T>,
    ) -> Answer<H, T> {
        self.pool.call(host, self.deadline, question, lift)
    }

    /// A decision about a presented secret. One that is longer than any token is no reason to trouble the guest,
    /// whose memory is small: what a caller sends must not be able to make a fault.
    fn decide_presented<W, T>(
        &self,
        host: H,
        presented: &[u8],
        question: impl FnOnce(Call<'_, State<H>>) -> Answered<W>,
        lift: impl FnOnce(W) -> Lifted<T>,
    ) -> Answer<H, T> {
        if presented.len() > PRESENTED_BYTES {
            return (host, refuse(RefusalReason::Malformed));
        }
        self.decide(host, question, lift)
    }

    /// A decision that reads or writes many records.
    fn decide_in_bulk<W, T>(
        &self,
        host: H,
        question: impl FnOnce(Call<'_, State<H>>) -> Answered<W>,
        lift: impl FnOnce(W) -> Lifted<T>,
    ) -> Answer<H, T> {
        self.pool.call(host, self.bulk_deadline, question, lift)
    }
}

/// A refusal that needs no policy.
fn refuse<T>(reason: RefusalReason) -> Result<T, Ending> {
    Err(Ending::Refused(Refusal { reason, token: None }))
}
