//! The policy in JavaScript, built by what `tests/run` installs for it.
//!
//! It takes seconds to build and more of them to compile, and each test is a process of its own. So both are done once: the
//! component is kept under a name that says what it was built from, its compiled code beside it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use patrol::policy::{Isolation, Options, Policy};
use sha2::{Digest as _, Sha256};

use crate::gateway::find;
use crate::memory::MemoryHost;

/// The settings that it needs, as its README has them.
pub const SETTINGS: &str = "max_component = \"16MiB\"\nmemory = \"32MiB\"\ntable_elements = 8192\n";

/// Where the policy's source is.
#[must_use]
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest/policies/javascript")
}

/// The component; none where a test that needs it is to be left out, as
/// [`have`](crate::gateway::have) says of those that need gateways.
///
/// # Panics
/// Where it does not build, or must be there and cannot be built.
#[must_use]
pub fn component() -> Option<PathBuf> {
    let wanted = std::env::var("PATROL_TESTS_GATEWAYS").ok();
    if wanted.as_deref() == Some("0") {
        println!("skipped: PATROL_TESTS_GATEWAYS is 0");
        return None;
    }
    let installed = directory().join("node_modules/@bytecodealliance/componentize-js");
    if !installed.is_dir() || find("node").is_none() {
        assert_ne!(wanted.as_deref(), Some("1"), "missing: {}", installed.display());
        println!(
            "skipped: {} is missing; tests/run installs it",
            installed.display()
        );
        return None;
    }
    let _lock = lock();
    let file = kept().join(format!("{}.wasm", digest()));
    if !file.exists() {
        build(&file);
    }
    Some(file)
}

/// The policy, run in some way; none where a test that needs it is to be left out.
///
/// # Panics
/// Where it does not build or load.
#[must_use]
pub fn load(options: &Options) -> Option<Policy<MemoryHost>> {
    let component = fs::read(component()?).expect("the component");
    let _lock = lock();
    Some(Policy::load(&component, options).expect("the policy in JavaScript"))
}

/// One test builds and compiles it, the others wait for that one.
fn lock() -> File {
    fs::create_dir_all(kept()).expect("a directory");
    let lock = File::create(kept().join("lock")).expect("a lock");
    lock.lock().expect("a lock");
    lock
}

/// How it is run: within its settings, and on a machine that may be busier than one that serves.
#[must_use]
pub fn options(isolation: Isolation) -> Options {
    Options {
        isolation,
        deadline: Duration::from_secs(10),
        bulk_deadline: Duration::from_secs(10),
        component_bytes: 16 << 20,
        memory_bytes: 32 << 20,
        table_elements: 8_192,
        cache_dir: Some(kept().join("compiled")),
        candidate: false,
    }
}

/// Where what is built stays, as long as the target directory does.
fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/javascript")
}

fn build(file: &Path) {
    let unfinished = file.with_extension("unfinished");
    let output = Command::new(find("node").expect("node"))
        .arg("build.js")
        .arg(&unfinished)
        .current_dir(directory())
        .stdin(Stdio::null())
        .output()
        .expect("node can be run");
    assert!(
        output.status.success(),
        "the policy in JavaScript does not build: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    fs::rename(unfinished, file).expect("it is there");
}

/// Of everything that the component is made of.
fn digest() -> String {
    let mut files: Vec<_> = [directory().join("src"), crate::hostile::wit()]
        .iter()
        .flat_map(|directory| fs::read_dir(directory).expect("a directory"))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file())
        .chain(["build.js", "package-lock.json"].map(|name| directory().join(name)))
        .collect();
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let content = fs::read(&file).expect("a file");
        hash.update(Sha256::digest(file.as_os_str().as_encoded_bytes()));
        hash.update(Sha256::digest(content));
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
