//! What a client says of itself, and where Patrol and the service might understand a request differently.

use serde_json::json;

use super::{Fate, Form, Gateway, IDENTITY, World};
use crate::gateway::upstream::sum;
use crate::gateway::wait_for;

/// Headers by which gateways tell whom they ask of the original request. Each gateway has its own, and passes those of
/// the others on.
const FORGED: [&str; 18] = [
    "X-Original-URI: /open/x",
    "X-Original-URL: /open/x",
    "X-Original-Method: GET",
    "X-Forwarded-Uri: /open/x",
    "X-Forwarded-Method: GET",
    "X-Forwarded-Path: /open/x",
    "X-Forwarded-Prefix: /open",
    "X-Rewrite-URL: /open/x",
    "X-Replaced-Path: /open/x",
    "X-HTTP-Method-Override: GET",
    "X-Envoy-Original-Path: /open/x",
    "X-Envoy-Original-Method: GET",
    "X-Envoy-External-Address: 192.0.2.1",
    "X-Real-IP: 192.0.2.1",
    "X-Forwarded-For: 192.0.2.2",
    "X-Client-IP: 192.0.2.4",
    "True-Client-IP: 192.0.2.5",
    "Forwarded: for=192.0.2.3",
];

fn headers(lines: &[&str]) -> Vec<String> {
    let arguments = lines.iter().flat_map(|line| ["--header", line]);
    arguments.map(str::to_owned).collect()
}

/// Identity headers that a client sends itself, with a token and, on a route that is open to everyone, without.
pub fn an_identity_that_a_client_claims_does_not_reach_the_service<G: Gateway>() {
    let Some(world) = World::<G>::new() else { return };
    let token = world.patrol.token("ann", "claims", "30d");
    let names = IDENTITY.map(|name| [name.to_owned(), name.to_lowercase()]);
    let claims = names.as_flattened().iter().map(|name| format!("{name}: root"));
    let claims: Vec<_> = claims.chain(["X-Patrol-Identity: root".to_owned()]).collect();
    let claims = headers(&claims.iter().map(String::as_str).collect::<Vec<_>>());

    let with_token = [&Form::Bearer.arguments(&token.secret), &claims[..]].concat();
    let arrived = world.ask("/thing", &with_token).arrived();
    assert!(!format!("{arrived:?}").contains("root"), "{arrived:?}");
    assert_eq!(arrived.header("X-Patrol-User"), token.owner_id);
    assert_eq!(arrived.header("X-Patrol-User-Name"), "ann");

    world.refused("/thing", &claims, &[401]);
    if G::WAYS.tells_request {
        let arrived = world.ask("/open/x", &claims).arrived();
        assert!(!format!("{arrived:?}").contains("root"), "{arrived:?}");
    }
}

/// CGI and WSGI take `X_Patrol_User` for `X-Patrol-User`.
pub fn an_identity_in_underscores_does_not_reach_the_service<G: Gateway>() {
    let Some(world) = World::<G>::new() else { return };
    let token = world.patrol.token("ann", "underscores", "30d");
    let bearer = Form::Bearer.arguments(&token.secret);
    for name in [
        "X_Patrol_User",
        "X-Patrol_User",
        "x_patrol_token_name",
        "X_PATROL-ROLES",
    ] {
        let claim = headers(&[&format!("{name}: root")]);
        let arguments = [&bearer, &claim[..]].concat();
        trick::<G>(&world, name, &arguments, G::WAYS.underscores, &token.owner_id);
    }
}

