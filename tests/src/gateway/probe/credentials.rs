//! Who is let in, who is not, and what each is told.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use serde_json::json;

use super::{Form, Gateway, IDENTITY, World, assert_unseen};
use crate::gateway::client::curl;
use crate::gateway::patrol::{Patrol, text};
use crate::gateway::wait_for;

/// R3, R12: whichever way a PAT or a session is presented.
pub fn each_form_of_credential_lets_in_and_ends_at_the_gateway<G: Gateway>() {
    let Some(world) = World::<G>::new() else { return };
    let token = world.patrol.token("ann", "each form", "30d");
    for form in G::WAYS.forms {
        let secret = match form {
            Form::Session => world.session(&token),
            _ => token.secret.clone(),
        };
        let arrived = world.ask("/a/thing?a=b", &form.arguments(&secret)).arrived();
        assert_eq!((&*arrived.method, &*arrived.target), ("GET", "/a/thing?a=b"));
        assert_eq!(arrived.header("X-Patrol-User"), token.owner_id, "{form:?}");
        assert_unseen(&arrived, &secret);
        for name in ["Authorization", "X-Tableau-Session-Token", super::KEY_HEADER] {
            // Some gateways can only empty a header.
            let left = arrived.all(name);
            assert!(
                left.iter().all(|value| value.is_empty()),
                "{form:?}: {name}: {left:?}"
            );
        }
        // Whether a session is told apart from the PAT that it was opened with.
        let session = arrived.all("X-Patrol-Session");
        let any = session.iter().any(|value| !value.is_empty());
        assert_eq!(any, *form == Form::Session, "{form:?}: {session:?}");

        let wrong = form.arguments(&format!("{secret}x"));
        world.refused("/a/thing", &wrong, &[401]);
    }
}

/// All identity headers, with what they should say; names may hold any character.
pub fn the_service_learns_who_comes<G: Gateway>() {
    let Some(world) = World::<G>::new() else { return };
    let tenant = text(&world.patrol.json(&["tenant", "show", "acme"]), "id");
    let zoe = world.patrol.user("zo\u{eb} 100%, ops", &["reader", "admin"]);
    let named = world
        .patrol
        .token(&zoe, "\u{5728}\u{5eab} \u{2013} nightly", "30d");
    // Without roles the header says so: the client's own must not stand in for it.
    let plain = world.patrol.user("plain", &[]);
    let bare = world.patrol.token(&plain, "bare", "30d");
    let cases = [
        (
            &named,
            "zo%C3%AB 100%25, ops",
            "admin,reader",
            "%E5%9C%A8%E5%BA%AB %E2%80%93 nightly",
        ),
        (&bare, "plain", "", "bare"),
    ];
    for (token, user_name, roles, token_name) in cases {
        let arrived = world.bearer(&token.secret).arrived();
        let ends = text(&world.patrol.show(token)["ends"], "at");
        let expected = [
            &token.owner_id,
            user_name,
            &tenant,
            roles,
            &token.id,
            token_name,
            "",
            &ends,
        ];
        for (name, expected) in IDENTITY.into_iter().zip(expected) {
            let values = arrived.all(name);
            let value = values.first().copied().unwrap_or_default();
            assert!(values.len() <= 1, "{name}: {values:?}");
            match name {
                "X-Patrol-Roles" => {
                    let mut roles: Vec<_> = value.split(',').collect();
                    roles.sort_unstable();
                    assert_eq!(roles.join(","), expected);
                }
                // The use itself may have moved the end of the idle period, but not by much.
                "X-Patrol-Expires" => assert_eq!(value.get(..10), expected.get(..10)),
                name => assert_eq!(value, expected, "{name}"),
            }
        }
        if G::WAYS.tells_request {
            let signed = arrived
                .header("X-Patrol-Identity")
                .split('.')
                .nth(1)
                .unwrap_or_default();
            let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(signed);
            let claims: serde_json::Value =
                serde_json::from_slice(&claims.expect("it is a JWT")).expect("JSON");
            assert_eq!(claims["sub"], json!(token.owner_id), "{claims}");
        }
    }
    // R4: a changed role holds for the next request.
    world.patrol.json(&["user", "set-roles", "plain", "writer"]);
    let arrived = world.bearer(&bare.secret).arrived();
    assert_eq!(arrived.header("X-Patrol-Roles"), "writer");
}

