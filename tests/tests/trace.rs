//! Three engines, one trace: the rules written a second time, the engine built natively, and the whole as shipped, the
//! component in wasmtime over SQLite files, agree on random traces and on those kept in `traces/`.
//!
//! A random trace that fails is made small and kept there, so that it is replayed from then on.

use std::collections::BTreeMap;

use patrol_policy::types::{Cause, RefusalReason};
use patrol_tests::native::Native;
use patrol_tests::trace::{Trace, Verdict, folder, kept_traces, run, traces};
use patrol_tests::whole::Whole;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

fn on_the_native_engine(trace: &Trace) -> Result<Vec<Verdict>, String> {
    run(trace, &mut Native::new(trace.parameters()))
}

fn on_the_whole(trace: &Trace) -> Result<Vec<Verdict>, String> {
    run(trace, &mut Whole::new(trace.parameters()))
}

fn agrees_on_random_traces(cases: u32, engine: fn(&Trace) -> Result<Vec<Verdict>, String>) {
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = runner.run(&traces(80), |trace| {
        engine(&trace).map(drop).map_err(TestCaseError::fail)
    });
    if let Err(TestError::Fail(reason, trace)) = outcome {
        let path = folder().join("found.json");
        std::fs::write(&path, serde_json::to_string_pretty(&trace).unwrap()).unwrap();
        panic!(
            "{reason}\nkept as {}; give it a name that says what it shows",
            path.display()
        );
    }
    outcome.unwrap();
}

fn agrees_on_every_kept_trace(engine: fn(&Trace) -> Result<Vec<Verdict>, String>) {
    for (path, trace) in kept_traces() {
        if let Err(reason) = engine(&trace) {
            panic!("{}\n{reason}", path.display());
        }
    }
}

#[test]
fn the_native_engine_agrees_with_the_model_on_random_traces() {
    agrees_on_random_traces(600, on_the_native_engine);
}

#[test]
fn the_component_over_sqlite_agrees_with_the_model_on_random_traces() {
    agrees_on_random_traces(100, on_the_whole);
}

#[test]
fn the_native_engine_agrees_with_the_model_on_every_kept_trace() {
    agrees_on_every_kept_trace(on_the_native_engine);
}

#[test]
fn the_component_over_sqlite_agrees_with_the_model_on_every_kept_trace() {
    agrees_on_every_kept_trace(on_the_whole);
}

/// Agreement on what never happens proves nothing.
#[test]
fn random_traces_reach_every_refusal_and_every_end() {
    let mut refusals = BTreeMap::new();
    let mut ends = BTreeMap::new();
    let mut runner = TestRunner::deterministic();
    for _ in 0..600 {
        let trace = traces(80).new_tree(&mut runner).unwrap().current();
        for verdict in on_the_native_engine(&trace).unwrap() {
            match verdict {
                Verdict::Refused { reason, .. } => *refusals.entry(reason).or_insert(0) += 1,
                Verdict::Granted { ends: end, .. } => *ends.entry(("token", end.cause)).or_insert(0) += 1,
                Verdict::Opened { ends: end, .. } | Verdict::Checked { ends: end, .. } => {
                    *ends.entry(("session", end.cause)).or_insert(0) += 1;
                }
                Verdict::Foreseen(all) => {
                    all.iter()
                        .for_each(|(_, _, end)| *ends.entry(("foreseen", end.cause)).or_insert(0) += 1);
                }
                _ => {}
            }
        }
    }
    for reason in RefusalReason::ALL {
        assert!(refusals.contains_key(reason), "{reason} was never reached");
    }
    for cause in [Cause::ExpirationDate, Cause::Idle, Cause::Rotated] {
        assert!(
            ends.contains_key(&("token", cause)),
            "a token that ends by {cause} was never granted"
        );
    }
    for cause in [
        Cause::ExpirationDate,
        Cause::Idle,
        Cause::Rotated,
        Cause::SessionLifetime,
        Cause::SessionIdle,
    ] {
        assert!(
            ends.contains_key(&("session", cause)),
            "a session that ends by {cause} was never granted"
        );
    }
    let token_causes = Cause::ALL
        .iter()
        .filter(|cause| !cause.as_str().starts_with("session-"));
    for cause in token_causes.filter(|cause| **cause != Cause::Rotated) {
        assert!(
            ends.contains_key(&("foreseen", *cause)),
            "no token was foreseen to end by {cause}"
        );
    }
}
