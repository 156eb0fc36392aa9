//! Releases as files: made, read, altered, and judged by the keys in the configuration.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use patrol::release::hex;
use patrol_tests::maker::Maker;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

#[test]
fn a_release_says_what_it_is_and_is_good_where_its_signer_is_trusted() {
    let maker = Maker::new();
    let file = maker.release(3, &["--notes", "Seven idle days."]);
    let run = maker.program.run(&["policy", "inspect", file.to_str().unwrap()]);
    let shown: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(shown["id"], hex(&Sha256::digest(fs::read(&file).unwrap())));
    assert_eq!(shown["signer"], *maker.public);
    assert_eq!(shown["fault"], Value::Null);
    let manifest = &shown["manifest"];
    assert_eq!(manifest["name"], "stricter");
    assert_eq!(manifest["version"], "1.3.0");
    assert_eq!(manifest["release"], 3);
    assert_eq!(manifest["wit"], "patrol:policy@0.1.0");
    assert_eq!(manifest["notes"], "Seven idle days.");
    let component = Sha256::digest(patrol_tests::wasm::embedded());
    assert_eq!(manifest["component"], hex(&component));
    assert_eq!(maker.verify(&file), None);
    assert!(!maker.program.data().exists(), "no data is needed for any of it");
}

#[test]
fn the_secret_key_is_its_owners_alone_and_is_never_printed_or_overwritten() {
    let maker = Maker::new();
    let path = maker.path("release.key");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let secret = fs::read_to_string(&path).unwrap();
    let secret = secret.trim().rsplit(':').next().unwrap();
    let again = maker.program.run(&["policy", "keygen", path.to_str().unwrap()]);
    assert_eq!(again.code, Some(2), "{}", maker.program.said());
    let file = maker.release(1, &[]);
    assert!(!maker.program.said().contains(secret) && !again.out.contains(secret));
    let content = fs::read(file).unwrap();
    assert!(!String::from_utf8_lossy(&content).contains(secret));

    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let component = maker.path("policy.wasm");
    let run = maker.program.run(&[
        "policy",
        "sign",
        component.to_str().unwrap(),
        "--name",
        "stricter",
        "--policy-version",
        "1.0.0",
        "--number",
        "1",
        "--key",
        path.to_str().unwrap(),
    ]);
    assert_eq!(run.code, Some(2));
    assert!(maker.program.said().contains("others may use the signing key"));
}

#[test]
fn an_unsigned_release_and_a_strangers_are_refused_by_default() {
    let maker = Maker::new();
    let unsigned = maker.release(1, &["--unsigned"]);
    let said = maker.verify(&unsigned).unwrap();
    assert!(
        said.contains("(signature)") && said.contains("allow_unsigned"),
        "{said}"
    );

    let stranger = maker.key("stranger.key");
    let path = maker.path("stranger.key");
    let strange = maker.release(2, &["--key", path.to_str().unwrap()]);
    let said = maker.verify(&strange).unwrap();
    assert!(said.contains("(signature)") && said.contains(&stranger), "{said}");

    maker.configure("allow_unsigned = true");
    assert_eq!(maker.verify(&unsigned), None);
    // That no signature is needed does not make a stranger's a good one.
    assert!(maker.verify(&strange).is_some());
    maker.configure(&format!("trusted_keys = [\"{stranger}\"]"));
    assert_eq!(maker.verify(&strange), None);
}

#[test]
fn what_was_tampered_with_is_named() {
    let maker = Maker::new();
    let file = maker.release(1, &[]);
    let good = fs::read(&file).unwrap();
    let after = |what: &[u8]| {
        let at = good.windows(what.len()).position(|window| window == what);
        at.unwrap() + what.len()
    };
    let start = after(b"patrol-release-1\n");
    let length = u32::from_be_bytes(good[start..start + 4].try_into().unwrap()) as usize;
    // A digit of the minor version; a bit of the signature; a bit of the component.
    let cases = [
        (after(b"version = \"1."), 1, "(signature)"),
        (start + 4 + length + 4 + 40, 1, "(signature)"),
        (good.len() - 9, 1, "(digest)"),
    ];
    for (at, bit, step) in cases {
        let mut altered = good.clone();
        altered[at] ^= bit;
        fs::write(&file, &altered).unwrap();
        let said = maker.verify(&file).unwrap();
        assert!(said.contains(step), "{at}: {said}");
    }
    fs::write(&file, &good[..good.len() - 1]).unwrap();
    assert!(maker.verify(&file).unwrap().contains("(form)"));
    fs::write(&file, vec![0; 2 << 20]).unwrap();
    assert!(maker.verify(&file).unwrap().contains("(size)"));
    fs::write(&file, &good).unwrap();
    assert_eq!(maker.verify(&file), None);
}

#[test]
fn an_old_host_says_why_it_cannot_run_a_newer_policy() {
    let maker = Maker::new();
    let file = maker.release(1, &["--wit", "patrol:policy@0.2.0"]);
    let said = maker.verify(&file).unwrap();
    assert!(
        said.contains("(host)") && said.contains("newer than what this host speaks"),
        "{said}"
    );
    let file = maker.release(2, &["--minimum-host", "999.0.0"]);
    let said = maker.verify(&file).unwrap();
    assert!(said.contains("needs patrol 999.0.0 or later"), "{said}");
}

#[test]
fn the_same_parts_make_the_same_release() {
    let maker = Maker::new();
    let file = maker.release(1, &[]);
    let bytes = fs::read(&file).unwrap();
    let release = patrol::release::Release::parse(&bytes).unwrap();
    assert_eq!(release.to_bytes(), bytes);
    let key = patrol::release::SecretKey::read(&maker.path("release.key")).unwrap();
    let again = patrol::release::Release::make(
        release.manifest().clone(),
        release.component().to_vec(),
        Some(&key),
    );
    assert_eq!(again.unwrap().to_bytes(), bytes);
}

#[test]
fn a_key_that_is_none_is_a_mistake_in_the_configuration() {
    let maker = Maker::new();
    let file = maker.release(1, &[]);
    maker.configure("trusted_keys = [\"ed25519:abc\"]");
    let before = maker.program.said().len();
    let run = maker.program.run(&["policy", "verify", file.to_str().unwrap()]);
    assert_eq!(run.code, Some(2));
    let said = maker.program.said().split_off(before);
    assert!(
        said.contains("trusted_keys") && said.contains("not a public key"),
        "{said}"
    );
}
