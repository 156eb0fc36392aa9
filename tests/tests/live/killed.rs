//! kill -9 at every step of staging, activating and rolling back beside a running server: it starts again with the old
//! release or the new one, whole.

use std::time::{Duration, Instant};

use patrol_tests::deployment::raw;
use patrol_tests::program::ended;
use patrol_tests::wasm::noted;
use serde_json::Value;

use crate::support::{Home, check, deciding};

#[test]
fn a_server_that_is_killed_while_it_changes_its_policy_has_the_old_one_or_the_new_one() {
    let home = Home::new();
    let ids = home.releases(3);
    let data = home.program.data();
    let count = |sql: &str| -> u64 { raw(&data).query_row(sql, [], |row| row.get(0)).unwrap() };
    let mut took = Duration::from_millis(100);
    let (mut changed, mut unchanged) = (0, 0);
    for round in 0..66_u32 {
        let server = home.program.serve();
        let before = deciding(&server);
        let expected = ["stage", "activate", "rollback"][round as usize % 3];
        let fresh = home.sign(&noted(u8::try_from(round + 100).unwrap()), 4 + round);
        let id = &ids[round as usize / 3 % 3];
        let args = match expected {
            "stage" => vec!["policy", "stage", fresh.to_str().unwrap()],
            "activate" => vec!["policy", "activate", id, "--allow-downgrade"],
            _ => vec!["policy", "rollback"],
        };
        let audited = count("SELECT count(*) FROM audit WHERE type LIKE '%_policy'");
        let begun = Instant::now();
        let mut client = home.program.command(&args).spawn().unwrap();
        if round < 3 {
            client.wait().unwrap();
            took = took.max(begun.elapsed());
        } else {
            // From before the client has asked to after it has its answer.
            std::thread::sleep(took * (round * 7 % 22) / 20);
        }
        server.kill();
        let run = ended(client);
        let now = count("SELECT count(*) FROM audit WHERE type LIKE '%_policy'");
        // What was acknowledged was done.
        assert!(run.code != Some(0) || now == audited + 1, "round {round}");
        assert!(now <= audited + 1, "round {round}");

        let events = |kind: &str| {
            count(&format!(
                "SELECT count(*) FROM audit WHERE type = '{kind}_policy'"
            ))
        };
        assert_eq!(
            events("activate") - events("rollback"),
            count("SELECT count(*) FROM activation"),
            "round {round}"
        );
        let server = home.program.serve();
        assert_eq!(check(&server, &home.secret), 200);
        let after = deciding(&server);
        if now > audited && expected != "stage" {
            changed += 1;
        } else {
            unchanged += 1;
            assert_eq!(after, before, "round {round}");
        }
        let listed = home.json(&["policy", "list"]);
        let active = listed
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["active"] == true);
        match active {
            Some(row) => assert_eq!(
                after,
                [home.component(row["id"].as_str().unwrap())],
                "round {round}"
            ),
            None => assert_eq!(count("SELECT count(*) FROM activation"), 0, "round {round}"),
        }
        let passed_over = |row: &Value| row["passedOver"] == serde_json::json!([]);
        assert!(listed.as_array().unwrap().iter().all(passed_over), "{listed}");
        server.stop();
    }
    assert_eq!(
        home.program.run(&["audit", "verify"]).code,
        Some(0),
        "{}",
        home.program.said()
    );
    assert_eq!(home.json(&["doctor"])["ok"], true);
    assert!(
        changed > 8 && unchanged > 8,
        "{changed} changed, {unchanged} did not"
    );
}
