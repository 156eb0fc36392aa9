//! What attackers try with pages: each on every page and every form that there is. Which there are is found by following
//! the links, so that new ones are tested as soon as somebody can get to them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use patrol::config::Config;
use patrol_tests::web::{Browser, Page};
use patrol_tests::wire::{check, send};
use scraper::Selector;

use super::{PASSWORD, Site};

const SESSION: &str = "__Host-patrol-session";

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Becomes an element wherever it is written as it is, in text and in attributes of either kind.
const HOSTILE: &str = "'\"><xss-probe onclick=alert(1)>";

/// A form as a page has it.
#[derive(Clone, Debug)]
struct Found {
    action: String,
    fields: Vec<(String, String)>,
    /// Those that people write in.
    written: Vec<String>,
}

/// Headers of everything that is shown to people.
#[track_caller]
fn assert_guarded(page: &Page) {
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        assert_eq!(page.answer.header(name), Some(value), "{name}: {page:?}");
    }
    assert_eq!(
        page.answer.header("access-control-allow-origin"),
        None,
        "{page:?}"
    );
    for (_, cookie) in page
        .answer
        .headers
        .iter()
        .filter(|(name, _)| name == "set-cookie")
    {
        let mut parts = cookie.split(';').map(str::trim);
        let name = parts.next().unwrap().split('=').next().unwrap();
        let attributes: BTreeSet<_> = parts.collect();
        assert!(name.starts_with("__Host-"), "{cookie}");
        assert!(
            !attributes.iter().any(|one| one.starts_with("Domain")),
            "{cookie}"
        );
        for needed in ["Secure", "SameSite=Lax", "Path=/"] {
            assert!(attributes.contains(needed), "{needed}: {cookie}");
        }
        if name == SESSION || name == "__Host-patrol-visit" {
            assert!(attributes.contains("HttpOnly"), "{cookie}");
        }
    }
    // No code and no looks of its own: the policy would not let them pass.
    if page
        .answer
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("text/html"))
    {
        for inline in [
            "script:not([src])",
            "style",
            "[style]",
            "base",
            "iframe",
            "object",
            "embed",
        ] {
            assert_eq!(
                page.attributes(inline, "class").len() + page.texts(inline).len(),
                0,
                "{inline}: {page:?}"
            );
        }
        for (selector, attribute) in [
            ("[src]", "src"),
            ("link[href]", "href"),
            ("form[action]", "action"),
        ] {
            for address in page.attributes(selector, attribute) {
                let own = address.starts_with('/') && !address.starts_with("//");
                assert!(
                    own || address.starts_with("data:") || address.starts_with('?'),
                    "{address}: {page:?}"
                );
            }
        }
        let handlers = Selector::parse("*").unwrap();
        for element in page.html().select(&handlers) {
            let handler = element.value().attrs().find(|(name, _)| name.starts_with("on"));
            assert_eq!(handler, None, "{}: {page:?}", element.html());
        }
    }
}

/// All pages that links lead to, from the first one on; of those that differ only in the query, a few.
fn walk(browser: &mut Browser) -> Vec<Page> {
    let mut ahead = VecDeque::from(["/ui/".to_owned()]);
    let mut known: BTreeSet<String> = ahead.iter().cloned().collect();
    let mut of_path: BTreeMap<String, usize> = BTreeMap::new();
    let mut pages = Vec::new();
    while let Some(path) = ahead.pop_front() {
        let page = browser.get(&path);
        for href in page.attributes("a[href]", "href") {
            let href = href.split('#').next().unwrap_or_default();
            let base = page.path.split('?').next().unwrap_or_default();
            let href = if href.starts_with('?') {
                format!("{base}{href}")
            } else {
                href.to_owned()
            };
            let bare = href.split('?').next().unwrap_or_default().to_owned();
            if !bare.starts_with("/ui/") || known.contains(&href) {
                continue;
            }
            let count = of_path.entry(bare).or_default();
            *count += 1;
            if *count <= 4 {
                known.insert(href.clone());
                ahead.push_back(href);
            }
        }
        pages.push(page);
        assert!(pages.len() < 400, "the pages have no end: {known:?}");
    }
    pages
}

