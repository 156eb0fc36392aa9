//! The administrators' review of all tokens: filters, order, pages, the file, and revoking.

use patrol::service::{Caller, NewAccount, Origin};
use patrol_policy::types::{DAY, HOUR};
use patrol_tests::deployment::{START, id};
use patrol_tests::web::{Browser, Page};

use super::Site;

const LIST: &str = "/ui/admin/tokens";

fn names(page: &Page) -> Vec<String> {
    page.texts("tbody th bdi")
}

fn list(browser: &mut Browser, query: &str) -> Vec<String> {
    let page = browser.get(&format!("{LIST}?{query}"));
    assert_eq!(page.answer.status, 200, "{page:?}");
    names(&page)
}

/// A body that came in chunks, in one piece; it has to have come to its end.
fn in_one_piece(file: &Page) -> String {
    assert_eq!(file.answer.header("transfer-encoding"), Some("chunked"));
    let mut whole = String::new();
    let mut rest = file.answer.body.as_str();
    loop {
        let (size, after) = rest.split_once("\r\n").unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return whole;
        }
        whole += &after[..size];
        rest = &after[size + 2..];
    }
}

/// Three live tokens and one that was revoked.
fn populated() -> Site {
    let site = Site::new();
    for (owner, name, days) in [
        (site.alice, "nightly-backup", 90),
        (site.bob, "Deploy", 20),
        (site.bob, "ci", 90),
        (site.bob, "revoked", 90),
    ] {
        let token = site.issue_until(owner, name, START + days * DAY);
        if name == "revoked" {
            site.patrol.revoke(&Caller::operator(None), id(&token)).unwrap();
        }
        site.clock.advance(1_000);
    }
    site
}

#[test]
fn only_administrators_review_and_only_their_own_organisation() {
    let site = populated();
    let operator = Caller::operator(None);
    site.patrol
        .create_tenant(&operator, "other", "password", false)
        .unwrap();
    let account = NewAccount {
        name: "mallory".to_owned(),
        email: None,
        roles: vec![],
    };
    let mallory = site.patrol.create_user(&operator, "other", &account).unwrap().id;
    let foreign = id(&site.issue(mallory, "elsewhere"));

    let mut bob = site.signed_in("bob");
    for path in [
        LIST.to_owned(),
        format!("{LIST}.csv"),
        format!("{LIST}/revoke?id={foreign}"),
        format!("{LIST}/revoke-all?user={mallory}"),
    ] {
        assert_eq!(bob.get(&path).answer.status, 403, "{path}");
        assert_eq!(
            site.browser().get(&path).path.split('?').next(),
            Some("/ui/sign-in")
        );
    }

    let mut alice = site.signed_in("alice");
    assert!(!list(&mut alice, "state=all").contains(&"elsewhere".to_owned()));
    assert_eq!(
        alice.get(&format!("{LIST}/revoke?id={foreign}")).answer.status,
        404
    );
    assert_eq!(
        alice.get(&format!("{LIST}/revoke?id=nonsense")).answer.status,
        404
    );
    assert_eq!(
        alice
            .get(&format!("{LIST}/revoke-all?user={mallory}"))
            .answer
            .status,
        404
    );
    assert_eq!(alice.get(&format!("{LIST}?owner=mallory")).answer.status, 422);
    assert_eq!(alice.get(&format!("{LIST}?owner={mallory}")).answer.status, 422);
    // Not by a form of her own page either; and nothing else of the selection goes.
    let mine = id(&site.issue(site.alice, "mine"));
    let page = alice.get(&format!("{LIST}/revoke?id={mine}"));
    let csrf = page
        .attributes("form[method=post] input[name=csrf]", "value")
        .remove(0);
    let sent = alice.post(
        &format!("{LIST}/revoke"),
        &[
            ("csrf", &csrf),
            ("id", &mine.to_string()),
            ("id", &foreign.to_string()),
        ],
    );
    assert_eq!(sent.answer.status, 404);
    let sent = alice.post(
        &format!("{LIST}/revoke-all"),
        &[("csrf", &csrf), ("user", &mallory.to_string())],
    );
    assert_eq!(sent.answer.status, 404);
    let sent = alice.post(&format!("{LIST}/revoke"), &[("id", &mine.to_string())]);
    assert_eq!(sent.answer.status, 403, "without the form's token");
    assert!(site.patrol.show_token(mine).unwrap().outlook.live);
    assert!(site.patrol.show_token(foreign).unwrap().outlook.live);
}

