//! How often failures are answered.
//!
//! A failed attempt is counted after it has failed, for its source address and for the token that it named: whoever
//! holds a good credential is let in whatever others did before, and nobody can lock anybody out. Passwords are the
//! exception, since their hash is slow on purpose: attempts with them, good or bad, are counted *before* the hash, so
//! that guessing costs the guesser and not the server.
//!
//! Memory is bounded. Counters that have recovered are forgotten, by those who count further failures. Where very many
//! fail at once, they share some until the others have recovered: who shares one is put off together, and all of them
//! have failed.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use patrol_policy::types::Id;

use crate::config::LimitConfig;

/// Counters of one kind that are kept at most; each takes some 50 bytes.
const COUNTERS: usize = 65_536;
/// The counters that are shared once there are so many.
const SHARED: u64 = 1_024;
/// At least so many failures lie between two looks for counters that have recovered.
const TIDY_AFTER: usize = 1_024;

/// Counts failed attempts by where they came from and which token they were made with, and attempts with passwords.
pub(super) struct Limits<C: Clock = DefaultClock> {
    addresses: Arc<Counters<C>>,
    tokens: Arc<Counters<C>>,
    passwords: Arc<Counters<C>>,
    sign_in_addresses: Arc<Counters<C>>,
}

impl Limits {
    pub(super) fn new(config: &LimitConfig) -> Self {
        Self::with(config, &DefaultClock::default())
    }
}

impl<C: Clock + Clone> Limits<C> {
    fn with(config: &LimitConfig, clock: &C) -> Self {
        let counters = |per_minute| Arc::new(Counters::new(per_minute, clock.clone(), COUNTERS));
        Self {
            addresses: counters(config.failures_per_address),
            tokens: counters(config.failures_per_token),
            passwords: counters(config.passwords_per_user),
            sign_in_addresses: counters(config.passwords_per_address),
        }
    }

    /// With other limits; counts stay where a limit did not change.
    pub(super) fn changed(&self, config: &LimitConfig) -> Self {
        let counters = |old: &Arc<Counters<C>>, per_minute| {
            if old.per_minute == per_minute {
                Arc::clone(old)
            } else {
                Arc::new(Counters::new(per_minute, old.clock.clone(), COUNTERS))
            }
        };
        Self {
            addresses: counters(&self.addresses, config.failures_per_address),
            tokens: counters(&self.tokens, config.failures_per_token),
            passwords: counters(&self.passwords, config.passwords_per_user),
            sign_in_addresses: counters(&self.sign_in_addresses, config.passwords_per_address),
        }
    }

    /// Counts a failure; how long to wait, where there were too many. `token` is one that exists: what does not, is
    /// counted by its address only, or anyone could fill the memory with identifiers.
    pub(super) fn failed(&self, address: Option<IpAddr>, token: Option<Id>) -> Option<Duration> {
        let address = self.addresses.count(Key::of(address));
        let token = token.and_then(|token| self.tokens.count(Key::Own(token.as_u128())));
        address.max(token)
    }

    /// Counts an attempt with a password; how long to wait before there may be one.
    ///
    /// By address *and* user: by the user alone, anybody could keep them out.
    pub(super) fn password(&self, address: Option<IpAddr>, tenant: &str, user: &str) -> Option<Duration> {
        let from = Key::of(address);
        let who = self.passwords.hasher.hash_one((from, tenant, user));
        let wait = self.passwords.count(Key::Own(who.into()));
        wait.max(self.sign_in(address))
    }

    /// Counts an attempt to sign in, by whatever means; how long to wait before there may be one.
    pub(super) fn sign_in(&self, address: Option<IpAddr>) -> Option<Duration> {
        // Where the gateway names no address, everybody would share one.
        address.and_then(|_| self.sign_in_addresses.count(Key::of(address)))
    }
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// Something with a counter of its own.
    Own(u128),
    /// An address that is not known.
    Nowhere,
    /// Some of those that came when there were too many.
    Shared(u64),
}

