//! The scenarios that come with Patrol, as the library and as the program have them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use patrol::scenario::{Bench, Scenario, shipped};
use patrol_tests::hostile;

use crate::support::Directory;

#[test]
fn the_built_in_policy_passes_all_of_them() {
    let directory = Directory::new();
    let run = directory.run(&["scenario", "run"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let (last, lines) = {
        let mut lines: Vec<_> = run.out.lines().collect();
        (lines.pop().unwrap(), lines)
    };
    assert!(lines.iter().all(|line| line.starts_with("ok ")), "{run:?}");
    assert!(
        last.starts_with(&format!("{} passed, 0 failed in ", lines.len())),
        "{run:?}"
    );
    assert!(!directory.path("patrol-data").exists(), "it has no need of data");
    let left = fs::read_dir(directory.path("tmp")).unwrap().count();
    assert_eq!(left, 0, "it leaves nothing behind");
}

#[test]
fn each_rule_has_one_and_each_file_is_shipped() {
    let shipped: BTreeSet<_> = shipped()
        .unwrap()
        .iter()
        .map(|scenario| scenario.file().to_owned())
        .collect();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let files: BTreeSet<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| format!("tests/scenarios/{}", entry.unwrap().file_name().to_str().unwrap()))
        .collect();
    assert_eq!(shipped, files);
    for rule in 1..=13 {
        let of_rule = format!("tests/scenarios/r{rule:02}-");
        assert!(files.iter().any(|file| file.starts_with(&of_rule)), "R{rule}");
    }
}

#[test]
fn each_of_them_says_what_it_shows() {
    for scenario in shipped().unwrap() {
        assert!(!scenario.about().is_empty(), "{}", scenario.name());
    }
}

/// A policy with other limits keeps other rules: what the parameters change stands for what its author did.
#[test]
fn a_policy_that_is_a_little_off_is_found_by_the_rule_that_it_breaks() {
    for (rule, parameter) in [
        ("r05-expiry", "idle_after = \"14d 23h\""),
        ("r05-expiry", "idle_after = \"15d 1ms\""),
        ("r06-gone-and-kept", "retention = \"90d 1ms\""),
        ("r07-limit", "tokens_per_owner = 103"),
        ("r07-limit", "tokens_per_owner = 105"),
        ("r13-names", "name_max_length = 254"),
        ("r01-created-and-shown", "max_lifetime = \"365d\""),
        ("sessions", "session_idle = \"29m\""),
        ("rotation", "max_overlap = \"8d\""),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("scenarios/{rule}.toml"));
        let text = fs::read_to_string(path).unwrap();
        let (before, steps) = text.split_once("\n[[step]]").unwrap();
        let table = if before.contains("[parameters]") {
            ""
        } else {
            "[parameters]\n"
        };
        let changed = format!("{before}\n{table}{parameter}\n\n[[step]]{steps}");
        let scenario = Scenario::parse(rule, &changed).unwrap();
        let report = Bench::new(None).unwrap().run(&scenario).unwrap();
        assert!(!report.passed(), "{rule} with {parameter}");
    }
}

#[test]
fn a_hostile_policy_fails_them_with_faults() {
    let directory = Directory::new();
    directory.write("policy.wasm", hostile::policy("floor-yes-to-anything"));
    let (code, results) = directory.json(&["--policy", "policy.wasm"]);
    assert_eq!(code, Some(12), "{results}");
    assert_eq!(results["passed"], 0, "{results}");
    for one in results["scenarios"].as_array().unwrap() {
        let difference = &one["failed"]["differences"][0];
        assert_eq!(difference["key"], "verdict", "{one}");
        assert_eq!(difference["got"], "fault", "{one}");
        assert!(
            one["failed"]["why"].as_str().unwrap().contains("no verdict"),
            "{one}"
        );
    }
}

#[test]
fn a_fault_can_be_expected() {
    let directory = Directory::new();
    directory.write("policy.wasm", hostile::policy("unreachable"));
    directory.write(
        "fault.toml",
        "[[step]]\ndo = \"create-tenant\"\ntenant = \"acme\"\n\n[[step]]\ndo = \"create-user\"\nuser = \"ada\"\n\n\
         [[step]]\ndo = \"issue\"\nuser = \"ada\"\nname = \"x\"\nexpect = \"fault\"\n",
    );
    let run = directory.run(&["scenario", "run", "fault.toml", "--policy", "policy.wasm"]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{run:?}");
}

#[test]
fn a_policy_that_cannot_be_loaded_is_no_failed_scenario() {
    let directory = Directory::new();
    directory.write("policy.wasm", "not a component");
    let run = directory.run(&["scenario", "run", "--policy", "policy.wasm"]);
    assert_eq!(run.code, Some(6), "{run:?}");
    assert!(run.err.contains("not a WebAssembly component"), "{run:?}");
    let run = directory.run(&["scenario", "run", "--policy", "missing.wasm"]);
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.err.contains("cannot read missing.wasm"), "{run:?}");
}

/// The block of this kind that comes next in a text, and what is left.
fn block<'a>(text: &'a str, kind: &str) -> (&'a str, &'a str) {
    let (_, rest) = text.split_once(&format!("```{kind}\n")).unwrap();
    rest.split_once("```").unwrap()
}

/// A line without the numbers that differ from one run to the next.
fn timeless(line: &str) -> String {
    let words = line.split_whitespace().collect::<Vec<_>>();
    let timed = |index: usize| {
        matches!(words.get(index + 1), Some(&"ms" | &"s")) && words[index].parse::<f64>().is_ok()
    };
    let words = words.iter().enumerate();
    words
        .map(|(index, word)| if timed(index) { "…" } else { word })
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn the_readme_says_what_happens() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let (_, section) = readme.split_once("## Trying a policy").unwrap();
    let (scenario, rest) = block(section, "toml");
    let (console, _) = block(rest, "console");
    let (command, told) = console.split_once('\n').unwrap();
    let arguments: Vec<_> = command.strip_prefix("$ patrol ").unwrap().split(' ').collect();

    let directory = Directory::new();
    directory.write("backup.toml", scenario);
    let run = directory.run(&arguments);
    assert_eq!(run.code, Some(12), "{run:?}");
    let lines = |text: &str| text.lines().map(timeless).collect::<Vec<_>>();
    assert_eq!(lines(&run.out), lines(told));
}