#[test]
fn tokens_are_filtered_and_sorted() {
    let site = populated();
    let used = site.issue(site.alice, "used");
    let origin = Origin {
        address: Some("192.0.2.9".parse().unwrap()),
        ..Origin::default()
    };
    site.patrol
        .authenticate(used.secret.expose(), patrol_tests::deployment::AUDIENCE, &origin)
        .unwrap();
    let mut browser = site.signed_in("alice");
    // The newest first.
    let live = ["used", "ci", "Deploy", "nightly-backup"];
    assert_eq!(list(&mut browser, ""), live);
    for (query, expected) in [
        (
            "sort=name&order=asc",
            &["ci", "Deploy", "nightly-backup", "used"][..],
        ),
        (
            "sort=name&order=desc",
            &["used", "nightly-backup", "Deploy", "ci"],
        ),
        (
            "sort=created&order=asc",
            &["nightly-backup", "Deploy", "ci", "used"],
        ),
        (
            "sort=used&order=desc",
            &["used", "ci", "Deploy", "nightly-backup"],
        ),
        ("sort=used&order=asc", &["nightly-backup", "Deploy", "ci", "used"]),
        (
            "state=all&sort=name",
            &["ci", "Deploy", "nightly-backup", "revoked", "used"],
        ),
        ("state=ended", &["revoked"]),
        ("state=revoked", &["revoked"]),
        ("state=idle", &[]),
        ("owner=bob", &["ci", "Deploy"]),
        ("owner=BOB", &[]),
        ("name=DEP", &["Deploy"]),
        ("used=never", &["ci", "Deploy", "nightly-backup"]),
        ("since=2027-01-15", &["used"]),
        ("unused=2027-01-16&name=u", &["used", "nightly-backup"]),
        ("unused=2027-01-15&name=u", &["nightly-backup"]),
        ("ends=2027-01-20", &[]),
        ("ends=2027-02-01&owner=bob", &["ci", "Deploy"]),
    ] {
        if query == "owner=BOB" {
            assert_eq!(browser.get(&format!("{LIST}?{query}")).answer.status, 422);
            continue;
        }
        assert_eq!(list(&mut browser, query), expected, "{query}");
    }
    assert_eq!(
        list(&mut browser, &format!("owner={}", site.bob)),
        ["ci", "Deploy"]
    );
    for wrong in ["ends=yesterday", "since=2027-02-30", "after=AAAA", "unused=%FF"] {
        let page = browser.get(&format!("{LIST}?{wrong}"));
        assert!(
            matches!(page.answer.status, 400 | 422),
            "{wrong}: {}",
            page.answer.status
        );
    }

    let page = browser.get(&format!("{LIST}?sort=name&order=asc&owner=bob&name=%3Cb%3E"));
    assert_eq!(page.attributes("th[aria-sort]", "aria-sort"), ["ascending"]);
    assert_eq!(page.text("th[aria-sort] a"), "Name ↑");
    let active = page.texts("#active a.badge");
    assert_eq!(active.len(), 2, "{active:?}");
    assert!(active[1].contains("<b>"), "it is shown as text: {active:?}");
    assert_eq!(
        page.attributes("#active a.badge", "href")[1],
        format!("{LIST}?owner=bob&sort=name&order=asc")
    );
}

#[test]
fn pages_follow_one_another_and_belong_to_their_filter() {
    let site = Site::new();
    for number in 0..101 {
        let owner = if number < 51 { site.alice } else { site.bob };
        site.clock.advance(1);
        drop(site.issue(owner, &format!("token-{number:03}")));
    }
    let mut browser = site.signed_in("alice");
    let mut found = Vec::new();
    let mut page = browser.get(&format!("{LIST}?sort=name&order=asc"));
    assert!(!page.answer.body.contains("To the beginning"));
    let mut second = String::new();
    for _ in 0..3 {
        found.extend(names(&page));
        let Some(next) = page.attributes("nav.pager a[rel=next]", "href").pop() else {
            break;
        };
        second.clone_from(&next);
        page = browser.get(&next);
        assert!(page.answer.body.contains("To the beginning"));
    }
    let expected: Vec<_> = (0..101).map(|number| format!("token-{number:03}")).collect();
    assert_eq!(found, expected);
    let other = second.replace("sort=name", "sort=used");
    assert_eq!(
        browser.get(&other).answer.status,
        422,
        "a page of another listing"
    );
}

