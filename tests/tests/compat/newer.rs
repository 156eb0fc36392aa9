//! What an old host says of a policy that was written for a newer one, and of what is none: before anything of it is
//! compiled.

use std::fs;
use std::path::{Path, PathBuf};

use patrol::policy::{LoadError, Options, Policy};
use patrol_tests::contract::{imports, text};
use patrol_tests::hostile;
use patrol_tests::memory::MemoryHost;
use tempfile::TempDir;

/// The contract with changes, in a directory of its own.
fn contract(changes: &[(&str, &str)]) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let mut made = vec![false; changes.len()];
    for entry in fs::read_dir(hostile::wit()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension() != Some("wit".as_ref()) {
            continue;
        }
        let mut text = fs::read_to_string(&path).unwrap();
        for ((from, to), made) in changes.iter().zip(&mut made) {
            *made |= text.contains(from);
            text = text.replace(from, to);
        }
        fs::write(directory.path().join(path.file_name().unwrap()), text).unwrap();
    }
    assert!(made.iter().all(|made| *made), "{changes:?}");
    let path = directory.path().to_owned();
    (directory, path)
}

/// A policy of traps, which also imports this and that.
fn policy(wit: &Path, wat: &str) -> Vec<u8> {
    hostile::componentize(&format!("(module\n{wat})"), wit).unwrap()
}

fn refused(component: &[u8]) -> LoadError {
    let checked = Policy::<MemoryHost>::check(component, &Options::default()).unwrap_err();
    // Loading says the same: it looks first, too.
    assert_eq!(
        Policy::<MemoryHost>::load(component, &Options::default()).err(),
        Some(checked.clone())
    );
    checked
}

const TELESCOPE: (&str, &str) = (
    "    import clock;\n",
    "    import clock;\n    import telescope;\n",
);
const LOOK: (&str, &str) = (
    "/// The only source of time.",
    "/// New.\ninterface telescope {\n    /// New.\n    look: func() -> u32;\n}\n\n/// The only source of time.",
);
const RESOLUTION: (&str, &str) = (
    "    now: func() -> timestamp;\n",
    "    now: func() -> timestamp;\n\n    /// New.\n    resolution: func() -> u32;\n",
);

#[test]
fn a_newer_line_of_the_contract_is_named_with_what_to_do() {
    for (version, says) in [
        (
            "0.2.0",
            "the policy is written for patrol:policy 0.2, this host offers 0.1: upgrade patrol",
        ),
        (
            "1.0.0",
            "the policy is written for patrol:policy 1.0, this host offers 0.1: upgrade patrol",
        ),
        (
            "0.0.9",
            "the policy is written for patrol:policy 0.0, this host offers 0.1: build it against this release's wit/",
        ),
    ] {
        let package = format!("patrol:policy@{version};");
        let (_kept, wit) = contract(&[("patrol:policy@0.1.0;", &package)]);
        let clock = format!("(import \"patrol:policy/clock@{version}\" \"now\" (func (result i64)))");
        // One that imports nothing is known by its exports.
        for wat in [clock.as_str(), ""] {
            assert_eq!(refused(&policy(&wit, wat)).to_string(), says);
        }
    }
}

#[test]
fn an_interface_or_a_function_that_is_not_here_yet_is_named() {
    let later = ("patrol:policy@0.1.0;", "patrol:policy@0.1.7;");
    let (_kept, wit) = contract(&[later, TELESCOPE, LOOK, RESOLUTION]);
    for (wat, says) in [
        (
            "(import \"patrol:policy/telescope@0.1.7\" \"look\" (func (result i32)))",
            "the policy needs telescope of patrol:policy 0.1.7, which this host does not have: upgrade patrol, or build \
             the policy against this release's wit/",
        ),
        (
            "(import \"patrol:policy/clock@0.1.7\" \"resolution\" (func (result i32)))",
            "the policy needs clock.resolution of patrol:policy 0.1.7, which this host does not have: upgrade patrol, or \
             build the policy against this release's wit/",
        ),
    ] {
        assert_eq!(refused(&policy(&wit, wat)).to_string(), says);
    }
    // What it could import does not count, only what it does import.
    let clock = "(import \"patrol:policy/clock@0.1.7\" \"now\" (func (result i64)))";
    let component = policy(&wit, clock);
    assert_eq!(Policy::<MemoryHost>::check(&component, &Options::default()), Ok(()));
    Policy::<MemoryHost>::load(&component, &Options::default()).unwrap();
}

