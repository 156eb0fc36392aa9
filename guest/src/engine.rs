//! The engine: all operations of the contract over one [`Host`].

use zeroize::Zeroizing;

use crate::token::{self, SCHEME_PEPPERED, SCHEME_SHA256, Scheme};
use crate::types::{
    Digest, End, Id, LiveRule, Outage, Parameters, RefusalReason, Timestamp, Token, TokenState,
};
use crate::{Host, Policy, Stock, expiry};

/// The rules, applied to what a [`Host`] stores. Each method is one function of `wit/engine.wit`, in the module that
/// is named after its rule.
///
/// INVARIANT: an operation reads the clock once and the settings at most once, so that all of its steps speak of
/// the same instant. Additions and subtractions of time saturate: an end beyond the end of time is never reached.
///
/// Where a rule leaves something to the policy, it asks the policy's hooks. The functions that a [`Policy`] overrides
/// are not asked here: these are the stock ones, to be called by them.
pub struct Engine<'a, H: Host, P: Policy = Stock> {
    pub(crate) policy: &'a P,
    pub(crate) host: &'a mut H,
}

impl<'a, H: Host> Engine<'a, H> {
    /// The stock policy's engine over this host. It keeps nothing between operations.
    pub const fn new(host: &'a mut H) -> Self {
        Self::of(&Stock, host)
    }
}

impl<'a, H: Host, P: Policy> Engine<'a, H, P> {
    /// The stock rules with a policy's hooks, over this host. It keeps nothing between operations.
    pub const fn of(policy: &'a P, host: &'a mut H) -> Self {
        Self { policy, host }
    }

    /// The parameters in force: what the policy makes of those configured, but nothing laxer.
    pub fn parameters(&mut self) -> Parameters {
        let configured = self.host.parameters();
        self.policy.parameters(configured).no_laxer_than(configured)
    }

    /// Whether a token works, by the stock rules and by the policy's; if so, when it will end by itself.
    pub(crate) fn usable(
        &self,
        state: &TokenState,
        now: Timestamp,
        parameters: &Parameters,
    ) -> Result<End, RefusalReason> {
        let end = expiry::usable(state, now, parameters)?;
        self.policy.judge(state, now)?;
        Ok(end)
    }

    /// What is stored of a new secret, and under which scheme (R2).
    pub(crate) fn digest(&mut self, secret: &[u8; 32]) -> Result<(u8, Digest), Outage> {
        let digest = token::digest(secret);
        match self.policy.scheme() {
            Scheme::Sha256 => Ok((SCHEME_SHA256, digest)),
            Scheme::Peppered => self.pepper(SCHEME_SHA256, digest),
        }
    }

    /// Moves a token that is about to be let in to the policy's scheme, if that is the later one. The secret of an
    /// overlap goes with it, whichever of the two was presented. Without a pepper it stays where it is: that is no
    /// reason to keep anybody out.
    pub(crate) fn move_used(&mut self, token: &Token) -> Result<(), Outage> {
        let is_old = |scheme| scheme == SCHEME_SHA256;
        let old = is_old(token.scheme) || token.previous.is_some_and(|previous| is_old(previous.scheme));
        if self.policy.scheme() == Scheme::Sha256 || !old {
            return Ok(());
        }
        let Ok((scheme, digest)) = self.pepper(token.scheme, token.digest) else {
            return Ok(());
        };
        let mut previous = token.previous;
        if let Some(previous) = &mut previous {
            let Ok(peppered) = self.pepper(previous.scheme, previous.digest) else {
                return Ok(());
            };
            (previous.scheme, previous.digest) = peppered;
        }
        self.host
            .replace_secret(token.id, token.generation, scheme, digest, previous)
    }

    /// What to store in the place of what is stored.
    fn pepper(&mut self, scheme: u8, digest: Digest) -> Result<(u8, Digest), Outage> {
        if scheme == SCHEME_SHA256 {
            Ok((SCHEME_PEPPERED, self.host.mac(digest)?))
        } else {
            Ok((scheme, digest))
        }
    }

    /// A new identifier and 32 secret bytes for it, from one draw each.
    pub(crate) fn mint(&mut self, now: Timestamp) -> (Id, Zeroizing<[u8; 32]>) {
        let secret = self.draw_secret();
        let mut drawn = [0; 32];
        self.host.draw(&mut drawn);
        let mut random = [0; 10];
        for (to, from) in random.iter_mut().zip(drawn) {
            *to = from;
        }
        (Id::new_v7(now, &random), secret)
    }

    /// 32 secret bytes.
    pub(crate) fn draw_secret(&mut self) -> Zeroizing<[u8; 32]> {
        let mut secret = Zeroizing::new([0; 32]);
        self.host.draw(&mut secret);
        secret
    }
}

/// What the host has to apply when it counts or lists live tokens at `now` (R5).
pub(crate) const fn live_rule(now: Timestamp, parameters: &Parameters) -> LiveRule {
    LiveRule {
        now,
        idle_since: now.saturating_sub(parameters.idle_after),
    }
}
