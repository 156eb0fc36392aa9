//! Envoy's `ext_authz`, over gRPC and over HTTP.

use patrol_tests::gateway::client::{Answer, curl, decided};
use patrol_tests::gateway::envoy::{Envoy, FILES};
use patrol_tests::gateway::files::{copy, shipped};
use patrol_tests::gateway::patrol::{Patrol, Token};
use patrol_tests::gateway::probe::{IDENTITY, Setup};
use patrol_tests::gateway::upstream::Upstream;
use patrol_tests::gateway::{Running, free_port, have, readme};

mod grpc {
    use patrol_tests::gateway::envoy::EnvoyGrpc;

    patrol_tests::probe!(EnvoyGrpc);
}

mod http {
    use patrol_tests::gateway::envoy::EnvoyHttp;

    patrol_tests::probe!(EnvoyHttp);
}

/// A service behind an Envoy whose configuration was changed.
struct World {
    envoy: Envoy,
    server: Running,
    token: Token,
    upstream: Upstream,
    // Last, since the others work in its directory.
    patrol: Patrol,
}

impl World {
    /// Nothing, where there is no Envoy.
    fn new(file: &str, changes: &[(&str, &str)]) -> Option<Self> {
        have(&["envoy", "curl"]).then(|| {
            let patrol = Patrol::with_doors("", &["grpc"]);
            patrol.user("ann", &[]);
            let token = patrol.token("ann", "one", "30d");
            let upstream = Upstream::start();
            let server = patrol.serve();
            let setup = Setup {
                patrol: &patrol,
                upstream: &upstream,
                guarded: true,
            };
            let envoy = Envoy::start(&setup, file, changes);
            Self {
                envoy,
                server,
                token,
                upstream,
                patrol,
            }
        })
    }

    /// A request with the token, and with more.
    fn ask(&self, path: &str, more: &[&str]) -> Answer {
        let bearer = ["--oauth2-bearer", &self.token.secret, "--path-as-is"];
        decided(&[&[&*self.envoy.url(path)], &bearer[..], more].concat())
    }
}

/// Patrol's answer alone is enough, also where it has nothing to say: a value that is empty replaces one that is not.
#[test]
fn what_patrol_says_replaces_what_a_client_claims_even_where_envoy_did_not_drop_it() {
    for file in FILES {
        let dropping = (
            "key_matcher: { prefix: x-patrol-,",
            "key_matcher: { prefix: x-other-,",
        );
        let Some(world) = World::new(file, &[dropping]) else {
            return;
        };
        let claims = IDENTITY.map(|name| format!("{name}: root"));
        let claims: Vec<_> = claims.iter().flat_map(|claim| ["--header", claim]).collect();
        let arrived = world.ask("/thing", &claims).arrived();
        assert!(!format!("{arrived:?}").contains("root"), "{file}: {arrived:?}");
        for name in ["X-Patrol-Session", "X-Patrol-Roles"] {
            assert_eq!(arrived.header(name), "", "{file}: {name}");
        }
    }
}

/// Envoy joins them by a comma then.
#[test]
fn two_credentials_are_refused_also_where_envoy_joins_headers_of_a_name() {
    for file in FILES {
        let raw = ("encode_raw_headers: true", "encode_raw_headers: false");
        let Some(world) = World::new(file, &[raw]) else {
            return;
        };
        assert_eq!(world.ask("/thing", &[]).status, 200);
        let second = format!("Authorization: Bearer {}", world.token.secret);
        let both = ["--header", &*second, "--header", &second];
        let answer = decided(&[&[&*world.envoy.url("/thing")], &both[..]].concat());
        assert_eq!(answer.status, 400, "{file}: {answer:?}");
        assert_eq!(world.upstream.requests(), 1);
    }
}

#[test]
fn a_route_that_answers_by_itself_is_asked_about_too() {
    let open = "- match: { prefix: / }\n";
    let own = "- match: { prefix: /own }\n                          direct_response: { status: 204 }\n\
               \x20                       - match: { prefix: / }\n";
    for file in FILES {
        let Some(world) = World::new(file, &[(open, own)]) else {
            return;
        };
        assert_eq!(world.ask("/own", &[]).status, 204, "{file}");
        assert_eq!(decided(&[&*world.envoy.url("/own")]).status, 401, "{file}");
    }
}

