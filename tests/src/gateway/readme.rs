//! READMEs, followed step by step as written.

use std::path::Path;
use std::process::Command;

use super::files::shipped;
use super::{Running, wait_for};

/// Runs all blocks of the language `sh` of a gateway's README, as one bash session in `directory`, and looks for the
/// lines of its `text` blocks in what is printed, in that order. Blocks of `bash` install things, and are not run.
///
/// `changes` replaces addresses and places in the steps; each must be there.
///
/// # Panics
/// Where a step fails, or a line is not seen.
pub fn follow(gateway: &str, directory: &Path, changes: &[(&str, &str)]) {
    let readme = std::fs::read_to_string(shipped(gateway).join("README.md")).expect("it has a README");
    follow_text(&readme, directory, changes, |line| line.trim_end().to_owned());
}

/// As [`follow`], of a text; `tidy` takes out of a line, seen or expected, what is not the same twice. A line of three dots
/// stands for any.
///
/// # Panics
/// As [`follow`].
pub fn follow_text(readme: &str, directory: &Path, changes: &[(&str, &str)], tidy: impl Fn(&str) -> String) {
    let blocks = |language: &str| -> String {
        let opening = format!("```{language}\n");
        let blocks = readme.split(&opening).skip(1);
        blocks.filter_map(|block| block.split("```").next()).collect()
    };
    let mut steps = blocks("sh");
    for (from, to) in changes {
        assert!(steps.contains(from), "{from} is not in the steps");
        steps = steps.replace(from, to);
    }
    let program = crate::bin::patrol();
    let mut path = program
        .parent()
        .expect("it lies somewhere")
        .as_os_str()
        .to_owned();
    for more in [
        &*std::env::var_os("PATH").unwrap_or_default(),
        "/usr/sbin".as_ref(),
        concat!(env!("CARGO_MANIFEST_DIR"), "/../target/venv/bin").as_ref(),
    ] {
        path.push(":");
        path.push(more);
    }
    let mut command = Command::new("bash");
    command
        .current_dir(directory)
        .env("PATH", path)
        .env("no_proxy", "127.0.0.1");
    for name in ["PATROL_DATA", "PATROL_CONFIG", "PATROL_JSON", "PATROL_LOG"] {
        command.env_remove(name);
    }
    let script = format!("set -eu\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{steps}");
    command.args(["-c", &script]);
    let mut session = Running::start(command, &directory.join("session.log"));
    let status = wait_for("the steps to be done", || session.ended());
    assert!(status.success(), "{status}");

    let log = session.log();
    let mut seen = log.lines();
    for expected in blocks("text").lines().filter(|line| *line != "…") {
        let expected = tidy(expected);
        assert!(
            seen.any(|line| tidy(line) == expected),
            "not seen, or not in order: {expected}\n{log}"
        );
    }
}
