//! Signing in by a real OpenID Connect provider.

use std::os::unix::fs::PermissionsExt;

use patrol::config::{Config, Match, OidcConfig};
use patrol::service::{Caller, UserRef};
use patrol_policy::types::Scope;
use patrol_tests::oidc::{PATROL, Provider, SECRET};
use patrol_tests::web::{Browser, Page};
use tempfile::TempDir;

use super::{PASSWORD, Site};

const SESSION: &str = "__Host-patrol-session";

/// A site at which bob signs in by the provider `corp`.
struct Corp {
    site: Site,
    provider: Provider,
    // Last, so that the provider's log outlives it.
    _log: TempDir,
}

impl Corp {
    /// None where the test is to be left out.
    fn start(options: &[&str], change: impl FnOnce(&mut OidcConfig)) -> Option<Self> {
        let log = tempfile::tempdir().unwrap();
        let provider = Provider::start("corp", log.path(), options)?;
        let mut corp = OidcConfig {
            name: "corp".to_owned(),
            label: "Example <Corp>".to_owned(),
            issuer: provider.issuer(),
            client_id: "patrol".to_owned(),
            client_secret_file: Some("corp.secret".into()),
            ..OidcConfig::default()
        };
        change(&mut corp);
        let mut config = Config::default();
        config.api.public_url = Some(PATROL.to_owned());
        config.web.oidc = vec![corp];
        config.check().unwrap();
        let site = Site::with(config);
        let corp = Self {
            site,
            provider,
            _log: log,
        };
        corp.write_secret(0o600);
        corp.set_method(corp.site.bob, "oidc:corp");
        Some(corp)
    }

    fn write_secret(&self, mode: u32) {
        let file = self.site.path().join("corp.secret");
        std::fs::write(&file, format!("{SECRET}\n")).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
    }

    fn set_method(&self, user: patrol_policy::types::Id, method: &str) {
        let operator = Caller::operator(None);
        self.site
            .patrol
            .change_auth_method(&operator, Scope::Owner(user), method)
            .unwrap();
    }

    /// The address that a browser is sent to.
    fn leave(&self, browser: &mut Browser) -> String {
        let page = browser.get_only("/ui/oidc/corp?next=%2Fui%2Ftokens%3Fa%3Db");
        assert_eq!(page.answer.status, 303, "{page:?}");
        page.answer.header("location").unwrap().to_owned()
    }

    /// Somebody signs in, from beginning to end.
    fn sign_in(&self, browser: &mut Browser, login: &str) -> Page {
        let address = self.leave(browser);
        let back = self.provider.sign_in(&address, login);
        browser.get_only(&back)
    }

    /// Nobody is in, for this reason, which a page and the audit trail tell.
    #[track_caller]
    fn assert_out(&self, browser: &mut Browser, page: &Page, status: u16, told: &str, reason: &str) {
        assert_eq!(page.answer.status, status, "{page:?}");
        assert!(page.text("[role=alert]").contains(told), "{page:?}");
        let event = self.site.last_event("web_login");
        assert_eq!(event["eventOutcome"], "unauthorized", "{event}");
        let noted = event["eventOutcomeReason"].as_str().unwrap();
        assert!(noted.contains(reason), "{event}");
        assert!(!noted.contains(SECRET), "{event}");
        assert!(!browser.cookies.contains_key(SESSION));
        assert_eq!(browser.get_only("/ui/tokens").answer.status, 303);
    }
}

