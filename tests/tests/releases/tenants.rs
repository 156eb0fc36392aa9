//! A tenant bound to a release of its own, by the program as people run it.

use std::fs;

use patrol_tests::maker::Maker;
use serde_json::{Value, json};

/// With two tenants, and a release of the stricter policy staged; its id.
fn staged() -> (Maker, String) {
    let maker = Maker::new();
    maker.program.json(&["tenant", "create", "acme"]);
    maker.program.json(&["tenant", "create", "globex"]);
    let component = patrol_tests::policies::component("stricter");
    let id = maker.stage(&maker.release_of(&component, 1, &[]));
    (maker, id)
}

#[test]
fn who_runs_what_is_shown_for_everybody_and_each_bound_tenant_by_name() {
    let (maker, id) = staged();
    let who = || maker.program.json(&["policy", "who"]);
    assert_eq!(
        who(),
        json!([{"tenant": null, "decides": "built-in", "release": null, "since": null, "passedOver": []}])
    );
    maker
        .program
        .json(&["policy", "activate", &id[..12], "--tenant", "globex"]);
    let bound = who();
    assert_eq!(bound[0]["decides"], "built-in");
    assert_eq!(
        (
            &bound[1]["tenant"],
            &bound[1]["decides"],
            &bound[1]["release"]["id"]
        ),
        (&json!("globex"), &json!("release"), &json!(id))
    );
    let listed = maker.program.json(&["policy", "list"]);
    assert_eq!(listed[0]["active"], false);
    assert_eq!(listed[0]["activeFor"], json!(["globex"]));

    let show = |tenant: &str| maker.program.json(&["policy", "show", "--tenant", tenant]);
    let (own, others) = (show("globex"), show("acme"));
    assert_eq!(
        (&own["own"], &own["release"], &own["name"]),
        (&json!(true), &json!(id), &json!("stricter"))
    );
    assert_eq!(own["limits"]["idleAfter"], "7d");
    assert_eq!(
        (&others["own"], &others["release"]),
        (&json!(false), &Value::Null)
    );
    assert_eq!(others["limits"]["idleAfter"], "15d");
    assert_eq!(
        maker.program.json(&["policy", "show"])["digest"],
        others["digest"]
    );

    maker.program.json(&["policy", "rollback", "--tenant", "globex"]);
    assert_eq!(who().as_array().unwrap().len(), 1);
    assert!(
        maker
            .judge(&["policy", "rollback", "--tenant", "globex"])
            .unwrap()
            .contains("no release of its own")
    );
}

#[test]
fn a_tenant_that_is_not_there_is_named() {
    let (maker, id) = staged();
    for args in [
        &["policy", "activate", &id, "--tenant", "initech"][..],
        &["policy", "rollback", "--tenant", "initech"],
        &["policy", "show", "--tenant", "initech"],
    ] {
        let before = maker.program.said().len();
        assert_eq!(
            maker.program.run(args).code,
            Some(4),
            "{args:?}: {}",
            maker.program.said()
        );
        let said = maker.program.said().split_off(before);
        assert!(
            said.contains("there is no tenant \\\"initech\\\"")
                || said.contains("there is no tenant \"initech\""),
            "{said}"
        );
    }
}

#[test]
fn a_tenants_release_that_cannot_run_is_named_with_what_to_do() {
    let (maker, id) = staged();
    maker
        .program
        .json(&["policy", "activate", &id, "--tenant", "globex"]);
    assert_eq!(
        maker.program.run(&["doctor"]).code,
        Some(0),
        "{}",
        maker.program.said()
    );
    let stored = maker.program.data().join(format!("releases/{id}.patrol"));
    let mut bytes = fs::read(&stored).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&stored, bytes).unwrap();

    let who = maker.program.json(&["policy", "who"]);
    assert_eq!(
        (&who[1]["tenant"], &who[1]["decides"]),
        (&json!("globex"), &json!("everybodys"))
    );
    assert_eq!(who[1]["passedOver"][0]["release"]["id"], json!(id));
    let run = maker.program.run(&["doctor"]);
    assert_eq!(run.code, Some(12), "{}", run.out);
    let report: Value = serde_json::from_str(&run.out).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let failed: Vec<_> = findings
        .iter()
        .filter(|finding| finding["status"] == "fail")
        .collect();
    assert_eq!(failed.len(), 1, "{report}");
    let advice = failed[0]["advice"].as_str().unwrap();
    for part in [
        "globex",
        &id[..12],
        "what everybody has",
        "policy rollback --tenant",
    ] {
        assert!(advice.contains(part), "{part}: {advice}");
    }
    let rollback = advice
        .split("`patrol ")
        .nth(1)
        .unwrap()
        .split('`')
        .next()
        .unwrap();
    maker.program.json(&rollback.split(' ').collect::<Vec<_>>());
    assert_eq!(maker.program.run(&["doctor"]).code, Some(0));
}

#[test]
fn a_tenant_does_not_fall_behind_what_everybody_has_without_a_word() {
    let (maker, ids) = super::activation::staged(2);
    let program = &maker.program;
    program.json(&["policy", "activate", &ids[1]]);
    let run = program.run(&["policy", "activate", &ids[0], "--tenant", "acme"]);
    assert_eq!(run.code, Some(3));
    assert!(
        program.said().contains("not after release 2"),
        "{}",
        program.said()
    );
    // What it has already, it may keep.
    program.json(&["policy", "activate", &ids[1], "--tenant", "acme"]);
    program.json(&["policy", "rollback", "--tenant", "acme"]);
    program.json(&[
        "policy",
        "activate",
        &ids[0],
        "--tenant",
        "acme",
        "--allow-downgrade",
    ]);
}