/// RFC 6750: a challenge without an error code, since nothing was wrong. It is no failed attempt either.
pub fn who_presents_nothing_is_asked_for_a_token<G: Gateway>() {
    let Some(world) = World::<G>::new() else { return };
    for path in ["/", "/thing?a=b"] {
        let answer = world.refused(path, &[""; 0], &[401]);
        if G::WAYS.challenge {
            assert_eq!(answer.all("WWW-Authenticate"), [r#"Bearer realm="patrol""#]);
        }
    }
    let negotiate = world.refused("/", &["--header", "Authorization: Negotiate abc"], &[401]);
    if G::WAYS.challenge {
        assert_eq!(negotiate.all("WWW-Authenticate"), [r#"Bearer realm="patrol""#]);
    }
    let events = world
        .patrol
        .json(&["audit", "list", "--type", "verify_personal_access_token"]);
    if G::WAYS.tells_request {
        assert_eq!(
            events,
            json!([]),
            "nothing was presented, so there was no attempt"
        );
    }
}

/// Unknown, malformed, of elsewhere, revoked (R8), of a disabled owner (R4).
pub fn all_refusals_look_alike<G: Gateway>() {
    let Some(world) = World::<G>::new() else { return };
    let [revoked, unknown] = ["revoked", "unknown"].map(|name| world.patrol.token("ann", name, "30d"));
    let ben = world.patrol.user("ben", &[]);
    let resting = world.patrol.token(&ben, "of somebody who left", "30d");
    for token in [&revoked, &resting] {
        assert_eq!(world.bearer(&token.secret).status, 200);
    }
    world.patrol.json(&["token", "revoke", &revoked.id]);
    world.patrol.json(&["user", "disable", "ben"]);
    // Well formed, from elsewhere.
    let elsewhere = Patrol::new("");
    elsewhere.user("ann", &[]);
    let foreign = elsewhere.token("ann", "foreign", "30d");
    let mistyped = format!("{}0", unknown.secret);
    let wrong = [
        &*revoked.secret,
        &resting.secret,
        &foreign.secret,
        &mistyped,
        "nonsense",
        "patrol_pat_",
        "patrol_ses_x",
    ];
    let answers = wrong.map(|secret| {
        let answer = world.refuses(secret);
        (answer.undated(), answer.body)
    });
    for (answer, secret) in answers.iter().zip(wrong) {
        assert_eq!(answer, &answers[0], "{secret}");
    }
    assert_eq!(world.patrol.verify(&revoked.secret)["reason"], json!("revoked"));
    world.patrol.json(&["user", "enable", "ben"]);
    assert_eq!(world.bearer(&resting.secret).status, 200);
}

/// R5: a request that ends before the expiration date is let in, one that begins after it is not.
pub fn an_expired_token_is_refused<G: Gateway>() {
    let Some(world) = World::<G>::new() else { return };
    // Where the machine was too busy for one of the former, a longer life shows it.
    for seconds in [2, 6, 18] {
        let life = format!("{seconds}s");
        let token = world.patrol.token("ann", &life, &life);
        let expires = patrol::time::parse_instant(&token.expires).expect("it is an instant");
        let expires = Duration::from_millis(expires);
        let now = || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            now.expect("it is later than 1970")
        };
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
            std::thread::sleep(Duration::from_millis(50));
        }
        world.refuses(&token.secret);
        if let_in > 0 {
            return;
        }
    }
    panic!("this machine is too busy to show anything");
}

/// Gateway, Patrol and service might each look at another one.
pub fn two_credentials_are_refused_even_where_both_are_good<G: Gateway>() {
    let Some(world) = World::<G>::new() else { return };
    let token = world.patrol.token("ann", "twice", "30d");
    let bearer = format!("Authorization: Bearer {}", token.secret);
    let lower = format!("authorization: bearer {}", token.secret);
    let joined = format!("{bearer}, Bearer {}", token.secret);
    let other = format!("{bearer},Basic YW5uOmFubg==");
    let empty = "Authorization;".to_owned();
    let session = format!("X-Tableau-Session-Token: {}", world.session(&token));
    let key = format!("{}: {}", super::KEY_HEADER, token.secret);
    let accept = "Accept: */*".to_owned();
    let mut cases = vec![
        [&bearer, &bearer],
        [&bearer, &lower],
        [&joined, &accept],
        [&other, &accept],
    ];
    if G::WAYS.forms.contains(&Form::Session) {
        cases.push([&bearer, &session]);
        cases.push([&session, &session]);
    }
    if G::WAYS.forms.contains(&Form::Key) {
        cases.push([&bearer, &key]);
        cases.push([&key, &key]);
    }
    for [first, second] in cases {
        let arguments = ["--header", first, "--header", second];
        world.refused("/thing", &arguments, G::WAYS.ambiguous);
    }
    // One that is empty is none, or a second one, but never lets in what is not good.
    let wrong = format!("{bearer}x");
    world.refused("/thing", &["--header", &empty, "--header", &wrong], &[400, 401]);
    assert_eq!(world.bearer(&token.secret).status, 200, "one of them is enough");
}

/// R8: Patrol's own calls are reached, and what they say holds at once.
pub fn a_session_is_opened_and_closed_through_the_gateway<G: Gateway>() {
    if !G::WAYS.sign_in {
        println!("{} does not lead to Patrol's own calls", G::NAME);
        return;
    }
    let Some(world) = World::<G>::new() else { return };
    let token = world.patrol.token("ann", "script", "30d");
    let open = || {
        let body = json!({ "token": token.secret }).to_string();
        let answer = world.ask("/api/v1/pat/login", &["--json", &body]);
        assert_eq!(answer.status, 200, "{answer:?}");
        let opened = answer.json();
        assert_eq!(text(&opened, "userId"), token.owner_id);
        Form::Session.arguments(&text(&opened, "sessionToken"))
    };
    let [closed, orphaned] = [open(), open()];
    let uses_sessions = G::WAYS.forms.contains(&Form::Session);
    if uses_sessions {
        let arrived = world.ask("/thing", &closed).arrived();
        assert_eq!(arrived.header("X-Patrol-User"), token.owner_id);
    }
    let end = [&["--request".to_owned(), "DELETE".to_owned()], &closed[..]].concat();
    assert_eq!(world.ask("/api/v2/sessions", &end).status, 204);
    assert_eq!(world.ask("/api/v2/sessions", &end).status, 401, "it is over");
    if uses_sessions {
        world.refused("/thing", &closed, &[401]);
        assert_eq!(world.ask("/thing", &orphaned).status, 200);
        world.patrol.json(&["token", "revoke", &token.id]);
        world.refused("/thing", &orphaned, &[401]);
    }
    let wrong = world.ask("/api/v1/pat/login", &["--json", r#"{"token":"nonsense"}"#]);
    assert_eq!(wrong.status, 401);
    assert_eq!(world.upstream.requests(), if uses_sessions { 2 } else { 0 });

    // What such a call tells of the client comes from the gateway too.
    let forged = [
        "X-Real-IP: 192.0.2.1",
        "X-Forwarded-For: 192.0.2.1",
        "Forwarded: for=192.0.2.1",
    ];
    let forged = forged.into_iter().flat_map(|header| ["--header", header]);
    let body = ["--json", r#"{"token":"nonsense too"}"#];
    let arguments: Vec<_> = forged.chain(body).collect();
    world.ask("/api/v1/pat/login", &arguments);
    let from = wait_for("the attempt to be written down", || {
        let list = ["audit", "list", "--type", "login_with_personal_access_token"];
        let events = world.patrol.json(&list);
        let events = events.as_array().expect("a list");
        let refused = events.iter().filter(|event| event["eventOutcome"] != "success");
        let refused: Vec<_> = refused.collect();
        (refused.len() == 2).then(|| refused[1]["initiatingUserIpAddress"].clone())
    });
    assert_eq!(from, json!("127.0.0.1"));
    // Nothing else of Patrol's is to be had: what it is asked by gateways, least of all.
    for path in [
        "/check/nginx",
        "/check/forward",
        "/_patrol/check",
        "/healthz",
        "/metrics",
    ] {
        let answer = curl(&[&*world.gateway.url(path), "--oauth2-bearer", "nonsense"]);
        assert!([401, 404].contains(&answer.status), "{path}: {answer:?}");
    }
}

/// All of the REST API that scripts call is reached, past the check.
pub fn the_rest_api_is_reached_through_the_gateway<G: Gateway>() {
    let Some(mut world) = World::<G>::new() else {
        return;
    };
    let token = world.patrol.token("ann", "script", "30d");
    let session = Form::Session.arguments(&world.session(&token));
    let tenant = text(&world.patrol.json(&["tenant", "show", "acme"]), "id");
    let sites = format!("/api/v1/tenants/{tenant}/sites?maxResults=1");
    let listed = world.ask(&sites, &session);
    assert_eq!(listed.status, 200, "{listed:?}");
    assert!(listed.json()["sites"].is_array(), "{listed:?}");
    assert_eq!(world.ask(&sites, &[""; 0]).status, 401);
    let document = world.ask("/api/openapi.json", &[""; 0]);
    assert!(document.json()["openapi"].is_string(), "{document:?}");
    assert_eq!(world.upstream.requests(), 0);
    // The service's own calls may begin so too.
    assert_eq!(world.ask("/api/v1/own", &session).arrived().target, "/api/v1/own");

    world.server.kill();
    let away = world.ask_once(&sites, &session);
    assert!((500..=504).contains(&away.status), "{away:?}");
}
