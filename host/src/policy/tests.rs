#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;

use patrol_policy::types::{DAY, Outage, Parameters, Token};

use super::*;

use ledger::{ADMINISTRATOR, AUDIENCE, Ledger, NOW, OWNER};

mod ledger;

fn load(options: &Options) -> Policy<Ledger> {
    Policy::load(Policy::<Ledger>::embedded(), options).unwrap()
}

fn warm(max_calls: u32) -> Options {
    Options {
        isolation: Isolation::Warm { max_calls },
        ..Options::default()
    }
}

fn issue(policy: &Policy<Ledger>, ledger: Ledger) -> (Ledger, Issued) {
    let request = IssueRequest {
        owner: OWNER,
        name: "name".to_owned(),
        expires: NOW + DAY,
        audience: AUDIENCE,
    };
    let (ledger, issued) = policy.issue(ledger, &request, ADMINISTRATOR);
    (ledger, issued.unwrap())
}

#[test]
fn the_embedded_policy_issues_verifies_lists_and_revokes() {
    let policy = load(&Options::default());
    let (ledger, issued) = issue(&policy, Ledger::default());
    let (ledger, grant) = policy.authenticate(ledger, issued.secret.expose(), AUDIENCE);
    assert_eq!(grant.unwrap().token, issued.token);
    assert_eq!(ledger.uses, 1);

    let (ledger, listed) = policy.list_tokens(ledger, OWNER, ADMINISTRATOR);
    assert_eq!(listed.unwrap().len(), 1);
    let (ledger, revoked) = policy.revoke(ledger, issued.token, ADMINISTRATOR);
    revoked.unwrap();
    let (_, refused) = policy.authenticate(ledger, issued.secret.expose(), AUDIENCE);
    let refusal = Refusal {
        reason: RefusalReason::Revoked,
        token: Some(issued.token),
    };
    assert_eq!(refused.unwrap_err(), Ending::Refused(refusal));
}

#[test]
fn the_embedded_policy_describes_itself_and_is_what_it_says() {
    let policy = load(&Options::default());
    let (_, description) = policy.describe(Ledger::default());
    assert_eq!(description.unwrap().parameters, Parameters::default());
    assert!(
        policy
            .imports()
            .iter()
            .all(|name| name.starts_with("patrol:policy/"))
    );
    assert_eq!(
        policy.exports(),
        ["patrol:policy/engine@0.1.0", "patrol:policy/about@0.1.0"]
    );
    assert_eq!(policy.size(), Policy::<Ledger>::embedded().len());
}

#[test]
fn many_states_are_foreseen_in_their_order() {
    let policy = load(&Options::default());
    let (ledger, issued) = issue(&policy, Ledger::default());
    let token = ledger.tokens[&issued.token];
    let state = |expires| TokenState {
        token: Token { expires, ..token },
        owner: ledger.owner(),
    };
    let states: Vec<_> = (0..5_001).map(|n| state(NOW + n)).collect();
    let (_, outlooks) = policy.foresee(Ledger::default(), &states);
    // All of them in one call would be a fault: they are more than an instance has memory for.
    let outlooks = outlooks.unwrap();
    let foreseen: Vec<_> = outlooks.iter().map(|outlook| outlook.ends.at).collect();
    let expected: Vec<_> = states.iter().map(|state| state.token.expires).collect();
    assert_eq!(foreseen, expected);
    // R5: at the boundary it has ended.
    assert!(!outlooks[0].live && outlooks[1].live);
}

#[test]
fn a_per_call_instance_serves_one_call() {
    let policy = load(&Options::default());
    let (_, _) = issue(&policy, Ledger::default());
    assert!(policy.pool.idle_calls_left().is_empty());
}

#[test]
fn a_warm_instance_serves_as_many_calls_as_allowed() {
    let policy = load(&warm(3));
    let mut ledger = Ledger::default();
    for expected in [&[2][..], &[1], &[], &[2]] {
        let (back, description) = policy.describe(ledger);
        description.unwrap();
        ledger = back;
        assert_eq!(policy.pool.idle_calls_left(), expected);
    }
}

