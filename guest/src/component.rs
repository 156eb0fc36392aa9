//! The component: a [`Policy`] over the imports of `wit/world.wit`. No rule lives here.
//!
//! [`export!`](crate::export) makes the crate in which it stands the component of its policy. What it writes there is as
//! little as can be, one function by name for each of the contract's; all else is here, and in
//! [`runtime`](crate::runtime).
//!
//! The generated code works on the types of [`types`](crate::types) themselves, so nothing is converted: half of the
//! component would be that. It builds records by the names of their fields and variants by those of their cases, and
//! so does not compile where the contract differs; it knows an enum's cases by their number only, which a test
//! compares with `wit/`.
//!
//! A presented text is freed when the call is over, and the [allocator](crate::allocator) wipes whatever is freed: an
//! instance that serves several calls must not carry a secret from one into the next.

use alloc::string::String;
use alloc::vec::Vec;

use crate::runtime::fail;
use crate::types::{
    Actor, Audience, Census, ClosedSession, Denial, Description, Digest, Duration, End, Grant, Id,
    IssueRequest, Issued, Level, ListedToken, LiveRule, MethodPreview, OpenedSession, Outage, Outlook, Owner,
    Parameters, PreviousSecret, Scope, Session, SessionGrant, SessionState, Swept, Timestamp, Token,
    TokenState,
};
use crate::{Host, Policy};

#[allow(
    missing_docs,
    unsafe_code,
    clippy::all,
    clippy::restriction,
    reason = "generated"
)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        world: "policy",
        generate_all,
        // The crate of a policy exports what is generated here.
        pub_export_macro: true,
        with: {
            "patrol:policy/types@0.1.0/id": crate::types::Id,
            "patrol:policy/types@0.1.0/digest": crate::types::Digest,
            "patrol:policy/types@0.1.0/cause": crate::types::Cause,
            "patrol:policy/types@0.1.0/end": crate::types::End,
            "patrol:policy/types@0.1.0/previous-secret": crate::types::PreviousSecret,
            "patrol:policy/types@0.1.0/token": crate::types::Token,
            "patrol:policy/types@0.1.0/owner": crate::types::Owner,
            "patrol:policy/types@0.1.0/token-state": crate::types::TokenState,
            "patrol:policy/types@0.1.0/session": crate::types::Session,
            "patrol:policy/types@0.1.0/session-state": crate::types::SessionState,
            "patrol:policy/types@0.1.0/live-rule": crate::types::LiveRule,
            "patrol:policy/types@0.1.0/scope": crate::types::Scope,
            "patrol:policy/types@0.1.0/actor-role": crate::types::ActorRole,
            "patrol:policy/types@0.1.0/actor": crate::types::Actor,
            "patrol:policy/types@0.1.0/refusal-reason": crate::types::RefusalReason,
            "patrol:policy/types@0.1.0/refusal": crate::types::Refusal,
            "patrol:policy/types@0.1.0/outage": crate::types::Outage,
            "patrol:policy/types@0.1.0/denial": crate::types::Denial,
            "patrol:policy/storage@0.1.0/census": crate::types::Census,
            "patrol:policy/settings@0.1.0/parameters": crate::types::Parameters,
            "patrol:policy/engine@0.1.0/issue-request": crate::types::IssueRequest,
            "patrol:policy/engine@0.1.0/grant": crate::types::Grant,
            "patrol:policy/engine@0.1.0/session-grant": crate::types::SessionGrant,
            "patrol:policy/engine@0.1.0/closed-session": crate::types::ClosedSession,
            "patrol:policy/engine@0.1.0/listed-token": crate::types::ListedToken,
            "patrol:policy/engine@0.1.0/method-preview": crate::types::MethodPreview,
            "patrol:policy/engine@0.1.0/outlook": crate::types::Outlook,
            "patrol:policy/engine@0.1.0/swept": crate::types::Swept,
            "patrol:policy/about@0.1.0/description": crate::types::Description,
        },
    });
}

