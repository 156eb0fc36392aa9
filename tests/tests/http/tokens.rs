//! R12, R1, R7, R8, R13: personal access tokens, managed over the REST API.

use patrol::time::rfc3339;
use patrol_policy::types::{DAY, Id};
use patrol_tests::deployment::{Deployment, START, assert_refused, id, operator};
use patrol_tests::wire::{Answer, login, send};
use serde_json::{Value, json};

use super::{Listener, api, assert_problem, bearer, post, session_of, text};

struct Scene {
    it: Deployment,
    listener: Listener,
    /// Sessions that a password opened: an administrator's, and one of a user without roles.
    alice: String,
    bob: String,
}

impl Scene {
    fn new() -> Self {
        let it = Deployment::new();
        let listener = Listener::start(&it.patrol);
        let session = |name| String::from_utf8(it.sign_in_as(name)).unwrap();
        let (alice, bob) = (session("alice"), session("bob"));
        Self {
            it,
            listener,
            alice,
            bob,
        }
    }

    fn path(&self, user: Id) -> String {
        let tenant = self.it.tenant;
        format!("/api/v1/tenants/{tenant}/users/{user}/personal-access-tokens")
    }

    fn list(&self, user: Id, session: &str) -> Answer {
        api(
            self.listener.address,
            &format!("GET {}", self.path(user)),
            session,
        )
    }

    fn create(&self, user: Id, session: &str, body: &Value) -> Answer {
        post(self.listener.address, &self.path(user), session, body)
    }

    fn revoke(&self, user: Id, token: &str, session: &str) -> Answer {
        let request = format!("DELETE {}/{token}", self.path(user));
        api(self.listener.address, &request, session)
    }

    /// A session that this PAT opens.
    fn pat_session(&self, secret: &str) -> String {
        session_of(&login(self.listener.address, secret).unwrap())
    }
}

fn asked(name: &str) -> Value {
    json!({"name": name, "expirationDate": "2027-01-31"})
}

#[test]
fn r1_an_owner_creates_a_token_and_sees_its_secret_once() {
    let scene = Scene::new();
    let bob = scene.it.bob;
    let made = scene.create(bob, &scene.bob, &asked(" nightly backup "));
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let made = made.json();
    let secret = made["secret"].as_str().unwrap().to_owned();
    let id = made["id"].as_str().unwrap().to_owned();
    let expected = json!({
        "id": id,
        "name": "nightly backup",
        "created": rfc3339(START),
        "expirationDate": "2027-02-01T00:00:00.000Z",
        "ends": rfc3339(START + 15 * DAY),
    });
    let mut with_secret = expected.clone();
    with_secret["secret"] = secret.clone().into();
    assert_eq!(made, with_secret);
    assert_eq!(bearer(scene.listener.address, &secret).status, 200);

    let listed = scene.list(bob, &scene.bob);
    assert!(!listed.body.contains(&secret[33..]) && !listed.body.contains("secret"));
    let mut used = expected;
    used["lastUsed"] = rfc3339(START).into();
    used["lastUsedFrom"] = "192.0.2.7".into();
    assert_eq!(listed.json(), json!({"personalAccessTokens": [used]}));
    let event = scene.it.last_event("create_personal_access_token");
    assert_eq!(event["initiatingUserId"], bob.to_string());
    assert_eq!(event["initiatingUserDisplayName"], "bob");
    assert!(event["initiatingSessionId"].is_string());
    assert_eq!(event["patId"], id);
}

#[test]
fn r8_an_owner_revokes_a_token_and_it_and_its_sessions_are_refused() {
    let scene = Scene::new();
    let token = scene.it.issue(scene.it.bob, "one");
    let session = scene.pat_session(&text(&token));
    let id = id(&token).to_string();
    let answer = scene.revoke(scene.it.bob, &id, &scene.bob);
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    assert_eq!(bearer(scene.listener.address, &text(&token)).status, 401);
    assert_eq!(scene.list(scene.it.bob, &session).status, 401);
    let listed = scene.list(scene.it.bob, &scene.bob).json();
    assert_eq!(listed, json!({"personalAccessTokens": []}));
    // It is gone.
    assert_problem(
        &scene.revoke(scene.it.bob, &id, &scene.bob),
        404,
        "E_404_NOT_FOUND",
    );
}

#[test]
fn r12_a_pats_session_creates_lists_and_revokes_no_tokens_but_its_own() {
    let scene = Scene::new();
    let (alice, bob) = (scene.it.alice, scene.it.bob);
    let (one, two) = (scene.it.issue(alice, "one"), scene.it.issue(alice, "two"));
    let of_bob = scene.it.issue(bob, "one");
    // Of an administrator, even.
    let session = scene.pat_session(&text(&one));
    for user in [alice, bob, Id::from_u128(9)] {
        assert_problem(&scene.list(user, &session), 403, "E_403_FORBIDDEN");
        assert_problem(
            &scene.create(user, &session, &asked("three")),
            403,
            "E_403_FORBIDDEN",
        );
    }
    for (user, token) in [(alice, &two), (bob, &of_bob)] {
        let answer = scene.revoke(user, &id(token).to_string(), &session);
        assert_problem(&answer, 403, "E_403_FORBIDDEN");
        scene.it.verify(token).unwrap();
    }
    scene.it.assert_event(
        "create_personal_access_token",
        "client_error",
        Some("not-permitted"),
    );
    assert_eq!(scene.revoke(alice, &id(&one).to_string(), &session).status, 204);
    assert!(scene.it.verify(&one).is_err());
    // The session went with it.
    assert_eq!(scene.list(alice, &session).status, 401);
}

