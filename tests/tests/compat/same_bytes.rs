//! The component's digest is what a release is known by: whoever builds it gets the same.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use patrol_tests::policies::builder;
use patrol_tests::wasm;

/// Copies a directory, but for what builds leave in it and for hidden ones that hold no source.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        let target = to.join(&name);
        if entry.file_type().unwrap().is_dir() {
            let left_out = [".git", "node_modules", "target", "venv"];
            if !left_out.iter().any(|out| name == *out) {
                copy(&entry.path(), &target);
            }
        } else if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Where the other build is told to take place.
const ELSEWHERE: &str = "PATROL_TESTS_BUILD_ELSEWHERE";

#[test]
fn the_component_has_the_same_digest_wherever_it_is_built() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let home = std::env::var_os("CARGO_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").expect("cargo has a home")).join(".cargo"),
        PathBuf::from,
    );
    let elsewhere = tempfile::tempdir().unwrap();
    let other_home = elsewhere.path().join("home");
    copy(root, &elsewhere.path().join("patrol"));
    // The crates under another name. They are all there: the host's own build had them.
    fs::create_dir(&other_home).unwrap();
    for entry in fs::read_dir(&home).unwrap() {
        let entry = entry.unwrap();
        symlink(entry.path(), other_home.join(entry.file_name())).unwrap();
    }
    // As a process of its own: a build goes by its environment.
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "same_bytes::build_elsewhere", "--ignored"])
        .env(ELSEWHERE, elsewhere.path())
        .env("CARGO_HOME", &other_home)
        .env("CARGO_NET_OFFLINE", "true")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let built = fs::read(elsewhere.path().join("component.wasm")).unwrap();
    // Whole components are no help in a failed test's output.
    assert!(
        built == wasm::embedded(),
        "{} bytes here, {} elsewhere",
        wasm::embedded().len(),
        built.len()
    );
}

#[test]
#[ignore = "a part of the test above, which runs it"]
fn build_elsewhere() {
    let elsewhere = PathBuf::from(std::env::var_os(ELSEWHERE).expect("the test above says where"));
    let root = elsewhere.join("patrol");
    let target = elsewhere.join("built");
    let built = builder::build(env!("CARGO"), &root, "patrol-policy", &target).unwrap();
    fs::copy(built, elsewhere.join("component.wasm")).unwrap();
}
