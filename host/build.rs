//! Builds the policy component and leaves it where `policy::release` embeds it, so that `cargo build`, `run` and
//! `test` of the host just work; and cuts out the descriptors that gRPC reflection serves (`descriptors`).
//!
//! The component is built by a cargo of its own, for another target and with another profile. Three things make that
//! safe inside a build: it has its own target directory (`target/component`), so the two cargos never wait for each
//! other's lock; it inherits none of the flags and wrappers meant for the host's build (a sanitizer, coverage,
//! `clippy-driver`); and it runs at the workspace root, where `.cargo/config.toml` names the linker.
#![allow(
    clippy::print_stdout,
    reason = "a build script speaks to cargo on standard output"
)]

#[path = "build/descriptors.rs"]
mod descriptors;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

const TARGET: &str = "wasm32-unknown-unknown";

/// What the outer build may have set for itself and must not reach the component's build.
const NOT_INHERITED: &[&str] = &[
    "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_ENCODED_RUSTDOCFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    // Other code, and so another digest.
    "CARGO_INCREMENTAL",
    "CARGO_TARGET_DIR",
    "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER",
    "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS",
    "CLIPPY_ARGS",
    "CLIPPY_CONF_DIR",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTDOCFLAGS",
    "RUSTFLAGS",
];

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
    let status = command(&variable("CARGO")?, root)
        .args([
            "build",
            "--package",
            "patrol-policy",
            "--profile",
            "component",
            "--locked",
            "--target",
            TARGET,
        ])
        .args(same_paths(root)?)
        .arg("--target-dir")
        .arg(&target_dir)
        .status()
        .map_err(|e| format!("cannot run cargo to build the policy component: {e}"))?;
    if !status.success() {
        return Err("the policy component did not build; its errors are above".to_owned());
    }

    // A copy: whoever builds the component by hand in the meantime does not change what this build embeds.
    let built = target_dir
        .join(TARGET)
        .join("component")
        .join("patrol_policy.wasm");
    let component = out.join("policy.wasm");
    fs::copy(&built, &component)
        .map_err(|e| format!("cannot read the component {}: {e}", built.display()))?;
    println!("cargo::rustc-env=PATROL_COMPONENT={}", component.display());

    let authorization = out.join("authorization.bin");
    let cargo = command(&variable("CARGO")?, root);
    descriptors::write(cargo, &variable("TARGET")?, &authorization)?;
    println!("cargo::rustc-env=PATROL_DESCRIPTORS={}", authorization.display());
    Ok(())
}

/// Has panic messages name source files by paths that are the same on every machine: the component's digest is what a
/// release is known by, and must not depend on where its builder keeps crates and toolchain.
///
/// Given as configuration, cargo adds it to the flags of `.cargo/config.toml` instead of replacing them.
fn same_paths(root: &Path) -> Result<[String; 2], String> {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let asked = |question: &[&str]| {
        let output = command(&rustc, root)
            .args(question)
            .output()
            .map_err(|e| format!("cannot run {rustc}: {e}"))?;
        Ok::<_, String>(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let sysroot = asked(&["--print", "sysroot"])?;
    let about = asked(&["--version", "--verbose"])?;
    let commit = about
        .lines()
        .find_map(|line| line.strip_prefix("commit-hash: "))
        .unwrap_or("unknown");
    let home = match env::var_os("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => PathBuf::from(variable("HOME")?).join(".cargo"),
    };
    let flags = [
        format!("--remap-path-prefix={}=/cargo", home.display()),
        format!("--remap-path-prefix={sysroot}/lib/rustlib/src/rust=/rustc/{commit}"),
        format!("--remap-path-prefix={}=/patrol", root.display()),
    ];
    // As TOML writes it: a debug string escapes what a basic string must.
    Ok([
        "--config".to_owned(),
        format!("target.{TARGET}.rustflags={flags:?}"),
    ])
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

fn command(program: &str, root: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root);
    for name in NOT_INHERITED {
        command.env_remove(name);
    }
    command
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|e| format!("{name}: {e}"))
}
