//! `--watch`: once more for each change, until Ctrl-C.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use patrol_tests::hostile;
use serde_json::Value;

use crate::support::{Directory, story};

/// Longer than a run takes on a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// A watching program; killed with the test.
struct Watching {
    child: Child,
    lines: Receiver<String>,
}

impl Watching {
    fn start(directory: &Directory, arguments: &[&str]) -> Self {
        let all = [&["--json", "scenario", "run", "--watch"], arguments].concat();
        let mut child = directory
            .command(&all)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines() {
                let _ = sender.send(line.unwrap());
            }
        });
        Self { child, lines }
    }

    /// The results of the next run.
    #[track_caller]
    fn next(&self) -> Value {
        serde_json::from_str(&self.lines.recv_timeout(SOON).unwrap()).unwrap()
    }

    #[track_caller]
    fn says_nothing(&self) {
        let more = self.lines.recv_timeout(Duration::from_secs(1));
        assert_eq!(more, Err(RecvTimeoutError::Timeout));
    }

    /// Ends it as Ctrl-C does; its exit code.
    fn interrupt(&mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-INT", &id])
                .status()
                .unwrap()
                .success()
        );
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(begun.elapsed() < SOON, "it goes on");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_change_of_a_scenario_runs_it_again_once() {
    let directory = Directory::new();
    directory.write("a.toml", story(""));
    let mut watching = Watching::start(&directory, &["a.toml"]);
    assert_eq!(watching.next()["passed"], 1);
    watching.says_nothing();

    directory.write(
        "a.toml",
        story("\n[[step]]\ndo = \"list\"\nuser = \"ada\"\nlive = 2\n"),
    );
    assert_eq!(watching.next()["failed"], 1);
    watching.says_nothing();
    assert_eq!(watching.interrupt(), Some(12));
}

#[test]
fn a_change_of_the_policy_and_a_new_file_are_noticed_and_mistakes_waited_for() {
    let directory = Directory::new();
    std::fs::create_dir(directory.path("all")).unwrap();
    directory.write("all/a.toml", story(""));
    directory.write("policy.wasm", hostile::policy("unreachable"));
    let mut watching = Watching::start(&directory, &["all", "--policy", "policy.wasm"]);
    assert_eq!(watching.next()["failed"], 1);

    directory.write("policy.wasm", patrol_tests::wasm::embedded());
    let mut results = watching.next();
    // It may have been seen half written.
    while results["passed"] == 0 {
        results = watching.next();
    }
    assert_eq!(results["passed"], 1, "{results}");

    directory.write("all/b.toml", "step = [");
    watching.says_nothing();
    directory.write("all/b.toml", story(""));
    assert_eq!(watching.next()["passed"], 2);
    assert_eq!(watching.interrupt(), Some(0));
}
