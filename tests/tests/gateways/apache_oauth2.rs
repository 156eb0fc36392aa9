//! Apache, with mod_oauth2 and introspection.

use patrol_tests::gateway::apache_oauth2::{ApacheOauth2, MODULE, open};
use patrol_tests::gateway::client::decided;
use patrol_tests::gateway::files::{copy, replace, shipped};
use patrol_tests::gateway::patrol::Patrol;
use patrol_tests::gateway::probe::{Form, Gateway as _, World};
use patrol_tests::gateway::upstream::Upstream;
use patrol_tests::gateway::{free_port, have, is_root, readme, wait_for};
use serde_json::json;

patrol_tests::probe!(ApacheOauth2);

#[test]
fn the_trail_names_apache_as_the_client_that_asked_and_its_log_no_token() {
    let Some(world) = World::<ApacheOauth2>::new() else {
        return;
    };
    let token = world.patrol.token("ann", "to be revoked", "30d");
    assert_eq!(world.bearer(&token.secret).status, 200);
    world.patrol.json(&["token", "revoke", &token.id]);
    world.refuses(&token.secret);
    let events = wait_for("the refusals to be written down", || {
        let list = ["audit", "list", "--type", "verify_personal_access_token"];
        let events = world.patrol.json(&list).as_array().cloned()?;
        (events.len() >= 2).then_some(events)
    });
    // Once for Apache, which asks about a token, and once for the client that it turned away.
    let asked = events
        .iter()
        .find(|event| event["initiatingClientName"] == "apache");
    let asked = asked.unwrap_or_else(|| panic!("{events:?}"));
    assert_eq!(asked["initiatingClientId"], json!(world.gateway.client));
    assert_eq!(asked["initiatingUrl"], "/oauth2/introspect");
    let told = events.iter().find(|event| event["initiatingUrl"] == "/thing");
    assert_eq!(
        told.unwrap()["initiatingUserIpAddress"],
        "127.0.0.1",
        "{events:?}"
    );
    for event in &events {
        assert_eq!(event["eventOutcomeReason"], "revoked", "{event}");
    }
    let log = world.gateway.log();
    assert!(log.contains("resuming normal operations"), "{log}");
    for secret in [&token.secret, "patrol_cli_"] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[test]
fn where_apache_is_no_client_any_more_there_is_no_verdict_and_no_way_in() {
    let Some(world) = World::<ApacheOauth2>::new() else {
        return;
    };
    let token = world.patrol.token("ann", "good", "30d");
    assert_eq!(world.bearer(&token.secret).status, 200);
    world.patrol.json(&["client", "revoke", &world.gateway.client]);
    let before = world.upstream.requests();
    let answer = world.ask_once("/thing", &Form::Bearer.arguments(&token.secret));
    assert_eq!(
        (answer.status, answer.all("Retry-After")),
        (503, vec!["1"]),
        "{answer:?}"
    );
    assert_eq!(world.upstream.requests(), before);
    // What is wrong with a token is still told.
    let wrong = world.ask_once("/thing", &Form::Bearer.arguments("nonsense"));
    assert_eq!(wrong.status, 401, "{wrong:?}");
    assert_eq!(wrong.json()["errorCode"], "E_401_UNAUTHORIZED");
}

#[test]
fn who_fails_too_often_is_told_so() {
    if !have(&["apache2", MODULE, "curl"]) {
        return;
    }
    let patrol = Patrol::new("[limits]\nfailures_per_address = 2\n");
    let upstream = Upstream::start();
    let _server = patrol.serve();
    let apache = ApacheOauth2::start(&patrol, &upstream, true);
    let url = apache.url("/thing");
    let answers = [(); 3].map(|()| decided(&[&*url, "--oauth2-bearer", "nonsense"]));
    assert_eq!(answers.each_ref().map(|answer| answer.status), [401, 401, 429]);
    assert_eq!(answers[2].all("Retry-After").len(), 1, "{:?}", answers[2]);
    assert_eq!(upstream.requests(), 0);
}

#[test]
fn the_body_of_a_request_that_is_turned_away_is_shown_to_nobody() {
    let Some(world) = World::<ApacheOauth2>::new() else {
        return;
    };
    let before = world.upstream.requests();
    for body in ["short", &"x".repeat(100_000)] {
        for credential in [&Form::Bearer.arguments("nonsense")[..], &[]] {
            let data = ["--data".to_owned(), body.to_owned()];
            let answer = world.ask_once("/thing", &[credential, &data[..]].concat());
            // Patrol would answer otherwise to a body of that size.
            assert_eq!(answer.status, 401, "{answer:?}");
            assert_eq!(answer.json()["errorCode"], "E_401_UNAUTHORIZED");
        }
    }
    assert_eq!(world.upstream.requests(), before);
}

#[test]
fn the_steps_in_the_readme_work_as_written() {
    if !have(&["bash", "apache2", MODULE, "curl"]) {
        return;
    }
    let directory = tempfile::TempDir::new().unwrap();
    let [shipped_here, home] = ["shipped", "apache"].map(|name| directory.path().join(name));
    copy(&shipped("apache-oauth2"), &shipped_here);
    let [patrol, gateway, service, refusal] = [(); 4].map(|()| format!("127.0.0.1:{}", free_port()));
    let port = gateway.rsplit(':').next().unwrap();
    let run = home.to_string_lossy();
    replace(
        &shipped_here.join("apache2.conf"),
        &[
            ("Listen 127.0.0.1:8080", &format!("Listen {gateway}")),
            ("<VirtualHost *:8080>", &format!("<VirtualHost *:{port}>")),
            ("127.0.0.1:9000", &service),
            (
                "Define PATROL_RUN /tmp/patrol-apache-oauth2",
                &format!("Define PATROL_RUN {run}"),
            ),
        ],
    );
    replace(
        &shipped_here.join("patrol/patrol.conf"),
        &[("127.0.0.1:8787", &patrol), ("127.0.0.1:8786", &refusal)],
    );
    let demo = std::fs::read_to_string(shipped_here.join("demo.conf")).unwrap();
    std::fs::write(
        shipped_here.join("demo.conf"),
        demo.replace("127.0.0.1:9000", &service),
    )
    .unwrap();
    if is_root() {
        // Its workers become somebody else.
        open(&shipped_here);
    }
    let changes = [
        ("127.0.0.1:8787", &*patrol),
        ("127.0.0.1:8080", &*gateway),
        ("patrol serve", &format!("patrol serve --listen {patrol}")),
        (
            "$PWD/host/gateways/apache-oauth2",
            &shipped_here.to_string_lossy(),
        ),
        ("/tmp/patrol-apache-oauth2", &run),
    ];
    readme::follow("apache-oauth2", directory.path(), &changes);
}