/// A header named in `Connection` is for the next hop only, so a gateway may drop it: even what Patrol said.
pub fn an_identity_named_in_connection_is_not_lost<G: Gateway>() {
    let Some(world) = World::<G>::new() else { return };
    let token = world.patrol.token("ann", "connection", "30d");
    let bearer = Form::Bearer.arguments(&token.secret);
    for value in [
        "X-Patrol-User",
        "close, x-patrol-user",
        "keep-alive,X-PATROL-USER, X-Patrol-Roles",
        "close, X-Patrol-User-Name,X-Patrol-User",
    ] {
        let claim = headers(&[&format!("Connection: {value}")]);
        let arguments = [&bearer, &claim[..]].concat();
        trick::<G>(&world, value, &arguments, G::WAYS.connection, &token.owner_id);
    }
    // Nor does it help to have the credential dropped on the way to Patrol, or what the gateway tells it.
    for name in ["Authorization", "X-Original-URI", "X-Forwarded-Uri", "X-Real-IP"] {
        let claim = headers(&[&format!("Connection: close, {name}")]);
        let arguments = [&bearer, &claim[..]].concat();
        let answer = world.ask("/thing", &arguments);
        if answer.status == 200 {
            let arrived = answer.arrived();
            assert_eq!(arrived.header("X-Patrol-User"), token.owner_id, "{name}");
            assert!(
                !format!("{arrived:?}").contains(&token.secret),
                "{name}: {arrived:?}"
            );
        } else {
            assert!([400, 401].contains(&answer.status), "{name}: {answer:?}");
        }
        let without = world.ask("/thing", &claim);
        assert!([400, 401].contains(&without.status), "{name}: {without:?}");
    }
}

/// Asserts what becomes of a request that tries a trick.
fn trick<G: Gateway>(world: &World<G>, what: &str, arguments: &[String], fate: Fate, owner: &str) {
    match fate {
        Fate::Refused => {
            world.refused("/thing", arguments, &[400]);
        }
        Fate::Dropped => {
            let arrived = world.ask("/thing", arguments).arrived();
            assert!(!format!("{arrived:?}").contains("root"), "{what}: {arrived:?}");
            assert_eq!(arrived.header("X-Patrol-User"), owner, "{what}");
            assert_eq!(arrived.header("X-Patrol-User-Name"), "ann", "{what}");
            let roles = arrived.header("X-Patrol-Roles");
            assert!(roles.contains("deployer"), "{what}: {roles}");
        }
    }
}

/// Path, method and address: whatever a client says of them under the name that another gateway uses.
pub fn what_patrol_decides_on_comes_from_the_gateway_alone<G: Gateway>() {
    let Some(world) = World::<G>::new() else { return };
    let forged = headers(&FORGED);
    // By the path of a route that is open, or by the method of one that is.
    for header in FORGED {
        world.refused("/thing", &headers(&[header]), &[400, 401]);
        let method = [
            &headers(&[header])[..],
            &["--request".to_owned(), "POST".to_owned()],
        ]
        .concat();
        world.refused("/read/x", &method, &[400, 401]);
    }
    world.refused("/thing", &forged, &[400, 401]);
    // Caddy appends the query to the question.
    for path in [
        "/thing?uri=/open/x&method=GET",
        "/thing?/open/x",
        "/thing?X-Original-URI=/open/x",
    ] {
        world.refused(path, &[""; 0], &[401]);
    }
    if !G::WAYS.tells_request {
        return;
    }
    // What is forged does not lead to another decision, and the audit trail tells of what was really asked for.
    let nonsense = [&Form::Bearer.arguments("nonsense"), &forged[..]].concat();
    world.refused("/a/thing?a=b", &nonsense, &[401]);
    let event = wait_for("the attempt to be written down", || {
        let list = ["audit", "list", "--type", "verify_personal_access_token"];
        let events = world.patrol.json(&list);
        events.as_array().expect("a list").last().cloned()
    });
    assert_eq!(event["initiatingUrl"], json!("/a/thing"), "{event}");
    assert_eq!(event["initiatingUserIpAddress"], json!("127.0.0.1"), "{event}");
    let token = world.patrol.token("ann", "forger", "30d");
    let bearer = [&Form::Bearer.arguments(&token.secret), &forged[..]].concat();
    let arrived = world.ask("/thing", &bearer).arrived();
    assert_eq!(arrived.header("X-Patrol-User"), token.owner_id);
}

