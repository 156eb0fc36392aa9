//! Lists and the shapes of JSON, which scripts rely on.

use serde_json::{Value, json};

use crate::support::{Home, keys, text};

const TOKEN: [&str; 13] = [
    "audience",
    "created",
    "ends",
    "expires",
    "generation",
    "id",
    "lastUsed",
    "lastUsedFrom",
    "name",
    "owner",
    "ownerId",
    "state",
    "tenant",
];

#[test]
fn records_have_the_keys_that_scripts_rely_on() {
    let home = Home::empty();
    let tenant = home.json(&["tenant", "create", "acme", "--auth-method", "saml", "--mfa"]);
    assert_eq!(
        keys(&tenant),
        ["authMethod", "created", "id", "multiFactor", "name"]
    );
    assert_eq!(
        (&tenant["authMethod"], &tenant["multiFactor"]),
        (&json!("saml"), &json!(true))
    );
    assert_eq!(home.json(&["tenant", "list"]), json!([tenant]));

    let user = home.json(&[
        "user",
        "create",
        "--tenant",
        "acme",
        "--name",
        "ann",
        "--email",
        "ann@example.com",
        "--role",
        "b",
        "--role",
        "a",
    ]);
    assert_eq!(
        keys(&user),
        [
            "authMethod",
            "created",
            "deleted",
            "email",
            "enabled",
            "hasPassword",
            "id",
            "name",
            "roles",
            "tenant"
        ]
    );
    assert_eq!(user["roles"], json!(["a", "b"]));
    assert_eq!(
        (&user["tenant"], &user["authMethod"], &user["deleted"]),
        (&json!("acme"), &Value::Null, &Value::Null)
    );
    assert_eq!(home.json(&["user", "list", "--tenant", "acme"]), json!([user]));

    let created = home.json(&[
        "token",
        "create",
        "--owner",
        "ann",
        "--name",
        "ci",
        "--expires",
        "2d",
    ]);
    assert_eq!(
        keys(&created),
        [
            "audience", "created", "ends", "expires", "id", "name", "owner", "ownerId", "secret", "tenant"
        ]
    );
    assert_eq!(
        created["ends"],
        json!({"at": created["expires"], "cause": "expiration-date"})
    );
    let id = text(&created["id"]);
    for token in [
        &home.json(&["token", "list", "--owner", "ann"])[0],
        &home.json(&["token", "list", "--all"])[0],
        &home.json(&["token", "show", &id]),
        &home.json(&["token", "revoke", &id]),
        &home.json(&["token", "list", "--all", "--ended"])[0],
    ] {
        assert_eq!(keys(token), TOKEN);
        assert_eq!(token["ownerId"], user["id"]);
    }
}

#[test]
fn a_verdict_has_the_keys_that_scripts_rely_on() {
    let home = Home::with_ann();
    let (id, secret) = home.token("ci");
    let accepted = home.verdict(&secret);
    assert_eq!(
        keys(&accepted),
        [
            "audience",
            "ends",
            "owner",
            "ownerId",
            "roles",
            "session",
            "tenant",
            "tokenId",
            "tokenName",
            "verdict"
        ]
    );
    assert_eq!(
        (&accepted["tokenId"], &accepted["session"]),
        (&json!(id), &Value::Null)
    );

    let refused = home.verdict("hello");
    assert_eq!(keys(&refused), ["message", "reason", "tokenId", "verdict"]);
    assert_eq!(
        (&refused["reason"], &refused["tokenId"]),
        (&json!("malformed"), &Value::Null)
    );
    home.run(&["token", "revoke", &id]).done();
    let refused = home.verdict(&secret);
    assert_eq!(
        (&refused["reason"], &refused["tokenId"]),
        (&json!("revoked"), &json!(id))
    );
}

#[test]
fn the_policy_says_what_is_in_force() {
    let home = Home::with_ann();
    home.configure("[policy]\ndeadline = \"5s\"\nidle_after = \"1h 30m\"\nisolation = \"warm\"\n");
    let policy = home.json(&["policy", "show"]);
    assert_eq!(
        keys(&policy),
        [
            "digest",
            "exports",
            "imports",
            "isolation",
            "limits",
            "name",
            "own",
            "release",
            "size",
            "version"
        ]
    );
    assert_eq!(
        (&policy["own"], &policy["release"]),
        (&json!(false), &Value::Null)
    );
    assert_eq!(policy["limits"]["idleAfter"], "1h 30m");
    assert_eq!(policy["limits"]["tokensPerOwner"], 104);
    assert_eq!(text(&policy["digest"]).len(), 64);
    let told = home.run(&["policy", "show"]).done();
    assert!(told.contains("(R5)  1h 30m\n") && told.contains("warm"), "{told}");
}

