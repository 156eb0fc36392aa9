//! An instance that is used again, of a language that collects garbage when it sees fit.

use patrol::policy::{Ending, Fault, Isolation};
use patrol_policy::types::{Actor, ActorRole, DAY, IssueRequest, Parameters};
use patrol_tests::javascript;
use patrol_tests::memory::MemoryHost;
use patrol_tests::native::Native;
use patrol_tests::trace::{START, user_id};

use crate::rules::load;

/// An administrator.
pub fn actor() -> Actor {
    Actor {
        role: ActorRole::Administrator,
        id: user_id(0),
    }
}

/// For a token of the first user.
pub fn request(number: u32) -> IssueRequest {
    IssueRequest {
        owner: user_id(0),
        name: format!("token {number}"),
        expires: START + 30 * DAY,
        audience: 1,
    }
}

/// A host with as many tokens as a user may have, and the last one's secret.
fn full() -> (MemoryHost, Vec<u8>) {
    let mut native = Native::new(Parameters::default());
    let mut presented = Vec::new();
    for number in 0..104 {
        presented = native
            .engine()
            .issue(request(number), actor())
            .unwrap()
            .secret
            .into_bytes();
    }
    (native.host, presented)
}

/// The README says to replace an instance after so many calls; that has to be early enough even if each of them is the
/// most expensive one.
#[test]
fn an_instance_stays_within_its_memory_for_as_long_as_the_readme_has_it_live() {
    let readme = std::fs::read_to_string(javascript::directory().join("README.md")).unwrap();
    let calls = 1_000;
    assert!(readme.contains(&format!("warm_max_calls = {calls}\n")));
    assert!(readme.contains(javascript::SETTINGS));
    let Some(policy) = load(Isolation::Warm { max_calls: u32::MAX }) else {
        return;
    };
    let (mut host, _) = full();
    for call in 0..calls {
        let (back, listed) = policy.list_tokens(host, user_id(0), actor());
        host = back;
        let listed = listed.unwrap_or_else(|ending| panic!("{ending} after {call} calls"));
        assert_eq!(listed.len(), 104);
    }
}

/// Checks are what it does all day: five times as many, on instances that are replaced meanwhile and on one that is not.
#[test]
fn thousands_of_checks_in_a_row_are_answered() {
    for max_calls in [1_000, u32::MAX] {
        let Some(policy) = load(Isolation::Warm { max_calls }) else {
            return;
        };
        let (mut host, presented) = full();
        for call in 0..5_000 {
            let (back, answer) = policy.authenticate(host, &presented, 1);
            host = back;
            answer.unwrap_or_else(|ending| panic!("{ending} after {call} calls"));
        }
    }
}

/// Where memory is set too small for that, the host ends the call, and the next one is answered by a fresh instance.
#[test]
fn an_instance_that_wants_more_memory_than_allowed_is_replaced() {
    let mut options = javascript::options(Isolation::Warm { max_calls: u32::MAX });
    options.memory_bytes = 12 << 20;
    let Some(policy) = javascript::load(&options) else {
        return;
    };
    let (mut host, presented) = full();
    let mut faults = 0;
    for call in 0..2_000 {
        let (back, listed) = policy.list_tokens(host, user_id(0), actor());
        host = back;
        match listed {
            Ok(listed) => assert_eq!(listed.len(), 104),
            Err(Ending::Fault(Fault::Memory(text))) => {
                assert!(text.contains("`[policy] memory`"), "{text}");
                faults += 1;
                let (back, answer) = policy.authenticate(host, &presented, 1);
                host = back;
                answer.unwrap_or_else(|ending| panic!("{ending} after {call} calls"));
            }
            Err(other) => panic!("{other}"),
        }
        if faults == 2 {
            return;
        }
    }
    panic!("it had memory enough: the test shows nothing");
}
