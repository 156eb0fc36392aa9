//! A project that `patrol policy new` wrote: it builds with one command, and its README is true.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use patrol_tests::policies;
use patrol_tests::shape::{EXPORTS, shape};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{self, Directory, Run};

const NAME: &str = "one-week";

/// A project that nobody touched, and a shell in it.
struct Project(TempDir);

impl Project {
    /// Outside the repository, whose `.cargo/config.toml` would serve it too otherwise. What it is built from is the same
    /// for every project, so the builds are kept with those of the other policies.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let project = Self(directory);
        support::run(support::patrol(project.0.path()).args(["policy", "new", NAME])).done();
        let builds = policies::target().join("policies/projects");
        fs::create_dir_all(&builds).unwrap();
        std::os::unix::fs::symlink(builds, project.path().join("target")).unwrap();
        project
    }

    fn path(&self) -> PathBuf {
        self.0.path().join(NAME)
    }

    fn component(&self) -> PathBuf {
        self.path()
            .join("target/wasm32-unknown-unknown/release/one_week.wasm")
    }

    /// Runs cargo there, with nothing of this test's own cargo, and without the network: it must not need more than what
    /// the repository is built from.
    fn cargo(&self, arguments: &[&str]) -> Run {
        support::run(self.command(Path::new(env!("CARGO"))).args(arguments))
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = support::patrol(&self.path());
        let environment: Vec<_> = command
            .get_envs()
            .filter(|(_, value)| value.is_none())
            .map(|(name, _)| name.to_owned())
            .collect();
        command = Command::new(program);
        for name in environment {
            command.env_remove(name);
        }
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            let of_cargo = name.starts_with("CARGO") && name != "CARGO_HOME";
            if of_cargo
                || name.starts_with("RUSTC")
                || name.starts_with("RUSTFLAGS")
                || name.starts_with("CLIPPY")
            {
                command.env_remove(name);
            }
        }
        command.current_dir(self.path()).env("CARGO_NET_OFFLINE", "true");
        command
    }
}

impl Drop for Project {
    /// The builds stay but for those of this very project, which are of no use to another one.
    fn drop(&mut self) {
        let _ = self.cargo(&[
            "clean",
            "--quiet",
            "--package",
            NAME,
            "--package",
            "patrol-policy",
        ]);
    }
}

/// The commands in a text: the lines after `$ ` in its console blocks.
fn commands(readme: &str) -> Vec<&str> {
    let blocks = readme.split("```console\n").skip(1);
    let lines = blocks.flat_map(|block| block.split("```").next().unwrap().lines());
    lines.map(|line| line.strip_prefix("$ ").unwrap()).collect()
}

#[test]
fn a_new_project_does_what_its_readme_says() {
    let project = Project::new();
    let lock = fs::read_to_string(project.path().join("Cargo.lock")).unwrap();
    let readme = fs::read_to_string(project.path().join("README.md")).unwrap();
    let data = project.0.path().join("data");
    let configuration = project.0.path().join("patrol.toml");
    // A busy machine is not a slow policy.
    fs::write(&configuration, "[policy]\ndeadline = \"5s\"\n").unwrap();
    let patrol = patrol_tests::bin::patrol();
    project.cargo(&["fmt", "--check"]).done();

    // The server that the release is for has data already.
    let arguments = ["tenant", "create", "acme", "--data"];
    support::run(project.command(&patrol).args(arguments).arg(&data)).done();

    let mut done = Vec::new();
    let mut id = None;
    let mut active = Vec::new();
    for line in commands(&readme) {
        let staged = id.clone();
        let mut words: Vec<_> = line.split(' ').collect();
        let program = words.remove(0);
        if let Some(word) = words.iter_mut().find(|word| **word == "ID") {
            *word = staged.as_deref().expect("something was staged");
        }
        let mut command = match program {
            "cargo" => project.command(Path::new(env!("CARGO"))),
            "patrol" => {
                let mut command = project.command(&patrol);
                command
                    .arg("--json")
                    .arg("--data")
                    .arg(&data)
                    .arg("--config")
                    .arg(&configuration);
                command
            }
            other => panic!("{other}: what is that?"),
        };
        let out = support::run(command.args(&words)).done();
        match words[..] {
            ["policy", "keygen", ..] => {
                let told: Value = serde_json::from_str(&out).unwrap();
                let (_, block) = readme.split_once("```toml\n").unwrap();
                let (block, _) = block.split_once("```").unwrap();
                let trusted = block.replace("PUBLIC KEY", told["publicKey"].as_str().unwrap());
                fs::write(&configuration, format!("{trusted}deadline = \"5s\"\n")).unwrap();
            }
            ["policy", "stage", ..] => {
                let told: Value = serde_json::from_str(&out).unwrap();
                id = Some(told["id"].as_str().unwrap().to_owned());
            }
            ["policy", "show"] => active.push(serde_json::from_str::<Value>(&out).unwrap()),
            _ => {}
        }
        done.push(words.join(" "));
    }
    for expected in [
        "build --release",
        "unit",
        "scenario run scenarios",
        "policy activate",
        "policy rollback",
    ] {
        assert!(
            done.iter().any(|one| one.starts_with(expected)),
            "{expected}: {done:?}"
        );
    }

    assert_eq!(active.len(), 1);
    assert_eq!(active[0]["name"], NAME);
    assert_eq!(active[0]["version"], "0.1.0");
    assert_eq!(active[0]["limits"]["idleAfter"], "7d");
    assert_eq!(
        active[0]["limits"]["tokensPerOwner"], 104,
        "all else is as the stock policy has it"
    );

    let component = fs::read(project.component()).unwrap();
    let shape = shape(&component);
    assert_eq!(shape.imports_beyond_the_contract(), [""; 0]);
    assert_eq!(shape.exports, EXPORTS);
    assert_eq!(shape.memories, [1]);
    assert!(component.len() <= 64 << 10, "{} bytes", component.len());
    let text = String::from_utf8_lossy(&component);
    assert!(
        !text.contains(project.0.path().to_str().unwrap()),
        "it does not say where it was built"
    );

    let after = fs::read_to_string(project.path().join("Cargo.lock")).unwrap();
    assert_eq!(lock, after, "what is built is what the lock file says");
}

