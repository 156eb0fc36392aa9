//! What resource servers are answered: introspection (RFC 7662), revocation (RFC 7009) and metadata (RFC 8414).

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use patrol::config::Config;
use patrol::service::{ClientSpec, NewAccount, NewClient, NewToken};
use patrol_policy::token::{Kind, compose};
use patrol_policy::types::{DAY, HOUR, Id, MINUTE};
use patrol_tests::deployment::{AUDIENCE, Deployment, START, id, operator, user, verify};
use patrol_tests::hostile;
use patrol_tests::wire::{Answer, login, send};
use serde_json::{Value, json};

use super::{Listener, bearer, session_of, text};

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const INTROSPECT: &str = "POST /oauth2/introspect";
const REVOKE: &str = "POST /oauth2/revoke";

/// The whole answer for every dead token.
const DEAD: &str = r#"{"active":false}"#;

/// A listener, and a client that may ask it.
struct World {
    it: Deployment,
    listener: Listener,
    client: NewClient,
}

impl World {
    fn new() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        let it = Deployment::with(config);
        let listener = Listener::start(&it.patrol);
        let client = client(&it, "resource server", |_| {});
        Self { it, listener, client }
    }

    fn ask(&self, request: &str, client: &NewClient, token: &str) -> Answer {
        let credentials = basic(client);
        let headers = [FORM, ("Authorization", &*credentials)];
        let body = format!("token={token}&token_type_hint=access_token");
        send(self.listener.address, request, &headers, body.as_bytes()).unwrap()
    }

    fn introspect(&self, token: &str) -> Answer {
        self.ask(INTROSPECT, &self.client, token)
    }

    fn revoke(&self, token: &str) -> Answer {
        self.ask(REVOKE, &self.client, token)
    }
}

fn client(it: &Deployment, name: &str, limit: impl FnOnce(&mut ClientSpec)) -> NewClient {
    let mut spec = ClientSpec {
        name: name.to_owned(),
        ..ClientSpec::default()
    };
    limit(&mut spec);
    it.patrol.create_client(&operator(), &spec).unwrap()
}

fn secret(client: &NewClient) -> &str {
    std::str::from_utf8(client.secret.expose()).unwrap()
}

fn basic(client: &NewClient) -> String {
    pair(&client.row.id.to_string(), secret(client))
}

