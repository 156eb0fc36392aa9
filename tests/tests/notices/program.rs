//! The program, as operators run it.

use std::fs;
use std::process::Command;
use std::time::Duration;

use patrol_tests::gateway::have;
use patrol_tests::program::Program;

use super::mail::Smtp;
use super::receiver::{Answer, Receiver};

fn program(settings: &str) -> Program {
    let program = Program::new();
    let text = format!("[policy]\ndeadline = \"5s\"\n\n{settings}");
    fs::write(program.configuration(), text).unwrap();
    program.json(&["tenant", "create", "acme"]);
    program.json(&[
        "user",
        "create",
        "--tenant",
        "acme",
        "--name",
        "bob",
        "--email",
        "bob@example.com",
    ]);
    program
}

#[test]
fn a_server_that_is_killed_while_it_sends_tells_nothing_twice() {
    let receiver = Receiver::new(Answer::Never);
    let program = program(&format!("[notices]\nwebhook = \"{}\"\n", receiver.url()));
    let token = program.token("bob", "nightly", "3d");
    let server = program.serve();
    receiver.wait_for(1);
    server.kill();

    let address = receiver.address;
    let told = receiver.notices();
    drop(receiver);
    let receiver = Receiver::at(address, Answer::Status(200));
    let server = program.serve();
    // Something else is told by then, and this is not.
    let id = token["id"].as_str().unwrap();
    program.json(&["token", "revoke", id]);
    let [notice] = receiver.wait_for(1).try_into().unwrap();
    assert_eq!(notice["type"], "token.revoked");
    assert_eq!(notice["token"]["id"], id);
    assert_eq!(told[0]["type"], "token.ending");
    server.stop();
    assert_eq!(receiver.all().len(), 1);
}

#[test]
fn a_server_ends_promptly_while_a_receiver_is_slow() {
    let receiver = Receiver::new(Answer::Never);
    let program = program(&format!("[notices]\nwebhook = \"{}\"\n", receiver.url()));
    program.token("bob", "nightly", "3d");
    let server = program.serve();
    receiver.wait_for(1);
    let started = std::time::Instant::now();
    server.stop();
    assert!(started.elapsed() < Duration::from_secs(5));
}

/// A certificate for 127.0.0.1 that nobody has signed but itself.
fn certificate(directory: &std::path::Path) -> [String; 2] {
    let [certificate, key] = ["certificate", "key"].map(|name| directory.join(name).display().to_string());
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", &key, "-out", &certificate])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    [certificate, key]
}

#[test]
fn mail_goes_to_a_server_that_shows_who_it_is_and_to_no_other() {
    if !have(&["aiosmtpd", "openssl"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let [certificate, key] = certificate(directory.path());
    let smtp = Smtp::start(&["tls", &certificate, &key]);
    let program = program(&format!(
        "[notices.mail]\nserver = \"127.0.0.1\"\nport = {}\nfrom = \"patrol@example.com\"\n",
        smtp.port
    ));
    program.token("bob", "nightly", "3d");
    let server = program.serve();
    let started = std::time::Instant::now();
    while !program.said().contains("is tried again") {
        assert!(started.elapsed() < Duration::from_secs(30), "{}", program.said());
        std::thread::sleep(Duration::from_millis(20));
    }
    server.stop();
    assert!(smtp.messages().is_empty());

    let server = program.serve_with(|command| {
        command.env("SSL_CERT_FILE", &certificate);
    });
    let messages = smtp.wait_for_messages(1);
    assert_eq!(messages[0]["encrypted"], true);
    assert_eq!(messages[0]["to"][0], "bob@example.com");
    server.stop();
}
