//! A token's life, step by step, as an administrator lives it.

use serde_json::json;

use crate::support::{Home, contents, text};

#[test]
fn a_token_lives_from_its_creation_to_its_revocation() {
    let home = Home::with_ann();
    let created = home
        .run(&[
            "token",
            "create",
            "--owner",
            "ann",
            "--name",
            "ci",
            "--expires",
            "90d",
        ])
        .done();
    // R1: the secret stands alone on its line, to be copied.
    let secrets: Vec<_> = created
        .lines()
        .filter(|line| line.contains("patrol_pat_"))
        .collect();
    let [secret] = secrets[..] else {
        panic!("{created}");
    };
    assert!(
        secret.starts_with("patrol_pat_") && secret.len() == 83,
        "{created}"
    );

    let accepted = home.run_with(&["verify"], &format!("{secret}\n")).done();
    assert!(accepted.starts_with("accepted: token\n"), "{accepted}");
    assert!(
        accepted.contains("acme/ann") && accepted.contains("admin"),
        "{accepted}"
    );

    let listed = home.json(&["token", "list", "--owner", "ann"]);
    assert_eq!(
        (&listed[0]["name"], &listed[0]["state"]),
        (&json!("ci"), &json!("live"))
    );
    let id = text(&listed[0]["id"]);
    let revoked = home.run(&["token", "revoke", &id]).done();
    assert_eq!(revoked, "Revoked \"ci\" of acme/ann. It never comes back.\n");

    // R8: refused from that moment.
    let refused = home.run_with(&["verify"], secret);
    assert_eq!(refused.code, Some(3));
    assert_eq!(
        refused.out,
        format!("refused: the token was revoked (revoked)\ntoken id  {id}\n")
    );
    assert_eq!(home.json(&["token", "list", "--owner", "ann"]), json!([]));
}

#[test]
fn a_use_is_on_disk_before_the_verdict_is_told_r5() {
    let home = Home::with_ann();
    let (id, secret) = home.token("ci");
    assert!(home.json(&["token", "show", &id])["lastUsed"].is_null());
    home.verdict(&secret);
    assert!(home.json(&["token", "show", &id])["lastUsed"].is_string());
}

#[test]
fn a_refused_attempt_is_no_use_and_is_in_the_trail_r5() {
    let home = Home::with_ann();
    let (id, mut secret) = home.token("ci");
    // A digit of the secret, so that the checksum is wrong, too.
    let other = if secret.ends_with('0') { "1" } else { "0" };
    secret.replace_range(82.., other);
    assert_eq!(home.verdict(&secret)["reason"], "bad-checksum");
    assert!(home.json(&["token", "show", &id])["lastUsed"].is_null());
    let events = home.json(&["audit", "list", "--type", "verify_personal_access_token"]);
    assert_eq!(events[0]["eventOutcomeReason"], "bad-checksum");
}

#[test]
fn an_expired_token_is_refused_and_gone_from_the_list_r6() {
    let home = Home::with_ann();
    let token = home.json(&[
        "token",
        "create",
        "--owner",
        "ann",
        "--name",
        "short",
        "--expires",
        "1500ms",
    ]);
    std::thread::sleep(std::time::Duration::from_millis(1_600));
    assert_eq!(home.verdict(&text(&token["secret"]))["reason"], "expired");
    assert_eq!(home.json(&["token", "list", "--owner", "ann"]), json!([]));
    let ended = home.json(&["token", "list", "--owner", "ann", "--ended"]);
    assert_eq!(ended[0]["ends"]["cause"], "expiration-date");
    assert_eq!(ended[0]["state"], "ended");

    let swept = home.json(&["sweep"]);
    assert_eq!(
        swept,
        json!({"ended": 1, "secrets": 0, "forgotten": 0, "sessions": 0, "more": false})
    );
}

#[test]
fn a_rotation_ends_the_old_secret_at_once_or_after_the_overlap() {
    let home = Home::with_ann();
    let (id, first) = home.token("ci");
    let second = home.json(&["token", "rotate", &id, "--overlap", "1h"]);
    assert_eq!(second["id"], id.as_str());
    let second = text(&second["secret"]);
    assert_ne!(first, second);
    assert_eq!(home.verdict(&first)["ends"]["cause"], "rotated");
    assert_eq!(home.verdict(&second)["ends"]["cause"], "idle");

    let third = text(&home.json(&["token", "rotate", &id])["secret"]);
    // Nothing of it is kept, so it is a secret like any other wrong one.
    assert_eq!(home.verdict(&second)["reason"], "wrong-secret");
    assert_eq!(home.verdict(&third)["verdict"], "accepted");
    assert_eq!(home.json(&["token", "show", &id])["generation"], 2);
    home.run(&["token", "rotate", &id, "--overlap", "8d"]).failed(3);
}

