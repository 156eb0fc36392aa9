//! Signing in to the pages, and out.

use patrol::service::{Caller, UserRef};
use patrol_policy::Secret;
use patrol_policy::types::{HOUR, MINUTE, Scope};

use super::{PASSWORD, Site};

const SESSION: &str = "__Host-patrol-session";

#[test]
fn a_person_signs_in_and_out() {
    let site = Site::new();
    let mut browser = site.browser();
    let page = browser.get("/");
    assert_eq!(page.path, "/ui/sign-in?next=%2Fui%2Ftokens");
    let page = browser.submit(&page, "/ui/sign-in", &[("user", "bob"), ("password", PASSWORD)]);
    assert_eq!(
        (page.path.as_str(), page.answer.status),
        ("/ui/tokens", 200),
        "{page:?}"
    );
    assert_eq!(page.text("h1"), "Personal access tokens");

    let session = browser.cookies[SESSION].clone();
    let page = browser.submit(&page, "/ui/sign-out", &[]);
    assert_eq!(page.path, "/ui/sign-in");
    assert_eq!(page.text("[role=status]"), "You are signed out.");
    // Whoever kept the cookie has nothing of it.
    browser.cookies.insert(SESSION.to_owned(), session);
    assert_eq!(browser.get_only("/ui/tokens").answer.status, 303);
}

#[test]
fn what_is_wrong_is_not_said_in_detail() {
    let site = Site::new();
    let mut browser = site.browser();
    let mut messages = Vec::new();
    for (user, password) in [("bob", "wrong password"), ("nobody", PASSWORD), ("", "")] {
        let page = browser.sign_in(user, password);
        assert_eq!(page.answer.status, 401, "{page:?}");
        assert!(!browser.cookies.contains_key(SESSION));
        assert!(!page.answer.body.contains(PASSWORD));
        messages.push(page.text("[role=alert]"));
    }
    messages.dedup();
    assert_eq!(messages.len(), 1);
}

#[test]
fn a_session_ends_when_it_is_not_used_and_when_it_is_old() {
    let site = Site::new();
    let mut browser = site.signed_in("bob");
    site.clock.advance(30 * MINUTE - 1);
    assert_eq!(browser.get_only("/ui/tokens").answer.status, 200);
    site.clock.advance(30 * MINUTE);
    assert_eq!(browser.get_only("/ui/tokens").answer.status, 303);

    let mut browser = site.signed_in("bob");
    for _ in 0..47 {
        site.clock.advance(HOUR / 4);
        assert_eq!(browser.get_only("/ui/tokens").answer.status, 200);
    }
    site.clock.advance(HOUR / 4);
    assert_eq!(browser.get_only("/ui/tokens").answer.status, 303);
}

#[test]
fn what_happens_to_the_user_ends_their_sessions() {
    let operator = Caller::operator(None);
    let changes: [&dyn Fn(&Site); 5] = [
        &|site| drop(site.patrol.set_enabled(&operator, &UserRef::Id(site.bob), false)),
        &|site| drop(site.patrol.delete_user(&operator, &UserRef::Id(site.bob))),
        &|site| {
            let password = Secret::new(b"another password".to_vec());
            drop(
                site.patrol
                    .set_password(&operator, &UserRef::Id(site.bob), &password),
            );
        },
        &|site| {
            drop(
                site.patrol
                    .change_auth_method(&operator, Scope::Owner(site.bob), "saml"),
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
        let mut browser = site.signed_in("bob");
        assert_eq!(browser.get_only("/ui/tokens").answer.status, 200);
        change(&site);
        assert_eq!(browser.get_only("/ui/tokens").answer.status, 303);
    }
}

#[test]
fn who_signs_in_by_other_means_does_not_by_password() {
    let site = Site::new();
    let operator = Caller::operator(None);
    site.patrol
        .change_auth_method(&operator, Scope::Tenant(site.tenant), "saml")
        .unwrap();
    assert_eq!(site.browser().sign_in("bob", PASSWORD).answer.status, 401);
}

#[test]
fn who_sends_no_session_is_not_told_to_forget_one() {
    let site = Site::new();
    let mut browser = site.browser();
    let told = |page: &patrol_tests::web::Page| {
        let cookies = page
            .answer
            .headers
            .iter()
            .filter(|(name, _)| name == "set-cookie");
        cookies.filter(|(_, value)| value.starts_with(SESSION)).count()
    };
    // As a browser does with the form of another site.
    assert_eq!(told(&browser.post("/ui/tokens/new", &[("name", "x")])), 0);
    assert_eq!(told(&browser.get_only("/ui/sign-in")), 0);
    for path in ["/ui/tokens", "/ui/sign-in"] {
        browser.cookies.insert(SESSION.to_owned(), "over".to_owned());
        assert_eq!(told(&browser.get_only(path)), 1, "{path}");
    }
}
