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
        assert_eq!(page.answer.status, 403);
        assert!(page.text("[role=alert]").contains("another way"), "{page:?}");
        assert_eq!(browser.get_only("/ui/tokens").answer.status, 303);
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
    assert_eq!(page.answer.status, 403);
    assert!(page.text("[role=alert]").contains("disabled"), "{page:?}");
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
