//! `patrol identity`: the key that signs who calls.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::support::{Home, text};

fn kids(shown: &Value) -> Vec<String> {
    let keys = shown["keys"].as_array().unwrap();
    keys.iter().map(|key| text(&key["kid"])).collect()
}

fn published(server: &crate::support::Server) -> Vec<String> {
    let url = format!("http://{}/.well-known/jwks.json", server.address);
    kids(&ureq::get(&url).call().unwrap().body_mut().read_json().unwrap())
}

#[test]
fn a_rotation_keeps_the_key_before_and_forgets_it_where_asked() {
    let home = Home::with_ann();
    assert!(home.run(&["identity", "show"]).done().contains("none yet"));
    assert!(!home.data().join("identity.key").exists(), "to show makes none");
    let first = home.json(&["identity", "rotate"]);
    assert!(first.get("replacedKid").is_none());
    let second = home.json(&["identity", "rotate"]);
    assert_eq!(second["replacedKid"], first["kid"]);
    assert!(second["publishedUntil"].is_string());
    let shown = home.json(&["identity", "show"]);
    assert_eq!(kids(&shown), [text(&second["kid"]), text(&first["kid"])]);
    assert_eq!(shown["signed"], false);
    let third = home.json(&["identity", "rotate", "--forget"]);
    assert!(third.get("publishedUntil").is_none());
    assert_eq!(kids(&home.json(&["identity", "show"])), [text(&third["kid"])]);

    let mode = fs::metadata(home.data().join("identity.key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let events = home.json(&["audit", "list", "--type", "rotate_identity_key"]);
    assert_eq!(events.as_array().unwrap().len(), 3);
    // Nothing that is printed holds the key itself.
    let stored: Value = serde_json::from_slice(&fs::read(home.data().join("identity.key")).unwrap()).unwrap();
    let seed = text(&stored["seed"]);
    for args in [
        &["identity", "show"][..],
        &["--json", "identity", "show"],
        &["audit", "export"],
    ] {
        assert!(!home.run(args).done().contains(&seed), "{args:?}");
    }
}

#[test]
fn a_running_server_publishes_and_signs_with_what_a_rotation_made() {
    let home = Home::with_ann();
    home.configure("[policy]\ndeadline = \"5s\"\n[identity]\nsigned = true\n");
    let server = home.serve();
    let before = published(&server);
    assert_eq!(before.len(), 1, "the first question makes one");
    let made = home.json(&["identity", "rotate"]);
    assert_eq!(made["replacedKid"], before[0]);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while published(&server) != [text(&made["kid"]), before[0].clone()] {
        assert!(std::time::Instant::now() < deadline, "{:?}", published(&server));
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

#[test]
fn a_key_that_others_can_read_is_10_and_found_by_the_doctor() {
    let home = Home::with_ann();
    home.run(&["identity", "rotate"]).done();
    let path = home.data().join("identity.key");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    for command in ["show", "rotate"] {
        let message = home.run(&["identity", command]).failed(10);
        assert!(message.contains("chmod go="), "{message}");
    }
    let run = home.run(&["doctor"]);
    assert_eq!(run.code, Some(12), "{run:?}");
    assert!(run.out.contains("identity.key"), "{run:?}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, "{}").unwrap();
    let message = home.run(&["identity", "show"]).failed(10);
    assert!(message.contains("damaged"), "{message}");
    let run = home.run(&["doctor"]);
    assert!(
        run.code == Some(12) && run.out.contains("FAIL  identity key"),
        "{run:?}"
    );
}