/// All forms of these pages that change something, each once.
fn forms(pages: &[Page]) -> Vec<Found> {
    let form = Selector::parse("form[method=post]").unwrap();
    let field = Selector::parse("input[name], select[name], textarea[name]").unwrap();
    let option = Selector::parse("option").unwrap();
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    for page in pages {
        for form in page.html().select(&form) {
            let own = page.path.split('?').next().unwrap_or_default();
            let action = form.value().attr("action").unwrap_or(own).to_owned();
            let mut fields = Vec::new();
            let mut written = Vec::new();
            for field in form.select(&field) {
                let name = field.value().attr("name").unwrap().to_owned();
                let first = field
                    .select(&option)
                    .next()
                    .and_then(|option| option.value().attr("value"));
                let value = field.value().attr("value").or(first).unwrap_or_default();
                let kind = field.value().attr("type").unwrap_or("text");
                if name != "csrf" && !matches!(kind, "checkbox" | "radio") {
                    written.push(name.clone());
                }
                fields.push((name, value.to_owned()));
            }
            found.entry(action.clone()).or_insert(Found {
                action,
                fields,
                written,
            });
        }
    }
    found.into_values().collect()
}

/// Tokens and a user whose names are attacks, and an administrator who looks at them.
fn hostile_site() -> (Site, Browser) {
    let mut config = Config::default();
    // Many sign in here, from one address.
    config.limits.passwords_per_user = 0;
    config.limits.passwords_per_address = 0;
    let site = Site::with(config);
    let _ = site.issue(site.alice, &format!("mine {HOSTILE}"));
    let _ = site.issue(site.bob, &format!("theirs {HOSTILE}"));
    let browser = site.signed_in("alice");
    (site, browser)
}

#[track_caller]
fn assert_no_probe(page: &Page) {
    assert_eq!(page.texts("xss-probe").len(), 0, "{page:?}");
    assert!(!page.answer.body.contains("<xss-probe"), "{page:?}");
}

#[test]
fn every_page_is_guarded_and_shows_names_as_text() {
    let (site, mut browser) = hostile_site();
    let pages = walk(&mut browser);
    assert!(
        pages
            .iter()
            .any(|page| page.answer.body.contains("&lt;xss-probe")
                || page.answer.body.contains("&#60;xss-probe")),
        "the names are on no page"
    );
    for page in &pages {
        assert_eq!(page.answer.status, 200, "a link leads nowhere: {page:?}");
        assert_guarded(page);
        let kind = page.answer.header("content-type").unwrap();
        // Of a table, no browser makes anything but a file.
        if kind.starts_with("text/html") {
            assert_no_probe(page);
        } else {
            assert!(kind.starts_with("text/csv"), "{kind}");
            assert!(
                page.answer
                    .header("content-disposition")
                    .unwrap()
                    .starts_with("attachment")
            );
        }
    }
    // What is no page, and what nobody may see.
    let mut stranger = site.browser();
    for path in [
        "/ui/nothing",
        "/ui/tokens/nothing",
        "/ui/tokens",
        "/ui/admin/tokens",
        "/ui/sign-in",
        "/",
        "/ui",
    ] {
        assert_guarded(&browser.get_only(path));
        let page = stranger.get_only(path);
        assert_guarded(&page);
    }
    let wrong = browser.post("/ui/tokens/nothing", &[]);
    assert_eq!(wrong.answer.status, 405);
    assert_guarded(&wrong);
    let large = "a".repeat(70_000);
    assert_guarded(&browser.post("/ui/sign-in", &[("user", &large)]));
}