#[test]
fn a_project_is_built_from_what_patrol_is_built_from() {
    let directory = Directory::new();
    directory.new_project(&["mine"]).done();
    let read = |path: &Path| fs::read_to_string(path).unwrap();
    let entries = |lock: &str| -> BTreeSet<String> {
        let registry = |entry: &&str| entry.contains("source = \"registry+");
        // Without what an entry needs, which depends on the features asked for.
        let bare = |entry: &str| entry.split("dependencies = [").next().unwrap().trim().to_owned();
        lock.split("[[package]]\n").filter(registry).map(bare).collect()
    };
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (ours, whole) = (
        entries(&read(&directory.path("mine/Cargo.lock"))),
        entries(&read(&repository.join("Cargo.lock"))),
    );
    assert!(
        ours.len() > 10 && ours.is_subset(&whole),
        "{:?}",
        ours.difference(&whole)
    );

    // The sources and the contract, to the letter.
    for (own, theirs) in [("mine/patrol-policy/src", "guest/src"), ("mine/wit", "wit")] {
        let mut compared = 0;
        for entry in fs::read_dir(repository.join(theirs)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                assert_eq!(
                    read(&directory.path(own).join(path.file_name().unwrap())),
                    read(&path)
                );
                compared += 1;
            }
        }
        let written = fs::read_dir(directory.path(own)).unwrap().count();
        assert!(
            compared > 5 && compared == written,
            "{compared} of {written} in {own}"
        );
    }
}

#[test]
fn a_project_is_linked_as_the_stock_policy_is() {
    let directory = Directory::new();
    directory.new_project(&["mine"]).done();
    let target = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        let (_, target) = text.split_once("[target.wasm32-unknown-unknown]").unwrap();
        let lines = target.lines().map(str::trim);
        lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let ours = target(&repository.join(".cargo/config.toml"));
    assert!(ours.len() > 4);
    assert_eq!(target(&directory.path("mine/.cargo/config.toml")), ours);
    assert_eq!(
        fs::read_to_string(directory.path("mine/rust-toolchain.toml")).unwrap(),
        fs::read_to_string(repository.join("rust-toolchain.toml")).unwrap()
    );
}

#[test]
fn what_is_said_names_the_files_and_the_next_steps() {
    let directory = Directory::new();
    let told = directory
        .new_project(&["policies/mine", "--name", "ours-alone"])
        .done();
    for expected in [
        "a project for the policy ours-alone",
        "cd policies/mine",
        "cargo build --release",
        "patrol scenario run scenarios --policy target/wasm32-unknown-unknown/release/ours_alone.wasm",
    ] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    let run = directory.patrol(&["--json", "policy", "new", "mine"]).done();
    let told: Value = serde_json::from_str(&run).unwrap();
    assert_eq!(told["name"], "mine");
    assert_eq!(
        told["component"],
        "target/wasm32-unknown-unknown/release/mine.wasm"
    );
    let mut files: Vec<_> = told["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file.as_str().unwrap())
        .collect();
    files.sort_unstable();
    let mut there: Vec<_> = directory.contents();
    there.retain(|path| path.starts_with("mine/") && directory.path(path).is_file());
    assert_eq!(
        files,
        there
            .iter()
            .map(|path| &path["mine/".len()..])
            .collect::<Vec<_>>()
    );
    for file in files {
        let text = fs::read_to_string(directory.path("mine").join(file)).unwrap();
        assert!(!text.contains("{{"), "{file} has a blank that was not filled in");
    }
}
