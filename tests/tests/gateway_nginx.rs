//! Patrol behind nginx, end to end: the program, the shipped configuration, curl and git.
//!
//! A machine without nginx skips these tests under `cargo test`; `tests/run` installs what they need.

use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use patrol_tests::gateway::client::{Answer, Hammer, curl, decided};
use patrol_tests::gateway::nginx::{self, Nginx, Site};
use patrol_tests::gateway::patrol::{Patrol, text};
use patrol_tests::gateway::upstream::Upstream;
use patrol_tests::gateway::{Running, free_port, have, wait_for};
use serde_json::json;

const IDENTITY: [&str; 9] = [
    "X-Patrol-User",
    "X-Patrol-User-Name",
    "X-Patrol-Tenant",
    "X-Patrol-Roles",
    "X-Patrol-Token-Id",
    "X-Patrol-Token-Name",
    "X-Patrol-Session",
    "X-Patrol-Expires",
    "X-Patrol-Identity",
];

/// A service behind nginx behind Patrol, with the user `ann`.
struct World {
    nginx: Nginx,
    server: Running,
    patrol: Patrol,
    upstream: Upstream,
}

impl World {
    /// Nothing, where a program is missing that it needs.
    fn new(site: Site<'_>) -> Option<Self> {
        have(&["nginx", "curl"]).then(|| {
            let patrol = Patrol::new("");
            patrol.user("ann", &["admin", "deployer"]);
            let upstream = Upstream::start();
            let server = patrol.serve();
            let nginx = Nginx::start(&patrol, &upstream, site);
            Self {
                nginx,
                server,
                patrol,
                upstream,
            }
        })
    }

    /// A request with these arguments to curl.
    fn ask(&self, arguments: &[&str]) -> Answer {
        decided(&[&[&self.nginx.url("/thing?a=b"), "--globoff"], arguments].concat())
    }

    fn bearer(&self, secret: &str) -> Answer {
        self.ask(&["--oauth2-bearer", secret])
    }

    /// Asserts that a token is refused, that the answer does not say why, and that the service hears nothing of it.
    fn refuses(&self, secret: &str) -> Answer {
        let before = self.upstream.requests();
        let answer = self.bearer(secret);
        assert_eq!(answer.status, 401, "{answer:?}");
        let challenge = r#"Bearer realm="patrol", error="invalid_token""#;
        assert_eq!(answer.all("WWW-Authenticate"), [challenge]);
        assert_eq!(
            answer.body,
            r#"{"errorCode":"E_401_UNAUTHORIZED","message":"the token is not accepted"}"#
        );
        assert_eq!(self.upstream.requests(), before, "the service was reached");
        answer
    }
}

fn plain() -> Option<World> {
    World::new(Site::default())
}

#[test]
fn the_service_learns_who_comes_and_never_sees_the_token() {
    let Some(world) = plain() else { return };
    let zoe = world.patrol.user("zoë 100%", &["reader", "admin"]);
    let token = world.patrol.token(&zoe, "nightly – backup", "30d");
    let tenant = text(&world.patrol.json(&["tenant", "show", "acme"]), "id");
    let basic = format!("anybody:{}", token.secret);
    let scheme = format!("Authorization: token {}", token.secret);
    for form in [
        ["--oauth2-bearer", &token.secret],
        ["--user", &basic],
        ["--header", &scheme],
    ] {
        let arrived = world.ask(&form).arrived();
        assert_eq!((&*arrived.method, &*arrived.target), ("GET", "/thing?a=b"));
        assert_eq!(arrived.header("X-Patrol-User"), token.owner_id);
        assert_eq!(arrived.header("X-Patrol-User-Name"), "zo%C3%AB 100%25");
        assert_eq!(arrived.header("X-Patrol-Tenant"), tenant);
        let mut roles: Vec<_> = arrived.header("X-Patrol-Roles").split(',').collect();
        roles.sort_unstable();
        assert_eq!(roles, ["admin", "reader"]);
        assert_eq!(arrived.header("X-Patrol-Token-Id"), token.id);
        assert_eq!(arrived.header("X-Patrol-Token-Name"), "nightly %E2%80%93 backup");
        assert_eq!(arrived.all("X-Patrol-Session"), [""; 0], "a PAT has no session");
        let ends = text(&world.patrol.show(&token)["ends"], "at");
        // The use itself may have moved the end of the idle period, but not by much.
        assert_eq!(arrived.header("X-Patrol-Expires").get(..10), ends.get(..10));
        assert_eq!(arrived.all("Authorization"), [""; 0]);
        assert!(!format!("{arrived:?}").contains(&token.secret), "{arrived:?}");
    }
}

