//! A gateway in front says who somebody is.

use patrol::config::{Config, GatewayConfig, JwtConfig, Match};
use patrol::service::{Caller, UserRef};
use patrol_policy::types::Scope;
use patrol_tests::web::Browser;

use super::{PASSWORD, Site};

const SESSION: &str = "__Host-patrol-session";
const HEADER: &str = "X-Remote-User";

fn from(addresses: &[&str]) -> GatewayConfig {
    GatewayConfig {
        header: HEADER.to_owned(),
        from: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        ..GatewayConfig::default()
    }
}

/// A site behind such a gateway, at which bob signs in by it; alice has a password.
fn site(gateway: GatewayConfig) -> Site {
    let mut config = Config::default();
    config.web.gateway = Some(gateway);
    config.check().unwrap();
    let site = Site::with(config);
    set_method(&site, "gateway");
    site
}

/// Bob's method.
fn set_method(site: &Site, method: &str) {
    let operator = Caller::operator(None);
    site.patrol
        .change_auth_method(&operator, Scope::Owner(site.bob), method)
        .unwrap();
}

fn says(browser: &mut Browser, name: &str) {
    browser.headers.retain(|(header, _)| header != HEADER);
    browser.headers.push((HEADER.to_owned(), name.to_owned()));
}

fn named(site: &Site, name: &str) -> Browser {
    let mut browser = site.browser();
    says(&mut browser, name);
    browser
}

/// Who the page says is signed in.
fn who(browser: &mut Browser) -> Option<String> {
    let page = browser.get_only("/ui/tokens");
    match page.answer.status {
        200 => Some(page.text("form.who > span > bdi")),
        303 => None,
        other => panic!("{other}: {page:?}"),
    }
}

#[test]
fn whom_the_gateway_names_is_signed_in() {
    let site = site(from(&["127.0.0.1"]));
    let mut bob = named(&site, "bob");
    assert_eq!(who(&mut bob).as_deref(), Some("bob"));
    let session = bob.cookies[SESSION].clone();
    // One session, not one for each page.
    assert_eq!(who(&mut bob).as_deref(), Some("bob"));
    assert_eq!(bob.cookies[SESSION], session);
    assert_eq!(site.events("web_login").len(), 1);
    assert_eq!(site.last_event("web_login")["details"]["authMethod"], "gateway");
    // It is a session like any other: forms work, and it does not need the header.
    bob.headers.retain(|(header, _)| header != HEADER);
    let page = bob.get("/ui/tokens");
    assert_eq!(page.answer.status, 200);
    assert_eq!(bob.submit(&page, "/ui/sign-out", &[]).path, "/ui/sign-in");
    assert_eq!(who(&mut bob), None);
}

#[test]
fn from_any_other_address_it_is_as_if_nothing_were_said() {
    let site = site(from(&["192.0.2.44", "127.0.0.2", "10.0.0.0/8", "::1"]));
    let mut bob = named(&site, "bob");
    for (name, value) in [
        ("X-Forwarded-For", "192.0.2.44"),
        ("X-Real-IP", "192.0.2.44"),
        ("Forwarded", "for=192.0.2.44"),
    ] {
        bob.headers.push((name.to_owned(), value.to_owned()));
        assert_eq!(who(&mut bob), None, "{name}");
    }
    assert!(site.events("web_login").is_empty());
    // Nor is anybody put out by it.
    let mut alice = site.signed_in("alice");
    says(&mut alice, "bob");
    assert_eq!(who(&mut alice).as_deref(), Some("alice"));
}

#[test]
fn a_header_that_is_there_twice_is_not_the_gateway_s() {
    let site = site(from(&["127.0.0.0/8"]));
    let mut bob = named(&site, "bob");
    bob.headers.push((HEADER.to_owned(), "bob".to_owned()));
    assert_eq!(who(&mut bob), None);
    for name in ["", " ", "bob,alice", "b\u{f6}b"] {
        assert_eq!(who(&mut named(&site, name)), None, "{name}");
    }
}