#[test]
fn a_warm_instance_survives_a_refusal() {
    let policy = load(&warm(10));
    let (_, refused) = policy.authenticate(Ledger::default(), b"nonsense", AUDIENCE);
    assert!(matches!(refused, Err(Ending::Refused(_))));
    assert_eq!(policy.pool.idle_calls_left(), [9]);
}

#[test]
fn a_warm_instance_does_not_survive_an_outage_or_a_fault() {
    let policy = load(&warm(10));
    let (mut ledger, issued) = issue(&policy, Ledger::default());
    assert_eq!(policy.pool.idle_calls_left(), [9]);
    ledger.down = Some(Outage::Busy);
    let (ledger, ended) = policy.authenticate(ledger, issued.secret.expose(), AUDIENCE);
    assert_eq!(ended.unwrap_err(), Ending::Outage(Outage::Busy));
    assert!(policy.pool.idle_calls_left().is_empty());

    let (mut ledger, _) = policy.describe(ledger);
    assert_eq!(policy.pool.idle_calls_left(), [9]);
    // Far more records than an instance has memory for.
    ledger.down = None;
    let token = ledger.tokens[&issued.token];
    for lo in 0..5_000 {
        ledger.tokens.insert(Id { hi: 0, lo }, token);
    }
    let (ledger, ended) = policy.list_tokens(ledger, OWNER, ADMINISTRATOR);
    assert!(matches!(ended, Err(Ending::Fault(Fault::Memory(_)))), "{ended:?}");
    assert!(policy.pool.idle_calls_left().is_empty());
    assert_eq!(ledger.tokens.len(), 5_001, "the host value came back");
}

#[test]
fn idle_instances_are_bounded() {
    let policy = load(&warm(1_000));
    let barrier = std::sync::Barrier::new(limits::IDLE_INSTANCES + 4);
    thread::scope(|scope| {
        for _ in 0..limits::IDLE_INSTANCES + 4 {
            scope.spawn(|| {
                let slot = policy.pool.take();
                barrier.wait();
                policy.pool.put(slot);
            });
        }
    });
    assert_eq!(policy.pool.idle_calls_left().len(), limits::IDLE_INSTANCES);
}

#[test]
fn the_time_that_a_store_takes_is_not_held_against_the_policy() {
    let policy = load(&Options {
        deadline: Duration::from_millis(20),
        ..Options::default()
    });
    let (mut ledger, issued) = issue(&policy, Ledger::default());
    ledger.delay = Duration::from_millis(100);
    let (_, grant) = policy.authenticate(ledger, issued.secret.expose(), AUDIENCE);
    grant.unwrap();
}

#[test]
fn a_presented_secret_of_any_length_is_refused_and_no_fault() {
    let policy = load(&Options::default());
    for length in [0, 1, 82, 83, 84, PRESENTED_BYTES, PRESENTED_BYTES + 1, 8 << 20] {
        let (_, ended) = policy.authenticate(Ledger::default(), &vec![b'a'; length], AUDIENCE);
        let refusal = Refusal {
            reason: RefusalReason::Malformed,
            token: None,
        };
        assert_eq!(ended.unwrap_err(), Ending::Refused(refusal), "{length}");
    }
}

