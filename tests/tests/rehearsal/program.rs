//! `patrol policy rehearse` and `patrol policy shadow`, with the real program.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use patrol_tests::policies;
use patrol_tests::program::{Program, Run, Server};
use patrol_tests::wire;
use serde_json::Value;

/// A program with a journal, and a component of the stricter policy.
struct Stand {
    program: Program,
    stricter: PathBuf,
}

impl Stand {
    fn new() -> Self {
        let program = Program::new();
        let configuration = "[policy]\ndeadline = \"5s\"\nallow_unsigned = true\n[journal]\nenabled = true\n";
        fs::write(program.configuration(), configuration).unwrap();
        for arguments in [
            &["tenant", "create", "acme"][..],
            &["user", "create", "--tenant", "acme", "--name", "ann"],
        ] {
            assert_eq!(program.run(arguments).code, Some(0));
        }
        Self {
            program,
            stricter: policies::component("stricter"),
        }
    }

    fn token(&self, name: &str) -> String {
        let made = self.program.token("ann", name, "90d");
        made["secret"].as_str().unwrap().to_owned()
    }

    fn rehearse(&self, more: &[&str]) -> Run {
        let mut arguments = vec!["policy", "rehearse", self.stricter.to_str().unwrap()];
        arguments.extend(more);
        self.program.run(&arguments)
    }

    /// A release of the stricter policy, which nobody signed.
    fn release(&self) -> PathBuf {
        let file = self.program.data().parent().unwrap().join("stricter.patrol");
        let run = self.program.run(&[
            "policy",
            "sign",
            self.stricter.to_str().unwrap(),
            "--name",
            "stricter",
            "--policy-version",
            "1.0.0",
            "--number",
            "3",
            "--unsigned",
            "--output",
            file.to_str().unwrap(),
        ]);
        assert_eq!(run.code, Some(0), "{}", self.program.said());
        file
    }
}

/// Presents a token `times` times.
fn present(server: &Server, secret: &str, times: u32) {
    for _ in 0..times {
        let answer = wire::check(server.address, &[("authorization", &format!("Bearer {secret}"))]);
        assert_eq!(answer.status, 200);
    }
}

/// What a rehearsal said, that ended with this code.
#[track_caller]
fn report(run: &Run, code: i32) -> Value {
    assert_eq!(run.code, Some(code), "{}", run.out);
    serde_json::from_str(&run.out).unwrap()
}

