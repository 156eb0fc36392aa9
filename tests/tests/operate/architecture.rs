//! The layers of the host: nothing that faces a gateway or a client reaches below the service.

use std::fs;
use std::path::{Path, PathBuf};

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/src")
}

/// All files of a module, itself included.
fn files(module: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![source().join(module)];
    let file = source().join(format!("{module}.rs"));
    found.extend(Some(file).filter(|file| file.is_file()));
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    assert!(!found.is_empty(), "there is no module {module}");
    found
}

/// Where a module names what it must not know.
fn uses(module: &str, forbidden: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files(module) {
        let text = fs::read_to_string(&file).unwrap();
        // Words after `crate::{` count as well; comments may say what they like.
        let lines = text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim_start().starts_with("//"));
        for (number, line) in lines {
            if forbidden.iter().any(|name| line.contains(name)) {
                found.push(format!("{}:{}: {}", file.display(), number + 1, line.trim()));
            }
        }
    }
    found
}

const NOTHING: Vec<String> = Vec::new();

#[test]
fn doors_gate_and_scenarios_stand_on_the_service_alone() {
    for module in ["http", "doors", "gate", "layer", "scenario", "control", "notices"] {
        let below = [
            "crate::store",
            "crate::policy",
            "crate::{store",
            "crate::{policy",
            "rusqlite",
            "wasmtime",
        ];
        assert_eq!(uses(module, &below), NOTHING, "{module}");
    }
}

#[test]
fn nobody_knows_who_stands_above() {
    for (module, above) in [
        (
            "gate",
            &[
                "crate::http",
                "crate::doors",
                "crate::layer",
                "crate::cli",
                "axum",
                "tonic::",
            ][..],
        ),
        (
            "service",
            &[
                "crate::gate",
                "crate::http",
                "crate::doors",
                "crate::layer",
                "crate::control",
                "crate::cli",
                "axum",
                "rusqlite",
                "wasmtime",
            ],
        ),
        (
            "policy",
            &[
                "crate::service",
                "crate::store",
                "crate::gate",
                "crate::http",
                "crate::cli",
                "rusqlite",
            ],
        ),
        (
            "store",
            &[
                "crate::service",
                "crate::policy",
                "crate::gate",
                "crate::http",
                "crate::cli",
                "wasmtime",
            ],
        ),
        ("doors", &["crate::http", "crate::cli", "axum"]),
        (
            "journal",
            &[
                "crate::service",
                "crate::policy",
                "crate::store",
                "crate::gate",
                "crate::http",
                "crate::cli",
            ],
        ),
        (
            "scenario",
            &[
                "crate::gate",
                "crate::http",
                "crate::doors",
                "crate::layer",
                "crate::cli",
            ],
        ),
        (
            "control",
            &[
                "crate::gate",
                "crate::http",
                "crate::doors",
                "crate::layer",
                "crate::cli",
            ],
        ),
        (
            "notices",
            &[
                "crate::gate",
                "crate::http",
                "crate::doors",
                "crate::layer",
                "crate::control",
                "crate::cli",
            ],
        ),
        ("http", &["crate::cli", "crate::doors"]),
        ("layer", &["crate::cli", "crate::doors", "crate::http", "axum::"]),
    ] {
        assert_eq!(uses(module, above), NOTHING, "{module}");
    }
}

#[test]
fn a_use_of_what_is_below_would_be_found() {
    assert!(!uses("service", &["crate::store"]).is_empty());
}
