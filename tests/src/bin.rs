//! The `patrol` program, for tests that run it as people do.
//!
//! Cargo builds no programs of dependencies, so the first test that wants one builds it: with the profile and into the
//! target directory that the running test itself was built with, where nearly all of it is there already.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The path of the `patrol` program, up to date with its source.
///
/// # Panics
/// Where it does not build; cargo's messages are then on standard error.
#[must_use]
pub fn patrol() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| build(&["--bin", "patrol"]).join("patrol"))
        .clone()
}

/// The program, with nothing of the environment that would tell it where its data is.
///
/// # Panics
/// As [`patrol()`].
#[must_use]
pub fn command() -> Command {
    let mut command = Command::new(patrol());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PATROL_") {
            command.env_remove(name);
        }
    }
    command
}

/// The path of an example of the library, up to date with its source.
///
/// # Panics
/// As [`patrol()`].
#[must_use]
pub fn example(name: &str) -> PathBuf {
    build(&["--example", name]).join("examples").join(name)
}

/// Builds a program, and says where the profile has its own.
fn build(what: &[&str]) -> PathBuf {
    // The test is <target>/<profile>/deps/<name>-<hash>.
    let test = std::env::current_exe().expect("a test knows its own path");
    let profile = test
        .ancestors()
        .nth(2)
        .expect("a test lies in its profile's directory");
    let target = profile.parent().expect("a profile lies in a target directory");
    let name = profile.file_name().and_then(|name| name.to_str());
    let name = match name.expect("a profile's name is text") {
        "debug" => "dev",
        name => name,
    };
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests lie in a workspace");
    let status = Command::new(env!("CARGO"))
        .current_dir(workspace)
        // Both packages, so that the features of what they share are those of the test's own build.
        .args([
            "build",
            "--quiet",
            "--package",
            "patrol",
            "--package",
            "patrol-tests",
        ])
        .args(what)
        .args(["--profile", name, "--target-dir"])
        .arg(target)
        .stdin(Stdio::null())
        .status()
        .expect("cargo can be run");
    assert!(status.success(), "the patrol program did not build");
    profile.to_owned()
}
