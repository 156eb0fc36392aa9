//! Administrators and the users of their tenant.

use patrol::service::{Caller, NewAccount, UserRef};
use patrol_policy::types::Id;
use patrol_tests::web::{Browser, Page};

use super::Site;

const USERS: &str = "/ui/admin/users";
const EVIL: &str = "<script>alert(1)<!-- \"'><img src=x onerror=alert(2)>";

/// Another tenant with a user in it.
fn elsewhere(site: &Site) -> Id {
    let operator = Caller::operator(None);
    let other = site
        .patrol
        .create_tenant(&operator, "other", "password", false)
        .unwrap();
    let account = NewAccount {
        name: "mallory".to_owned(),
        email: None,
        roles: vec!["admin".to_owned()],
    };
    site.patrol
        .create_user(&operator, &other.id.to_string(), &account)
        .unwrap()
        .id
}

fn act(browser: &mut Browser, id: Id, action: &str, field: (&str, &str)) -> Page {
    let path = format!("{USERS}/{id}");
    let page = browser.get(&path);
    browser.submit(&page, &path, &[("action", action), field])
}

/// No text of a user became markup.
#[track_caller]
fn assert_escaped(page: &Page) {
    assert!(!page.answer.body.contains("<script>alert"), "{page:?}");
    assert!(!page.answer.body.contains("<img"), "{page:?}");
}

#[test]
fn others_are_turned_away() {
    let site = Site::new();
    let mut bob = site.signed_in("bob");
    let id = site.bob;
    let paths = [
        "/ui/admin".to_owned(),
        USERS.to_owned(),
        format!("{USERS}/new"),
        format!("{USERS}/{id}"),
        format!("{USERS}/{id}/delete"),
        "/ui/admin/audit".to_owned(),
        "/ui/admin/audit/1".to_owned(),
        "/ui/admin/policy".to_owned(),
        format!("/ui/admin/policy/{}", "00".repeat(32)),
    ];
    for path in paths {
        let page = bob.get_only(&path);
        assert_eq!(page.answer.status, 403, "{path}: {page:?}");
        assert!(!page.answer.body.contains("alice"), "{path}");
        assert_eq!(site.browser().get_only(&path).answer.status, 303, "{path}");
    }
    // Nor can they send the forms; theirs is the token of a page that they may see.
    let tokens = bob.get("/ui/tokens");
    let csrf = tokens.fields("/ui/sign-out").remove(0).1;
    for path in [
        format!("{USERS}/new"),
        format!("{USERS}/{id}"),
        "/ui/admin/audit".to_owned(),
    ] {
        let fields = [
            ("csrf", csrf.as_str()),
            ("action", "roles"),
            ("roles", "admin"),
            ("name", "x"),
        ];
        assert_eq!(bob.post(&path, &fields).answer.status, 403, "{path}");
    }
    assert!(site.patrol.user(&UserRef::Id(id)).unwrap().roles.is_empty());
}

#[test]
fn a_user_is_created_found_changed_and_deleted() {
    let site = Site::new();
    let mut alice = site.signed_in("alice");
    let page = alice.get(&format!("{USERS}/new"));
    let form = format!("{USERS}/new");
    let fields = [
        ("name", " carol "),
        ("email", "carol@example.com"),
        ("roles", "deploy, read  read"),
    ];
    let page = alice.submit(&page, &form, &fields);
    assert_eq!(page.text("main [role=status]"), "The user was created.");
    let id: Id = page.path.rsplit('/').next().unwrap().parse().unwrap();
    let row = site.patrol.user(&UserRef::Id(id)).unwrap();
    assert_eq!((row.name.as_str(), row.tenant), ("carol", site.tenant));
    assert_eq!(row.roles, ["deploy", "read"]);
    assert_eq!(
        site.last_event("create_user")["initiatingUserDisplayName"],
        "alice"
    );

    let _token = site.issue(id, "ci");
    for (q, names) in [
        ("", 3),
        ("CAR", 1),
        ("carol@", 1),
        ("nobody", 0),
        ("example.com", 3),
    ] {
        let page = alice.get(&format!("{USERS}?q={q}"));
        assert_eq!(page.texts("tbody tr").len(), names, "{q}: {page:?}");
    }
    let page = alice.get(&format!("{USERS}?q=carol"));
    assert_eq!(
        page.attributes("tbody td a", "href"),
        [format!("/ui/admin/tokens?owner={id}")]
    );
    assert!(page.texts("tbody td a")[0].starts_with("1 "));

    let page = act(&mut alice, id, "rename", ("name", "caroline"));
    assert_eq!(page.text("h1"), "caroline");
    act(&mut alice, id, "email", ("email", ""));
    act(&mut alice, id, "roles", ("roles", "admin"));
    let row = site.patrol.user(&UserRef::Id(id)).unwrap();
    assert_eq!((row.name.as_str(), row.email), ("caroline", None));
    assert_eq!(row.roles, ["admin"]);
    act(&mut alice, id, "disable", ("name", ""));
    assert!(!site.patrol.user(&UserRef::Id(id)).unwrap().enabled);
    let page = act(&mut alice, id, "enable", ("name", ""));
    assert!(site.patrol.user(&UserRef::Id(id)).unwrap().enabled);
    assert_eq!(page.text("main [role=status]"), "The user was enabled.");

    let path = format!("{USERS}/{id}/delete");
    let page = alice.get(&path);
    assert!(page.text("main").contains("their 1 live token stops"), "{page:?}");
    let refused = alice.submit(&page, &path, &[("name", "carol")]);
    assert_eq!(refused.answer.status, 422);
    assert!(site.patrol.user(&UserRef::Id(id)).unwrap().deleted.is_none());
    let page = alice.submit(&refused, &path, &[("name", "caroline")]);
    assert_eq!((page.path.as_str(), page.answer.status), (USERS, 200));
    assert!(site.patrol.user(&UserRef::Id(id)).unwrap().deleted.is_some());
    assert_eq!(alice.get_only(&format!("{USERS}/{id}")).answer.status, 404);
    assert_eq!(alice.get(USERS).texts("tbody tr").len(), 2);
}

