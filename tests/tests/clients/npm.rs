//! npm, with verdaccio.

use std::process::Command;

use patrol_tests::gateway::have;
use serde_json::json;

use crate::behind::{Behind, run_well};

/// npm with a token for the registry behind nginx. The file names the variable that holds it, as npm's own
/// documentation has it for scripts.
fn npm(behind: &Behind, secret: &str, directory: &str) -> Command {
    let registry = behind.url("/");
    let (_, host) = registry.split_once(':').unwrap();
    let settings = format!(
        "registry={registry}\n{host}:_authToken=${{PAT}}\naudit=false\nfund=false\nupdate-notifier=false\n\
         fetch-retries=0\n"
    );
    let settings = behind.private("npmrc", &settings);
    let mut command = behind.client("npm");
    command.current_dir(behind.directory(directory));
    command.env("PAT", secret).env("NPM_CONFIG_USERCONFIG", settings);
    command.env(
        "NPM_CONFIG_CACHE",
        behind.beside(&format!("npm-cache-of-{directory}")),
    );
    command
}

fn publish(behind: &Behind, secret: &str, version: &str) -> Command {
    let package = behind.directory("package");
    let description = json!({ "name": "patrol-demo", "version": version, "main": "index.js" });
    std::fs::write(package.join("package.json"), description.to_string()).unwrap();
    std::fs::write(
        package.join("index.js"),
        format!("module.exports = '{version}'\n"),
    )
    .unwrap();
    let mut command = npm(behind, secret, "package");
    command.arg("publish");
    command
}

fn install(behind: &Behind, secret: &str, directory: &str) -> Command {
    let mut command = npm(behind, secret, directory);
    command.args(["install", "--ignore-scripts", "patrol-demo@1.0.0"]);
    command
}

#[test]
fn npm_publishes_and_installs_with_a_token_until_that_is_revoked() {
    if !have(&["nginx", "npm", "node", "verdaccio"]) {
        return;
    }
    let mut behind = Behind::new("bearer");
    let settings = json!({
        "storage": behind.directory("verdaccio"),
        "auth": { "htpasswd": { "file": behind.beside("nobody"), "max_users": -1 } },
        // Whoever comes through may do everything, and nothing is fetched from elsewhere.
        "packages": { "**": { "access": "$all", "publish": "$all" } },
        "web": { "enable": false },
        "log": { "type": "stdout", "level": "warn" },
    });
    let configuration = behind.beside("verdaccio.yaml");
    std::fs::write(&configuration, settings.to_string()).unwrap();
    let mut command = behind.client("verdaccio");
    // It names packages by the address by which clients reach them.
    command.env("VERDACCIO_PUBLIC_URL", behind.url("/"));
    behind.serve("verdaccio", |port| {
        command.arg("--config").arg(configuration);
        command.args(["--listen", &format!("127.0.0.1:{port}")]);
        command
    });
    let token = behind.token();

    run_well(publish(&behind, &token.secret, "1.0.0"));
    run_well(install(&behind, &token.secret, "consumer"));
    let installed = behind.beside("home/../consumer/node_modules/patrol-demo/index.js");
    assert_eq!(
        std::fs::read_to_string(installed).unwrap(),
        "module.exports = '1.0.0'\n"
    );
    behind.assert_ended_at_the_gateway(&token);
    // Everything goes with the token, the package itself too.
    let questions = behind.questions();
    assert!(
        questions
            .iter()
            .any(|question| question.path.ends_with("patrol-demo-1.0.0.tgz")),
        "{questions:?}"
    );
    let bearer = |scheme: &Option<String>| scheme.as_deref() == Some("Bearer");
    assert!(
        questions.iter().all(|question| bearer(&question.scheme)),
        "{questions:?}"
    );

    behind.revoke(&token);
    for command in [
        publish(&behind, &token.secret, "2.0.0"),
        install(&behind, &token.secret, "another-consumer"),
    ] {
        let said = behind.assert_refused(command);
        assert!(said.contains("E401"), "{said}");
    }
}
