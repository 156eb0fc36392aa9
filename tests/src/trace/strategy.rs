//! Random traces. What matters is likely: few users, few tokens, and times at the edge of what ends.

use std::fs;
use std::path::{Path, PathBuf};

use patrol_policy::types::{DAY, Duration, HOUR, MINUTE};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::{METHODS, NAMES, Op, Secret, Target, Trace, USERS, Who};

/// Where traces are kept that showed something once.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("traces")
}

/// Those that are kept, by their files.
///
/// # Panics
/// Where there are none, or one cannot be read.
#[must_use]
pub fn kept_traces() -> Vec<(PathBuf, Trace)> {
    let files = fs::read_dir(folder()).expect("a folder of traces");
    let mut files: Vec<_> = files.map(|entry| entry.expect("a trace").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "no traces are kept");
    let read = |path: PathBuf| {
        let text = fs::read(&path).expect("a trace");
        let trace = serde_json::from_slice(&text).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        (path, trace)
    };
    files.into_iter().map(read).collect()
}

/// As many random traces, the same each time.
///
/// # Panics
/// Where none can be drawn.
pub fn drawn_traces(count: usize) -> impl Iterator<Item = Trace> {
    let mut runner = TestRunner::deterministic();
    let all = traces(80);
    (0..count).map(move |_| all.new_tree(&mut runner).expect("a trace").current())
}

/// Those that are kept, then random ones.
pub fn some_traces(drawn: usize) -> impl Iterator<Item = Trace> {
    let kept = kept_traces().into_iter().map(|(_, trace)| trace);
    kept.chain(drawn_traces(drawn))
}

/// Traces of about `length` operations at most.
pub fn traces(length: usize) -> impl Strategy<Value = Trace> {
    // Shorter than the idle period, as long, a little longer, and as usual.
    let session_lifetime = prop_oneof![
        Just(20 * MINUTE),
        Just(30 * MINUTE),
        Just(45 * MINUTE),
        Just(4 * HOUR)
    ];
    let idle_after = prop_oneof![4 => Just(15 * DAY), 1 => Just(25 * MINUTE)];
    let settings = (1u32..5, 0u32..4, idle_after, session_lifetime);
    (settings, vec(op(), length / 2..length)).prop_map(|(settings, mut ops)| {
        let (tokens_per_owner, sessions_per_token, idle_after, session_lifetime) = settings;
        // Nothing happens before there is a token.
        let who = Who::User(0);
        ops.insert(
            0,
            Op::Issue {
                owner: 0,
                name: 0,
                lifetime: 20 * DAY as i64,
                audience: 1,
                who,
            },
        );
        Trace {
            about: String::new(),
            tokens_per_owner,
            sessions_per_token,
            idle_after,
            session_lifetime,
            ops,
        }
    })
}

