//! A policy of one's own: a type that implements [`Policy`], keeping the stock rules but for those that it overrides.
//!
//! ```
//! use patrol_policy::prelude::*;
//!
//! /// The stock rules, but a token that nobody used for a week is expired.
//! struct OneWeek;
//!
//! impl Policy for OneWeek {
//!     const NAME: &'static str = "one-week";
//!     const VERSION: &'static str = "1.0.0";
//!
//!     fn parameters(&self, configured: Parameters) -> Parameters {
//!         Parameters { idle_after: 7 * DAY, ..configured }
//!     }
//! }
//!
//! // Compiled for wasm32, the crate is a component with this policy; for any other target this does nothing.
//! patrol_policy::export!(OneWeek);
//! ```
//!
//! There are three sorts of methods, from the mild to the free:
//!
//! - what a policy is called: [`NAME`](Policy::NAME) and [`VERSION`](Policy::VERSION), which it has to say;
//! - hooks: questions that the stock rules ask in their midst. A hook can make the rules stricter and nothing else,
//!   whatever it answers: [`parameters`](Policy::parameters), [`accepts_name`](Policy::accepts_name),
//!   [`judge`](Policy::judge); and [`scheme`](Policy::scheme), which is about storing, not about deciding;
//! - the functions of the contract, each a whole decision. The stock one is there to be called with
//!   [`Engine::of`], before or after what is to be added:
//!
//! ```
//! # use patrol_policy::prelude::*;
//! # struct Weekly;
//! # impl Policy for Weekly {
//! #     const NAME: &'static str = "weekly";
//! #     const VERSION: &'static str = "1.0.0";
//! /// Only administrators create tokens.
//! fn issue<H: Host>(&self, host: &mut H, request: IssueRequest, actor: Actor) -> Result<Issued, Denial> {
//!     if actor.role != ActorRole::Administrator {
//!         return Err(RefusalReason::NotPermitted.into());
//!     }
//!     Engine::of(self, host).issue(request, actor)
//! }
//! # }
//! ```
//!
//! Whatever a policy says, the host checks every yes itself, against the record that it read: a policy can refuse more
//! than the stock one, and it cannot let in a token that is revoked, past its date, of another audience, or of a
//! disabled owner.

use alloc::string::String;
use alloc::vec::Vec;

use crate::token::Scheme;
use crate::types::{
    Actor, Audience, ClosedSession, Denial, Description, Duration, Grant, Id, IssueRequest, Issued,
    ListedToken, MethodPreview, OpenedSession, Outlook, Parameters, RefusalReason, Scope, SessionGrant,
    Swept, Timestamp, TokenState,
};
use crate::{Engine, Host};

/// The rules of a component, one method for each function of the contract: of `wit/engine.wit` and `wit/about.wit`, which
/// document them. Each is by default what the stock rules say; see the [module](self).
///
/// # Errors
/// The functions that decide fail with a [`Denial`]: a refusal with its reason, or an outage of the storage that they
/// asked. A policy answers with those reasons that the contract lists for the function.
#[allow(
    clippy::missing_errors_doc,
    reason = "documented once, in the contract and above"
)]
pub trait Policy: Sized {
    /// What the policy is called: what its releases are called, too.
    const NAME: &'static str;
    /// Its semantic version. With `env!("CARGO_PKG_VERSION")` it is the crate's.
    const VERSION: &'static str;

    /// The parameters that the rules work with, given those that the operator configured.
    ///
    /// A policy can only be stricter: where it asks for more than is configured, the rules go by what is configured
    /// ([`Parameters::no_laxer_than`]). How long records are kept is the operator's alone.
    fn parameters(&self, configured: Parameters) -> Parameters {
        configured
    }

    /// Whether a token may have this name, if the stock rules take it (R13): without surrounding white space, not
    /// empty, not too long, no control characters, Unicode NFC. If not, the token is refused as `name-invalid`.
    fn accepts_name(&self, name: &str) -> bool {
        let _ = name;
        true
    }

    /// Whether a token works at this moment, if it does by the stock rules; if not, why. Asked wherever a token is
    /// presented, a session opened with one is, one is rotated, or somebody wants to know whether it lives.
    ///
    /// Such a token rests, as that of a disabled owner does: it stays in its owner's list and counts (R7), and works
    /// again as soon as the policy says so.
    fn judge(&self, state: &TokenState, now: Timestamp) -> Result<(), RefusalReason> {
        let _ = (state, now);
        Ok(())
    }