/// The service gets the path that Patrol was asked about.
#[test]
fn paths_mean_one_thing_or_are_refused() {
    for file in FILES {
        let Some(world) = World::new(file, &[]) else {
            return;
        };
        for (path, arrives) in [
            ("/a/../b?c=../d", "/b?c=../d"),
            ("/a//b", "/a/b"),
            ("/a/%2e%2e/b", "/b"),
            ("/a\\b", "/a/b"),
            ("/a;b/gr%c3%b6", "/a;b/gr%c3%b6"),
        ] {
            assert_eq!(world.ask(path, &[]).arrived().target, arrives, "{file}: {path}");
        }
        let before = world.upstream.requests();
        for path in ["/a%2fb", "/a%5Cb", "/a%00b"] {
            assert_eq!(world.ask(path, &[]).status, 400, "{file}: {path}");
        }
        // curl would keep the fragment to itself.
        let fragment = world.ask("/", &["--request-target", "/a#b"]);
        assert_eq!(fragment.status, 400, "{file}");
        assert_eq!(world.upstream.requests(), before);
    }
}

#[test]
fn where_patrol_is_away_clients_are_told_so_and_when_to_try_again() {
    for file in FILES {
        let Some(mut world) = World::new(file, &[]) else {
            return;
        };
        world.server.kill();
        let answer = curl(&[&*world.envoy.url("/thing")]);
        assert_eq!(answer.status, 503, "{file}: {answer:?}");
        assert_eq!(answer.all("Retry-After"), ["1"]);
        assert_eq!(answer.all("Cache-Control"), ["no-store"]);
        assert_eq!(answer.json()["errorCode"], "E_503_SERVICE_UNAVAILABLE");
    }
}

/// An operator may want to go on without Patrol. Where Patrol is there, it still decides.
#[test]
fn a_patrol_that_cannot_decide_says_no_over_grpc_even_to_a_filter_that_fails_open() {
    let open = ("failure_mode_allow: false", "failure_mode_allow: true");
    let Some(mut world) = World::new("grpc.yaml", &[open]) else {
        return;
    };
    let store = rusqlite::Connection::open(world.patrol.beside("data/patrol.db")).unwrap();
    store.execute_batch("ALTER TABLE token RENAME TO gone").unwrap();
    let ask = |world: &World| {
        curl(&[
            &*world.envoy.url("/thing"),
            "--oauth2-bearer",
            &world.token.secret,
        ])
    };
    let answer = ask(&world);
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.all("Retry-After"), ["1"]);
    assert_eq!(world.upstream.requests(), 0);
    // Such a filter it is.
    world.server.kill();
    assert_eq!(ask(&world).status, 200);
}

#[test]
fn a_service_that_is_away_is_not_taken_for_patrol() {
    for file in FILES {
        // It takes no requests at all.
        let service = "- name: service\n      connect_timeout: 1s\n";
        let full = format!(
            "{service}      circuit_breakers: {{ thresholds: [{{ max_requests: 0, max_pending_requests: 0, max_connections: 0 }}] }}\n"
        );
        let Some(world) = World::new(file, &[(service, &full)]) else {
            return;
        };
        let url = world.envoy.url("/thing");
        let answer = curl(&[&*url, "--oauth2-bearer", &world.token.secret]);
        assert_eq!(answer.status, 503);
        assert!(!answer.body.contains("decision"), "{file}: {answer:?}");
    }
}

#[test]
fn the_steps_in_the_readme_work_as_written() {
    if !have(&["bash", "envoy", "curl"]) {
        return;
    }
    let directory = tempfile::TempDir::new().unwrap();
    let home = directory.path().join("envoy");
    copy(&shipped("envoy"), &home);
    let ports = [8080, 8787, 8788, 9000].map(|port: u16| (port, free_port()));
    for file in FILES {
        let path = home.join(file);
        let mut text = std::fs::read_to_string(&path).unwrap();
        for (from, to) in ports {
            text = text.replace(&format!("port_value: {from} "), &format!("port_value: {to} "));
        }
        std::fs::write(&path, text).unwrap();
    }
    let [gateway, http, grpc] = [0, 1, 2].map(|index: usize| {
        let (from, to) = ports[index];
        (format!("127.0.0.1:{from}"), format!("127.0.0.1:{to}"))
    });
    let serve = format!("patrol serve --listen {}", http.1);
    let changes = [
        (&*gateway.0, &*gateway.1),
        (&http.0, &http.1),
        (&grpc.0, &grpc.1),
        ("patrol serve", &serve),
        ("--base-id 1", "--use-dynamic-base-id"),
        ("$PWD/host/gateways/envoy", &home.to_string_lossy()),
    ];
    readme::follow("envoy", directory.path(), &changes);
}