use bindings::exports::patrol::policy::{about, engine};
use bindings::patrol::policy::storage::{self, Selection};
use bindings::patrol::policy::{clock, diagnostics, keyring, settings};

/// The imports, as a policy wants them.
struct Imports;

impl Host for Imports {
    fn now(&mut self) -> Timestamp {
        clock::now()
    }

    fn parameters(&mut self) -> Parameters {
        settings::current()
    }

    fn draw(&mut self, buffer: &mut [u8; 32]) {
        if getrandom::fill(buffer).is_err() {
            fail("no entropy");
        }
    }

    fn mac(&mut self, message: Digest) -> Result<Digest, Outage> {
        keyring::mac(message)
    }

    fn log(&mut self, level: Level, message: &str) {
        let level = match level {
            Level::Error => diagnostics::Level::Error,
            Level::Warn => diagnostics::Level::Warn,
            Level::Info => diagnostics::Level::Info,
            Level::Debug => diagnostics::Level::Debug,
        };
        diagnostics::log(level, message);
    }

    fn get_token(&mut self, id: Id) -> Result<Option<TokenState>, Outage> {
        storage::get_token(id)
    }

    fn get_owner(&mut self, id: Id) -> Result<Option<Owner>, Outage> {
        storage::get_owner(id)
    }

    fn count_live_tokens(&mut self, owner: Id, rule: LiveRule) -> Result<u32, Outage> {
        storage::count_live_tokens(owner, rule)
    }

    fn live_name_exists(&mut self, owner: Id, name: &str, rule: LiveRule) -> Result<bool, Outage> {
        storage::live_name_exists(owner, name, rule)
    }

    fn list_live_tokens(&mut self, owner: Id, rule: LiveRule) -> Result<Vec<TokenState>, Outage> {
        storage::list_tokens(Selection::Live(owner), rule)
    }

    fn insert_token(&mut self, token: &Token, name: &str) -> Result<(), Outage> {
        storage::insert_token(*token, name)
    }

    fn replace_secret(
        &mut self,
        id: Id,
        generation: u32,
        scheme: u8,
        digest: Digest,
        previous: Option<PreviousSecret>,
    ) -> Result<(), Outage> {
        storage::replace_secret(id, generation, scheme, digest, previous)
    }

    fn record_use(&mut self, id: Id, at: Timestamp) -> Result<(), Outage> {
        storage::record_use(id, at)
    }

    fn end_token(&mut self, id: Id, end: End) -> Result<(), Outage> {
        storage::end_token(id, end)
    }

    fn end_live_tokens(&mut self, owner: Id, rule: LiveRule, end: End) -> Result<u32, Outage> {
        storage::end_live_tokens(owner, rule, end)
    }

    fn get_session(&mut self, id: Id) -> Result<Option<SessionState>, Outage> {
        storage::get_session(id)
    }

    fn insert_session(&mut self, session: &Session) -> Result<(), Outage> {
        storage::insert_session(*session)
    }

    fn record_session_use(&mut self, id: Id, at: Timestamp) -> Result<(), Outage> {
        storage::record_session_use(id, at)
    }

    fn end_session(&mut self, id: Id, end: End) -> Result<(), Outage> {
        storage::end_session(id, end)
    }

    fn list_open_sessions(&mut self, token: Id) -> Result<Vec<Session>, Outage> {
        storage::list_open_sessions(token)
    }

    fn get_auth_method(&mut self, scope: Scope) -> Result<Option<String>, Outage> {
        storage::get_auth_method(scope)
    }

    fn set_auth_method(&mut self, scope: Scope, method: &str, at: Timestamp) -> Result<(), Outage> {
        storage::set_auth_method(scope, method, at)
    }

    fn take_census(&mut self, scope: Scope, rule: LiveRule) -> Result<Census, Outage> {
        storage::take_census(scope, rule)
    }

    fn list_lapsed_tokens(&mut self, rule: LiveRule, limit: u32) -> Result<Vec<TokenState>, Outage> {
        storage::list_tokens(Selection::Lapsed(limit), rule)
    }