#[test]
fn a_person_signs_in_by_their_provider_and_is_known_by_subject_from_then_on() {
    for (options, first) in [
        (&[][..], Match::Email),
        (&["0", "id-token"][..], Match::Email),
        (&[][..], Match::Name),
    ] {
        let Some(corp) = Corp::start(options, |corp| corp.first = first) else {
            return;
        };
        let site = &corp.site;
        let mut browser = site.browser();
        let page = browser.get("/ui/sign-in?next=%2Fui%2Ftokens");
        assert_eq!(page.texts("a.button"), ["Sign in with Example <Corp>"]);
        assert_eq!(
            page.attributes("a.button", "href"),
            ["/ui/oidc/corp?next=%2Fui%2Ftokens"]
        );

        let address = corp.leave(&mut browser);
        for part in [
            "code_challenge_method=S256",
            "response_type=code",
            "nonce=",
            "state=",
            "scope=openid",
        ] {
            assert!(address.contains(part), "{part}: {address}");
        }
        assert!(!address.contains("secret"), "{address}");
        let back = corp.provider.sign_in(&address, "bob");
        let page = browser.get_only(&back);
        assert_eq!(page.answer.status, 303, "{page:?}");
        assert_eq!(page.answer.header("location"), Some("/ui/tokens?a=b"));
        let page = browser.get("/ui/tokens");
        assert_eq!(page.text("form.who > span > bdi"), "bob");
        assert_eq!(site.last_event("web_login")["details"]["authMethod"], "oidc:corp");
        let linked = site.last_event("link_identity");
        assert_eq!(linked["details"]["subject"], "bob", "{linked}");
        assert_eq!(linked["initiatingUserId"], site.bob.to_string());

        // Their address and name are somebody else's now, who signs in by the same provider. It does not matter.
        let operator = Caller::operator(None);
        let (alice, bob) = (UserRef::Id(site.alice), UserRef::Id(site.bob));
        corp.set_method(site.alice, "oidc:corp");
        site.patrol
            .set_email(&operator, &bob, Some("robert@example.com"))
            .unwrap();
        site.patrol.rename_user(&operator, &bob, "robert").unwrap();
        site.patrol
            .set_email(&operator, &alice, Some("bob@example.com"))
            .unwrap();
        site.patrol.rename_user(&operator, &alice, "bob").unwrap();
        let mut browser = site.browser();
        assert_eq!(corp.sign_in(&mut browser, "bob").answer.status, 303);
        let page = browser.get("/ui/tokens");
        assert_eq!(page.text("form.who > span > bdi"), "robert");
        assert_eq!(site.events("link_identity").len(), 1);

        // When their method is another one, the provider's word is worth nothing, and their session is over.
        corp.set_method(site.bob, "password");
        assert_eq!(browser.get_only("/ui/tokens").answer.status, 303);
        let mut browser = site.browser();
        let page = corp.sign_in(&mut browser, "bob");
        corp.assert_out(&mut browser, &page, 403, "another way", "method is another one");
    }
}

#[test]
fn strangers_stay_out_and_are_told_what_to_do() {
    let Some(corp) = Corp::start(&[], |_| ()) else {
        return;
    };
    let site = &corp.site;
    for (login, told, reason) in [
        ("stranger", "Ask your administrator to create one", "no such user"),
        ("unverified", "has not verified your e-mail", "no verified e-mail"),
        ("silent", "has not verified your e-mail", "no verified e-mail"),
        ("alice", "another way", "authentication method is another one"),
    ] {
        let mut browser = site.browser();
        let page = corp.sign_in(&mut browser, login);
        corp.assert_out(&mut browser, &page, 403, told, reason);
    }
    assert_eq!(site.patrol.users(Some("acme"), true).unwrap().len(), 2);
    assert!(site.events("link_identity").is_empty());

    let operator = Caller::operator(None);
    let bob = UserRef::Id(site.bob);
    site.patrol.set_enabled(&operator, &bob, false).unwrap();
    let mut browser = site.browser();
    let page = corp.sign_in(&mut browser, "bob");
    corp.assert_out(&mut browser, &page, 403, "disabled", "disabled");
    site.patrol.set_enabled(&operator, &bob, true).unwrap();
    assert_eq!(corp.sign_in(&mut browser, "bob").answer.status, 303);
    // Another account at the provider that claims the same address is not bob's, and a known one is let in no further
    // than its user.
    let mut browser = site.browser();
    let page = corp.sign_in(&mut browser, "bobby");
    corp.assert_out(&mut browser, &page, 403, "Another account", "another account");
    site.patrol.set_enabled(&operator, &bob, false).unwrap();
    let page = corp.sign_in(&mut browser, "bob");
    corp.assert_out(&mut browser, &page, 403, "disabled", "disabled");
    // A password is no way in for those who sign in by a provider.
    site.patrol.set_enabled(&operator, &bob, true).unwrap();
    assert_eq!(site.browser().sign_in("bob", PASSWORD).answer.status, 401);
}

