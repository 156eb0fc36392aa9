//! Components that were released, on the host as it is now; see `tests/compat/README.md`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use patrol::release::hex;
use patrol::scenario::{Bench, shipped};
use patrol_tests::program::Program;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("compat")
}

/// The names of the components, and what they have to be.
fn released() -> Vec<(String, String)> {
    let sums = fs::read_to_string(directory().join("SHA256SUMS")).unwrap();
    let pair = |line: &str| {
        let (digest, name) = line.split_once("  ").unwrap();
        (name.to_owned(), digest.to_owned())
    };
    sums.lines().map(pair).collect()
}

#[test]
fn what_was_released_is_what_lies_here() {
    let mut there: Vec<_> = fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".wasm"))
        .collect();
    there.sort();
    let mut named: Vec<_> = released().into_iter().map(|(name, _)| name).collect();
    named.sort();
    assert_eq!(there, named);
    for (name, digest) in released() {
        let bytes = fs::read(directory().join(&name)).unwrap();
        assert_eq!(hex(&Sha256::digest(&bytes)), digest, "{name}");
    }
    // The first one is here for good, whatever comes after it.
    let first = "287c25b39bdd2a98363af530dcdca5779c321c73eba51fd916ed2bdcbbca56e2".to_owned();
    assert!(released().contains(&("patrol-policy-0.1.0.wasm".to_owned(), first)));
}

#[test]
fn every_released_component_passes_all_scenarios() {
    for (name, _) in released() {
        let component: Arc<[u8]> = fs::read(directory().join(&name)).unwrap().into();
        let bench = Bench::new(Some(component)).unwrap();
        for scenario in shipped().unwrap() {
            let report = bench.run(&scenario).unwrap();
            assert_eq!(report.failed, None, "{name}: {}", scenario.name());
        }
    }
}

#[test]
fn every_released_component_is_staged_activated_and_decides() {
    for (name, digest) in released() {
        let program = Program::new();
        fs::write(
            program.configuration(),
            "[policy]\ndeadline = \"5s\"\nallow_unsigned = true\n",
        )
        .unwrap();
        let said = || fs::read_to_string(program.log()).unwrap_or_default();
        let json = |args: &[&str]| -> Value {
            let run = program.run(args);
            assert_eq!(run.code, Some(0), "{args:?}: {}", said());
            serde_json::from_str(&run.out).unwrap()
        };
        let component = directory().join(&name);
        let out = tempfile::tempdir().unwrap();
        let file = out.path().join("released.patrol");
        let (component, file) = (component.to_str().unwrap(), file.to_str().unwrap());
        let about = ["--name", "released", "--policy-version", "0.1.0", "--number", "1"];
        let whither = ["--unsigned", "--output", file];
        json(&[&["policy", "sign", component], &about[..], &whither].concat());

        json(&["tenant", "create", "acme"]);
        json(&["user", "create", "--tenant", "acme", "--name", "ada"]);
        let staged = json(&["policy", "stage", file]);
        assert_eq!(staged["differs"], serde_json::json!([]), "{name}");
        json(&["policy", "activate", staged["id"].as_str().unwrap()]);
        assert_eq!(json(&["policy", "show"])["digest"], digest.as_str());
        let token = json(&[
            "token",
            "create",
            "--owner",
            "ada",
            "--name",
            "backup",
            "--expires",
            "1d",
        ]);
        let secret = token["secret"].as_str().unwrap();
        let verify = || program.run_with(&["verify"], secret).code;
        assert_eq!(verify(), Some(0), "{}", said());
        json(&["token", "revoke", token["id"].as_str().unwrap()]);
        assert_eq!(verify(), Some(3), "{}", said());
    }
}
