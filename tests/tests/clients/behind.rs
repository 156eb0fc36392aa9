//! A service behind nginx behind Patrol, with all that passes between them kept.

use std::fs::Permissions;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use patrol_tests::gateway::nginx::{Nginx, Site};
use patrol_tests::gateway::patrol::{Patrol, Token};
use patrol_tests::gateway::tap::Tap;
use patrol_tests::gateway::upstream::Upstream;
use patrol_tests::gateway::{Running, find, free_port, wait_for};

/// nginx with the shipped configuration, Patrol beside it with the user `ann`, and a service.
pub struct Behind {
    /// Where clients come in.
    pub port: u16,
    service: u16,
    asked: Tap,
    arrived: Tap,
    // In this order they end; all work in the last one's directory.
    running: Vec<Running>,
    _nginx: Nginx,
    _server: Running,
    pub patrol: Patrol,
}

/// A question of nginx to Patrol.
#[derive(Clone, Debug)]
pub struct Question {
    pub path: String,
    /// The scheme of `Authorization`, if there is one.
    pub scheme: Option<String>,
}

impl Behind {
    /// Everything but the service, which is still to be started, on a port of its own. `challenge` is what a client is
    /// asked for.
    pub fn new(challenge: &str) -> Self {
        Self::before(challenge, free_port())
    }

    /// The same, before a service on this port.
    pub fn before(challenge: &str, service: u16) -> Self {
        let patrol = Patrol::new(&format!("[http]\nchallenge = \"{challenge}\"\n"));
        patrol.user("ann", &[]);
        let (server, mut taps) = patrol.serve_tapped();
        let tapped = free_port();
        let site = Site {
            // As for any service that takes files.
            extra: "client_max_body_size 0;",
            service: Some(tapped),
            ..Site::default()
        };
        let nginx = Nginx::start(&patrol, &Upstream::start(), site);
        Self {
            port: nginx.port,
            service,
            asked: taps.remove(0),
            arrived: Tap::start(tapped, service),
            running: Vec::new(),
            _nginx: nginx,
            _server: server,
            patrol,
        }
    }

    /// Starts the service: `command` is given its port.
    pub fn serve(&mut self, name: &str, command: impl FnOnce(u16) -> Command) {
        let mut process = Running::start(command(self.service), &self.beside(&format!("{name}.log")));
        wait_for(name, || {
            assert_eq!(process.ended(), None, "{name} does not start: {}", process.log());
            TcpStream::connect(("127.0.0.1", self.service)).ok()
        });
        self.running.push(process);
    }

    /// An address at the service.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// A file beside the others of this test.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.patrol.beside(name)
    }

    /// A directory of this test.
    pub fn directory(&self, name: &str) -> PathBuf {
        let path = self.beside(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    /// A token of ann's.
    pub fn token(&self) -> Token {
        self.patrol.token("ann", "client", "30d")
    }

    pub fn revoke(&self, token: &Token) {
        self.patrol.json(&["token", "revoke", &token.id]);
    }

    /// A file that only this user may read, as one with a password should be.
    pub fn private(&self, name: &str, content: &str) -> PathBuf {
        let path = self.beside(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// A client with nobody's settings, in a home of its own.
    pub fn client(&self, program: &str) -> Command {
        let home = self.directory("home");
        let mut command = Command::new(find(program).expect("it was asked for"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().to_ascii_lowercase();
            let settings = [
                "npm_",
                "pip_",
                "twine_",
                "node_",
                "python",
                "registry_",
                "docker_",
            ];
            if name.ends_with("_proxy") || settings.iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(&*name);
                command.env_remove(name.to_ascii_uppercase());
            }
        }
        command.current_dir(&home).stdin(Stdio::null());
        command.env("HOME", &home).env("XDG_CONFIG_HOME", &home);
        command.env("XDG_RUNTIME_DIR", &home).env("NO_COLOR", "1");
        command
    }

    /// What nginx has asked so far, in order where one client asks one thing after the other.
    pub fn questions(&self) -> Vec<Question> {
        let connections = self.asked.connections();
        let all = connections
            .iter()
            .flat_map(|bytes| bytes.split_inclusive(|byte| *byte == b'\n'));
        let mut questions: Vec<Question> = Vec::new();
        for line in all {
            let line = String::from_utf8_lossy(line);
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                if line.starts_with("GET /check/nginx ") {
                    let (path, scheme) = (String::new(), None);
                    questions.push(Question { path, scheme });
                }
                continue;
            };
            let Some(question) = questions.last_mut() else {
                continue;
            };
            match &*name.to_ascii_lowercase() {
                "x-original-uri" => question.path = value.to_owned(),
                "authorization" => question.scheme = value.split(' ').next().map(str::to_owned),
                _ => {}
            }
        }
        questions
    }

    /// Asserts that nothing in what has arrived at the service shows a secret, and that the service was told who it is.
    pub fn assert_ended_at_the_gateway(&self, token: &Token) {
        let connections = self.arrived.connections();
        assert!(!connections.is_empty(), "nothing has arrived");
        let all = connections.concat();
        let told = format!("X-Patrol-Token-Id: {}\r\n", token.id);
        assert!(
            contains(&all, told.as_bytes()),
            "the service was not told who it is"
        );
        for needle in needles(&token.secret) {
            assert!(!contains(&all, needle.as_bytes()), "the secret arrived: {needle}");
        }
        let authorization = all
            .windows(15)
            .any(|window| window.eq_ignore_ascii_case(b"\r\nauthorization"));
        assert!(!authorization, "an Authorization header arrived");
    }

    /// Runs a client that must be turned away, without the service hearing of it.
    pub fn assert_refused(&self, command: Command) -> String {
        let before: usize = self.arrived.connections().iter().map(Vec::len).sum();
        let output = run(command);
        assert!(!output.status.success(), "it was let in: {}", said(&output));
        let after: usize = self.arrived.connections().iter().map(Vec::len).sum();
        assert_eq!(after, before, "the service was reached: {}", said(&output));
        said(&output)
    }
}

/// A secret as it is, and as part of a user name and password in Basic, wherever in the groups of three it begins.
fn needles(secret: &str) -> Vec<String> {
    let encoded = (0..3).map(|shift| {
        let text = STANDARD.encode(format!("{}{secret}", "x".repeat(shift)));
        text[8..text.len() - 8].to_owned()
    });
    std::iter::once(secret.to_owned()).chain(encoded).collect()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    let first = needle[0];
    let mut rest = haystack;
    while let Some(at) = rest.iter().position(|byte| *byte == first) {
        if rest[at..].starts_with(needle) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

/// Runs a client.
pub fn run(mut command: Command) -> Output {
    command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Runs a client that must succeed, and returns what it wrote.
pub fn run_well(command: Command) -> String {
    let name = format!("{:?}", command.get_program());
    let output = run(command);
    assert!(output.status.success(), "{name}: {}", said(&output));
    said(&output)
}

fn said(output: &Output) -> String {
    let [out, errors] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    format!("{out}{errors}")
}

/// Bytes that do not compress, always the same.
pub fn noise(words: usize) -> Vec<u8> {
    let noise = std::iter::successors(Some(0x5eed_u64), |x| {
        let x = x ^ (x << 13);
        let x = x ^ (x >> 7);
        Some(x ^ (x << 17))
    });
    noise.take(words).flat_map(u64::to_le_bytes).collect()
}

/// The SHA-256 of a file, hexadecimal.
pub fn sha256(path: &Path) -> String {
    let mut command = Command::new("sha256sum");
    command.arg(path);
    let line = run_well(command);
    line.split(' ').next().unwrap().to_owned()
}
