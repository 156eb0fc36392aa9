//! The examples do what they say.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};

use patrol_tests::bin;
use patrol_tests::gateway::have;
use patrol_tests::gateway::wait_for;

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_axum_example_lets_in_with_the_token_only() {
    if !have(&["curl"]) {
        return;
    }
    let mut command = Command::new(bin::example("axum"));
    let mut example = Ended(
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut commands = Vec::new();
    for line in BufReader::new(example.0.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        commands.extend(line.strip_prefix("  ").map(str::to_owned));
        if commands.len() == 2 {
            break;
        }
    }
    // As a person would copy them. A busy machine may have no verdict for a moment, and says so.
    let run = |command: &str| -> String {
        wait_for("a verdict", || {
            let Output { status, stdout, .. } = Command::new("sh").args(["-c", command]).output().unwrap();
            assert!(status.success(), "{command}");
            let text = String::from_utf8(stdout).unwrap();
            Some(text).filter(|text| !text.contains("E_503"))
        })
    };
    assert_eq!(run(&commands[0]), "hello ann, with the roles [\"admin\"]\n");
    let refused = run(&commands[1]);
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    assert!(
        refused.contains("\"errorCode\":\"E_401_UNAUTHORIZED\""),
        "{refused}"
    );
}

#[test]
fn the_tonic_example_lets_in_with_the_token_only() {
    let example = bin::example("tonic");
    let printed = wait_for("a verdict", || {
        let output = Command::new(&example).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        Some(String::from_utf8(output.stdout).unwrap()).filter(|text| !text.contains("Unavailable"))
    });
    assert_eq!(
        printed,
        "without the token: Unauthenticated, a personal access token is needed\nwith the token: Serving\n"
    );
}
