//! Sites and users, page by page, and who may see them.

use patrol::service::{NewAccount, NewSiteNames, SiteRef};
use patrol_policy::types::Id;
use patrol_tests::deployment::{Deployment, operator, user};
use patrol_tests::wire::{Answer, login};
use serde_json::{Value, json};

use super::{Listener, api, assert_problem, session_of, text};

/// A deployment with sessions that a PAT opened: alice's, who is an administrator, and bob's, who is not.
struct Scene {
    it: Deployment,
    listener: Listener,
    alice: String,
    bob: String,
}

impl Scene {
    fn new() -> Self {
        let it = Deployment::new();
        let listener = Listener::start(&it.patrol);
        let session = |owner| session_of(&login(listener.address, &text(&it.issue(owner, "one"))).unwrap());
        let (alice, bob) = (session(it.alice), session(it.bob));
        Self {
            it,
            listener,
            alice,
            bob,
        }
    }

    fn get(&self, of: &str, query: &str, session: &str) -> Answer {
        let request = format!("GET /api/v1/tenants/{}/{of}?{query}", self.it.tenant);
        api(self.listener.address, &request, session)
    }

    /// All pages of a listing, each with no more than `size`.
    fn pages(&self, of: &str, size: usize) -> Vec<Value> {
        let (mut all, mut token) = (Vec::new(), String::new());
        loop {
            let answer = self.get(of, &format!("maxResults={size}&pageToken={token}"), &self.alice);
            assert_eq!(answer.status, 200, "{answer:?}");
            let mut page = answer.json();
            let rows = page[of].as_array_mut().unwrap();
            assert!((1..=size).contains(&rows.len()) || all.is_empty());
            all.append(rows);
            match page.get("pageToken") {
                Some(next) => token = next.as_str().unwrap().to_owned(),
                None => return all,
            }
        }
    }

    fn make_sites(&self, names: &[&str]) {
        for name in names {
            self.it.clock.advance(1);
            let names = NewSiteNames {
                name: (*name).to_owned(),
                content_url: None,
            };
            self.it.patrol.create_site(&operator(), "acme", &names).unwrap();
        }
    }

    /// Makes a user that comes after all others: identifiers are in the order of time, to the millisecond.
    fn make_user(&self, name: &str) -> Id {
        self.it.clock.advance(1);
        let account = NewAccount {
            name: name.to_owned(),
            ..NewAccount::default()
        };
        self.it
            .patrol
            .create_user(&operator(), "acme", &account)
            .unwrap()
            .id
    }
}

fn names(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["name"].as_str().unwrap()).collect()
}

#[test]
fn a_tenant_has_a_site_from_the_beginning_and_any_session_may_list_them() {
    let scene = Scene::new();
    let id = scene.it.patrol.sites(scene.it.tenant, None, 1).unwrap()[0].id;
    for session in [&scene.alice, &scene.bob] {
        let answer = scene.get("sites", "", session);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(
            answer.json(),
            json!({"sites": [{"siteUUID": id.to_string(), "name": "Default", "contentUrl": ""}]})
        );
    }
}

#[test]
fn sites_come_page_by_page_each_once_and_the_last_page_says_so() {
    let scene = Scene::new();
    scene.make_sites(&["b", "a", "Zürich 1", "c"]);
    let all = scene.pages("sites", 1_000);
    assert_eq!(all.len(), 5);
    for size in 1..=6 {
        assert_eq!(scene.pages("sites", size), all, "{size} at once");
    }
    // Exactly as many as there are: there is no empty page to come.
    let whole = scene.get("sites", "maxResults=5", &scene.alice).json();
    assert_eq!(whole.get("pageToken"), None);
    assert!(scene.get("sites", "maxResults=4", &scene.alice).json()["pageToken"].is_string());
    let zurich = all.iter().find(|site| site["name"] == "Zürich 1").unwrap();
    assert_eq!(zurich["contentUrl"], "Zrich1");
}

