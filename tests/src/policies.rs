//! The components of policies that are written on the guest as a library, those of `guest/policies/` first of all.
//!
//! They are built when a test first asks, as `host/build.rs` builds the stock one, in `target/policies`: a second run
//! finds them there. Tests that ask at the same time, in one process or several, wait for the one that builds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

#[path = "../../host/build/component.rs"]
pub mod builder;

/// The component of a policy, by the name of its package in the workspace, up to date with its source.
///
/// # Panics
/// Where it does not build; cargo's messages are then on standard error.
#[must_use]
pub fn component(package: &str) -> PathBuf {
    static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let build = || {
        let directory = target().join("policies");
        builder::build(env!("CARGO"), workspace(), package, &directory).unwrap_or_else(|why| panic!("{why}"))
    };
    built.entry(package.to_owned()).or_insert_with(build).clone()
}

/// The same, read.
///
/// # Panics
/// Where it does not build, or cannot be read.
#[must_use]
pub fn read(package: &str) -> Vec<u8> {
    std::fs::read(component(package)).expect("a component that was built")
}

/// The folder of a policy in the repository.
#[must_use]
pub fn folder(package: &str) -> PathBuf {
    workspace().join("guest/policies").join(package)
}

/// The target directory that the running test was built in.
pub fn target() -> PathBuf {
    // The test is <target>/<profile>/deps/<name>-<hash>.
    let test = std::env::current_exe().expect("a test knows its own path");
    let target = test.ancestors().nth(3);
    target
        .expect("a test lies in its profile's directory, and that in a target directory")
        .to_owned()
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests lie in a workspace")
}