#[test]
fn an_expiration_is_a_date_an_instant_or_a_duration() {
    let home = Home::with_ann();
    home.configure("[policy]\ndeadline = \"5s\"\nmax_lifetime = \"36500d\"\n");
    let expires = |text: &str| {
        let token = home.json(&[
            "token",
            "create",
            "--owner",
            "ann",
            "--name",
            text,
            "--expires",
            text,
        ]);
        (
            token["created"].as_str().unwrap().to_owned(),
            token["expires"].as_str().unwrap().to_owned(),
        )
    };
    // A token that expires on a day still works on that day.
    assert_eq!(expires("2061-01-31").1, "2061-02-01T00:00:00.000Z");
    assert_eq!(expires("2061-01-31T17:00:00+01:00").1, "2061-01-31T16:00:00.000Z");
    let (created, expires) = expires("3650d");
    assert_ne!(created[..4], expires[..4]);

    for text in ["soon", "2061-02-30", "90", "-1d"] {
        let expires = format!("--expires={text}");
        let run = home.run(&["token", "create", "--owner", "ann", "--name", "x", &expires]);
        assert_eq!(run.code, Some(2), "{text}: {run:?}");
        assert!(run.err.contains("2027-01-31"), "{text}: {run:?}");
    }
}

#[test]
fn a_list_of_live_tokens_has_no_ended_ones_and_the_other_way_round() {
    let home = Home::with_ann();
    home.token("kept");
    let (gone, _) = home.token("gone");
    home.run(&["token", "revoke", &gone]).done();
    for whose in [&["--owner", "ann"][..], &["--all"]] {
        let names = |ended: &[&str]| {
            let list = home.json(&[&["token", "list"], whose, ended].concat());
            let list = list.as_array().unwrap().iter();
            list.map(|token| text(&token["name"])).collect::<Vec<_>>()
        };
        assert_eq!(names(&[]), ["kept"]);
        assert_eq!(names(&["--ended"]), ["gone"]);
    }
}

#[test]
fn events_are_found_by_type_time_and_number() {
    let home = Home::with_ann();
    home.token("one");
    home.token("two");
    let names = |args: &[&str]| {
        let list = home.json(&[&["audit", "list"], args].concat());
        let list = list.as_array().unwrap().iter();
        list.map(|event| text(&event["eventType"])).collect::<Vec<_>>()
    };
    assert_eq!(names(&[]).len(), 4);
    assert_eq!(names(&["--limit", "1"]), ["create_personal_access_token"]);
    assert_eq!(names(&["--type", "create_tenant"]), ["create_tenant"]);
    assert_eq!(names(&["--since", "1h"]).len(), 4);
    assert_eq!(names(&["--until", "1h"]).len(), 0);
    assert_eq!(
        names(&["--since", "2020-01-01", "--until", "2020-01-01"]).len(),
        0
    );

    // A day means all of it, at either end.
    let events = home.json(&["audit", "list"]);
    let day = |event: &Value| text(&event["eventTime"])[..10].to_owned();
    let (first, last) = (day(&events[0]), day(&events[3]));
    assert_eq!(names(&["--since", &first, "--until", &last]).len(), 4);
}

#[test]
fn the_export_has_one_event_a_line_with_number_and_hash() {
    let home = Home::with_ann();
    home.token("ci");
    let head = home.json(&["audit", "verify"]);
    let export = home.run(&["audit", "export"]).done();
    let lines: Vec<Value> = export
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let numbers: Vec<_> = lines.iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert_eq!(lines[2]["eventType"], "create_personal_access_token");
    assert_eq!(head["head"], format!("3:{}", lines[2]["hash"].as_str().unwrap()));
}

#[test]
fn a_table_is_aligned_and_a_name_cannot_reorder_it() {
    let home = Home::empty();
    home.run(&["tenant", "create", "a\u{202e}b"]).done();
    home.run(&["tenant", "create", "a-longer-name"]).done();
    let table = home.run(&["tenant", "list"]).done();
    assert!(
        table.contains("a\\u{202e}b") && !table.contains('\u{202e}'),
        "{table}"
    );
    let columns: Vec<_> = table
        .lines()
        .map(|line| line.find("password").or(line.find("METHOD")))
        .collect();
    assert_eq!(columns, [Some(15); 3], "{table}");
}

#[test]
fn an_empty_list_says_so_to_people_and_is_empty_for_programs() {
    let home = Home::with_ann();
    assert_eq!(
        home.run(&["token", "list", "--all"]).done(),
        "There is no live token.\n"
    );
    assert_eq!(home.run(&["--json", "token", "list", "--all"]).done(), "[]\n");
    let mut command = home.command(&["token", "list", "--all"]);
    command.env("PATROL_JSON", "1");
    assert_eq!(crate::support::run(&mut command, "").done(), "[]\n");
}
