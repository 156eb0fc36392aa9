//! The second step of signing in, and the page on which people look after it.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{SystemTime, UNIX_EPOCH};

use patrol::config::Config;
use patrol::service::{Caller, Error, Origin};
use patrol_policy::Secret;
use patrol_policy::types::{MINUTE, RefusalReason};
use patrol_tests::deployment::AUDIENCE;
use patrol_tests::program::Program;
use patrol_tests::web::{Browser, Page};
use totp_rs::{Builder, Totp};

use super::{PASSWORD, Site};

const SESSION: &str = "__Host-patrol-session";
const ENROL: &str = "/ui/security/second-factor";
const STEP: &str = "/ui/sign-in/second";

/// A site on which attempts are not counted: tests are faster than people.
fn unhurried() -> Site {
    let mut config = Config::default();
    config.limits.passwords_per_user = 0;
    config.limits.passwords_per_address = 0;
    Site::with(config)
}

/// An authenticator with the secret that a page shows.
fn authenticator(page: &Page) -> Totp {
    let secret = totp_rs::Secret::try_from_base32(page.text("code")).unwrap();
    Builder::new().with_secret(secret).build_noncompliant()
}

/// The code of now, or of so many steps later.
fn code(site: &Site, totp: &Totp, later: i64) -> String {
    let now = i64::try_from(site.patrol.now() / 1000).unwrap();
    totp.generate(u64::try_from(now + 30 * later).unwrap())
        .to_string()
}

/// Turns the second step on for `bob`; the authenticator, and the recovery codes.
fn enrolled(site: &Site) -> (Totp, Vec<String>, Browser) {
    let mut browser = site.signed_in("bob");
    let page = browser.get(ENROL);
    assert_eq!(page.attributes("svg.qr path", "d").len(), 1);
    let totp = authenticator(&page);
    // Until it is confirmed, a reload shows the same, and nothing is asked for at sign-in.
    assert_eq!(browser.get(ENROL).text("code"), page.text("code"));
    site.signed_in("bob");
    let wrong = browser.submit(&page, ENROL, &[("code", "000000")]);
    assert_eq!(wrong.answer.status, 401);
    let page = browser.submit(&page, ENROL, &[("code", &code(site, &totp, 0))]);
    let codes = page.texts(".codes code");
    assert_eq!(codes.len(), 10, "{page:?}");
    assert!(codes.iter().all(|code| code.len() == 19), "{codes:?}");
    // Once: neither secret nor codes are shown again.
    assert_eq!(browser.get(ENROL).path, "/ui/security");
    let page = browser.get("/ui/security");
    assert!(
        page.text("main").contains("10 recovery codes are left"),
        "{page:?}"
    );
    (totp, codes, browser)
}

/// The first step, as bob.
#[track_caller]
fn first_step(site: &Site) -> (Browser, Page) {
    let mut browser = site.browser();
    let page = browser.sign_in("bob", PASSWORD);
    assert!(page.path.starts_with(STEP), "{page:?}");
    assert!(!browser.cookies.contains_key(SESSION));
    (browser, page)
}

#[test]
fn a_code_is_asked_for_after_the_password_and_works_once() {
    let site = unhurried();
    let (totp, ..) = enrolled(&site);
    let used = code(&site, &totp, 0);
    let (mut browser, page) = first_step(&site);
    // Half signed in is not signed in.
    assert_eq!(browser.get_only("/ui/tokens").answer.status, 303);
    for wrong in [used.as_str(), "", "123", "abcd-efgh-jkmn-pqrs"] {
        let page = browser.submit(&page, STEP, &[("code", wrong)]);
        assert_eq!(page.answer.status, 401, "{wrong}: {page:?}");
    }
    let noted = site.last_event("web_second_step");
    assert_eq!(noted["eventOutcome"], "unauthorized", "{noted}");
    assert_eq!(
        noted["eventOutcomeReason"],
        "the code is wrong, or was used before"
    );
    // One step early is within what clocks differ; after it, the one of now is no longer good.
    let early = code(&site, &totp, 1);
    let spaced = format!("{} {}", &early[..3], &early[3..]);
    let page = browser.submit(&page, STEP, &[("code", &spaced)]);
    assert_eq!(page.path, "/ui/tokens", "{page:?}");
    site.clock.advance(30_000);
    let (mut browser, page) = first_step(&site);
    for used in [0, -1] {
        let refused = browser.submit(&page, STEP, &[("code", &code(&site, &totp, used))]);
        assert_eq!(refused.answer.status, 401);
    }
    // Two steps away is too far; one step late is not.
    let late = code(&site, &totp, 1);
    let far = browser.submit(&page, STEP, &[("code", &code(&site, &totp, 2))]);
    assert_eq!(far.answer.status, 401);
    site.clock.advance(60_000);
    assert_eq!(browser.submit(&page, STEP, &[("code", &late)]).path, "/ui/tokens");
}