#[test]
fn revoking_all_says_how_many_and_spares_other_owners_r8() {
    let home = Home::with_ann();
    home.run(&["user", "create", "--tenant", "acme", "--name", "bob"])
        .done();
    let bobs = home.json(&[
        "token",
        "create",
        "--owner",
        "bob",
        "--name",
        "ci",
        "--expires",
        "1d",
    ]);
    let (_, secret) = home.token("one");
    home.token("two");
    let revoked = home.json(&["token", "revoke-all", "--owner", "acme/ann"]);
    assert_eq!(revoked["revoked"], 2);
    assert_eq!(home.verdict(&secret)["reason"], "revoked");
    assert_eq!(home.verdict(&text(&bobs["secret"]))["verdict"], "accepted");
}

#[test]
fn a_token_has_its_owners_access_of_this_moment_r4() {
    let home = Home::with_ann();
    let (id, secret) = home.token("ci");
    assert_eq!(home.verdict(&secret)["roles"], json!(["admin"]));
    home.run(&["user", "set-roles", "ann"]).done();
    assert_eq!(home.verdict(&secret)["roles"], json!([]));

    home.run(&["user", "disable", "ann"]).done();
    assert_eq!(home.verdict(&secret)["reason"], "owner-disabled");
    assert_eq!(home.json(&["token", "show", &id])["state"], "resting");
    assert_eq!(
        home.json(&["token", "list", "--owner", "ann"])[0]["state"],
        "resting"
    );
    assert_eq!(home.json(&["token", "list", "--all"])[0]["state"], "resting");
    home.run(&["user", "enable", "ann"]).done();
    assert_eq!(home.verdict(&secret)["verdict"], "accepted");

    let ann = text(&home.json(&["user", "show", "ann"])["id"]);
    home.run(&["user", "delete", "ann"]).done();
    assert_eq!(home.verdict(&secret)["reason"], "owner-deleted");
    home.run(&["user", "show", "ann"]).failed(4);
    assert!(home.json(&["user", "show", &ann])["deleted"].is_string());
    assert_eq!(home.json(&["user", "list"]), json!([]));
    assert_eq!(home.json(&["user", "list", "--deleted"])[0]["id"], ann.as_str());
}

#[test]
fn a_preview_of_another_method_changes_nothing_r9() {
    let home = Home::with_ann();
    let (id, secret) = home.token("ci");
    home.verdict(&secret);
    let before = home.run(&["audit", "verify"]).done();
    for (whom, name) in [("tenant", "acme"), ("user", "ann")] {
        let preview = home.json(&[whom, "set-auth-method", name, "saml", "--preview"]);
        assert_eq!(
            (&preview["changes"], &preview["from"], &preview["to"]),
            (&json!(true), &json!("password"), &json!("saml"))
        );
        assert_eq!((&preview["tokens"], &preview["owners"]), (&json!(1), &json!(1)));
        assert_eq!(preview["preview"][0]["id"], id.as_str());
        assert!(preview["preview"][0]["lastUsed"].is_string());
        let told = home
            .run(&[whom, "set-auth-method", name, "saml", "--preview"])
            .done();
        assert!(
            told.contains("1 token of 1 owner. Nothing was changed."),
            "{told}"
        );
    }
    assert_eq!(home.json(&["tenant", "show", "acme"])["authMethod"], "password");
    assert_eq!(home.run(&["audit", "verify"]).done(), before);
    assert_eq!(home.verdict(&secret)["verdict"], "accepted");
}

#[test]
fn another_method_ends_all_tokens_and_the_same_method_none_r9() {
    let home = Home::with_ann();
    let (_, secret) = home.token("ci");
    let same = home.json(&["tenant", "set-auth-method", "acme", "password"]);
    assert_eq!(same["changes"], false);
    let same = home.json(&["tenant", "set-auth-method", "acme", "password", "--preview"]);
    assert_eq!((&same["changes"], &same["preview"]), (&json!(false), &json!([])));
    assert_eq!(home.verdict(&secret)["verdict"], "accepted");

    let other = home.json(&["tenant", "set-auth-method", "acme", "saml"]);
    assert_eq!(
        other,
        json!({"changes": true, "from": "password", "to": "saml", "tokens": null, "owners": null})
    );
    assert_eq!(home.verdict(&secret)["reason"], "auth-method-changed");

    let (_, secret) = home.token("ci");
    home.run(&["user", "set-auth-method", "ann", "oidc:corp"]).done();
    assert_eq!(home.verdict(&secret)["reason"], "auth-method-changed");
    assert_eq!(home.json(&["user", "show", "ann"])["authMethod"], "oidc:corp");
}

