//! That it decides as the rules say, whatever it is handed.

use patrol::policy::{Ending, Isolation, Policy};
use patrol_policy::types::{DAY, Denial, IssueRequest, Outage, Parameters, Refusal, RefusalReason};
use patrol_tests::javascript;
use patrol_tests::memory::{MemoryHost, Rows};
use patrol_tests::native::Native;
use patrol_tests::trace::{run, some_traces};
use patrol_tests::wasm::Wasm;

use crate::warm::{actor, request};

/// The policy; none where the test is to be left out.
pub fn load(isolation: Isolation) -> Option<Policy<MemoryHost>> {
    javascript::load(&javascript::options(isolation))
}

fn agrees(isolation: Isolation) {
    let Some(policy) = load(isolation) else { return };
    for trace in some_traces(30) {
        if let Err(reason) = run(&trace, &mut Wasm::new(&policy, trace.parameters())) {
            panic!(
                "{isolation:?}: {reason}\n{}",
                serde_json::to_string_pretty(&trace).unwrap()
            );
        }
    }
}

#[test]
fn the_policy_agrees_with_the_rules_on_kept_and_random_traces() {
    agrees(Isolation::PerCall);
}

#[test]
fn the_policy_agrees_with_the_rules_on_instances_that_are_used_again() {
    agrees(Isolation::Warm { max_calls: 50 });
}

#[test]
fn it_imports_and_exports_the_contract_and_nothing_else() {
    let Some(policy) = load(Isolation::PerCall) else {
        return;
    };
    assert!(!policy.imports().is_empty());
    for name in policy.imports() {
        let interface = name
            .strip_prefix("patrol:policy/")
            .and_then(|rest| rest.strip_suffix("@0.1.0"));
        assert!(interface.is_some(), "{name}");
    }
    assert_eq!(
        policy.exports(),
        ["patrol:policy/engine@0.1.0", "patrol:policy/about@0.1.0"]
    );
    let host = Native::new(Parameters::default()).host;
    let description = policy.describe(host).1.unwrap();
    assert_eq!(description.name, "patrol-javascript");
    let package = std::fs::read_to_string(javascript::directory().join("package.json")).unwrap();
    let package: serde_json::Value = serde_json::from_str(&package).unwrap();
    assert_eq!(package["version"], description.version);
}

/// What a caller makes up is answered with the same refusal as by the engine that is built in, and never with a fault.
#[test]
fn hostile_input_is_refused_as_the_engine_refuses_it() {
    let Some(policy) = load(Isolation::Warm { max_calls: 1_000 }) else {
        return;
    };
    let mut native = Native::new(Parameters::default());
    let issued = native.engine().issue(request(0), actor()).unwrap();
    let good = issued.secret.expose().to_vec();
    let mut presented: Vec<Vec<u8>> = vec![
        vec![],
        vec![0],
        vec![0xff; 83],
        vec![b'z'; 1_000],
        vec![0xf0; 1_024],
        b"patrol_pat_".to_vec(),
        [b"patrol_pat_".as_slice(), &[b'z'; 72]].concat(),
        [good.as_slice(), b"\n"].concat(),
        [b" ".as_slice(), &good].concat(),
    ];
    // Every letter of a good token replaced: by another digit, by none, and by one beyond ASCII.
    for at in 0..good.len() {
        for other in [b'0', b'Z', b'z', b'-', 0x80, 0xff] {
            let mut text = good.clone();
            text[at] = other;
            presented.push(text);
        }
    }
    presented.extend((0..good.len()).map(|length| good[..length].to_vec()));
    let mut host = native.host.clone();
    for text in presented {
        let expected = native.engine().authenticate(&text, 1);
        let (back, answer) = policy.authenticate(host, &text, 1);
        host = back;
        let answer = answer.map_err(|ending| match ending {
            Ending::Refused(refusal) => Denial::Refused(refusal),
            other => panic!("{other}: {text:?}"),
        });
        assert_eq!(
            format!("{answer:?}"),
            format!("{expected:?}"),
            "{}",
            String::from_utf8_lossy(&text)
        );
        let (back, answer) = policy.check_session(host, &text, 1);
        host = back;
        assert!(
            matches!(&answer, Err(Ending::Refused(refusal)) if refusal.reason == RefusalReason::Malformed),
            "{answer:?}"
        );
    }
}

