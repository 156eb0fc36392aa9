//! Requests that no client sends by accident, byte by byte: whatever a gateway makes of them, nobody comes in by one.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::{Gateway, World, assert_unseen};
use crate::gateway::upstream::Arrived;

/// How long an answer may take. A gateway may keep a connection open whose request it does not understand.
const PATIENCE: Duration = Duration::from_secs(8);

/// What is answered, to its end: to that of the connection, or of the body where its length is told.
fn read(stream: &mut TcpStream) -> Vec<u8> {
    let started = Instant::now();
    let mut answer = Vec::new();
    let mut piece = [0; 4_096];
    while !is_whole(&answer) && started.elapsed() < PATIENCE {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => break,
            Ok(count) => answer.extend_from_slice(piece.get(..count).unwrap_or_default()),
        }
    }
    answer
}

fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let mut rest = &*text;
    while let Some((head, body)) = rest.split_once("\r\n\r\n") {
        // Such as 100, before the answer.
        if head.starts_with("HTTP/1.1 1") {
            rest = body;
            continue;
        }
        let fields = head.lines().filter_map(|line| line.split_once(':'));
        let length = fields
            .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .find_map(|(_, value)| value.trim().parse::<usize>().ok());
        return length.is_some_and(|length| body.len() >= length);
    }
    false
}

/// What an odd request led to at the service, if it got there.
fn arrives<G: Gateway>(world: &World<G>, request: &str) -> Option<Arrived> {
    let before = world.upstream.requests();
    let mut stream = TcpStream::connect(("127.0.0.1", world.gateway.port())).expect("the gateway listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit of time");
    // It may be refused before all of it is sent, and by a reset.
    let _ = stream.write_all(request.as_bytes());
    let answer = read(&mut stream);
    let answer = String::from_utf8_lossy(&answer);
    let reached = world.upstream.requests() - before;
    assert!(reached <= 1, "{request:?} became {reached} requests: {answer}");
    if reached == 0 {
        // `OPTIONS *` is about the gateway itself, which may answer it.
        let own = request.starts_with("OPTIONS *");
        assert!(
            own || !answer.starts_with("HTTP/1.1 2"),
            "{request:?} was answered {answer}"
        );
        return None;
    }
    let arrived = answer.find('{').zip(answer.rfind('}'));
    let arrived = arrived.and_then(|(from, to)| serde_json::from_str(answer.get(from..=to)?).ok());
    Some(arrived.unwrap_or_else(|| panic!("{request:?} reached the service: {answer}")))
}

/// Without a credential, no request gets to the service but those of the open routes, as Patrol understood them.
pub fn no_odd_request_gets_in_without_a_token<G: Gateway>() {
    let Some(world) = World::<G>::new() else { return };
    let service = world.upstream.port();
    let long = "x".repeat(200_000);
    let lines = [
        "GET /thing HTTP/1.0".to_owned(),
        "GET http://service.example/thing HTTP/1.1".to_owned(),
        format!("GET http://127.0.0.1:{service}/thing HTTP/1.1"),
        "GET http://service.example/open/../thing HTTP/1.1".to_owned(),
        "GET https://service.example/thing HTTP/1.1".to_owned(),
        "GET open/x HTTP/1.1".to_owned(),
        "GET ?/open/x HTTP/1.1".to_owned(),
        format!("CONNECT 127.0.0.1:{service} HTTP/1.1"),
        "CONNECT /thing HTTP/1.1".to_owned(),
        "TRACE /thing HTTP/1.1".to_owned(),
        "OPTIONS * HTTP/1.1".to_owned(),
        "OPTIONS /thing HTTP/1.1".to_owned(),
        "HEAD /thing HTTP/1.1".to_owned(),
        "get /thing HTTP/1.1".to_owned(),
        "post /read/x HTTP/1.1".to_owned(),
        "GET\t/thing\tHTTP/1.1".to_owned(),
        "GET /open/x /thing HTTP/1.1".to_owned(),
        "GET /thing HTTP/1.1 /open/x HTTP/1.1".to_owned(),
        "PRI * HTTP/2.0".to_owned(),
        "GET /thing HTTP/3.0".to_owned(),
        format!("GET /thing?{long} HTTP/1.1"),
        "GET /thing".to_owned(),
    ];
    let headers = [
        "",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n",
        "Expect: 100-continue\r\nContent-Length: 0\r\n",
        "X-Original-URI: /open/x\r\n X-Original-Method: GET\r\n",
        "Authorization:\r\n",
        "Authorization: Bearer\r\nAuthorization: Basic\r\n",
        "Host: other.example\r\n",
        ":path: /open/x\r\n:method: GET\r\n",
    ];
    let plain = "GET /thing HTTP/1.1".to_owned();
    let requests = lines
        .iter()
        .map(|line| (line, ""))
        .chain(headers.map(|more| (&plain, more)));
    for (line, more) in requests {
        let close = if more.contains("Upgrade") {
            ""
        } else {
            "Connection: close\r\n"
        };
        let request = format!("{line}\r\nHost: service.example\r\n{more}{close}\r\n");
        if let Some(arrived) = arrives(&world, &request) {
            panic!("{request:?} got in: {arrived:?}");
        }
    }
    // It is not that nothing gets through.
    if G::WAYS.tells_request {
        let open = "GET /open/x HTTP/1.1\r\nHost: service.example\r\nConnection: close\r\n\r\n";
        assert_eq!(arrives(&world, open).expect("it is open").target, "/open/x");
    }
}

