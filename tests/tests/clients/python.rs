//! twine and pip, with pypiserver.

use std::process::Command;

use patrol_tests::gateway::have;

use crate::behind::{Behind, run_well};

/// Writes a wheel: the smallest package that pip installs.
const WHEEL: &str = r#"
import sys, zipfile
name, version, directory = sys.argv[1:]
info = f"{name}-{version}.dist-info"
files = {
    f"{name}/__init__.py": f"version = {version!r}\n",
    f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
    f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}
files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
with zipfile.ZipFile(f"{directory}/{name}-{version}-py3-none-any.whl", "w") as wheel:
    for path, text in files.items():
        wheel.writestr(path, text)
"#;

fn upload(behind: &Behind, secret: &str, version: &str) -> Command {
    let dist = behind.directory("dist");
    let mut wheel = behind.client("python3");
    wheel.args(["-c", WHEEL, "patrol_demo", version]).arg(&dist);
    run_well(wheel);
    let mut twine = behind.client("twine");
    twine
        .env("TWINE_USERNAME", "ann")
        .env("TWINE_PASSWORD", secret)
        .args([
            "upload",
            "--non-interactive",
            "--disable-progress-bar",
            "--repository-url",
        ])
        .arg(behind.url("/"))
        .arg(dist.join(format!("patrol_demo-{version}-py3-none-any.whl")));
    twine
}

fn install(behind: &Behind, secret: &str, version: &str) -> Command {
    // pip finds passwords where curl and others do.
    let netrc = behind.private(
        "netrc",
        &format!("machine 127.0.0.1 login ann password {secret}\n"),
    );
    let mut pip = behind.client("pip");
    pip.env("NETRC", netrc)
        .args([
            "--isolated",
            "--disable-pip-version-check",
            "--no-input",
            "install",
        ])
        .args(["--no-cache-dir", "--no-deps", "--retries", "0", "--index-url"])
        .arg(behind.url("/simple/"))
        .arg("--target")
        .arg(behind.beside(&format!("installed-{version}")))
        .arg(format!("patrol-demo=={version}"));
    pip
}

#[test]
fn twine_uploads_and_pip_installs_with_a_token_until_that_is_revoked() {
    if !have(&["nginx", "pypi-server", "twine", "pip", "python3"]) {
        return;
    }
    let mut behind = Behind::new("basic");
    let packages = behind.directory("packages");
    let mut server = behind.client("pypi-server");
    server.args(["run", "--interface", "127.0.0.1", "--disable-fallback"]);
    // Whoever comes through may do everything.
    server.args(["--passwords", ".", "--authenticate", "."]);
    behind.serve("pypi-server", |port| {
        server.args(["--port", &port.to_string()]).arg(&packages);
        server
    });
    let token = behind.token();

    run_well(upload(&behind, &token.secret, "1.0"));
    assert!(packages.join("patrol_demo-1.0-py3-none-any.whl").is_file());
    run_well(install(&behind, &token.secret, "1.0"));
    let installed = behind.beside("installed-1.0/patrol_demo/__init__.py");
    assert_eq!(std::fs::read_to_string(installed).unwrap(), "version = '1.0'\n");
    behind.assert_ended_at_the_gateway(&token);
    // Both send what they have unasked.
    let questions = behind.questions();
    assert!(questions.len() >= 3, "{questions:?}");
    let basic = |scheme: &Option<String>| scheme.as_deref() == Some("Basic");
    assert!(
        questions.iter().all(|question| basic(&question.scheme)),
        "{questions:?}"
    );

    behind.revoke(&token);
    let said = behind.assert_refused(upload(&behind, &token.secret, "2.0"));
    assert!(said.contains("401"), "{said}");
    behind.assert_refused(install(&behind, &token.secret, "1.0"));
    assert!(!packages.join("patrol_demo-2.0-py3-none-any.whl").exists());
}
