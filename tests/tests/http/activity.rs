//! The activity log: Patrol's own audit trail, listed, linked and downloaded.

use patrol::service::{NewSiteNames, Origin};
use patrol::store::SiteRow;
use patrol::time::rfc3339;
use patrol_policy::token::{Kind, compose};
use patrol_policy::types::{DAY, HOUR, Id, MINUTE, RefusalReason};
use patrol_tests::deployment::{AUDIENCE, Deployment, START, assert_refused, id, operator, user};
use patrol_tests::wire::{Answer, login, send};
use serde_json::{Value, json};

use super::{Listener, api, assert_problem, post, session_of, text};

struct Scene {
    it: Deployment,
    listener: Listener,
    session: String,
    site: SiteRow,
}

impl Scene {
    /// Events have happened in the first hour; it is over.
    fn new() -> Self {
        let scene = Self::young();
        scene.go_to(START + HOUR + MINUTE);
        scene
    }

    /// In the first hour.
    fn young() -> Self {
        let it = Deployment::new();
        let listener = Listener::start(&it.patrol);
        let token = text(&it.issue(it.alice, "one"));
        let session = session_of(&login(listener.address, &token).unwrap());
        let site = it.patrol.sites(it.tenant, None, 1).unwrap().remove(0);
        Self {
            it,
            listener,
            session,
            site,
        }
    }

    /// Puts the clock forward; the session stays alive.
    fn go_to(&self, at: u64) {
        let of = format!("GET /api/v1/tenants/{}/sites", self.it.tenant);
        loop {
            let answer = api(self.listener.address, &of, &self.session);
            assert_eq!(answer.status, 200, "the session is over");
            let now = self.it.patrol.now();
            if now >= at {
                return;
            }
            self.it.clock.set(at.min(now + 25 * MINUTE));
        }
    }

    fn path(&self, site: Id) -> String {
        format!("/api/v1/tenants/{}/sites/{site}/activitylog", self.it.tenant)
    }

    fn list(&self, query: &str) -> Answer {
        let request = format!("GET {}?{query}", self.path(self.site.id));
        api(self.listener.address, &request, &self.session)
    }

    fn range(&self, start: u64, end: u64) -> Answer {
        self.list(&format!("startTime={}&endTime={}", rfc3339(start), rfc3339(end)))
    }

    fn paths(&self, start: u64, end: u64) -> Vec<String> {
        let answer = self.range(start, end);
        assert_eq!(answer.status, 200, "{answer:?}");
        let files = answer.json()["files"].as_array().unwrap().clone();
        files
            .iter()
            .map(|file| file["path"].as_str().unwrap().to_owned())
            .collect()
    }

    fn link(&self, site: Id, files: &[&str]) -> Answer {
        post(
            self.listener.address,
            &self.path(site),
            &self.session,
            &json!({"files": files}),
        )
    }

    /// Follows a link, without a session.
    fn follow(&self, url: &str) -> Answer {
        let path = url.strip_prefix("http://patrol").unwrap();
        send(self.listener.address, &format!("GET {path}"), &[], b"").unwrap()
    }

    /// What a file holds.
    fn download(&self, site: Id, file: &str) -> Answer {
        let linked = self.link(site, &[file]);
        assert_eq!(linked.status, 200, "{linked:?}");
        let linked = linked.json();
        assert_eq!(linked["files"][0]["path"], file);
        let answer = self.follow(linked["files"][0]["url"].as_str().unwrap());
        assert_eq!(answer.status, 200, "{answer:?}");
        answer
    }
}