    fn erase_previous_secrets(&mut self, until: Timestamp, limit: u32) -> Result<u32, Outage> {
        storage::erase_previous_secrets(until, limit)
    }

    fn forget_tokens(&mut self, ended_until: Timestamp, limit: u32) -> Result<u32, Outage> {
        storage::forget_tokens(ended_until, limit)
    }

    fn forget_sessions(
        &mut self,
        opened_until: Timestamp,
        used_until: Timestamp,
        limit: u32,
    ) -> Result<u32, Outage> {
        storage::forget_sessions(opened_until, used_until, limit)
    }
}

/// Which policy a component is; [`export!`](crate::export) implements it.
pub trait Exported {
    /// Its type.
    type Policy: Policy;
    /// Itself.
    const POLICY: Self::Policy;
}

impl<E: Exported> engine::Guest for E {
    fn issue(request: IssueRequest, actor: Actor) -> Result<engine::Issued, Denial> {
        E::POLICY.issue(&mut Imports, request, actor).map(exposed)
    }

    fn authenticate(presented: Vec<u8>, audience: Audience) -> Result<Grant, Denial> {
        E::POLICY.authenticate(&mut Imports, &presented, audience)
    }

    fn open_session(presented: Vec<u8>, audience: Audience) -> Result<engine::OpenedSession, Denial> {
        let OpenedSession {
            session,
            secret,
            grant,
            ends,
            expires,
        } = E::POLICY.open_session(&mut Imports, &presented, audience)?;
        Ok(engine::OpenedSession {
            session,
            secret: secret.into_bytes(),
            grant,
            ends,
            expires,
        })
    }

    fn check_session(presented: Vec<u8>, audience: Audience) -> Result<SessionGrant, Denial> {
        E::POLICY.check_session(&mut Imports, &presented, audience)
    }

    fn close_session(presented: Vec<u8>) -> Result<ClosedSession, Denial> {
        E::POLICY.close_session(&mut Imports, &presented)
    }

    fn revoke(token: Id, actor: Actor) -> Result<(), Denial> {
        E::POLICY.revoke(&mut Imports, token, actor)
    }

    fn revoke_all(owner: Id, actor: Actor) -> Result<u32, Denial> {
        E::POLICY.revoke_all(&mut Imports, owner, actor)
    }

    fn rotate(token: Id, overlap: Duration, actor: Actor) -> Result<engine::Issued, Denial> {
        E::POLICY.rotate(&mut Imports, token, overlap, actor).map(exposed)
    }

    fn change_auth_method(scope: Scope, method: String, actor: Actor) -> Result<bool, Denial> {
        E::POLICY.change_auth_method(&mut Imports, scope, &method, actor)
    }

    fn preview_auth_method(scope: Scope, method: String, actor: Actor) -> Result<MethodPreview, Denial> {
        E::POLICY.preview_auth_method(&mut Imports, scope, &method, actor)
    }

    fn decide_password_sign_in(owner: Id) -> Result<(), Denial> {
        E::POLICY.decide_password_sign_in(&mut Imports, owner)
    }

    fn list_tokens(owner: Id, actor: Actor) -> Result<Vec<ListedToken>, Denial> {
        E::POLICY.list_tokens(&mut Imports, owner, actor)
    }

    fn foresee(states: Vec<TokenState>) -> Vec<Outlook> {
        E::POLICY.foresee(&mut Imports, &states)
    }

    fn sweep(limit: u32) -> Result<Swept, Denial> {
        E::POLICY.sweep(&mut Imports, limit)
    }
}

impl<E: Exported> about::Guest for E {
    fn describe() -> Description {
        E::POLICY.describe(&mut Imports)
    }
}

/// A secret on its way out: the bindings know it as bytes, and free them once the host has read them.
fn exposed(issued: Issued) -> engine::Issued {
    let Issued { token, secret, ends } = issued;
    engine::Issued {
        token,
        secret: secret.into_bytes(),
        ends,
    }
}