#[test]
fn what_is_wrong_is_said_beside_what_was_typed() {
    let site = Site::new();
    let mut alice = site.signed_in("alice");
    let form = format!("{USERS}/new");
    let wrong = [
        (("bob", "", ""), 409),
        (("", "", ""), 422),
        (("dave", "no address", ""), 422),
        (("dave", "", "<b>"), 422),
    ];
    for ((name, email, roles), status) in wrong {
        let page = alice.get(&form);
        let fields = [("name", name), ("email", email), ("roles", roles)];
        let page = alice.submit(&page, &form, &fields);
        assert_eq!(page.answer.status, status, "{page:?}");
        assert!(!page.text("[role=alert]").is_empty());
        assert_eq!(page.attributes("#name", "value"), [name]);
        assert_eq!(page.attributes("#roles", "value"), [roles]);
    }
    let page = act(&mut alice, site.bob, "rename", ("name", "alice"));
    assert_eq!(page.answer.status, 409);
    assert_eq!(page.attributes("#name", "value"), ["alice"]);
    assert_eq!(page.text("h1"), "bob");
    let page = act(&mut alice, site.bob, "burn", ("name", "alice"));
    assert_eq!(page.answer.status, 422);
}

#[test]
fn nobody_locks_themselves_out() {
    let site = Site::new();
    let mut alice = site.signed_in("alice");
    let id = site.alice;
    for (action, field) in [("disable", ("name", "")), ("roles", ("roles", "reader"))] {
        let page = act(&mut alice, id, action, field);
        assert_eq!(page.answer.status, 409, "{page:?}");
    }
    let path = format!("{USERS}/{id}/delete");
    let page = alice.get(&path);
    assert_eq!(
        alice.submit(&page, &path, &[("name", "alice")]).answer.status,
        409
    );
    // Nor does a session alone make them another password.
    let path = format!("{USERS}/{id}/reset");
    assert_eq!(alice.get_only(&path).answer.status, 409);
    let csrf = page.fields("/ui/sign-out").remove(0).1;
    let refused = alice.post(&path, &[("csrf", &csrf)]);
    assert_eq!(refused.answer.status, 409, "{refused:?}");
    assert!(
        refused.text("[role=alert]").contains("under Security"),
        "{refused:?}"
    );
    assert!(site.events("create_password_link").is_empty());
    let row = site.patrol.user(&UserRef::Id(id)).unwrap();
    assert!(row.enabled && row.deleted.is_none() && row.roles == ["admin"]);
    // Other roles beside it are theirs to have.
    let page = act(&mut alice, id, "roles", ("roles", "admin reader"));
    assert_eq!(page.answer.status, 200);
    assert_eq!(
        site.patrol.user(&UserRef::Id(id)).unwrap().roles,
        ["admin", "reader"]
    );
}