fn pair(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

/// An answer that says that the token is dead, and nothing else.
#[track_caller]
fn assert_dead(answer: &Answer, what: &str) {
    assert_eq!((answer.status, &*answer.body), (200, DEAD), "{what}: {answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
}

#[track_caller]
fn assert_error(answer: &Answer, status: u16, error: &str) {
    assert_eq!(
        (answer.status, &answer.json()["error"]),
        (status, &json!(error)),
        "{answer:?}"
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[test]
fn a_live_token_is_described_with_the_members_of_rfc_7662_and_whose_it_is() {
    let world = World::new();
    let it = &world.it;
    it.patrol
        .rename_user(&operator(), &user(it.alice), "Zoé 100%")
        .unwrap();
    it.patrol
        .set_roles(&operator(), &user(it.alice), &["reader".into(), "admin".into()])
        .unwrap();
    let token = it.issue(it.alice, "在庫");
    it.clock.set(START + 1_500);
    let answer = world.introspect(&text(&token));
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("application/json"))
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let expires = START + 1_500 + 15 * DAY;
    assert_eq!(
        answer.json(),
        json!({
            "active": true,
            "scope": "admin reader",
            "username": "Zoé 100%",
            "token_type": "Bearer",
            "exp": expires / 1_000,
            "iat": START / 1_000,
            "sub": it.alice.to_string(),
            "aud": AUDIENCE,
            "iss": "http://patrol",
            "jti": id(&token).to_string(),
            "x_patrol_user": it.alice.to_string(),
            "x_patrol_user_name": "Zo%C3%A9 100%25",
            "x_patrol_tenant": it.tenant.to_string(),
            "x_patrol_roles": "admin,reader",
            "x_patrol_token_id": id(&token).to_string(),
            "x_patrol_token_name": "%E5%9C%A8%E5%BA%AB",
            "x_patrol_expires": patrol::time::rfc3339(expires),
        })
    );
}

#[test]
fn a_session_is_described_as_its_own_until_it_ends_r8() {
    let world = World::new();
    let token = world.it.issue(world.it.bob, "one");
    world.it.clock.set(START + HOUR);
    let session = session_of(&login(world.listener.address, &text(&token)).unwrap());
    let told = world.introspect(&session).json();
    let identity = world.it.check(session.as_bytes()).unwrap();
    assert_eq!(told["jti"], identity.session.unwrap().to_string());
    assert_eq!(told["x_patrol_session"], told["jti"]);
    assert_eq!(told["x_patrol_token_id"], id(&token).to_string());
    assert_eq!(
        (&told["iat"], &told["exp"]),
        (
            &json!((START + HOUR) / 1_000),
            &json!((START + HOUR + 30 * MINUTE) / 1_000)
        )
    );
    // Somebody without roles has no scope, which is not the same as an empty one (RFC 6749, 3.3).
    assert_eq!(told.get("scope"), None, "{told}");
    world.it.patrol.revoke(&operator(), id(&token)).unwrap();
    assert_dead(&world.introspect(&session), "the session of a revoked token");
}

#[test]
fn every_dead_token_is_the_same_two_words() {
    let world = World::new();
    let it = &world.it;
    let good = it.issue(it.alice, "good");
    let [revoked, resting, changed] = [(it.alice, "revoked"), (it.bob, "resting"), (it.alice, "changed")]
        .map(|(owner, name)| it.issue(owner, name));
    let expired = it.issue_until(it.alice, "expired", START + HOUR);
    let elsewhere = it
        .patrol
        .issue(&operator(), it.alice, "elsewhere", START + DAY, "reports")
        .unwrap();
    let closed = String::from_utf8(it.sign_in(&good)).unwrap();
    it.patrol
        .close_session(closed.as_bytes(), &Default::default())
        .unwrap();
    it.patrol.revoke(&operator(), id(&revoked)).unwrap();
    it.patrol.set_enabled(&operator(), &user(it.bob), false).unwrap();
    let composed = |kind, id| String::from_utf8(compose(kind, id, &[4; 32]).into_bytes()).unwrap();
    // At the boundary instant it is expired (R5).
    it.clock.set(START + HOUR - 1);
    assert_eq!(world.introspect(&text(&expired)).json()["active"], true);
    it.clock.set(START + HOUR);
    let cut = &text(&good)[..82];
    let dead = [
        ("nonsense", "nonsense".to_owned()),
        ("cut", cut.to_owned()),
        ("mistyped", format!("{cut}-")),
        ("not UTF-8", "%ff%fe".to_owned()),
        ("unknown", composed(Kind::Pat, Id::from_u128(3))),
        ("a wrong secret", composed(Kind::Pat, id(&good))),
        ("an unknown session", composed(Kind::Session, Id::from_u128(3))),
        ("a client's secret", secret(&world.client).to_owned()),
        ("a closed session", closed),
        ("revoked", text(&revoked)),
        ("expired", text(&expired)),
        ("of another audience", text(&elsewhere)),
        ("of a disabled owner", text(&resting)),
    ];
    let first = world.introspect(&dead[0].1);
    assert_dead(&first, "the first");
    for (what, token) in &dead {
        assert_eq!(world.introspect(token), first, "{what}");
    }
    it.patrol
        .change_auth_method(
            &operator(),
            patrol_policy::types::Scope::Tenant(it.tenant),
            "saml",
        )
        .unwrap();
    assert_eq!(
        world.introspect(&text(&changed)),
        first,
        "after a change of method (R9)"
    );
}

#[test]
fn r5_introspection_is_a_use_only_where_the_token_is_live_and_within_the_clients_limits() {
    let world = World::new();
    let it = &world.it;
    let narrow = client(it, "elsewhere", |spec| {
        spec.audiences = vec!["reports".to_owned()]
    });
    let token = it.issue(it.alice, "one");
    let used = || {
        it.patrol
            .show_token(id(&token))
            .unwrap()
            .row
            .state
            .token
            .last_used
    };
    it.clock.set(START + HOUR);
    assert_dead(
        &world.ask(INTROSPECT, &narrow, &text(&token)),
        "beyond the client's audiences",
    );
    assert_eq!(used(), None);
    assert_eq!(world.introspect(&text(&token)).json()["active"], true);
    assert_eq!(used(), Some(START + HOUR));
    it.clock.set(START + HOUR + 15 * DAY - 1);
    assert_eq!(world.introspect(&text(&token)).json()["active"], true);
    it.clock.set(START + HOUR + 30 * DAY - 1);
    assert_dead(&world.introspect(&text(&token)), "idle for 15 days");
}

#[test]
fn r4_roles_are_the_owners_of_this_moment() {
    let world = World::new();
    let token = text(&world.it.issue(world.it.alice, "one"));
    assert_eq!(world.introspect(&token).json()["scope"], "admin");
    world
        .it
        .patrol
        .set_roles(&operator(), &user(world.it.alice), &[])
        .unwrap();
    assert_eq!(world.introspect(&token).json().get("scope"), None);
}

#[test]
fn r12_a_client_sees_the_tokens_of_its_audiences_and_of_its_tenant_only() {
    let world = World::new();
    let it = &world.it;
    it.patrol
        .create_tenant(&operator(), "other", "password", false)
        .unwrap();
    let eve = NewAccount {
        name: "eve".to_owned(),
        ..NewAccount::default()
    };
    let eve = it.patrol.create_user(&operator(), "other", &eve).unwrap().id;
    let issue = |owner, audience: &str| {
        let token = it
            .patrol
            .issue(&operator(), owner, audience, START + DAY, audience);
        text(&token.unwrap())
    };
    let tokens = [
        issue(it.alice, "api"),
        issue(it.alice, "reports"),
        issue(it.alice, "stock"),
        issue(eve, "api"),
        issue(eve, "reports"),
    ];
    let audiences = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let clients = [
        (client(it, "default", |_| {}), [true, false, false, true, false]),
        (
            client(it, "two", |spec| {
                spec.audiences = audiences(&["stock", "reports"])
            }),
            [false, true, true, false, true],
        ),
        (
            client(it, "one tenant", |spec| spec.tenant = Some("acme".to_owned())),
            [true, false, false, false, false],
        ),
        (
            client(it, "other tenant", |spec| {
                spec.tenant = Some("other".to_owned());
                spec.audiences = audiences(&["api", "reports", "stock"]);
            }),
            [false, false, false, true, true],
        ),
    ];
    for (client, expected) in &clients {
        for (token, live) in tokens.iter().zip(expected) {
            let name = &client.row.name;
            let answer = world.ask(INTROSPECT, client, token);
            if *live {
                assert_eq!(answer.json()["active"], true, "{name}");
            } else {
                assert_dead(&answer, name);
            }
        }
    }
    // Sessions, too.
    let session = session_of(&login(world.listener.address, &tokens[0]).unwrap());
    let [default, two, one_tenant, other_tenant] = clients.map(|(client, _)| client);
    for client in [&default, &one_tenant] {
        assert_eq!(world.ask(INTROSPECT, client, &session).json()["active"], true);
    }
    for client in [&two, &other_tenant] {
        assert_dead(&world.ask(INTROSPECT, client, &session), &client.row.name);
    }
    // What a client cannot see it cannot end either, and is not told.
    for client in [&two, &other_tenant] {
        for token in [&tokens[0], &session] {
            assert_eq!(world.ask(REVOKE, client, token).status, 200);
            assert_eq!(world.ask(INTROSPECT, &default, token).json()["active"], true);
        }
    }
}

#[test]
fn a_client_authenticates_by_basic_or_by_the_form_and_not_by_both() {
    let world = World::new();
    let token = text(&world.it.issue(world.it.alice, "one"));
    let (server, name, secret) = (
        world.listener.address,
        world.client.row.id.to_string(),
        secret(&world.client),
    );
    let ask = |headers: &[(&str, &str)], body: &str| {
        let headers = [&[FORM], headers].concat();
        send(server, INTROSPECT, &headers, body.as_bytes()).unwrap()
    };
    let token = &*format!("token={token}");
    let posted = &*format!("{token}&client_id={name}&client_secret={secret}");
    // Each half of Basic is form-encoded before it is joined (RFC 6749, 2.3.1).
    let encoded = pair(&name.replace('-', "%2D"), &secret.replace('_', "%5f"));
    let basic = basic(&world.client);
    for (headers, body) in [
        (vec![("Authorization", &*basic)], token),
        (vec![("authorization", &*encoded)], token),
        (
            vec![("Authorization", &*basic)],
            &*format!("{token}&client_id={name}"),
        ),
        (vec![], posted),
    ] {
        assert_eq!(ask(&headers, body).json()["active"], true, "{headers:?} {body}");
    }
    for (headers, body) in [
        (vec![("Authorization", &*basic)], posted),
        (
            vec![("Authorization", &*basic), ("Authorization", &*basic)],
            token,
        ),
        (
            vec![("Authorization", &*basic)],
            &*format!("{token}&client_id={}", Id::from_u128(7)),
        ),
        (vec![], &*format!("{posted}&client_secret={secret}")),
    ] {
        assert_error(&ask(&headers, body), 400, "invalid_request");
    }
}

#[test]
fn who_is_no_client_learns_nothing_whatever_is_wrong() {
    let world = World::new();
    let it = &world.it;
    let token = text(&it.issue(it.alice, "one"));
    let other = client(it, "other", |_| {});
    let revoked = client(it, "revoked", |_| {});
    let expired = client(it, "expired", |spec| spec.expires = Some(START + HOUR));
    let rotated = client(it, "rotated", |_| {});
    let fresh = it.patrol.rotate_client(&operator(), rotated.row.id).unwrap();
    it.patrol.revoke_client(&operator(), revoked.row.id).unwrap();
    it.clock.set(START + HOUR - 1);
    assert_eq!(world.ask(INTROSPECT, &expired, &token).json()["active"], true);
    it.clock.set(START + HOUR);
    let own = world.client.row.id.to_string();
    let wrong = compose(Kind::Client, world.client.row.id, &[4; 32]).into_bytes();
    let unknown = Id::from_u128(3);
    let stranger = compose(Kind::Client, unknown, &[4; 32]).into_bytes();
    let utf8 = |bytes: &[u8]| std::str::from_utf8(bytes).unwrap().to_owned();
    let attempts = [
        ("wrong-secret", pair(&own, &utf8(&wrong))),
        ("wrong-secret", pair(&own, secret(&other))),
        ("wrong-secret", pair(&own, &token)),
        ("wrong-secret", pair(&own, "nonsense")),
        ("unknown-client", pair("nobody", secret(&world.client))),
        ("unknown-client", pair(&unknown.to_string(), &utf8(&stranger))),
        ("unknown-client", pair("resource server", secret(&world.client))),
        ("revoked", basic(&revoked)),
        ("expired", basic(&expired)),
        ("wrong-secret", basic(&rotated)),
    ];
    for path in [INTROSPECT, REVOKE] {
        let mut answers = Vec::new();
        for (reason, credentials) in &attempts {
            let headers = [FORM, ("Authorization", &**credentials)];
            let body = format!("token={token}");
            answers.push(send(world.listener.address, path, &headers, body.as_bytes()).unwrap());
            let event = it.last_event("authenticate_client");
            assert_eq!(event["eventOutcome"], "unauthorized");
            assert_eq!(event["eventOutcomeReason"], *reason, "{event}");
        }
        // No credentials, and such as are none, are no attempt but the same answer.
        let tried = it.events("authenticate_client").len();
        for credentials in ["", "Basic", "Basic !", "Bearer abc", &format!("Bearer {token}")] {
            let headers = [FORM, ("Authorization", credentials)];
            let body = format!("token={token}");
            answers.push(send(world.listener.address, path, &headers, body.as_bytes()).unwrap());
        }
        assert_eq!(it.events("authenticate_client").len(), tried);
        for answer in &answers {
            assert_eq!(answer, &answers[0]);
        }
        assert_eq!(
            (answers[0].status, &*answers[0].body),
            (401, r#"{"error":"invalid_client"}"#)
        );
        let challenge = answers[0].header("www-authenticate").unwrap();
        assert!(challenge.starts_with("Basic realm="), "{challenge}");
    }
    assert_eq!(world.ask(INTROSPECT, &fresh, &token).json()["active"], true);
    assert!(verify(&it.patrol, &it.issue(it.alice, "two")).is_ok());
}

#[test]
fn what_is_no_form_with_one_token_is_a_bad_request() {
    let world = World::new();
    let token = text(&world.it.issue(world.it.alice, "one"));
    let credentials = basic(&world.client);
    let json = ("Content-Type", "application/json");
    let good = format!("token={token}");
    for path in [INTROSPECT, REVOKE] {
        let ask = |kind: &[(&str, &str)], body: &str| {
            let headers = [kind, &[("Authorization", &*credentials)]].concat();
            send(world.listener.address, path, &headers, body.as_bytes()).unwrap()
        };
        for (kind, body) in [
            (&[FORM][..], ""),
            (&[FORM], "token="),
            (&[FORM], "token"),
            (&[FORM], "Token=x"),
            (&[FORM], "token=%zz"),
            (&[FORM], &*format!("{good}&{good}")),
            (&[json], &*good),
            (&[], &*good),
        ] {
            assert_error(&ask(kind, body), 400, "invalid_request");
        }
        let large = ask(&[FORM], &format!("token={}", "x".repeat(9_000)));
        assert_error(&large, 413, "invalid_request");
        for method in ["GET", "PUT", "DELETE"] {
            let request = path.replace("POST", method);
            let answer = send(world.listener.address, &request, &[], b"").unwrap();
            assert_eq!(answer.status, 405, "{request}");
        }
    }
    // Names in the query are not read: they would be in every log on the way.
    let query = format!("{INTROSPECT}?token={token}");
    let headers = [FORM, ("Authorization", &*credentials)];
    assert_error(
        &send(world.listener.address, &query, &headers, b"").unwrap(),
        400,
        "invalid_request",
    );
    // A charset, other parameters and hints of any kind are fine.
    let charset = ("Content-Type", "Application/X-WWW-Form-URLEncoded; charset=utf-8");
    let headers = [charset, ("Authorization", &*credentials)];
    let body = format!("{good}&token_type_hint=urn:anything&resource=x&resource=y");
    let answer = send(world.listener.address, INTROSPECT, &headers, body.as_bytes()).unwrap();
    assert_eq!(answer.json()["active"], true);
}

#[test]
fn r8_a_revoked_token_is_dead_at_once_with_its_sessions_and_so_a_second_time() {
    let world = World::new();
    let it = &world.it;
    let (token, other) = (it.issue(it.alice, "one"), it.issue(it.alice, "two"));
    let session = session_of(&login(world.listener.address, &text(&token)).unwrap());
    for _ in 0..2 {
        let answer = world.revoke(&text(&token));
        assert_eq!((answer.status, &*answer.body), (200, ""));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_dead(&world.introspect(&text(&token)), "the token");
        assert_dead(&world.introspect(&session), "its session");
        assert_eq!(bearer(world.listener.address, &text(&token)).status, 401);
    }
    assert_eq!(world.introspect(&text(&other)).json()["active"], true);
    let events = it.events("revoke_personal_access_token");
    let outcomes: Vec<_> = events.iter().map(|event| &event["eventOutcome"]).collect();
    assert_eq!(outcomes, ["success", "unauthorized"]);
    assert_eq!(events[0]["initiatingClientName"], "resource server");
    assert_eq!(events[0]["initiatingUserRole"], "token");
    assert_eq!(events[0]["patId"], id(&token).to_string());
    assert_eq!(events[1]["eventOutcomeReason"], "revoked");
}

#[test]
fn a_revoked_session_is_over_and_its_token_is_not() {
    let world = World::new();
    let token = text(&world.it.issue(world.it.alice, "one"));
    let session = session_of(&login(world.listener.address, &token).unwrap());
    for _ in 0..2 {
        assert_eq!(world.revoke(&session).status, 200);
        assert_dead(&world.introspect(&session), "the session");
    }
    assert_eq!(world.introspect(&token).json()["active"], true);
    let events = world.it.events("logout");
    assert_eq!(events[0]["eventOutcome"], "success");
    assert_eq!(events[0]["initiatingClientId"], world.client.row.id.to_string());
}

#[test]
fn what_a_disabled_owner_left_behind_does_not_come_back_once_it_was_revoked() {
    let world = World::new();
    let it = &world.it;
    let [revoked, kept] = ["revoked", "kept"].map(|name| it.issue(it.bob, name));
    let session = |token| String::from_utf8(it.sign_in(token)).unwrap();
    let (closed, open) = (session(&kept), session(&kept));
    it.patrol.set_enabled(&operator(), &user(it.bob), false).unwrap();
    assert_eq!(world.revoke(&text(&revoked)).status, 200);
    assert_eq!(world.revoke(&closed).status, 200);
    it.patrol.set_enabled(&operator(), &user(it.bob), true).unwrap();
    for dead in [&text(&revoked), &closed] {
        assert_dead(&world.introspect(dead), "revoked while its owner was disabled");
    }
    for live in [&text(&kept), &open] {
        assert_eq!(world.introspect(live).json()["active"], true);
    }
    it.assert_event("logout", "success", None);
}

#[test]
fn only_who_has_the_secret_revokes_and_what_is_no_token_is_revoked_already() {
    let world = World::new();
    let it = &world.it;
    let token = it.issue(it.alice, "one");
    let session = it.sign_in(&token);
    let sid = it.check(&session).unwrap().session.unwrap();
    let composed = |kind, id| String::from_utf8(compose(kind, id, &[4; 32]).into_bytes()).unwrap();
    for wrong in [
        composed(Kind::Pat, id(&token)),
        composed(Kind::Session, sid),
        composed(Kind::Pat, Id::from_u128(3)),
        "nonsense".to_owned(),
        "patrol_ses_".to_owned(),
    ] {
        let answer = world.revoke(&wrong);
        assert_eq!((answer.status, &*answer.body), (200, ""), "{wrong}");
    }
    assert_eq!(world.introspect(&text(&token)).json()["active"], true);
    assert!(it.check(&session).is_ok());
    // A revocation notes no use (R5): the token was not let in.
    it.assert_event("revoke_personal_access_token", "unauthorized", Some("malformed"));
    // A client's own secret is no token (RFC 7009, 2.2.1).
    let answer = world.revoke(secret(&world.client));
    assert_error(&answer, 400, "unsupported_token_type");
}

#[test]
fn the_secret_before_a_rotation_revokes_during_its_overlap() {
    let world = World::new();
    let it = &world.it;
    let first = it.issue(it.alice, "one");
    let second = it.patrol.rotate(&operator(), id(&first), HOUR).unwrap();
    it.clock.set(START + HOUR);
    assert_eq!(world.revoke(&text(&first)).status, 200);
    assert_eq!(
        world.introspect(&text(&second)).json()["active"],
        true,
        "the overlap is over"
    );
    let third = it.patrol.rotate(&operator(), id(&first), HOUR).unwrap();
    assert_eq!(world.revoke(&text(&second)).status, 200);
    assert_dead(&world.introspect(&text(&third)), "all of it is one token");
}

#[test]
fn refusals_are_in_the_trail_with_the_client_that_asked() {
    let world = World::new();
    let it = &world.it;
    let token = it.issue(it.alice, "one");
    it.patrol.revoke(&operator(), id(&token)).unwrap();
    world.introspect(&text(&token));
    let event = it.last_event("verify_personal_access_token");
    assert_eq!(
        (&event["eventOutcome"], &event["eventOutcomeReason"]),
        (&json!("unauthorized"), &json!("revoked"))
    );
    assert_eq!(event["initiatingClientId"], world.client.row.id.to_string());
    assert_eq!(event["initiatingClientName"], "resource server");
    assert_eq!(event["initiatingUrl"], "/oauth2/introspect");
    assert_eq!(event["patName"], "one");
    world.introspect("patrol_ses_nonsense");
    let event = it.last_event("verify_session");
    assert_eq!(event["initiatingClientName"], "resource server");
}

#[test]
fn where_there_is_no_verdict_the_answer_is_503_and_never_active() {
    let world = World::new();
    let it = &world.it;
    let token = it.issue(it.alice, "one");
    let revoked = it.issue(it.alice, "revoked");
    it.patrol.revoke(&operator(), id(&revoked)).unwrap();
    for case in [
        "unreachable",
        "floor-yes-to-anything",
        "floor-invented",
        "endless-loop",
    ] {
        let hostile = Arc::new(it.under(&hostile::policy(case)));
        let listener = Listener::start(&hostile);
        let ask = |request: &str, token: &str| {
            let credentials = basic(&world.client);
            let headers = [FORM, ("Authorization", &*credentials)];
            send(
                listener.address,
                request,
                &headers,
                format!("token={token}").as_bytes(),
            )
            .unwrap()
        };
        for answer in [ask(INTROSPECT, &text(&revoked)), ask(REVOKE, &text(&token))] {
            assert_error(&answer, 503, "temporarily_unavailable");
            assert_eq!(answer.header("retry-after"), Some("1"), "{case}");
        }
    }
    assert_eq!(
        world.introspect(&text(&token)).json()["active"],
        true,
        "no fault has revoked it"
    );

    // Nobody can be written for: a revocation is not one until it is on disk.
    let raw = rusqlite::Connection::open(it.path().join("patrol.db")).unwrap();
    raw.execute_batch("BEGIN IMMEDIATE").unwrap();
    let answer = world.revoke(&text(&token));
    assert_error(&answer, 503, "temporarily_unavailable");
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(world.introspect(&text(&token)).json()["active"], true);
    raw.execute_batch("ROLLBACK; ALTER TABLE token RENAME TO gone")
        .unwrap();
    assert_error(&world.introspect(&text(&token)), 503, "temporarily_unavailable");
    raw.execute_batch("ALTER TABLE client RENAME TO lost").unwrap();
    assert_error(&world.introspect(&text(&token)), 503, "temporarily_unavailable");
    assert_error(&world.revoke(&text(&token)), 503, "temporarily_unavailable");
}

#[test]
fn a_client_revoked_by_another_process_is_refused_by_the_next_request() {
    let world = World::new();
    let token = text(&world.it.issue(world.it.alice, "one"));
    assert_eq!(world.introspect(&token).json()["active"], true);
    let another = world.it.another();
    another.revoke_client(&operator(), world.client.row.id).unwrap();
    assert_error(&world.introspect(&token), 401, "invalid_client");
}

fn metadata(server: SocketAddr) -> Answer {
    send(server, "GET /.well-known/oauth-authorization-server", &[], b"").unwrap()
}

#[test]
fn the_metadata_say_where_the_endpoints_are_and_what_they_take() {
    let world = World::new();
    let answer = metadata(world.listener.address);
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("application/json"))
    );
    let methods = json!(["client_secret_basic", "client_secret_post"]);
    assert_eq!(
        answer.json(),
        json!({
            "issuer": "http://patrol",
            "response_types_supported": [],
            "grant_types_supported": [],
            "introspection_endpoint": "http://patrol/oauth2/introspect",
            "introspection_endpoint_auth_methods_supported": methods,
            "revocation_endpoint": "http://patrol/oauth2/revoke",
            "revocation_endpoint_auth_methods_supported": methods,
        })
    );
    let told: Value = answer.json();
    let path = |member: &str| {
        told[member]
            .as_str()
            .unwrap()
            .strip_prefix("http://patrol")
            .unwrap()
            .to_owned()
    };
    for endpoint in ["introspection_endpoint", "revocation_endpoint"] {
        let request = format!("POST {}", path(endpoint));
        let answer = send(world.listener.address, &request, &[FORM], b"token=x").unwrap();
        assert_eq!(answer.status, 401, "{endpoint} is there");
    }
}

#[test]
fn the_public_url_is_the_issuer_whatever_host_was_asked() {
    let mut config = Config::default();
    config.api.public_url = Some("https://patrol.example.com/".to_owned());
    config.identity.signed = true;
    let world = World::with(config);
    let told = metadata(world.listener.address).json();
    assert_eq!(told["issuer"], "https://patrol.example.com");
    assert_eq!(
        told["revocation_endpoint"],
        "https://patrol.example.com/oauth2/revoke"
    );
    assert_eq!(
        told["jwks_uri"],
        "https://patrol.example.com/.well-known/jwks.json"
    );
    let token = text(&world.it.issue(world.it.alice, "one"));
    assert_eq!(
        world.introspect(&token).json()["iss"],
        "https://patrol.example.com"
    );
}

/// Asks as Apache does on behalf of a request that it has turned away.
fn refusal(world: &World, credential: &[(&str, &str)]) -> Answer {
    let gateway = [
        ("X-Original-URI", "/thing?a=b"),
        ("X-Original-Method", "GET"),
        ("X-Real-IP", "192.0.2.7"),
    ];
    let headers = [&gateway, credential].concat();
    send(world.listener.address, "GET /check/oauth2", &headers, b"").unwrap()
}

#[test]
fn a_gateway_that_has_said_no_is_told_what_to_say_and_never_yes() {
    let world = World::new();
    let it = &world.it;
    let (good, revoked) = (it.issue(it.alice, "good"), it.issue(it.alice, "revoked"));
    it.patrol.revoke(&operator(), id(&revoked)).unwrap();
    let bearer = |token: &NewToken| format!("Bearer {}", text(token));

    let nothing = refusal(&world, &[]);
    assert_eq!(
        (nothing.status, nothing.header("www-authenticate")),
        (401, Some("Bearer realm=\"patrol\""))
    );
    let dead = refusal(&world, &[("Authorization", &bearer(&revoked))]);
    let challenge = "Bearer realm=\"patrol\", error=\"invalid_token\"";
    assert_eq!(
        (dead.status, dead.header("www-authenticate")),
        (401, Some(challenge))
    );
    let event = it.last_event("verify_personal_access_token");
    assert_eq!(
        (&event["initiatingUrl"], &event["initiatingUserIpAddress"]),
        (&json!("/thing"), &json!("192.0.2.7"))
    );
    let twice = [
        ("Authorization", &*bearer(&good)),
        ("Authorization", &*bearer(&good)),
    ];
    assert_eq!(refusal(&world, &twice).status, 400);
    // Whoever is good now was turned away for a reason that did not last.
    let good = refusal(&world, &[("Authorization", &bearer(&good))]);
    assert_eq!((good.status, good.header("retry-after")), (503, Some("1")));
    assert!(
        good.headers.iter().all(|(name, _)| !name.starts_with("x-patrol")),
        "{good:?}"
    );

    for headers in [
        &[][..],
        &[("X-Original-URI", "/thing")],
        &[("X-Original-Method", "GET")],
    ] {
        let answer = send(world.listener.address, "GET /check/oauth2", headers, b"").unwrap();
        assert_eq!(
            (answer.status, &answer.json()["errorCode"]),
            (400, &json!("E_400_GATEWAY"))
        );
    }
}

#[test]
fn a_client_that_fails_too_often_is_put_off_and_a_good_one_and_dead_tokens_are_not() {
    let mut config = Config::default();
    config.limits.failures_per_address = 3;
    config.limits.failures_per_token = 3;
    let world = World::with(config);
    let token = text(&world.it.issue(world.it.alice, "one"));
    let other = client(&world.it, "other", |_| {});
    let wrong = pair(&world.client.row.id.to_string(), secret(&other));
    let unknown = pair(&Id::from_u128(3).to_string(), secret(&other));
    let try_as = |credentials: &str, address: &str| {
        let headers = [FORM, ("Authorization", credentials), ("X-Real-IP", address)];
        let body = format!("token={token}");
        send(world.listener.address, INTROSPECT, &headers, body.as_bytes()).unwrap()
    };
    // By the client in whose name it is tried, from wherever; and by the address, in whosever name.
    let one_name = |n: u32| try_as(&wrong, &format!("192.0.2.{n}"));
    let one_address = |_| try_as(&unknown, "192.0.2.200");
    for attempt in [&one_name as &dyn Fn(u32) -> Answer, &one_address] {
        for n in 1..=3 {
            assert_error(&attempt(n), 401, "invalid_client");
        }
        let put_off = attempt(4);
        assert_error(&put_off, 429, "temporarily_unavailable");
        let seconds: u64 = put_off.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds), "{seconds}");
    }
    // Nobody is locked out by another's failures, and asking about dead tokens is no failure.
    for _ in 0..5 {
        assert_eq!(
            try_as(&basic(&world.client), "192.0.2.200").json()["active"],
            true
        );
        assert_dead(&world.introspect("nonsense"), "asked often");
    }
}