#[test]
fn names_are_judged_as_the_engine_judges_them() {
    let Some(policy) = load(Isolation::Warm { max_calls: 1_000 }) else {
        return;
    };
    // Spaces that are none to JavaScript's `trim` and the other way round, controls, and lengths at the limit in
    // characters of one to four bytes. A byte order mark in front is another matter: see the policy's README.
    let names = [
        String::new(),
        " ".to_owned(),
        "\u{85}\u{3000} backup \u{2028}\t".to_owned(),
        "\u{200b}".to_owned(),
        "backup\u{feff}".to_owned(),
        "a\u{0}b".to_owned(),
        "a\nb".to_owned(),
        "a\u{7f}b".to_owned(),
        "a\u{9f}b".to_owned(),
        "\u{fffd}\u{d7ff}\u{e000}\u{10ffff}".to_owned(),
        "e\u{301}".to_owned(),
        "n".repeat(255),
        "n".repeat(256),
        "\u{1f511}".repeat(255),
        "\u{1f511}".repeat(256),
        "\u{20ac}".repeat(1_365),
    ];
    let mut native = Native::new(Parameters::default());
    let mut host = native.host.clone();
    for name in names {
        let request = IssueRequest {
            name: name.clone(),
            ..request(0)
        };
        let expected = native.engine().issue(request.clone(), actor());
        let (back, answer) = policy.issue(host, &request, actor());
        host = back;
        let reason = |refusal: Refusal| refusal.reason;
        let answer = answer.map(drop).map_err(|ending| match ending {
            Ending::Refused(refusal) => reason(refusal),
            other => panic!("{other}: {name:?}"),
        });
        let expected = expected.map(drop).map_err(|denial| match denial {
            Denial::Refused(refusal) => reason(refusal),
            other => panic!("{other:?}"),
        });
        assert_eq!(answer, expected, "{name:?}");
        let stored =
            |rows: &Rows| -> Vec<String> { rows.tokens.values().map(|(_, name)| name.clone()).collect() };
        assert_eq!(stored(&host.rows), stored(&native.host.rows), "{name:?}");
    }
}

/// Numbers at the ends of their ranges are where a language whose numbers are doubles would go wrong.
#[test]
fn times_at_the_end_of_time_are_exact() {
    let Some(policy) = load(Isolation::PerCall) else {
        return;
    };
    for (now, max_lifetime) in [
        (0, u64::MAX),
        (1, u64::MAX - 1),
        ((1 << 53) + 1, DAY),
        (u64::MAX - 1, DAY),
        (u64::MAX, u64::MAX),
    ] {
        let parameters = Parameters {
            max_lifetime,
            idle_after: u64::MAX,
            ..Parameters::default()
        };
        for expires in [0, 1, now.wrapping_add(1), (1 << 53) + 3, u64::MAX - 1, u64::MAX] {
            let mut native = Native::new(parameters);
            native.host.now = now;
            let host = native.host.clone();
            let request = IssueRequest {
                expires,
                ..request(0)
            };
            let expected = native.engine().issue(request.clone(), actor());
            let answer = policy.issue(host, &request, actor()).1;
            match (answer, expected) {
                (Ok(answer), Ok(expected)) => {
                    assert_eq!(answer.ends, expected.ends);
                    assert_eq!(answer.token, expected.token);
                    assert_eq!(answer.secret.expose(), expected.secret.expose());
                }
                (Err(Ending::Refused(answer)), Err(expected)) => {
                    assert_eq!(Denial::Refused(answer), expected);
                }
                (answer, expected) => panic!("{answer:?} is not {expected:?} at {now}, {expires}"),
            }
        }
    }
}

#[test]
fn a_failing_store_is_an_outage_and_not_a_verdict() {
    let Some(policy) = load(Isolation::Warm { max_calls: 1_000 }) else {
        return;
    };
    let mut native = Native::new(Parameters::default());
    let issued = native.engine().issue(request(0), actor()).unwrap();
    for outage in Outage::ALL {
        native.host.outage = Some(*outage);
        let answer = policy
            .authenticate(native.host.clone(), issued.secret.expose(), 1)
            .1;
        assert_eq!(answer, Err(Ending::Outage(*outage)));
        let answer = policy.sweep(native.host.clone(), 10).1;
        assert_eq!(answer, Err(Ending::Outage(*outage)));
    }
}
