//! The policy in the hands of an operator: what the program says of it, with and without the settings that it needs.

use std::fs;
use std::path::Path;

use patrol_tests::javascript;
use patrol_tests::program::{Program, Run};

/// Configures `[policy]`, on a machine that may be busy.
fn configure(program: &Program, settings: &str) {
    configure_with_trial(program, "10m", settings);
}

fn configure_with_trial(program: &Program, trial: &str, settings: &str) {
    let text =
        format!("[policy]\ndeadline = \"10s\"\ntrial = \"{trial}\"\nallow_unsigned = true\n{settings}");
    fs::write(program.configuration(), text).unwrap();
}

/// What was said about a command that did not end well.
#[track_caller]
fn refusal(program: &Program, arguments: &[&str]) -> (Option<i32>, String) {
    let before = program.said().len();
    let Run { code, out } = program.run(arguments);
    assert_ne!(code, Some(0), "{arguments:?}: {out}");
    (code, program.said().split_off(before))
}

/// Makes a release of the component.
fn release(program: &Program, component: &Path) -> String {
    let file = program.data().with_file_name("javascript.patrol");
    let file = file.to_str().unwrap().to_owned();
    let mut arguments = vec!["policy", "sign", component.to_str().unwrap(), "--unsigned"];
    arguments.extend(["--name", "javascript", "--policy-version", "0.1.0"]);
    arguments.extend(["--number", "1", "--output", &file]);
    program.json(&arguments);
    file
}

#[test]
fn it_passes_every_scenario_that_comes_with_patrol() {
    let Some(component) = javascript::component() else {
        return;
    };
    let program = Program::new();
    configure(&program, javascript::SETTINGS);
    let results = program.json(&["scenario", "run", "--policy", component.to_str().unwrap()]);
    assert_eq!(results["failed"], 0, "{results}");
    assert!(results["passed"].as_u64().unwrap() >= 13, "{results}");
}

#[test]
fn each_limit_that_it_exceeds_is_named_with_its_setting() {
    let Some(component) = javascript::component() else {
        return;
    };
    let program = Program::new();
    let scenario = ["scenario", "run", "--policy", component.to_str().unwrap()];
    configure(&program, "");
    let file = release(&program, &component);
    // Before it is read as anything.
    for arguments in [
        ["policy", "verify", &file].as_slice(),
        &["policy", "stage", &file],
        &scenario,
    ] {
        if arguments == ["policy", "stage", &file] {
            program.json(&["tenant", "create", "acme"]);
        }
        let (_, said) = refusal(&program, arguments);
        assert!(said.contains("`[policy] max_component`"), "{arguments:?}: {said}");
    }
    // What it is, is said whatever its size.
    let record = program.json(&["policy", "inspect", &file]);
    assert_eq!(
        record["size"],
        fs::metadata(&component).unwrap().len(),
        "{record}"
    );

    // From here on each try compiles it, once: its code is kept.
    configure(&program, "max_component = \"16MiB\"\n");
    program.json(&["policy", "verify", &file]);
    let (code, told) = refusal(&program, &["policy", "stage", &file]);
    assert_eq!(code, Some(3), "{told}");
    assert!(told.contains("`[policy] memory`"), "{told}");
    configure(&program, "max_component = \"16MiB\"\nmemory = \"16MiB\"\n");
    let (_, told) = refusal(&program, &["policy", "stage", &file]);
    assert!(told.contains("`[policy] table_elements`"), "{told}");
    configure_with_trial(&program, "1ms", javascript::SETTINGS);
    let (_, told) = refusal(&program, &["policy", "stage", &file]);
    assert!(told.contains("than the 1ms of `[policy] trial`"), "{told}");
}

#[test]
fn it_is_staged_activated_served_and_rolled_back() {
    let Some(component) = javascript::component() else {
        return;
    };
    let program = Program::new();
    configure(&program, javascript::SETTINGS);
    program.json(&["tenant", "create", "acme"]);
    program.json(&["user", "create", "--tenant", "acme", "--name", "ada"]);
    let file = release(&program, &component);
    let id = program.json(&["policy", "stage", &file])["id"]
        .as_str()
        .unwrap()
        .to_owned();
    // A token of the policy before it is good, and one of its own is after it.
    let issue = |name: &str| {
        let made = program.token("ada", name, "30d");
        made["secret"].as_str().unwrap().to_owned()
    };
    let verify = |secret: &str| program.run_with(&["verify"], secret).code;
    let before = issue("before");
    program.json(&["policy", "activate", &id]);
    let shown = program.json(&["policy", "show"]);
    assert_eq!(shown["name"], "patrol-javascript", "{shown}");
    let meanwhile = issue("meanwhile");
    assert_eq!([&before, &meanwhile].map(|secret| verify(secret)), [Some(0); 2]);
    assert_eq!(verify(&before.replace("patrol_pat_", "patrol_ses_")), Some(3));

    // Settings that are too small for it leave the policy before it running.
    configure(&program, "");
    let shown = program.json(&["policy", "show"]);
    assert_eq!(shown["name"], "patrol-default", "{shown}");
    configure(&program, javascript::SETTINGS);

    program.json(&["policy", "rollback"]);
    assert_eq!([&before, &meanwhile].map(|secret| verify(secret)), [Some(0); 2]);
}
