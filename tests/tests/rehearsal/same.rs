//! The same policy, asked again, says the same: a replay invents nothing and forgets nothing.

use std::collections::BTreeMap;

use patrol::service::Verdict;
use patrol_tests::trace::{Trace, drawn_traces, kept_traces, run};
use patrol_tests::wasm;
use patrol_tests::whole::Whole;

use crate::support::Ear;

/// Plays a trace, then what was heard of it. Says how many calls of each function were put again.
fn differs_in_nothing(trace: &Trace, what: &str, counts: &mut BTreeMap<(&'static str, bool), u32>) {
    let mut whole = Whole::new(trace.parameters());
    let ear = Ear::at(whole.patrol());
    run(trace, &mut whole).unwrap();
    let heard = ear.heard();
    let mut rehearsal = whole.patrol().rehearse_component(wasm::embedded(), None).unwrap();
    for exchange in &heard {
        let difference = rehearsal.play(exchange).unwrap();
        assert_eq!(difference, None, "{what}: {exchange:#?}");
        let accepted = matches!(exchange.verdict, Verdict::Yes(_));
        *counts
            .entry((exchange.question.function(), accepted))
            .or_default() += 1;
    }
    let report = rehearsal.report().unwrap();
    assert_eq!(report.totals.calls, heard.len() as u64, "{what}");
    assert_eq!(report.totals.unchanged, heard.len() as u64, "{what}");
    assert_eq!(report.changes, []);
    // It asks what was asked before, so that everything was recorded that it needs.
    assert_eq!(report.answered_from_the_store, BTreeMap::new(), "{what}");
}

#[test]
fn the_same_policy_says_the_same_on_random_traces_of_all_operations() {
    let mut counts = BTreeMap::new();
    for (number, trace) in drawn_traces(60).enumerate() {
        differs_in_nothing(&trace, &format!("trace {number}"), &mut counts);
    }
    for function in [
        "authenticate",
        "open-session",
        "check-session",
        "close-session",
        "issue",
        "rotate",
        "revoke",
        "revoke-all",
        "list-tokens",
        "change-auth-method",
        "preview-auth-method",
        "decide-password-sign-in",
    ] {
        for accepted in [true, false] {
            let count = counts.get(&(function, accepted)).copied().unwrap_or_default();
            assert!(count > 0, "{function}, {accepted} was never asked");
        }
    }
}

#[test]
fn the_same_policy_says_the_same_on_every_kept_trace() {
    for (path, trace) in kept_traces() {
        differs_in_nothing(&trace, &path.display().to_string(), &mut BTreeMap::new());
    }
}
