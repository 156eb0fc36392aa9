//! What a policy can reach: the imports of the contract over a [`patrol_policy::Host`].
//!
//! Epoch interruption stops the guest only while it runs guest code, so what happens here must be bounded by itself:
//! each import counts as a host call, and a decision may make [`HOST_CALLS`] of them. How long the host takes for one
//! is not held against the policy: see [`State::waited`].

use std::sync::Arc;

use patrol_policy::types::{self as plain, Outage};

use super::bindings::patrol::policy::{clock, diagnostics, entropy, keyring, settings, storage, types};
use super::fault::{Stop, printable, shorten};
use super::limits::{HOST_CALLS, LOG_CHARS, LOG_LINES, Limiter, NAME_BYTES, SWEPT_AT_ONCE};
use super::runtime::Ticks;

/// What a wasmtime store carries: the host's side of one instance.
pub(super) struct State<H> {
    pub(super) limiter: Limiter,
    /// Whether it only says what it would decide.
    candidate: bool,
    ticks: Arc<Ticks>,
    /// Whose call it is. Empty between the calls of a warm instance.
    host: Option<H>,
    calls: u32,
    lines: u32,
    waited: u64,
    outage: Option<Outage>,
    unkeyed: Option<Outage>,
}

/// The first outage of each kind that the guest was told of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    /// Of the storage: nothing that the guest says counts any more.
    pub(super) outage: Option<Outage>,
    /// Of the keyring: it may answer with that, and it may do without. It is for the host to know whether it could.
    pub(super) unkeyed: Option<Outage>,
}

impl<H> State<H> {
    pub(super) fn new(limiter: Limiter, ticks: Arc<Ticks>, candidate: bool) -> Self {
        Self {
            limiter,
            candidate,
            ticks,
            host: None,
            calls: 0,
            lines: 0,
            waited: 0,
            outage: None,
            unkeyed: None,
        }
    }

    /// Starts a call on behalf of `host`, with fresh counters.
    pub(super) fn begin(&mut self, host: H) {
        self.host = Some(host);
        self.calls = 0;
        self.lines = 0;
        self.waited = 0;
        self.outage = None;
        self.unkeyed = None;
    }

    /// Ends the call: the host comes back, with what the guest was told.
    pub(super) fn finish(&mut self) -> (Option<H>, Told) {
        let told = Told {
            outage: self.outage.take(),
            unkeyed: self.unkeyed.take(),
        };
        (self.host.take(), told)
    }

    /// Ticks spent in the host since the last time this was asked. A slow disk must not look like a slow policy, so
    /// the deadline moves by as much.
    pub(super) fn waited(&mut self) -> u64 {
        std::mem::take(&mut self.waited)
    }

    fn ask<T>(&mut self, question: impl FnOnce(&mut H) -> T) -> wasmtime::Result<T> {
        // INVARIANT: no import does anything before it is counted; a guest in a straight line of calls never reaches
        // an epoch check.
        self.calls = self.calls.saturating_add(1);
        if self.calls > HOST_CALLS {
            return Err(Stop::HostCalls(HOST_CALLS).into());
        }
        let host = self.host.as_mut().ok_or(Stop::NoCall)?;
        let before = self.ticks.now();
        let answer = question(host);
        self.waited = self
            .waited
            .saturating_add(self.ticks.now().saturating_sub(before));
        Ok(answer)
    }

    /// Asks the storage, and remembers an outage whatever the guest makes of it.
    fn ask_storage<T>(&mut self, question: impl FnOnce(&mut H) -> Result<T, Outage>) -> Stored<T> {
        let answer = self.ask(question)?;
        if let Err(outage) = &answer {
            self.outage.get_or_insert(*outage);
        }
        Ok(answer.map_err(Into::into))
    }
}

/// An answer of the storage: a fault outside, the contract's own error inside.
type Stored<T> = wasmtime::Result<Result<T, types::Outage>>;