#[test]
fn what_is_not_a_component_is_not_loaded() {
    let load = |bytes: &[u8], options: &Options| Policy::<Ledger>::load(bytes, options).err().unwrap();
    let default = Options::default();
    assert!(matches!(load(b"", &default), LoadError::NotAComponent(_)));
    assert!(matches!(
        load(b"\0asm\x01\0\0\0", &default),
        LoadError::NotAComponent(_)
    ));
    let cut = &Policy::<Ledger>::embedded()[..1_000];
    assert!(matches!(load(cut, &default), LoadError::NotAComponent(_)));
    // An empty component.
    assert!(matches!(
        load(b"\0asm\x0d\0\x01\0", &default),
        LoadError::Exports(_)
    ));
    let large = vec![0; limits::COMPONENT_BYTES + 1];
    let error = load(&large, &default);
    let allowed = limits::COMPONENT_BYTES;
    let bytes = large.len();
    assert_eq!(error, LoadError::TooLarge { bytes, allowed });
    assert!(error.to_string().contains("`[policy] max_component`"), "{error}");
    let larger = Options {
        component_bytes: bytes,
        ..default
    };
    assert!(matches!(load(&large, &larger), LoadError::NotAComponent(_)));
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for options in [
        Options {
            memory_bytes: 0,
            ..Options::default()
        },
        Options {
            memory_bytes: limits::MEMORY_CEILING + 1,
            ..Options::default()
        },
        Options {
            component_bytes: limits::COMPONENT_CEILING + 1,
            ..Options::default()
        },
        Options {
            table_elements: limits::TABLE_CEILING + 1,
            ..Options::default()
        },
        Options {
            deadline: Duration::ZERO,
            ..Options::default()
        },
        Options {
            bulk_deadline: Duration::ZERO,
            ..Options::default()
        },
    ] {
        let error = Policy::<Ledger>::load(Policy::<Ledger>::embedded(), &options)
            .err()
            .unwrap();
        assert!(matches!(error, LoadError::Options(_)), "{error}");
    }
}

fn cached(directory: &Path) -> Options {
    Options {
        cache_dir: Some(directory.to_owned()),
        ..Options::default()
    }
}

/// The only file in the cache.
fn cached_file(directory: &Path) -> PathBuf {
    let files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

#[test]
fn compiled_code_is_cached_for_its_owner_only() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("made/here");
    assert!(!load(&cached(&directory)).is_from_cache());
    let policy = load(&cached(&directory));
    assert!(policy.is_from_cache());
    policy.describe(Ledger::default()).1.unwrap();

    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    assert_eq!(mode(&cached_file(&directory)), 0o600);
}

#[test]
fn a_damaged_file_is_a_miss_and_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    load(&cached(directory.path()));
    let file = cached_file(directory.path());
    let good = fs::read(&file).unwrap();
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let mut other_version = good.clone();
    other_version[0] ^= 1;
    for bad in [
        &flipped[..],
        &other_version,
        &good[..good.len() / 2],
        &good[..20],
        b"",
    ] {
        fs::write(&file, bad).unwrap();
        assert!(!load(&cached(directory.path())).is_from_cache());
        assert!(load(&cached(directory.path())).is_from_cache());
    }
}

#[test]
fn a_file_that_others_may_write_to_is_a_miss() {
    let directory = tempfile::tempdir().unwrap();
    load(&cached(directory.path()));
    let file = cached_file(directory.path());
    for mode in [0o620, 0o602] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        assert!(!load(&cached(directory.path())).is_from_cache());
        // It was replaced by one that nobody else can write to.
        assert!(load(&cached(directory.path())).is_from_cache());
    }
}

#[test]
fn a_directory_that_others_may_write_to_is_not_used() {
    let directory = tempfile::tempdir().unwrap();
    load(&cached(directory.path()));
    for mode in [0o770, 0o707, 0o1777] {
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(mode)).unwrap();
        assert!(!load(&cached(directory.path())).is_from_cache());
    }
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert!(load(&cached(directory.path())).is_from_cache());
}

#[test]
fn a_directory_or_file_of_another_user_is_not_used() {
    let directory = tempfile::tempdir().unwrap();
    load(&cached(directory.path()));
    let give_away = |path: &Path, user| std::os::unix::fs::chown(path, Some(user), None);
    let file = cached_file(directory.path());
    let own = fs::metadata(&file).unwrap().uid();
    // Only root can give files away; for anyone else there is nothing to try.
    if give_away(&file, 65_534).is_err() {
        return;
    }
    assert!(!load(&cached(directory.path())).is_from_cache());
    assert!(load(&cached(directory.path())).is_from_cache());
    give_away(directory.path(), 65_534).unwrap();
    assert!(!load(&cached(directory.path())).is_from_cache());
    give_away(directory.path(), own).unwrap();
    assert!(load(&cached(directory.path())).is_from_cache());
}

#[test]
fn a_cache_that_cannot_be_used_does_not_stop_a_start() {
    assert!(!load(&cached(Path::new("/dev/null/cache"))).is_from_cache());
}
