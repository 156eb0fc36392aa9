//! Staged, activated and rolled back: what runs is the old release or the new one, and the audit trail says which.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use patrol::release::{Manifest, Release, hex};
use patrol::service::{Patrol, ReleaseError, Settings};
use patrol_tests::deployment::{operator, raw};
use patrol_tests::maker::Maker;
use patrol_tests::{hostile, wasm};

/// The built-in policy with a note in it: another component, which decides the same.
fn variant(maker: &Maker, note: u8) -> PathBuf {
    let path = maker.path(&format!("variant-{note}.wasm"));
    fs::write(&path, wasm::noted(note)).unwrap();
    path
}

/// With a data directory, and releases 1 to `count` staged; their ids.
pub fn staged(count: u32) -> (Maker, Vec<String>) {
    let maker = Maker::new();
    maker.program.json(&["tenant", "create", "acme"]);
    let stage = |number: u32| {
        let component = variant(&maker, b'0' + u8::try_from(number).unwrap());
        maker.stage(&maker.release_of(&component, number, &[]))
    };
    let ids = (1..=count).map(stage).collect();
    (maker, ids)
}

pub fn running(maker: &Maker) -> String {
    maker.program.json(&["policy", "show"])["digest"]
        .as_str()
        .unwrap()
        .to_owned()
}

pub fn component(maker: &Maker, id: &str) -> String {
    let file = maker.program.data().join("releases").join(format!("{id}.patrol"));
    maker.program.json(&["policy", "inspect", file.to_str().unwrap()])["manifest"]["component"]
        .as_str()
        .unwrap()
        .to_owned()
}

pub fn events(maker: &Maker, kind: &str) -> usize {
    let events = maker.program.json(&["audit", "list", "--type", kind]);
    events.as_array().unwrap().len()
}

#[test]
fn what_was_activated_runs_until_it_is_rolled_back() {
    let (maker, ids) = staged(2);
    let built_in = running(&maker);
    maker.program.json(&["policy", "activate", &ids[0][..12]]);
    assert_eq!(running(&maker), component(&maker, &ids[0]));
    maker.program.json(&["policy", "activate", &ids[1]]);
    assert_eq!(running(&maker), component(&maker, &ids[1]));
    let listed = maker.program.json(&["policy", "list"]);
    let active: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["active"] == true)
        .collect();
    assert_eq!(active, [true, false]);
    let differs = maker.program.json(&["policy", "diff", &ids[0], &ids[1]]);
    assert!(
        differs
            .as_array()
            .unwrap()
            .iter()
            .any(|row| row["what"] == "component")
    );

    maker.program.json(&["policy", "rollback"]);
    assert_eq!(running(&maker), component(&maker, &ids[0]));
    maker.program.json(&["policy", "rollback"]);
    assert_eq!(running(&maker), built_in);
    assert!(
        maker
            .judge(&["policy", "rollback"])
            .unwrap()
            .contains("nothing to roll back")
    );
    let counted = ["stage_policy", "activate_policy", "rollback_policy"].map(|kind| events(&maker, kind));
    assert_eq!(counted, [2, 2, 2]);
}

#[test]
fn a_downgrade_is_refused_unless_it_is_allowed() {
    let (maker, ids) = staged(2);
    maker.program.json(&["policy", "activate", &ids[1]]);
    let said = maker.judge(&["policy", "activate", &ids[0]]).unwrap();
    assert!(said.contains("--allow-downgrade"), "{said}");
    let said = maker.judge(&["policy", "activate", &ids[1]]).unwrap();
    assert!(said.contains("active already"), "{said}");
    maker
        .program
        .json(&["policy", "activate", &ids[0], "--allow-downgrade"]);
    assert_eq!(running(&maker), component(&maker, &ids[0]));
}

#[test]
fn a_release_that_is_refused_is_not_kept() {
    let maker = Maker::new();
    maker.program.json(&["tenant", "create", "acme"]);
    let unsigned = maker.release(1, &["--unsigned"]);
    let said = maker
        .judge(&["policy", "stage", unsigned.to_str().unwrap()])
        .unwrap();
    assert!(said.contains("(signature)"), "{said}");
    assert_eq!(maker.program.json(&["policy", "list"]), serde_json::json!([]));
    assert_eq!(events(&maker, "stage_policy"), 0);
}