fn op() -> impl Strategy<Value = Op> {
    let administrator = Who::Administrator;
    // Anything, and beside it what one would do: without that, little lives long enough to be interesting.
    prop_oneof![
        8 => (owner(), 0..NAMES.len(), lifetime(), audience(), asker()).prop_map(
            |(owner, name, lifetime, audience, who)| Op::Issue { owner, name, lifetime, audience, who }),
        8 => (0..USERS.len(), 0..4usize, lifetime()).prop_map(
            |(owner, name, lifetime)| Op::Issue { owner, name, lifetime, audience: 1, who: Who::User(owner) }),
        12 => (token(), secret(), audience()).prop_map(
            |(token, secret, audience)| Op::Present { token, secret, audience }),
        10 => token().prop_map(|token| Op::SignIn { token, secret: Secret::Right, audience: 1 }),
        16 => session().prop_map(|session| Op::UseSession { session, secret: Secret::Right, audience: 1 }),
        12 => (token(), secret(), audience()).prop_map(
            |(token, secret, audience)| Op::SignIn { token, secret, audience }),
        12 => (session(), secret(), audience()).prop_map(
            |(session, secret, audience)| Op::UseSession { session, secret, audience }),
        3 => (session(), secret()).prop_map(|(session, secret)| Op::CloseSession { session, secret }),
        4 => (token(), asker()).prop_map(|(token, who)| Op::Revoke { token, who }),
        1 => (owner(), asker()).prop_map(|(owner, who)| Op::RevokeAll { owner, who }),
        3 => (token(), overlap(), asker()).prop_map(|(token, overlap, who)| Op::Rotate { token, overlap, who }),
        5 => (token(), overlap()).prop_map(
            move |(token, overlap)| Op::Rotate { token, overlap, who: administrator }),
        2 => (target(), method(), asker()).prop_map(
            |(target, method, who)| Op::ChangeMethod { target, method, who }),
        2 => (target(), method(), asker()).prop_map(
            |(target, method, who)| Op::PreviewMethod { target, method, who }),
        1 => owner().prop_map(|owner| Op::Password { owner }),
        3 => (owner(), asker()).prop_map(|(owner, who)| Op::List { owner, who }),
        3 => Just(Op::Foresee),
        3 => Just(Op::Sweep),
        3 => (0..USERS.len(), prop::bool::weighted(0.6)).prop_map(|(owner, on)| Op::Enable { owner, on }),
        1 => (1..USERS.len()).prop_map(|owner| Op::Delete { owner }),
        1 => owner().prop_map(|owner| Op::Rename { owner }),
        1 => (0..2usize, any::<bool>()).prop_map(|(tenant, on)| Op::MultiFactor { tenant, on }),
        8 => span().prop_map(|by| Op::Advance { by }),
        2 => span().prop_map(|by| Op::StepBack { by }),
        10 => (0..1usize, -1..=1i64).prop_map(|(nth, offset)| Op::Approach { nth, offset }),
        3 => (0..9usize, -1..=1i64).prop_map(|(nth, offset)| Op::Approach { nth, offset }),
    ]
}

fn owner() -> impl Strategy<Value = usize> {
    0..=USERS.len()
}

fn token() -> impl Strategy<Value = usize> {
    prop_oneof![4 => Just(0usize), 4 => 0..3usize, 1 => 0..12usize]
}

fn session() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 0..2usize, 8 => 0..5usize, 1 => 0..16usize]
}

fn audience() -> impl Strategy<Value = u32> {
    prop_oneof![9 => Just(1u32), 1 => Just(2u32)]
}

fn secret() -> impl Strategy<Value = Secret> {
    prop_oneof![
        16 => Just(Secret::Right),
        6 => Just(Secret::Previous),
        1 => Just(Secret::Older),
        1 => Just(Secret::Wrong),
        1 => Just(Secret::Mistyped),
        1 => Just(Secret::Malformed),
    ]
}

fn asker() -> impl Strategy<Value = Who> {
    prop_oneof![
        4 => Just(Who::Administrator),
        1 => Just(Who::System),
        4 => (0..USERS.len()).prop_map(Who::User),
        2 => token().prop_map(Who::Token),
    ]
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![
        (0..3usize).prop_map(Target::Tenant),
        owner().prop_map(Target::User)
    ]
}

fn method() -> impl Strategy<Value = u8> {
    0..METHODS.len() as u8
}

/// Around the idle period, the greatest lifetime, and now.
fn lifetime() -> impl Strategy<Value = i64> {
    let day = DAY as i64;
    let around = prop_oneof![
        4 => Just(15 * day),
        4 => Just(2 * day),
        4 => Just(30 * day),
        1 => Just(4 * HOUR as i64),
        1 => Just(0),
        1 => Just(366 * day),
        1 => Just(-20_000 * day),
    ];
    (around, -1..=1i64).prop_map(|(around, offset)| around + offset)
}

/// None, within the limit, at and beyond it.
fn overlap() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(0),
        Just(1),
        Just(10 * MINUTE),
        Just(2 * HOUR),
        Just(7 * DAY),
        Just(7 * DAY + 1)
    ]
}

fn span() -> impl Strategy<Value = Duration> {
    prop_oneof![
        2 => 0..3u64,
        8 => Just(MINUTE),
        8 => Just(16 * MINUTE),
        2 => Just(HOUR),
        1 => Just(DAY),
        1 => Just(90 * DAY),
    ]
}
