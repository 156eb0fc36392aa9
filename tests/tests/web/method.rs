//! Changing the authentication method on the pages (R9), and multi-factor authentication (R11).

use patrol::service::{Caller, UserRef};
use patrol_policy::types::Scope;
use patrol_tests::deployment::Deployment;

use super::Site;

const SETTINGS: &str = "/ui/admin/settings";
const METHOD: &str = "/ui/admin/settings/method";

fn method_of(site: &Deployment) -> String {
    site.patrol.tenant("acme").unwrap().auth_method
}

fn changes_in(site: &Site) -> usize {
    site.events("batch_revoke_personal_access_token").len()
}

#[test]
fn a_change_of_method_is_shown_then_confirmed_then_done_r9() {
    let site = Site::new();
    let ci = site.issue(site.bob, "ci");
    let _ = site.issue(site.alice, "backup <b>x</b>");
    let mut alice = site.signed_in("alice");
    let mut bob = site.signed_in("bob");

    let page = alice.get(SETTINGS);
    assert_eq!(page.answer.status, 200, "{page:?}");
    assert_eq!(
        page.attributes("input[name=method][checked]", "value"),
        ["password"]
    );

    let shown = alice.get(&format!("{METHOD}?method=other&other=saml"));
    assert_eq!(shown.answer.status, 200, "{shown:?}");
    assert_eq!(
        shown.text("#effect"),
        "2 personal access tokens would be revoked, of 2 owners."
    );
    let mut rows = shown.texts("tbody tr");
    rows.sort_unstable();
    assert_eq!(rows, ["alicebackup <b>x</b>Never", "bobciNever"]);
    assert_eq!(shown.texts("tbody td:nth-child(3)"), ["Never", "Never"]);
    assert!(
        shown.text("#warning").contains("Nobody could sign in"),
        "{shown:?}"
    );
    assert_eq!(method_of(&site), "password");

    // Another name changes nothing, and leaves the form as it was.
    let refused = alice.submit(&shown, METHOD, &[("name", "\"><script>acme")]);
    assert_eq!(refused.answer.status, 422, "{refused:?}");
    assert!(refused.text("#error").contains("Nothing was changed"));
    assert_eq!(refused.attributes("#name", "value"), ["\"><script>acme"]);
    assert!(!refused.answer.body.contains("<script>acme"));
    assert_eq!((method_of(&site).as_str(), changes_in(&site)), ("password", 0));
    assert!(site.verify(&ci).is_ok());

    let done = alice.submit(&refused, METHOD, &[("name", " acme ")]);
    assert_eq!(
        (done.path.as_str(), done.answer.status),
        (SETTINGS, 200),
        "{done:?}"
    );
    assert!(done.text("[role=status]").contains("has to sign in again"));
    assert_eq!((method_of(&site).as_str(), changes_in(&site)), ("saml", 1));
    assert!(site.verify(&ci).is_err());

    // Who did it is still there; nobody else is.
    assert_eq!(alice.get_only("/ui/tokens").answer.status, 200);
    assert_eq!(alice.get_only(SETTINGS).answer.status, 200);
    assert_eq!(bob.get_only("/ui/tokens").answer.status, 303);
    assert_eq!(site.browser().sign_in("bob", super::PASSWORD).answer.status, 401);

    // And can go back.
    let back = alice.get(&format!("{METHOD}?method=password"));
    assert!(back.texts("#warning").is_empty(), "{back:?}");
    alice.submit(&back, METHOD, &[("name", "acme")]);
    assert_eq!((method_of(&site).as_str(), changes_in(&site)), ("password", 2));
    assert_eq!(alice.get_only("/ui/tokens").answer.status, 200);
}

#[test]
fn only_the_session_that_asked_goes_on() {
    let site = Site::new();
    let mut here = site.signed_in("alice");
    let mut elsewhere = site.signed_in("alice");
    let shown = here.get(&format!("{METHOD}?method=saml"));
    here.submit(&shown, METHOD, &[("name", "acme")]);
    assert_eq!(here.get_only("/ui/tokens").answer.status, 200);
    assert_eq!(elsewhere.get_only("/ui/tokens").answer.status, 303);
    // A change that somebody else makes ends it like any other.
    let operator = Caller::operator(None);
    site.patrol
        .change_auth_method(&operator, Scope::Tenant(site.tenant), "ldap")
        .unwrap();
    assert_eq!(here.get_only("/ui/tokens").answer.status, 303);
}

#[test]
fn the_method_that_is_there_already_changes_nothing_r9() {
    let site = Site::new();
    let ci = site.issue(site.bob, "ci");
    let mut alice = site.signed_in("alice");
    let shown = alice.get(&format!("{METHOD}?method=password"));
    assert!(
        shown.text("[role=status]").contains("Nothing changes"),
        "{shown:?}"
    );
    assert!(shown.texts("input[name=name]").is_empty());
    // Whoever sends the form all the same is told so.
    let settings = alice.get(SETTINGS);
    let csrf = settings.attributes("input[name=csrf]", "value").remove(0);
    let sent = alice.post(
        METHOD,
        &[("csrf", &csrf), ("method", "password"), ("name", "acme")],
    );
    assert_eq!(sent.answer.status, 303, "{sent:?}");
    assert!(
        alice
            .get(SETTINGS)
            .text("[role=status]")
            .contains("Nothing was changed")
    );
    assert_eq!(changes_in(&site), 0);
    assert!(site.verify(&ci).is_ok());
}

