//! Building a component with a cargo of its own, inside a build or a test.
//!
//! It is for another target and with another profile. Three things make that safe: it has its own target directory, so
//! the two cargos never wait for each other's lock; it inherits none of the flags and wrappers meant for the other build
//! (a sanitizer, coverage, `clippy-driver`); and it runs at the workspace root, where `.cargo/config.toml` names the
//! linker.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

pub const TARGET: &str = "wasm32-unknown-unknown";

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

/// Builds the component of a package, and says where it is: `<target directory>/<target>/component/<name>.wasm`.
///
/// # Errors
/// Where cargo cannot be run or fails; its messages are then on standard error.
pub fn build(cargo: &str, root: &Path, package: &str, target_dir: &Path) -> Result<PathBuf, String> {
    let status = command(cargo, root)
        .args([
            // A component alone, without the library that other policies depend on: whatever a library offers stays as
            // it is written, and that is an eighth of the component.
            "rustc",
            "--package",
            package,
            "--lib",
            "--crate-type",
            "cdylib",
            "--profile",
            "component",
            "--locked",
            "--target",
            TARGET,
        ])
        .args(same_paths(root)?)
        .arg("--target-dir")
        .arg(target_dir)
        .status()
        .map_err(|e| format!("cannot run cargo to build the component of {package}: {e}"))?;
    if !status.success() {
        return Err(format!(
            "the component of {package} did not build; its errors are above"
        ));
    }
    let file = format!("{}.wasm", package.replace('-', "_"));
    Ok(target_dir.join(TARGET).join("component").join(file))
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
        None => {
            PathBuf::from(env::var_os("HOME").ok_or("neither CARGO_HOME nor HOME is set")?).join(".cargo")
        }
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

/// A program to run at the workspace root, on nothing that was meant for another build.
pub fn command(program: &str, root: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root);
    for name in NOT_INHERITED {
        command.env_remove(name);
    }
    command
}
