//! The component: the engine over the imports of `wit/world.wit`. No rule lives here.
//!
//! Every presented text is wiped when the call is over, and so is whatever else was freed: an instance that serves
//! several calls must not carry a secret from one into the next.

use alloc::string::String;
use alloc::vec::Vec;

use zeroize::Zeroize;

use crate::types::{
    Census, Digest, End, Id, LiveRule, NamedToken, Outage, Owner, Parameters, PreviousSecret, Scope, Session,
    SessionState, Timestamp, Token, TokenState,
};
use crate::{Engine, Host, Secret};

#[allow(
    missing_docs,
    unsafe_code,
    clippy::all,
    clippy::restriction,
    reason = "generated"
)]
mod bindings {
    wit_bindgen::generate!({ path: "../wit", world: "policy", generate_all });
    use super::Policy;
    export!(Policy);
}

use bindings::exports::patrol::policy::about::{self, Description};
use bindings::exports::patrol::policy::engine as export;
use bindings::patrol::policy::{clock, diagnostics, entropy, settings, storage, types as wit};

crate::contract!(bindings);

/// The imports, as the engine wants them.
struct Imports;

impl Host for Imports {
    fn now(&mut self) -> Timestamp {
        clock::now()
    }

    fn parameters(&mut self) -> Parameters {
        settings::current().into()
    }

    fn draw(&mut self, buffer: &mut [u8; 32]) {
        if getrandom::fill(buffer).is_err() {
            fail("no entropy");
        }
    }

    fn get_token(&mut self, id: Id) -> Result<Option<TokenState>, Outage> {
        Ok(storage::get_token(id.into())?.map(Into::into))
    }

    fn get_owner(&mut self, id: Id) -> Result<Option<Owner>, Outage> {
        Ok(storage::get_owner(id.into())?.map(Into::into))
    }

    fn count_live_tokens(&mut self, owner: Id, rule: LiveRule) -> Result<u32, Outage> {
        Ok(storage::count_live_tokens(owner.into(), rule.into())?)
    }

    fn live_name_exists(&mut self, owner: Id, name: &str, rule: LiveRule) -> Result<bool, Outage> {
        Ok(storage::live_name_exists(owner.into(), name, rule.into())?)
    }

    fn list_live_tokens(&mut self, owner: Id, rule: LiveRule) -> Result<Vec<NamedToken>, Outage> {
        Ok(all(storage::list_live_tokens(owner.into(), rule.into())?))
    }

    fn insert_token(&mut self, token: &Token, name: &str) -> Result<(), Outage> {
        Ok(storage::insert_token((*token).into(), name)?)
    }

    fn replace_secret(
        &mut self,
        id: Id,
        generation: u32,
        scheme: u8,
        digest: Digest,
        previous: Option<PreviousSecret>,
    ) -> Result<(), Outage> {
        let previous = previous.map(Into::into);
        Ok(storage::replace_secret(
            id.into(),
            generation,
            scheme,
            digest.into(),
            previous,
        )?)
    }

    fn record_use(&mut self, id: Id, at: Timestamp) -> Result<(), Outage> {
        Ok(storage::record_use(id.into(), at)?)
    }

    fn end_token(&mut self, id: Id, end: End) -> Result<(), Outage> {
        Ok(storage::end_token(id.into(), end.into())?)
    }

    fn end_live_tokens(&mut self, owner: Id, rule: LiveRule, end: End) -> Result<u32, Outage> {
        Ok(storage::end_live_tokens(owner.into(), rule.into(), end.into())?)
    }

    fn get_session(&mut self, id: Id) -> Result<Option<SessionState>, Outage> {
        Ok(storage::get_session(id.into())?.map(Into::into))
    }

    fn insert_session(&mut self, session: &Session) -> Result<(), Outage> {
        Ok(storage::insert_session((*session).into())?)
    }

    fn record_session_use(&mut self, id: Id, at: Timestamp) -> Result<(), Outage> {
        Ok(storage::record_session_use(id.into(), at)?)
    }

    fn end_session(&mut self, id: Id, end: End) -> Result<(), Outage> {
        Ok(storage::end_session(id.into(), end.into())?)
    }

    fn list_open_sessions(&mut self, token: Id) -> Result<Vec<Session>, Outage> {
        Ok(all(storage::list_open_sessions(token.into())?))
    }

    fn get_auth_method(&mut self, scope: Scope) -> Result<Option<String>, Outage> {
        Ok(storage::get_auth_method(scope.into())?)
    }

    fn set_auth_method(&mut self, scope: Scope, method: &str, at: Timestamp) -> Result<(), Outage> {
        Ok(storage::set_auth_method(scope.into(), method, at)?)
    }

    fn take_census(&mut self, scope: Scope, rule: LiveRule) -> Result<Census, Outage> {
        Ok(storage::take_census(scope.into(), rule.into())?.into())
    }

    fn list_lapsed_tokens(&mut self, rule: LiveRule, limit: u32) -> Result<Vec<TokenState>, Outage> {
        Ok(all(storage::list_lapsed_tokens(rule.into(), limit)?))
    }

    fn erase_previous_secrets(&mut self, until: Timestamp, limit: u32) -> Result<u32, Outage> {
        Ok(storage::erase_previous_secrets(until, limit)?)
    }

    fn forget_tokens(&mut self, ended_until: Timestamp, limit: u32) -> Result<u32, Outage> {
        Ok(storage::forget_tokens(ended_until, limit)?)
    }