/// A name or a method on its way into the store. The guest's word for its length is not taken.
fn bounded(text: &str) -> Result<&str, Stop> {
    if text.len() > NAME_BYTES {
        Err(Stop::TooLong(text.len()))
    } else {
        Ok(text)
    }
}

impl<H> types::Host for State<H> {}

impl<H: patrol_policy::Host> clock::Host for State<H> {
    fn now(&mut self) -> wasmtime::Result<types::Timestamp> {
        self.ask(H::now)
    }
}

impl<H: patrol_policy::Host> entropy::Host for State<H> {
    fn draw(&mut self) -> wasmtime::Result<types::Digest> {
        self.ask(|host| {
            let mut buffer = zeroize::Zeroizing::new([0; 32]);
            host.draw(&mut buffer);
            plain::Digest::from_bytes(&buffer).into()
        })
    }
}

impl<H: patrol_policy::Host> keyring::Host for State<H> {
    fn mac(&mut self, message: types::Digest) -> Stored<types::Digest> {
        let answer = self.ask(|host| host.mac(message.into()))?;
        if let Err(outage) = &answer {
            self.unkeyed.get_or_insert(*outage);
        }
        Ok(answer.map(Into::into).map_err(Into::into))
    }
}

impl<H: patrol_policy::Host> settings::Host for State<H> {
    fn current(&mut self) -> wasmtime::Result<settings::Parameters> {
        self.ask(|host| host.parameters().into())
    }
}

impl<H: patrol_policy::Host> diagnostics::Host for State<H> {
    fn log(&mut self, level: diagnostics::Level, message: String) -> wasmtime::Result<()> {
        self.ask(|_| ())?;
        self.lines = self.lines.saturating_add(1);
        if self.lines > LOG_LINES {
            return Ok(());
        }
        let message = shorten(&message, LOG_CHARS);
        let last = if self.lines == LOG_LINES {
            " (the last line of this call that is shown)"
        } else {
            ""
        };
        if self.candidate {
            tracing::debug!(target: "patrol::policy::candidate", ?level, "{message}{last}");
            return Ok(());
        }
        match level {
            diagnostics::Level::Error => tracing::error!(target: "patrol::policy::guest", "{message}{last}"),
            diagnostics::Level::Warn => tracing::warn!(target: "patrol::policy::guest", "{message}{last}"),
            diagnostics::Level::Info => tracing::info!(target: "patrol::policy::guest", "{message}{last}"),
            diagnostics::Level::Debug => tracing::debug!(target: "patrol::policy::guest", "{message}{last}"),
        }
        Ok(())
    }

    fn abort(&mut self, reason: String) -> wasmtime::Result<()> {
        Err(Stop::Aborted(printable(&reason)).into())
    }
}

impl<H: patrol_policy::Host> storage::Host for State<H> {
    fn get_token(&mut self, id: types::Id) -> Stored<Option<types::TokenState>> {
        self.ask_storage(|host| Ok(host.get_token(id.into())?.map(Into::into)))
    }

    fn get_owner(&mut self, id: types::Id) -> Stored<Option<types::Owner>> {
        self.ask_storage(|host| Ok(host.get_owner(id.into())?.map(Into::into)))
    }

    fn count_live_tokens(&mut self, owner: types::Id, rule: types::LiveRule) -> Stored<u32> {
        self.ask_storage(|host| host.count_live_tokens(owner.into(), rule.into()))
    }

    fn live_name_exists(&mut self, owner: types::Id, name: String, rule: types::LiveRule) -> Stored<bool> {
        let name = bounded(&name)?;
        self.ask_storage(|host| host.live_name_exists(owner.into(), name, rule.into()))
    }

    fn list_tokens(
        &mut self,
        selection: storage::Selection,
        rule: types::LiveRule,
    ) -> Stored<Vec<types::TokenState>> {
        self.ask_storage(|host| {
            let records = match selection {
                storage::Selection::Live(owner) => host.list_live_tokens(owner.into(), rule.into()),
                // The limit is the guest's, as it is below: "up to" allows for less.
                storage::Selection::Lapsed(limit) => {
                    host.list_lapsed_tokens(rule.into(), limit.min(SWEPT_AT_ONCE))
                }
            };
            Ok(list(records?))
        })
    }