/// A header that is written oddly is refused, or dropped, or taken for what it is: with a token that is good and on a
/// path that is open.
pub fn no_odd_header_carries_a_token_or_an_identity_to_the_service<G: Gateway>() {
    let Some(world) = World::<G>::new() else { return };
    let token = world.patrol.token("ann", "odd", "30d");
    let secret = &token.secret;
    let odd = [
        format!("Authorization : Bearer {secret}\r\n"),
        format!("Authorization\t: Bearer {secret}\r\n"),
        format!("Authorization:Bearer {secret}\r\n"),
        format!("Authorization: Bearer\t{secret}\r\n"),
        format!("Authorization: Bearer\r\n {secret}\r\n"),
        format!("Authorization: Digest {secret}\r\n"),
        format!("Authorization: {secret}\r\n"),
        format!("AUTHORIZATION: Bearer {secret}\r\n"),
        format!("Authorization: Bearer {secret}\u{a0}\r\n"),
        format!("Authorization:\r\nAuthorization: Bearer {secret}\r\n"),
        format!("X-Tableau-Session-Token : {secret}\r\n"),
        format!("X-API-KEY: {secret}\r\nX-Api-Key:\r\n"),
        "X-Patrol-User : root\r\n".to_owned(),
        "X-Patrol-User\t: root\r\n".to_owned(),
        " X-Patrol-User: root\r\n".to_owned(),
        "X-Patrol-User:\r\n root\r\n".to_owned(),
        "X-Patrol-User: \r\nX-Patrol-User: root\r\n".to_owned(),
        "x-patrol-user:root\r\n".to_owned(),
        "X-Filler: y\r\n X-Patrol-User: root\r\n".to_owned(),
        "X-Filler: y\rX-Patrol-User: root\r\n".to_owned(),
        "X-Filler: y\nX-Patrol-User: root\r\n".to_owned(),
        "X.Patrol.User: root\r\nX Patrol-User: root\r\n".to_owned(),
    ];
    for header in &odd {
        for path in ["/thing", "/open/x"] {
            for good in ["", &*format!("X-Api-Key: {secret}\r\n")] {
                let request = format!(
                    "GET {path} HTTP/1.1\r\nHost: service.example\r\n{good}{header}Connection: close\r\n\r\n"
                );
                let Some(arrived) = arrives(&world, &request) else {
                    continue;
                };
                assert_unseen(&arrived, secret);
                let user = arrived.all("X-Patrol-User");
                let known = user == [&*token.owner_id];
                assert!(known || path == "/open/x", "{request:?}: {arrived:?}");
                let nobody = user.is_empty() || user == [""];
                assert!(known || nobody, "{request:?}: {arrived:?}");
            }
        }
    }
}

/// A service that speaks HTTP/2 without TLS would answer `Upgrade: h2c` by a connection on which the gateway, and so
/// Patrol, no longer sees what is asked for.
pub fn nobody_gets_past_the_gateway_by_an_upgrade_to_http_2<G: Gateway>() {
    let Some(world) = World::<G>::new() else { return };
    let token = world.patrol.token("ann", "upgrade", "30d");
    for (connection, upgrade) in [
        ("Upgrade, HTTP2-Settings", "h2c"),
        ("Upgrade", "H2C"),
        ("upgrade", "websocket, h2c"),
        ("close, Upgrade", "h2c"),
    ] {
        for path in ["/thing", "/open/x"] {
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: service.example\r\nAuthorization: Bearer {}\r\nConnection: \
                 {connection}\r\nUpgrade: {upgrade}\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
                token.secret
            );
            let Some(arrived) = arrives(&world, &request) else {
                continue;
            };
            let upgrades = arrived.all("Upgrade");
            let asked = upgrades.iter().any(|value| value.to_lowercase().contains("h2c"));
            assert!(!asked, "{upgrade}: {arrived:?}");
        }
    }
    assert_eq!(world.bearer(&token.secret).status, 200, "it is not the token");
}
