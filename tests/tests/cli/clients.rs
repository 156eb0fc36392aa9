//! The life of a client of the OAuth endpoints.

use patrol_tests::wire::send;
use serde_json::{Value, json};

use crate::support::{Home, contents, text};

fn introspect(server: std::net::SocketAddr, id: &str, secret: &str, token: &str) -> (u16, Value) {
    let body = format!("client_id={id}&client_secret={secret}&token={token}");
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let answer = send(server, "POST /oauth2/introspect", &form, body.as_bytes()).unwrap();
    (answer.status, answer.json())
}

#[test]
fn a_client_asks_until_it_is_revoked_while_the_server_runs() {
    let home = Home::with_ann();
    let server = home.serve();
    let (_, token) = home.token("ci");
    let created = home.run(&["client", "create", "apache"]).done();
    // The secret stands alone on its line, to be copied.
    let secrets: Vec<_> = created
        .lines()
        .filter(|line| line.contains("patrol_cli_"))
        .collect();
    let [secret] = secrets[..] else {
        panic!("{created}");
    };
    assert!(
        secret.starts_with("patrol_cli_") && secret.len() == 83,
        "{created}"
    );
    let id = created
        .lines()
        .find_map(|line| line.strip_prefix("client id"))
        .unwrap()
        .trim();

    let ask = |secret: &str| introspect(server.address, id, secret, &token);
    assert_eq!(ask(secret).1["username"], "ann");
    let rotated = home.json(&["client", "rotate", id]);
    assert_eq!(
        (&rotated["clientId"], &rotated["name"]),
        (&json!(id), &json!("apache"))
    );
    let fresh = text(&rotated["clientSecret"]);
    assert_eq!(ask(secret), (401, json!({"error": "invalid_client"})));
    assert_eq!(ask(&fresh).1["active"], true);

    let revoked = home.run(&["client", "revoke", id]).done();
    assert_eq!(revoked, "Revoked the client \"apache\". It never comes back.\n");
    assert_eq!(ask(&fresh).0, 401);
    assert_eq!(home.json(&["client", "list"]), json!([]));
    assert_eq!(home.json(&["client", "list", "--revoked"])[0]["clientId"], id);
    for gone in ["revoke", "delete", "rotate"] {
        home.run(&["client", gone, id]).failed(4);
    }
    // The name is free again.
    home.run(&["client", "create", "apache"]).done();
}

#[test]
fn a_client_is_limited_as_it_was_made_and_lists_no_secret() {
    let home = Home::with_ann();
    home.configure("[http]\naudience = \"rest.example\"\n");
    let plain = home.json(&["client", "create", "plain"]);
    assert_eq!(plain["audiences"], json!(["rest.example"]));
    assert_eq!(
        (&plain["tenant"], &plain["expires"]),
        (&Value::Null, &Value::Null)
    );
    let limited = home.json(&[
        "client",
        "create",
        "limited",
        "--tenant",
        "acme",
        "--audience",
        "b",
        "--audience",
        "a",
        "--expires",
        "2099-01-31",
    ]);
    assert_eq!(limited["audiences"], json!(["a", "b"]));
    assert_eq!(limited["tenant"], "acme");
    assert_eq!(limited["expires"], "2099-02-01T00:00:00.000Z");

    let listed = home.json(&["client", "list"]);
    let names: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|client| text(&client["name"]))
        .collect();
    assert_eq!(names, ["limited", "plain"]);
    for client in [&plain, &limited] {
        let secret = text(&client["clientSecret"]);
        for args in [
            &["client", "list"][..],
            &["--json", "client", "list", "--revoked"],
            &["audit", "export"],
        ] {
            let run = home.run(args);
            assert!(
                !run.out.contains(&secret[33..]) && !run.err.contains(&secret[33..]),
                "{args:?}"
            );
        }
        for (path, bytes) in contents(&home.data()) {
            let found = bytes
                .windows(44)
                .any(|window| window == &secret.as_bytes()[33..77]);
            assert!(!found, "{}", path.display());
        }
    }
    let events = home.json(&["audit", "list"]);
    let created: Vec<_> = events
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["eventType"] == "create_client")
        .collect();
    assert_eq!(created[1]["details"]["clientName"], "limited");
    assert_eq!(created[1]["details"]["audiences"], json!(["a", "b"]));
    assert_eq!(created[1]["tenantName"], "acme");
}

#[test]
fn a_mistake_makes_no_client() {
    let home = Home::with_ann();
    home.run(&["client", "create", "taken"]).done();
    home.run(&["client", "create", " taken "]).failed(5);
    home.run(&["client", "create", "x", "--tenant", "nowhere"])
        .failed(4);
    home.run(&["client", "create", "x", "--audience", "a b"])
        .failed(2);
    home.run(&["client", "create", "a/b"]).failed(2);
    let past = home
        .run(&["client", "create", "x", "--expires", "2001-01-31"])
        .failed(2);
    assert!(past.contains("not in the future"), "{past}");
    let none = "01980000-0000-7000-8000-000000000000";
    for command in ["revoke", "rotate"] {
        home.run(&["client", command, none]).failed(4);
    }
    assert_eq!(home.json(&["client", "list"]).as_array().unwrap().len(), 1);
    // Nor does a secret in an argument.
    let secret = text(&home.json(&["client", "create", "y"])["clientSecret"]);
    let refused = home.run(&["client", "create", &secret]).failed(2);
    assert!(!refused.contains(&secret[33..]), "{refused}");
}
