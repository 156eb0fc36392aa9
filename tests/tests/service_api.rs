//! The REST API as programs of others see it: schemathesis, which believes the document, and a script that was written
//! from the documentation alone. Against the real program, directly and through nginx with the shipped configuration.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use patrol_tests::gateway::client::curl;
use patrol_tests::gateway::nginx::{Nginx, Site};
use patrol_tests::gateway::patrol::{Patrol, Token, text};
use patrol_tests::gateway::upstream::Upstream;
use patrol_tests::gateway::{find, have};
use serde_json::{Value, json};

const PASSWORD: &str = "correct horse battery staple";

/// Puts a program under a limit of its own, so that a test ends whatever the program does.
fn limited(program: &str, seconds: u32) -> Command {
    let mut command = Command::new("timeout");
    command.arg("--kill-after=5").arg(seconds.to_string());
    command.arg(find(program).expect("it was asked for"));
    command
}

fn scripts() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts"))
}

/// Signs in with a password.
fn sign_in(port: u16) -> Value {
    let body = json!({"tenant": "acme", "userName": "ann", "password": PASSWORD}).to_string();
    let url = format!("http://127.0.0.1:{port}/api/v1/login");
    let answer = curl(&["--json", &body, &url]);
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_str(&answer.body).unwrap()
}

/// Runs schemathesis on some calls, with a session.
fn schemathesis(patrol: &Patrol, session: &str, configuration: &Path, arguments: &[&str]) {
    let mut command = limited("schemathesis", 240);
    command.arg("--config-file").arg(configuration).arg("--no-color");
    command.args([
        "run",
        &format!("http://127.0.0.1:{}/api/openapi.json", patrol.port()),
    ]);
    command
        .arg("--header")
        .arg(format!("x-tableau-session-token: {session}"));
    // The seed is fixed, so that what fails here fails again; what it tries is many times what a person would.
    command.args(["--checks", "all", "--seed", "1", "--max-examples", "100"]);
    command.args(["--generation-database", "none", "--warnings", "off"]);
    command.args(["--request-timeout", "30", "--output-truncate", "false"]);
    command.args(arguments);
    command.current_dir(patrol.beside(""));
    let output = command.output().unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}: {report}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    // That it ran at all: it says how many requests it made.
    assert!(
        report.contains("generated") && report.contains("No issues found"),
        "{report}"
    );
}

#[test]
fn the_server_does_what_its_document_says() {
    if !have(&["schemathesis", "curl"]) {
        return;
    }
    // Most of what is tried is wrong on purpose, and none of it shall be put off.
    let patrol = Patrol::new(
        "[limits]\nfailures_per_address = 0\nfailures_per_token = 0\npasswords_per_user = 0\npasswords_per_address = 0\n",
    );
    patrol.user("ann", &["admin"]);
    patrol.set_password("ann", PASSWORD);
    let sites = patrol.json(&["site", "list"]);
    let _server = patrol.serve();
    let signed_in = sign_in(patrol.port());
    let (session, tenant) = (text(&signed_in, "sessionToken"), text(&signed_in, "tenantId"));

    // Once with identifiers that exist, once with any.
    let shipped = std::fs::read_to_string(scripts().join("schemathesis.toml")).unwrap();
    let known = patrol.beside("known.toml");
    let parameters = format!(
        "{shipped}\n[parameters]\n\"path.tenantId\" = \"{tenant}\"\n\"path.userId\" = \"{}\"\n\"path.siteId\" = \"{}\"\n",
        text(&signed_in, "userId"),
        text(&sites[0], "id"),
    );
    std::fs::write(&known, parameters).unwrap();
    let not_out = ["--exclude-operation-id", "logout"];
    schemathesis(&patrol, &session, &known, &not_out);
    let any = scripts().join("schemathesis.toml");
    schemathesis(
        &patrol,
        &session,
        &any,
        &[&not_out[..], &["--phases", "fuzzing"]].concat(),
    );
    // The session is as good as ever; what ends it comes last.
    schemathesis(&patrol, &session, &any, &["--include-operation-id", "logout"]);
    let of = format!("http://127.0.0.1:{}/api/v1/tenants/{tenant}/sites", patrol.port());
    let header = format!("x-tableau-session-token: {session}");
    assert_eq!(curl(&["--header", &header, &of]).status, 401);
}

/// A tenant with many sites and users, and an activity log: the server's clock is some hours ahead, so that the hour in
/// which all this happens is over.
fn busy_tenant() -> (Patrol, Token) {
    // One session a token: each sign-in ends the one before.
    let mut patrol = Patrol::new("sessions_per_token = 1\n");
    patrol.user("ann", &["admin"]);
    for number in 0..8 {
        patrol.user(&format!("user{number}"), &[]);
        patrol.json(&["site", "create", "--tenant", "acme", &format!("Site {number}")]);
    }
    let token = patrol.token("ann", "activity log", "30d");
    patrol.look_ahead(3);
    (patrol, token)
}

/// Starts the script.
fn start_script(base: &str, token: &str, out: &Path) -> Child {
    std::fs::create_dir_all(out).unwrap();
    let mut command = limited("python3", 120);
    command.arg(scripts().join("activity_log.py"));
    command.env("API", base).env("OUT", out);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    writeln!(child.stdin.take().unwrap(), "{token}").unwrap();
    child
}