#[test]
fn the_second_step_is_for_five_minutes_and_five_codes() {
    let site = unhurried();
    let (totp, ..) = enrolled(&site);
    site.clock.advance(MINUTE);
    let (mut browser, page) = first_step(&site);
    site.clock.advance(5 * MINUTE);
    let over = browser.submit(&page, STEP, &[("code", &code(&site, &totp, 0))]);
    assert_eq!(over.path, "/ui/sign-in");
    assert!(over.text("[role=status]").contains("Sign in again"));
    let (mut browser, page) = first_step(&site);
    for _ in 0..4 {
        assert_eq!(
            browser.submit(&page, STEP, &[("code", "nonsense")]).answer.status,
            401
        );
    }
    let last = browser.submit(&page, STEP, &[("code", "nonsense")]);
    assert_eq!(last.path, "/ui/sign-in", "{last:?}");
    let over = browser.submit(&page, STEP, &[("code", &code(&site, &totp, 0))]);
    assert_eq!(over.path, "/ui/sign-in", "{over:?}");
    assert!(!browser.cookies.contains_key(SESSION));
    // Nobody gets there without the first step.
    assert_eq!(site.browser().get(STEP).path, "/ui/sign-in");
}

#[test]
fn a_recovery_code_works_once_and_none_after_new_ones() {
    let site = unhurried();
    let (totp, codes, mut own) = enrolled(&site);
    let (mut browser, page) = first_step(&site);
    assert_eq!(
        browser
            .submit(&page, STEP, &[("code", &codes[3].to_uppercase())])
            .path,
        "/ui/tokens"
    );
    let (mut browser, page) = first_step(&site);
    assert_eq!(
        browser.submit(&page, STEP, &[("code", &codes[3])]).answer.status,
        401
    );
    assert_eq!(
        browser.submit(&page, STEP, &[("code", &codes[4])]).path,
        "/ui/tokens"
    );
    let page = own.get("/ui/security");
    assert!(page.text("main").contains("8 recovery codes are left"));
    site.clock.advance(MINUTE);
    let renew = "/ui/security/recovery-codes";
    let page = own.submit(&page, renew, &[("code", &code(&site, &totp, 0))]);
    assert_eq!(page.texts(".codes code").len(), 10);
    let (mut browser, page) = first_step(&site);
    assert_eq!(
        browser.submit(&page, STEP, &[("code", &codes[5])]).answer.status,
        401
    );
}

#[test]
fn where_the_tenant_asks_for_it_nobody_gets_in_without_and_it_stays_on_r11() {
    let site = unhurried();
    let operator = Caller::operator(None);
    site.patrol.set_multi_factor(&operator, "acme", true).unwrap();
    // Whoever has none gets one first.
    let (mut browser, page) = first_step(&site);
    let totp = authenticator(&page);
    assert_eq!(browser.get_only("/ui/tokens").answer.status, 303);
    assert_eq!(
        browser.submit(&page, STEP, &[("code", "000000")]).answer.status,
        401
    );
    let page = browser.submit(&page, STEP, &[("code", &code(&site, &totp, 0))]);
    assert_eq!(page.texts(".codes code").len(), 10, "{page:?}");
    assert_eq!(browser.get("/ui/tokens").path, "/ui/tokens");
    let off = "/ui/security/second-factor/off";
    let page = browser.get("/ui/security");
    assert!(
        page.attributes("form", "action")
            .iter()
            .all(|action| action != off)
    );
    let csrf = page.attributes("input[name=csrf]", "value").remove(0);
    site.clock.advance(MINUTE);
    let now = code(&site, &totp, 0);
    let fields = [("csrf", csrf.as_str()), ("password", PASSWORD), ("code", &now)];
    assert_eq!(browser.post(off, &fields).answer.status, 422);
    // Where the tenant no longer asks for it, it can be turned off, with password and code.
    site.patrol.set_multi_factor(&operator, "acme", false).unwrap();
    let page = browser.get("/ui/security");
    let refused = browser.submit(&page, off, &[("password", "wrong password"), ("code", &now)]);
    assert_eq!(refused.answer.status, 401);
    let page = browser.submit(&page, off, &[("password", PASSWORD), ("code", &now)]);
    assert_eq!(
        page.text("[role=status]"),
        "The second step is turned off.",
        "{page:?}"
    );
    site.signed_in("bob");
}

#[test]
fn a_password_alone_signs_nobody_in_to_the_api_who_has_a_second_factor_r11() {
    let site = unhurried();
    let sign_in = |password: &str| {
        let password = Secret::new(password.as_bytes().to_vec());
        site.patrol
            .sign_in_with_password(Some("acme"), "bob", &password, AUDIENCE, &Origin::default())
            .map(drop)
    };
    sign_in(PASSWORD).unwrap();
    enrolled(&site);
    assert!(matches!(sign_in("wrong password"), Err(Error::WrongPassword)));
    assert_eq!(
        sign_in(PASSWORD).unwrap_err().refusal(),
        Some(RefusalReason::PatRequired)
    );
}