    /// The scheme that new secrets are stored under (R2). Secrets that are stored already are verified under the scheme
    /// that they were stored under.
    ///
    /// With [`Scheme::Peppered`] a token whose secret is stored under [`Scheme::Sha256`] is also moved when it is used.
    /// A move is no rotation: secrets, generation, overlap and sessions stay as they are. The other way there is none: a
    /// token that is peppered stays so until it is rotated.
    fn scheme(&self) -> Scheme {
        Scheme::Sha256
    }

    /// Creates a token (R1, R2, R7, R13).
    fn issue<H: Host>(&self, host: &mut H, request: IssueRequest, actor: Actor) -> Result<Issued, Denial> {
        Engine::of(self, host).issue(request, actor)
    }

    /// Verifies a presented token for an audience; a yes is a use (R3, R4, R5, R12).
    fn authenticate<H: Host>(
        &self,
        host: &mut H,
        presented: &[u8],
        audience: Audience,
    ) -> Result<Grant, Denial> {
        Engine::of(self, host).authenticate(presented, audience)
    }

    /// Verifies a presented token and opens a session with it; a yes is a use (R3).
    fn open_session<H: Host>(
        &self,
        host: &mut H,
        presented: &[u8],
        audience: Audience,
    ) -> Result<OpenedSession, Denial> {
        Engine::of(self, host).open_session(presented, audience)
    }

    /// Verifies a presented session. Not a use of its token (R5).
    fn check_session<H: Host>(
        &self,
        host: &mut H,
        presented: &[u8],
        audience: Audience,
    ) -> Result<SessionGrant, Denial> {
        Engine::of(self, host).check_session(presented, audience)
    }

    /// Ends a presented session.
    fn close_session<H: Host>(&self, host: &mut H, presented: &[u8]) -> Result<ClosedSession, Denial> {
        Engine::of(self, host).close_session(presented)
    }

    /// Revokes a token (R8).
    fn revoke<H: Host>(&self, host: &mut H, token: Id, actor: Actor) -> Result<(), Denial> {
        Engine::of(self, host).revoke(token, actor)
    }

    /// Revokes all live tokens of an owner (R8); says how many.
    fn revoke_all<H: Host>(&self, host: &mut H, owner: Id, actor: Actor) -> Result<u32, Denial> {
        Engine::of(self, host).revoke_all(owner, actor)
    }

    /// Gives a live token a new secret; the old one works for `overlap` more.
    fn rotate<H: Host>(
        &self,
        host: &mut H,
        token: Id,
        overlap: Duration,
        actor: Actor,
    ) -> Result<Issued, Denial> {
        Engine::of(self, host).rotate(token, overlap, actor)
    }

    /// Changes the authentication method, which ends all tokens in the scope at once (R9). False where it was set
    /// already.
    fn change_auth_method<H: Host>(
        &self,
        host: &mut H,
        scope: Scope,
        method: &str,
        actor: Actor,
    ) -> Result<bool, Denial> {
        Engine::of(self, host).change_auth_method(scope, method, actor)
    }

    /// Says what [`change_auth_method`](Self::change_auth_method) would do, and does nothing (R9).
    fn preview_auth_method<H: Host>(
        &self,
        host: &mut H,
        scope: Scope,
        method: &str,
        actor: Actor,
    ) -> Result<MethodPreview, Denial> {
        Engine::of(self, host).preview_auth_method(scope, method, actor)
    }

    /// Whether this user may sign in to the REST API with user name and password (R11).
    fn decide_password_sign_in<H: Host>(&self, host: &mut H, owner: Id) -> Result<(), Denial> {
        Engine::of(self, host).decide_password_sign_in(owner)
    }

    /// An owner's live tokens, oldest first (R6, R8).
    fn list_tokens<H: Host>(
        &self,
        host: &mut H,
        owner: Id,
        actor: Actor,
    ) -> Result<Vec<ListedToken>, Denial> {
        Engine::of(self, host).list_tokens(owner, actor)
    }

