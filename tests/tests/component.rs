//! The component that is built with the host: what it needs, what it offers, how large it is, and that it decides as
//! the rules say when it is run by the host.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use patrol::policy::{Isolation, Options};
use patrol_policy::types::{ActorRole, Cause, Level, Outage, RefusalReason};
use patrol_tests::hostile;
use patrol_tests::shape::{EXPORTS, shape};
use patrol_tests::trace::{run, some_traces};
use patrol_tests::wasm::{self, Wasm};
use wit_parser::{Resolve, TypeDefKind};

#[test]
fn the_component_imports_nothing_but_the_contract() {
    assert_eq!(shape(wasm::embedded()).imports_beyond_the_contract(), [""; 0]);
}

#[test]
fn the_component_exports_the_engine_and_about() {
    assert_eq!(shape(wasm::embedded()).exports, EXPORTS);
}

#[test]
fn the_component_is_small() {
    // A fresh instance for each call pays for every page that it starts with.
    let memories = shape(wasm::embedded()).memories;
    assert!(matches!(memories[..], [1..=3]), "{memories:?} pages");
    // It is compiled at the first start, and whoever replaces it reads it: let it grow only for a reason.
    let size = wasm::embedded().len();
    assert!(size <= 64 << 10, "{size} bytes");
}

#[test]
fn the_enums_of_the_contract_are_in_its_order() {
    // The component's bindings go by the number of a case, the host's by its name.
    let mut resolve = Resolve::default();
    resolve.push_dir(hostile::wit()).unwrap();
    let cases = |name: &str| -> Vec<String> {
        let types = resolve.types.iter().map(|(_, definition)| definition);
        let enums: Vec<_> = types
            .filter(|definition| definition.name.as_deref() == Some(name))
            .filter_map(|definition| match &definition.kind {
                TypeDefKind::Enum(cases) => Some(cases),
                _ => None,
            })
            .collect();
        assert_eq!(enums.len(), 1, "{name}");
        enums[0].cases.iter().map(|case| case.name.clone()).collect()
    };
    assert_eq!(
        cases("cause"),
        Cause::ALL.iter().map(|c| c.as_str()).collect::<Vec<_>>()
    );
    assert_eq!(
        cases("refusal-reason"),
        RefusalReason::ALL.iter().map(|r| r.as_str()).collect::<Vec<_>>()
    );
    assert_eq!(
        cases("actor-role"),
        ActorRole::ALL.iter().map(|r| r.as_str()).collect::<Vec<_>>()
    );
    assert_eq!(
        cases("outage"),
        Outage::ALL.iter().map(|o| o.as_str()).collect::<Vec<_>>()
    );
    assert_eq!(
        cases("level"),
        Level::ALL.iter().map(|l| l.as_str()).collect::<Vec<_>>()
    );
}

#[test]
fn the_rules_are_the_same_for_a_policy_that_peppers() {
    let deadline = std::time::Duration::from_secs(10);
    let options = Options {
        deadline,
        bulk_deadline: deadline,
        ..Options::default()
    };
    let component = patrol_tests::policies::read("peppered");
    let policy = patrol::policy::Policy::load(&component, &options).unwrap();
    for trace in some_traces(100) {
        if let Err(reason) = run(&trace, &mut Wasm::new(&policy, trace.parameters())) {
            panic!("{reason}\n{}", serde_json::to_string_pretty(&trace).unwrap());
        }
    }
}

const WARM: Isolation = Isolation::Warm { max_calls: 7 };

#[test]
fn the_component_agrees_with_the_rules_however_it_is_run() {
    for isolation in [Isolation::PerCall, WARM] {
        // Time is not what this is about: a busy machine may take what it needs.
        let deadline = std::time::Duration::from_secs(10);
        let policy = wasm::load(&Options {
            isolation,
            deadline,
            bulk_deadline: deadline,
            ..Options::default()
        });
        for trace in some_traces(100) {
            if let Err(reason) = run(&trace, &mut Wasm::new(&policy, trace.parameters())) {
                panic!(
                    "{isolation:?}: {reason}\n{}",
                    serde_json::to_string_pretty(&trace).unwrap()
                );
            }
        }
    }
}