#[test]
fn a_site_is_made_renamed_and_deleted_and_the_last_one_stays() {
    let scene = Scene::new();
    let patrol = &scene.it.patrol;
    scene.make_sites(&["Sales"]);
    let site: SiteRef = "acme/Sales".parse().unwrap();
    let before = scene.pages("sites", 10);
    patrol.rename_site(&operator(), &site, " Marketing ").unwrap();
    let after = scene.pages("sites", 10);
    assert_eq!(names(&after), ["Default", "Marketing"]);
    assert_eq!(after[1]["siteUUID"], before[1]["siteUUID"]);
    assert_eq!(after[1]["contentUrl"], "Sales");
    let taken = NewSiteNames {
        name: "Marketing".to_owned(),
        content_url: Some("other".to_owned()),
    };
    assert!(patrol.create_site(&operator(), "acme", &taken).is_err());
    for (name, url) in [
        ("x/y", None),
        ("", None),
        ("日本", None),
        ("x", Some("a b")),
        ("x", Some("")),
    ] {
        let names = NewSiteNames {
            name: name.to_owned(),
            content_url: url.map(str::to_owned),
        };
        assert!(
            patrol.create_site(&operator(), "acme", &names).is_err(),
            "{names:?}"
        );
    }
    patrol
        .delete_site(&operator(), &"Default".parse().unwrap())
        .unwrap();
    assert!(
        patrol
            .delete_site(&operator(), &"Marketing".parse().unwrap())
            .is_err()
    );
    assert_eq!(names(&scene.pages("sites", 10)), ["Marketing"]);
    for event in ["create_site", "rename_site", "delete_site"] {
        let event = scene.it.last_event(event);
        assert_eq!(event["tenantId"], scene.it.tenant.to_string());
        assert!(event["siteId"].is_string(), "{event}");
    }
}

#[test]
fn users_come_page_by_page_without_the_deleted_ones() {
    let scene = Scene::new();
    let (cid, dan) = (scene.make_user("cid"), scene.make_user("dan"));
    let patrol = &scene.it.patrol;
    patrol.set_enabled(&operator(), &user(cid), false).unwrap();
    patrol.delete_user(&operator(), &user(dan)).unwrap();
    let all = scene.pages("users", 100);
    assert_eq!(names(&all)[2], "cid");
    let mut sorted = names(&all);
    sorted.sort_unstable();
    assert_eq!(sorted, ["alice", "bob", "cid"]);
    for size in 1..=4 {
        assert_eq!(scene.pages("users", size), all, "{size} at once");
    }
    let alice = all.iter().find(|user| user["name"] == "alice").unwrap();
    assert_eq!(
        *alice,
        json!({
            "userId": scene.it.alice.to_string(),
            "name": "alice",
            "email": "alice@example.com",
            "roles": ["admin"],
            "enabled": true,
            "created": patrol::time::rfc3339(patrol_tests::deployment::START),
        })
    );
    assert_eq!((&all[2]["enabled"], all[2].get("email")), (&json!(false), None));
}

#[test]
fn users_that_come_go_or_are_renamed_between_pages_leave_the_others_each_once() {
    let scene = Scene::new();
    let cid = scene.make_user("cid");
    let first = scene.get("users", "maxResults=2", &scene.alice).json();
    let patrol = &scene.it.patrol;
    patrol.rename_user(&operator(), &user(cid), "aaa").unwrap();
    patrol
        .rename_user(&operator(), &user(scene.it.bob), "zzz")
        .unwrap();
    patrol.delete_user(&operator(), &user(scene.it.bob)).unwrap();
    scene.make_user("bob");
    let token = first["pageToken"].as_str().unwrap();
    let rest = scene
        .get("users", &format!("pageToken={token}"), &scene.alice)
        .json();
    assert_eq!(names(rest["users"].as_array().unwrap()), ["aaa", "bob"]);
}

#[test]
fn r4_users_are_for_administrators_by_the_roles_of_this_moment() {
    let scene = Scene::new();
    assert_problem(&scene.get("users", "", &scene.bob), 403, "E_403_FORBIDDEN");
    scene
        .it
        .patrol
        .set_roles(&operator(), &user(scene.it.bob), &["admin".into()])
        .unwrap();
    assert_eq!(scene.get("users", "", &scene.bob).status, 200);
    scene
        .it
        .patrol
        .set_roles(&operator(), &user(scene.it.alice), &["administrator".into()])
        .unwrap();
    assert_problem(&scene.get("users", "", &scene.alice), 403, "E_403_FORBIDDEN");
    // Which roles those are is configured, and takes effect at once.
    let mut config = patrol::config::Config::clone(&scene.it.patrol.config());
    config.api.admin_roles = vec!["administrator".to_owned()];
    scene.it.patrol.reconfigure(config);
    assert_eq!(scene.get("users", "", &scene.alice).status, 200);
    assert_eq!(scene.get("users", "", &scene.bob).status, 403);
}

