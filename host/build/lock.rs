//! The lock file of a policy project (`patrol policy new`): of all that the workspace is built from, what the stock rules
//! are, in the versions that they were tested with.
//!
//! It is as cargo would write it for the project, so that a first build changes nothing. What of the workspace's lock file
//! belongs there depends on the features that are asked for, which only cargo knows: `cargo tree` says it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

/// A package by its name and version.
type Named = (String, String);

/// Writes the lock file to `out`, but for the project's own entry. `cargo` is a command that runs cargo in the workspace,
/// `workspace` the lock file there.
pub(super) fn write(cargo: Command, workspace: &Path, out: &Path) -> Result<(), String> {
    let locked =
        fs::read_to_string(workspace).map_err(|e| format!("cannot read {}: {e}", workspace.display()))?;
    let lock = compose(&locked, &tree(cargo)?);
    fs::write(out, lock).map_err(|e| format!("cannot write {}: {e}", out.display()))
}

/// What the stock rules are built from, each with what it needs itself.
fn tree(mut cargo: Command) -> Result<BTreeMap<Named, BTreeSet<Named>>, String> {
    let output = cargo
        .args([
            "tree",
            "--locked",
            "--package",
            "patrol-policy",
            "--no-default-features",
        ])
        .args([
            "--edges",
            "normal,build",
            "--target",
            "all",
            "--prefix",
            "depth",
            "--format",
            " {p}",
        ])
        .output()
        .map_err(|e| format!("cannot run cargo to list what the policy is built from: {e}"))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "cargo does not say what the policy is built from: {errors}"
        ));
    }
    let mut needs = BTreeMap::<Named, BTreeSet<Named>>::new();
    // From the root to the package of the line before.
    let mut path: Vec<Named> = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        // "2 cfg-if v1.0.5", and a repeated one ends with "(*)": what it needs was told before.
        let mut words = line.split_whitespace();
        let depth = words.next().and_then(|depth| depth.parse().ok());
        let name = words.next();
        let version = words.next().and_then(|version| version.strip_prefix('v'));
        let (Some(depth), Some(name), Some(version)) = (depth, name, version) else {
            return Err(format!("cargo tree says what is not understood: {line}"));
        };
        let package = (name.to_owned(), version.to_owned());
        path.truncate(depth);
        if let Some(parent) = path.last() {
            needs.entry(parent.clone()).or_default().insert(package.clone());
        }
        needs.entry(package.clone()).or_default();
        path.push(package);
    }
    Ok(needs)
}

fn compose(locked: &str, needs: &BTreeMap<Named, BTreeSet<Named>>) -> String {
    let mut entries = locked.split("\n[[package]]\n");
    let mut lock = entries.next().unwrap_or_default().to_owned();
    let entries: Vec<&str> = entries.collect();
    for ((name, version), needs_of_it) in needs {
        let head = format!("name = \"{name}\"\nversion = \"{version}\"\n");
        lock.push_str(&format!("\n[[package]]\n{head}"));
        let entry = entries.iter().find(|entry| entry.starts_with(&head));
        let lines = entry.into_iter().flat_map(|entry| entry.lines());
        for line in lines.filter(|line| line.starts_with("source = ") || line.starts_with("checksum = ")) {
            lock.push_str(&format!("{line}\n"));
        }
        if needs_of_it.is_empty() {
            continue;
        }
        lock.push_str("dependencies = [\n");
        for (name, version) in needs_of_it {
            // With its version where that is in doubt.
            let several = needs.keys().filter(|(other, _)| other == name).nth(1).is_some();
            let version = if several {
                format!(" {version}")
            } else {
                String::new()
            };
            lock.push_str(&format!(" \"{name}{version}\",\n"));
        }
        lock.push_str("]\n");
    }
    lock
}
