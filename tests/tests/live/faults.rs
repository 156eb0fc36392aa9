//! A release that faults is contained while it decides, and rolled back without a person.

use std::fs;

use patrol_tests::gateway::wait_for;
use patrol_tests::hostile;
use patrol_tests::program::Server;
use patrol_tests::variant::Turn;
use patrol_tests::wasm::noted;
use serde_json::Value;

use crate::support::{Home, check, deciding, get, metric, turned};

const BY_FAULTS: &str = "patrol_policy_rollbacks_total{cause=\"faults\"}";

/// Presents the token until another policy decides; what the answers were meanwhile.
#[track_caller]
fn until_it_is_gone(server: &Server, secret: &str, component: &str) -> Vec<u16> {
    let mut answers = Vec::new();
    wait_for("the rollback", || {
        answers.push(check(server, secret));
        (!deciding(server).contains(&component.to_owned())).then_some(())
    });
    answers
}

#[test]
fn a_release_that_passed_its_trial_and_turns_bad_is_gone_without_a_person() {
    let home = Home::new();
    let good = home.stage(&noted(1), 1);
    let bad = home.stage(&turned(Turn::Traps), 2);
    let server = home.program.serve();
    home.json(&["policy", "activate", &good]);
    home.json(&["policy", "activate", &bad]);
    let answers = until_it_is_gone(&server, &home.secret, &home.component(&bad));
    // No verdict is not a yes; nor is it more than a handful.
    assert!(
        answers.iter().filter(|status| **status == 503).count() >= 5,
        "{answers:?}"
    );
    assert!(
        answers.iter().all(|status| [200, 503].contains(status)),
        "{answers:?}"
    );
    assert_eq!(deciding(&server), [home.component(&good)]);
    assert_eq!(check(&server, &home.secret), 200);
    assert_eq!(get(server.address, "/readyz").status, 200);

    assert_eq!(metric(&server, BY_FAULTS), Some(1.0));
    let events = home.events("rollback_policy");
    assert_eq!(events.len(), 1);
    let (event, details) = (&events[0], &events[0]["details"]);
    assert_eq!(event["initiatingUserRole"], "system", "{event}");
    assert_eq!(
        (&details["cause"], &details["release"]),
        (&"faults".into(), &bad.as_str().into())
    );
    assert_eq!(details["to"], good.as_str());
    assert!(details["faults"].as_u64().unwrap() >= 5, "{event}");
    assert!(details["calls"].as_u64() >= details["faults"].as_u64(), "{event}");
    let last = details["lastFault"].as_str().unwrap();
    assert!(
        last.contains("trapped") && last.contains("unreachable"),
        "{event}"
    );
    assert!(
        home.program
            .said()
            .contains("faults too often: it is rolled back")
    );
    let ended = home.listed(&bad)["rolledBack"][0]["why"].clone();
    assert!(
        ended.as_str().unwrap().starts_with("by itself, after "),
        "{ended}"
    );

    // Nor does it come back with a restart.
    server.stop();
    let server = home.program.serve();
    assert_eq!(deciding(&server), [home.component(&good)]);
    assert_eq!(check(&server, &home.secret), 200);
}

