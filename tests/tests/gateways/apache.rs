//! Apache, with a FastCGI authorizer.

use patrol_tests::gateway::apache::{Apache, open_to_workers};
use patrol_tests::gateway::client::decided;
use patrol_tests::gateway::files::{copy, replace, shipped};
use patrol_tests::gateway::patrol::Patrol;
use patrol_tests::gateway::probe::{Form, Gateway as _, IDENTITY, World};
use patrol_tests::gateway::upstream::Upstream;
use patrol_tests::gateway::{free_port, have, readme};

patrol_tests::probe!(Apache);

#[test]
fn the_largest_identity_reaches_the_service() {
    let Some(world) = World::<Apache>::new() else {
        return;
    };
    super::the_largest_identity(&world);
}

#[test]
fn every_denial_is_json_and_not_to_be_stored() {
    let Some(mut world) = World::<Apache>::new() else {
        return;
    };
    let token = world.patrol.token("ann", "twice", "30d");
    let mut twice = Form::Bearer.arguments(&token.secret).to_vec();
    twice.extend(Form::Session.arguments("x"));
    let none: &[String] = &[];
    for (arguments, status) in [(none, 401), (&*twice, 400)] {
        for method in ["GET", "POST", "PUT", "OPTIONS"] {
            let request = ["--request".to_owned(), method.to_owned()];
            let answer = world.ask("/thing", &[arguments, &request].concat());
            super::assert_problem(&answer, status);
        }
    }
    world.server.kill();
    for method in ["GET", "POST", "PUT", "OPTIONS"] {
        let answer = world.ask_once("/thing", &["--request".to_owned(), method.to_owned()]);
        super::assert_problem(&answer, 503);
        assert_eq!(answer.all("Retry-After"), ["1"]);
    }
}

/// Of headers whose names only look like Patrol's, Apache looks at the last one: an empty one must not hide another.
#[test]
fn an_identity_in_underscores_is_not_hidden_by_an_empty_one() {
    let Some(world) = World::<Apache>::new() else {
        return;
    };
    let token = world.patrol.token("ann", "hidden", "30d");
    for name in IDENTITY
        .into_iter()
        .chain(["X-Patrol-Identity", "X-Tableau-Session-Token"])
    {
        // Any of its dashes, and all of them.
        let dashes: Vec<_> = name.match_indices('-').map(|(at, _)| at).collect();
        for which in 1..1_u32 << dashes.len() {
            let mut spelling = name.to_owned();
            for (index, at) in dashes.iter().enumerate() {
                if which & (1 << index) != 0 {
                    spelling.replace_range(*at..=*at, "_");
                }
            }
            let mut arguments = Form::Bearer.arguments(&token.secret).to_vec();
            for header in [format!("{spelling}: root"), "X_Patrol_Z;".to_owned()] {
                arguments.extend(["--header".to_owned(), header]);
            }
            let arrived = world.ask("/thing", &arguments).arrived();
            assert!(
                !format!("{arrived:?}").contains("root"),
                "{spelling}: {arrived:?}"
            );
            assert_eq!(arrived.header("X-Patrol-User"), token.owner_id);
        }
    }
}

#[test]
fn what_clients_claim_about_themselves_is_dropped_in_open_locations_too() {
    if !have(&["apache2", "curl"]) {
        return;
    }
    let patrol = Patrol::with_doors("", &["fastcgi"]);
    let upstream = Upstream::start();
    // As the README says, and after the location that is protected.
    let open = "<Location \"/open\">\n AuthnzFcgiCheckAuthnProvider None\n Require all granted\n \
                Include patrol/forget.conf\n</Location>";
    let apache = Apache::start(&patrol, &upstream, open, true);
    let names = IDENTITY.map(|name| [name.to_owned(), name.to_lowercase()]);
    let mut arguments = vec![apache.url("/open")];
    for name in names.as_flattened() {
        arguments.extend(["--header".to_owned(), format!("{name}: root")]);
    }
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    // No server is there to be asked.
    let arrived = decided(&arguments).arrived();
    assert!(!format!("{arrived:?}").contains("root"), "{arrived:?}");
}

#[test]
fn no_secret_is_in_apaches_log() {
    let Some(mut world) = World::<Apache>::new() else {
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
    let log = world.gateway.log();
    assert!(log.contains("Connection refused"), "{log}");
    assert!(!log.contains(&token.secret), "{log}");
}

#[test]
fn the_steps_in_the_readme_work_as_written() {
    if !have(&["bash", "apache2", "curl"]) {
        return;
    }
    let directory = tempfile::TempDir::new().unwrap();
    let home = directory.path().join("apache");
    copy(&shipped("apache"), &home);
    open_to_workers(directory.path());
    let [patrol, agent, gateway, service] = [(); 4].map(|()| format!("127.0.0.1:{}", free_port()));
    let port = |address: &str| address.rsplit(':').next().unwrap().to_owned();
    let run = directory.path().join("run").display().to_string();
    replace(
        &home.join("patrol/patrol.conf"),
        &[("127.0.0.1:8787", &patrol), ("127.0.0.1:8791", &agent)],
    );
    replace(
        &home.join("apache2.conf"),
        &[
            ("Listen 127.0.0.1:8080", &format!("Listen {gateway}")),
            (
                "<VirtualHost *:8080>",
                &format!("<VirtualHost *:{}>", port(&gateway)),
            ),
            ("127.0.0.1:9000", &service),
            (
                "Define PATROL_RUN /tmp/patrol-apache",
                &format!("Define PATROL_RUN \"{run}\""),
            ),
        ],
    );
    replace(
        &home.join("demo.conf"),
        &[
            ("Listen 127.0.0.1:9000", &format!("Listen {service}")),
            (
                "<VirtualHost *:9000>",
                &format!("<VirtualHost *:{}>", port(&service)),
            ),
        ],
    );
    let serve = format!("patrol serve --listen {patrol}");
    let changes = [
        ("$PWD/host/gateways/apache", &*home.display().to_string()),
        ("/tmp/patrol-apache", &run),
        ("patrol serve", &serve),
        ("127.0.0.1:8787", &patrol),
        ("127.0.0.1:8791", &agent),
        ("127.0.0.1:8080", &gateway),
    ];
    readme::follow("apache", directory.path(), &changes);
}