#[test]
fn r12_a_pat_itself_is_no_session() {
    let scene = Scene::new();
    let token = scene.it.issue(scene.it.alice, "one");
    let request = format!("GET {}", scene.path(scene.it.alice));
    for (header, value) in [
        ("x-tableau-session-token", text(&token)),
        ("Authorization", format!("Bearer {}", text(&token))),
        ("Authorization", format!("Basic {}", text(&token))),
    ] {
        let answer = send(scene.listener.address, &request, &[(header, &value)], b"").unwrap();
        assert_problem(&answer, 401, "E_401_UNAUTHORIZED");
    }
}

#[test]
fn an_administrator_lists_and_revokes_anyones_tokens_and_creates_none_for_others() {
    let scene = Scene::new();
    let (alice, bob) = (scene.it.alice, scene.it.bob);
    let token = scene.it.issue(bob, "one");
    let listed = scene.list(bob, &scene.alice).json();
    assert_eq!(listed["personalAccessTokens"][0]["id"], id(&token).to_string());
    assert_problem(
        &scene.create(bob, &scene.alice, &asked("two")),
        403,
        "E_403_FORBIDDEN",
    );
    // The token must be the user's whom the path names.
    let token_id = id(&token).to_string();
    assert_problem(
        &scene.revoke(alice, &token_id, &scene.alice),
        404,
        "E_404_NOT_FOUND",
    );
    scene.it.verify(&token).unwrap();
    assert_eq!(scene.revoke(bob, &token_id, &scene.alice).status, 204);
    let event = scene.it.last_event("revoke_personal_access_token");
    assert_eq!(event["initiatingUserId"], alice.to_string());
    assert_eq!(event["initiatingUserRole"], "administrator");
    assert_eq!(event["patUserId"], bob.to_string());
    assert_refused(
        scene.it.verify(&token),
        patrol_policy::types::RefusalReason::Revoked,
    );
    for user in [Id::from_u128(9).to_string(), "nobody".to_owned()] {
        let request = format!(
            "GET /api/v1/tenants/{}/users/{user}/personal-access-tokens",
            scene.it.tenant
        );
        assert_problem(
            &api(scene.listener.address, &request, &scene.alice),
            404,
            "E_404_NOT_FOUND",
        );
    }
}

#[test]
fn somebody_without_a_role_sees_nothing_of_others_not_even_whether_they_exist() {
    let scene = Scene::new();
    let token = scene.it.issue(scene.it.alice, "one");
    for user in [scene.it.alice, Id::from_u128(9)] {
        assert_problem(&scene.list(user, &scene.bob), 403, "E_403_FORBIDDEN");
        assert_problem(
            &scene.create(user, &scene.bob, &asked("x")),
            403,
            "E_403_FORBIDDEN",
        );
        let answer = scene.revoke(user, &id(&token).to_string(), &scene.bob);
        assert_problem(&answer, 403, "E_403_FORBIDDEN");
    }
    scene.it.verify(&token).unwrap();
}

#[test]
fn r7_r13_what_the_policy_refuses_is_told_with_a_code_of_its_own() {
    let scene = Scene::new();
    let bob = scene.it.bob;
    let create = |body: &Value| scene.create(bob, &scene.bob, body);
    assert_eq!(create(&asked("one")).status, 201);
    assert_problem(&create(&asked("one")), 409, "E_409_NAME_TAKEN");
    for (name, date) in [
        ("", "2027-01-31"),
        ("   ", "2027-01-31"),
        ("a\u{7}b", "2027-01-31"),
        (&*"x".repeat(256), "2027-01-31"),
        ("two", "soon"),
        ("two", ""),
        ("two", "90d"),
        ("two", "2027-02-30"),
        ("two", "2026-12-31"),
        ("two", "2027-01-15T08:00:00Z"),
        ("two", "2029-01-31"),
        ("two", "9999-12-31"),
    ] {
        let body = json!({"name": name, "expirationDate": date});
        assert_problem(&create(&body), 400, "E_400_BAD_REQUEST");
    }
    for body in [
        json!({}),
        json!({"name": "two"}),
        json!({"name": 2, "expirationDate": "2027-01-31"}),
        json!([1]),
    ] {
        assert_problem(&create(&body), 400, "E_400_BAD_REQUEST");
    }
    let instant = json!({"name": "two", "expirationDate": "2027-01-15T09:00:00.001+01:00"});
    let made = create(&instant);
    assert_eq!(made.json()["expirationDate"], rfc3339(START + 1));
    for number in 3..=104 {
        scene
            .it
            .patrol
            .issue(&operator(), bob, &number.to_string(), START + DAY, "api")
            .unwrap();
    }
    assert_problem(&create(&asked("the 105th")), 409, "E_409_LIMIT_REACHED");
}
