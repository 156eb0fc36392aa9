//! The engine: all operations of the contract over one [`Host`].

use zeroize::Zeroizing;

use crate::Host;
use crate::types::{Id, LiveRule, Parameters, Timestamp};

/// The rules, applied to what a [`Host`] stores. Each method is one function of `wit/engine.wit`, in the module that
/// is named after its rule.
///
/// INVARIANT: an operation reads the clock once and the settings at most once, so that all of its steps speak of
/// the same instant. Additions and subtractions of time saturate: an end beyond the end of time is never reached.
pub struct Engine<'a, H: Host> {
    pub(crate) host: &'a mut H,
}

impl<'a, H: Host> Engine<'a, H> {
    /// An engine over this host. It keeps nothing between operations.
    pub const fn new(host: &'a mut H) -> Self {
        Self { host }
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