fn events(answer: &Answer) -> Vec<Value> {
    answer
        .body
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn file(hour: u64) -> String {
    format!("{}Z.jsonl", &rfc3339(START + hour * HOUR)[..13])
}

#[test]
fn a_file_holds_the_tenants_events_of_its_hour_and_is_as_large_as_was_said() {
    let scene = Scene::new();
    let other = scene
        .it
        .patrol
        .create_tenant(&operator(), "umbrella", "password", false)
        .unwrap();
    let listed = scene.range(START, START + HOUR).json();
    assert_eq!(listed.get("pageToken"), None);
    assert_eq!(listed["files"][0]["path"], file(0));
    let downloaded = scene.download(scene.site.id, &file(0));
    assert_eq!(listed["files"][0]["size"], downloaded.body.len());
    assert_eq!(
        downloaded.header("content-length"),
        Some(&*downloaded.body.len().to_string())
    );
    assert_eq!(downloaded.header("content-type"), Some("application/jsonl"));
    let events = events(&downloaded);
    let types: Vec<_> = events
        .iter()
        .map(|event| event["eventType"].as_str().unwrap())
        .collect();
    assert_eq!(
        types,
        [
            "create_tenant",
            "create_user",
            "create_user",
            "create_personal_access_token",
            "login_with_personal_access_token",
        ]
    );
    for event in &events {
        assert_eq!(event["tenantId"], scene.it.tenant.to_string());
        assert_ne!(event["tenantId"], other.id.to_string());
    }
    // As in the trail itself, byte for byte.
    let mut trail = String::new();
    let each = |entry: patrol::store::AuditEntry| {
        if entry.at < START + HOUR {
            trail += &(entry.body + "\n");
        }
        true
    };
    scene.it.patrol.audit(&Default::default(), each).unwrap();
    assert_eq!(downloaded.body, trail);
}

#[test]
fn a_file_is_there_once_its_hour_is_over_for_a_minute_and_does_not_change() {
    let scene = Scene::young();
    let all = |at| {
        scene.go_to(at);
        scene.paths(START, START + DAY)
    };
    let nothing = Vec::<String>::new();
    assert_eq!(all(START + HOUR - 1), nothing);
    // Refused at the end of the hour, and written after it, since refusals wait.
    let token = scene.it.issue(scene.it.alice, "two");
    let wrong = compose(Kind::Pat, id(&token), &[9; 32]);
    let fail = || {
        let refused = scene
            .it
            .patrol
            .authenticate(wrong.expose(), AUDIENCE, &Origin::default());
        assert_refused(refused, RefusalReason::WrongSecret);
    };
    fail();
    scene.it.clock.set(START + HOUR - 1 + MINUTE / 2);
    scene.it.patrol.flush().unwrap();
    assert_eq!(all(START + HOUR + MINUTE - 1), nothing);
    assert_eq!(all(START + HOUR + MINUTE), [file(0)]);
    let before = scene.download(scene.site.id, &file(0));
    assert!(before.body.contains("wrong-secret"), "{}", before.body);

    // One that comes later than that is filed where it is written.
    scene.go_to(START + 2 * HOUR - 1);
    fail();
    scene.it.clock.set(START + 2 * HOUR + MINUTE);
    let second = scene.download(scene.site.id, &file(1));
    scene.it.patrol.flush().unwrap();
    assert_eq!(scene.download(scene.site.id, &file(1)), second);
    assert_eq!(scene.download(scene.site.id, &file(0)), before);
    scene.go_to(START + 3 * HOUR + MINUTE);
    let third = scene.download(scene.site.id, &file(2));
    let late = events(&third);
    let late = late
        .iter()
        .find(|event| event["eventOutcomeReason"] == "wrong-secret")
        .unwrap();
    assert_eq!(late["eventTime"], rfc3339(START + 2 * HOUR - 1));
}

#[test]
fn events_of_one_site_are_not_in_the_files_of_another() {
    let scene = Scene::young();
    let names = NewSiteNames {
        name: "Sales".to_owned(),
        content_url: None,
    };
    let sales = scene.it.patrol.create_site(&operator(), "acme", &names).unwrap();
    scene.go_to(START + HOUR + MINUTE);
    let of_default = scene.download(scene.site.id, &file(0)).body;
    let of_sales = scene.download(sales.id, &file(0)).body;
    assert!(!of_default.contains("create_site") && of_sales.contains("create_site"));
    assert!(of_default.contains("create_tenant") && of_sales.contains("create_tenant"));
    let listed = |site| {
        let query = format!("startTime={}&endTime={}", rfc3339(START), rfc3339(START + HOUR));
        let request = format!("GET {}?{query}", scene.path(site));
        api(scene.listener.address, &request, &scene.session).json()["files"][0]["size"].clone()
    };
    assert_eq!(listed(scene.site.id), of_default.len());
    assert_eq!(listed(sales.id), of_sales.len());
    // That links were asked for is itself an event, and the site's.
    let event = scene.it.last_event("download_activity_log");
    assert_eq!(event["siteId"], sales.id.to_string());
    assert_eq!(event["initiatingUserId"], Value::Null);
    assert!(event["initiatingSessionId"].is_string());
    assert_eq!(event["details"]["files"], json!([file(0)]));
}

#[test]
fn hours_without_events_have_no_file_and_the_others_come_page_by_page() {
    let scene = Scene::young();
    for hour in [0, 2, 3] {
        scene.go_to(START + hour * HOUR + 5);
        scene
            .it
            .patrol
            .set_email(&operator(), &user(scene.it.bob), None)
            .unwrap();
    }
    scene.go_to(START + 3 * HOUR + MINUTE);
    // The last of these is not over.
    let all = [file(0), file(2)];
    assert_eq!(scene.paths(START, START + DAY), all);
    let query = |size: u32, token: &str| {
        let (start, end) = (rfc3339(START), rfc3339(START + DAY));
        scene
            .list(&format!(
                "startTime={start}&endTime={end}&pageSize={size}&pageToken={token}"
            ))
            .json()
    };
    let first = query(1, "");
    assert_eq!(first["files"].as_array().unwrap().len(), 1);
    let token = first["pageToken"].as_str().unwrap();
    let second = query(1, token);
    assert_eq!(second["files"][0]["path"], file(2));
    assert_eq!(second.get("pageToken"), None);
    assert_eq!(query(2, "").get("pageToken"), None);
    // Of another range it is no page token.
    let other = scene.list(&format!(
        "startTime={}&endTime={}&pageToken={token}",
        rfc3339(START + 1),
        rfc3339(START + DAY)
    ));
    assert_problem(&other, 400, "E_400_BAD_REQUEST");
}

#[test]
fn a_range_takes_in_every_hour_that_it_touches() {
    let scene = Scene::young();
    scene.go_to(START + HOUR + 5);
    scene
        .it
        .patrol
        .set_email(&operator(), &user(scene.it.bob), None)
        .unwrap();
    scene.go_to(START + 2 * HOUR + MINUTE);
    let (one, two) = (file(0), file(1));
    let both = vec![one.clone(), two.clone()];
    assert_eq!(scene.paths(START, START + 2 * HOUR), both);
    assert_eq!(scene.paths(START + HOUR - 1, START + HOUR + 1), both);
    assert_eq!(scene.paths(START, START + HOUR), [one.as_str()]);
    assert_eq!(scene.paths(START + HOUR, START + HOUR + 1), [two.as_str()]);
    assert_eq!(scene.paths(START + 1, START + 2), [one.as_str()]);
    assert_eq!(scene.paths(START - DAY, START), Vec::<String>::new());
    // In any zone, with or without escapes.
    for query in [
        "startTime=2027-01-15T09:00:00%2B01:00&endTime=2027-01-15T10:00:00%2B01:00",
        "startTime=2027-01-15T09:00:00+01:00&endTime=2027-01-15T10:00:00+01:00",
        "startTime=2027-01-15T08%3A00%3A00Z&endTime=2027-01-15T08%3A59%3A59.999Z",
    ] {
        assert_eq!(scene.list(query).json()["files"][0]["path"], one, "{query}");
    }
}

#[test]
fn a_range_that_makes_no_sense_is_told_so() {
    let scene = Scene::new();
    let (start, end) = (rfc3339(START), rfc3339(START + HOUR));
    for query in [
        String::new(),
        format!("startTime={start}"),
        format!("endTime={end}"),
        format!("startTime=&endTime={end}"),
        format!("startTime=yesterday&endTime={end}"),
        format!("startTime=2027-01-15&endTime={end}"),
        format!("startTime=1800000000&endTime={end}"),
        format!("startTime={end}&endTime={start}"),
        format!("startTime={start}&endTime={start}"),
        "startTime=1969-12-31T23:59:59Z&endTime=1970-01-02T00:00:00Z".to_owned(),
        format!("startTime={start}&endTime={}", rfc3339(START + 31 * DAY + 1)),
        format!("startTime={start}&endTime={end}&pageSize=0"),
        format!("startTime={start}&endTime={end}&pageToken=x"),
        format!("startTime={start}&endTime={end}&startTime={start}"),
    ] {
        assert_problem(&scene.list(&query), 400, "E_400_BAD_REQUEST");
    }
    assert_eq!(scene.range(START, START + 31 * DAY).status, 200);
    let odd = format!("startTime={start}&endTime={end}&x=1&maxResults=0");
    assert_eq!(scene.list(&odd).status, 200);
}

#[test]
fn a_link_holds_for_five_minutes_for_its_file_and_needs_no_session() {
    let scene = Scene::new();
    let linked = scene.link(scene.site.id, &[&file(0), &file(0)]).json();
    let files = linked["files"].as_array().unwrap();
    assert_eq!(files.len(), 2);
    let url = files[0]["url"].as_str().unwrap();
    let opened = scene.it.patrol.now();
    scene.it.clock.set(opened + 5 * MINUTE - 1);
    assert_eq!(scene.follow(url).status, 200);
    let forged = [
        url.replace(&file(0), &file(1)),
        url.replace(&scene.site.id.to_string(), &Id::from_u128(7).to_string()),
        url.replace("expires=1", "expires=2"),
        url.split("&signature").next().unwrap().to_owned(),
        url.split('?').next().unwrap().to_owned(),
        format!("{url}&signature=x"),
        url.replace(".jsonl", ""),
    ];
    for forged in &forged {
        assert_ne!(forged, url);
        let answer = scene.follow(forged);
        let expected = if forged.matches("signature").count() > 1 {
            400
        } else {
            403
        };
        assert_eq!(answer.status, expected, "{forged}: {answer:?}");
    }
    assert_problem(&scene.follow(&forged[4]), 403, "E_403_FORBIDDEN");
    scene.it.clock.set(opened + 5 * MINUTE);
    assert_problem(&scene.follow(url), 403, "E_403_FORBIDDEN");
    // Another process has another key.
    scene.it.clock.set(opened);
    assert_eq!(scene.follow(url).status, 200);
    let another = Listener::start(&scene.it.patrol);
    let path = url.strip_prefix("http://patrol").unwrap();
    let answer = send(another.address, &format!("GET {path}"), &[], b"").unwrap();
    assert_problem(&answer, 403, "E_403_FORBIDDEN");
}

#[test]
fn links_are_given_for_files_that_are_there() {
    let scene = Scene::new();
    let later = file(1);
    for wrong in [
        "",
        "x",
        "../../etc/passwd",
        &later,
        "2027-01-15T07Z.jsonl",
        "2027-01-15T08Z.jsonl ",
    ] {
        let answer = scene.link(scene.site.id, &[&file(0), wrong]);
        assert_problem(&answer, 404, "E_404_NOT_FOUND");
    }
    assert_eq!(scene.it.events("download_activity_log").len(), 0);
    assert_problem(&scene.link(Id::from_u128(7), &[&file(0)]), 404, "E_404_NOT_FOUND");
    let many = file(0);
    let many = |count| vec![many.as_str(); count];
    assert_eq!(scene.link(scene.site.id, &many(100)).status, 200);
    for files in [many(0), many(101)] {
        assert_problem(&scene.link(scene.site.id, &files), 400, "E_400_BAD_REQUEST");
    }
    for body in [json!({}), json!({"files": "x"}), json!({"files": [1]}), json!([])] {
        let answer = post(
            scene.listener.address,
            &scene.path(scene.site.id),
            &scene.session,
            &body,
        );
        assert_problem(&answer, 400, "E_400_BAD_REQUEST");
    }
    let large = json!({"files": ["x".repeat(64 * 1024)]});
    let answer = post(
        scene.listener.address,
        &scene.path(scene.site.id),
        &scene.session,
        &large,
    );
    assert_problem(&answer, 413, "E_413_CONTENT_TOO_LARGE");
}

#[test]
fn r4_the_activity_log_is_for_administrators() {
    let scene = Scene::new();
    let bob = String::from_utf8(scene.it.sign_in_as("bob")).unwrap();
    let query = format!("startTime={}&endTime={}", rfc3339(START), rfc3339(START + HOUR));
    let request = format!("GET {}?{query}", scene.path(scene.site.id));
    assert_problem(
        &api(scene.listener.address, &request, &bob),
        403,
        "E_403_FORBIDDEN",
    );
    let linked = post(
        scene.listener.address,
        &scene.path(scene.site.id),
        &bob,
        &json!({"files": [file(0)]}),
    );
    assert_problem(&linked, 403, "E_403_FORBIDDEN");
}

#[test]
fn a_link_begins_with_the_address_that_is_configured_or_asked_for() {
    let scene = Scene::new();
    let ask = |headers: &[(&str, &str)]| {
        let session = [("x-tableau-session-token", scene.session.as_str())];
        let body = json!({"files": [file(0)]}).to_string();
        let request = format!("POST {}", scene.path(scene.site.id));
        let headers = [&session[..], headers].concat();
        let answer = send(scene.listener.address, &request, &headers, body.as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["files"][0]["url"].as_str().unwrap().to_owned()
    };
    assert!(ask(&[]).starts_with("http://patrol/api/v1/tenants/"));
    assert!(ask(&[("X-Forwarded-Proto", "https")]).starts_with("https://patrol/api/v1/tenants/"));
    let mut config = patrol::config::Config::clone(&scene.it.patrol.config());
    config.api.public_url = Some("https://api.example.com/".to_owned());
    scene.it.patrol.reconfigure(config);
    assert!(ask(&[]).starts_with("https://api.example.com/api/v1/tenants/"));
}

#[test]
fn a_large_file_comes_whole() {
    let scene = Scene::young();
    for round in 0..1_300 {
        let email = format!("bob{round}@example.com");
        scene
            .it
            .patrol
            .set_email(&operator(), &user(scene.it.bob), Some(&email))
            .unwrap();
    }
    scene.go_to(START + HOUR + MINUTE);
    let size = scene.range(START, START + HOUR).json()["files"][0]["size"].clone();
    let whole = scene.download(scene.site.id, &file(0));
    assert_eq!(size, whole.body.len());
    let emails = events(&whole);
    assert_eq!(
        emails
            .iter()
            .filter(|event| event["eventType"] == "set_user_email")
            .count(),
        1_300
    );
}