#[test]
fn nothing_of_it_is_at_rest_and_without_the_key_nobody_gets_in() {
    let site = unhurried();
    let mut browser = site.signed_in("alice");
    let shown = browser.get(ENROL).text("code");
    let (totp, codes, _) = enrolled(&site);
    let secret = totp_rs::Secret::try_from_base32(&shown).unwrap();
    let bytes = format!("{:?}", secret.as_ref());
    let inner = bytes.trim_matches(['[', ']']).to_owned();
    for (table, rows) in site.dump() {
        for row in rows {
            assert!(!row.contains(&shown) && !row.contains(&inner), "{table}: {row}");
            for code in &codes {
                assert!(
                    !row.contains(code.as_str()) && !row.contains(&code.replace('-', "")),
                    "{table}"
                );
            }
        }
    }
    let key = site.path().join("web.key");
    assert_eq!(
        std::fs::metadata(&key).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let elsewhere = site.path().join("elsewhere");
    std::fs::rename(&key, &elsewhere).unwrap();
    site.clock.advance(MINUTE);
    let (mut browser, page) = first_step(&site);
    let failed = browser.submit(&page, STEP, &[("code", &code(&site, &totp, 0))]);
    assert_eq!(failed.answer.status, 503);
    assert!(!key.exists(), "another key is made in its place");
    std::fs::rename(&elsewhere, &key).unwrap();
    assert_eq!(
        browser
            .submit(&page, STEP, &[("code", &code(&site, &totp, 0))])
            .path,
        "/ui/tokens"
    );
}

#[test]
fn codes_are_counted_like_passwords() {
    let site = Site::new();
    enrolled(&site);
    let (mut browser, page) = first_step(&site);
    let statuses: Vec<_> = (0..4)
        .map(|_| browser.submit(&page, STEP, &[("code", "nonsense")]).answer.status)
        .collect();
    assert!(statuses.contains(&401), "{statuses:?}");
    let (mut seen, mut more) = (false, 0);
    while !seen && more < 40 {
        seen = browser.sign_in("bob", "wrong").answer.status == 429;
        more += 1;
    }
    assert!(seen);
    assert_eq!(
        browser.submit(&page, STEP, &[("code", "nonsense")]).answer.status,
        429
    );
}

#[test]
fn whoever_is_signed_in_elsewhere_can_be_signed_out_from_here() {
    let site = unhurried();
    let (mut here, mut there) = (site.signed_in("bob"), site.signed_in("bob"));
    let page = here.get("/ui/security");
    let page = here.submit(&page, "/ui/security/sessions", &[]);
    assert_eq!(page.text("[role=status]"), "You are signed out everywhere else.");
    assert_eq!(there.get_only("/ui/tokens").answer.status, 303);
    assert_eq!(here.get_only("/ui/tokens").answer.status, 200);
}

#[test]
fn after_a_hundred_wrong_codes_from_wherever_only_a_recovery_code_is_taken() {
    let site = unhurried();
    let (totp, codes, mut own) = enrolled(&site);
    let renew = "/ui/security/recovery-codes";
    let page = own.get("/ui/security");
    let (mut browser, step) = first_step(&site);
    site.clock.advance(MINUTE);
    let wrong = code(&site, &totp, 10);
    for number in 0..99 {
        // By whatever way; what is asked for after it is all the same.
        let answer = if number < 4 {
            browser.submit(&step, STEP, &[("code", &wrong)])
        } else {
            own.submit(&page, renew, &[("code", &wrong)])
        };
        assert_eq!(answer.answer.status, 401, "{number}: {answer:?}");
    }
    // A right one forgives what was wrong before it.
    let right = own.submit(&page, renew, &[("code", &code(&site, &totp, 0))]);
    let codes_now = right.texts(".codes code");
    assert_eq!(codes_now.len(), 10, "{right:?}");
    for number in 0..100 {
        let answer = own.submit(&page, renew, &[("code", &wrong)]);
        assert_eq!(answer.answer.status, 401, "{number}");
    }
    site.clock.advance(MINUTE);
    let (mut browser, step) = first_step(&site);
    let right = code(&site, &totp, 0);
    for (browser, page, path) in [(&mut own, &page, renew), (&mut browser, &step, STEP)] {
        let refused = browser.submit(page, path, &[("code", &right)]);
        assert_eq!(refused.answer.status, 422, "{refused:?}");
        let told = refused.text("[role=alert]");
        assert!(told.contains("enter a recovery code"), "{told}");
    }
    let refused = browser.submit(&step, STEP, &[("code", &codes[0])]);
    assert_eq!(refused.answer.status, 401, "one from before they were renewed");
    let page = browser.submit(&step, STEP, &[("code", &codes_now[0])]);
    assert_eq!(page.path, "/ui/tokens", "{page:?}");
    let (mut browser, step) = first_step(&site);
    let page = browser.submit(&step, STEP, &[("code", &right)]);
    assert_eq!(page.path, "/ui/tokens", "{page:?}");
}

#[test]
fn an_administrator_removes_what_somebody_else_has_lost() {
    let site = unhurried();
    let (.., mut bob) = enrolled(&site);
    let mut alice = site.signed_in("alice");
    let user = format!("/ui/admin/users/{}", site.bob);
    let path = format!("{user}/second-factor");
    assert!(
        alice
            .get(&user)
            .text("main")
            .contains("10 recovery codes are left")
    );
    // Not bob himself, who would need a code to turn it off.
    assert_eq!(bob.get_only(&path).answer.status, 403);
    let csrf = bob.get("/ui/tokens").fields("/ui/sign-out").remove(0).1;
    assert_eq!(bob.post(&path, &[("csrf", &csrf)]).answer.status, 403);
    first_step(&site);

    let page = alice.get(&path);
    assert!(
        page.text("main").contains("Be sure that it is bob who asks"),
        "{page:?}"
    );
    let page = alice.submit(&page, &path, &[]);
    assert_eq!((page.path.as_str(), page.answer.status), (user.as_str(), 200));
    assert_eq!(page.text("main [role=status]"), "The second step was removed.");
    assert!(!page.attributes("main a", "href").contains(&path), "{page:?}");
    let event = site.last_event("remove_second_factor");
    assert_eq!(event["initiatingUserDisplayName"], "alice", "{event}");
    assert_eq!(event["details"]["userName"], "bob", "{event}");
    site.signed_in("bob");
    // Their session goes on, and another tab comes too late for nothing.
    assert_eq!(bob.get_only("/ui/tokens").answer.status, 200);
    let page = alice.get(&path);
    assert_eq!(alice.submit(&page, &path, &[]).path, user);
    assert_eq!(site.events("remove_second_factor").len(), 1);
}

#[test]
fn no_administrator_removes_their_own_without_a_code() {
    let site = unhurried();
    let mut alice = site.signed_in("alice");
    let page = alice.get(ENROL);
    let totp = authenticator(&page);
    alice.submit(&page, ENROL, &[("code", &code(&site, &totp, 0))]);
    let user = format!("/ui/admin/users/{}", site.alice);
    let path = format!("{user}/second-factor");
    let page = alice.get(&user);
    assert!(!page.attributes("main a", "href").contains(&path), "{page:?}");
    assert_eq!(alice.get_only(&path).answer.status, 409);
    let csrf = page.fields("/ui/sign-out").remove(0).1;
    assert_eq!(alice.post(&path, &[("csrf", &csrf)]).answer.status, 409);
    assert!(site.patrol.second_factor(site.alice).unwrap().enrolled);
}

#[test]
fn the_command_line_shows_and_removes_it_and_knows_who_has_none() {
    let program = Program::new();
    program.json(&["tenant", "create", "acme"]);
    program.json(&["user", "create", "--tenant", "acme", "--name", "bob"]);
    let link = program.json(&["user", "link", "bob"])["link"].clone();
    let server = program.serve();
    let mut browser = Browser::new(server.address);
    let page = browser.get(link.as_str().unwrap());
    let both = [("password", PASSWORD), ("repeated", PASSWORD)];
    browser.submit(&page, "/ui/password", &both);
    assert_eq!(program.json(&["user", "show", "bob"])["secondFactor"], false);
    let none = program.run(&["user", "remove-second-factor", "bob"]);
    assert_eq!(none.code, Some(4), "{none:?}");
    let none = program.run(&["user", "unlink", "bob", "corp"]);
    assert_eq!(none.code, Some(4), "{none:?}");

    browser.sign_in("bob", PASSWORD);
    let page = browser.get(ENROL);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let now = authenticator(&page).generate(now).to_string();
    browser.submit(&page, ENROL, &[("code", &now)]);
    let shown = program.json(&["user", "show", "bob"]);
    assert_eq!(
        (&shown["secondFactor"], &shown["recoveryCodesLeft"]),
        (&true.into(), &10.into())
    );
    let page = Browser::new(server.address).sign_in("bob", PASSWORD);
    assert!(page.path.starts_with(STEP), "{page:?}");
    let removed = program.run(&["user", "remove-second-factor", "bob"]);
    assert_eq!(removed.code, Some(0), "{removed:?}");
    assert_eq!(
        Browser::new(server.address).sign_in("bob", PASSWORD).path,
        "/ui/tokens"
    );
}
