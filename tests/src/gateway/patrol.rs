//! Patrol as people run it: a data directory, commands on it, and a server.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::tap::Tap;
use super::{Running, client, free_port, wait_for};

/// A data directory with one tenant, and the commands and servers that work on it.
pub struct Patrol {
    directory: TempDir,
    program: PathBuf,
    port: u16,
    /// The further listeners of `[server]`, such as `grpc`, with the ports that gateways are told.
    doors: Vec<(&'static str, u16)>,
    configuration: String,
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
        Self::with_doors(configuration, &[])
    }

    /// The same, and a server that listens at these doors too: keys of `[server]`, such as `grpc`.
    pub fn with_doors(configuration: &str, doors: &[&'static str]) -> Self {
        let patrol = Self::empty(configuration, doors);
        patrol.json(&["tenant", "create", "acme"]);
        patrol
    }

    /// With nothing in its data directory.
    pub fn empty(configuration: &str, doors: &[&'static str]) -> Self {
        let patrol = Self {
            directory: TempDir::new().expect("a directory can be made"),
            program: crate::bin::patrol(),
            port: free_port(),
            doors: doors.iter().map(|door| (*door, free_port())).collect(),
            // The machine that runs the tests may be busier than one that serves.
            configuration: format!("[policy]\ndeadline = \"2s\"\n{configuration}"),
            ahead: 0,
        };
        patrol.configure(&patrol.doors);
        patrol
    }

    /// Writes the configuration, with these doors.
    fn configure(&self, doors: &[(&str, u16)]) {
        let mut text = self.configuration.clone();
        if !doors.is_empty() {
            text += "\n[server]\n";
        }
        for (door, port) in doors {
            text += &format!("{door} = \"127.0.0.1:{port}\"\n");
        }
        std::fs::write(self.configuration(), text).expect("a configuration can be written");
    }

    /// Adds to the configuration of what is started next.
    pub fn configure_more(&mut self, configuration: &str) {
        self.configuration += configuration;
        self.configure(&self.doors);
    }

    /// Where gateways find the server.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where they find a further door of it.
    pub fn door(&self, name: &str) -> u16 {
        let door = self.doors.iter().find(|(door, _)| *door == name);
        door.unwrap_or_else(|| panic!("{name} is not among the doors asked for"))
            .1
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
        self.serve_on(self.port)
    }

    /// The same, behind taps at all its doors.
    pub fn serve_tapped(&self) -> (Running, Vec<Tap>) {
        let doors: Vec<_> = self.doors.iter().map(|(door, _)| (*door, free_port())).collect();
        self.configure(&doors);
        let port = free_port();
        let server = self.serve_on(port);
        let outside = self.doors.iter().zip(&doors);
        let outside = outside.map(|((_, from), (_, to))| (*from, *to));
        let taps = std::iter::once((self.port, port)).chain(outside);
        (server, taps.map(|(from, to)| Tap::start(from, to)).collect())
    }

    fn serve_on(&self, port: u16) -> Running {
        let address = format!("127.0.0.1:{port}");
        let command = self.command(&["serve", "--listen", &address]);
        let mut server = Running::start(command, &self.beside("patrol.log"));
        wait_for("patrol to be ready", || {
            assert_eq!(server.ended(), None, "patrol does not start: {}", server.log());
            client::status(&format!("http://{address}/readyz")).filter(|status| *status == 200)
        });
        server
    }

    /// Sets a user's password.
    pub fn set_password(&self, user: &str, password: &str) {
        let output = self.run_with(&["--json", "user", "set-password", user], password);
        assert!(output.status.success(), "{output:?}");
    }

    /// What `patrol verify` says to a token.
    pub fn verify(&self, secret: &str) -> Value {
        let output = self.run_with(&["--json", "verify"], secret);
        serde_json::from_slice(&output.stdout).expect("patrol prints JSON")
    }

    /// Runs a command that reads a line.
    fn run_with(&self, arguments: &[&str], line: &str) -> Output {
        let mut command = self.command(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("patrol can be started");
        let mut stdin = child.stdin.take().expect("it is piped");
        writeln!(stdin, "{line}").expect("patrol reads");
        drop(stdin);
        child.wait_with_output().expect("patrol ends")
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
