//! A policy that overrides every method there is, so that a test can see whether the host hears of each.
//!
//! Asked in a contrary way, by the word or the number below, a function gives an answer that the stock rules never give.
//! Asked in any other way it goes on to them, and they ask the hooks.
#![cfg_attr(target_arch = "wasm32", no_std)]

use patrol_policy::prelude::*;

/// What makes a function contrary, as a name, a secret or a method.
const WORD: &str = "contrary";
/// The same as a number, or as the lower half of an identifier.
const NUMBER: u32 = 42;

/// The policy. How long a token rests is a field, since a policy may have some.
#[derive(Clone, Copy, Debug)]
pub struct Contrary {
    /// Every this many days, counted from 1970, no token works.
    pub rest_every: u64,
}

impl Policy for Contrary {
    const NAME: &'static str = "contrary";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    /// Tries to be laxer with some, and is stricter with others.
    fn parameters(&self, configured: Parameters) -> Parameters {
        Parameters {
            idle_after: u64::MAX,
            tokens_per_owner: 2,
            max_overlap: HOUR,
            sessions_per_token: 0,
            retention: 0,
            ..configured
        }
    }

    fn accepts_name(&self, name: &str) -> bool {
        name != "unwanted"
    }

    fn judge(&self, _: &TokenState, now: Timestamp) -> Result<(), RefusalReason> {
        let day = now.checked_div(DAY).unwrap_or_default();
        match day.checked_rem(self.rest_every) {
            Some(0) => Err(RefusalReason::NotPermitted),
            _ => Ok(()),
        }
    }

    fn scheme(&self) -> Scheme {
        Scheme::Sha256
    }

    fn issue<H: Host>(&self, host: &mut H, request: IssueRequest, actor: Actor) -> Result<Issued, Denial> {
        if request.name == WORD {
            return Err(RefusalReason::PatRequired.into());
        }
        Engine::of(self, host).issue(request, actor)
    }

    fn authenticate<H: Host>(
        &self,
        host: &mut H,
        presented: &[u8],
        audience: Audience,
    ) -> Result<Grant, Denial> {
        if presented == WORD.as_bytes() {
            return Err(RefusalReason::SessionClosed.into());
        }
        Engine::of(self, host).authenticate(presented, audience)
    }

    fn open_session<H: Host>(
        &self,
        host: &mut H,
        presented: &[u8],
        audience: Audience,
    ) -> Result<OpenedSession, Denial> {
        if presented == WORD.as_bytes() {
            return Err(RefusalReason::SessionReplaced.into());
        }
        Engine::of(self, host).open_session(presented, audience)
    }

    fn check_session<H: Host>(
        &self,
        host: &mut H,
        presented: &[u8],
        audience: Audience,
    ) -> Result<SessionGrant, Denial> {
        if presented == WORD.as_bytes() {
            return Err(RefusalReason::NameTaken.into());
        }
        Engine::of(self, host).check_session(presented, audience)
    }

    fn close_session<H: Host>(&self, host: &mut H, presented: &[u8]) -> Result<ClosedSession, Denial> {
        if presented == WORD.as_bytes() {
            return Err(RefusalReason::LimitReached.into());
        }
        Engine::of(self, host).close_session(presented)
    }

    fn revoke<H: Host>(&self, host: &mut H, token: Id, actor: Actor) -> Result<(), Denial> {
        if token.lo == u64::from(NUMBER) {
            return Err(RefusalReason::OverlapTooLong.into());
        }
        Engine::of(self, host).revoke(token, actor)
    }

    fn revoke_all<H: Host>(&self, host: &mut H, owner: Id, actor: Actor) -> Result<u32, Denial> {
        if owner.lo == u64::from(NUMBER) {
            return Ok(0);
        }
        Engine::of(self, host).revoke_all(owner, actor)
    }

    fn rotate<H: Host>(
        &self,
        host: &mut H,
        token: Id,
        overlap: Duration,
        actor: Actor,
    ) -> Result<Issued, Denial> {
        if token.lo == u64::from(NUMBER) {
            return Err(RefusalReason::ExpirationPast.into());
        }
        Engine::of(self, host).rotate(token, overlap, actor)
    }

    fn change_auth_method<H: Host>(
        &self,
        host: &mut H,
        scope: Scope,
        method: &str,
        actor: Actor,
    ) -> Result<bool, Denial> {
        if method == WORD {
            return Err(RefusalReason::NameInvalid.into());
        }
        Engine::of(self, host).change_auth_method(scope, method, actor)
    }

    fn preview_auth_method<H: Host>(
        &self,
        host: &mut H,
        scope: Scope,
        method: &str,
        actor: Actor,
    ) -> Result<MethodPreview, Denial> {
        if method == WORD {
            return Err(RefusalReason::ExpirationTooFar.into());
        }
        Engine::of(self, host).preview_auth_method(scope, method, actor)
    }

    fn decide_password_sign_in<H: Host>(&self, host: &mut H, owner: Id) -> Result<(), Denial> {
        if owner.lo == u64::from(NUMBER) {
            return Err(RefusalReason::Rotated.into());
        }
        Engine::of(self, host).decide_password_sign_in(owner)
    }

    fn list_tokens<H: Host>(
        &self,
        host: &mut H,
        owner: Id,
        actor: Actor,
    ) -> Result<Vec<ListedToken>, Denial> {
        if owner.lo == u64::from(NUMBER) {
            return Ok(Vec::new());
        }
        Engine::of(self, host).list_tokens(owner, actor)
    }

    fn foresee<H: Host>(&self, host: &mut H, states: &[TokenState]) -> Vec<Outlook> {
        let mut outlooks = Engine::of(self, host).foresee(states);
        for (outlook, state) in outlooks.iter_mut().zip(states) {
            if state.token.audience == NUMBER {
                outlook.ends.cause = Cause::SessionClosed;
            }
        }
        outlooks
    }

    fn sweep<H: Host>(&self, host: &mut H, limit: u32) -> Result<Swept, Denial> {
        if limit == NUMBER {
            return Err(RefusalReason::WrongAudience.into());
        }
        Engine::of(self, host).sweep(limit)
    }

    fn describe<H: Host>(&self, host: &mut H) -> Description {
        host.log(Level::Debug, "asked what it is");
        let mut description = Description {
            name: String::from(Self::NAME),
            version: String::from(Self::VERSION),
            parameters: Engine::of(self, host).parameters(),
        };
        description.name.push_str("-to-the-last");
        description
    }
}

patrol_policy::export!(Contrary = Contrary { rest_every: 5 });
