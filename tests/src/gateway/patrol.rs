//! Patrol as people run it: a data directory, commands on it, and a server.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::{Running, client, free_port, wait_for};

/// A data directory with one tenant, and the commands and servers that work on it.
pub struct Patrol {
    directory: TempDir,
    program: PathBuf,
    port: u16,
    /// How far the clocks of what is started next are ahead, hours.
    ahead: u32,
}

/// A token as `patrol token create` shows it.
pub struct Token {
    pub id: String,
    pub owner_id: String,
    pub secret: String,
    pub expires: String,
}

impl Patrol {
    /// A data directory with the tenant `acme` and this configuration.
    pub fn new(configuration: &str) -> Self {
        let patrol = Self {
            directory: TempDir::new().expect("a directory can be made"),
            program: crate::bin::patrol(),
            port: free_port(),
            ahead: 0,
        };
        // The machine that runs the tests may be busier than one that serves.
        let configuration = format!("[policy]\ndeadline = \"2s\"\n{configuration}");
        std::fs::write(patrol.configuration(), configuration).expect("a configuration can be written");
        patrol.json(&["tenant", "create", "acme"]);
        patrol
    }

    /// Where the server listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A file beside the data directory.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Puts forward the clocks of what is started from now on.
    pub fn look_ahead(&mut self, hours: u32) {
        self.ahead = hours;
    }

    fn configuration(&self) -> PathBuf {
        self.beside("patrol.toml")
    }

    /// A command, not yet run.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PATROL_") {
                command.env_remove(name);
            }
        }
        command.arg("--data").arg(self.beside("data"));
        command.arg("--config").arg(self.configuration());
        command.args(arguments).stdin(Stdio::null());
        if self.ahead > 0 {
            // Of the time of day only: the clock by which time limits run has no date.
            command.env("LD_PRELOAD", libfaketime().expect("libfaketime was asked for"));
            command.env("FAKETIME", format!("+{}h", self.ahead));
            command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        command
    }

    /// Runs a command.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        command
            .output()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// Runs a command that must succeed, and reads what it prints.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[&["--json"], arguments].concat());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{arguments:?}: {}: {errors}",
            output.status
        );
        if output.stdout.is_empty() {
            return Value::Null;
        }
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
    }

    /// Makes a user with these roles, and says its identifier.
    pub fn user(&self, name: &str, roles: &[&str]) -> String {
        let mut arguments = vec!["user", "create", "--tenant", "acme", "--name", name];
        for role in roles {
            arguments.extend(["--role", role]);
        }
        text(&self.json(&arguments), "id")
    }

    /// Makes a token that expires as said.
    pub fn token(&self, owner: &str, name: &str, expires: &str) -> Token {
        let arguments = [
            "token",
            "create",
            "--owner",
            owner,
            "--name",
            name,
            "--expires",
            expires,
        ];
        let made = self.json(&arguments);
        Token {
            id: text(&made, "id"),
            owner_id: text(&made, "ownerId"),
            secret: text(&made, "secret"),
            expires: text(&made, "expires"),
        }
    }

    /// What `patrol token show` says.
    pub fn show(&self, token: &Token) -> Value {
        self.json(&["token", "show", &token.id])
    }

    /// Starts the server and waits until it is ready.
    pub fn serve(&self) -> Running {
        let address = format!("127.0.0.1:{}", self.port);
        let command = self.command(&["serve", "--listen", &address]);
        let mut server = Running::start(command, &self.beside("patrol.log"));
        wait_for("patrol to be ready", || {
            assert_eq!(server.ended(), None, "patrol does not start: {}", server.log());
            client::status(&format!("http://{address}/readyz")).filter(|status| *status == 200)
        });
        server
    }

    /// What `patrol verify` says to a token.
    pub fn verify(&self, secret: &str) -> Value {
        let mut command = self.command(&["--json", "verify"]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("patrol can be started");
        let mut stdin = child.stdin.take().expect("it is piped");
        writeln!(stdin, "{secret}").expect("patrol reads");
        drop(stdin);
        let output = child.wait_with_output().expect("patrol ends");
        serde_json::from_slice(&output.stdout).expect("patrol prints JSON")
    }
}

/// A member of an object, as text.
pub fn text(object: &Value, name: &str) -> String {
    let value = object[name].as_str();
    value
        .unwrap_or_else(|| panic!("no text {name} in {object}"))
        .to_owned()
}

/// The library that puts a clock forward.
pub fn libfaketime() -> Option<PathBuf> {
    // Below the directory of the machine's architecture.
    let directories = std::fs::read_dir("/usr/lib").ok()?.filter_map(Result::ok);
    directories
        .map(|directory| directory.path().join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.is_file())
}
