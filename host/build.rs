//! Builds the policy component and leaves it where `policy::release` embeds it, so that `cargo build`, `run` and
//! `test` of the host just work; cuts out the descriptors that gRPC reflection serves (`descriptors`); and says in which
//! versions a policy project is built (`lock`).
//!
//! The component is built by a cargo of its own (`component`), in `target/component`.
#![allow(
    clippy::print_stdout,
    reason = "a build script speaks to cargo on standard output"
)]

#[path = "build/component.rs"]
mod component;
#[path = "build/contract.rs"]
mod contract;
#[path = "build/descriptors.rs"]
mod descriptors;
#[path = "build/lock.rs"]
mod lock;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use component::{TARGET, command};

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            println!("cargo::error={problem}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let root = manifest
        .parent()
        .ok_or("the host crate lies outside its workspace")?;
    let out = PathBuf::from(variable("OUT_DIR")?);

    println!("cargo::rerun-if-env-changed=CARGO_HOME");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    for input in [
        "guest/Cargo.toml",
        "guest/src",
        "wit",
        "Cargo.toml",
        "Cargo.lock",
        "rust-toolchain.toml",
        ".cargo/config.toml",
    ] {
        println!("cargo::rerun-if-changed={}", root.join(input).display());
    }

    ensure_target(root)?;
    let target_dir = component_target_dir(&out)?;
    let built = component::build(&variable("CARGO")?, root, "patrol-policy", &target_dir)?;

    // A copy: whoever builds the component by hand in the meantime does not change what this build embeds.
    let policy = out.join("policy.wasm");
    fs::copy(&built, &policy).map_err(|e| format!("cannot read the component {}: {e}", built.display()))?;
    println!("cargo::rustc-env=PATROL_COMPONENT={}", policy.display());

    contract::write(&root.join("wit"), &out.join("contract.rs"))?;

    let authorization = out.join("authorization.bin");
    let cargo = command(&variable("CARGO")?, root);
    descriptors::write(cargo, &variable("TARGET")?, &authorization)?;
    println!("cargo::rustc-env=PATROL_DESCRIPTORS={}", authorization.display());

    let project = out.join("project.lock");
    let cargo = command(&variable("CARGO")?, root);
    lock::write(cargo, &root.join("Cargo.lock"), &project)?;
    println!("cargo::rustc-env=PATROL_PROJECT_LOCK={}", project.display());
    Ok(())
}

/// Adds the wasm target to the pinned toolchain where it is missing.
fn ensure_target(root: &Path) -> Result<(), String> {
    if has_target(root)? {
        return Ok(());
    }
    let added = command("rustup", root)
        .args(["target", "add", TARGET])
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if added && has_target(root)? {
        return Ok(());
    }
    Err(format!(
        "the Rust target {TARGET} is missing and rustup could not add it: run `rustup target add {TARGET}`, or \
         install your distribution's package of the Rust standard library for WebAssembly"
    ))
}

fn has_target(root: &Path) -> Result<bool, String> {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let output = command(&rustc, root)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .map_err(|e| format!("cannot run {rustc}: {e}"))?;
    Ok(output.status.success() && Path::new(String::from_utf8_lossy(&output.stdout).trim_end()).is_dir())
}

/// `target/component`, beside the directories of the host's own profiles: all of them share one build of the component.
fn component_target_dir(out: &Path) -> Result<PathBuf, String> {
    // OUT_DIR is <target>/<profile>/build/<package>/out.
    let target = out
        .ancestors()
        .nth(4)
        .ok_or_else(|| format!("unexpected OUT_DIR {}", out.display()))?;
    Ok(target.join("component"))
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|e| format!("{name}: {e}"))
}