/// `/open/..%2fthing` is open to one parser and not to another.
pub fn paths_that_can_be_read_in_two_ways_open_nothing<G: Gateway>() {
    let Some(world) = World::<G>::new() else { return };
    let token = world.patrol.token("ann", "paths", "30d");
    let bearer = Form::Bearer.arguments(&token.secret);
    for path in [
        "/open/../thing",
        "/open/./../thing",
        "/open/..",
        "/open//../thing",
        "/open/..%2fthing",
        "/open/..%2Fthing",
        "/open%2f..%2fthing",
        "/open/%2e%2e/thing",
        "/open/.%2E/thing",
        "/open/..%5cthing",
        "/open/..\\thing",
        "/open\\..\\thing",
        "/open/..;/thing",
        "/open/..;x=y/thing",
        "/open/x/%2e%2e/%2e%2e/thing",
        "/open/..%00/thing",
        "/open/..%0d%0a/thing",
        "//open/../thing",
        "/thing/../open/../thing",
        "/thing%2f..%2fopen/x",
        "/thing/..;/open/x",
        "/thing#/../open/x",
        "/thing?/../open/x",
    ] {
        let arrives = |arguments: &[String]| {
            let before = world.upstream.requests();
            let answer = world.ask(path, arguments);
            if answer.status == 200 {
                return Some(answer.arrived().target);
            }
            assert!((300..500).contains(&answer.status), "{path}: {answer:?}");
            assert_eq!(
                world.upstream.requests(),
                before,
                "{path}: the service was reached"
            );
            None
        };
        // A gateway may make a path plain before it asks and before it hands it on: what then comes to the service
        // without a token is what is open, and nothing that the service could read in another way.
        if let Some(target) = arrives(&[]) {
            assert!(
                is_plain(&target) && target.starts_with("/open/"),
                "{path}: {target}"
            );
        }
        if G::WAYS.tells_request
            && let Some(target) = arrives(&bearer)
        {
            assert!(is_plain(&target), "{path}: {target}");
        }
    }
}

/// Whether all parsers read a target's path alike.
fn is_plain(target: &str) -> bool {
    let path = target.split('?').next().unwrap_or_default().to_lowercase();
    let odd = [
        "//", "\\", ";", "#", "%2e", "%2f", "%5c", "%00", "%0a", "%0d", "%7f",
    ];
    let dots = path.split('/').any(|segment| segment == "." || segment == "..");
    path.starts_with('/') && !dots && !odd.iter().any(|odd| path.contains(odd))
}

/// Larger than what Patrol would take, or a gateway would hold in memory.
pub fn a_body_arrives_whole_and_is_not_shown_to_patrol<G: Gateway>() {
    let Some((world, taps)) = World::<G>::build(|patrol| patrol.serve_tapped()) else {
        return;
    };
    let token = world.patrol.token("ann", "upload", "30d");
    let body: Vec<u8> = b"for the service alone\n"
        .iter()
        .copied()
        .cycle()
        .take(500_000)
        .collect();
    let file = world.patrol.beside("body");
    std::fs::write(&file, &body).expect("a file can be written");
    let file = format!("@{}", file.display());
    let bearer = Form::Bearer.arguments(&token.secret);
    let data = [&bearer, &["--data-binary".to_owned(), file][..]].concat();
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let arguments = [&data[..], &["--request".to_owned(), method.to_owned()]].concat();
        let arrived = world.ask("/a%20b/c?d=e&f=%2F", &arguments).arrived();
        assert_eq!(
            (&*arrived.method, &*arrived.target),
            (method, "/a%20b/c?d=e&f=%2F")
        );
        assert_eq!((arrived.body, arrived.sum), (body.len(), sum(&body)), "{method}");
    }
    let head = world.ask("/thing", &[&bearer[..], &["--head".to_owned()]].concat());
    assert_eq!((head.status, &*head.body), (200, ""));
    // A short one as well, which would fit into the question.
    let short = [
        &bearer[..],
        &["--data".to_owned(), "for the service alone".to_owned()],
    ]
    .concat();
    assert_eq!(world.ask("/thing", &short).arrived().body, 21);

    let shown: Vec<_> = taps.iter().flat_map(|tap| tap.connections()).collect();
    let contains = |bytes: &[u8], needle: &[u8]| bytes.windows(needle.len()).any(|piece| piece == needle);
    assert!(
        shown.iter().any(|bytes| contains(bytes, token.secret.as_bytes())),
        "the questions were not seen"
    );
    for bytes in shown {
        assert!(
            !contains(&bytes, b"the service alone"),
            "the body was shown to Patrol"
        );
    }
}
