//! `patrol doctor` on sound and on broken data.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::support::{Home, text};

/// What doctor found, as `(status, what, advice)`; whether its exit code says the same.
#[track_caller]
fn findings(home: &Home, args: &[&str]) -> Vec<(String, String, String)> {
    let run = home.run(&[&["--json", "doctor"], args].concat());
    let report: Value = serde_json::from_str(&run.out).unwrap_or_else(|_| panic!("{run:?}"));
    let code = if report["ok"] == true { 0 } else { 12 };
    assert_eq!(run.code, Some(code), "{run:?}");
    let all = report["findings"].as_array().unwrap();
    all.iter()
        .map(|one| (text(&one["status"]), text(&one["what"]), text(&one["advice"])))
        .collect()
}

/// The advice about the one thing that failed.
#[track_caller]
fn failure(home: &Home, what: &str) -> String {
    let failed: Vec<_> = findings(home, &[])
        .into_iter()
        .filter(|(status, ..)| status == "fail")
        .collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(failed[0].1, what, "{failed:?}");
    failed[0].2.clone()
}

#[test]
fn sound_data_is_found_sound() {
    let home = Home::with_ann();
    let found = findings(&home, &[]);
    let whats: Vec<_> = found.iter().map(|(_, what, _)| what.as_str()).collect();
    assert_eq!(
        whats,
        [
            "configuration",
            "data directory",
            "permissions",
            "compiled code",
            "identity key",
            "server",
            "schema",
            "database",
            "pepper",
            "policy",
            "floor",
            "decision journal",
            "clock"
        ]
    );
    assert!(found.iter().all(|(status, ..)| status == "ok"), "{found:?}");
    let told = home.run(&["doctor"]).done();
    assert!(told.lines().all(|line| line.starts_with("ok    ")), "{told}");
}

#[test]
fn a_directory_that_is_not_there_is_not_made() {
    let home = Home::empty();
    let advice = failure(&home, "data directory");
    assert!(advice.contains("--data"), "{advice}");
    assert!(!home.data().exists());
    fs::write(home.data(), "").unwrap();
    failure(&home, "data directory");
}

#[test]
fn data_open_to_others_is_found_with_the_remedy() {
    let home = Home::with_ann();
    fs::set_permissions(home.data(), fs::Permissions::from_mode(0o777)).unwrap();
    let advice = failure(&home, "permissions");
    assert!(
        advice.contains("others may write") && advice.contains("chmod go-w"),
        "{advice}"
    );
    fs::set_permissions(home.data(), fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(home.data().join("patrol.db"), fs::Permissions::from_mode(0o644)).unwrap();
    let advice = failure(&home, "permissions");
    assert!(
        advice.contains("others may use") && advice.contains("chmod go="),
        "{advice}"
    );
}

#[test]
fn a_mistake_in_the_configuration_is_found_and_the_rest_is_checked() {
    let home = Home::with_ann();
    home.configure("[policy]\nidle_after = \"soon\"");
    let advice = failure(&home, "configuration");
    assert!(advice.contains("soon"), "{advice}");
    let found = findings(&home, &[]);
    assert!(found.iter().any(|(_, what, _)| what == "clock"), "{found:?}");
}

#[test]
fn damage_is_found_and_named() {
    let home = Home::with_ann();
    home.database()
        .execute("UPDATE audit SET body = '{}' WHERE seq = 1", [])
        .unwrap();
    let advice = failure(&home, "database");
    assert!(
        advice.contains("audit entry 1") && advice.contains("backup"),
        "{advice}"
    );

    let home = Home::with_ann();
    fs::write(
        home.data().join("patrol.db"),
        "this is no database, however long it may be",
    )
    .unwrap();
    failure(&home, "database");

    let home = Home::with_ann();
    home.database().pragma_update(None, "user_version", 99).unwrap();
    let advice = failure(&home, "schema");
    assert!(advice.contains("upgrade patrol"), "{advice}");
}

#[test]
fn compiled_code_that_others_may_have_written_is_no_failure_but_told() {
    let home = Home::with_ann();
    fs::set_permissions(home.data().join("compiled"), fs::Permissions::from_mode(0o777)).unwrap();
    let found = findings(&home, &[]);
    let (status, _, advice) = found.iter().find(|(_, what, _)| what == "compiled code").unwrap();
    assert_eq!(status, "warn");
    assert!(advice.contains("remove it"), "{advice}");
}

#[test]
fn a_running_server_is_seen_and_left_alone() {
    let home = Home::with_ann();
    let server = home.serve();
    let found = findings(&home, &[]);
    assert!(
        found.contains(&("ok".to_owned(), "server".to_owned(), "one is running".to_owned())),
        "{found:?}"
    );
    assert_eq!(server.end("-TERM"), Some(0));
    let found = findings(&home, &[]);
    assert!(found.iter().any(|(_, _, advice)| advice == "none is running"));
}

#[test]
fn a_clock_that_ran_ahead_is_found_and_repaired_on_demand_only() {
    let home = Home::with_ann();
    let ahead = "UPDATE meta SET clock_mark = clock_mark + 10 * 86400000";
    home.database().execute(ahead, []).unwrap();
    let advice = failure(&home, "clock");
    assert!(
        advice.contains("10d") || advice.contains("9d 23h"),
        "it says how far: {advice}"
    );
    assert!(advice.contains("--reset-clock"), "{advice}");
    failure(&home, "clock");

    let repaired = findings(&home, &["--reset-clock"]);
    let (status, _, advice) = repaired.last().unwrap();
    assert_eq!(status, "ok");
    assert!(advice.contains("set back by"), "{advice}");
    assert!(findings(&home, &[]).iter().all(|(status, ..)| status == "ok"));
    let events = home.json(&["audit", "list", "--type", "reset_clock"]);
    assert_eq!(events.as_array().unwrap().len(), 1);
}

#[test]
fn a_clock_is_not_reset_under_a_running_server() {
    let home = Home::with_ann();
    home.database()
        .execute("UPDATE meta SET clock_mark = clock_mark + 86400000", [])
        .unwrap();
    let server = home.serve();
    let found = findings(&home, &["--reset-clock"]);
    let (status, _, advice) = found.last().unwrap();
    assert_eq!(status, "fail");
    assert!(advice.contains("stop it"), "{advice}");
    drop(server);
    let found = findings(&home, &["--reset-clock"]);
    assert!(found.iter().all(|(status, ..)| status == "ok"), "{found:?}");
}