#[test]
fn a_request_arrives_as_it_was_sent_and_its_body_is_not_shown_to_patrol() {
    let Some(world) = plain() else { return };
    let token = world.patrol.token("ann", "upload", "30d");
    // More than Patrol would take.
    let body = world.patrol.beside("body");
    std::fs::write(&body, vec![b'x'; 500_000]).unwrap();
    let body = format!("@{}", body.display());
    let url = world.nginx.url("/a%20b/c;d?e=f&g=%2F");
    let arguments = [&url, "--oauth2-bearer", &token.secret, "--data-binary", &body];
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let arrived = decided(&[&arguments[..], &["--request", method]].concat()).arrived();
        assert_eq!(
            (&*arrived.method, &*arrived.target),
            (method, "/a%20b/c;d?e=f&g=%2F")
        );
        assert_eq!(arrived.body, 500_000);
    }
    let head = decided(&[&url, "--oauth2-bearer", &token.secret, "--head"]);
    assert_eq!((head.status, &*head.body), (200, ""));
}

#[test]
fn who_presents_nothing_is_asked_for_a_token() {
    let Some(world) = plain() else { return };
    let answer = world.ask(&[]);
    assert_eq!(answer.status, 401);
    assert_eq!(answer.all("WWW-Authenticate"), [r#"Bearer realm="patrol""#]);
    assert_eq!(answer.all("Cache-Control"), ["no-store"]);
    assert_eq!(world.upstream.requests(), 0);
}

#[test]
fn all_refusals_look_alike() {
    let Some(world) = plain() else { return };
    let [revoked, unknown] = ["revoked", "unknown"].map(|name| world.patrol.token("ann", name, "30d"));
    world.patrol.json(&["token", "revoke", &revoked.id]);
    // Well formed, from elsewhere.
    let elsewhere = Patrol::new("");
    elsewhere.user("ann", &[]);
    let foreign = elsewhere.token("ann", "foreign", "30d");
    let mistyped = format!("{}0", unknown.secret);
    let answers = [
        revoked.secret.as_str(),
        &foreign.secret,
        &mistyped,
        "nonsense",
        "patrol_pat_",
        "patrol_ses_x",
    ]
    .map(|secret| world.refuses(secret).undated());
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

#[test]
fn two_credentials_are_refused_even_where_both_are_good() {
    let Some(world) = plain() else { return };
    let token = world.patrol.token("ann", "twice", "30d");
    let bearer = format!("Authorization: Bearer {}", token.secret);
    let joined = format!("{bearer}, Bearer {}", token.secret);
    let session = format!("X-Tableau-Session-Token: {}", token.secret);
    for headers in [[&*bearer, &bearer], [&joined, "Accept: */*"], [&bearer, &session]] {
        let answer = world.ask(&["--header", headers[0], "--header", headers[1]]);
        assert_eq!(answer.status, 400, "{headers:?}: {answer:?}");
        assert_eq!(answer.all("WWW-Authenticate"), [""; 0]);
    }
    assert_eq!(world.upstream.requests(), 0);
    assert_eq!(world.bearer(&token.secret).status, 200, "one of them is enough");
}

#[test]
fn an_identity_that_a_client_claims_does_not_reach_the_service() {
    let Some(world) = World::new(Site {
        extra: "location /open { include patrol/public.conf; proxy_pass http://service; }",
        ..Site::default()
    }) else {
        return;
    };
    let token = world.patrol.token("ann", "claims", "30d");
    let names = IDENTITY.map(|name| [name.to_owned(), name.to_lowercase(), name.replace('-', "_")]);
    let connection = format!("Connection: close, {}, Authorization", IDENTITY.join(", "));
    let mut claims = vec!["--header".to_owned(), connection];
    for name in names.as_flattened() {
        claims.extend(["--header".to_owned(), format!("{name}: root")]);
    }
    let claims: Vec<_> = claims.iter().map(String::as_str).collect();

    let arrived = world
        .ask(&[&["--oauth2-bearer", &token.secret], &claims[..]].concat())
        .arrived();
    assert!(!format!("{arrived:?}").contains("root"), "{arrived:?}");
    assert_eq!(arrived.header("X-Patrol-User"), token.owner_id);
    assert_eq!(arrived.header("X-Patrol-User-Name"), "ann");

    let open = decided(&[&[&*world.nginx.url("/open")], &claims[..]].concat()).arrived();
    assert!(!format!("{open:?}").contains("root"), "{open:?}");
}

#[test]
fn what_patrol_decides_on_comes_from_nginx_alone() {
    let Some(world) = plain() else { return };
    let token = world.patrol.token("ann", "forger", "30d");
    let arguments = [
        "--oauth2-bearer",
        &token.secret,
        "--header",
        "X-Original-URI: /forged",
        "--header",
        "X-Original-Method: FORGED",
        "--header",
        "X-Real-IP: 192.0.2.1",
        "--header",
        "X-Forwarded-For: 192.0.2.2",
        "--header",
        "Forwarded: for=192.0.2.3",
    ];
    // Patrol refuses a check in which these are there twice, so the forged ones are gone.
    world.ask(&arguments).arrived();
    let from = wait_for("the use to be written down", || {
        let from = world.patrol.show(&token)["lastUsedFrom"].take();
        (!from.is_null()).then_some(from)
    });
    assert_eq!(from, json!("127.0.0.1"));
    // Nor can a client put the question itself.
    let check = curl(&[
        &world.nginx.url("/_patrol/check"),
        "--oauth2-bearer",
        &token.secret,
    ]);
    assert_eq!(check.status, 404);
}

#[test]
fn a_revoked_token_is_refused_by_the_very_next_request() {
    let Some(world) = plain() else { return };
    let token = world.patrol.token("ann", "short-lived", "30d");
    assert_eq!(world.bearer(&token.secret).status, 200);
    world.patrol.json(&["token", "revoke", &token.id]);
    world.refuses(&token.secret);
    assert_eq!(world.patrol.verify(&token.secret)["reason"], json!("revoked"));
}

#[test]
fn under_load_no_request_begun_after_a_revocation_is_let_in() {
    let Some(world) = plain() else { return };
    for round in 0..5 {
        let name = format!("round {round}");
        let token = world.patrol.token("ann", &name, "30d");
        let clients = [(); 4].map(|()| Hammer::start(world.nginx.url("/"), &token.secret));
        let before = world.upstream.requests();
        wait_for("requests to be let in", || {
            (world.upstream.requests() > before + 50).then_some(())
        });

        let called = Instant::now();
        world.patrol.json(&["token", "revoke", &token.id]);
        let revoked = Instant::now();
        let after = world.bearer(&token.secret).status;
        let shots: Vec<_> = clients.into_iter().flat_map(Hammer::stop).collect();

        assert_eq!(after, 401);
        let late: Vec<_> = shots.iter().filter(|shot| shot.begun > revoked).collect();
        assert!(
            late.iter().any(|shot| shot.status == 401),
            "nobody asked afterwards"
        );
        assert!(
            late.iter().all(|shot| shot.status != 200),
            "let in after the revocation: {late:?}"
        );

        let ms = |at: Instant| {
            let since = at.saturating_duration_since(revoked).as_secs_f64();
            1e3 * (since - revoked.saturating_duration_since(at).as_secs_f64())
        };
        let refused = shots
            .iter()
            .filter(|shot| shot.status == 401)
            .map(|shot| shot.ended)
            .min();
        let let_in = shots
            .iter()
            .filter(|shot| shot.status == 200)
            .map(|shot| shot.begun)
            .max();
        println!(
            "`patrol token revoke` took {:.1} ms; since its return: last request let in begun {:+.1} ms, first \
             refusal received {:+.1} ms; {} requests, {} of them afterwards",
            1e3 * (revoked - called).as_secs_f64(),
            ms(let_in.expect("some were let in")),
            ms(refused.expect("some were refused")),
            shots.len(),
            late.len(),
        );
    }
}

#[test]
fn an_expired_token_is_refused() {
    let Some(world) = plain() else { return };
    // A request that ends before the expiration date is let in, one that begins after it is not. Where the machine was
    // too busy for one of the former, a longer life shows it.
    for seconds in [3, 9, 27] {
        let life = format!("{seconds}s");
        let token = world.patrol.token("ann", &life, &life);
        let expires = Duration::from_millis(patrol::time::parse_instant(&token.expires).unwrap());
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let mut let_in = 0;
        loop {
            let begun = now();
            let status = world.bearer(&token.secret).status;
            if now() < expires {
                assert_eq!(status, 200);
                let_in += 1;
            }
            if begun >= expires {
                assert_eq!(status, 401);
                break;
            }
        }
        world.refuses(&token.secret);
        if let_in > 0 {
            return;
        }
    }
    panic!("this machine is too busy to show anything");
}

#[test]
fn a_token_that_rests_for_15_days_is_refused_and_one_in_use_is_not() {
    if !have(&["libfaketime"]) {
        return;
    }
    let Some(mut world) = plain() else { return };
    let [kept, idle] = ["kept in use", "left idle"].map(|name| world.patrol.token("ann", name, "90d"));
    for token in [&kept, &idle] {
        assert_eq!(world.bearer(&token.secret).status, 200);
    }
    let live = |world: &World| {
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

    world.restart_ahead(14 * 24 + 23);
    assert_eq!(live(&world), ["kept in use", "left idle"]);
    assert_eq!(world.bearer(&kept.secret).status, 200, "an hour before the end");

    world.restart_ahead(15 * 24 + 1);
    world.refuses(&idle.secret);
    assert_eq!(
        world.bearer(&kept.secret).status,
        200,
        "its use two hours ago was kept"
    );
    assert_eq!(live(&world), ["kept in use"], "R6");
}

impl World {
    /// Stops the server as an operator would, and starts it again that many hours after the test's beginning.
    fn restart_ahead(&mut self, hours: u32) {
        assert!(self.server.terminate().success(), "{}", self.server.log());
        self.patrol.look_ahead(hours);
        self.server = self.patrol.serve();
    }
}

#[test]
fn a_disabled_owner_is_refused_until_enabled_again() {
    let Some(world) = plain() else { return };
    let token = world.patrol.token("ann", "of somebody who left", "30d");
    world.patrol.json(&["user", "disable", "ann"]);
    world.refuses(&token.secret);
    world.patrol.json(&["user", "enable", "ann"]);
    assert_eq!(world.bearer(&token.secret).status, 200);
}

#[test]
fn changed_roles_hold_for_the_next_request() {
    let Some(world) = plain() else { return };
    let token = world.patrol.token("ann", "demoted", "30d");
    let roles = |world: &World| {
        world
            .bearer(&token.secret)
            .arrived()
            .header("X-Patrol-Roles")
            .to_owned()
    };
    assert!(roles(&world).contains("deployer"));
    world.patrol.json(&["user", "set-roles", "ann", "reader"]);
    assert_eq!(roles(&world), "reader");
}

#[test]
fn a_session_is_good_until_it_is_closed_or_its_token_is_revoked() {
    let Some(world) = plain() else { return };
    let token = world.patrol.token("ann", "script", "30d");
    let open = || {
        let body = json!({ "token": token.secret }).to_string();
        let url = world.nginx.url("/api/v1/pat/login");
        let answer = decided(&[&url, "--json", &body]);
        assert_eq!(answer.status, 200, "{answer:?}");
        let opened = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(text(&opened, "userId"), token.owner_id);
        format!("x-tableau-session-token: {}", text(&opened, "sessionToken"))
    };
    let [closed, orphaned] = [open(), open()];
    let arrived = world.ask(&["--header", &closed]).arrived();
    assert_eq!(arrived.header("X-Patrol-User"), token.owner_id);
    assert_ne!(arrived.header("X-Patrol-Session"), "");
    assert_eq!(arrived.all("X-Tableau-Session-Token"), [""; 0]);

    let end = [
        &*world.nginx.url("/api/v2/sessions"),
        "--request",
        "DELETE",
        "--header",
        &closed,
    ]
    .map(str::to_owned);
    assert_eq!(decided(&end.each_ref().map(String::as_str)).status, 204);
    assert_eq!(world.ask(&["--header", &closed]).status, 401);

    assert_eq!(world.ask(&["--header", &orphaned]).status, 200);
    world.patrol.json(&["token", "revoke", &token.id]);
    assert_eq!(world.ask(&["--header", &orphaned]).status, 401, "R8");
}

#[test]
fn without_patrol_nobody_comes_in() {
    // What many servers have, in the worst form: failures become a friendly page with status 200.
    let extra =
        "error_page 401 500 502 503 504 =200 /sorry.html; location = /sorry.html { return 200 sorry; }";
    let site = Site {
        extra,
        ..Site::default()
    };
    let Some(mut world) = World::new(site) else { return };
    let token = world.patrol.token("ann", "through thick and thin", "30d");
    assert_eq!(world.bearer(&token.secret).status, 200);
    let before = world.upstream.requests();

    world.server.kill();
    for credential in [&["--oauth2-bearer", &*token.secret][..], &[]] {
        let answer = curl(&[&[&*world.nginx.url("/thing")], credential].concat());
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(answer.all("Retry-After"), ["1"]);
        assert!(answer.body.contains("E_503_SERVICE_UNAVAILABLE"), "{answer:?}");
    }
    assert_eq!(world.upstream.requests(), before);

    world.server = world.patrol.serve();
    assert_eq!(world.bearer(&token.secret).status, 200);
    world.refuses("nonsense");
}

#[test]
fn the_steps_in_the_readme_work_as_written() {
    if !have(&["bash", "nginx", "curl"]) {
        return;
    }
    let directory = tempfile::TempDir::new().unwrap();
    let home = directory.path().join("nginx");
    nginx::copy_configuration(&home);
    let [patrol, gateway, service] = [(); 3].map(|()| format!("127.0.0.1:{}", free_port()));
    let asked = ("127.0.0.1:8080", &*gateway);
    let behind = ("127.0.0.1:9000", &*service);
    nginx::replace(&home.join("patrol/http.conf"), &[("127.0.0.1:8787", &patrol)]);
    nginx::replace(&home.join("nginx.conf"), &[asked, behind]);
    nginx::replace(&home.join("demo.conf"), &[behind]);

    let readme = std::fs::read_to_string(nginx::shipped().join("README.md")).unwrap();
    let blocks = |language: &str| -> String {
        let opening = format!("```{language}\n");
        readme
            .split(&opening)
            .skip(1)
            .filter_map(|block| block.split("```").next())
            .collect()
    };
    // `bash` is what installs; of the rest, only addresses and places are replaced.
    let steps = blocks("sh")
        .replace("127.0.0.1:8787", &patrol)
        .replace("127.0.0.1:8080", &gateway)
        .replace("patrol serve", &format!("patrol serve --listen {patrol}"))
        .replace("$PWD/host/gateways/nginx", &home.to_string_lossy())
        .replace("/tmp/patrol-nginx", &home.to_string_lossy());
    let program = patrol_tests::bin::patrol();
    let mut path = program.parent().unwrap().as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    path.push(":/usr/sbin");
    let mut command = Command::new("bash");
    command
        .current_dir(directory.path())
        .env("PATH", path)
        .env("no_proxy", "127.0.0.1");
    for name in ["PATROL_DATA", "PATROL_CONFIG", "PATROL_JSON", "PATROL_LOG"] {
        command.env_remove(name);
    }
    let script = format!("set -eu\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{steps}");
    command.args(["-c", &script]);
    let mut session = Running::start(command, &directory.path().join("session.log"));
    let status = wait_for("the steps to be done", || session.ended());
    assert!(status.success(), "{status}");

    let log = session.log();
    let mut seen = log.lines();
    for expected in blocks("text").lines() {
        assert!(
            seen.any(|line| line.trim_end() == expected),
            "not seen, or not in order: {expected}"
        );
    }
}
