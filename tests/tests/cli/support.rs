//! A data directory of its own for each test, and the program to work on it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// How a run of the program went.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Run {
    /// Standard output of a run that must have gone well.
    #[track_caller]
    pub fn done(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    /// The message of a run that must have failed with this exit code, in one line.
    #[track_caller]
    pub fn failed(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.err.starts_with("patrol: "), "{self:?}");
        assert_eq!(self.err.lines().count(), 1, "{self:?}");
        self.err
    }
}

/// A data directory that goes away after the test.
pub struct Home {
    directory: tempfile::TempDir,
}

impl Home {
    /// With nothing in it: not even the data directory is there.
    pub fn empty() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// With the tenant `acme` and its user `ann`, who has the role `admin`.
    pub fn with_ann() -> Self {
        let home = Self::empty();
        home.run(&["tenant", "create", "acme"]).done();
        // A busy machine may take longer over a verdict than a server should.
        home.configure("[policy]\ndeadline = \"5s\"\n");
        home.run(&[
            "user", "create", "--tenant", "acme", "--name", "ann", "--role", "admin",
        ])
        .done();
        home
    }

    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// A path beside the data directory.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The configuration, at its default place.
    pub fn configure(&self, toml: &str) {
        fs::write(self.data().join("patrol.toml"), toml).unwrap();
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = program();
        command.current_dir(self.directory.path());
        command.env("PATROL_DATA", self.data()).args(args);
        command
    }

    pub fn run(&self, args: &[&str]) -> Run {
        self.run_with(args, "")
    }

    /// Runs a command with this on standard input.
    pub fn run_with(&self, args: &[&str], input: &str) -> Run {
        run(&mut self.command(args), input)
    }

    /// Runs a command that must go well and print JSON.
    #[track_caller]
    pub fn json(&self, args: &[&str]) -> Value {
        let out = self.run(&[&["--json"], args].concat()).done();
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }

    /// Creates a token of ann's; its identifier and its secret.
    #[track_caller]
    pub fn token(&self, name: &str) -> (String, String) {
        let token = self.json(&[
            "token",
            "create",
            "--owner",
            "ann",
            "--name",
            name,
            "--expires",
            "90d",
        ]);
        (text(&token["id"]), text(&token["secret"]))
    }

    /// What `verify` says of a secret, as JSON, whether yes or no.
    #[track_caller]
    pub fn verdict(&self, secret: &str) -> Value {
        let run = self.run_with(&["--json", "verify"], secret);
        let verdict: Value = serde_json::from_str(&run.out).unwrap_or_else(|_| panic!("{run:?}"));
        let code = match verdict["verdict"].as_str() {
            Some("accepted") => 0,
            _ => 3,
        };
        assert_eq!(run.code, Some(code), "{run:?}");
        verdict
    }

    /// The database, for tampering with it.
    pub fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.data().join("patrol.db")).unwrap()
    }

    /// A server on a free port of this machine.
    pub fn serve(&self) -> Server {
        let mut child = self
            .command(&["--json", "serve", "--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let started: Value = serde_json::from_str(&line).expect("a server says that it has started");
        let address = text(&started["address"]).parse().unwrap();
        Server {
            child,
            address,
            started,
        }
    }
}

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    /// What it said when it started.
    pub started: Value,
}

impl Server {
    /// Asks it to end with a signal, and waits until it has; its exit code.
    pub fn end(mut self, signal: &str) -> Option<i32> {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(sent.success());
        self.child.wait().unwrap().code()
    }

    /// Signs in with a PAT; the session token.
    pub fn sign_in(&self, secret: &str) -> String {
        let url = format!("http://{}/api/v1/pat/login", self.address);
        let answer: Value = ureq::post(&url)
            .send_json(serde_json::json!({"token": secret}))
            .unwrap()
            .body_mut()
            .read_json()
            .unwrap();
        text(&answer["sessionToken"])
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program, without whatever this machine's environment says to it.
pub fn program() -> Command {
    let mut command = Command::new(patrol_tests::bin::patrol());
    for name in [
        "PATROL_CONFIG",
        "PATROL_DATA",
        "PATROL_JSON",
        "PATROL_LOG",
        "SUDO_USER",
    ] {
        command.env_remove(name);
    }
    command.env("USER", "tester");
    command
}

pub fn run(command: &mut Command, input: &str) -> Run {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read its input may have gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let mut err = child.stderr.take().unwrap();
    let err = std::thread::spawn(move || {
        let mut text = String::new();
        err.read_to_string(&mut text).unwrap();
        text
    });
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    Run {
        code: child.wait().unwrap().code(),
        out,
        err: err.join().unwrap(),
    }
}

/// A JSON string's text.
#[track_caller]
pub fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
        .to_owned()
}

/// The keys of a JSON object, in order of the alphabet.
#[track_caller]
pub fn keys(value: &Value) -> Vec<&str> {
    let object = value
        .as_object()
        .unwrap_or_else(|| panic!("{value} is no object"));
    let mut keys: Vec<_> = object.keys().map(String::as_str).collect();
    // In which order they are printed, is up to what else is compiled in.
    keys.sort_unstable();
    keys
}

/// Everything in a directory, as bytes.
pub fn contents(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(contents(&path));
        } else {
            let bytes = fs::read(&path).unwrap();
            all.push((path, bytes));
        }
    }
    all
}