#[test]
fn nothing_is_shown_to_strangers() {
    let (site, mut browser) = hostile_site();
    let pages = walk(&mut browser);
    for page in pages {
        let path = page.path.split('?').next().unwrap_or_default();
        if path == "/ui/sign-in" || path == "/ui/setup" {
            continue;
        }
        let answer = site.browser().get_only(&page.path).answer;
        assert_eq!(answer.status, 303, "{}: {answer:?}", page.path);
        let to = answer.header("location").unwrap();
        assert!(
            to.starts_with("/ui/sign-in") || to.starts_with("/ui/tokens"),
            "{to}"
        );
        // Administrators' pages are theirs.
        if path.starts_with("/ui/admin") {
            assert_eq!(
                site.signed_in("bob").get_only(&page.path).answer.status,
                403,
                "{path}"
            );
        }
    }
}

#[test]
fn forms_are_taken_only_from_the_sessions_own_pages() {
    let (site, mut browser) = hostile_site();
    let forms = forms(&walk(&mut browser));
    assert!(
        forms.iter().any(|form| form.action == "/ui/sign-out"),
        "{forms:?}"
    );
    let others = forms_token(&mut site.signed_in("alice"));
    let own = forms_token(&mut browser);
    let before = site.dump();
    for form in &forms {
        let send = |browser: &Browser, token: Option<&str>, headers: &[(&str, &str)]| {
            let mut browser = browser.clone();
            for (name, value) in headers {
                browser.headers.push(((*name).to_owned(), (*value).to_owned()));
            }
            let fields = form.fields.iter().filter(|(name, _)| name != "csrf");
            let mut fields: Vec<_> = fields
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            fields.extend(token.map(|token| ("csrf", token)));
            browser.post(&form.action, &fields)
        };
        let half = own.get(..20);
        for token in [None, Some(""), Some("AAAA"), half, Some(others.as_str())] {
            let page = send(&browser, token, &[]);
            assert_eq!(page.answer.status, 403, "{token:?}: {form:?}: {page:?}");
        }
        for headers in [
            &[("Sec-Fetch-Site", "cross-site")][..],
            &[("Sec-Fetch-Site", "same-site")],
            &[("Origin", "https://evil.example")],
            &[("Origin", "null")],
        ] {
            let page = send(&browser, Some(&own), headers);
            assert_eq!(page.answer.status, 403, "{headers:?}: {form:?}: {page:?}");
        }
        // Nor is anything done by an address that somebody is led to.
        let query: Vec<_> = form
            .fields
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut led = browser.clone();
        let _ = led.get_only(&format!(
            "{}?{}",
            form.action,
            query.join("&").replace([' ', '<', '>', '"', '\''], "+")
        ));
    }
    assert_eq!(
        patrol_tests::deployment::changed_rows(&before, &site.dump()),
        BTreeMap::new()
    );
}

/// The token of a session's forms.
fn forms_token(browser: &mut Browser) -> String {
    let page = browser.get("/ui/tokens");
    page.attributes("input[name=csrf]", "value").remove(0)
}