#[test]
fn users_of_others_are_not_there() {
    let site = Site::new();
    let mut alice = site.signed_in("alice");
    let theirs = elsewhere(&site);
    let page = alice.get(&format!("{USERS}?q=mallory"));
    assert_eq!(page.texts("tbody tr").len(), 0);
    let paths = [
        format!("{USERS}/{theirs}"),
        format!("{USERS}/{theirs}/delete"),
        format!("{USERS}/{theirs}/second-factor"),
        format!("{USERS}/{theirs}/accounts/corp"),
        format!("{USERS}/x"),
    ];
    for path in &paths {
        let page = alice.get_only(path);
        assert_eq!(page.answer.status, 404, "{path}");
        assert!(!page.answer.body.contains("mallory"));
    }
    let own = alice.get(&format!("{USERS}/{}", site.bob));
    let csrf = own.fields("/ui/sign-out").remove(0).1;
    for (path, fields) in [
        (&paths[0], [("action", "disable"), ("name", "")]),
        (&paths[0], [("action", "rename"), ("name", "mine")]),
        (&paths[1], [("name", "mallory"), ("action", "")]),
        (&paths[2], [("name", ""), ("action", "")]),
        (&paths[3], [("name", ""), ("action", "")]),
    ] {
        let fields = [&[("csrf", csrf.as_str())], fields.as_slice()].concat();
        assert_eq!(alice.post(path, &fields).answer.status, 404, "{path}");
    }
    let row = site.patrol.user(&UserRef::Id(theirs)).unwrap();
    assert!(row.enabled && row.deleted.is_none() && row.name == "mallory");
}

#[test]
fn names_are_text_whatever_is_in_them() {
    let site = Site::new();
    let mut alice = site.signed_in("alice");
    let form = format!("{USERS}/new");
    let page = alice.get(&form);
    let email = "<script>alert(1)</script>@x.example";
    let page = alice.submit(&page, &form, &[("name", EVIL), ("email", email)]);
    assert_eq!(page.answer.status, 200, "{page:?}");
    assert_eq!(page.text("h1"), EVIL);
    assert_escaped(&page);
    let path = page.path.clone();
    for path in [
        USERS.to_owned(),
        path.clone(),
        format!("{path}/delete"),
        format!("{USERS}?q=%3Cscript%3E%22"),
    ] {
        let page = alice.get(&path);
        assert_eq!(page.answer.status, 200);
        assert_escaped(&page);
    }
}

#[test]
fn a_long_list_has_pages() {
    let site = Site::new();
    let operator = Caller::operator(None);
    for number in 0..60 {
        let account = NewAccount {
            name: format!("user & {number:02}"),
            ..NewAccount::default()
        };
        site.patrol.create_user(&operator, "acme", &account).unwrap();
    }
    let mut alice = site.signed_in("alice");
    let first = alice.get(USERS);
    assert_eq!(first.texts("tbody tr").len(), 50);
    let next = first.attributes("a[rel=next]", "href").remove(0);
    let second = alice.get(&next);
    assert_eq!(second.texts("tbody tr").len(), 12);
    assert!(second.attributes("a[rel=next]", "href").is_empty());
    let mut names = first.texts("tbody th");
    names.extend(second.texts("tbody th"));
    assert!(names.is_sorted());
}

#[test]
fn a_password_is_reset_by_a_link_that_is_shown_once() {
    let site = Site::new();
    let mut alice = site.signed_in("alice");
    let path = format!("{USERS}/{}/reset", site.bob);
    let page = alice.get(&path);
    let page = alice.submit(&page, &path, &[]);
    assert_eq!(page.answer.status, 200, "{page:?}");
    assert_eq!(page.answer.header("cache-control"), Some("no-store"));
    let link = page.text("textarea.secret");
    assert!(link.starts_with("/ui/password?link="), "{link}");
    assert_eq!(site.browser().get(&link).answer.status, 200);
    assert_eq!(
        site.last_event("create_password_link")["initiatingUserDisplayName"],
        "alice"
    );
    // A look at the page makes none, nor shows one again.
    assert!(!alice.get(&path).answer.body.contains("link="));
    assert_eq!(site.events("create_password_link").len(), 1);

    act(&mut alice, site.bob, "disable", ("name", ""));
    let page = alice.get(&path);
    assert_eq!(alice.submit(&page, &path, &[]).answer.status, 422);
    let theirs = elsewhere(&site);
    let path = format!("{USERS}/{theirs}/reset");
    assert_eq!(alice.get_only(&path).answer.status, 404);
    let csrf = page.fields("/ui/sign-out").remove(0).1;
    assert_eq!(alice.post(&path, &[("csrf", &csrf)]).answer.status, 404);
    assert_eq!(site.events("create_password_link").len(), 1);
    let mut bob = site.browser();
    assert_eq!(bob.get_only(&path).answer.status, 303);
}