#[test]
fn nobody_is_made_and_nobody_else_s_method_is_overruled() {
    let site = site(from(&["127.0.0.1"]));
    assert_eq!(who(&mut named(&site, "mallory")), None);
    let event = site.last_event("web_login");
    assert_eq!(event["eventOutcome"], "unauthorized", "{event}");
    assert_eq!(event["eventOutcomeReason"], "there is no such user");
    // Alice has a password, whatever the gateway says, and is an administrator.
    assert_eq!(who(&mut named(&site, "alice")), None);
    let event = site.last_event("web_login");
    assert_eq!(
        event["eventOutcomeReason"],
        "the user's authentication method is another one"
    );
    assert!(site.patrol.users(Some("acme"), true).unwrap().len() == 2);

    let operator = Caller::operator(None);
    let bob = UserRef::Id(site.bob);
    site.patrol.set_enabled(&operator, &bob, false).unwrap();
    assert_eq!(who(&mut named(&site, "bob")), None);
    assert_eq!(
        site.last_event("web_login")["eventOutcomeReason"],
        "the owner is disabled"
    );
    site.patrol.set_enabled(&operator, &bob, true).unwrap();
    let mut browser = named(&site, "bob");
    assert_eq!(who(&mut browser).as_deref(), Some("bob"));
    // A password is not the way for those who come by the gateway.
    browser = site.browser();
    assert_eq!(browser.sign_in("bob", PASSWORD).answer.status, 401);
    // And once the method is another one, their session is over, and no new one is opened.
    let mut browser = named(&site, "bob");
    assert_eq!(who(&mut browser).as_deref(), Some("bob"));
    set_method(&site, "password");
    assert_eq!(who(&mut browser), None);
}

#[test]
fn a_browser_that_somebody_else_uses_now_is_theirs_alone() {
    let site = site(from(&["127.0.0.1"]));
    let operator = Caller::operator(None);
    site.patrol
        .change_auth_method(&operator, Scope::Owner(site.alice), "gateway")
        .unwrap();
    let mut browser = named(&site, "bob");
    let page = browser.get("/ui/tokens");
    assert_eq!(page.answer.status, 200);
    let bobs = browser.cookies[SESSION].clone();
    // A form of bob's, sent while the gateway names alice, does nothing in anybody's name.
    says(&mut browser, "alice");
    let sent = browser.submit_only(&page, "/ui/sign-out", &[]);
    assert_ne!(sent.answer.status, 200, "{sent:?}");
    browser.cookies.insert(SESSION.to_owned(), bobs.clone());
    assert_eq!(who(&mut browser).as_deref(), Some("alice"));
    let alices = browser.cookies[SESSION].clone();
    assert_ne!(alices, bobs);
    // The one before is over, so it leads nowhere, whoever has kept it.
    let mut kept = site.browser();
    kept.cookies.insert(SESSION.to_owned(), bobs);
    assert_eq!(who(&mut kept), None);
    // A session that was planted in the browser is not taken over: whoever knows it has nothing of it.
    let mut victim = named(&site, "bob");
    victim.cookies.insert(SESSION.to_owned(), alices.clone());
    assert_eq!(who(&mut victim).as_deref(), Some("bob"));
    assert_ne!(victim.cookies[SESSION], alices);
    // Of somebody whom it names but who is not let in, the session of another is not the one either.
    let mut browser = named(&site, "bob");
    assert_eq!(who(&mut browser).as_deref(), Some("bob"));
    says(&mut browser, "mallory");
    assert_eq!(who(&mut browser), None);
}

