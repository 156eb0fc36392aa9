//! Exit codes: each for one kind of ending, and a line that says what to do.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::support::Home;

#[test]
fn a_mistake_in_the_arguments_is_2() {
    let home = Home::with_ann();
    for args in [
        &["tokens"][..],
        &["token", "create", "--owner", "ann", "--name", "ci"],
        &["token", "show", "not-an-id"],
        &["tenant", "set-mfa", "acme", "maybe"],
        &["user", "set-email", "ann"],
        &["user", "set-email", "ann", "a@b.c", "--none"],
        &["audit", "verify", "--head", "7"],
        &["audit", "list", "--since", "soon"],
    ] {
        let run = home.run(args);
        assert_eq!(run.code, Some(2), "{args:?}: {run:?}");
        assert!(run.err.contains("--help"), "{args:?}: {run:?}");
    }
    let message = home.run(&["user", "set-roles", "ann", "a,b"]).failed(2);
    assert!(message.contains("cannot be a role"), "{message}");
    home.run(&[
        "token",
        "create",
        "--owner",
        "ann",
        "--name",
        "ci",
        "--expires",
        "1d",
        "--audience",
        "a b",
    ])
    .failed(2);
}

#[test]
fn a_list_of_nobodys_tokens_is_a_mistake_that_says_so() {
    let home = Home::with_ann();
    for args in [
        &["token", "list"][..],
        &["token", "list", "--owner", "ann", "--all"],
    ] {
        let run = home.run(args);
        assert_eq!(run.code, Some(2), "{run:?}");
        assert!(
            run.err.contains("--owner") && run.err.contains("--all"),
            "{run:?}"
        );
    }
}

#[test]
fn a_mistake_in_the_configuration_is_2_with_its_line() {
    let home = Home::with_ann();
    home.configure("[policy]\nidle_afer = \"7d\"\n");
    let message = home.run(&["tenant", "list"]).failed(2);
    assert!(
        message.contains("line 2") && message.contains("idle_afer"),
        "{message}"
    );
    home.run(&["--config", "missing.toml", "tenant", "list"])
        .failed(2);
    let mut command = home.command(&["tenant", "list"]);
    command.env("PATROL_LOG", "patrol=loud");
    assert!(
        crate::support::run(&mut command, "")
            .failed(2)
            .contains("PATROL_LOG")
    );
}

#[test]
fn a_refusal_is_3_and_says_why() {
    let home = Home::with_ann();
    home.configure("[policy]\ndeadline = \"5s\"\ntokens_per_owner = 2\n");
    let create = |name: &str, expires: &str| {
        home.run(&[
            "token",
            "create",
            "--owner",
            "ann",
            "--name",
            name,
            "--expires",
            expires,
        ])
    };
    create("one", "1d").done();
    let taken = create("one", "1d").failed(3);
    assert!(taken.contains("choose another name"), "{taken}");
    create("two", "1d").done();
    // R7.
    let limit = create("three", "1d").failed(3);
    assert!(limit.contains("as many live tokens as allowed"), "{limit}");
    create("far", "367d").failed(3);
    create("past", "2020-01-01").failed(3);

    let run = home.run(&[
        "--json",
        "token",
        "create",
        "--owner",
        "ann",
        "--name",
        "3",
        "--expires",
        "1d",
    ]);
    let error: Value = serde_json::from_str(&run.err).unwrap();
    assert_eq!(
        (&error["error"]["code"], &error["error"]["reason"]),
        (&json!("refused"), &json!("limit-reached"))
    );
}

#[test]
fn what_is_not_there_is_4() {
    let home = Home::with_ann();
    let id = "0198c5f0-0000-7000-8000-000000000000";
    for args in [
        &["tenant", "show", "nobody"][..],
        &["user", "show", "nobody"],
        &["user", "show", "nowhere/ann"],
        &["user", "create", "--tenant", "nowhere", "--name", "bob"],
        &["token", "show", id],
        &["token", "revoke", id],
        &["token", "rotate", id],
        &["token", "list", "--owner", "nobody"],
        &[
            "token",
            "create",
            "--owner",
            "nobody",
            "--name",
            "ci",
            "--expires",
            "1d",
        ],
        &["audit", "list", "--user", "nobody"],
    ] {
        let message = home.run(args).failed(4);
        assert!(message.contains("there is no"), "{args:?}: {message}");
    }
}

#[test]
fn what_exists_already_is_5() {
    let home = Home::with_ann();
    home.run(&["tenant", "create", "acme"]).failed(5);
    let message = home
        .run(&["user", "create", "--tenant", "acme", "--name", " ann "])
        .failed(5);
    assert!(message.contains("choose another name"), "{message}");
}