#[test]
fn what_was_tampered_with_on_the_way_leads_nowhere() {
    let Some(corp) = Corp::start(&[], |_| ()) else {
        return;
    };
    let site = &corp.site;
    let replaced = |address: &str, name: &str, value: &str| {
        let (path, query) = address.split_once('?').unwrap();
        let pairs = query.split('&').map(|pair| match pair.split_once('=') {
            Some((known, _)) if known == name => format!("{name}={value}"),
            _ => pair.to_owned(),
        });
        format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"))
    };
    let other = "ZmFpbC1mYWlsLWZhaWwtZmFpbC1mYWlsLWZhaWwtZmE";

    // Another nonce: an ID token that was made for another sign-in.
    let mut browser = site.browser();
    let address = replaced(&corp.leave(&mut browser), "nonce", other);
    let page = browser.get_only(&corp.provider.sign_in(&address, "bob"));
    corp.assert_out(&mut browser, &page, 403, "could not be trusted", "nonce");
    // Another challenge: a code that somebody else has asked for.
    let address = replaced(&corp.leave(&mut browser), "code_challenge", other);
    let page = browser.get_only(&corp.provider.sign_in(&address, "bob"));
    corp.assert_out(
        &mut browser,
        &page,
        502,
        "did not accept",
        "did not take the code",
    );
    // Another state, and another issuer, in what the browser brings back.
    let back = corp.provider.sign_in(&corp.leave(&mut browser), "bob");
    let page = browser.get_only(&replaced(&back, "state", other));
    corp.assert_out(&mut browser, &page, 400, "not begun in this browser", "not begun");
    let back = corp.provider.sign_in(&corp.leave(&mut browser), "bob");
    assert!(back.contains("&iss="), "{back}");
    let page = browser.get_only(&replaced(&back, "iss", "https%3A%2F%2Fevil.example.com"));
    corp.assert_out(&mut browser, &page, 403, "did not sign you in", "another issuer");
    // What is right, but brought by another browser: whoever is sent such a link is signed in as nobody.
    let back = corp.provider.sign_in(&corp.leave(&mut browser), "bob");
    let mut victim = site.browser();
    let page = victim.get_only(&back);
    corp.assert_out(&mut victim, &page, 400, "not begun in this browser", "not begun");
    // It is good once, and what is brought again opens nothing, by whatever cookie.
    let cookies = browser.cookies.clone();
    assert_eq!(browser.get_only(&back).answer.status, 303);
    assert!(browser.cookies.contains_key(SESSION));
    let mut again = site.browser();
    again.cookies = cookies;
    let page = again.get_only(&back);
    corp.assert_out(&mut again, &page, 400, "is over already", "is over already");

    // A session from before is not the one that is signed in (fixation).
    let mut browser = site.browser();
    browser.cookies.insert(SESSION.to_owned(), "planted".to_owned());
    assert_eq!(corp.sign_in(&mut browser, "bob").answer.status, 303);
    assert_ne!(browser.cookies[SESSION], "planted");
    // The way on leads nowhere else.
    let mut browser = site.browser();
    let page = browser.get_only("/ui/oidc/corp?next=https%3A%2F%2Fevil.example.com");
    let back = corp
        .provider
        .sign_in(page.answer.header("location").unwrap(), "bob");
    assert_eq!(
        browser.get_only(&back).answer.header("location"),
        Some("/ui/tokens")
    );
    assert_eq!(browser.get_only("/ui/oidc/other").answer.status, 404);
    assert_eq!(
        browser
            .get_only("/ui/oidc/other/return?state=a&code=b")
            .answer
            .status,
        404
    );
}

#[test]
fn a_provider_that_says_no_or_nothing_is_named() {
    let Some(mut corp) = Corp::start(&[], |_| ()) else {
        return;
    };
    let mut browser = corp.site.browser();
    let back = corp.provider.decline(&corp.leave(&mut browser));
    let page = browser.get_only(&back);
    corp.assert_out(
        &mut browser,
        &page,
        403,
        "Example <Corp> did not sign you in",
        "access_denied",
    );
    // A secret that others could read is not used.
    corp.write_secret(0o640);
    let page = browser.get_only("/ui/oidc/corp");
    corp.assert_out(&mut browser, &page, 500, "not set up right", "chmod 600");
    corp.write_secret(0o600);
    // New keys are fetched when they are needed.
    assert_eq!(corp.sign_in(&mut browser, "bob").answer.status, 303);
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    corp.provider.restart("corp", &[]);
    let mut browser = corp.site.browser();
    assert_eq!(corp.sign_in(&mut browser, "bob").answer.status, 303);

    let mut browser = corp.site.browser();
    let back = corp.provider.sign_in(&corp.leave(&mut browser), "bob");
    corp.provider.end();
    let page = browser.get_only(&back);
    corp.assert_out(
        &mut browser,
        &page,
        502,
        "Go back to the start",
        "did not take the code",
    );
}

