//! nginx, with `auth_request`.

use patrol_tests::gateway::client::{curl, decided};
use patrol_tests::gateway::files::{copy, replace, shipped};
use patrol_tests::gateway::nginx::{Nginx, Site};
use patrol_tests::gateway::patrol::{Patrol, text};
use patrol_tests::gateway::probe::{IDENTITY, World};
use patrol_tests::gateway::upstream::Upstream;
use patrol_tests::gateway::{free_port, have, readme};

patrol_tests::probe!(Nginx);

#[test]
fn what_clients_claim_about_themselves_is_dropped_in_open_locations_too() {
    if !have(&["nginx", "curl"]) {
        return;
    }
    let patrol = Patrol::new("");
    let upstream = Upstream::start();
    let site = Site {
        extra: "location /open { include patrol/public.conf; proxy_pass http://service; }",
        ..Site::default()
    };
    let nginx = Nginx::start(&patrol, &upstream, site);
    let names = IDENTITY.map(|name| [name.to_owned(), name.to_lowercase(), name.replace('-', "_")]);
    let connection = format!("Connection: close, {}", IDENTITY.join(", "));
    let mut claims = vec!["--header".to_owned(), connection];
    for name in names.as_flattened() {
        claims.extend(["--header".to_owned(), format!("{name}: root")]);
    }
    let claims: Vec<_> = claims.iter().map(String::as_str).collect();
    // No server is there to be asked.
    let open = decided(&[&[&*nginx.url("/open")], &claims[..]].concat()).arrived();
    assert!(!format!("{open:?}").contains("root"), "{open:?}");
}

#[test]
fn a_friendly_error_page_for_everything_lets_nobody_in() {
    if !have(&["nginx", "curl"]) {
        return;
    }
    let patrol = Patrol::new("");
    patrol.user("ann", &[]);
    let token = patrol.token("ann", "through thick and thin", "30d");
    let upstream = Upstream::start();
    // What many servers have, in the worst form: failures become a friendly page with status 200.
    let extra =
        "error_page 401 500 502 503 504 =200 /sorry.html; location = /sorry.html { return 200 sorry; }";
    let site = Site {
        extra,
        ..Site::default()
    };
    let nginx = Nginx::start(&patrol, &upstream, site);
    let url = nginx.url("/thing");
    let bearer = ["--oauth2-bearer", &*token.secret];
    for credential in [&bearer[..], &[]] {
        let answer = curl(&[&[&*url], credential].concat());
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(answer.all("Retry-After"), ["1"]);
        assert!(answer.body.contains("E_503_SERVICE_UNAVAILABLE"), "{answer:?}");
    }
    let _server = patrol.serve();
    let wrong = decided(&[&*url, "--oauth2-bearer", "nonsense"]);
    assert_eq!(wrong.status, 401);
    assert_eq!(wrong.all("Cache-Control"), ["no-store"]);
    assert_eq!(
        wrong.body,
        r#"{"errorCode":"E_401_UNAUTHORIZED","message":"the token is not accepted"}"#
    );
    assert_eq!(upstream.requests(), 0);
    assert_eq!(decided(&[&*url, bearer[0], bearer[1]]).status, 200);
}

#[test]
fn a_token_that_rests_for_15_days_is_refused_and_one_in_use_is_not() {
    if !have(&["libfaketime"]) {
        return;
    }
    let Some(mut world) = World::<Nginx>::new() else {
        return;
    };
    let [kept, idle] = ["kept in use", "left idle"].map(|name| world.patrol.token("ann", name, "90d"));
    for token in [&kept, &idle] {
        assert_eq!(world.bearer(&token.secret).status, 200);
    }
    let live = |world: &World<Nginx>| {
        let list = world.patrol.json(&["token", "list", "--owner", "ann"]);
        let mut names: Vec<_> = list
            .as_array()
            .unwrap()
            .iter()
            .map(|token| text(token, "name"))
            .collect();
        names.sort();
        names
    };

    restart_ahead(&mut world, 14 * 24 + 23);
    assert_eq!(live(&world), ["kept in use", "left idle"]);
    assert_eq!(world.bearer(&kept.secret).status, 200, "an hour before the end");

    restart_ahead(&mut world, 15 * 24 + 1);
    world.refuses(&idle.secret);
    assert_eq!(
        world.bearer(&kept.secret).status,
        200,
        "its use two hours ago was kept"
    );
    assert_eq!(live(&world), ["kept in use"], "R6");
}

/// Stops the server as an operator would, and starts it again that many hours after the test's beginning.
fn restart_ahead(world: &mut World<Nginx>, hours: u32) {
    assert!(world.server.terminate().success(), "{}", world.server.log());
    world.patrol.look_ahead(hours);
    world.server = world.patrol.serve();
}

#[test]
fn the_steps_in_the_readme_work_as_written() {
    if !have(&["bash", "nginx", "curl"]) {
        return;
    }
    let directory = tempfile::TempDir::new().unwrap();
    let home = directory.path().join("nginx");
    copy(&shipped("nginx"), &home);
    let [patrol, gateway, service] = [(); 3].map(|()| format!("127.0.0.1:{}", free_port()));
    let asked = ("127.0.0.1:8080", &*gateway);
    let behind = ("127.0.0.1:9000", &*service);
    replace(&home.join("patrol/http.conf"), &[("127.0.0.1:8787", &patrol)]);
    replace(&home.join("nginx.conf"), &[asked, behind]);
    replace(&home.join("demo.conf"), &[behind]);
    let changes = [
        ("127.0.0.1:8787", &*patrol),
        asked,
        ("patrol serve", &format!("patrol serve --listen {patrol}")),
        ("$PWD/host/gateways/nginx", &home.to_string_lossy()),
        ("/tmp/patrol-nginx", &home.to_string_lossy()),
    ];
    readme::follow("nginx", directory.path(), &changes);
}
