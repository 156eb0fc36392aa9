//! Links that are good once: making the first tenant, and setting a password.

use std::sync::{Arc, Barrier};

use patrol::service::{Caller, Error, FirstNames, Origin, Patrol, Settings, UserRef};
use patrol::time::ManualClock;
use patrol_policy::Secret;
use patrol_policy::types::{DAY, HOUR, Scope};
use patrol_tests::deployment::{START, dump};
use patrol_tests::program::{Program, Server};
use patrol_tests::web::Browser;

use super::{PASSWORD, Site};

const SESSION: &str = "__Host-patrol-session";

/// The path of an address that was printed.
fn path(address: &str) -> String {
    let at = address.find("/ui/").unwrap();
    address[at..].to_owned()
}

/// The link that a server on an empty data directory printed.
fn setup_link(server: &Server) -> String {
    let address = server.announcement["setup"].as_str().unwrap();
    assert!(
        address.starts_with(&format!("http://{}/ui/setup?link=", server.address)),
        "{address}"
    );
    path(address)
}

const FIRST: [(&str, &str); 5] = [
    ("tenant", "Example & Co <b>"),
    ("user", "ann"),
    ("email", "ann@example.com"),
    ("password", PASSWORD),
    ("repeated", PASSWORD),
];

#[test]
fn an_empty_data_directory_is_set_up_in_the_browser_by_the_link_that_the_server_prints() {
    let mut program = Program::new();
    program.verbose = true;
    let older = setup_link(&program.serve());
    let server = program.serve();
    let link = setup_link(&server);
    let mut browser = Browser::new(server.address);
    // Nobody gets in otherwise, and a newer link takes the place of an older one.
    let page = browser.get("/");
    assert_eq!(page.path, "/ui/sign-in?next=%2Fui%2Ftokens");
    assert!(page.text(".notice").contains("patrol serve"), "{page:?}");
    for wrong in [older.as_str(), "/ui/setup", "/ui/setup?link=x"] {
        assert_eq!(browser.get(wrong).answer.status, 410, "{wrong}");
    }

    let page = browser.get(&link);
    assert_eq!(
        (page.answer.status, page.text("h1").as_str()),
        (200, "Set up Patrol")
    );
    assert_eq!(page.answer.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(page.answer.header("cache-control"), Some("no-store"));
    // What cannot be is said, and what was filled in is still there, but for the passwords.
    for (field, value, what) in [
        ("repeated", "something else", "differ"),
        ("user", "a/b", "name of a user"),
        ("email", "nobody", "e-mail"),
        ("password", "short", "differ"),
    ] {
        let mut fields = FIRST.to_vec();
        fields.retain(|(name, _)| *name != field);
        fields.push((field, value));
        let refused = browser.submit(&page, "/ui/setup", &fields);
        assert_eq!(refused.answer.status, 422, "{field}: {refused:?}");
        assert!(
            refused.text("[role=alert]").contains(what),
            "{field}: {refused:?}"
        );
        assert_eq!(refused.attributes("#tenant", "value"), ["Example & Co <b>"]);
        assert!(!refused.answer.body.contains(PASSWORD));
    }
    let page = browser.submit(&page, "/ui/setup", &FIRST);
    assert_eq!(
        (page.path.as_str(), page.answer.status),
        ("/ui/tokens", 200),
        "{page:?}"
    );
    assert_eq!(page.texts(".who bdi"), ["ann", "Example & Co <b>"]);

    // Once: neither the page nor the form is there any more.
    let mut other = Browser::new(server.address);
    assert_eq!(other.get(&link).answer.status, 410);
    let user = program.json(&["user", "show", "ann"]);
    assert_eq!(user["roles"], serde_json::json!(["admin"]), "{user}");
    assert_eq!(other.sign_in("ann", PASSWORD).path, "/ui/tokens");
    server.stop();
    let server = program.serve();
    assert_eq!(server.announcement["setup"], serde_json::Value::Null);
    // The link was said to whoever started the server, and nowhere else.
    let secret = link.split_once('=').unwrap().1;
    assert!(!program.said().contains(&secret[22..]), "in the log");
    assert!(!program.said().contains(PASSWORD), "in the log");
    let audit = program.run(&["audit", "list", "--limit", "1000"]);
    assert!(!audit.out.contains(&secret[22..]), "in the audit trail");
    for event in [
        "create_setup_link",
        "create_tenant",
        "create_user",
        "set_user_password",
        "web_login",
    ] {
        assert!(audit.out.contains(event), "{event}: {}", audit.out);
    }
}

/// A data directory with nothing in it, on a clock.
fn empty() -> (tempfile::TempDir, Arc<Patrol>, Arc<ManualClock>) {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START));
    let settings = Settings {
        clock: Arc::clone(&clock) as _,
        ..Settings::new(directory.path())
    };
    let patrol = Patrol::open(settings).unwrap();
    (directory, Arc::new(patrol), clock)
}

fn names(tenant: &str) -> FirstNames {
    FirstNames {
        tenant: tenant.to_owned(),
        user: "ann".to_owned(),
        email: None,
    }
}