#[test]
fn what_is_written_in_any_field_comes_back_as_text() {
    let (site, mut browser) = hostile_site();
    let pages = walk(&mut browser);
    let mut forms = forms(&pages);
    // The one that ends the session last.
    forms.sort_by_key(|form| form.action == "/ui/sign-out");
    for form in forms {
        let mut browser = site.browser();
        browser.sign_in("alice", PASSWORD);
        let token = browser.get("/ui/tokens").attributes("input[name=csrf]", "value");
        let Some(token) = token.first() else {
            // An earlier form has done away with the session's user or method, which is what it is for.
            continue;
        };
        for all in [true, false] {
            for written in &form.written {
                let fields: Vec<_> = form
                    .fields
                    .iter()
                    .map(|(name, value)| match name.as_str() {
                        "csrf" => (name.as_str(), token.as_str()),
                        name if name == written || all => (name, HOSTILE),
                        name => (name, value.as_str()),
                    })
                    .collect();
                let page = browser.post(&form.action, &fields);
                assert!(page.answer.status < 500, "{form:?}: {page:?}");
                assert_guarded(&page);
                assert_no_probe(&page);
                if all {
                    break;
                }
            }
        }
    }
    // Queries are fields as well.
    let mut browser = site.browser();
    browser.sign_in("alice", PASSWORD);
    let names = [
        "name", "owner", "state", "q", "next", "after", "type", "sort", "from", "until", "user",
    ];
    let paths: BTreeSet<_> = pages
        .iter()
        .filter_map(|page| page.path.split('?').next())
        .collect();
    for path in paths {
        for name in names {
            let page = browser.get(&format!(
                "{path}?{name}=%27%22%3E%3Cxss-probe%20onclick%3Dalert(1)%3E"
            ));
            assert!(page.answer.status < 500, "{page:?}");
            assert_no_probe(&page);
        }
    }
    let page = site.browser().sign_in(HOSTILE, HOSTILE);
    assert_eq!(page.answer.status, 401);
    assert_no_probe(&page);
    // All of it is shown again.
    for page in walk(&mut browser) {
        assert_no_probe(&page);
    }
}

#[test]
fn a_session_that_somebody_else_chose_is_none() {
    let site = Site::new();
    let mut browser = site.browser();
    let chosen = "A".repeat(43);
    browser.cookies.insert(SESSION.to_owned(), chosen.clone());
    assert_eq!(browser.get_only("/ui/tokens").answer.status, 303);
    let visit = browser.get("/ui/sign-in");
    let before = browser.cookies.clone();
    browser.submit(&visit, "/ui/sign-in", &[("user", "bob"), ("password", PASSWORD)]);
    let session = browser.cookies[SESSION].clone();
    assert_ne!(session, chosen);
    for value in before.values().chain([&chosen]) {
        let mut attacker = site.browser();
        attacker.cookies.insert(SESSION.to_owned(), value.clone());
        assert_eq!(attacker.get_only("/ui/tokens").answer.status, 303);
    }
    // Signing in again makes another one.
    let mut again = site.browser();
    again.sign_in("bob", PASSWORD);
    assert_ne!(again.cookies[SESSION], session);
    // Two cookies of the name are an attempt to have one of them taken for the other.
    let headers = [("Cookie", format!("{SESSION}={session}; {SESSION}={chosen}"))];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(
        send(site.server, "GET /ui/tokens", &headers, b"").unwrap().status,
        303
    );
}

#[test]
fn the_way_on_after_signing_in_leads_nowhere_else() {
    let site = hostile_site().0;
    for next in [
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example/ui/",
        "https:evil.example",
        "%2f%2fevil.example",
        "/%2f%2fevil.example",
        "/ui/../../evil",
        "/ui//evil.example",
        "/ui/\r\nSet-Cookie: a=b",
        "/ui/\nLocation: //evil.example",
        "\t//evil.example",
        "javascript:alert(1)",
        "data:text/html,hello",
        "/ui@evil.example",
        "/api/v1/pat/login",
    ] {
        let mut browser = site.browser();
        let page = browser.get_only("/ui/sign-in");
        let sent = browser.submit_only(
            &page,
            "/ui/sign-in",
            &[("user", "bob"), ("password", PASSWORD), ("next", next)],
        );
        assert_eq!(sent.answer.header("location"), Some("/ui/tokens"), "{next}");
        assert_eq!(sent.answer.header("refresh"), None);
        // The same for who is signed in, and for what the form holds.
        let escaped: String = next.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let sent = browser.get_only(&format!("/ui/sign-in?next={escaped}"));
        assert_eq!(sent.answer.header("location"), Some("/ui/tokens"), "{next}");
        let page = site.browser().get_only(&format!("/ui/sign-in?next={escaped}"));
        assert_eq!(page.attributes("input[name=next]", "value"), [""], "{next}");
    }
    // What is ours is kept.
    let mut browser = site.browser();
    let page = browser.get("/ui/tokens?a=1");
    let page = browser.submit_only(&page, "/ui/sign-in", &[("user", "bob"), ("password", PASSWORD)]);
    assert_eq!(page.answer.header("location"), Some("/ui/tokens?a=1"));
}

