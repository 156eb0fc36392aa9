//! What scripts are answered: sign-in, sessions, sign-out.

use patrol::time::rfc3339;
use patrol_policy::types::{HOUR, MINUTE};
use patrol_tests::deployment::{Deployment, START, id, operator};
use patrol_tests::wire::{login, send};
use serde_json::json;

use super::{Listener, api, bearer, session_of, text};

#[test]
fn a_script_signs_in_uses_its_session_and_signs_out() {
    let it = Deployment::new();
    let listener = Listener::start(&it.patrol);
    let token = text(&it.issue(it.alice, "one"));

    let answer = login(listener.address, &token).unwrap();
    let session = session_of(&answer);
    assert_eq!(
        answer.json(),
        json!({
            "sessionToken": session,
            "userId": it.alice.to_string(),
            "tenantId": it.tenant.to_string(),
            "sessionExpiration": rfc3339(START + 4 * HOUR),
        })
    );
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));

    // That there is no such call is told to sessions only.
    for request in ["GET /api/v1/anything", "POST /api/v9", "PUT /api/v2/sessions/x"] {
        let answer = api(listener.address, request, &session);
        assert_eq!(
            (answer.status, &answer.json()["errorCode"]),
            (404, &json!("E_404_NOT_FOUND"))
        );
        let anonymous = send(listener.address, request, &[], b"").unwrap();
        assert_eq!(anonymous.status, 401, "{anonymous:?}");
    }

    let out = api(listener.address, "DELETE /api/v2/sessions", &session);
    assert_eq!((out.status, out.body.as_str()), (204, ""));
    assert_eq!(
        api(listener.address, "DELETE /api/v2/sessions", &session).status,
        401
    );
    assert_eq!(
        api(listener.address, "GET /api/v1/anything", &session).status,
        401
    );
}

#[test]
fn a_session_is_over_after_four_hours_or_thirty_minutes_idle() {
    let it = Deployment::new();
    let listener = Listener::start(&it.patrol);
    let token = text(&it.issue(it.alice, "one"));
    let sign_in = || session_of(&login(listener.address, &token).unwrap());
    let alive = |session: &str| match api(listener.address, "GET /api/v1/x", session).status {
        404 => true,
        401 => false,
        other => panic!("{other}"),
    };

    let (before, at) = (sign_in(), sign_in());
    it.clock.set(START + 30 * MINUTE - 1);
    assert!(alive(&before));
    it.clock.set(START + 30 * MINUTE);
    assert!(!alive(&at) && alive(&before));

    let opened = it.patrol.now();
    let session = sign_in();
    for quarters in 1..16 {
        it.clock.set(opened + quarters * 15 * MINUTE);
        assert!(alive(&session), "after {quarters} quarters of an hour");
    }
    it.clock.set(opened + 4 * HOUR - 1);
    assert!(alive(&session));
    it.clock.set(opened + 4 * HOUR);
    assert!(!alive(&session));
}

#[test]
fn r8_a_session_is_over_with_its_pat() {
    let it = Deployment::new();
    let listener = Listener::start(&it.patrol);
    let token = it.issue(it.alice, "one");
    let session = session_of(&login(listener.address, &text(&token)).unwrap());
    assert_eq!(api(listener.address, "GET /api/v1/x", &session).status, 404);
    it.patrol.revoke(&operator(), id(&token)).unwrap();
    assert_eq!(api(listener.address, "GET /api/v1/x", &session).status, 401);
    assert_eq!(bearer(listener.address, &session).status, 401);
    assert_eq!(bearer(listener.address, &text(&token)).status, 401);
}

#[test]
fn a_sign_in_that_is_no_sign_in_is_a_bad_request() {
    let it = Deployment::new();
    let listener = Listener::start(&it.patrol);
    let post = |body: &[u8]| send(listener.address, "POST /api/v1/pat/login", &[], body).unwrap();
    for body in [
        "x",
        "{}",
        "[]",
        "{\"token\":1}",
        "{\"token\":null}",
        "{\"Token\":\"x\"}",
        "{\"token\":\"x\"",
    ] {
        let answer = post(body.as_bytes());
        assert_eq!(
            (answer.status, &answer.json()["errorCode"]),
            (400, &json!("E_400_BAD_REQUEST")),
            "{body}"
        );
    }
    assert_eq!(post(b"\xff\xfe").status, 400);
    assert_eq!(
        send(listener.address, "POST /api/v1/pat/login", &[], b"")
            .unwrap()
            .status,
        400
    );
    // Members that are not known are not minded, and neither is the type that the client states.
    let token = text(&it.issue(it.alice, "one"));
    assert_eq!(
        post(format!("{{\"token\":\"{token}\",\"more\":1}}").as_bytes()).status,
        200
    );
}

#[test]
fn what_is_too_large_is_refused_and_harms_nobody() {
    let it = Deployment::new();
    let listener = Listener::start(&it.patrol);
    let token = text(&it.issue(it.alice, "one"));
    let padded = |bytes: usize| {
        let body = format!("{{\"token\":\"{token}\"}}");
        let padding = " ".repeat(bytes - body.len());
        (body + padding.as_str()).into_bytes()
    };
    let post = |body: &[u8]| send(listener.address, "POST /api/v1/pat/login", &[], body);
    assert_eq!(post(&padded(8 * 1024)).unwrap().status, 200);
    // The server may close before all was sent: then there is no answer, and no yes.
    for bytes in [8 * 1024 + 1, 4 << 20] {
        let answer = post(&padded(bytes));
        assert!(
            answer.as_ref().is_ok_and(|a| a.status == 413) || bytes > 1 << 20 && answer.is_err(),
            "{answer:?}"
        );
    }
    let long = "x".repeat(64 * 1024);
    let answer = send(
        listener.address,
        "GET /check/nginx",
        &[("Authorization", &long)],
        b"",
    );
    assert!(
        answer.as_ref().map_or(true, |answer| answer.status == 431),
        "{answer:?}"
    );
    assert_eq!(bearer(listener.address, &token).status, 200);
}