#[test]
fn somebody_may_be_named_by_e_mail_address() {
    let gateway = GatewayConfig {
        found: Match::Email,
        ..from(&["127.0.0.1"])
    };
    let site = site(gateway);
    assert_eq!(who(&mut named(&site, "bob")), None);
    assert_eq!(who(&mut named(&site, "Bob@Example.com")).as_deref(), Some("bob"));
    // An address that two people have is nobody's.
    let operator = Caller::operator(None);
    let alice = UserRef::Id(site.alice);
    site.patrol
        .set_email(&operator, &alice, Some("BOB@example.com"))
        .unwrap();
    assert_eq!(who(&mut named(&site, "bob@example.com")), None);
    let event = site.last_event("web_login");
    assert_eq!(
        event["eventOutcomeReason"],
        "several users have this e-mail address"
    );
}

fn signed(addresses: &[&str]) -> Site {
    let gateway = GatewayConfig {
        jwt: Some(JwtConfig {
            key_file: "gateway.pem".into(),
            issuer: "https://gateway.example.com".to_owned(),
            audience: "patrol".to_owned(),
            ..JwtConfig::default()
        }),
        ..from(addresses)
    };
    let site = site(gateway);
    std::fs::write(site.path().join("gateway.pem"), KEY).unwrap();
    site
}

#[test]
fn a_signed_header_is_believed_wherever_it_comes_from() {
    let site = signed(&[]);
    assert_eq!(who(&mut named(&site, GOOD)).as_deref(), Some("bob"));
    for (what, token) in [
        ("the bare name", "bob"),
        ("expired", EXPIRED),
        ("without an end", UNENDING),
        ("too early", EARLY),
        ("another audience", OTHER_AUDIENCE),
        ("no audience", NO_AUDIENCE),
        ("another issuer", OTHER_ISSUER),
        ("another key", OTHER_KEY),
        ("no signature", UNSIGNED),
        ("the public key as a shared one", SHARED),
        ("not a name", NUMBER),
        ("cut", &GOOD[..GOOD.len() - 4]),
    ] {
        assert_eq!(who(&mut named(&site, token)), None, "{what}");
    }
    // A key that others could put in its place is none.
    let key = site.path().join("gateway.pem");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(&key, open).unwrap();
    assert_eq!(who(&mut named(&site, GOOD)), None);
}

#[test]
fn where_address_and_signature_are_asked_for_both_must_be_right() {
    let elsewhere = signed(&["192.0.2.1"]);
    assert_eq!(who(&mut named(&elsewhere, GOOD)), None);
    let here = signed(&["127.0.0.1"]);
    assert_eq!(who(&mut named(&here, "bob")), None);
    assert_eq!(who(&mut named(&here, GOOD)).as_deref(), Some("bob"));
}

/// The public half of a key that was thrown away when these were signed with it.
const KEY: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE5C3fTpxFLdMicky46G18gGojzRSQ\n\
zDwJtskCf2lWvcMR3Nw7Vh1CC+ISed+tTy0GeE4FtB3EUxd4S0TZmmQ/dw==\n\
-----END PUBLIC KEY-----\n\
";
/// For bob, until 2100.
const GOOD: &str = "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2dhdGV3YXkuZXhhbXBsZS5jb20iLCJhdWQiOiJ\
    wYXRyb2wiLCJzdWIiOiJib2IiLCJleHAiOjQxMDI0NDQ4MDB9.ep_2O-viYzi7x7HmtlfFpUETv8GAnWknpCAKTgStiSBE1A\
    qXciTh4h0aywnrXzsOdvlPVBoYbMTt-FqTJuP8Lw";

/// Ended in 2023.
const EXPIRED: &str = "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2dhdGV3YXkuZXhhbXBsZS5jb20iLCJhdWQiOiJ\
    wYXRyb2wiLCJzdWIiOiJib2IiLCJleHAiOjE3MDAwMDAwMDB9.E6KiKFbTyfAh2y1cNwmL-RN8Ycl90pB_uXcctVLOcvMd3C\
    WKRdOsG_CF2gxXaidivnXgRRXV_lh6seI0KfXgCw";

/// Has no end.
const UNENDING: &str = "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2dhdGV3YXkuZXhhbXBsZS5jb20iLCJhdWQiOiJ\
    wYXRyb2wiLCJzdWIiOiJib2IifQ.4qbU5lZT_Po3r3fC4RmQ_sceROKuLdS8hTP54QYyNnfVq4FbbXye9swZDmbmuxvl1klX\
    a7axdsKFpHfd-vyUTw";

