//! HAProxy, with SPOE.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use patrol_tests::gateway::client::{curl, decided};
use patrol_tests::gateway::files::{copy, replace, shipped};
use patrol_tests::gateway::haproxy::HaProxy;
use patrol_tests::gateway::patrol::Patrol;
use patrol_tests::gateway::probe::{Form, Gateway as _, World};
use patrol_tests::gateway::upstream::Upstream;
use patrol_tests::gateway::{find, free_port, have, readme, wait_for};
use spop::frames::{Ack, AgentHello};
use spop::{SUPPORTED_VERSION, SpopFrame as _, VarScope, decode_varint};

patrol_tests::probe!(HaProxy);

#[test]
fn what_routes_and_limits_say_reaches_the_client() {
    super::what_routes_and_limits_say::<HaProxy>();
}

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

/// Some of Patrol's answers are hard to come by: an agent in its place gives them all, and some that Patrol never would.
#[test]
fn whatever_is_no_yes_is_a_no() {
    if !have(&["haproxy", "curl"]) {
        return;
    }
    let patrol = Patrol::with_doors("", &["spop"]);
    let upstream = Upstream::start();
    let say: fn(Ack, &str) -> Ack = |ack, case| {
        let set = |ack: Ack, allow: bool, status: u32| {
            ack.set_var(VarScope::Transaction, "allow", allow)
                .set_var(VarScope::Transaction, "status", status)
                .set_var(
                    VarScope::Transaction,
                    "body",
                    r#"{"errorCode":"E_0_X","message":"x"}"#,
                )
                .set_var(VarScope::Transaction, "retry_after", "7")
        };
        match case {
            "/nothing" => ack,
            "/no" => ack.set_var(VarScope::Transaction, "allow", false),
            "/session" => ack.set_var(VarScope::Session, "other", true),
            "/200" => ack.set_var(VarScope::Transaction, "status", 200_u32),
            "/yes-and-no" => set(ack, true, 403),
            "/nobody" => set(ack, true, 200).set_var(VarScope::Transaction, "user", ""),
            status => set(ack, false, status[1..].parse().unwrap()),
        }
    };
    agent(patrol.door("spop"), say);
    let haproxy = HaProxy::start(&patrol, &upstream, true);
    for (case, expected) in [
        ("/nothing", 503),
        ("/no", 503),
        ("/session", 503),
        ("/200", 503),
        ("/yes-and-no", 403),
        ("/400", 400),
        ("/401", 401),
        ("/403", 403),
        ("/404", 503),
        ("/429", 429),
        ("/500", 503),
        ("/503", 503),
    ] {
        let answer = curl(&[&*haproxy.url(case), "--header", "X-Patrol-User: root"]);
        assert_eq!(answer.status, expected, "{case}: {answer:?}");
        assert_eq!(answer.all("Content-Type"), ["application/json"], "{case}");
        let retry = answer.all("Retry-After");
        match expected {
            429 => assert_eq!(retry, ["7"]),
            503 => assert_eq!(retry, ["1"]),
            _ => assert!(retry.is_empty(), "{case}: {retry:?}"),
        }
    }
    assert_eq!(upstream.requests(), 0);
    // Where Patrol lets everybody in, nobody in particular comes.
    let url = haproxy.url("/nobody");
    let arrived = decided(&[&*url, "--header", "X-Patrol-User: root"]).arrived();
    assert!(arrived.all("X-Patrol-User").is_empty(), "{arrived:?}");
}

/// An agent in Patrol's place, which says what it is told to say about each path. It ends with the test's process.
fn agent(port: u16, say: fn(Ack, &str) -> Ack) {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().filter_map(Result::ok) {
            std::thread::spawn(move || while serve(&stream, say).is_some() {});
        }
    });
}

fn serve(mut stream: &TcpStream, say: fn(Ack, &str) -> Ack) -> Option<()> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut body).ok()?;
    let answer = if body[0] == 1 {
        let hello = AgentHello {
            version: SUPPORTED_VERSION,
            max_frame_size: 16_380,
            capabilities: Vec::new(),
        };
        hello.serialize().unwrap()
    } else {
        let (rest, stream_id) = decode_varint(&body[5..]).ok()?;
        let (rest, frame_id) = decode_varint(rest).ok()?;
        let text = String::from_utf8_lossy(rest);
        // "uri", a string, its length, and the path.
        let uri = text.split("uri").nth(1)?.get(2..)?;
        let path: String = uri
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || "/-".contains(*c))
            .collect();
        // The name of the next argument follows, behind its length.
        say(Ack::new(stream_id, frame_id), &path).serialize().unwrap()
    };
    stream.write_all(&answer).ok()
}
