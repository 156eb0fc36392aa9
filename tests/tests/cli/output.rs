//! What goes where: answers to standard output, problems to standard error, secrets neither into arguments nor out of
//! them.

use std::process::Stdio;

use serde_json::Value;

use crate::support::{Home, run};

#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    let home = Home::with_ann();
    home.token("ci");
    for args in [
        &["audit", "export"][..],
        &["token", "list", "--all"],
        &["--json", "token", "list", "--all"],
        &["completions", "bash"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = home
            .command(args)
            .stdin(Stdio::null())
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .and_then(std::process::Child::wait_with_output)
            .unwrap();
        assert_eq!(output.status.code(), Some(141), "{args:?}: {output:?}");
        assert!(output.stderr.is_empty(), "{args:?}: {output:?}");
    }
}

#[test]
fn an_output_that_takes_nothing_is_an_error() {
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else {
        return;
    };
    let home = Home::with_ann();
    let output = home
        .command(&[
            "token",
            "create",
            "--owner",
            "ann",
            "--name",
            "lost",
            "--expires",
            "1d",
        ])
        .stdin(Stdio::null())
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let message = String::from_utf8(output.stderr).unwrap();
    let token = home.json(&["token", "list", "--all"]);
    let id = token[0]["id"].as_str().unwrap();
    assert!(
        message.contains(&format!("patrol token revoke {id}")),
        "a secret that was not shown is lost, and the message says what to do: {message}"
    );
}

#[test]
fn a_token_in_an_argument_is_refused_and_not_repeated() {
    let home = Home::with_ann();
    let (_, secret) = home.token("ci");
    for args in [
        &["verify", &secret][..],
        &["token", "revoke", &secret],
        &["user", "show", &secret],
        &[
            "token",
            "create",
            "--owner",
            "ann",
            "--name",
            &secret,
            "--expires",
            "1d",
        ],
    ] {
        let message = home.run(args).failed(2);
        assert!(message.contains("standard input"), "{message}");
        assert!(!message.contains(&secret[..40]), "{message}");
    }
    assert_eq!(home.verdict(&secret)["verdict"], "accepted");
}

#[test]
fn a_secret_is_read_from_the_first_line_of_standard_input() {
    let home = Home::with_ann();
    let (_, secret) = home.token("ci");
    home.run_with(&["verify"], &format!("  {secret} \r\nmore\n"))
        .done();
    let message = home.run_with(&["verify"], "\n").failed(2);
    assert!(message.contains("patrol verify < FILE"), "{message}");
    home.run_with(&["verify"], "").failed(2);
    home.run_with(&["verify"], &"x".repeat(5_000)).failed(2);
    home.run_with(&["user", "set-password", "ann"], "short").failed(2);
}

#[test]
fn a_problem_is_an_object_on_standard_error_for_programs() {
    let home = Home::empty();
    for (args, code, exit) in [
        (&["--json", "tenant", "list"][..], "data-directory", 10),
        (&["--json", "tenant", "lists"], "usage", 2),
        (&["tenant", "show", "--json"], "usage", 2),
    ] {
        let run = home.run(args);
        assert_eq!(run.code, Some(exit), "{run:?}");
        assert_eq!(run.out, "");
        let error: Value = serde_json::from_str(&run.err).unwrap_or_else(|_| panic!("{run:?}"));
        assert_eq!(error["error"]["code"], code);
        assert!(error["error"]["message"].is_string());
    }
}

#[test]
fn the_log_goes_to_standard_error_in_the_form_asked_for() {
    let home = Home::with_ann();
    let mut command = home.command(&["--log-format", "json", "verify"]);
    command.env("PATROL_LOG", "patrol=debug");
    let run = run(&mut command, "hello");
    assert!(run.out.starts_with("refused: "), "{run:?}");
    let line = run.err.lines().next().expect("a refusal is logged");
    let event: Value = serde_json::from_str(line).unwrap();
    assert_eq!(event["level"], "DEBUG");
}