/// Not good before 2099.
const EARLY: &str = "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2dhdGV3YXkuZXhhbXBsZS5jb20iLCJhdWQiOiJ\
    wYXRyb2wiLCJzdWIiOiJib2IiLCJleHAiOjQxMDI0NDQ4MDAsIm5iZiI6NDEwMjQ0NDAwMH0.QmAxqiXdqMbqDM6qJv8BtQB\
    -l_8hdnhSX5LEo_LghHBRH_iTCSzzRj_pWYkkpXM_FiVJmCclNRKHp5J44sBKcw";

/// For another audience.
const OTHER_AUDIENCE: &str = "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2dhdGV3YXkuZXhhbXBsZS5jb20iLCJhdWQiOiJ\
    3aWtpIiwic3ViIjoiYm9iIiwiZXhwIjo0MTAyNDQ0ODAwfQ.49z9Sbl9rnvCwnKR5mB6W1UbHqQXCcw2IN1IbmZy6tK85O77\
    _2hAA2Pqt_XzyVHwNT5vd-7wewCsyL6KSWz05A";

/// For none.
const NO_AUDIENCE: &str = "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2dhdGV3YXkuZXhhbXBsZS5jb20iLCJzdWIiOiJ\
    ib2IiLCJleHAiOjQxMDI0NDQ4MDB9.r_Kx-iEd2M_EF54Z6jFyMgHVyLyHqrJyX-j5rNbWoQ7JLpu_9uO_OT0bnEnv7HWRPK\
    TpNvf8c88qcsD7OmjPmQ";

/// By another issuer.
const OTHER_ISSUER: &str = "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2V2aWwuZXhhbXBsZS5jb20iLCJhdWQiOiJwYXR\
    yb2wiLCJzdWIiOiJib2IiLCJleHAiOjQxMDI0NDQ4MDB9.bXQCeNfMHj0eM5Gctkbz5i5dykufPRAzcevI4Q5WdewdRBbBi5\
    sPv4l6Wl3IIvZ8X551NC0me0e8Gk2s3vYrLg";

/// Signed with another key.
const OTHER_KEY: &str = "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2dhdGV3YXkuZXhhbXBsZS5jb20iLCJhdWQiOiJ\
    wYXRyb2wiLCJzdWIiOiJib2IiLCJleHAiOjQxMDI0NDQ4MDB9.wdwf61kHsLQncvHq308fbhvLY_90K6EA5I1xdvd72GLgIR\
    W6hJtwmk81k4l_H8fy-knkyqyZAZLXaIVVpdqFZw";

/// Not signed: `alg` is `none`.
const UNSIGNED: &str = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJpc3MiOiJodHRwczovL2dhdGV3YXkuZXhhbXBsZS5jb20iLCJhdWQiOiJw\
    YXRyb2wiLCJzdWIiOiJib2IiLCJleHAiOjQxMDI0NDQ4MDB9.";

/// Signed by HS256, with the public key as the secret.
const SHARED: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2dhdGV3YXkuZXhhbXBsZS5jb20iLCJhdWQiOiJ\
    wYXRyb2wiLCJzdWIiOiJib2IiLCJleHAiOjQxMDI0NDQ4MDB9.-u0nL01fXQZ3hW0B0BR1CR88PE0aMBu2USwJPRqXekU";

/// Names a number.
const NUMBER: &str = "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2dhdGV3YXkuZXhhbXBsZS5jb20iLCJhdWQiOiJ\
    wYXRyb2wiLCJzdWIiOjcsImV4cCI6NDEwMjQ0NDgwMH0.RoWRmDERth6wti_KR_CF5zNpLphuVGHLTIDyWaLnALxN90KUCzL\
    7lzixVg7rdC-Y5k8FWH292bToQhI1CWgj5A";
