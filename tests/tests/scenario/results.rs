//! What is said of a run: to people, to programs, and to build servers.

use std::fs;

use serde_json::json;

use crate::support::{Directory, story};

/// Where the third step of the beginning ends: the next `[[step]]` is on this line, and its `do` one below.
const NEXT: usize = 15;

#[test]
fn a_wrong_expectation_fails_with_the_line_and_the_difference() {
    let directory = Directory::new();
    directory.write(
        "wrong.toml",
        story("\n[[step]]\nat = \"+15d\"\ndo = \"verify\"\ntoken = \"backup\"\n\n[[step]]\ndo = \"sweep\"\n"),
    );
    directory.write(
        "right.toml",
        story("\n[[step]]\ndo = \"verify\"\ntoken = \"backup\"\n"),
    );
    let run = directory.run(&["scenario", "run", "wrong.toml", "right.toml"]);
    assert_eq!(run.code, Some(12), "{run:?}");
    let lines: Vec<_> = run.out.lines().map(str::trim).collect();
    assert!(
        lines[0].starts_with("FAILED  wrong ") && lines[0].ends_with(" 4 steps"),
        "{run:?}"
    );
    let line = NEXT + 2;
    assert_eq!(
        lines[1],
        format!("wrong.toml:{line}: step 4, verify backup at +15d")
    );
    assert_eq!(lines[2], "verdict  expected  allowed");
    assert_eq!(lines[3], "got       idle");
    assert_eq!(lines[4], "(the token was not used for too long)");
    assert!(lines[5].starts_with("ok      right "), "{run:?}");
    assert!(lines[6].starts_with("1 passed, 1 failed in "), "{run:?}");
}

#[test]
fn every_difference_is_told_and_in_json_by_its_key() {
    let directory = Directory::new();
    directory.write(
        "wrong.toml",
        story(
            "\n[[step]]\ndo = \"verify\"\ntoken = \"backup\"\nroles = [\"admin\"]\nends = \"+14d\"\nwhy = \
             \"idle\"\nwho = \"ada\"\n",
        ),
    );
    let (code, results) = directory.json(&["wrong.toml"]);
    assert_eq!(code, Some(12));
    assert_eq!((&results["passed"], &results["failed"]), (&json!(0), &json!(1)));
    let one = &results["scenarios"][0];
    assert_eq!(
        (&one["name"], &one["ok"], &one["steps"]),
        (&json!("wrong"), &json!(false), &json!(4))
    );
    assert_eq!(
        one["failed"],
        json!({
            "line": NEXT + 1,
            "step": 4,
            "at": "+0s",
            "what": "verify backup",
            "differences": [
                {"key": "ends", "expected": "+14d", "got": "+15d"},
                {"key": "roles", "expected": ["admin"], "got": []},
            ],
        })
    );
}

#[test]
fn a_step_that_is_repeated_is_numbered_and_told_of_by_its_number() {
    let directory = Directory::new();
    directory.write(
        "many.toml",
        format!(
            "[parameters]\ntokens_per_owner = 3\n{}",
            story("\n[[step]]\ndo = \"issue\"\nuser = \"ada\"\ntoken = \"script {n}\"\nrepeat = 5\n")
        ),
    );
    let (code, results) = directory.json(&["many.toml"]);
    assert_eq!(code, Some(12));
    let failed = &results["scenarios"][0]["failed"];
    assert_eq!(
        (&failed["step"], &failed["what"]),
        (&json!(6), &json!("issue script 3"))
    );
    assert_eq!(failed["differences"][0]["got"], "limit-reached");
}

#[test]
fn a_directory_stands_for_its_scenarios_in_order_of_their_names() {
    let directory = Directory::new();
    fs::create_dir(directory.path("all")).unwrap();
    for name in ["b.toml", "a.toml", "notes.md"] {
        directory.write(&format!("all/{name}"), story(""));
    }
    let (code, results) = directory.json(&["all"]);
    assert_eq!(code, Some(0));
    let names: Vec<_> = results["scenarios"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["file"])
        .collect();
    assert_eq!(names, ["all/a.toml", "all/b.toml"]);
}

#[test]
fn junit_is_well_formed_whatever_the_names_are() {
    let directory = Directory::new();
    let name = "<&\"]]>\u{1}";
    // In TOML, quotes and controls are escaped.
    let written = "<&\\\"]]>\\u0001";
    let failing = story(&format!(
        "\n[[step]]\ndo = \"issue\"\nuser = \"ada\"\ntoken = \"t\"\nnamed = \"{written}\"\n"
    ));
    directory.write("a<b>&\"c.toml", &failing);
    directory.write("good.toml", story(""));
    let run = directory.run(&[
        "scenario",
        "run",
        "a<b>&\"c.toml",
        "good.toml",
        "--junit",
        "report.xml",
    ]);
    assert_eq!(run.code, Some(12), "{run:?}");

    let text = fs::read_to_string(directory.path("report.xml")).unwrap();
    let document = roxmltree::Document::parse(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let root = document.root_element();
    assert_eq!(
        (root.tag_name().name(), root.attribute("tests")),
        ("testsuites", Some("2"))
    );
    let suite = root.first_element_child().unwrap();
    assert_eq!(
        (suite.tag_name().name(), suite.attribute("failures")),
        ("testsuite", Some("1"))
    );
    let cases: Vec<_> = suite.children().filter(|node| node.is_element()).collect();
    assert_eq!(cases.len(), 2);
    assert_eq!(cases[0].attribute("name"), Some("a<b>&\"c"));
    assert!(cases[0].attribute("time").unwrap().parse::<f64>().unwrap() > 0.0);
    let failure = cases[0].first_element_child().unwrap();
    assert_eq!(failure.tag_name().name(), "failure");
    assert!(failure.attribute("message").unwrap().contains("issue t"));
    let told = failure.text().unwrap();
    // What XML cannot hold at all is replaced, the rest is as it was.
    assert!(told.contains(&name.replace('\u{1}', "\u{fffd}")), "{told}");
    assert_eq!(cases[1].attribute("name"), Some("good"));
    assert!(cases[1].first_element_child().is_none());
}

#[test]
fn no_secret_is_told_of_by_anything() {
    let directory = Directory::new();
    directory.write(
        "a.toml",
        story(
            "\n[[step]]\ndo = \"verify\"\ntoken = \"backup\"\nsecret = \"wrong\"\nexpect = \"wrong-secret\"\n\n[[step]]\ndo = \
             \"open-session\"\ntoken = \"backup\"\nsession = \"s\"\n\n[[step]]\ndo = \
             \"check-session\"\nsession = \"s\"\nwho = \"bob\"\n",
        ),
    );
    let run = directory
        .command(&["--json", "scenario", "run", "a.toml", "--junit", "report.xml"])
        .env("PATROL_LOG", "patrol=trace")
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(12));
    assert!(!run.stderr.is_empty(), "nothing was logged");
    let report = fs::read(directory.path("report.xml")).unwrap();
    for bytes in [run.stdout, run.stderr, report] {
        let text = String::from_utf8(bytes).unwrap();
        assert!(
            !text.contains("patrol_pat_") && !text.contains("patrol_ses_"),
            "{text}"
        );
    }
}
