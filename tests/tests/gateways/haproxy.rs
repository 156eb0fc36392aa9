//! HAProxy, with SPOE.

use std::process::Command;

use patrol_tests::gateway::files::{copy, replace, shipped};
use patrol_tests::gateway::haproxy::HaProxy;
use patrol_tests::gateway::probe::{Form, Gateway as _, World};
use patrol_tests::gateway::{find, free_port, have, readme, wait_for};

patrol_tests::probe!(HaProxy);

#[test]
fn the_largest_identity_reaches_the_service() {
    let Some(world) = World::<HaProxy>::new() else {
        return;
    };
    super::the_largest_identity(&world);
}

#[test]
fn a_request_with_all_the_headers_that_haproxy_takes_is_decided_about() {
    let Some(world) = World::<HaProxy>::new() else {
        return;
    };
    let token = world.patrol.token("ann", "large", "30d");
    // HAProxy takes 15 KiB in all; Patrol is sent all of them, in one frame.
    for (bytes, expected) in [(14_000, 200), (14_600, 200), (17_000, 400)] {
        let padding = format!("X-Padding: {}", "x".repeat(bytes));
        let arguments = [
            &Form::Bearer.arguments(&token.secret)[..],
            &["--header".to_owned(), padding],
        ]
        .concat();
        let answer = world.ask("/thing", &arguments);
        assert_eq!(answer.status, expected, "{bytes}: {answer:?}");
    }
    // In many small ones.
    let many: Vec<_> = (0..90)
        .flat_map(|n| ["--header".to_owned(), format!("X-{n}: y")])
        .collect();
    let arguments = [&Form::Bearer.arguments(&token.secret)[..], &many].concat();
    assert_eq!(world.ask("/thing", &arguments).status, 200);
}

#[test]
fn every_denial_is_json_and_not_to_be_stored() {
    let Some(mut world) = World::<HaProxy>::new() else {
        return;
    };
    let token = world.patrol.token("ann", "twice", "30d");
    let mut twice = Form::Bearer.arguments(&token.secret).to_vec();
    twice.extend(Form::Session.arguments("x"));
    let none: &[String] = &[];
    for (path, arguments, status) in [
        ("/thing", none, 401),
        ("/thing", &*twice, 400),
        ("/a/../thing", &[], 400),
    ] {
        let answer = world.ask(path, arguments);
        super::assert_problem(&answer, status);
    }
    world.server.kill();
    let answer = world.ask_once("/thing", none);
    super::assert_problem(&answer, 503);
    assert_eq!(answer.all("Retry-After"), ["1"]);
}

#[test]
fn no_secret_is_in_haproxys_log() {
    let Some(mut world) = World::<HaProxy>::new() else {
        return;
    };
    let token = world.patrol.token("ann", "quiet", "30d");
    assert_eq!(world.bearer(&token.secret).status, 200);
    world.server.kill();
    assert_eq!(
        world
            .ask_once("/thing", &Form::Bearer.arguments(&token.secret))
            .status,
        503
    );
    let log = wait_for("the failure to be logged", || {
        let log = world.gateway.log();
        log.contains("/thing").then_some(log)
    });
    assert!(!log.contains(&token.secret), "{log}");
}

#[test]
fn the_steps_in_the_readme_work_as_written() {
    if !have(&["bash", "haproxy", "curl"]) {
        return;
    }
    let directory = tempfile::TempDir::new().unwrap();
    let home = directory.path().join("haproxy");
    copy(&shipped("haproxy"), &home);
    let [patrol, agent, gateway, service] = [(); 4].map(|()| format!("127.0.0.1:{}", free_port()));
    replace(
        &home.join("haproxy.cfg"),
        &[
            ("127.0.0.1:8787", &patrol),
            ("127.0.0.1:8790", &agent),
            ("127.0.0.1:8080", &gateway),
            ("127.0.0.1:9000", &service),
        ],
    );
    replace(&home.join("demo.cfg"), &[("127.0.0.1:9000", &service)]);
    let serve = format!("patrol serve --listen {patrol}");
    let changes = [
        ("$PWD/host/gateways/haproxy", &*home.display().to_string()),
        ("patrol serve", &*serve),
        ("127.0.0.1:8787", &*patrol),
        ("127.0.0.1:8790", &*agent),
        ("127.0.0.1:8080", &*gateway),
    ];
    readme::follow("haproxy", directory.path(), &changes);
}

#[test]
fn the_shipped_files_raise_no_warning() {
    if !have(&["haproxy"]) {
        return;
    }
    let mut check = Command::new(find("haproxy").unwrap());
    check
        .args(["-c", "-dW", "-f"])
        .arg(shipped("haproxy").join("haproxy.cfg"));
    let output = check.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("WARNING"), "{said}");
}