#[test]
fn a_damaged_store_is_7() {
    let home = Home::with_ann();
    fs::write(
        home.data().join("patrol.db"),
        "this is no database, however long it may be",
    )
    .unwrap();
    let message = home.run(&["tenant", "list"]).failed(7);
    assert!(message.contains("restore"), "{message}");
}

#[test]
fn a_second_server_is_8_even_where_the_port_is_in_use_too() {
    let home = Home::with_ann();
    let server = home.serve();
    let message = home
        .run(&["serve", "--listen", &server.address.to_string()])
        .failed(8);
    assert!(message.contains("another patrol server is running"), "{message}");
}

#[test]
fn a_port_in_use_is_9() {
    let home = Home::empty();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let message = home.run(&["serve", "--listen", &address]).failed(9);
    assert!(
        message.contains(&address) && message.contains("--listen"),
        "{message}"
    );
}

#[test]
fn an_address_that_others_can_reach_is_2_and_makes_nothing() {
    let home = Home::empty();
    let message = home.run(&["serve", "--listen", "0.0.0.0:0"]).failed(2);
    assert!(message.contains("--allow-non-loopback"), "{message}");
    assert!(!home.data().exists());
}

#[test]
fn a_data_directory_that_cannot_be_used_is_10() {
    let home = Home::empty();
    for args in [
        &["tenant", "list"][..],
        &["user", "create", "--tenant", "acme", "--name", "ann"],
        &["verify"],
        &["sweep"],
        &["policy", "show"],
    ] {
        let message = home.run(args).failed(10);
        assert!(message.contains("patrol tenant create"), "{message}");
    }
    assert!(!home.data().exists(), "only some commands make it");

    fs::write(home.data(), "").unwrap();
    home.run(&["tenant", "create", "acme"]).failed(10);
    home.run(&["tenant", "list"]).failed(10);
    home.run(&["serve", "--listen", "127.0.0.1:0"]).failed(10);
}

#[test]
fn a_data_directory_open_to_others_is_10() {
    let home = Home::with_ann();
    let set = |path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    set(home.data(), 0o777);
    let message = home.run(&["tenant", "list"]).failed(10);
    assert!(message.contains("chmod go-w"), "{message}");
    set(home.data(), 0o700);
    set(home.data().join("patrol.db"), 0o644);
    let message = home.run(&["tenant", "list"]).failed(10);
    assert!(message.contains("chmod go="), "{message}");
}

#[test]
fn data_of_a_newer_version_is_11() {
    let home = Home::with_ann();
    home.database().pragma_update(None, "user_version", 99).unwrap();
    let message = home.run(&["tenant", "list"]).failed(11);
    assert!(
        message.contains("99") && message.contains("upgrade patrol"),
        "{message}"
    );
}

#[test]
fn an_altered_trail_is_12_and_the_entry_is_named() {
    let home = Home::with_ann();
    home.run(&["audit", "verify"]).done();
    let altered = home
        .database()
        .execute(
            "UPDATE audit SET body = replace(body, 'tester', 'nobody') WHERE seq = 2",
            [],
        )
        .unwrap();
    assert_eq!(altered, 1);
    let run = home.run(&["audit", "verify"]);
    assert_eq!(run.code, Some(12));
    assert!(
        run.out.contains("entry 2") && run.out.contains("altered"),
        "{run:?}"
    );
    let run = home.run(&["--json", "audit", "verify"]);
    let report: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((&report["ok"], &report["seq"]), (&json!(false), &json!(2)));
    // What was put there instead is still shown.
    assert!(home.run(&["audit", "list"]).done().contains("nobody"));
}

#[test]
fn a_trail_that_lost_a_kept_head_is_12() {
    let home = Home::with_ann();
    let verified = home.json(&["audit", "verify"]);
    assert_eq!(verified["entries"], 2);
    let head = verified["head"].as_str().unwrap().to_owned();
    home.token("ci");
    home.run(&["audit", "verify", "--head", &head]).done();
    home.run(&["audit", "verify", "--head", &format!("0:{}", "0".repeat(64))])
        .done();

    for lost in [
        format!("2:{}", "0".repeat(64)),
        head.replacen("2:", "3:", 1),
        head.replacen("2:", "9:", 1),
        format!("0:{}", "1".repeat(64)),
    ] {
        let run = home.run(&["audit", "verify", "--head", &lost]);
        assert_eq!(run.code, Some(12), "{lost}: {run:?}");
    }
}

#[test]
fn anything_unexpected_is_1() {
    let home = Home::empty();
    fs::write(home.beside("file"), "").unwrap();
    let message = home.run(&["man", "file/pages"]).failed(1);
    assert!(message.contains("file/pages"), "{message}");
}