#[test]
fn a_release_that_cannot_be_loaded_leaves_the_last_good_one_running() {
    let (maker, ids) = staged(2);
    let built_in = running(&maker);
    maker.program.json(&["policy", "activate", &ids[0]]);
    maker.program.json(&["policy", "activate", &ids[1]]);
    let stored = maker
        .program
        .data()
        .join("releases")
        .join(format!("{}.patrol", ids[1]));
    let good = fs::read(&stored).unwrap();
    let mut altered = good.clone();
    let last = altered.len() - 1;
    altered[last] ^= 1;
    fs::write(&stored, altered).unwrap();
    let before = maker.program.said().len();
    assert_eq!(running(&maker), component(&maker, &ids[0]));
    let said = maker.program.said().split_off(before);
    assert!(said.contains("was altered") && said.contains(&ids[1]), "{said}");
    maker.program.serve().stop();
    assert_eq!(events(&maker, "pass_over_policy"), 1);

    fs::write(&stored, good).unwrap();
    assert_eq!(running(&maker), component(&maker, &ids[1]));
    // A key that is no longer trusted no longer decides.
    maker.configure("");
    assert_eq!(running(&maker), built_in);
}

#[test]
fn no_hostile_policy_gets_past_the_trial() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = Settings::new(&directory.path().join("data"));
    settings.config.policy.allow_unsigned = true;
    let patrol = Patrol::open(settings).unwrap();
    let mut cases = 0;
    for entry in fs::read_dir(hostile::directory()).unwrap() {
        let case = entry.unwrap().file_name();
        let component = hostile::policy(case.to_str().unwrap());
        let manifest = Manifest {
            name: "hostile".to_owned(),
            version: "1.0.0".to_owned(),
            release: 1,
            component: String::new(),
            wit: patrol::release::CONTRACT.to_owned(),
            minimum_host: "0.0.1".to_owned(),
            created: "2027-01-31T17:00:00Z".to_owned(),
            notes: String::new(),
        };
        let verdict = Release::make(manifest, component, None)
            .map_err(ReleaseError::from)
            .and_then(|release| patrol.stage(&operator(), &release));
        assert!(
            matches!(verdict, Err(ReleaseError::Unfit(_))),
            "{case:?}: {verdict:?}"
        );
        cases += 1;
    }
    assert!(cases > 30);
    assert_eq!(patrol.releases().unwrap(), []);
    // Nor is anything left of them.
    let kept = fs::read_dir(directory.path().join("data/releases"))
        .unwrap()
        .count();
    assert_eq!(kept, 0);
}

#[test]
fn a_crash_leaves_the_old_release_or_the_new_one() {
    let (maker, ids) = staged(3);
    let fourth = maker.release_of(&variant(&maker, b'9'), 4, &[]);
    let fourth = fourth.to_str().unwrap();
    // How long each takes where nobody kills it.
    let took = |args: &[&str]| {
        let started = Instant::now();
        maker.program.json(args);
        started.elapsed()
    };
    let staging = took(&["policy", "stage", fourth]);
    let changing = took(&["policy", "activate", &ids[0]]);
    let data = maker.program.data();
    let count = |sql: &str| -> u64 { raw(&data).query_row(sql, [], |row| row.get(0)).unwrap() };
    let mut changed = 0;
    for round in 0..60_u64 {
        let id = &ids[usize::try_from(round / 3).unwrap() % 3];
        let (args, took) = match round % 3 {
            0 => (vec!["policy", "stage", fourth], staging),
            1 => (vec!["policy", "activate", id, "--allow-downgrade"], changing),
            _ => (vec!["policy", "rollback"], changing),
        };
        let before = count("SELECT count(*) FROM audit");
        let mut child = maker.program.command(&args).spawn().unwrap();
        // From before it has opened anything to after it has ended.
        std::thread::sleep(took * u32::try_from(round / 3 * 7 % 20).unwrap() / 12);
        let _ = child.kill();
        child.wait().unwrap();
        changed += count("SELECT count(*) FROM audit") - before;

        let events = |kind: &str| {
            count(&format!(
                "SELECT count(*) FROM audit WHERE type = '{kind}_policy'"
            ))
        };
        assert_eq!(
            events("activate") - events("rollback"),
            count("SELECT count(*) FROM activation")
        );
        let of_stages = "SELECT count(DISTINCT json_extract(body, '$.details.release')) FROM audit WHERE type = 'stage_policy'";
        let of_stages = count(of_stages);
        assert_eq!(of_stages, count("SELECT count(*) FROM release"));
        let patrol = Patrol::open(Settings {
            config: patrol::Config::load(Some(&maker.program.configuration())).unwrap(),
            ..Settings::new(&data)
        })
        .unwrap();
        assert!(
            patrol.passed_over().is_empty(),
            "round {round}: {:?}",
            patrol.passed_over()
        );
        let (known, active) = (patrol.releases().unwrap(), patrol.activations(None).unwrap());
        assert_eq!(patrol.running_release().as_ref(), active.first());
        for row in known {
            patrol.release(&hex(&row.digest)).unwrap();
        }
    }
    assert!(
        changed > 5,
        "hardly anything was done before it was killed: {changed}"
    );
}
