//! Apache, with a FastCGI authorizer.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use patrol_tests::gateway::apache::{Apache, open_to_workers};
use patrol_tests::gateway::client::{curl, decided};
use patrol_tests::gateway::files::{copy, replace, shipped};
use patrol_tests::gateway::patrol::Patrol;
use patrol_tests::gateway::probe::{Form, Gateway as _, IDENTITY, World};
use patrol_tests::gateway::upstream::Upstream;
use patrol_tests::gateway::{free_port, have, readme};

patrol_tests::probe!(Apache);

#[test]
fn what_routes_and_limits_say_reaches_the_client() {
    super::what_routes_and_limits_say::<Apache>();
}

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

/// Some of Patrol's answers are hard to come by: an authorizer in its place gives them all, and what is none.
#[test]
fn whatever_is_no_yes_is_a_no() {
    if !have(&["apache2", "curl"]) {
        return;
    }
    let patrol = Patrol::with_doors("", &["fastcgi"]);
    let upstream = Upstream::start();
    authorizer(patrol.door("fastcgi"));
    let apache = Apache::start(&patrol, &upstream, "", true);
    for (case, expected) in [
        ("/400", 400),
        ("/401", 401),
        ("/403", 403),
        ("/404", 404),
        ("/429", 429),
        ("/503", 503),
        ("/closed", 503),
        ("/garbage", 503),
        ("/half", 503),
        ("/headless", 503),
    ] {
        let answer = curl(&[&*apache.url(case), "--header", "X-Patrol-User: root"]);
        assert_eq!(answer.status, expected, "{case}: {answer:?}");
        assert_eq!(answer.all("Content-Type"), ["application/json"], "{case}");
        let said = case[1..].parse::<u16>().is_ok();
        assert_eq!(
            answer.all("Retry-After"),
            [if said { "7" } else { "1" }],
            "{case}"
        );
    }
    assert_eq!(upstream.requests(), 0);
    // Where Patrol lets everybody in, nobody in particular comes.
    let url = apache.url("/200");
    let arrived = decided(&[&*url, "--header", "X-Patrol-User: root"]).arrived();
    assert!(arrived.all("X-Patrol-User").is_empty(), "{arrived:?}");
    assert!(arrived.all("X-Patrol-Roles").is_empty(), "{arrived:?}");
}

/// An authorizer in Patrol's place, which says what the path says. It ends with the test's process.
fn authorizer(port: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().filter_map(Result::ok) {
            let mut asked = Vec::new();
            let mut some = [0; 4096];
            // The last record of the parameters is an empty one.
            while !asked.ends_with(&[1, 4, 0, 1, 0, 0, 0, 0]) {
                match stream.read(&mut some) {
                    Ok(count) if count > 0 => asked.extend_from_slice(&some[..count]),
                    _ => break,
                }
            }
            let asked = String::from_utf8_lossy(&asked);
            let uri = asked.split("REQUEST_URI/").nth(1).unwrap_or_default();
            let case: String = uri.chars().take_while(char::is_ascii_alphanumeric).collect();
            let record = |kind: u8, content: &[u8]| {
                let [high, low] = (content.len() as u16).to_be_bytes();
                [&[1, kind, 0, 1, high, low, 0, 0][..], content].concat()
            };
            let body = r#"{"errorCode":"E_0_X","message":"x"}"#;
            let denied = format!(
                "Status: {case} Of some kind\r\nX-Patrol-Code: E_0_X\r\nRetry-After: 7\r\n\r\n{body}"
            );
            let end = record(3, &[0; 8]);
            let answer = match &*case {
                "200" => [
                    record(6, b"Status: 200 OK\r\nVariable-PATROL_USER: \r\n\r\n"),
                    end,
                ]
                .concat(),
                "closed" => Vec::new(),
                "garbage" => b"HTTP/1.1 200 OK\r\n\r\n".to_vec(),
                "half" => record(6, b"Status: 200 OK\r\n\r\n"),
                "headless" => [record(6, b"Status: 200 OK\r\n"), end].concat(),
                _ => [record(6, denied.as_bytes()), end].concat(),
            };
            let _ = stream.write_all(&answer);
        }
    });
}
