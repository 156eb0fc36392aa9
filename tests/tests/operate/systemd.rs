//! The unit file: what systemd thinks of it, where it is there to be asked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use patrol_tests::{bin, gateway};

fn unit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/systemd/patrol.service")
}

fn setting(name: &str) -> String {
    let text = fs::read_to_string(unit()).unwrap();
    let mut values = text
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    values.next().unwrap_or_else(|| panic!("no {name}")).to_owned()
}

fn analyze() -> Option<Command> {
    let program = gateway::find("systemd-analyze");
    if program.is_none() {
        println!("skipped: there is no systemd-analyze");
    }
    program.map(Command::new)
}

#[test]
fn systemd_understands_every_line_of_the_unit() {
    let Some(mut analyze) = analyze() else { return };
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("patrol.service");
    // A program that is there: systemd looks.
    let text = fs::read_to_string(unit()).unwrap();
    let text = text.replace("/usr/local/bin/patrol", &bin::patrol().display().to_string());
    fs::write(&copy, text).unwrap();
    let output = analyze.arg("verify").arg(&copy).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    // What it does not know it ignores, and says so.
    let about: Vec<_> = said
        .lines()
        .filter(|line| line.contains("patrol.service"))
        .collect();
    assert_eq!(about, Vec::<&str>::new());
}

#[test]
fn little_is_left_open() {
    let Some(mut analyze) = analyze() else { return };
    // In tenths: 1.5, where services that nobody hardened have 9 and more.
    analyze.args(["security", "--offline=true", "--no-pager", "--threshold=15"]);
    let output = analyze.arg(unit()).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

#[test]
fn the_command_line_of_the_unit_is_one_that_patrol_understands() {
    let line = setting("ExecStart");
    let mut words = line.split(' ');
    assert_eq!(words.next(), Some("/usr/local/bin/patrol"));
    // With --help it says what it would do, if it understood the rest.
    let output = Command::new(bin::patrol())
        .args(words)
        .arg("--help")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("SIGHUP"));
    assert_eq!(setting("ExecReload"), "/bin/kill -HUP $MAINPID");
    assert!(line.contains("/var/lib/patrol") && setting("StateDirectory") == "patrol");
}