#[test]
fn guessing_passwords_is_slowed_down() {
    let site = Site::new();
    let mut browser = site.browser();
    let slowed = (0..60).find_map(|attempt| {
        let page = browser.sign_in("bob", &format!("guess {attempt}"));
        assert!(matches!(page.answer.status, 401 | 429), "{page:?}");
        (page.answer.status == 429).then_some(page)
    });
    let page = slowed.expect("somebody may guess for ever");
    assert_guarded(&page);
    let wait: u64 = page.answer.header("retry-after").unwrap().parse().unwrap();
    assert!(wait > 0, "{page:?}");
    // Not even with the right one: what was guessed is not told.
    assert_eq!(browser.sign_in("bob", PASSWORD).answer.status, 429);
}

#[test]
fn neither_tokens_nor_sessions_of_the_api_sign_in_here() {
    let site = Site::new();
    let token = site.issue(site.alice, "token");
    let secret = String::from_utf8(token.secret.expose().to_vec()).unwrap();
    let api = String::from_utf8(site.sign_in(&token)).unwrap();
    for credential in [&secret, &api] {
        for (name, value) in [
            ("Cookie", format!("{SESSION}={credential}")),
            ("Authorization", format!("Bearer {credential}")),
            ("Authorization", format!("PAT {credential}")),
            ("X-API-Key", credential.clone()),
        ] {
            for path in ["/ui/tokens", "/ui/admin/tokens"] {
                let answer = send(site.server, &format!("GET {path}"), &[(name, &value)], b"").unwrap();
                assert!(matches!(answer.status, 303 | 404), "{name}: {path}: {answer:?}");
                assert!(!answer.body.contains(credential), "{answer:?}");
            }
        }
    }
    // Nor does a session of the pages open the service.
    let browser = site.signed_in("alice");
    let session = browser.cookies[SESSION].clone();
    for (name, value) in [
        ("Authorization", format!("Bearer {session}")),
        ("Cookie", format!("{SESSION}={session}")),
    ] {
        assert_eq!(check(site.server, &[(name, &value)]).status, 401, "{name}");
    }
}

#[test]
fn what_was_done_is_said_once() {
    const SAID: &str = "[role=status]";
    let site = Site::new();
    let mut bob = site.signed_in("bob");
    let page = bob.get("/ui/security");
    let moved = bob.submit_only(&page, "/ui/security/sessions", &[]);
    let set = moved
        .answer
        .headers
        .iter()
        .find(|(name, _)| name == "set-cookie")
        .unwrap();
    assert_eq!(
        set.1,
        "__Host-patrol-notice=notice-signed-out-elsewhere; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=60"
    );
    // The script follows first, and nobody sees what it reads.
    bob.headers
        .push(("Sec-Fetch-Dest".to_owned(), "empty".to_owned()));
    assert_eq!(bob.get("/ui/security").texts(SAID).len(), 1);
    bob.headers.pop();
    // On the way there it is not said.
    assert_eq!(bob.get_only("/ui/").answer.status, 303);
    assert_eq!(
        bob.get("/ui/security").text(SAID),
        "You are signed out everywhere else."
    );
    assert!(bob.get("/ui/security").texts(SAID).is_empty());
    // Only what is ours to say is said.
    bob.cookies
        .insert("__Host-patrol-notice".to_owned(), "<b>evil</b>".to_owned());
    assert!(!bob.get("/ui/security").answer.body.contains("evil"));
}