#[test]
fn a_new_name_address_or_password_disturbs_no_token_r10() {
    let home = Home::with_ann();
    let (_, secret) = home.token("ci");
    home.run(&["user", "rename", "ann", "anna"]).done();
    home.run(&["user", "set-email", "anna", "anna@example.com"])
        .done();
    let set = home.run_with(&["--json", "user", "set-password", "anna"], "correct horse\n");
    assert!(set.done().contains("\"hasPassword\":true"));
    home.run(&["tenant", "set-mfa", "acme", "on"]).done();
    let verdict = home.verdict(&secret);
    assert_eq!(
        (&verdict["verdict"], &verdict["owner"]),
        (&json!("accepted"), &json!("anna"))
    );
    assert!(home.json(&["user", "set-email", "anna", "--none"])["email"].is_null());
    assert_eq!(home.json(&["tenant", "show", "acme"])["multiFactor"], true);
}

#[test]
fn a_token_is_good_for_its_audience_only_r12() {
    let home = Home::with_ann();
    let token = home.json(&[
        "token",
        "create",
        "--owner",
        "ann",
        "--name",
        "ci",
        "--expires",
        "1d",
        "--audience",
        "ci.example",
    ]);
    assert_eq!(token["audience"], "ci.example");
    let secret = text(&token["secret"]);
    assert_eq!(home.verdict(&secret)["reason"], "wrong-audience");
    home.run_with(&["verify", "--audience", "ci.example"], &secret)
        .done();
}

#[test]
fn a_user_is_found_by_name_by_tenant_and_name_and_by_identifier() {
    let home = Home::with_ann();
    let ann = home.json(&["user", "show", "ann"]);
    assert_eq!(home.json(&["user", "show", "acme/ann"]), ann);
    assert_eq!(home.json(&["user", "show", &text(&ann["id"])]), ann);
    let shown = home.run(&["user", "show", "ann"]).done();
    assert!(shown.contains("\nsecond factor  off"), "{shown}");

    home.run(&["tenant", "create", "other"]).done();
    home.run(&["user", "create", "--tenant", "other", "--name", "ann"])
        .done();
    let message = home.run(&["user", "show", "ann"]).failed(2);
    assert!(
        message.contains("acme/ann") && message.contains("other/ann"),
        "{message}"
    );
    assert_eq!(home.json(&["user", "show", "acme/ann"]), ann);
}

#[test]
fn a_secret_is_shown_once_and_kept_nowhere_r1_r2() {
    let home = Home::with_ann();
    let (id, secret) = home.token("ci");
    home.verdict(&secret);
    home.run_with(&["verify", "--audience", "elsewhere"], &secret);
    // The 44 digits that are secret, without prefix and identifier.
    let secret_part = &secret[33..77];
    for args in [
        &["token", "list", "--owner", "ann"][..],
        &["--json", "token", "list", "--all"],
        &["--json", "token", "show", &id],
        &["audit", "export"],
        &["--json", "doctor"],
    ] {
        let run = home.run(args);
        assert!(
            !run.out.contains(secret_part) && !run.err.contains(secret_part),
            "{args:?}"
        );
    }
    let files = contents(&home.data());
    assert!(files.len() > 1);
    for (path, bytes) in files {
        let found = bytes
            .windows(secret_part.len())
            .any(|window| window == secret_part.as_bytes());
        assert!(!found, "{}", path.display());
    }
}

#[test]
fn the_trail_says_who_did_what() {
    let home = Home::with_ann();
    let (id, _) = home.token("ci");
    home.run(&["token", "revoke", &id]).done();
    let events = home.json(&["audit", "list", "--user", "ann"]);
    let types: Vec<_> = events
        .as_array()
        .unwrap()
        .iter()
        .map(|event| text(&event["eventType"]))
        .collect();
    assert_eq!(
        types,
        [
            "create_user",
            "create_personal_access_token",
            "revoke_personal_access_token"
        ]
    );
    assert_eq!(events[2]["initiatingUserDisplayName"], "tester (command line)");
    assert_eq!(events[2]["patId"], id.as_str());
}