#[test]
fn a_long_list_says_how_many_more_there_are() {
    let site = Site::new();
    for number in 0..53 {
        let _ = site.issue(site.bob, &format!("job {number}"));
    }
    let mut alice = site.signed_in("alice");
    let shown = alice.get(&format!("{METHOD}?method=saml"));
    assert_eq!(shown.texts("tbody tr").len(), 50);
    assert_eq!(shown.text("#more"), "and 3 more.");
    assert!(shown.text("#effect").starts_with("53 personal access tokens"));
}

#[test]
fn one_user_s_method_is_changed_alike_r9() {
    let site = Site::new();
    let (bobs, alices) = (site.issue(site.bob, "ci"), site.issue(site.alice, "ci"));
    let mut alice = site.signed_in("alice");
    let mut bob = site.signed_in("bob");
    let place = format!("/ui/admin/users/{}/method", site.bob);
    let page = alice.get(&place);
    assert_eq!(page.answer.status, 200, "{page:?}");
    let shown = alice.get(&format!("{place}?method=other&other=saml"));
    assert!(shown.text("#effect").starts_with("1 personal access token "));
    // It is the user's name that counts here.
    let refused = alice.submit(&shown, &place, &[("name", "acme")]);
    assert_eq!(refused.answer.status, 422);
    let done = alice.submit(&shown, &place, &[("name", "bob")]);
    assert_eq!(
        (done.path.as_str(), done.answer.status),
        (place.as_str(), 200),
        "{done:?}"
    );
    let row = site.patrol.user(&UserRef::Id(site.bob)).unwrap();
    assert_eq!(row.auth_method.as_deref(), Some("saml"));
    assert!(site.verify(&bobs).is_err());
    assert!(site.verify(&alices).is_ok());
    assert_eq!(bob.get_only("/ui/tokens").answer.status, 303);
    assert_eq!(alice.get_only("/ui/tokens").answer.status, 200);
    assert_eq!((method_of(&site).as_str(), changes_in(&site)), ("password", 1));
}

#[test]
fn an_administrator_s_own_method_leaves_them_signed_in() {
    let site = Site::new();
    let mut alice = site.signed_in("alice");
    let place = format!("/ui/admin/users/{}/method", site.alice);
    let shown = alice.get(&format!("{place}?method=saml"));
    alice.submit(&shown, &place, &[("name", "alice")]);
    assert_eq!(alice.get_only("/ui/tokens").answer.status, 200);
    assert_eq!(
        site.browser().sign_in("alice", super::PASSWORD).answer.status,
        401
    );
}

#[test]
fn nobody_else_changes_a_method() {
    let site = Site::new();
    let operator = Caller::operator(None);
    site.patrol
        .create_tenant(&operator, "other", "password", false)
        .unwrap();
    let stranger = site.patrol.create_user(
        &operator,
        "other",
        &patrol::service::NewAccount {
            name: "carol".to_owned(),
            ..Default::default()
        },
    );
    let stranger = stranger.unwrap().id;
    let mut bob = site.browser();
    let page = bob.get("/ui/sign-in");
    bob.submit(
        &page,
        "/ui/sign-in",
        &[("tenant", "acme"), ("user", "bob"), ("password", super::PASSWORD)],
    );
    assert_eq!(bob.get_only("/ui/tokens").answer.status, 200);
    for path in [
        SETTINGS,
        &format!("{METHOD}?method=saml"),
        &format!("/ui/admin/users/{}/method", site.bob),
    ] {
        assert_eq!(bob.get_only(path).answer.status, 403, "{path}");
    }
    let page = bob.get("/ui/tokens");
    let csrf = page.attributes("input[name=csrf]", "value").remove(0);
    let form = [("csrf", csrf.as_str()), ("method", "saml"), ("name", "acme")];
    assert_eq!(bob.post(METHOD, &form).answer.status, 403);

    let mut alice = site.browser();
    let page = alice.get("/ui/sign-in");
    alice.submit(
        &page,
        "/ui/sign-in",
        &[
            ("tenant", "acme"),
            ("user", "alice"),
            ("password", super::PASSWORD),
        ],
    );
    // Another tenant's users are as if there were none.
    let place = format!("/ui/admin/users/{stranger}/method");
    assert_eq!(alice.get_only(&place).answer.status, 404);
    assert_eq!(alice.get_only(&format!("{place}?method=saml")).answer.status, 404);
    let page = alice.get("/ui/tokens");
    let csrf = page.attributes("input[name=csrf]", "value").remove(0);
    let form = [("csrf", csrf.as_str()), ("method", "saml"), ("name", "carol")];
    assert_eq!(alice.post(&place, &form).answer.status, 404);
    // Without the form's token nothing happens.
    assert_eq!(
        alice
            .post(METHOD, &[("method", "saml"), ("name", "acme")])
            .answer
            .status,
        403
    );
    // What cannot be a method is none, and is shown as text.
    let page = alice.get(&format!("{METHOD}?method=%3Cscript%3E"));
    assert_eq!(page.answer.status, 422);
    assert!(!page.answer.body.contains("<script>\""), "{page:?}");
    assert_eq!(method_of(&site), "password");
}

#[test]
fn multi_factor_authentication_is_turned_on_and_off_r11() {
    let site = Site::new();
    let ci = site.issue(site.bob, "ci");
    let mut alice = site.signed_in("alice");
    for (on, told) in [(true, "is on"), (false, "is off")] {
        let page = alice.get(SETTINGS);
        let page = alice.submit(&page, "/ui/admin/settings/multi-factor", &[]);
        assert_eq!(page.path, SETTINGS);
        assert!(page.text("[role=status]").contains(told), "{page:?}");
        assert_eq!(site.patrol.tenant("acme").unwrap().multi_factor, on);
        assert!(site.verify(&ci).is_ok());
    }
    assert_eq!(site.events("set_multi_factor").len(), 2);
}