#[test]
fn the_file_has_all_that_the_filter_lets_through_and_no_formulas() {
    let site = populated();
    for name in ["=1+1", "@sum", "+2", "-3", "comma, \"quoted\""] {
        drop(site.issue(site.bob, name));
    }
    let mut browser = site.signed_in("alice");
    let page = browser.get(&format!("{LIST}?owner=bob&sort=name&order=asc"));
    let link = page.attributes("a[download]", "href").remove(0);
    assert_eq!(link, format!("{LIST}.csv?owner=bob&sort=name&order=asc"));
    let file = browser.get(&link);
    assert_eq!(file.answer.status, 200);
    assert!(
        file.answer
            .header("content-type")
            .unwrap()
            .starts_with("text/csv")
    );
    assert_eq!(
        file.answer.header("content-disposition"),
        Some("attachment; filename=\"personal-access-tokens.csv\"")
    );
    assert!(file.answer.header("cache-control").unwrap().contains("no-store"));
    let text = &in_one_piece(&file);
    assert!(
        text.starts_with("id,name,owner,owner_email,owner_id,audience,state,created,"),
        "{text}"
    );
    assert_eq!(text.matches("\r\n").count(), 8, "{text}");
    for quoted in [
        ",'=1+1,",
        ",'@sum,",
        ",'+2,",
        ",'-3,",
        ",\"comma, \"\"quoted\"\"\",",
    ] {
        assert!(text.contains(quoted), "{quoted}: {text}");
    }
    assert!(
        !text.contains("nightly-backup") && !text.contains("revoked"),
        "{text}"
    );
    assert_eq!(
        browser.get(&format!("{LIST}.csv?owner=nobody")).answer.status,
        400
    );
}

#[test]
fn a_selection_is_revoked_after_a_look_at_what_goes() {
    let site = populated();
    let [first, second] = ["first", "second"].map(|name| site.issue(site.bob, name));
    let session = site.sign_in(&first);
    site.clock.advance(HOUR);
    let mut browser = site.signed_in("alice");
    let (one, two) = (id(&first).to_string(), id(&second).to_string());
    let page = browser.get(&format!("{LIST}?name=s"));
    assert_eq!(page.attributes("input[type=checkbox]", "value").len(), 2);
    let page = browser.get(&format!("{LIST}/revoke?back=owner%3Dbob&id={one}&id={two}"));
    assert_eq!(
        page.text("#effect"),
        "2 tokens would be revoked. They belong to 1 user. 1 session would end with them."
    );
    assert_eq!(names(&page), ["first", "second"]);
    assert!(site.check(&session).is_ok(), "nothing has happened");

    // One goes meanwhile.
    site.patrol.revoke(&Caller::operator(None), id(&second)).unwrap();
    let ids: Vec<_> = page.fields(&format!("{LIST}/revoke"));
    let fields: Vec<_> = ids
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let done = browser.post(&format!("{LIST}/revoke"), &fields);
    assert_eq!(done.answer.status, 200, "{done:?}");
    assert_eq!(done.text("[role=status]"), "1 token was revoked.");
    assert_eq!(done.texts("tbody th bdi"), ["second"], "it says which was not");
    assert!(
        done.attributes("a.button", "href")
            .contains(&format!("{LIST}?owner=bob"))
    );
    assert!(site.check(&session).is_err());
    // Again: nothing is left.
    let page = browser.get(&format!("{LIST}/revoke?id={one}"));
    assert!(page.answer.body.contains("nothing to revoke"), "{page:?}");
    assert_eq!(browser.get(&format!("{LIST}/revoke")).answer.status, 422);
}

#[test]
fn the_events_of_a_selection_have_one_trace() {
    let site = populated();
    let mut browser = site.signed_in("alice");
    let page = browser.get(LIST);
    let ids = page.attributes("input[type=checkbox]", "value");
    assert_eq!(ids.len(), 3);
    let query: Vec<_> = ids.iter().map(|id| format!("id={id}")).collect();
    let page = browser.get(&format!("{LIST}/revoke?{}", query.join("&")));
    let fields = page.fields(&format!("{LIST}/revoke"));
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let done = browser.post(&format!("{LIST}/revoke"), &fields);
    assert_eq!(done.text("[role=status]"), "3 tokens were revoked.");
    let mut events = site.events("revoke_personal_access_token");
    let before = events.remove(0)["traceUuid"].clone();
    assert_eq!(events.len(), 3);
    for event in &events {
        assert_eq!(event["traceUuid"], events[0]["traceUuid"]);
        assert_ne!(event["traceUuid"], before);
        assert_eq!(event["initiatingUserId"], site.alice.to_string());
    }
    assert_eq!(list(&mut browser, ""), Vec::<String>::new());
}

#[test]
fn all_of_a_user_go_at_once() {
    let site = populated();
    let mut browser = site.signed_in("alice");
    let page = browser.get(&format!("{LIST}?owner=bob"));
    let link = page
        .attributes("a.button.danger[href*=revoke-all]", "href")
        .remove(0);
    let page = browser.get(&link);
    assert_eq!(
        page.text("#effect"),
        "2 tokens would be revoked. They belong to 1 user. 0 sessions would end with them."
    );
    let done = browser.submit(&page, &format!("{LIST}/revoke-all"), &[]);
    assert_eq!(done.text("[role=status]"), "2 tokens were revoked.");
    assert_eq!(list(&mut browser, ""), ["nightly-backup"]);
}
