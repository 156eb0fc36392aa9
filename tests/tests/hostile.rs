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

use patrol::policy::{Answer, Ending, Isolation, LoadError, Options, Policy};
use patrol_policy::Engine;
use patrol_policy::types::{Actor, ActorRole, DAY, Id, IssueRequest, Issued, Outage, Parameters, Scope};
use patrol_tests::hostile;
use patrol_tests::memory::MemoryHost;
use patrol_tests::native::Native;
use patrol_tests::trace::{START, tenant_id, user_id};

const AUDIENCE: u32 = 1;
const ADMINISTRATOR: Actor = Actor {
    role: ActorRole::Administrator,
    id: Id { hi: 2, lo: 99 },
};

/// What any case may take: generous, since it is a deadline of 50 ms or 1 s on a busy machine.
const LONGEST: Duration = Duration::from_secs(5);
/// By how much the process may grow meanwhile, at its peak.
const MOST_KIB: u64 = 64 << 10;

#[test]
fn every_hostile_policy_ends_as_expected_and_harms_nobody() {
    let good = Policy::load(Policy::<MemoryHost>::embedded(), &Options::default()).unwrap();
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
        let (left, ending) = ending_of(&component, call, expected == "outage");
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
        if left.is_some_and(|left| left.rows != host().rows) {
            wrong.push(format!("{case}: left something in the store"));
        }
        serves(&good);
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What becomes of one call to a policy, and the host that it was made for.
fn ending_of(component: &[u8], call: &str, down: bool) -> (Option<MemoryHost>, String) {
    let policy = match Policy::load(component, &Options::default()) {
        Ok(policy) => policy,
        Err(error) => return (None, load_error(&error)),
    };
    let mut host = host();
    host.outage = down.then_some(Outage::Busy);
    let owner = user_id(0);
    let scope = Scope::Owner(owner);
    match call {
        "authenticate" => ended(policy.authenticate(host, b"patrol_pat_nonsense", AUDIENCE)),
        "open-session" => ended(policy.open_session(host, b"patrol_pat_nonsense", AUDIENCE)),
        "list-tokens" => ended(policy.list_tokens(host, owner, ADMINISTRATOR)),
        "change-auth-method" => ended(policy.change_auth_method(host, scope, "sso", ADMINISTRATOR)),
        "foresee" => {
            let mut other = self::host();
            issue(&mut other, "foreseen");
            let (state, _) = other.tokens().remove(0);
            ended(policy.foresee(host, &[state, state]))
        }
        "sweep" => ended(policy.sweep(host, 100)),
        "describe" => ended(policy.describe(host)),
        other => panic!("no such call: {other}"),
    }
}

fn ended<T>((host, verdict): Answer<MemoryHost, T>) -> (Option<MemoryHost>, String) {
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
        LoadError::Newer { .. } => "newer",
        LoadError::Exports(_) => "exports",
        LoadError::Limits(_) => "limits",
        other => panic!("{other}"),
    }
    .to_owned()
}

/// The good policy issues a token and lets it in.
fn serves(good: &Policy<MemoryHost>) {
    let (host, issued) = good.issue(host(), &request("good"), ADMINISTRATOR);
    let issued = issued.unwrap();
    let (_, grant) = good.authenticate(host, issued.secret.expose(), AUDIENCE);
    assert_eq!(grant.unwrap().token, issued.token);
}

/// The world that traces start from: some tenants and users, no tokens.
fn host() -> MemoryHost {
    Native::new(Parameters::default()).host
}

fn request(name: &str) -> IssueRequest {
    IssueRequest {
        owner: user_id(0),
        name: name.to_owned(),
        expires: START + DAY,
        audience: AUDIENCE,
    }
}

fn issue(host: &mut MemoryHost, name: &str) -> Issued {
    Engine::new(host).issue(request(name), ADMINISTRATOR).unwrap()
}

#[test]
fn an_instance_that_trapped_is_not_used_again() {
    let warm = Options {
        isolation: Isolation::Warm { max_calls: 100 },
        ..Options::default()
    };
    let policy = Policy::load(&hostile::policy("traps-now-and-then"), &warm).unwrap();
    let mut verdicts = Vec::new();
    let mut host = host();
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
        policy.authenticate(host(), b"", AUDIENCE).1.unwrap();
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
        policy.authenticate(host(), b"", AUDIENCE).1.unwrap();
    }
}

#[test]
fn the_policies_for_the_floor_name_the_token_that_they_should() {
    let mut host = host();
    let (first, second) = (issue(&mut host, "one"), issue(&mut host, "other"));
    let presented = [first.secret.expose(), b" ", second.secret.expose()].concat();

    let granted = |case: &str| {
        let policy = Policy::load(&hostile::policy(case), &Options::default()).unwrap();
        policy.authenticate(host.clone(), &presented, AUDIENCE).1.unwrap()
    };
    let grant = granted("floor-yes-to-anything");
    assert_eq!(
        (grant.token, grant.owner, grant.tenant),
        (first.token, user_id(0), tenant_id(0))
    );
    let grant = granted("floor-another-token");
    assert_eq!((grant.token, grant.owner), (second.token, user_id(0)));
    let grant = granted("floor-another-owner");
    assert_eq!(grant.token, first.token);
    assert_ne!(grant.owner, user_id(0));
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
        Policy::<MemoryHost>::load(&hostile::policy(case), &Options::default())
            .err()
            .unwrap()
            .to_string()
    };
    assert_eq!(
        error("wasi-import"),
        "the policy imports wasi:cli/environment@0.2.6, which this host does not offer: a policy may import only \
         patrol:policy/* 0.1; no policy has WASI: build it for wasm32-unknown-unknown, or have the tool that made it \
         leave WASI out"
    );
    assert!(
        error("other-clock").contains("clock.now has another type"),
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
        if file.path().extension() != Some("wit".as_ref()) {
            continue;
        }
        let text = fs::read_to_string(file.path()).unwrap();
        let text = text.replace(
            "decide-password-sign-in: func(owner: id) -> result<_, denial>",
            "decide-password-sign-in: func(owner: id) -> result<bool, denial>",
        );
        fs::write(changed.path().join(file.file_name()), text).unwrap();
    }
    let load = |wit: &Path| {
        let component = hostile::componentize("(module)", wit).unwrap();
        Policy::<MemoryHost>::load(&component, &Options::default()).err()
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