#[test]
fn a_clock_that_is_off_is_named() {
    for (ahead, reason) in [("-7200", "expired"), ("600", "issued in the future")] {
        let Some(corp) = Corp::start(&[ahead], |_| ()) else {
            return;
        };
        let mut browser = corp.site.browser();
        let page = corp.sign_in(&mut browser, "bob");
        corp.assert_out(&mut browser, &page, 403, "clock", reason);
    }
    // A little is nothing.
    for ahead in ["-30", "30"] {
        let Some(corp) = Corp::start(&[ahead], |_| ()) else {
            return;
        };
        assert_eq!(corp.sign_in(&mut corp.site.browser(), "bob").answer.status, 303);
    }
}

#[test]
fn an_account_is_unlinked_by_an_administrator_and_makes_room_for_the_next() {
    let Some(corp) = Corp::start(&[], |_| ()) else {
        return;
    };
    let site = &corp.site;
    let mut bob = site.browser();
    assert_eq!(corp.sign_in(&mut bob, "bob").answer.status, 303);
    let token = site.issue(site.bob, "ci");
    let mut alice = site.signed_in("alice");
    let user = format!("/ui/admin/users/{}", site.bob);
    let path = format!("{user}/accounts/corp");
    let page = alice.get(&user);
    assert!(page.text("main").contains("Account at corp"), "{page:?}");
    assert!(page.attributes("main a", "href").contains(&path), "{page:?}");
    assert_eq!(
        alice.get_only(&format!("{user}/accounts/other")).answer.status,
        404
    );
    assert_eq!(bob.get_only(&path).answer.status, 403);

    let page = alice.get(&path);
    assert!(page.text("main").contains("that bob has at corp"), "{page:?}");
    let page = alice.submit(&page, &path, &[]);
    assert_eq!(page.text("main [role=status]"), "The account was unlinked.");
    assert!(!page.text("main").contains("Account at corp"), "{page:?}");
    let event = site.last_event("unlink_identity");
    assert_eq!(event["details"]["accounts"][0]["subject"], "bob", "{event}");
    assert_eq!(event["initiatingUserDisplayName"], "alice");
    // Signed out, with their tokens as they were; the next account with their address is theirs.
    assert_eq!(bob.get_only("/ui/tokens").answer.status, 303);
    site.verify(&token).unwrap();
    let mut bobby = site.browser();
    assert_eq!(corp.sign_in(&mut bobby, "bobby").answer.status, 303);
    let page = corp.sign_in(&mut bob, "bob");
    corp.assert_out(&mut bob, &page, 403, "Another account", "another account");

    // Nobody does it to themselves, which would let another account in to who has got hold of the session.
    corp.set_method(site.alice, "oidc:corp");
    let mut alice = site.browser();
    assert_eq!(corp.sign_in(&mut alice, "alice").answer.status, 303);
    let path = format!("/ui/admin/users/{}/accounts/corp", site.alice);
    assert_eq!(alice.get_only(&path).answer.status, 409);
    let csrf = alice.get("/ui/tokens").fields("/ui/sign-out").remove(0).1;
    assert_eq!(alice.post(&path, &[("csrf", &csrf)]).answer.status, 409);
    assert_eq!(site.events("unlink_identity").len(), 1);
}

#[test]
fn one_address_leaves_for_a_provider_so_often_and_no_more() {
    let mut config = Config::default();
    config.limits.passwords_per_address = 3;
    // Nobody is asked: there is no provider at this address.
    config.web.oidc = vec![OidcConfig {
        name: "corp".to_owned(),
        issuer: "http://127.0.0.1:9".to_owned(),
        client_id: "patrol".to_owned(),
        ..OidcConfig::default()
    }];
    let site = Site::with(config);
    let mut browser = site.browser();
    for path in [
        "/ui/oidc/corp",
        "/ui/oidc/corp/return?state=a&code=b",
        "/ui/oidc/corp",
    ] {
        assert_ne!(browser.get_only(path).answer.status, 429, "{path}");
    }
    let noted = site.events("web_login").len();
    assert_eq!(noted, 3);
    for path in ["/ui/oidc/corp", "/ui/oidc/corp/return?state=a&code=b"] {
        let page = browser.get_only(path);
        assert_eq!(page.answer.status, 429, "{path}");
        assert!(page.answer.header("retry-after").is_some());
    }
    assert_eq!(site.events("web_login").len(), noted);
    // With a password neither.
    assert_eq!(browser.sign_in("bob", PASSWORD).answer.status, 429);
}