#[test]
fn no_hostile_policy_lets_anybody_in_and_those_that_fault_are_gone_without_a_person() {
    let home = Home::with("");
    // A policy that never answers is not to keep the test waiting for as long as a busy machine may take.
    home.configure("deadline = \"500ms\"\n");
    let revoked = home.program.token("ann", "revoked", "90d");
    home.json(&["token", "revoke", revoked["id"].as_str().unwrap()]);
    let revoked = revoked["secret"].as_str().unwrap();
    let server = home.program.serve();
    let built_in = deciding(&server);
    let (mut refused, mut gone, mut stayed) = (0, 0, Vec::new());
    let mut cases: Vec<_> = fs::read_dir(hostile::directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    cases.sort();
    for (number, case) in (1..).zip(&cases) {
        let id = home.force(&hostile::policy(case), number);
        if home.program.run(&["policy", "activate", &id]).code != Some(0) {
            assert_eq!(deciding(&server), built_in, "{case}");
            refused += 1;
            continue;
        }
        let before = metric(&server, BY_FAULTS);
        let mut answers = Vec::new();
        for _ in 0..40 {
            if metric(&server, BY_FAULTS) != before {
                break;
            }
            let by_revoked = check(&server, revoked);
            assert!([401, 503].contains(&by_revoked), "{case}: {by_revoked}");
            answers.push((check(&server, &home.secret), by_revoked));
            assert_eq!(get(server.address, "/healthz").status, 200, "{case}");
            // A rollback is not waited for by whoever asks.
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        if metric(&server, BY_FAULTS) == before {
            // It answered: with a refusal, or with a yes that the records do not forbid.
            let answered = answers
                .iter()
                .all(|(good, bad)| [200, 401].contains(good) && *bad == 401);
            assert!(answered, "{case}: {answers:?}");
            stayed.push(case.as_str());
            home.json(&["policy", "rollback"]);
        } else {
            gone += 1;
        }
        assert_eq!(deciding(&server), built_in, "{case}");
        assert_eq!(
            (check(&server, &home.secret), check(&server, revoked)),
            (200, 401),
            "{case}"
        );
    }
    // Most fault; a few are nothing that this host runs; the one or the other can only refuse.
    assert!(
        gone > 20 && refused > 5 && stayed.len() < 5,
        "{gone} gone, {refused} refused, {stayed:?} stayed"
    );
    assert_eq!(home.events("rollback_policy").len(), gone + stayed.len());
    server.stop();
    assert_eq!(home.json(&["doctor"])["ok"], true);
}

#[test]
fn it_goes_down_the_stack_past_all_that_fault_as_far_as_the_built_in_policy() {
    let home = Home::new();
    let first = home.force(&hostile::policy("unreachable"), 1);
    let second = home.force(&turned(Turn::Traps), 2);
    home.json(&["policy", "activate", &first]);
    home.json(&["policy", "activate", &second]);
    // Activated while no server ran: watched from the first start on.
    let server = home.program.serve();
    let built_in = wait_for("the rollbacks", || {
        check(&server, &home.secret);
        (metric(&server, BY_FAULTS) == Some(2.0)).then(|| deciding(&server))
    });
    assert_eq!(check(&server, &home.secret), 200);
    let rolled: Vec<_> = home
        .events("rollback_policy")
        .iter()
        .map(|event| {
            (
                event["details"]["release"].clone(),
                event["details"]["to"].clone(),
            )
        })
        .collect();
    assert_eq!(
        rolled,
        [
            (second.as_str().into(), first.as_str().into()),
            (first.as_str().into(), Value::Null)
        ]
    );
    server.stop();
    let server = home.program.serve();
    assert_eq!(deciding(&server), built_in);
}

#[test]
fn a_release_of_one_tenant_is_taken_from_that_tenant_alone() {
    let home = Home::new();
    let everybodys = home.stage(&noted(1), 1);
    let own = home.stage(&turned(Turn::Traps), 2);
    let server = home.program.serve();
    home.json(&["policy", "activate", &everybodys]);
    home.json(&["policy", "activate", &own, "--tenant", "acme"]);
    until_it_is_gone(&server, &home.secret, &home.component(&own));
    assert_eq!(deciding(&server), [home.component(&everybodys)]);
    assert_eq!(check(&server, &home.secret), 200);
    let events = home.events("rollback_policy");
    assert_eq!(events.len(), 1);
    assert!(events[0]["details"]["tenantId"].is_string(), "{}", events[0]);
    assert_eq!(home.listed(&own)["rolledBack"][0]["tenant"], "acme");
    assert_eq!(home.listed(&everybodys)["active"], true);
}

#[test]
fn a_release_that_has_proven_itself_is_not_watched_any_more_and_one_that_has_not_is() {
    let home = Home::with("watch = \"1ms\"\n");
    let id = home.stage(&noted(1), 1);
    let server = home.program.serve();
    home.json(&["policy", "activate", &id]);
    let watched = |home: &Home| home.listed(&id)["runs"][0]["watched"].clone();
    for _ in 0..10 {
        assert_eq!(check(&server, &home.secret), 200);
    }
    // Time alone proves nothing.
    assert_eq!(watched(&home)["faults"], 0);
    assert_eq!(watched(&home)["calls"], 10);
    server.stop();
    // A restart begins it anew.
    let server = home.program.serve();
    assert_eq!(watched(&home)["calls"], 0);
    for _ in 0..100 {
        assert_eq!(check(&server, &home.secret), 200);
    }
    wait_for("the proof", || watched(&home).is_null().then_some(()));
    server.stop();
    let server = home.program.serve();
    assert_eq!(watched(&home), Value::Null);
    server.stop();
}

#[test]
fn nothing_is_rolled_back_where_that_is_turned_off_or_the_rate_is_not_reached() {
    let home = Home::with("watch = \"0s\"\n");
    let bad = home.stage(&turned(Turn::Traps), 1);
    let server = home.program.serve();
    home.json(&["policy", "activate", &bad]);
    for _ in 0..20 {
        assert_eq!(check(&server, &home.secret), 503);
    }
    assert_eq!(home.listed(&bad)["runs"][0]["watched"], Value::Null);
    server.stop();

    home.configure("deadline = \"5s\"\nwatch_least = 50\n");
    let server = home.program.serve();
    for _ in 0..49 {
        assert_eq!(check(&server, &home.secret), 503);
    }
    assert_eq!(home.listed(&bad)["runs"][0]["watched"]["faults"], 49);
    assert_eq!(metric(&server, BY_FAULTS), Some(0.0));
    until_it_is_gone(&server, &home.secret, &home.component(&bad));
    assert_eq!(check(&server, &home.secret), 200);
}
