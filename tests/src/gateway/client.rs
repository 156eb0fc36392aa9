//! Clients: curl, and one that asks without pause.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::upstream::Arrived;
use super::wait_for;

/// An answer, as curl shows it.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: String,
}

impl Answer {
    /// The values of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }

    /// All headers but those that are never the same.
    pub fn undated(&self) -> String {
        let changing = ["date", "x-envoy-upstream-service-time", "x-request-id"];
        let lines = self.head.lines().filter(|line| {
            let name = line.split(':').next().unwrap_or_default();
            !changing.iter().any(|one| name.eq_ignore_ascii_case(one))
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The request as it arrived at the service.
    pub fn arrived(&self) -> Arrived {
        assert_eq!(self.status, 200, "{self:?}");
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs curl once.
pub fn curl(arguments: &[&str]) -> Answer {
    let mut command = Command::new("curl");
    // -q: nobody's settings. The identity of the client is fixed, so that answers can be compared.
    command.args([
        "-q",
        "--silent",
        "--show-error",
        "--include",
        "--http1.1",
        "--max-time",
        "60",
    ]);
    command
        .args(["--noproxy", "*", "--user-agent", "test"])
        .args(arguments);
    let output = command.output().expect("curl can be started");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut rest = String::from_utf8(output.stdout).expect("answers are UTF-8");
    loop {
        let (head, body) = rest.split_once("\r\n\r\n").expect("an answer has a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status: u16 = status.expect("an answer has a status");
        // Such as 100 Continue: the answer proper follows.
        if status >= 200 {
            let (head, body) = (head.to_owned(), body.to_owned());
            return Answer { status, head, body };
        }
        rest = body.to_owned();
    }
}

/// Runs curl until there is a verdict. A busy machine may have none for a moment, which is no answer to what a test
/// asks; 503 says so, and to try again.
pub fn decided(arguments: &[&str]) -> Answer {
    wait_for("a verdict", || {
        Some(curl(arguments)).filter(|answer| answer.status != 503)
    })
}

/// The status of a GET, if there is an answer.
pub fn status(url: &str) -> Option<u16> {
    agent()
        .get(url)
        .call()
        .ok()
        .map(|answer| answer.status().as_u16())
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .timeout_global(Some(Duration::from_secs(60)))
        .build()
        .into()
}

/// One request of many.
#[derive(Clone, Copy, Debug)]
pub struct Shot {
    pub begun: Instant,
    pub ended: Instant,
    pub status: u16,
}

/// A client that asks one thing over one connection, again and again.
pub struct Hammer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Shot>>,
}

impl Hammer {
    pub fn start(url: String, secret: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let authorization = format!("Bearer {secret}");
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let agent = agent();
            let mut shots = Vec::new();
            while !stopped.load(Ordering::SeqCst) {
                let begun = Instant::now();
                let answer = agent.get(&url).header("Authorization", &authorization).call();
                let mut answer = answer.expect("the gateway answers");
                // A connection is used again once its answer was read.
                answer.body_mut().read_to_vec().expect("an answer is complete");
                let (ended, status) = (Instant::now(), answer.status().as_u16());
                shots.push(Shot { begun, ended, status });
            }
            shots
        });
        Self { stop, thread }
    }

    /// All requests that it made.
    pub fn stop(self) -> Vec<Shot> {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("the client does not fail")
    }
}
