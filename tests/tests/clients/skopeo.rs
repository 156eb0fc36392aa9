//! skopeo, with Debian's docker-registry: what docker and podman do too.

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use patrol_tests::gateway::have;
use serde_json::json;

use crate::behind::{Behind, noise, run_well, sha256};

/// An image of one layer, in the form of a directory.
fn image(behind: &Behind) -> PathBuf {
    let [content, image] = ["content", "image"].map(|name| behind.directory(name));
    // Larger than what nginx takes unless told otherwise, and than what is sent in one piece.
    std::fs::write(content.join("noise"), noise(400_000)).unwrap();
    let add = |path: PathBuf| {
        let digest = sha256(&path);
        let size = path.metadata().unwrap().len();
        std::fs::rename(path, image.join(&digest)).unwrap();
        (format!("sha256:{digest}"), size)
    };
    let tar = behind.beside("layer.tar");
    let mut command = behind.client("tar");
    command
        .arg("--create")
        .arg("--file")
        .arg(&tar)
        .arg("--directory")
        .arg(&content)
        .arg("noise");
    run_well(command);
    let plain = format!("sha256:{}", sha256(&tar));
    let mut command = behind.client("gzip");
    command.arg("--no-name").arg(&tar);
    run_well(command);
    let (layer, layer_size) = add(behind.beside("layer.tar.gz"));
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": [plain] },
    });
    let path = behind.beside("config.json");
    std::fs::write(&path, config.to_string()).unwrap();
    let (config, config_size) = add(path);
    let kind = |what: &str| format!("application/vnd.oci.image.{what}");
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": kind("manifest.v1+json"),
        "config": { "mediaType": kind("config.v1+json"), "digest": config, "size": config_size },
        "layers": [{ "mediaType": kind("layer.v1.tar+gzip"), "digest": layer, "size": layer_size }],
    });
    std::fs::write(image.join("manifest.json"), manifest.to_string()).unwrap();
    std::fs::write(image.join("version"), "Directory Transport Version: 1.1\n").unwrap();
    image
}

/// skopeo, with the password where `skopeo login` puts it.
fn copy(behind: &Behind, secret: &str, from: &str, to: &str) -> Command {
    let auth = STANDARD.encode(format!("ann:{secret}"));
    let auths = json!({ "auths": { format!("127.0.0.1:{}", behind.port): { "auth": auth } } });
    let authfile = behind.private("auth.json", &auths.to_string());
    let mut command = behind.client("skopeo");
    command
        .args(["--insecure-policy", "--tmpdir"])
        .arg(behind.directory("tmp"));
    command.args([
        "copy",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
        "--authfile",
    ]);
    command.arg(authfile).args([from, to]);
    command
}

fn directory(path: &Path) -> String {
    format!("dir:{}", path.display())
}

#[test]
fn skopeo_pushes_and_pulls_an_image_with_a_token_until_that_is_revoked() {
    if !have(&["nginx", "skopeo", "docker-registry"]) {
        return;
    }
    let mut behind = Behind::new("basic");
    let storage = behind.directory("registry");
    let configuration = behind.beside("registry.json");
    behind.serve("docker-registry", |port| {
        // JSON is YAML. With relative addresses it need not know by which one it is reached.
        let settings = json!({
            "version": "0.1",
            "log": { "level": "warn" },
            "storage": { "filesystem": { "rootdirectory": storage } },
            "http": { "addr": format!("127.0.0.1:{port}"), "relativeurls": true },
        });
        std::fs::write(&configuration, settings.to_string()).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&configuration);
        command
    });
    let token = behind.token();
    let image = image(&behind);
    let there = format!("docker://127.0.0.1:{}/demo:1", behind.port);

    run_well(copy(&behind, &token.secret, &directory(&image), &there));
    let questions = behind.questions();
    // It asks what is asked for before it sends a password.
    assert_eq!(
        (&*questions[0].path, &questions[0].scheme),
        ("/v2/", &None),
        "{questions:?}"
    );
    assert!(
        questions
            .iter()
            .any(|question| question.scheme.as_deref() == Some("Basic"))
    );
    let pulled = behind.beside("pulled");
    run_well(copy(&behind, &token.secret, &there, &directory(&pulled)));
    for entry in std::fs::read_dir(&image).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        assert!(
            std::fs::read(&path).unwrap() == std::fs::read(pulled.join(name)).unwrap(),
            "{name:?} has changed"
        );
    }
    behind.assert_ended_at_the_gateway(&token);

    behind.revoke(&token);
    let never = behind.beside("never");
    for (from, to) in [
        (directory(&image), there.replace("demo:1", "demo:2")),
        (there.clone(), directory(&never)),
    ] {
        let said = behind.assert_refused(copy(&behind, &token.secret, &from, &to));
        assert!(said.to_lowercase().contains("unauthorized"), "{said}");
    }
}