#[test]
fn a_session_of_a_password_is_told_and_ended_like_any_other_within_the_clients_limits() {
    let world = World::new();
    let it = &world.it;
    let session = String::from_utf8(it.sign_in_as("alice")).unwrap();
    let told = world.introspect(&session).json();
    assert_eq!(
        (&told["active"], &told["sub"]),
        (&json!(true), &json!(it.alice.to_string()))
    );
    let elsewhere = client(it, "elsewhere", |spec| {
        spec.audiences = vec!["reports".to_owned()]
    });
    assert_dead(
        &world.ask(INTROSPECT, &elsewhere, &session),
        "beyond the audience",
    );
    it.patrol
        .create_tenant(&operator(), "umbrella", "password", false)
        .unwrap();
    let tenant = client(it, "umbrella", |spec| spec.tenant = Some("umbrella".to_owned()));
    assert_dead(&world.ask(INTROSPECT, &tenant, &session), "beyond the tenant");
    assert_eq!(world.ask(REVOKE, &tenant, &session).status, 200);
    assert_eq!(world.introspect(&session).json()["active"], true);

    assert_dead(&world.introspect(&session[..82]), "cut");
    assert_dead(
        &world.introspect(&session.replace("patrol_acc_", "patrol_ses_")),
        "another kind",
    );
    // That of a disabled owner ends too: it would come back with its owner.
    it.patrol
        .set_enabled(&operator(), &user(it.alice), false)
        .unwrap();
    assert_dead(&world.introspect(&session), "of a disabled owner");
    assert_eq!(world.revoke(&session).status, 200);
    it.patrol.set_enabled(&operator(), &user(it.alice), true).unwrap();
    assert_dead(&world.introspect(&session), "ended");
    assert_eq!(bearer(world.listener.address, &session).status, 401);
}
