//! `patrol policy activate`, `rollback` and `list` beside a running server do what they do without one.

use std::fs;

use patrol::control::NAME;
use patrol::service::ServeLock;

use crate::support::{Home, check, deciding, get, metric};

#[test]
fn a_running_server_goes_over_to_what_is_activated_and_back() {
    let home = Home::new();
    let ids = home.releases(2);
    let server = home.program.serve();
    let built_in = server.announcement["policy"]["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(deciding(&server), [built_in.as_str()]);
    assert_eq!(metric(&server, "patrol_policy_last_swap_timestamp_seconds"), None);

    let active = home.json(&["policy", "activate", &ids[0][..12]]);
    assert_eq!(
        (&active["id"], &active["active"]),
        (&ids[0].as_str().into(), &true.into())
    );
    // The old one's series is gone with it.
    assert_eq!(deciding(&server), [home.component(&ids[0])]);
    home.json(&["policy", "activate", &ids[1]]);
    assert_eq!(deciding(&server), [home.component(&ids[1])]);
    assert_eq!(check(&server, &home.secret), 200);
    assert_eq!(get(server.address, "/readyz").status, 200);
    assert_eq!(home.json(&["policy", "rollback"])["id"], ids[0].as_str());
    assert_eq!(deciding(&server), [home.component(&ids[0])]);
    assert_eq!(home.json(&["policy", "rollback"]), serde_json::Value::Null);
    assert_eq!(deciding(&server), [built_in]);
    assert_eq!(check(&server, &home.secret), 200);

    assert_eq!(metric(&server, "patrol_policy_activations_total"), Some(2.0));
    let rollbacks = |cause: &str| {
        metric(
            &server,
            &format!("patrol_policy_rollbacks_total{{cause=\"{cause}\"}}"),
        )
    };
    assert_eq!(
        (rollbacks("operator"), rollbacks("faults")),
        (Some(2.0), Some(0.0))
    );
    let swapped = metric(&server, "patrol_policy_last_swap_timestamp_seconds").unwrap();
    assert!(swapped > 1.7e9, "{swapped}");
    // Who asked, and how.
    for event in [home.events("activate_policy"), home.events("rollback_policy")].concat() {
        let by = event["initiatingUserDisplayName"].as_str().unwrap();
        assert!(by.ends_with(" (control socket)") && by.len() > 17, "{event}");
        assert_eq!(event["initiatingUserRole"], "administrator", "{event}");
    }
    server.stop();
    assert!(!home.program.data().join(NAME).exists());
}

#[test]
fn what_is_refused_is_refused_with_the_same_words_beside_a_server_and_without_one() {
    let home = Home::new();
    let ids = home.releases(3);
    home.json(&["policy", "activate", &ids[1]]);
    // Of the third, one byte is changed on the shelf.
    let shelf = home
        .program
        .data()
        .join("releases")
        .join(format!("{}.patrol", ids[2]));
    let mut bytes = fs::read(&shelf).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&shelf, bytes).unwrap();

    let attempts: [&[&str]; 6] = [
        &["policy", "activate", &ids[0]],
        &["policy", "activate", &ids[1]],
        &["policy", "activate", &ids[2]],
        &["policy", "activate", "0123456789abcdef"],
        &["policy", "activate", &ids[0], "--tenant", "nobody"],
        &["policy", "rollback", "--tenant", "acme"],
    ];
    let without = attempts.map(|attempt| home.fails(attempt));
    assert_eq!(without.each_ref().map(|(code, _)| *code), [3, 3, 3, 4, 4, 3]);
    assert!(without[0].1.contains("--allow-downgrade"), "{without:?}");
    assert!(
        without[2].1.contains("was altered") && without[2].1.contains(&ids[2]),
        "{without:?}"
    );
    let server = home.program.serve();
    assert_eq!(attempts.map(|attempt| home.fails(attempt)), without);
    assert_eq!(deciding(&server), [home.component(&ids[1])]);
    assert_eq!(home.events("activate_policy").len(), 1);

    home.json(&["policy", "activate", &ids[0], "--allow-downgrade"]);
    assert_eq!(deciding(&server), [home.component(&ids[0])]);
}

