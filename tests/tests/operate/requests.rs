//! Each request has a name, which its sender is told, and by which the log and the audit trail know it.

use std::process::Command;

use crate::support::{Connection, Home};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn name(connection: &mut Connection, headers: &[(&str, &str)]) -> String {
    let answer = connection.check(headers).unwrap();
    answer.header("x-request-id").unwrap().to_owned()
}

fn access_log(command: &mut Command) {
    command.env("PATROL_LOG", "info,patrol::access=trace");
    command.args(["--log-format", "json"]);
}

#[test]
fn the_name_is_the_senders_where_it_has_a_good_one_and_new_otherwise() {
    let home = Home::new("");
    let server = home.program.serve();
    let mut connection = Connection::open(server.address);
    assert_eq!(name(&mut connection, &[("traceparent", PARENT)]), TRACE);
    assert_eq!(
        name(&mut connection, &[("x-request-id", "from-nginx.7")]),
        "from-nginx.7"
    );
    let both = [("x-request-id", "from-nginx.7"), ("traceparent", PARENT)];
    assert_eq!(name(&mut connection, &both), TRACE);
    let mut seen = Vec::new();
    let long = "a".repeat(65);
    for headers in [
        &[][..],
        &[("x-request-id", "a b")],
        &[("x-request-id", &long)],
        &[("x-request-id", home.secret.as_str())],
        &[("traceparent", "00-nonsense")],
        &[("x-request-id", "a"), ("x-request-id", "b")],
    ] {
        let made = name(&mut connection, headers);
        assert!(
            made.len() == 32 && made.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{made}"
        );
        seen.push(made);
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 6, "each has one of its own");
    // Whatever the answer.
    for request in ["GET /healthz", "GET /nowhere", "POST /api/v1/pat/login"] {
        let answer = connection.ask(request, &[("x-request-id", "seven")]).unwrap();
        assert_eq!(answer.header("x-request-id"), Some("seven"), "{answer:?}");
    }
}

#[test]
fn the_audit_trail_knows_it_and_keeps_the_name_of_a_batch_apart() {
    let home = Home::new("");
    let server = home.program.serve();
    let mut connection = Connection::open(server.address);
    let refused = connection.check(&[("Authorization", "Bearer nonsense"), ("traceparent", PARENT)]);
    assert_eq!(refused.unwrap().status, 401);
    let made = connection.present("nonsense").unwrap();
    let made = made.header("x-request-id").unwrap();
    server.stop();
    let list = ["audit", "list", "--limit", "100"];
    let events = home.program.run(&list).json();
    let events: Vec<_> = events
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry.get("event").unwrap_or(entry))
        .filter(|event| event["eventType"] == "verify_personal_access_token")
        .collect();
    let ids: Vec<_> = events
        .iter()
        .map(|event| event["requestId"].as_str().unwrap())
        .collect();
    assert!(ids.contains(&TRACE) && ids.contains(&made), "{ids:?}");
    assert_eq!(ids.len(), 2);
    for event in events {
        assert_eq!(event["traceUuid"].as_str().unwrap().len(), 36, "{event}");
    }
}

#[test]
fn an_access_log_is_there_for_the_asking_and_holds_no_query_and_no_header() {
    let home = Home::new("");
    let server = home.program.serve_with(access_log);
    let mut connection = Connection::open(server.address);
    let secret = &home.secret;
    let authorization = format!("Bearer {secret}");
    let headers = [
        ("x-request-id", "one"),
        ("Authorization", authorization.as_str()),
        ("X-Original-URI", "/"),
        ("X-Original-Method", "GET"),
        ("X-Whatever", "hidden-header"),
    ];
    let answer = connection.ask("GET /check/nginx?hidden-query", &headers).unwrap();
    assert_eq!(answer.status, 200);
    let path = format!("GET /api/v1/{secret}?hidden-query");
    let call = [("x-request-id", "two"), ("x-tableau-session-token", "nonsense")];
    assert_eq!(connection.ask(&path, &call).unwrap().status, 401);
    server.stop();
    let log = home.log();
    let lines: Vec<serde_json::Value> = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|line: &serde_json::Value| line["fields"]["message"] == "answered")
        .collect();
    let line = |id: &str| lines.iter().find(|line| line["fields"]["request"] == id).unwrap();
    let (one, two) = (&line("one")["fields"], &line("two")["fields"]);
    assert_eq!(
        (&one["status"], &one["path"], &one["method"]),
        (&200.into(), &"/check/nginx".into(), &"GET".into())
    );
    assert!(
        one["took"].as_f64().is_some_and(|took| took > 0.0 && took < 60.0),
        "{one}"
    );
    assert_eq!((&two["status"], &two["path"]), (&401.into(), &"/api/v1/…".into()));
    assert_eq!(
        (&line("one")["level"], &line("two")["level"]),
        (&"TRACE".into(), &"DEBUG".into())
    );
    // What happens in a request is told with its name.
    for hidden in ["hidden-query", "hidden-header", secret.as_str()] {
        assert!(!log.contains(hidden), "{hidden}");
    }
    // And what is kept of it for the audit trail has no token either (R1).
    let events = home.program.run(&["audit", "list", "--limit", "100"]).out;
    assert!(
        events.contains("/api/v1/patrol_pat_…") && !events.contains(&secret["patrol_pat_".len()..]),
        "{events}"
    );
}

#[test]
fn nothing_is_logged_of_requests_unless_asked_for() {
    let home = Home::new("");
    let server = home.program.serve();
    let mut connection = Connection::open(server.address);
    assert_eq!(connection.present(&home.secret).unwrap().status, 200);
    assert_eq!(connection.present("nonsense").unwrap().status, 401);
    server.stop();
    assert!(!home.log().contains("answered"), "{}", home.log());
}

#[test]
fn what_goes_wrong_in_a_request_is_logged_with_its_name_without_being_asked_for() {
    let home = Home::new("");
    let server = home.program.serve();
    // Behind its back, before it has read the token.
    let raw = rusqlite::Connection::open(home.program.data().join("patrol.db")).unwrap();
    raw.execute_batch("ALTER TABLE token RENAME TO gone").unwrap();
    let mut connection = Connection::open(server.address);
    let authorization = format!("Bearer {}", home.secret);
    let answer = connection.check(&[("Authorization", &authorization), ("x-request-id", "seven")]);
    assert_eq!(answer.unwrap().status, 503);
    let log = home.log();
    let about: Vec<_> = log.lines().filter(|line| line.contains("seven")).collect();
    assert_eq!(about.len(), 2, "{log}");
    assert!(
        about[0].contains("ERROR") && about[0].contains("the store failed"),
        "{about:#?}"
    );
    assert!(
        about[1].contains("INFO") && about[1].contains("status=503"),
        "{about:#?}"
    );
}
