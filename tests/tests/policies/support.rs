//! A directory to write projects in, and the programs that work on them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// How a program ended.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Run {
    /// What it printed, where all went well.
    #[track_caller]
    pub fn done(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }
}

pub struct Directory(TempDir);

impl Directory {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `patrol` in this directory.
    pub fn patrol(&self, arguments: &[&str]) -> Run {
        run(patrol(self.0.path()).args(arguments))
    }

    /// `patrol policy new`.
    pub fn new_project(&self, arguments: &[&str]) -> Run {
        self.patrol(&[&["policy", "new"], arguments].concat())
    }

    /// Everything in it, by its path.
    pub fn contents(&self) -> Vec<String> {
        let mut found = Vec::new();
        collect(self.0.path(), self.0.path(), &mut found);
        found.sort();
        found
    }
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
        if path.is_dir() {
            collect(root, &path, found);
        }
    }
}

/// `patrol` in a directory, with nothing of the environment that would tell it where its data is.
pub fn patrol(directory: &Path) -> Command {
    let mut command = patrol_tests::bin::command();
    command.current_dir(directory);
    command
}

#[track_caller]
pub fn run(command: &mut Command) -> Run {
    let output = command.stdin(Stdio::null()).output().unwrap();
    Run {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}
