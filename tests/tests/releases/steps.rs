//! A release is judged in a fixed order, and each refusal says by name at which step it was made: what a stranger sends is
//! not parsed before its signature holds, and not compiled before it is known to be a policy for this host.

use std::fs;

use patrol::release::{CONTRACT, Manifest, PublicKey, Release, SecretKey, Step};
use patrol::scenario::{Scenario, shipped};
use patrol::service::{Patrol, ReleaseError, Settings};
use patrol_tests::deployment::operator;
use patrol_tests::maker::Maker;
use patrol_tests::{hostile, policies, wasm};

fn manifest() -> Manifest {
    Manifest {
        name: "stricter".to_owned(),
        version: "1.0.0".to_owned(),
        release: 1,
        component: String::new(),
        wit: CONTRACT.to_owned(),
        minimum_host: "0.0.1".to_owned(),
        created: "2027-01-31T17:00:00Z".to_owned(),
        notes: String::new(),
    }
}

/// A release file, and then what is wrong with it.
fn file(minimum_host: &str, component: &[u8], key: &SecretKey) -> Vec<u8> {
    let manifest = Manifest {
        minimum_host: minimum_host.to_owned(),
        ..manifest()
    };
    Release::make(manifest, component.to_vec(), Some(key))
        .unwrap()
        .to_bytes()
}

fn flipped(mut bytes: Vec<u8>, at: usize) -> Vec<u8> {
    bytes[at] ^= 1;
    bytes
}

/// What would be compiled, if it came to that, and would not compile.
fn broken_bodies(component: &str) -> Vec<u8> {
    wat::parse_str(format!(
        "(component {component} (core module (func (result i32) (i64.const 1))))"
    ))
    .unwrap()
}

#[test]
fn the_first_step_that_fails_is_named_whatever_else_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let key = SecretKey::generate().unwrap();
    let public = directory.path().join("config.toml");
    fs::write(
        &public,
        format!(
            "[policy]\ndeadline = \"5s\"\ntrusted_keys = [\"{}\"]\n",
            key.public()
        ),
    )
    .unwrap();
    let data = directory.path().join("data");
    let patrol = Patrol::open(Settings {
        config: patrol::Config::load(Some(&public)).unwrap(),
        ..Settings::new(&data)
    })
    .unwrap();
    let stranger = SecretKey::generate().unwrap();
    let (later, now) = ("999.0.0", "0.0.1");
    let garbage = b"\0asm garbage";
    let foreign = broken_bodies("(import \"wasi:cli/exit@0.2.6\" (instance))");
    let newer = broken_bodies("(import \"patrol:policy/clock@0.2.0\" (instance))");

    let strange = file(later, garbage, &stranger);
    let forged = flipped(
        file(later, garbage, &key),
        file(later, garbage, &key).len() - garbage.len() - 9,
    );
    // Each is wrong in one thing less than the one before it.
    let cases: [(Step, Vec<u8>, &str); 11] = [
        (Step::Size, vec![b'x'; 34 << 20], "35651584 bytes"),
        (Step::Form, b"patrol-release-9\n".to_vec(), "upgrade patrol first"),
        (
            Step::Digest,
            flipped(strange.clone(), strange.len() - 1),
            "its component is not the one",
        ),
        (Step::Signature, strange, "not among `[policy] trusted_keys`"),
        (Step::Signature, forged, "its signature does not hold"),
        (
            Step::Host,
            file(later, garbage, &key),
            "needs patrol 999.0.0 or later",
        ),
        (
            Step::Parse,
            file(now, garbage, &key),
            "not a WebAssembly component",
        ),
        (Step::World, file(now, &foreign, &key), "no policy has WASI"),
        (
            Step::World,
            file(now, &newer, &key),
            "written for patrol:policy 0.2",
        ),
        (
            Step::Compile,
            file(now, &hostile::policy("huge-start-memory"), &key),
            "larger than this host allows",
        ),
        (
            Step::Answers,
            file(now, &hostile::policy("floor-yes-to-anything"), &key),
            "it does not say what it is: no verdict",
        ),
    ];
    for (step, bytes, says) in cases {
        let refused = Release::parse(&bytes)
            .map_err(ReleaseError::from)
            .and_then(|release| patrol.stage(&operator(), &release))
            .unwrap_err();
        let ReleaseError::Unfit(unfit) = refused else {
            panic!("{step}: {refused}");
        };
        assert_eq!(unfit.step, step, "{unfit}");
        assert!(unfit.why.contains(says), "{unfit}");
        assert!(unfit.to_string().contains(&format!("({step})")), "{unfit}");
    }
    let good = Release::parse(&file(now, wasm::embedded(), &key)).unwrap();
    let staged = patrol.stage(&operator(), &good).unwrap();
    assert!(staged.differs.is_empty(), "{:?}", staged.differs);
    assert_eq!(patrol.releases().unwrap(), [staged.release]);
}

/// The example of a policy that one writes oneself: seven idle days, twenty tokens, names by a pattern.
#[test]
fn a_stricter_policy_is_staged_and_its_differences_are_listed() {
    let maker = Maker::new();
    maker.program.json(&["tenant", "create", "acme"]);
    let file = maker.release_of(&policies::component("stricter"), 1, &[]);
    let staged = maker.program.json(&["policy", "stage", file.to_str().unwrap()]);
    let differs = staged["differs"].as_array().unwrap();
    let named = |name: &str| differs.iter().find(|one| one["scenario"] == name);
    for (name, key, expected, got) in [
        ("r05-expiry", "ends", "+15d", "+7d"),
        ("r07-limit", "verdict", "allowed", "limit-reached"),
        ("r13-names", "verdict", "allowed", "name-invalid"),
    ] {
        let one = named(name).unwrap_or_else(|| panic!("{name}: {staged}"));
        let difference = &one["failed"]["differences"][0];
        assert_eq!(difference["key"], key, "{one}");
        assert_eq!(difference["expected"], expected, "{one}");
        assert_eq!(difference["got"], got, "{one}");
    }
    let binding: Vec<_> = shipped()
        .unwrap()
        .into_iter()
        .filter(Scenario::is_binding)
        .collect();
    assert!(binding.len() >= 8, "{}", binding.len());
    assert!(
        binding.iter().all(|scenario| named(scenario.name()).is_none()),
        "{staged}"
    );
    let events = maker.program.json(&["audit", "list", "--type", "stage_policy"]);
    let told = events[0]["details"]["differs"].as_array().unwrap();
    assert_eq!(told.len(), differs.len(), "{events}");
}

#[test]
fn a_release_that_was_good_is_judged_again_before_it_is_loaded() {
    let key = SecretKey::generate().unwrap();
    let release = Release::parse(&file("0.0.1", wasm::embedded(), &key)).unwrap();
    let trusted: [PublicKey; 1] = [key.public()];
    assert_eq!(release.check(&trusted, false), Ok(()));
    for (wit, minimum) in [("patrol:policy@0.2.0", "0.0.1"), (CONTRACT, "0.999.0")] {
        let later = Manifest {
            wit: wit.to_owned(),
            minimum_host: minimum.to_owned(),
            ..manifest()
        };
        // What stands for the component would not even parse: it is not looked at.
        let release = Release::make(later, b"text".to_vec(), Some(&key)).unwrap();
        let unfit = release.check(&trusted, false).unwrap_err();
        assert_eq!(unfit.step, Step::Host, "{unfit}");
        assert!(unfit.why.contains("upgrade patrol first"), "{unfit}");
    }
}