impl Key {
    /// An IPv6 client has a whole /64 to choose addresses from, so that is what is counted.
    fn of(address: Option<IpAddr>) -> Self {
        match address.map(|address| address.to_canonical()) {
            Some(IpAddr::V4(address)) => Self::Own(address.to_ipv6_mapped().to_bits()),
            Some(IpAddr::V6(address)) => Self::Own(address.to_bits() & (u128::MAX << 64)),
            None => Self::Nowhere,
        }
    }
}

type Limiter<C> = RateLimiter<Key, DashMapStateStore<Key>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// Counters of one kind.
struct Counters<C: Clock> {
    per_minute: u32,
    /// None: any number is allowed.
    limiter: Option<Limiter<C>>,
    clock: C,
    hasher: RandomState,
    capacity: usize,
    /// How many were counted since it was last looked for counters that have recovered.
    counted: AtomicUsize,
    /// After how many it is looked again: about as many as there are counters, so that it costs each failure the same.
    tidy_after: AtomicUsize,
}

impl<C: Clock + Clone> Counters<C> {
    fn new(per_minute: u32, clock: C, capacity: usize) -> Self {
        let limiter = NonZeroU32::new(per_minute)
            .map(|rate| RateLimiter::dashmap_with_clock(Quota::per_minute(rate), clock.clone()));
        Self {
            per_minute,
            limiter,
            clock,
            hasher: RandomState::new(),
            capacity,
            counted: AtomicUsize::new(0),
            tidy_after: AtomicUsize::new(TIDY_AFTER),
        }
    }

    /// Counts one; how long until there may be another, where there were too many.
    fn count(&self, key: Key) -> Option<Duration> {
        let limiter = self.limiter.as_ref()?;
        self.tidy(limiter);
        let key = if limiter.len() < self.capacity {
            key
        } else {
            Key::Shared(self.hasher.hash_one(key) % SHARED)
        };
        let not_until = limiter.check_key(&key).err()?;
        // Even where the wait is over by now, this one was one too many.
        Some(
            not_until
                .wait_time_from(self.clock.now())
                .max(Duration::from_millis(1)),
        )
    }

