//! The example in `guest/policies/stricter`: its own scenarios, and which of the shipped ones it fails.

use std::collections::BTreeMap;

use patrol_tests::policies;
use serde_json::Value;

use crate::support::Directory;

fn scenarios(arguments: &[&str]) -> Value {
    let component = policies::component("stricter");
    let policy = [
        "--json",
        "scenario",
        "run",
        "--policy",
        component.to_str().unwrap(),
    ];
    let run = Directory::new().patrol(&[&policy, arguments].concat());
    serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {run:?}"))
}

#[test]
fn its_own_scenarios_pass() {
    let folder = policies::folder("stricter").join("scenarios");
    let results = scenarios(&[folder.to_str().unwrap()]);
    assert_eq!(
        (&results["passed"], &results["failed"]),
        (&3.into(), &0.into()),
        "{results}"
    );
}

/// Where the stock scenarios tell of a rule that the policy changes, and nowhere else, at the very step that tells of it.
#[test]
fn of_the_shipped_scenarios_it_fails_those_of_the_rules_that_it_changes() {
    let results = scenarios(&[]);
    let failed: BTreeMap<_, _> = results["scenarios"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["ok"] == false)
        .map(|one| {
            let difference = &one["failed"]["differences"][0];
            let told = [
                &one["failed"]["what"],
                &difference["key"],
                &difference["expected"],
                &difference["got"],
            ];
            (
                one["name"].as_str().unwrap(),
                told.map(|value| value.as_str().unwrap()),
            )
        })
        .collect();
    let expected = BTreeMap::from([
        ("r05-expiry", ["issue unused", "ends", "+15d", "+7d"]),
        ("r06-gone-and-kept", ["review idle", "ends", "+15d", "+7d"]),
        (
            "r07-limit",
            ["issue script-21", "verdict", "allowed", "limit-reached"],
        ),
        ("r13-names", ["issue cafe", "verdict", "allowed", "name-invalid"]),
    ]);
    assert_eq!(failed, expected);
}

#[test]
fn a_run_can_say_which_scenarios_are_to_fail_and_finds_those_that_do_not() {
    let component = policies::component("stricter");
    let directory = Directory::new();
    let run = |differs: &[&str]| {
        let differs = differs.iter().flat_map(|name| ["--differs", name]);
        let arguments = [
            "scenario",
            "run",
            "--junit",
            "report.xml",
            "--policy",
            component.to_str().unwrap(),
        ];
        directory.patrol(&arguments.into_iter().chain(differs).collect::<Vec<_>>())
    };
    let all = run(&["r05-expiry", "r06-gone-and-kept", "r07-limit", "r13-names"]).done();
    assert_eq!(
        all.lines().filter(|line| line.starts_with("differ ")).count(),
        4,
        "{all}"
    );
    assert!(all.contains("14 passed, 4 differ, 0 failed"), "{all}");
    let report = std::fs::read_to_string(directory.path("report.xml")).unwrap();
    assert!(report.contains("failures=\"0\""), "{report}");

    let fewer = run(&["r05-expiry", "r06-gone-and-kept", "r07-limit"]);
    assert_eq!(fewer.code, Some(12), "{fewer:?}");
    assert!(fewer.out.contains("FAILED  r13-names"), "{fewer:?}");

    let more = run(&[
        "r05-expiry",
        "r06-gone-and-kept",
        "r07-limit",
        "r13-names",
        "sessions",
    ]);
    assert_eq!(more.code, Some(12), "{more:?}");
    assert!(more.out.contains("FAILED  sessions"), "{more:?}");
    assert!(
        more.out.contains("every step was as expected, though"),
        "{more:?}"
    );
    let report = std::fs::read_to_string(directory.path("report.xml")).unwrap();
    assert!(
        report.contains("failures=\"1\"") && report.contains("said to differ"),
        "{report}"
    );

    let unknown = run(&["r5-expiry"]);
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    assert!(unknown.err.contains("called \"r5-expiry\""), "{unknown:?}");
}