fn password() -> Secret {
    Secret::new(PASSWORD.as_bytes().to_vec())
}

#[test]
fn two_who_use_one_setup_link_at_once_make_one_tenant() {
    let (_directory, patrol, _) = empty();
    let link = patrol.setup_link().unwrap().unwrap().secret.into_bytes();
    let barrier = Arc::new(Barrier::new(2));
    let threads = ["one", "two"].map(|tenant| {
        let (patrol, barrier, link) = (Arc::clone(&patrol), Arc::clone(&barrier), link.clone());
        std::thread::spawn(move || {
            barrier.wait();
            let made = patrol.set_up(
                &Secret::new(link),
                &names(tenant),
                &password(),
                &Origin::default(),
            );
            made.map(drop)
        })
    });
    let results = threads.map(|thread| thread.join().unwrap());
    assert_eq!(
        results.iter().filter(|result| result.is_ok()).count(),
        1,
        "{results:?}"
    );
    assert!(
        results
            .iter()
            .any(|result| matches!(result, Err(Error::Refused(_)))),
        "{results:?}"
    );
    assert_eq!(patrol.tenants().unwrap().len(), 1);
    assert_eq!(patrol.users(None, true).unwrap().len(), 1);
}

#[test]
fn a_setup_link_is_good_for_a_day_and_only_where_there_is_no_tenant() {
    let (directory, patrol, clock) = empty();
    let link = patrol.setup_link().unwrap().unwrap();
    assert_eq!(link.expires, START + DAY);
    let set_up = || patrol.set_up(&link.secret, &names("one"), &password(), &Origin::default());
    clock.advance(DAY - 1);
    patrol.check_setup_link(&link.secret).unwrap();
    clock.advance(1);
    assert!(matches!(set_up(), Err(Error::Refused(_))));
    // The next one is swept away where it is not used, and is of no use where somebody was faster.
    patrol.sweep().unwrap();
    let rows = dump(&patrol_tests::deployment::raw(directory.path()));
    assert_eq!(rows["one_time_link"], Vec::<String>::new());
    let link = patrol.setup_link().unwrap().unwrap();
    patrol
        .create_tenant(&Caller::operator(None), "acme", "password", false)
        .unwrap();
    let late = patrol.set_up(&link.secret, &names("one"), &password(), &Origin::default());
    assert!(matches!(late, Err(Error::Refused(_))));
    assert!(patrol.setup_link().unwrap().is_none());
}

/// Makes a link for `bob`; its path.
fn password_link(site: &Site) -> String {
    let (_, link) = site
        .patrol
        .password_link(&Caller::operator(None), &UserRef::Id(site.bob))
        .unwrap();
    link.path().to_string()
}

const NEW: &str = "a new password, quite long";
const BOTH: [(&str, &str); 2] = [("password", NEW), ("repeated", NEW)];

#[test]
fn a_password_link_sets_a_password_once_ends_sessions_and_disturbs_no_token_r10() {
    let site = Site::new();
    let token = site.issue(site.bob, "ci");
    let mut before = site.signed_in("bob");
    let older = password_link(&site);
    let link = password_link(&site);
    let mut browser = site.browser();
    assert_eq!(browser.get(&older).answer.status, 410);
    let page = browser.get(&link);
    assert_eq!(page.texts("main bdi"), ["bob", "acme"]);
    // Nothing has happened yet.
    assert_eq!(before.get_only("/ui/tokens").answer.status, 200);
    let refused = browser.submit(
        &page,
        "/ui/password",
        &[("password", NEW), ("repeated", PASSWORD)],
    );
    assert_eq!(refused.answer.status, 422);
    let refused = browser.submit(
        &page,
        "/ui/password",
        &[("password", "short"), ("repeated", "short")],
    );
    assert_eq!(refused.answer.status, 422);
    let done = browser.submit(&page, "/ui/password", &BOTH);
    assert_eq!(done.path, "/ui/sign-in");
    assert_eq!(
        done.text("[role=status]"),
        "Your password is set. Sign in with it."
    );
    assert!(
        !browser.cookies.contains_key(SESSION),
        "nobody is signed in by it"
    );

    assert_eq!(before.get_only("/ui/tokens").answer.status, 303);
    assert_eq!(browser.submit(&page, "/ui/password", &BOTH).answer.status, 410);
    assert_eq!(site.browser().get(&link).answer.status, 410);
    assert_eq!(site.browser().sign_in("bob", PASSWORD).answer.status, 401);
    assert_eq!(site.browser().sign_in("bob", NEW).path, "/ui/tokens");
    site.verify(&token).unwrap();
    let event = site.last_event("set_user_password");
    assert_eq!(event["initiatingUserId"], site.bob.to_string(), "{event}");
    // At rest there is nothing that the link could be made from.
    let secret = link.split_once('=').unwrap().1;
    for (table, rows) in site.dump() {
        for row in rows {
            assert!(
                !row.contains(&secret[22..]) && !row.contains(NEW),
                "{table}: {row}"
            );
        }
    }
}