#[test]
fn what_has_another_type_or_is_missing_is_named() {
    let (_kept, wit) = contract(&[(
        "get-token: func(id: id) -> result<option<token-state>, outage>;",
        "get-token: func(id: id) -> option<token-state>;",
    )]);
    let get = "(import \"patrol:policy/storage@0.1.0\" \"get-token\" (func (param i64 i64 i32)))";
    let error = refused(&policy(&wit, get));
    assert!(matches!(error, LoadError::ImportTypes(_)), "{error}");
    assert!(
        error.to_string().contains("storage.get-token has another type"),
        "{error}"
    );

    let (_kept, wit) = contract(&[("sweep: func(limit: u32)", "sweep: func(limit: u64)")]);
    let error = refused(&policy(&wit, ""));
    assert!(matches!(error, LoadError::Exports(_)), "{error}");
    assert!(
        error.to_string().contains("engine.sweep has another type"),
        "{error}"
    );

    let (_kept, wit) = contract(&[("    export about;\n", "")]);
    let error = refused(&policy(&wit, ""));
    assert!(
        error.to_string().contains("there is no interface about"),
        "{error}"
    );

    let (_kept, wit) = contract(&[("    describe: func() -> description;\n", "")]);
    let error = refused(&policy(&wit, ""));
    // An interface without functions is left out of a component.
    assert!(matches!(error, LoadError::Exports(_)), "{error}");
}

/// A body that no compiler takes: the refusal must come without asking one.
#[test]
fn nothing_is_compiled_to_find_out() {
    let wrong = "(func (export \"patrol:policy/about@0.1.0#describe\") (result i32) (i64.const 1))";
    let component = |import: &str| {
        let text = format!("(component {import} (core module {wrong}))");
        wat::parse_str(text).unwrap()
    };
    let error = refused(&component("(import \"patrol:policy/clock@0.2.0\" (instance))"));
    assert!(matches!(error, LoadError::Line { .. }), "{error}");
    let error = refused(&component("(import \"wasi:clocks/wall-clock@0.2.6\" (instance))"));
    assert!(matches!(error, LoadError::Imports(_)), "{error}");
    let error = refused(&component("(import \"now\" (func))"));
    assert!(matches!(error, LoadError::Imports(_)), "{error}");
    let error = refused(&component("(import \"patrol:policy/clock@0.1.0\" (func))"));
    assert!(matches!(error, LoadError::ImportTypes(_)), "{error}");
    let error = refused(&component(""));
    assert!(matches!(error, LoadError::Exports(_)), "{error}");
}

#[test]
fn what_is_no_component_is_said_to_be_none() {
    let module = wat::parse_str("(module)").unwrap();
    for bytes in [&b""[..], b"\0asm", b"patrol-release-1\n", &module] {
        let error = refused(bytes);
        assert!(matches!(error, LoadError::NotAComponent(_)), "{error}");
    }
    let whole = policy(&hostile::wit(), "");
    for at in [8, whole.len() / 2, whole.len() - 1] {
        let error = refused(&whole[..at]);
        assert!(
            matches!(error, LoadError::NotAComponent(_) | LoadError::Exports(_)),
            "{at}: {error}"
        );
    }
}

/// The host's list of what it offers is read out of `wit/` line by line; here a real parser reads it.
#[test]
fn every_function_of_the_contract_is_known_to_the_host() {
    let offered = imports(&text(&hostile::wit())).unwrap();
    assert!(offered.len() >= 6, "{offered:?}");
    for (interface, functions) in offered {
        for function in functions {
            let known = format!(
                "(component (import \"patrol:policy/{interface}@0.1.0\" (instance (export \"{function}\" (func)))))"
            );
            let error = refused(&wat::parse_str(known).unwrap());
            assert!(
                matches!(error, LoadError::ImportTypes(_) | LoadError::Exports(_)),
                "{interface}.{function}: {error}"
            );
        }
        let unknown = format!(
            "(component (import \"patrol:policy/{interface}@0.1.0\" (instance (export \"not-there\" (func)))))"
        );
        let error = refused(&wat::parse_str(unknown).unwrap());
        assert!(matches!(error, LoadError::Newer { .. }), "{interface}: {error}");
    }
}
