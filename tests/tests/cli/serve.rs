//! The server as a process: how it starts, what it says, how it ends.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::{Home, text};

#[test]
fn a_server_says_where_it_listens_and_what_decides() {
    let home = Home::with_ann();
    let server = home.serve();
    assert_eq!(server.started["tenants"], 1);
    assert_eq!(text(&server.started["policy"]["digest"]).len(), 64);
    assert_eq!(server.started["policy"]["isolation"], "per-call");
    assert_eq!(text(&server.started["data"]), home.data().display().to_string());
    let health = ureq::get(format!("http://{}/healthz", server.address)).call();
    assert_eq!(health.unwrap().status(), 200);
}

#[test]
fn a_signal_ends_it_in_order_with_the_last_uses_written_r5() {
    for signal in ["-TERM", "-INT"] {
        let home = Home::with_ann();
        let (id, secret) = home.token("ci");
        let server = home.serve();
        let checked = ureq::get(format!("http://{}/check/nginx", server.address))
            .header("Authorization", format!("Bearer {secret}"))
            .header("X-Original-URI", "/")
            .header("X-Original-Method", "GET")
            .call();
        assert_eq!(checked.unwrap().status(), 200);
        assert_eq!(server.end(signal), Some(0), "{signal}");
        let shown = home.json(&["token", "show", &id]);
        assert!(shown["lastUsed"].is_string(), "{signal}: {shown}");
    }
}

#[test]
fn what_a_command_changes_holds_at_once_for_a_running_server_r8() {
    let home = Home::with_ann();
    let (id, secret) = home.token("ci");
    let server = home.serve();
    let session = server.sign_in(&secret);
    let verdict = home.verdict(&session);
    assert_eq!(verdict["verdict"], "accepted");
    assert_eq!(verdict["ends"]["cause"], "session-idle");
    assert!(verdict["session"].is_string());
    home.run(&["token", "revoke", &id]).done();
    assert_eq!(home.verdict(&session)["reason"], "revoked");
    let checked = ureq::get(format!("http://{}/check/nginx", server.address))
        .header("Authorization", format!("Bearer {secret}"))
        .header("X-Original-URI", "/")
        .header("X-Original-Method", "GET")
        .call();
    assert!(
        matches!(checked, Err(ureq::Error::StatusCode(401))),
        "{checked:?}"
    );
}

#[test]
fn the_commands_that_it_proposes_lead_to_the_first_token() {
    let home = Home::empty();
    let mut child = home
        .command(&["serve", "--listen", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The last line of what it says is the one with curl, the first a link, which is no command.
    let mut commands = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(command) = line.strip_prefix("  ")
            && !command.starts_with("http://")
        {
            commands.push(command.to_owned());
        }
        if line.contains("curl") {
            break;
        }
    }
    let outputs: Vec<_> = commands
        .iter()
        .take(3)
        .map(|command| Command::new("sh").args(["-c", command]).output().unwrap())
        .collect();
    let ended = child.kill().and_then(|()| child.wait());
    assert_eq!(commands.len(), 4, "{commands:?}");
    for (command, output) in commands.iter().zip(&outputs) {
        assert!(output.status.success(), "{command}: {output:?}");
    }
    let created = String::from_utf8_lossy(&outputs[2].stdout).into_owned();
    let secret = created.lines().find(|line| line.starts_with("patrol_pat_"));
    assert_eq!(home.verdict(secret.unwrap())["verdict"], json!("accepted"));
    ended.unwrap();
}