#[test]
fn of_another_tenant_nothing_exists() {
    let scene = Scene::new();
    let patrol = &scene.it.patrol;
    let other = patrol
        .create_tenant(&operator(), "umbrella", "password", false)
        .unwrap()
        .id;
    let site = patrol.sites(other, None, 1).unwrap()[0].id;
    let missing = api(
        scene.listener.address,
        &format!("GET /api/v1/tenants/{}/sites", Id::from_u128(7)),
        &scene.alice,
    );
    assert_problem(&missing, 404, "E_404_NOT_FOUND");
    let account = NewAccount {
        name: "eve".to_owned(),
        ..NewAccount::default()
    };
    let eve = patrol.create_user(&operator(), "umbrella", &account).unwrap().id;
    for tenant in [
        other.to_string(),
        "acme".to_owned(),
        "%ff".to_owned(),
        "a%2Fb".to_owned(),
    ] {
        for of in [
            "sites".to_owned(),
            "users".to_owned(),
            format!("users/{eve}/personal-access-tokens"),
            format!("sites/{site}/activitylog?startTime=2027-01-15T00:00:00Z&endTime=2027-01-15T01:00:00Z"),
        ] {
            for session in [&scene.alice, &scene.bob] {
                let answer = api(
                    scene.listener.address,
                    &format!("GET /api/v1/tenants/{tenant}/{of}"),
                    session,
                );
                assert_problem(&answer, 404, "E_404_NOT_FOUND");
            }
        }
    }
    // Nor does what is theirs exist under one's own tenant.
    for of in [
        format!("users/{eve}/personal-access-tokens"),
        format!("sites/{site}/activitylog"),
    ] {
        let query = "startTime=2027-01-15T00:00:00Z&endTime=2027-01-15T01:00:00Z";
        let session = String::from_utf8(scene.it.sign_in_as("alice")).unwrap();
        assert_problem(&scene.get(&of, query, &session), 404, "E_404_NOT_FOUND");
    }
}

#[test]
fn odd_parameters_are_refused_and_unknown_ones_ignored() {
    let scene = Scene::new();
    scene.make_sites(&["a", "b"]);
    for query in [
        "maxResults=0",
        "maxResults=-1",
        "maxResults=",
        "maxResults=x",
        "maxResults=1.5",
        "maxResults=%00",
        "maxResults=1&maxResults=2",
        "pageToken=x",
        "pageToken=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "pageToken=%ff",
        "pageToken=x&pageToken=x",
    ] {
        for of in ["sites", "users"] {
            assert_problem(&scene.get(of, query, &scene.alice), 400, "E_400_BAD_REQUEST");
        }
    }
    for query in [
        "pageToken=",
        "maxResults=1001",
        "maxResults=99999999999999999999999999999",
        "unknown=1&unknown=%ff&&=&x",
        "MAXRESULTS=0",
        "filter=name:eq:x&maxResults=100",
    ] {
        assert_eq!(scene.get("sites", query, &scene.alice).status, 200, "{query}");
    }
    // A page token goes on with its own listing.
    let sites = scene.get("sites", "maxResults=1", &scene.alice).json();
    let token = sites["pageToken"].as_str().unwrap();
    let answer = scene.get("users", &format!("pageToken={token}"), &scene.alice);
    assert_problem(&answer, 400, "E_400_BAD_REQUEST");
}

#[test]
fn no_answer_is_kept_for_others() {
    let scene = Scene::new();
    let tenant = scene.it.tenant;
    let tokens = format!("users/{}/personal-access-tokens", scene.it.alice);
    let login = login(scene.listener.address, "nonsense").unwrap();
    for (what, answer) in [
        ("sites", scene.get("sites", "", &scene.bob)),
        ("users", scene.get("users", "", &scene.alice)),
        ("forbidden", scene.get("users", "", &scene.bob)),
        ("missing", scene.get("nothing", "", &scene.bob)),
        ("tokens", scene.get(&tokens, "", &scene.alice)),
        (
            "document",
            api(scene.listener.address, "GET /api/openapi.json", ""),
        ),
        ("refused", login),
        (
            "sign-out",
            api(scene.listener.address, "DELETE /api/v2/sessions", &scene.bob),
        ),
        (
            "method",
            api(
                scene.listener.address,
                &format!("PUT /api/v1/tenants/{tenant}/sites"),
                &scene.alice,
            ),
        ),
    ] {
        assert_eq!(
            answer.header("cache-control"),
            Some("no-store"),
            "{what}: {answer:?}"
        );
    }
}
