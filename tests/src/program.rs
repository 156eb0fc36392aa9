//! The `patrol` program on a data directory of its own, with everything that it writes kept in files.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// A data directory, and what was printed by the commands that worked on it.
pub struct Program {
    directory: TempDir,
    /// Whether to log as much as there is.
    pub verbose: bool,
}

/// How a run of the program went.
#[derive(Debug)]
pub struct Run {
    /// The exit code; none where it was killed.
    pub code: Option<i32>,
    /// What it printed.
    pub out: String,
}

impl Run {
    /// The JSON that a run printed which must have gone well.
    ///
    /// # Panics
    /// Where it did not, or printed none.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}", self.out);
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

impl Default for Program {
    fn default() -> Self {
        Self::new()
    }
}

impl Program {
    /// A data directory with nothing in it.
    ///
    /// # Panics
    /// Here and in all other methods: where what must work does not.
    #[must_use]
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        // The machine that runs the tests may be busier than one that serves.
        fs::write(
            directory.path().join("patrol.toml"),
            "[policy]\ndeadline = \"5s\"\n",
        )
        .expect("a configuration");
        Self {
            directory,
            verbose: false,
        }
    }

    /// The data directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Where standard error of everything that ran is.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// The configuration file.
    #[must_use]
    pub fn configuration(&self) -> PathBuf {
        self.directory.path().join("patrol.toml")
    }

    /// All that was said on standard error so far.
    #[must_use]
    pub fn said(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// A command, not yet run.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = crate::bin::command();
        if self.verbose {
            command.env("PATROL_LOG", "trace");
        }
        let log = File::options().create(true).append(true).open(self.log());
        command
            .arg("--data")
            .arg(self.data())
            .arg("--config")
            .arg(self.configuration())
            .arg("--json")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.expect("a log"));
        command
    }

    /// Runs a command.
    pub fn run(&self, arguments: &[&str]) -> Run {
        self.run_with(arguments, "")
    }

    /// What a command printed that must go well.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let run = self.run(arguments);
        assert_eq!(run.code, Some(0), "{arguments:?}: {} {}", run.out, self.said());
        run.json()
    }

    /// Makes a token of a user's, as it is printed.
    #[track_caller]
    pub fn token(&self, owner: &str, name: &str, expires: &str) -> Value {
        let mut arguments = vec!["token", "create", "--owner", owner];
        arguments.extend(["--name", name, "--expires", expires]);
        self.json(&arguments)
    }

    /// Runs a command with a line on standard input.
    pub fn run_with(&self, arguments: &[&str], line: &str) -> Run {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stdin = child.stdin.take().expect("it has a standard input");
        // A command that wants none may have ended.
        let _ = writeln!(stdin, "{line}");
        drop(stdin);
        ended(child)
    }

    /// A server on a free port of this machine.
    #[must_use]
    pub fn serve(&self) -> Server {
        self.serve_with(|_| ())
    }

    /// The same, with something changed about how it is started.
    #[must_use]
    pub fn serve_with(&self, change: impl FnOnce(&mut Command)) -> Server {
        let out = self.directory.path().join("announcement");
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.stdout(File::create(&out).expect("a file"));
        change(&mut command);
        let mut server = Server {
            child: command.spawn().expect("the program starts"),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            announcement: Value::Null,
        };
        server.announcement = server.announced(&out);
        server.address = server.listening("address");
        server
    }
}

/// What a process printed, once it has ended.
///
/// # Panics
/// Where it cannot be waited for.
#[must_use]
pub fn ended(child: Child) -> Run {
    let output = child.wait_with_output().expect("it can be waited for");
    Run {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
    }
}

/// A server, killed with the test.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// What it said when it was there.
    pub announcement: Value,
}

impl Server {
    fn announced(&mut self, out: &Path) -> Value {
        let started = Instant::now();
        loop {
            let text = fs::read_to_string(out).unwrap_or_default();
            if let Ok(record) = serde_json::from_str::<Value>(&text) {
                return record;
            }
            let ended = self.child.try_wait().expect("it can be waited for");
            assert_eq!(ended, None, "the server ended");
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "the server does not start"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Where it listens for something, by the name that the announcement has for it.
    ///
    /// # Panics
    /// Where it does not.
    #[must_use]
    pub fn listening(&self, what: &str) -> SocketAddr {
        let address = self.announcement[what]
            .as_str()
            .and_then(|text| text.parse().ok());
        address.unwrap_or_else(|| panic!("no {what} in {}", self.announcement))
    }

    /// Sends it a signal, such as `-HUP`.
    ///
    /// # Panics
    /// Where that does not work.
    pub fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let told = Command::new("kill").args([signal, &id]).status();
        assert!(told.expect("kill can be run").success());
    }

    /// Its process.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    ///
    /// # Panics
    /// Where that is not to be known.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it can be waited for")
    }

    /// Ends it as a crash would.
    ///
    /// # Panics
    /// Where that does not work.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it can be waited for");
    }

    /// Ends it in order.
    ///
    /// # Panics
    /// Where it does not end well.
    pub fn stop(mut self) {
        self.signal("-TERM");
        let status = self.child.wait().expect("it can be waited for");
        assert!(status.success(), "{status}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