#[test]
fn a_password_link_is_over_after_three_days_and_when_anything_about_the_user_changes() {
    let operator = Caller::operator(None);
    let changes: [&dyn Fn(&Site); 5] = [
        &|site| site.clock.advance(72 * HOUR),
        &|site| drop(site.patrol.set_enabled(&operator, &UserRef::Id(site.bob), false)),
        &|site| drop(site.patrol.delete_user(&operator, &UserRef::Id(site.bob))),
        &|site| {
            drop(
                site.patrol
                    .set_password(&operator, &UserRef::Id(site.bob), &password()),
            )
        },
        &|site| {
            drop(
                site.patrol
                    .change_auth_method(&operator, Scope::Tenant(site.tenant), "saml"),
            )
        },
    ];
    for change in changes {
        let site = Site::new();
        let link = password_link(&site);
        site.clock.advance(72 * HOUR - 1 - 72 * HOUR / 2);
        let mut browser = site.browser();
        let page = browser.get(&link);
        assert_eq!(page.answer.status, 200);
        change(&site);
        assert_eq!(browser.get(&link).answer.status, 410);
        assert_eq!(browser.submit(&page, "/ui/password", &BOTH).answer.status, 410);
        assert_eq!(site.browser().sign_in("bob", NEW).answer.status, 401);
    }
    // Who signs in by other means, or not at all, is made none.
    let site = Site::new();
    let ask = || site.patrol.password_link(&operator, &UserRef::Id(site.bob));
    site.patrol
        .set_enabled(&operator, &UserRef::Id(site.bob), false)
        .unwrap();
    assert!(matches!(ask(), Err(Error::Invalid(_))));
    site.patrol
        .set_enabled(&operator, &UserRef::Id(site.bob), true)
        .unwrap();
    site.patrol
        .change_auth_method(&operator, Scope::Owner(site.bob), "saml")
        .unwrap();
    assert!(matches!(ask(), Err(Error::Invalid(_))));
}

#[test]
fn two_who_use_one_password_link_at_once_set_one_password() {
    let site = Site::new();
    let link = password_link(&site);
    let passwords = ["the first of two passwords", "the second of two passwords"];
    let barrier = Barrier::new(2);
    let statuses = std::thread::scope(|scope| {
        let threads = passwords.map(|password| {
            let (site, link, barrier) = (&site, &link, &barrier);
            scope.spawn(move || {
                let mut browser = site.browser();
                let page = browser.get(link);
                barrier.wait();
                let fields = [("password", password), ("repeated", password)];
                browser.submit_only(&page, "/ui/password", &fields).answer.status
            })
        });
        threads.map(|thread| thread.join().unwrap())
    });
    let mut sorted = statuses;
    sorted.sort_unstable();
    assert_eq!(sorted, [303, 410]);
    for (password, status) in passwords.iter().zip(statuses) {
        let signed_in = site.browser().sign_in("bob", password).answer.status;
        assert_eq!(signed_in == 200, status == 303);
    }
}

#[test]
fn the_form_of_a_link_comes_from_its_page_only() {
    let site = Site::new();
    let link = password_link(&site);
    let mut browser = site.browser();
    let secret = link.split_once('=').unwrap().1.to_owned();
    let fields = [("link", secret.as_str()), BOTH[0], BOTH[1]];
    assert_eq!(browser.post("/ui/password", &fields).answer.status, 403);
    assert_eq!(browser.post("/ui/setup", &fields).answer.status, 403);
    // Who is signed in as somebody else sets it all the same, and stays signed in.
    let mut alice = site.signed_in("alice");
    let page = alice.get(&link);
    assert_eq!(alice.submit(&page, "/ui/password", &BOTH).path, "/ui/tokens");
    assert_eq!(site.browser().sign_in("bob", NEW).path, "/ui/tokens");
}

#[test]
fn the_command_line_makes_password_links() {
    let program = Program::new();
    program.json(&["tenant", "create", "acme"]);
    program.json(&["user", "create", "--tenant", "acme", "--name", "ann"]);
    let made = program.json(&["user", "link", "ann"]);
    assert_eq!(made["user"]["name"], "ann", "{made}");
    assert!(made["expires"].is_string());
    let link = made["link"].as_str().unwrap();
    assert!(link.starts_with("/ui/password?link="), "{link}");
    let server = program.serve();
    let mut browser = Browser::new(server.address);
    let page = browser.get(link);
    assert_eq!(browser.submit(&page, "/ui/password", &BOTH).path, "/ui/sign-in");
    assert_eq!(browser.sign_in("ann", NEW).path, "/ui/tokens");
    assert_eq!(program.run(&["user", "link", "nobody"]).code, Some(4));
    // Where it is known how people reach the pages, the whole address is printed.
    std::fs::write(
        program.configuration(),
        "[policy]\ndeadline = \"5s\"\n[api]\npublic_url = \"https://patrol.example.com\"\n",
    )
    .unwrap();
    let made = program.json(&["user", "link", "ann"]);
    let link = made["link"].as_str().unwrap();
    assert!(
        link.starts_with("https://patrol.example.com/ui/password?link="),
        "{link}"
    );
}
