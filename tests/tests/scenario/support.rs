//! A directory with scenarios, and the program to run them.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// How a run went.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

pub struct Directory(TempDir);

impl Directory {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    /// `patrol ... ` in this directory, which also has the temporary files.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let temporary = self.path("tmp");
        fs::create_dir_all(&temporary).unwrap();
        let mut command = patrol_tests::bin::command();
        command
            .current_dir(self.0.path())
            .env("TMPDIR", temporary)
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        let output = self.command(arguments).output().unwrap();
        Run {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs with `--json`; the exit code, and what was printed.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let run = self.run(&[&["--json", "scenario", "run"], arguments].concat());
        let value = serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {run:?}"));
        (run.code, value)
    }
}

/// A tenant, a user and a token, to begin with.
pub const BEGINNING: &str = r#"
[[step]]
do = "create-tenant"
tenant = "acme"

[[step]]
do = "create-user"
user = "ada"

[[step]]
do = "issue"
user = "ada"
token = "backup"
"#;

/// A scenario that begins so and goes on.
pub fn story(rest: &str) -> String {
    format!("{BEGINNING}{rest}")
}