#[test]
fn a_list_says_what_is_active_and_runs_for_whom_and_what_was_rolled_back() {
    let home = Home::new();
    let ids = home.releases(3);
    for serving in [false, true] {
        let server = serving.then(|| home.program.serve());
        home.json(&["policy", "activate", &ids[0]]);
        home.json(&["policy", "activate", &ids[1], "--tenant", "acme"]);
        home.json(&["policy", "activate", &ids[2], "--tenant", "acme"]);
        home.json(&["policy", "rollback", "--tenant", "acme"]);

        let [first, second, third] = [0, 1, 2].map(|release| home.listed(&ids[release]));
        assert_eq!(
            (&first["active"], &second["active"]),
            (&true.into(), &false.into())
        );
        assert_eq!(first["activeFor"], serde_json::json!([null]));
        assert_eq!(second["activeFor"], serde_json::json!(["acme"]));
        assert_eq!(third["activeFor"], serde_json::json!([]));
        for (row, whose) in [(&first, serde_json::Value::Null), (&second, "acme".into())] {
            let runs = row["runs"].as_array().unwrap();
            assert_eq!((runs.len(), &runs[0]["tenant"]), (1, &whose), "{row}");
            assert!(runs[0]["since"].as_str().unwrap().ends_with('Z'), "{row}");
            // Only a server watches.
            assert_eq!(runs[0]["watched"].is_object(), serving, "{row}");
        }
        assert_eq!(third["runs"], serde_json::json!([]));
        let ended = &third["rolledBack"][0];
        assert_eq!(ended["tenant"], "acme", "{third}");
        let door = if serving {
            "(control socket)"
        } else {
            "(command line)"
        };
        assert!(ended["why"].as_str().unwrap().ends_with(door), "{third}");

        home.json(&["policy", "rollback", "--tenant", "acme"]);
        home.json(&["policy", "rollback"]);
        assert_eq!(home.listed(&ids[0])["runs"], serde_json::json!([]));
        if let Some(server) = server {
            server.stop();
        }
    }
}

#[test]
fn a_release_that_a_server_passed_over_is_listed_as_such() {
    let home = Home::new();
    let ids = home.releases(2);
    home.json(&["policy", "activate", &ids[0]]);
    home.json(&["policy", "activate", &ids[1]]);
    let shelf = home
        .program
        .data()
        .join("releases")
        .join(format!("{}.patrol", ids[1]));
    let good = fs::read(&shelf).unwrap();
    fs::write(&shelf, &good[..good.len() - 1]).unwrap();
    let server = home.program.serve();
    // Mended meanwhile: it is the server that is asked, not the files.
    fs::write(&shelf, &good).unwrap();
    let (first, second) = (home.listed(&ids[0]), home.listed(&ids[1]));
    assert_eq!(first["runs"].as_array().unwrap().len(), 1, "{first}");
    assert_eq!(second["active"], true, "{second}");
    assert_eq!(second["runs"], serde_json::json!([]));
    assert!(
        second["passedOver"][0]["why"]
            .as_str()
            .unwrap()
            .contains("release"),
        "{second}"
    );
    // A rollback takes back the active one, which did not run; what ran runs on.
    home.json(&["policy", "rollback"]);
    assert_eq!(deciding(&server), [home.component(&ids[0])]);
    let second = home.listed(&ids[1]);
    assert_eq!(second["passedOver"], serde_json::json!([]));
}

#[test]
fn a_server_that_cannot_be_asked_is_told_and_nothing_is_changed() {
    let home = Home::new();
    let ids = home.releases(1);
    // As a server does that is too old to have a socket, or that hangs.
    let lock = ServeLock::take(&home.program.data()).unwrap();
    for args in [
        &["policy", "activate", &ids[0]][..],
        &["policy", "rollback"],
        &["policy", "list"],
    ] {
        let (code, said) = home.fails(args);
        assert_eq!(code, 8, "{said}");
        assert!(said.contains(NAME) && said.contains("stop it"), "{said}");
    }
    drop(lock);
    assert_eq!(home.events("activate_policy").len(), 0);
}

#[test]
fn a_tenant_goes_over_to_a_release_of_its_own_and_back_to_everybodys() {
    let home = Home::new();
    let ids = home.releases(2);
    let server = home.program.serve();
    home.json(&["policy", "activate", &ids[0]]);
    home.json(&["policy", "activate", &ids[1], "--tenant", "acme"]);
    let mut both = [home.component(&ids[0]), home.component(&ids[1])];
    both.sort();
    assert_eq!(deciding(&server), both);
    assert_eq!(check(&server, &home.secret), 200);
    home.json(&["policy", "rollback", "--tenant", "acme"]);
    assert_eq!(deciding(&server), [home.component(&ids[0])]);
    assert_eq!(check(&server, &home.secret), 200);
}