/// What it says, line by line, to its end; `hear` is told each line. The last one sums up what it did.
fn heard(mut child: Child, mut hear: impl FnMut(&str)) -> Value {
    let mut last = String::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        last = line.unwrap();
        hear(&last);
    }
    assert!(child.wait().unwrap().success(), "the script failed: {last}");
    serde_json::from_str(&last).unwrap()
}

fn files(directory: &Path) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn a_script_of_the_service_runs_unchanged_with_only_its_base_address_changed() {
    if !have(&["python3", "nginx", "curl", "libfaketime"]) {
        return;
    }
    let (patrol, token) = busy_tenant();
    let _server = patrol.serve();
    let upstream = Upstream::start();
    let nginx = Nginx::start(&patrol, &upstream, Site::default());
    let mut copies = Vec::new();
    for (name, base) in [
        ("direct", format!("http://127.0.0.1:{}", patrol.port())),
        ("nginx", nginx.url("/")),
    ] {
        let out = patrol.beside(&format!("copy-{name}"));
        // Somebody signs in with the same token now and then, which ends the script's session each time; again once it
        // has recovered.
        let (mut interruptions, mut recoveries) = (0, 0);
        let done = heard(start_script(&base, &token.secret, &out), |line| {
            recoveries += u32::from(line.starts_with("the session is over"));
            if line.starts_with("user ") && interruptions < 3 && recoveries == interruptions {
                interruptions += 1;
                let body = json!({"token": token.secret}).to_string();
                let login = format!("{}/api/v1/pat/login", base.trim_end_matches('/'));
                assert_eq!(curl(&["--json", &body, &login]).status, 200);
            }
        });
        assert_eq!((&done["sites"], &done["users"]), (&json!(9), &json!(9)), "{done}");
        assert!(recoveries >= 1 && done["signIns"] == recoveries + 1, "{done}");
        // Each site's file holds the events of the tenant, and for those that were created, its own.
        let files = files(&out);
        assert!(files.len() >= 9, "{}", files.len());
        let all: String = files.iter().map(|(_, content)| content.as_str()).collect();
        assert_eq!(all.matches("\"eventType\":\"create_site\"").count(), 8);
        // It goes on where it was: nothing is fetched twice.
        let again = heard(start_script(&base, &token.secret, &out), |_| ());
        assert_eq!((&again["events"], &again["signIns"]), (&json!(0), &json!(1)));
        copies.push(files);
    }
    assert_eq!(copies[0], copies[1], "the way that they came makes no difference");
    let trail = patrol.run(&["audit", "list", "--limit", "1000"]);
    let trail = String::from_utf8_lossy(&trail.stdout).into_owned();
    assert!(trail.contains("download_activity_log"), "{trail}");
}

#[test]
fn a_script_waits_as_long_as_it_is_told_while_the_service_is_busy() {
    if !have(&["python3", "libfaketime"]) {
        return;
    }
    let (patrol, token) = busy_tenant();
    let _server = patrol.serve();
    let base = format!("http://127.0.0.1:{}", patrol.port());
    // Nobody can write, so nobody can sign in.
    let lock = rusqlite::Connection::open(patrol.beside("data/patrol.db")).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let script = start_script(&base, &token.secret, &patrol.beside("out"));
    let mut waited = 0;
    let done = heard(script, |line| {
        if line == "E_503_SERVICE_UNAVAILABLE: waiting for 1 s" {
            waited += 1;
            if waited == 1 {
                lock.execute_batch("ROLLBACK").unwrap();
            }
        }
    });
    assert!(waited >= 1, "it was never told to wait");
    assert_eq!(done["sites"], 9);
}

#[test]
fn through_nginx_the_api_answers_for_itself_and_says_503_while_patrol_is_away() {
    if !have(&["nginx", "curl"]) {
        return;
    }
    let patrol = Patrol::new("");
    patrol.user("ann", &["admin"]);
    patrol.set_password("ann", PASSWORD);
    let mut server = patrol.serve();
    let upstream = Upstream::start();
    let nginx = Nginx::start(&patrol, &upstream, Site::default());
    let signed_in = sign_in(nginx.port);
    let session = format!("x-tableau-session-token: {}", text(&signed_in, "sessionToken"));
    let sites = nginx.url(&format!(
        "/api/v1/tenants/{}/sites?x=1",
        text(&signed_in, "tenantId")
    ));
    let answer = curl(&["--header", &session, &sites]);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body.contains("Default"), "{answer:?}");
    for (request, status, code) in [
        (vec![sites.as_str()], 401, "E_401_UNAUTHORIZED"),
        (
            vec!["--header", &session, "--request", "PUT", &sites],
            405,
            "E_405_METHOD_NOT_ALLOWED",
        ),
    ] {
        let answer = curl(&request);
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.body.contains(code), "{answer:?}");
    }
    let document = curl(&[&nginx.url("/api/openapi.json")]);
    assert!(document.body.contains("\"openapi\""), "{document:?}");
    // Other calls below /api/ are the service's, and protected like the rest of it.
    let session_only = curl(&["--header", &session, &nginx.url("/api/v1/workbooks")]);
    assert_eq!(session_only.arrived().target, "/api/v1/workbooks");
    assert_eq!(curl(&[&nginx.url("/api/v1/workbooks")]).status, 401);

    server.terminate();
    let away = curl(&["--header", &session, &sites]);
    assert_eq!(
        (away.status, away.all("retry-after")),
        (503, vec!["1"]),
        "{away:?}"
    );
    assert!(away.body.contains("E_503_SERVICE_UNAVAILABLE"), "{away:?}");
}
