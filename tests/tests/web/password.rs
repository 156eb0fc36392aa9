//! A person's own password.

use patrol::service::{Caller, Error, Origin};
use patrol_policy::Secret;
use patrol_policy::types::{RefusalReason, Scope};
use patrol_tests::deployment::{AUDIENCE, assert_refused};
use patrol_tests::web::{Browser, Page};

use super::{PASSWORD, Site};

const CHANGE: &str = "/ui/security/password";
const NEW: &str = "another battery staple";

fn change(browser: &mut Browser, current: &str, password: &str, repeated: &str) -> Page {
    let page = browser.get("/ui/security");
    let fields = [
        ("current", current),
        ("password", password),
        ("repeated", repeated),
    ];
    browser.submit(&page, CHANGE, &fields)
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

#[test]
fn it_is_changed_by_who_shows_the_one_before_and_no_token_is_disturbed_r10() {
    let site = Site::new();
    let token = site.issue(site.bob, "ci");
    let account = site
        .patrol
        .sign_in_with_password(
            Some("acme"),
            "bob",
            &secret(PASSWORD),
            AUDIENCE,
            &Origin::default(),
        )
        .unwrap();
    let (mut here, mut there) = (site.signed_in("bob"), site.signed_in("bob"));
    for (current, password, repeated, status, told) in [
        ("wrong password", NEW, NEW, 401, "not your current password"),
        ("", NEW, NEW, 401, "not your current password"),
        (PASSWORD, NEW, "another battery", 422, "differ"),
        (PASSWORD, "short", "short", 422, "8 to 1024"),
    ] {
        let page = change(&mut here, current, password, repeated);
        assert_eq!(page.answer.status, status, "{page:?}");
        assert!(page.text("[role=alert]").contains(told), "{page:?}");
        assert!(!page.answer.body.contains(NEW) && !page.answer.body.contains(PASSWORD));
    }
    let refused = site.last_event("set_user_password");
    assert_eq!(refused["eventOutcome"], "unauthorized", "{refused}");
    assert_eq!(there.get_only("/ui/tokens").answer.status, 200);

    let page = change(&mut here, PASSWORD, NEW, NEW);
    assert_eq!(
        page.text("[role=status]"),
        "Your password is changed.",
        "{page:?}"
    );
    let event = site.last_event("set_user_password");
    assert_eq!(event["eventOutcome"], "success", "{event}");
    assert_eq!(event["initiatingUserId"], site.bob.to_string(), "{event}");
    // Here they stay; everywhere else it is over.
    assert_eq!(here.get_only("/ui/tokens").answer.status, 200);
    assert_eq!(there.get_only("/ui/tokens").answer.status, 303);
    let session = site
        .patrol
        .check_session(account.secret.expose(), AUDIENCE, &Origin::default());
    assert_refused(session, RefusalReason::SessionClosed);
    site.verify(&token).unwrap();
    assert_eq!(site.browser().sign_in("bob", PASSWORD).answer.status, 401);
    assert_eq!(site.browser().sign_in("bob", NEW).path, "/ui/tokens");
}

#[test]
fn a_session_that_is_over_meanwhile_does_not_come_back_with_it() {
    let site = Site::new();
    let browser = site.signed_in("bob");
    let session = secret(&browser.cookies["__Host-patrol-session"]);
    let visitor = site.patrol.web_session(&session).unwrap();
    // The page was asked for before, and the hash is done after.
    let operator = Caller::operator(None);
    for method in ["saml", "password"] {
        site.patrol
            .change_auth_method(&operator, Scope::Owner(site.bob), method)
            .unwrap();
    }
    let changed = site
        .patrol
        .change_password(&visitor, &secret(PASSWORD), &secret(NEW), &Origin::default());
    assert!(matches!(changed, Err(Error::WrongPassword)), "{changed:?}");
    assert_refused(
        site.patrol.web_session(&session),
        RefusalReason::AuthMethodChanged,
    );
    assert_eq!(site.browser().sign_in("bob", PASSWORD).path, "/ui/tokens");
}

#[test]
fn attempts_are_counted_like_sign_ins() {
    let site = Site::new();
    let mut bob = site.signed_in("bob");
    let statuses: Vec<_> = (0..10)
        .map(|_| change(&mut bob, "wrong password", NEW, NEW).answer.status)
        .collect();
    assert_eq!(statuses[..9], [401; 9]);
    assert_eq!(statuses[9], 429, "the sign-in was one of ten");
    assert_eq!(change(&mut bob, PASSWORD, NEW, NEW).answer.status, 429);
}