    fn insert_token(&mut self, token: types::Token, name: String) -> Stored<()> {
        let name = bounded(&name)?;
        self.ask_storage(|host| host.insert_token(&token.into(), name))
    }

    fn replace_secret(
        &mut self,
        id: types::Id,
        generation: u32,
        scheme: u8,
        digest: types::Digest,
        previous: Option<types::PreviousSecret>,
    ) -> Stored<()> {
        let previous = previous.map(Into::into);
        self.ask_storage(|host| host.replace_secret(id.into(), generation, scheme, digest.into(), previous))
    }

    fn record_use(&mut self, id: types::Id, at: types::Timestamp) -> Stored<()> {
        self.ask_storage(|host| host.record_use(id.into(), at))
    }

    fn end_token(&mut self, id: types::Id, end: types::End) -> Stored<()> {
        self.ask_storage(|host| host.end_token(id.into(), end.into()))
    }

    fn end_live_tokens(&mut self, owner: types::Id, rule: types::LiveRule, end: types::End) -> Stored<u32> {
        self.ask_storage(|host| host.end_live_tokens(owner.into(), rule.into(), end.into()))
    }

    fn get_session(&mut self, id: types::Id) -> Stored<Option<types::SessionState>> {
        self.ask_storage(|host| Ok(host.get_session(id.into())?.map(Into::into)))
    }

    fn insert_session(&mut self, session: types::Session) -> Stored<()> {
        self.ask_storage(|host| host.insert_session(&session.into()))
    }

    fn record_session_use(&mut self, id: types::Id, at: types::Timestamp) -> Stored<()> {
        self.ask_storage(|host| host.record_session_use(id.into(), at))
    }

    fn end_session(&mut self, id: types::Id, end: types::End) -> Stored<()> {
        self.ask_storage(|host| host.end_session(id.into(), end.into()))
    }

    fn list_open_sessions(&mut self, token: types::Id) -> Stored<Vec<types::Session>> {
        self.ask_storage(|host| Ok(list(host.list_open_sessions(token.into())?)))
    }

    fn get_auth_method(&mut self, scope: types::Scope) -> Stored<Option<String>> {
        self.ask_storage(|host| host.get_auth_method(scope.into()))
    }

    fn set_auth_method(&mut self, scope: types::Scope, method: String, at: types::Timestamp) -> Stored<()> {
        let method = bounded(&method)?;
        self.ask_storage(|host| host.set_auth_method(scope.into(), method, at))
    }

    fn take_census(&mut self, scope: types::Scope, rule: types::LiveRule) -> Stored<storage::Census> {
        self.ask_storage(|host| Ok(host.take_census(scope.into(), rule.into())?.into()))
    }

    // The limits of the next three are the guest's: "up to" allows for less.

    fn erase_previous_secrets(&mut self, until: types::Timestamp, limit: u32) -> Stored<u32> {
        self.ask_storage(|host| host.erase_previous_secrets(until, limit.min(SWEPT_AT_ONCE)))
    }

    fn forget_tokens(&mut self, ended_until: types::Timestamp, limit: u32) -> Stored<u32> {
        self.ask_storage(|host| host.forget_tokens(ended_until, limit.min(SWEPT_AT_ONCE)))
    }

    fn forget_sessions(
        &mut self,
        opened_until: types::Timestamp,
        used_until: types::Timestamp,
        limit: u32,
    ) -> Stored<u32> {
        self.ask_storage(|host| host.forget_sessions(opened_until, used_until, limit.min(SWEPT_AT_ONCE)))
    }
}

fn list<T, W: From<T>>(records: Vec<T>) -> Vec<W> {
    records.into_iter().map(W::from).collect()
}