    fn forget_sessions(
        &mut self,
        opened_until: Timestamp,
        used_until: Timestamp,
        limit: u32,
    ) -> Result<u32, Outage> {
        Ok(storage::forget_sessions(opened_until, used_until, limit)?)
    }
}

/// The exports.
struct Policy;

impl export::Guest for Policy {
    fn issue(request: export::IssueRequest, actor: wit::Actor) -> Result<export::Issued, wit::Denial> {
        Ok(Engine::new(&mut Imports)
            .issue(request.into(), actor.into())?
            .into())
    }

    fn authenticate(presented: Vec<u8>, audience: wit::Audience) -> Result<export::Grant, wit::Denial> {
        let presented = Secret::new(presented);
        Ok(Engine::new(&mut Imports)
            .authenticate(presented.expose(), audience)?
            .into())
    }

    fn open_session(
        presented: Vec<u8>,
        audience: wit::Audience,
    ) -> Result<export::OpenedSession, wit::Denial> {
        let presented = Secret::new(presented);
        Ok(Engine::new(&mut Imports)
            .open_session(presented.expose(), audience)?
            .into())
    }

    fn check_session(
        presented: Vec<u8>,
        audience: wit::Audience,
    ) -> Result<export::SessionGrant, wit::Denial> {
        let presented = Secret::new(presented);
        Ok(Engine::new(&mut Imports)
            .check_session(presented.expose(), audience)?
            .into())
    }

    fn close_session(presented: Vec<u8>) -> Result<export::ClosedSession, wit::Denial> {
        let presented = Secret::new(presented);
        Ok(Engine::new(&mut Imports)
            .close_session(presented.expose())?
            .into())
    }

    fn revoke(token: wit::Id, actor: wit::Actor) -> Result<wit::TokenState, wit::Denial> {
        Ok(Engine::new(&mut Imports)
            .revoke(token.into(), actor.into())?
            .into())
    }

    fn revoke_all(owner: wit::Id, actor: wit::Actor) -> Result<u32, wit::Denial> {
        Ok(Engine::new(&mut Imports).revoke_all(owner.into(), actor.into())?)
    }

    fn rotate(
        token: wit::Id,
        overlap: wit::Duration,
        actor: wit::Actor,
    ) -> Result<export::Issued, wit::Denial> {
        Ok(Engine::new(&mut Imports)
            .rotate(token.into(), overlap, actor.into())?
            .into())
    }

    fn change_auth_method(
        scope: wit::Scope,
        method: String,
        actor: wit::Actor,
    ) -> Result<export::MethodChange, wit::Denial> {
        Ok(Engine::new(&mut Imports)
            .change_auth_method(scope.into(), &method, actor.into())?
            .into())
    }

    fn preview_auth_method(
        scope: wit::Scope,
        method: String,
        actor: wit::Actor,
    ) -> Result<export::MethodPreview, wit::Denial> {
        Ok(Engine::new(&mut Imports)
            .preview_auth_method(scope.into(), &method, actor.into())?
            .into())
    }

    fn decide_password_sign_in(owner: wit::Id) -> Result<(), wit::Denial> {
        Ok(Engine::new(&mut Imports).decide_password_sign_in(owner.into())?)
    }

    fn list_tokens(owner: wit::Id, actor: wit::Actor) -> Result<Vec<export::ListedToken>, wit::Denial> {
        Ok(all(
            Engine::new(&mut Imports).list_tokens(owner.into(), actor.into())?
        ))
    }

    fn foresee(states: Vec<wit::TokenState>) -> Vec<export::Outlook> {
        all(Engine::new(&mut Imports).foresee(&all::<_, TokenState>(states)))
    }

    fn sweep(limit: u32) -> Result<export::Swept, wit::Denial> {
        Ok(Engine::new(&mut Imports).sweep(limit)?.into())
    }
}

impl about::Guest for Policy {
    fn describe() -> Description {
        crate::about::describe(Imports.parameters()).into()
    }
}

/// Converts a list. A plain loop: the iterator machinery for it weighs several KiB a type.
fn all<A, B: From<A>>(list: Vec<A>) -> Vec<B> {
    let mut converted = Vec::with_capacity(list.len());
    for item in list {
        converted.push(item.into());
    }
    converted
}

/// Ends the call as a fault.
pub(crate) fn fail(reason: &str) -> ! {
    diagnostics::abort(reason);
    core::arch::wasm32::unreachable()
}

/// Without WASI a panic's text is lost unless the host is told. Only texts that need no formatting are: it would
/// weigh more than all rules together.
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let place = info.location().map_or("panicked", |location| location.file());
    fail(info.message().as_str().unwrap_or(place))
}

/// Where `getrandom` finds its randomness: the host's generator.
///
/// # Safety
/// `getrandom` passes a pointer to `length` bytes that it may write to.
#[allow(
    unsafe_code,
    reason = "getrandom looks its backend up by symbol name and hands it a raw buffer"
)]
#[unsafe(no_mangle)]
unsafe extern "Rust" fn __getrandom_v03_custom(
    buffer: *mut u8,
    length: usize,
) -> Result<(), getrandom::Error> {
    for offset in (0..length).step_by(32) {
        let mut drawn = Digest::from(entropy::draw()).to_bytes();
        let part = length.saturating_sub(offset).min(drawn.len());
        // SAFETY: offset + part <= length, so the bytes written are the caller's; `drawn` holds `part` bytes and
        // is a local, so the two do not overlap.
        unsafe {
            buffer
                .wrapping_add(offset)
                .copy_from_nonoverlapping(drawn.as_ptr(), part)
        };
        drawn.zeroize();
    }
    Ok(())
}