    /// When each of these tokens ended or will end, in the same order.
    fn foresee<H: Host>(&self, host: &mut H, states: &[TokenState]) -> Vec<Outlook> {
        Engine::of(self, host).foresee(states)
    }

    /// One round of housekeeping, at most `limit` records of each kind (R6).
    fn sweep<H: Host>(&self, host: &mut H, limit: u32) -> Result<Swept, Denial> {
        Engine::of(self, host).sweep(limit)
    }

    /// What the policy says of itself: its name, its version, and the parameters that it works with.
    fn describe<H: Host>(&self, host: &mut H) -> Description {
        Description {
            name: String::from(Self::NAME),
            version: String::from(Self::VERSION),
            parameters: Engine::of(self, host).parameters(),
        }
    }
}

/// The stock policy: the rules as they stand, nothing overridden.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stock;

impl Policy for Stock {
    const NAME: &'static str = "patrol-default";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
}

impl Parameters {
    /// These parameters, each of them no laxer than the configured one: a shorter time, a smaller number. How long
    /// records are kept is as configured.
    #[must_use]
    pub fn no_laxer_than(self, configured: Self) -> Self {
        let sessions_per_token = match (self.sessions_per_token, configured.sessions_per_token) {
            // 0 stands for any number.
            (0, number) | (number, 0) => number,
            (wanted, configured) => wanted.min(configured),
        };
        Self {
            idle_after: self.idle_after.min(configured.idle_after),
            tokens_per_owner: self.tokens_per_owner.min(configured.tokens_per_owner),
            max_lifetime: self.max_lifetime.min(configured.max_lifetime),
            max_overlap: self.max_overlap.min(configured.max_overlap),
            name_max_length: self.name_max_length.min(configured.name_max_length),
            session_lifetime: self.session_lifetime.min(configured.session_lifetime),
            session_idle: self.session_idle.min(configured.session_idle),
            sessions_per_token,
            retention: configured.retention,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parameters() -> impl Strategy<Value = Parameters> {
        let length = || prop_oneof![Just(0), Just(1), Just(u64::MAX), any::<u64>()];
        let number = || prop_oneof![Just(0), Just(1), Just(u32::MAX), any::<u32>()];
        let lengths = (length(), length(), length(), length(), length(), length());
        (lengths, number(), number(), number()).prop_map(
            |(
                (idle_after, max_lifetime, max_overlap, session_lifetime, session_idle, retention),
                tokens_per_owner,
                name_max_length,
                sessions_per_token,
            )| Parameters {
                idle_after,
                tokens_per_owner,
                max_lifetime,
                max_overlap,
                name_max_length,
                session_lifetime,
                session_idle,
                sessions_per_token,
                retention,
            },
        )
    }

    /// How many sessions of a token may be open at most.
    fn sessions(parameters: &Parameters) -> u64 {
        match parameters.sessions_per_token {
            0 => u64::MAX,
            number => number.into(),
        }
    }

    proptest! {
        #[test]
        fn nothing_that_a_policy_asks_for_is_laxer_than_what_is_configured(
            wanted in parameters(),
            configured in parameters(),
        ) {
            let p = wanted.no_laxer_than(configured);
            prop_assert_eq!(p.idle_after, wanted.idle_after.min(configured.idle_after));
            prop_assert_eq!(p.tokens_per_owner, wanted.tokens_per_owner.min(configured.tokens_per_owner));
            prop_assert_eq!(p.max_lifetime, wanted.max_lifetime.min(configured.max_lifetime));
            prop_assert_eq!(p.max_overlap, wanted.max_overlap.min(configured.max_overlap));
            prop_assert_eq!(p.name_max_length, wanted.name_max_length.min(configured.name_max_length));
            prop_assert_eq!(p.session_lifetime, wanted.session_lifetime.min(configured.session_lifetime));
            prop_assert_eq!(p.session_idle, wanted.session_idle.min(configured.session_idle));
            prop_assert_eq!(sessions(&p), sessions(&wanted).min(sessions(&configured)));
            prop_assert_eq!(p.retention, configured.retention);
        }

        #[test]
        fn a_policy_that_asks_for_nothing_has_what_is_configured(configured in parameters()) {
            prop_assert_eq!(configured.no_laxer_than(configured), configured);
        }
    }
}