/// Waits until a journal has this many decisions for a candidate.
fn rehearsed(stand: &Stand, calls: u64, code: i32) -> Value {
    let begun = Instant::now();
    loop {
        let run = stand.rehearse(&[]);
        if run.code == Some(code) {
            let report = report(&run, code);
            if report["calls"].as_u64() >= Some(calls) {
                return report;
            }
        }
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{run:?} {}",
            stand.program.said()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_server_is_rehearsed_beside_and_after_it_was_killed() {
    let stand = Stand::new();
    let secret = stand.token("a-name");
    let server = stand.program.serve();
    present(&server, &secret, 7);
    // Beside the running server. The stricter policy lets tokens end earlier, so it differs.
    let report = rehearsed(&stand, 7, 13);
    assert_eq!(report["changes"][0]["would"], "accepted, to end at another time");
    assert_eq!(report["changes"][0]["list"][0]["tokenName"], "a-name");
    assert_eq!(report["changes"][0]["list"][0]["ownerName"], "ann");
    server.kill();
    let report = rehearsed(&stand, 7, 13);
    assert_eq!(report["calls"], 7);
    assert_eq!(report["damaged"], 0);
    // The policy that decided differs in nothing.
    let stock = stand.program.data().parent().unwrap().join("stock.wasm");
    fs::write(&stock, patrol_tests::wasm::embedded()).unwrap();
    let run = stand
        .program
        .run(&["policy", "rehearse", stock.to_str().unwrap()]);
    assert_eq!(self::report(&run, 0)["unchanged"], 7);
    let server = stand.program.serve();
    server.stop();
}

#[test]
fn what_cannot_be_rehearsed_is_said_with_what_to_do() {
    let stand = Stand::new();
    let says = |run: Run, code: i32, words: &str| {
        assert_eq!(run.code, Some(code), "{words}: {}", run.out);
        let said = stand.program.said();
        assert!(said.contains(words), "{words}: {said}");
    };
    says(stand.rehearse(&[]), 4, "there is no decision journal in");
    let secret = stand.token("a-name");
    let server = stand.program.serve();
    present(&server, &secret, 1);
    rehearsed(&stand, 1, 13);
    server.stop();
    stand.program.run(&["tenant", "create", "untouched"]);
    says(
        stand.rehearse(&["--tenant", "untouched"]),
        4,
        "and none that this release would decide: none is about this tenant",
    );
    for args in [
        &["policy", "shadow", "stop", "--for", "1h"][..],
        &["policy", "shadow", "--tenant", "untouched"],
    ] {
        says(stand.program.run(args), 2, "are for a shadow that begins");
    }
    let at_once = ["policy", "shadow", "abcdef", "--for", "0s"];
    says(stand.program.run(&at_once), 2, "hears nothing");
    says(
        stand.rehearse(&["--since", "2999-01-01"]),
        4,
        "has no decision since",
    );
    says(
        stand.program.run(&["policy", "rehearse", "abcdef"]),
        4,
        "no release, or more than one",
    );
    says(
        stand.rehearse(&["--journal", "/nonexistent"]),
        4,
        "there is no decision journal in /nonexistent",
    );
    // Under another key there is nothing to read.
    let decisions = stand.program.data().join("decisions");
    let key = fs::read_dir(&decisions)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_string_lossy().ends_with("key"))
        .unwrap();
    let text = fs::read_to_string(&key).unwrap();
    fs::rename(&key, stand.program.data().join("old.key")).unwrap();
    says(stand.rehearse(&[]), 10, "key");
    let other: String = text
        .chars()
        .rev()
        .enumerate()
        .map(|(at, c)| match (at, c) {
            (20, 'A') => 'B',
            (20, _) => 'A',
            _ => c,
        })
        .collect();
    let other: String = other.chars().rev().collect();
    fs::write(&key, other).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&key, mode).unwrap();
    says(stand.rehearse(&[]), 10, "key");
    // A bare component is for where policies are developed.
    fs::write(stand.program.configuration(), "[policy]\ndeadline = \"5s\"\n").unwrap();
    says(stand.rehearse(&[]), 2, "this is a bare component");
}

#[test]
fn a_shadow_of_a_running_server_says_where_it_differs_and_ends_when_told() {
    let stand = Stand::new();
    let release = stand.release();
    let shadow = |arguments: &[&str]| {
        let all: Vec<_> = ["policy", "shadow"].iter().chain(arguments).copied().collect();
        stand.program.run(&all)
    };
    assert_eq!(shadow(&[]).code, Some(4), "no server");
    let secret = stand.token("a-name");
    let server = stand.program.serve();
    assert_eq!(shadow(&[]).code, Some(4), "no shadow");
    let begun = report(&shadow(&[release.to_str().unwrap(), "--for", "1h"]), 0);
    assert_eq!(begun["name"], "stricter");
    present(&server, &secret, 5);
    let started = Instant::now();
    let status = loop {
        let run = shadow(&[]);
        let status: Value = serde_json::from_str(&run.out).unwrap();
        if status["calls"] == 5 {
            break report(&run, 13);
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{status}");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(status["ended"], Value::Null);
    assert_eq!(status["changes"][0]["would"], "accepted, to end at another time");
    assert_eq!(status["latest"].as_array().unwrap().len(), 5);
    assert_eq!(status["latest"][0]["tokenName"], "a-name");
    let ended = report(&shadow(&["stop"]), 13);
    assert_ne!(ended["ended"], Value::Null);
    present(&server, &secret, 1);
    assert_eq!(report(&shadow(&[]), 13)["calls"], 5);
    // It ends by itself, too.
    report(&shadow(&[release.to_str().unwrap(), "--for", "1s"]), 0);
    let started = Instant::now();
    while report(&shadow(&[]), 0)["ended"] == Value::Null {
        assert!(started.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(50));
    }
    server.stop();
    for (kind, count) in [("begin_policy_shadow", 2), ("end_policy_shadow", 2)] {
        let events = stand.program.run(&["audit", "list", "--type", kind]).json();
        assert_eq!(events.as_array().unwrap().len(), count, "{kind}");
    }
}
