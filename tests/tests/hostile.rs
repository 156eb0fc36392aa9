//! Policies that loop, allocate, lie and flood: each must end as `tests/hostile/<case>/expected.txt` says, soon, without
//! taking much memory, and without any effect on the next request to a good policy in the same process.
//!
//! `expected.txt` holds `<call>: <ending>`. An ending is `fault <kind>`, `outage`, `refused`, a kind of load error, or
//! `floor`: the runtime has no reason to object, and the verdict is for the host's floor to reject.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use patrol::policy::{self, Ending, Isolation, LoadError, Options, Policy};
use patrol_policy::types::{DAY, Id, IssueRequest, Scope, Token, TokenState};
use patrol_tests::hostile;
use patrol_tests::ledger::{ADMINISTRATOR, AUDIENCE, Ledger, NOW, OWNER};

/// What any case may take: generous, since it is a deadline of 50 ms or 1 s on a busy machine.
const LONGEST: Duration = Duration::from_secs(5);
/// By how much the process may grow meanwhile, at its peak.
const MOST_KIB: u64 = 64 << 10;

#[test]
fn every_hostile_policy_ends_as_expected_and_harms_nobody() {
    let good = Policy::load(policy::embedded(), &Options::default()).unwrap();
    let mut cases: Vec<_> = fs::read_dir(hostile::directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    cases.sort();
    assert!(cases.len() > 30, "the cases are not where they should be");

    let mut wrong = Vec::new();
    for case in cases {
        let case = case.to_str().unwrap();
        let expected = fs::read_to_string(hostile::directory().join(case).join("expected.txt")).unwrap();
        let (call, expected) = expected.trim().split_once(": ").expect(case);
        let component = hostile::policy(case);

        let (before, start) = (resident_kib(), Instant::now());
        let (ledger, ending) = ending_of(&component, call);
        let (took, grew) = (start.elapsed(), peak_kib().saturating_sub(before));

        if ending != expected {
            wrong.push(format!("{case}: {ending}, where {expected} was expected"));
        }
        if took > LONGEST {
            wrong.push(format!("{case}: took {took:?}"));
        }
        if grew > MOST_KIB {
            wrong.push(format!("{case}: took {grew} KiB"));
        }
        if ledger.is_some_and(|ledger| ledger.uses > 0 || !ledger.tokens.is_empty()) {
            wrong.push(format!("{case}: left something in the store"));
        }
        serves(&good);
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What becomes of one call to a policy, and the host that it was made for.
fn ending_of(component: &[u8], call: &str) -> (Option<Ledger>, String) {
    let policy = match Policy::load(component, &Options::default()) {
        Ok(policy) => policy,
        Err(error) => return (None, load_error(&error)),
    };
    let host = Ledger::default();
    let scope = Scope::Owner(OWNER);
    match call {
        "authenticate" => ended(policy.authenticate(host, b"patrol_pat_nonsense", AUDIENCE)),
        "open-session" => ended(policy.open_session(host, b"patrol_pat_nonsense", AUDIENCE)),
        "list-tokens" => ended(policy.list_tokens(host, OWNER, ADMINISTRATOR)),
        "change-auth-method" => ended(policy.change_auth_method(host, scope, "sso", ADMINISTRATOR)),
        "foresee" => {
            let state = TokenState {
                token: token(),
                owner: host.owner(),
            };
            ended(policy.foresee(host, &[state, state]))
        }
        "sweep" => ended(policy.sweep(host, 100)),
        "describe" => ended(policy.describe(host)),
        other => panic!("no such call: {other}"),
    }
}

fn ended<T>((host, verdict): policy::Answer<Ledger, T>) -> (Option<Ledger>, String) {
    let ending = match verdict {
        Ok(_) => "floor".to_owned(),
        Err(Ending::Refused(_)) => "refused".to_owned(),
        Err(Ending::Outage(_)) => "outage".to_owned(),
        Err(Ending::Fault(fault)) => {
            let text = fault.to_string();
            assert!(
                text.chars().count() < 400 && !text.contains(char::is_control),
                "{text}"
            );
            format!("fault {}", fault.kind())
        }
    };
    (Some(host), ending)
}

fn load_error(error: &LoadError) -> String {
    match error {
        LoadError::Start(fault) => return format!("start {}", fault.kind()),
        LoadError::NotAComponent(_) => "not a component",
        LoadError::Imports(_) => "imports",
        LoadError::ImportTypes(_) => "import types",
        LoadError::Exports(_) => "exports",
        LoadError::Limits(_) => "limits",
        other => panic!("{other}"),
    }
    .to_owned()
}

/// The good policy issues a token and lets it in.
fn serves(good: &Policy<Ledger>) {
    let request = IssueRequest {
        owner: OWNER,
        name: "n".to_owned(),
        expires: NOW + DAY,
        audience: AUDIENCE,
    };
    let (ledger, issued) = good.issue(Ledger::default(), &request, ADMINISTRATOR);
    let issued = issued.unwrap();
    let (_, grant) = good.authenticate(ledger, issued.secret.expose(), AUDIENCE);
    assert_eq!(grant.unwrap().token, issued.token.id);
}

/// A token that the good policy issued.
fn token() -> Token {
    let good = Policy::load(policy::embedded(), &Options::default()).unwrap();
    let request = IssueRequest {
        owner: OWNER,
        name: "n".to_owned(),
        expires: NOW + DAY,
        audience: AUDIENCE,
    };
    good.issue(Ledger::default(), &request, ADMINISTRATOR)
        .1
        .unwrap()
        .token
}

#[test]
fn an_instance_that_trapped_is_not_used_again() {
    let warm = Options {
        isolation: Isolation::Warm { max_calls: 100 },
        ..Options::default()
    };
    let policy = Policy::load(&hostile::policy("traps-now-and-then"), &warm).unwrap();
    let mut verdicts = Vec::new();
    let mut host = Ledger::default();
    for _ in 0..7 {
        let (back, verdict) = policy.authenticate(host, b"", AUDIENCE);
        host = back;
        verdicts.push(verdict.is_ok());
    }
    // Its counter starts anew after each trap, as that of a fresh instance does.
    assert_eq!(verdicts, [true, true, false, true, true, false, true]);
}

#[test]
fn a_fresh_instance_for_each_call_remembers_nothing() {
    let policy = Policy::load(&hostile::policy("traps-now-and-then"), &Options::default()).unwrap();
    for _ in 0..7 {
        policy.authenticate(Ledger::default(), b"", AUDIENCE).1.unwrap();
    }
}

#[test]
fn a_warm_instance_is_replaced_after_its_last_call() {
    let warm = Options {
        isolation: Isolation::Warm { max_calls: 2 },
        ..Options::default()
    };
    let policy = Policy::load(&hostile::policy("traps-now-and-then"), &warm).unwrap();
    for _ in 0..7 {
        policy.authenticate(Ledger::default(), b"", AUDIENCE).1.unwrap();
    }
}

#[test]
fn the_policies_for_the_floor_name_the_token_that_they_should() {
    let good = Policy::load(policy::embedded(), &Options::default()).unwrap();
    let request = IssueRequest {
        owner: OWNER,
        name: "n".to_owned(),
        expires: NOW + DAY,
        audience: AUDIENCE,
    };
    let (ledger, first) = good.issue(Ledger::default(), &request, ADMINISTRATOR);
    let (ledger, second) = good.issue(ledger, &request, ADMINISTRATOR);
    let (first, second) = (first.unwrap(), second.unwrap());
    let presented = [first.secret.expose(), b" ", second.secret.expose()].concat();

    let mut host = ledger;
    let mut granted = |case: &str| {
        let policy = Policy::load(&hostile::policy(case), &Options::default()).unwrap();
        let (back, grant) = policy.authenticate(std::mem::take(&mut host), &presented, AUDIENCE);
        host = back;
        grant.unwrap()
    };
    let grant = granted("floor-yes-to-anything");
    assert_eq!(
        (grant.token, grant.owner, grant.tenant),
        (first.token.id, OWNER, first.token.tenant)
    );
    let grant = granted("floor-another-token");
    assert_eq!((grant.token, grant.owner), (second.token.id, OWNER));
    let grant = granted("floor-another-owner");
    assert_eq!(grant.token, first.token.id);
    assert_ne!(grant.owner, OWNER);
    let grant = granted("floor-invented");
    assert_eq!(
        grant.token,
        Id {
            hi: 0x1111_1111_1111_1111,
            lo: 0x2222_2222_2222_2222
        }
    );
}

#[test]
fn load_errors_say_what_to_do() {
    let error = |case| {
        Policy::<Ledger>::load(&hostile::policy(case), &Options::default())
            .err()
            .unwrap()
            .to_string()
    };
    assert_eq!(
        error("wasi-import"),
        "the policy imports wasi:cli/environment@0.2.6, which this host does not offer: a policy may import only \
         patrol:policy/* 0.1"
    );
    assert!(
        error("other-clock").contains("patrol:policy/clock@0.1.0"),
        "{}",
        error("other-clock")
    );
    assert!(
        error("no-exports").contains("build it against this release's wit/"),
        "{}",
        error("no-exports")
    );
}

#[test]
fn an_export_of_another_type_is_found_at_loading() {
    let changed = tempfile::tempdir().unwrap();
    for file in fs::read_dir(hostile::wit()).unwrap() {
        let file = file.unwrap();
        let text = fs::read_to_string(file.path()).unwrap();
        let text = text.replace(
            "decide-password-sign-in: func(owner: id) -> result<_, denial>",
            "decide-password-sign-in: func(owner: id) -> result<bool, denial>",
        );
        fs::write(changed.path().join(file.file_name()), text).unwrap();
    }
    let load = |wit: &Path| {
        let component = hostile::componentize("(module)", wit).unwrap();
        Policy::<Ledger>::load(&component, &Options::default()).err()
    };
    assert_eq!(load(&hostile::wit()), None);
    let error = load(changed.path()).unwrap();
    assert!(matches!(error, LoadError::Exports(_)), "{error}");
}

/// Resident memory now; the peak is counted from here.
fn resident_kib() -> u64 {
    // "5" resets the peak. Where that is not allowed the peak is that of the process, and the test is stricter.
    let _ = fs::write("/proc/self/clear_refs", "5");
    status_kib("VmRSS:")
}

fn peak_kib() -> u64 {
    status_kib("VmHWM:")
}

fn status_kib(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}
