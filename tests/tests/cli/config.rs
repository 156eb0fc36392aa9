//! `patrol config check`, and that the server refuses what it does.

use std::fs;

use serde_json::{Value, json};

use crate::support::Home;

const WRONG: &str = r#"[server]
lisen = "127.0.0.1:1"
metrics = "0.0.0.0:9"

[[route]]
path = "/git/**"
anonymous = true
any_role = ["admin"]

[[route]]
path = "/git/x"
methods = ["GET", "PSOT"]
"#;

#[test]
fn all_mistakes_are_shown_with_their_lines_and_the_exit_code_is_2() {
    let home = Home::empty();
    fs::write(home.beside("wrong.toml"), WRONG).unwrap();
    let run = home.run(&["config", "check", "wrong.toml"]);
    assert_eq!((run.code, run.err.as_str()), (Some(2), ""), "{run:?}");
    let expected = "\
wrong.toml:2:1: server.lisen: there is no such key; did you mean `listen`?
    lisen = \"127.0.0.1:1\"
    ^
wrong.toml:3:11: server.metrics: 0.0.0.0:9 can be reached from other machines, and patrol speaks no TLS: listen on \
127.0.0.1 behind a gateway, or allow it with `allow_non_loopback = true` (`patrol serve --allow-non-loopback`)
    metrics = \"0.0.0.0:9\"
              ^
wrong.toml:8:12: route[1].any_role: who comes in without a credential has no roles: with `anonymous = true` there can \
be none to ask for
    any_role = [\"admin\"]
               ^
wrong.toml:10:1: route[2]: it can never apply, since route 1 (/git/**) takes all of its requests: put it before that \
one, or remove it
    [[route]]
    ^
wrong.toml:12:19: route[2].methods[2]: there is no method `PSOT`; did you mean `POST`? Methods are case-sensitive
    methods = [\"GET\", \"PSOT\"]
                      ^
5 mistakes
";
    assert_eq!(run.out, expected);
    assert!(!home.data().exists(), "it needs no data directory and makes none");

    let run = home.run(&["--json", "config", "check", "wrong.toml"]);
    assert_eq!(run.code, Some(2));
    let report: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(
        (&report["ok"], &report["file"]),
        (&json!(false), &json!("wrong.toml"))
    );
    let mistakes = report["mistakes"].as_array().unwrap();
    let places: Vec<_> = mistakes
        .iter()
        .map(|mistake| {
            (
                mistake["line"].as_u64().unwrap(),
                mistake["key"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        places,
        [
            (2, "server.lisen"),
            (3, "server.metrics"),
            (8, "route[1].any_role"),
            (10, "route[2]"),
            (12, "route[2].methods[2]")
        ]
    );
}

#[test]
fn a_file_without_mistakes_is_0() {
    let home = Home::with_ann();
    std::fs::remove_file(home.data().join("patrol.toml")).unwrap();
    assert!(
        home.run(&["config", "check"])
            .done()
            .contains("there is no configuration file")
    );
    home.configure("[[route]]\npath = \"/a\"\n");
    assert!(
        home.run(&["config", "check"])
            .done()
            .contains("patrol.toml: no mistakes, 1 route\n")
    );
    let report = home.json(&["config", "check"]);
    assert_eq!((&report["ok"], &report["mistakes"]), (&json!(true), &json!([])));
    let message = home.run(&["config", "check", "missing.toml"]).failed(2);
    assert!(message.contains("missing.toml"), "{message}");
}

#[test]
fn what_the_server_says_when_it_starts_can_be_checked_before() {
    let home = Home::with_ann();
    for (wrong, holds) in [
        (WRONG, "line 2"),
        ("[[route]]\npath = \"nowhere\"\n", "route[1].path"),
        ("[[route]]\npath = \"/**\"\n[[route]]\npath = \"/a\"\n", "line 3"),
        (
            "[server]\ngrpc = \"127.0.0.1:1\"\nspop = \"127.0.0.1:1\"\n",
            "server.spop",
        ),
        ("[server]\nfastcgi = \"0.0.0.0:1\"\n", "--allow-non-loopback"),
        ("[server\n", "line 1"),
    ] {
        home.configure(wrong);
        assert_eq!(home.run(&["config", "check"]).code, Some(2), "{wrong}");
        let message = home.run(&["serve", "--listen", "127.0.0.1:0"]).failed(2);
        assert!(message.contains(holds), "{wrong}: {message}");
    }
    // Where the server listens is no matter of other commands.
    home.configure("[server]\nlisten = \"0.0.0.0:1\"\n");
    home.run(&["tenant", "list"]).done();
}
