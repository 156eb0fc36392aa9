//! Releases signed by OpenSSH, with the real `ssh-keygen`.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use patrol_tests::gateway::have;
use patrol_tests::maker::Maker;
use serde_json::Value;

/// Makes a key of this type, and says its public half.
fn key(maker: &Maker, name: &str, kind: &str) -> String {
    let path = maker.path(name);
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", kind, "-N", "", "-C", "releases@example.com", "-f"])
        .arg(&path)
        .status();
    assert!(made.unwrap().success());
    let public = fs::read_to_string(path.with_extension("pub")).unwrap();
    public.trim().to_owned()
}

/// What `ssh-keygen` signs.
fn sign(key: &Path, namespace: &str, hash: &str, message: &str) -> Vec<u8> {
    let mut child = Command::new("ssh-keygen")
        .args([
            "-Y",
            "sign",
            "-q",
            "-n",
            namespace,
            "-O",
            &format!("hashalg={hash}"),
            "-f",
        ])
        .arg(key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(message.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    output.stdout
}

/// Has the program attach it.
fn attach(maker: &Maker, release: &Path, signature: &[u8]) -> Option<i32> {
    let file: PathBuf = maker.path("signature");
    fs::write(&file, signature).unwrap();
    let arguments = [
        "policy",
        "attach",
        release.to_str().unwrap(),
        file.to_str().unwrap(),
    ];
    maker.program.run(&arguments).code
}

fn message(maker: &Maker, release: &Path) -> String {
    let run = maker
        .program
        .run(&["policy", "message", release.to_str().unwrap()]);
    assert_eq!(run.code, Some(0));
    run.out
}

#[test]
fn a_release_can_be_signed_by_a_key_of_openssh() {
    if !have(&["ssh-keygen"]) {
        return;
    }
    let maker = Maker::new();
    let public = key(&maker, "id_ed25519", "ed25519");
    for (number, hash) in [(1, "sha512"), (2, "sha256")] {
        let release = maker.release(number, &["--unsigned"]);
        let message = message(&maker, &release);
        assert!(
            message.starts_with("patrol-release-1\nname = \"stricter\"\n"),
            "{message}"
        );
        let signature = sign(&maker.path("id_ed25519"), "patrol-release", hash, &message);
        assert_eq!(
            attach(&maker, &release, &signature),
            Some(0),
            "{}",
            maker.program.said()
        );

        maker.configure(&format!("trusted_keys = [\"{}\"]", maker.public));
        let said = maker.verify(&release).unwrap();
        assert!(
            said.contains("(signature)") && said.contains("trusted_keys"),
            "{said}"
        );
        maker.configure(&format!("trusted_keys = [\"{public}\"]"));
        assert_eq!(maker.verify(&release), None);
        let run = maker
            .program
            .run(&["policy", "inspect", release.to_str().unwrap()]);
        let shown: Value = serde_json::from_str(&run.out).unwrap();
        assert!(shown["signer"].as_str().unwrap().starts_with("ed25519:"));
        assert_eq!(shown["fault"], Value::Null);
        // A second signature would make another release of the same name.
        assert_eq!(attach(&maker, &release, &signature), Some(2));
    }
}

#[test]
fn an_ssh_signature_of_something_else_is_refused_and_changes_nothing() {
    if !have(&["ssh-keygen"]) {
        return;
    }
    let maker = Maker::new();
    let (ed25519, ecdsa) = (maker.path("ed"), maker.path("ec"));
    key(&maker, "ed", "ed25519");
    key(&maker, "ec", "ecdsa");
    let release = maker.release(1, &["--unsigned"]);
    let before = fs::read(&release).unwrap();
    let message = message(&maker, &release);
    for (key, namespace, message, why) in [
        (&ed25519, "git", message.as_str(), "instead of a release"),
        (&ed25519, "patrol-release", "another message", "does not hold"),
        (
            &ecdsa,
            "patrol-release",
            message.as_str(),
            "and an ssh-ed25519 key",
        ),
    ] {
        let signature = sign(key, namespace, "sha512", message);
        assert_eq!(attach(&maker, &release, &signature), Some(3));
        assert!(
            maker.program.said().contains(why),
            "{why}: {}",
            maker.program.said()
        );
    }
    assert_eq!(
        attach(&maker, &release, b"-----BEGIN SSH SIGNATURE-----\n"),
        Some(3)
    );
    assert_eq!(fs::read(&release).unwrap(), before);
}

#[test]
fn no_byte_of_an_ssh_signature_can_be_changed() {
    if !have(&["ssh-keygen"]) {
        return;
    }
    let maker = Maker::new();
    let public = key(&maker, "id_ed25519", "ed25519").parse().unwrap();
    let release = maker.release(1, &["--unsigned"]);
    let message = message(&maker, &release);
    let signature = sign(&maker.path("id_ed25519"), "patrol-release", "sha512", &message);
    assert_eq!(attach(&maker, &release, &signature), Some(0));
    let content = fs::read(&release).unwrap();
    let text = String::from_utf8_lossy(&content);
    let begin = text.find("-----BEGIN SSH").unwrap();
    let end = text.find("-----END SSH").unwrap();
    for at in begin..end {
        for other in [b'\n', content[at] ^ 1] {
            if other == content[at] {
                continue;
            }
            let mut altered = content.clone();
            altered[at] = other;
            let judged =
                patrol::release::Release::parse(&altered).and_then(|release| release.check(&[public], true));
            assert!(judged.is_err(), "byte {at} as {other}");
        }
    }
}
