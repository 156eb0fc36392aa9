//! A policy that allows what nothing may allow never gets it through, and somebody is told.

use patrol_tests::hostile;
use patrol_tests::variant::Turn;

use crate::support::{Home, check, metric, turned};

#[test]
fn a_yes_that_the_floor_turns_down_raises_an_alarm_once_and_is_counted_each_time() {
    let home = Home::with("watch = \"0s\"\n");
    let revoked = home.program.token("ann", "revoked", "90d");
    home.json(&["token", "revoke", revoked["id"].as_str().unwrap()]);
    let liar = home.force(&hostile::policy("floor-yes-to-anything"), 1);
    let inventor = home.force(&turned(Turn::Allows([(1, 2), (3, 4), (5, 6)])), 2);
    let server = home.program.serve();
    let count = |rule: &str| {
        let series = format!("patrol_policy_floor_violations_total{{rule=\"{rule}\"}}");
        metric(&server, &series).unwrap()
    };
    // Nothing is nothing, not unknown: an alert can stand on it.
    assert_eq!(
        (count("ended"), count("identity"), count("secret")),
        (0.0, 0.0, 0.0)
    );
    home.json(&["policy", "activate", &liar]);
    for _ in 0..3 {
        assert_eq!(check(&server, revoked["secret"].as_str().unwrap()), 503);
        assert_eq!(check(&server, &home.secret), 200);
    }
    home.json(&["policy", "activate", &inventor]);
    for _ in 0..2 {
        assert_eq!(check(&server, &home.secret), 503);
    }
    assert_eq!(
        (count("ended"), count("identity"), count("secret")),
        (3.0, 2.0, 0.0)
    );
    assert_eq!(
        metric(&server, "patrol_policy_faults_total{kind=\"floor\"}"),
        Some(5.0)
    );
    assert_eq!(home.program.said().matches("ALARM").count(), 2);
    server.stop();

    let alarms = home.events("policy_floor_violation");
    let told: Vec<_> = alarms
        .iter()
        .map(|alarm| {
            (
                alarm["details"]["rule"].clone(),
                alarm["details"]["release"].clone(),
            )
        })
        .collect();
    let expected = [("ended", &liar), ("identity", &inventor)];
    assert_eq!(told, expected.map(|(rule, id)| (rule.into(), id.as_str().into())));
    let doctor = home.json(&["doctor"]);
    let findings = doctor["findings"].as_array().unwrap();
    let floor = findings
        .iter()
        .find(|finding| finding["what"] == "floor")
        .unwrap();
    assert_eq!(floor["status"], "warn", "{floor}");
    assert!(
        floor["advice"]
            .as_str()
            .unwrap()
            .contains("policy_floor_violation"),
        "{floor}"
    );
}