    fn tidy(&self, limiter: &Limiter<C>) {
        let counted = self.counted.fetch_add(1, Ordering::Relaxed);
        if counted >= self.tidy_after.load(Ordering::Relaxed) {
            self.counted.store(0, Ordering::Relaxed);
            limiter.retain_recent();
            self.tidy_after
                .store(limiter.len().max(TIDY_AFTER), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "tests")]
    use super::*;
    use governor::clock::FakeRelativeClock;

    fn limits(address: u32, token: u32) -> (Limits<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let config = LimitConfig {
            failures_per_address: address,
            failures_per_token: token,
            passwords_per_user: 2,
            passwords_per_address: 5,
        };
        (Limits::with(&config, &clock), clock)
    }

    fn from(address: &str) -> Option<IpAddr> {
        Some(address.parse().unwrap())
    }

    #[test]
    fn as_many_as_allowed_are_answered_and_one_more_is_put_off() {
        let (limits, clock) = limits(3, 0);
        for _ in 0..3 {
            assert_eq!(limits.failed(from("192.0.2.1"), None), None);
        }
        let wait = limits.failed(from("192.0.2.1"), None).unwrap();
        assert_eq!(wait, Duration::from_secs(20), "one in 20 s are three a minute");
        assert_eq!(limits.failed(from("192.0.2.2"), None), None);
        clock.advance(wait - Duration::from_millis(1));
        assert_eq!(
            limits.failed(from("192.0.2.1"), None),
            Some(Duration::from_millis(1))
        );
        clock.advance(Duration::from_millis(1));
        assert_eq!(limits.failed(from("192.0.2.1"), None), None);
        assert!(limits.failed(from("192.0.2.1"), None).is_some());
    }

    #[test]
    fn a_token_is_counted_wherever_the_attempts_come_from() {
        let (limits, _) = limits(0, 2);
        let token = Some(Id::from_u128(7));
        assert_eq!(limits.failed(from("192.0.2.1"), token), None);
        assert_eq!(limits.failed(from("192.0.2.2"), token), None);
        assert!(limits.failed(from("192.0.2.3"), token).is_some());
        assert_eq!(limits.failed(from("192.0.2.3"), Some(Id::from_u128(8))), None);
        assert_eq!(limits.failed(from("192.0.2.3"), None), None);
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_and_mapped_ones_are_ipv4() {
        let (limits, _) = limits(1, 0);
        assert_eq!(limits.failed(from("2001:db8::1"), None), None);
        assert!(limits.failed(from("2001:db8::ffff:1"), None).is_some());
        assert_eq!(limits.failed(from("2001:db8:0:1::1"), None), None);
        assert_eq!(limits.failed(from("192.0.2.1"), None), None);
        assert!(limits.failed(from("::ffff:192.0.2.1"), None).is_some());
        assert_eq!(limits.failed(from("::ffff:192.0.2.2"), None), None);
        assert_eq!(limits.failed(None, None), None);
        assert!(limits.failed(None, None).is_some());
    }

    #[test]
    fn passwords_are_counted_by_address_and_user() {
        let (limits, clock) = limits(0, 0);
        let attempt = |address, user| limits.password(from(address), "acme", user).is_some();
        assert!(!attempt("192.0.2.1", "ann") && !attempt("192.0.2.1", "ann"));
        assert!(attempt("192.0.2.1", "ann"), "the third is put off");
        assert!(!attempt("192.0.2.2", "ann"), "nobody is kept out by others");
        assert!(!attempt("192.0.2.1", "bob"));
        assert!(!attempt("192.0.2.1", "cid"));
        assert!(attempt("192.0.2.1", "dan"), "five attempts came from there");
        clock.advance(Duration::from_secs(60));
        assert!(!attempt("192.0.2.1", "ann"));
        // Where nobody knows the address, each user is still protected, and others are not affected.
        for user in ["a", "b", "c", "d", "e", "f"] {
            assert_eq!(limits.password(None, "acme", user), None);
            assert_eq!(limits.sign_in(None), None);
        }
        // By whatever means somebody signs in, they come from somewhere.
        assert!((0..5).all(|_| limits.sign_in(from("192.0.2.3")).is_none()));
        assert!(limits.sign_in(from("192.0.2.3")).is_some() && attempt("192.0.2.3", "eve"));
    }

    #[test]
    fn counts_stay_where_the_limit_did_not_change() {
        let (limits, _) = limits(1, 1);
        let (address, token) = (from("192.0.2.1"), Some(Id::from_u128(7)));
        assert_eq!(limits.failed(address, token), None);
        let mut config = LimitConfig {
            failures_per_address: 1,
            failures_per_token: 9,
            ..LimitConfig::default()
        };
        let limits = limits.changed(&config);
        assert!(limits.failed(address, None).is_some());
        assert_eq!(limits.failed(None, token), None);
        config.failures_per_address = 0;
        assert_eq!(limits.changed(&config).failed(address, None), None);
    }

    #[test]
    fn memory_is_bounded_and_given_back() {
        let clock = FakeRelativeClock::default();
        let counters = Counters::new(2, clock.clone(), 3_000);
        for number in 0..20_000 {
            counters.count(Key::Own(number));
        }
        let len = || counters.limiter.as_ref().unwrap().len();
        let most = 3_000 + usize::try_from(SHARED).unwrap();
        assert!(len() <= most, "{}", len());
        // Who shares a counter is limited too.
        let shared = |key| counters.count(key).is_some();
        assert!((20_000..20_100).all(|number| shared(Key::Own(number))));
        clock.advance(Duration::from_secs(120));
        for number in 0..5_000 {
            counters.count(Key::Own(number % 3));
        }
        // Three keys, each in a counter of its own and, from when there were too many, in a shared one.
        assert!(len() <= 6, "{}", len());
    }
}
