//! A person's own tokens: the list, *Create Token*, *Revoke Token*, rotation, and what has ended.

use patrol::config::Config;
use patrol::service::{Caller, Origin};
use patrol_policy::types::{Actor, ActorRole, DAY, HOUR, Id, MINUTE};
use patrol_tests::web::{Browser, Page};

use super::Site;

const NEW: &str = "/ui/tokens/new";
const LIST: &str = "/ui/tokens";

/// Asks for a token with the form as it comes.
fn create(browser: &mut Browser, name: &str) -> Page {
    let form = browser.get(NEW);
    browser.submit_only(&form, NEW, &[("name", name)])
}

/// The secret that a page shows.
#[track_caller]
fn secret(page: &Page) -> String {
    assert_eq!(page.answer.status, 200, "{page:?}");
    assert_eq!(page.answer.header("cache-control"), Some("no-store"));
    page.text("textarea.secret[readonly]")
}

fn accepted(site: &Site, secret: &str) -> bool {
    site.patrol
        .authenticate(secret.as_bytes(), "api", &Origin::default())
        .is_ok()
}

fn id_of(page: &Page, name: &str) -> Id {
    let html = page.attributes("tbody tr", "id");
    let names = page.texts("tbody th bdi");
    let place = names.iter().position(|known| known == name).unwrap();
    html[place].strip_prefix("token-").unwrap().parse().unwrap()
}

#[test]
fn a_token_is_created_used_rotated_and_revoked() {
    let site = Site::new();
    let mut browser = site.signed_in("bob");
    let page = browser.get(LIST);
    assert_eq!(page.text(".heading .hint"), "0 of 104 used");
    assert!(page.text(".empty").starts_with("You have no tokens yet"));

    let made = create(&mut browser, "  nightly-backup ");
    let first = secret(&made);
    assert_eq!(made.text("h1"), "Your new token");
    assert!(accepted(&site, &first));

    site.clock.advance(HOUR);
    let mut browser = site.signed_in("bob");
    let page = browser.get(LIST);
    assert!(!page.answer.body.contains(&first));
    assert_eq!(page.text(".heading .hint"), "1 of 104 used");
    assert_eq!(page.text("tbody th"), "nightly-backup");
    assert_eq!(page.text(".badge"), "Active");
    assert_eq!(page.text("td[data-label='Last used'] time"), "1 hour ago");
    // Used an hour ago, it idles out 15 days after that; its date, 30 days away, ends with that day.
    let ends = page.text("td[data-label=Ends]");
    assert_eq!(ends, "idle in 14 daysexpires on 14 Feb 2027");
    let dates = page.attributes("td[data-label=Ends] time", "datetime");
    assert_eq!(dates, ["2027-01-30T08:00:00.000Z", "2027-02-14T23:59:59.999Z"]);

    let id = id_of(&page, "nightly-backup");
    let action = format!("/ui/tokens/{id}/rotate");
    let form = browser.get(&action);
    let overlaps = form.texts(".choice");
    assert_eq!(overlaps, ["Not at all", "1 hour", "1 day", "7 days"]);
    let hour = HOUR.to_string();
    let rotated = browser.submit_only(&form, &action, &[("overlap", &hour)]);
    let second = secret(&rotated);
    assert_ne!(first, second);
    assert!(accepted(&site, &first) && accepted(&site, &second));
    let page = browser.get(LIST);
    assert!(
        page.text("td[data-label=State]")
            .contains("the old secret works until")
    );
    site.clock.advance(HOUR);
    assert!(!accepted(&site, &first) && accepted(&site, &second));
    let mut browser = site.signed_in("bob");

    let action = format!("/ui/tokens/{id}/revoke");
    let form = browser.get(&action);
    assert_eq!(form.text("h1"), "Delete");
    assert!(form.text(".dialog").contains("nightly-backup"));
    assert!(form.text("dl").contains("less than a minute ago"), "{form:?}");
    let page = browser.submit(&form, &action, &[]);
    assert_eq!(page.path, LIST);
    assert_eq!(page.text("[role=status]"), "The token is revoked.");
    assert!(page.texts("tbody tr").is_empty());
    assert!(!accepted(&site, &second));

    let page = browser.get("/ui/history");
    assert_eq!(page.text("tbody th"), "nightly-backup");
    assert_eq!(page.text("tbody .badge"), "Revoked");
}

#[test]
fn a_form_makes_one_token_however_often_it_is_sent() {
    let site = Site::new();
    let mut browser = site.signed_in("bob");
    let form = browser.get(NEW);
    let made = browser.submit_only(&form, NEW, &[("name", "once")]);
    let shown = secret(&made);
    // Loaded again, and from a tab that was restored.
    for name in ["once", "another"] {
        let again = browser.submit_only(&form, NEW, &[("name", name)]);
        assert_eq!(again.answer.status, 409);
        assert_eq!(again.text("h1"), "This form was used already");
        assert_eq!(again.text("strong"), "once");
        assert!(!again.answer.body.contains(&shown));
    }
    let list = browser.get(LIST);
    assert_eq!(list.texts("tbody tr").len(), 1);
    let action = format!("/ui/tokens/{}/rotate", id_of(&list, "once"));

    let form = browser.get(&action);
    let other = browser.get(&action);
    let rotated = secret(&browser.submit_only(&form, &action, &[("overlap", "0")]));
    for form in [form, other] {
        let again = browser.submit_only(&form, &action, &[("overlap", "0")]);
        assert_eq!(again.answer.status, 409);
        assert_eq!(again.text("strong"), "once");
        assert!(!again.answer.body.contains(&rotated));
    }
    assert!(accepted(&site, &rotated));
}

#[test]
fn two_clicks_make_one_token() {
    let site = Site::new();
    let mut browser = site.signed_in("bob");
    let form = browser.get(NEW);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let clicks: Vec<_> = (0..4)
            .map(|_| {
                let (mut browser, form) = (browser.clone(), form.clone());
                scope.spawn(move || browser.submit_only(&form, NEW, &[("name", "twice")]).answer)
            })
            .collect();
        clicks.into_iter().map(|click| click.join().unwrap()).collect()
    });
    let made = answers.iter().filter(|answer| answer.status == 200).count();
    let used = answers.iter().filter(|answer| answer.status == 409).count();
    assert_eq!((made, used), (1, 3), "{answers:?}");
    assert_eq!(browser.get(LIST).texts("tbody tr").len(), 1);
}

#[test]
fn what_is_wrong_is_said_beside_its_field() {
    let site = Site::new();
    let mut browser = site.signed_in("bob");
    drop(secret(&create(&mut browser, "taken")));
    let long = "x".repeat(256);
    let on = |day| [("lifetime", "date"), ("expires", day)];
    for (name, lifetime, status, field, message) in [
        ("taken", vec![], 409, "name", "You have a token of this name"),
        ("", vec![], 422, "name", "A name has 1 to 255 characters"),
        ("a\u{7}b", vec![], 422, "name", "A name has 1 to 255 characters"),
        (&long, vec![], 422, "name", "A name has 1 to 255 characters"),
        (
            "new",
            on("2027-01-14").to_vec(),
            422,
            "expires",
            "This date is in the past",
        ),
        (
            "new",
            on("2029-01-14").to_vec(),
            422,
            "expires",
            "Choose 2028-01-15 or earlier",
        ),
        ("new", on("").to_vec(), 422, "expires", "Choose a date"),
        ("new", on("tomorrow").to_vec(), 422, "expires", "Choose a date"),
        ("new", vec![("lifetime", "8")], 422, "expires", "Choose a date"),
    ] {
        let form = browser.get(NEW);
        let mut fields = vec![("name", name)];
        fields.extend(&lifetime);
        let page = browser.submit_only(&form, NEW, &fields);
        assert_eq!(page.answer.status, status, "{name} {lifetime:?}");
        let invalid = format!("input#{field}[aria-invalid=true][autofocus]");
        let described = page.attributes(&invalid, "aria-describedby");
        assert_eq!(described.len(), 1, "{name} {lifetime:?}: {}", page.answer.body);
        let error = described[0].split(' ').find(|id| id.ends_with("-error")).unwrap();
        let said = page.text(&format!("#{error}"));
        assert!(said.contains(message), "{said}");
        // What was filled in is still there, and the form can be sent again.
        assert_eq!(page.attributes("input#name", "value"), [name]);
        if let Some((_, day)) = lifetime.get(1) {
            assert_eq!(page.attributes("input#expires", "value"), [*day]);
            assert_eq!(
                page.attributes("input[name=lifetime][checked]", "value"),
                ["date"]
            );
        }
        let unique = format!("{status}-{}-{field}", message.len());
        let fields = [("name", unique.as_str()), ("lifetime", "7")];
        let made = browser.submit_only(&page, NEW, &fields);
        if made.answer.status != 409 {
            drop(secret(&made));
        }
    }
}

#[test]
fn as_many_as_allowed_and_no_more() {
    let mut config = Config::default();
    config.policy.tokens_per_owner = 3;
    let site = Site::with(config);
    let mut browser = site.signed_in("bob");
    for name in ["a", "b", "c"] {
        drop(secret(&create(&mut browser, name)));
    }
    let form = browser.get(NEW);
    assert!(form.text(".notice.warn").starts_with("You have 3 tokens"));
    let page = browser.submit_only(&form, NEW, &[("name", "d")]);
    assert_eq!(page.answer.status, 409);
    assert!(page.text("[role=alert]").contains("as many as allowed"));
    assert_eq!(page.attributes("input#name", "value"), ["d"]);
    assert_eq!(browser.get(LIST).text(".heading .hint"), "3 of 3 used");

    // Room is made in another tab, and the form does its work.
    let list = browser.get(LIST);
    let action = format!("/ui/tokens/{}/revoke", id_of(&list, "a"));
    let dialog = browser.get(&action);
    drop(browser.submit(&dialog, &action, &[]));
    drop(secret(&browser.submit_only(&page, NEW, &[("name", "d")])));
}

#[test]
fn a_lifetime_is_a_day_in_utc() {
    let site = Site::new();
    let mut browser = site.signed_in("bob");
    let form = browser.get(NEW);
    assert_eq!(form.attributes("input#expires", "min"), ["2027-01-15"]);
    assert_eq!(form.attributes("input#expires", "max"), ["2028-01-15"]);
    for (name, fields, ends) in [
        ("a", vec![("lifetime", "7")], "2027-01-22T23:59:59.999Z"),
        ("b", vec![("lifetime", "max")], "2028-01-16T07:59:59.999Z"),
        (
            "c",
            vec![("lifetime", "date"), ("expires", "2027-01-31")],
            "2027-01-31T23:59:59.999Z",
        ),
        (
            "d",
            vec![("lifetime", "date"), ("expires", "2028-01-15")],
            "2028-01-15T23:59:59.999Z",
        ),
    ] {
        let form = browser.get(NEW);
        let mut all = vec![("name", name)];
        all.extend(fields);
        let page = browser.submit_only(&form, NEW, &all);
        drop(secret(&page));
        assert_eq!(page.attributes("dl time", "datetime"), [ends]);
    }
}

#[test]
fn a_token_that_is_about_to_end_is_marked() {
    let site = Site::new();
    let mut browser = site.signed_in("bob");
    let _ = site.issue_until(site.bob, "short", site.patrol.now() + 2 * DAY);
    let _ = site.issue(site.bob, "unused");
    let marks = |browser: &mut Browser| {
        // They were created at the same instant: either comes first.
        let mut marks = browser.get(LIST).texts(".badge");
        marks.sort();
        marks
    };
    assert_eq!(marks(&mut browser), ["Active", "Ends soon"]);
    site.clock.advance(12 * DAY);
    let mut browser = site.signed_in("bob");
    assert_eq!(marks(&mut browser), ["About to idle out"]);
    let ends = browser.get(LIST).text("td[data-label=Ends]");
    assert!(ends.starts_with("idle in 3 days"), "{ends}");

    let page = browser.get("/ui/history");
    assert_eq!(page.text("tbody th"), "short");
    assert_eq!(page.text("tbody .badge"), "Expiration date");
}

#[test]
fn what_has_ended_elsewhere_is_no_mistake() {
    let site = Site::new();
    let mut browser = site.signed_in("bob");
    let made = site.issue(site.bob, "gone");
    let id = made.row.state.token.id;
    let pages: Vec<_> = ["revoke", "rotate"]
        .into_iter()
        .map(|what| {
            let path = format!("/ui/tokens/{id}/{what}");
            (browser.get(&path), path)
        })
        .collect();
    site.patrol.revoke(&Caller::operator(None), id).unwrap();
    for (form, path) in pages {
        for page in [browser.submit(&form, &path, &[]), browser.get(&path)] {
            assert_eq!((page.path.as_str(), page.answer.status), (LIST, 200));
            assert!(page.text("[role=status]").contains("ended already"));
        }
    }
}

#[test]
fn tokens_of_others_are_not_there() {
    let site = Site::new();
    let mut browser = site.signed_in("bob");
    let own = site.issue(site.bob, "own").row.state.token.id;
    let other = site.issue(site.alice, "alices").row.state.token.id;
    for what in ["revoke", "rotate"] {
        let form = browser.get(&format!("/ui/tokens/{own}/{what}"));
        let csrf = form.attributes("main input[name=csrf]", "value");
        for path in [
            format!("/ui/tokens/{other}/{what}"),
            format!("/ui/tokens/{}/{what}", Id::from_bytes([7; 16])),
            format!("/ui/tokens/nonsense/{what}"),
        ] {
            let page = browser.get(&path);
            assert_eq!(page.answer.status, 404, "{path}");
            assert!(!page.answer.body.contains("alices"));
            let fields = [("csrf", csrf[0].as_str()), ("overlap", "0")];
            assert_eq!(browser.post(&path, &fields).answer.status, 404, "{path}");
        }
    }
    assert!(!browser.get(LIST).answer.body.contains("alices"));
    assert!(site.patrol.show_token(other).unwrap().outlook.live);
}

#[test]
fn names_are_text_wherever_they_stand() {
    const NAME: &str = "<img src=x onerror=alert(1)>\"'&amp;{{7*7}}</textarea><script>";
    let site = Site::new();
    let mut browser = site.signed_in("bob");
    let form = browser.get(NEW);
    let made = browser.submit_only(&form, NEW, &[("name", NAME)]);
    drop(secret(&made));
    let used = browser.submit_only(&form, NEW, &[("name", NAME)]);
    let taken = create(&mut browser, NAME);
    assert_eq!(taken.attributes("input#name", "value"), [NAME]);
    let list = browser.get(LIST);
    assert_eq!(list.text("tbody th"), NAME);
    let id = id_of(&list, NAME);
    let revoke = browser.get(&format!("/ui/tokens/{id}/revoke"));
    assert_eq!(revoke.text("strong"), NAME);
    let rotate = browser.get(&format!("/ui/tokens/{id}/rotate"));
    let done = browser.submit(&revoke, &format!("/ui/tokens/{id}/revoke"), &[]);
    let history = browser.get("/ui/history");
    assert_eq!(history.text("tbody th"), NAME);
    for page in [made, used, taken, list, revoke, rotate, done, history] {
        assert!(page.texts("main img, main script").is_empty(), "{page:?}");
        assert!(!page.answer.body.contains("<img"), "{page:?}");
    }
}

#[test]
fn who_is_signed_out_meanwhile_signs_in_and_comes_back() {
    let site = Site::new();
    let mut browser = site.signed_in("bob");
    let form = browser.get(NEW);
    site.clock.advance(31 * MINUTE);
    let page = browser.submit(&form, NEW, &[("name", "late")]);
    assert_eq!(page.path, "/ui/sign-in?next=%2Fui%2Ftokens%2Fnew");
    let fields = [("user", "bob"), ("password", super::PASSWORD)];
    let page = browser.submit(&page, "/ui/sign-in", &fields);
    assert_eq!(page.path, NEW);
    // The form of the session before is of no use.
    let stale = browser.submit_only(&form, NEW, &[("name", "late")]);
    assert_eq!(stale.answer.status, 403);
    drop(secret(&browser.submit_only(&page, NEW, &[("name", "late")])));
}

#[test]
fn forms_without_their_marks_change_nothing() {
    let site = Site::new();
    let mut browser = site.signed_in("bob");
    let form = browser.get(NEW);
    for (missing, status) in [("csrf", 403), ("once", 422)] {
        let page = browser.submit_only(&form, NEW, &[("name", "x"), (missing, "")]);
        assert_eq!(page.answer.status, status);
    }
    let id = site.issue(site.bob, "own").row.state.token.id;
    let path = format!("/ui/tokens/{id}/rotate");
    let form = browser.get(&path);
    for overlap in ["", "soon", "-1", "604800001"] {
        let page = browser.submit_only(&form, &path, &[("overlap", overlap)]);
        assert_eq!(page.answer.status, 422, "{overlap}");
        assert_eq!(page.text("[role=alert]"), "Choose one of these.");
    }
    assert_eq!(browser.get(LIST).texts("tbody tr").len(), 1);
}

#[test]
fn history_comes_in_pages_and_ends_with_the_retention() {
    let site = Site::new();
    let operator = Caller::operator(None);
    for number in 0..60 {
        let made = site.issue(site.bob, &format!("t{number}"));
        // Two at a time, so that a page ends between tokens of one instant.
        site.clock.advance(number % 2);
        site.patrol.revoke(&operator, made.row.state.token.id).unwrap();
    }
    let _ = site.issue(site.alice, "alices");
    let mut browser = site.signed_in("bob");
    let first = browser.get("/ui/history");
    let mut names = first.texts("tbody th");
    assert_eq!(names.len(), 50);
    let next = first.attributes("a[rel=next]", "href");
    let second = browser.get(&next[0]);
    assert!(second.attributes("a[rel=next]", "href").is_empty());
    names.extend(second.texts("tbody th"));
    let all = names.iter().collect::<std::collections::BTreeSet<_>>();
    assert_eq!((names.len(), all.len()), (60, 60));

    site.clock.advance(90 * DAY);
    let mut browser = site.signed_in("bob");
    assert!(browser.get("/ui/history").texts("tbody th").is_empty());

    // The service itself hands out nobody else's.
    let actor = |role| Caller {
        actor: Actor { role, id: site.bob },
        ..Caller::operator(None)
    };
    for (role, owner) in [
        (ActorRole::User, site.alice),
        (ActorRole::Token, site.bob),
        (ActorRole::System, site.bob),
    ] {
        assert!(site.patrol.ended_tokens(&actor(role), owner, None, 9).is_err());
    }
}

#[test]
fn a_change_of_method_and_idleness_are_told_apart() {
    let site = Site::new();
    let _ = site.issue(site.alice, "idle");
    site.clock.advance(16 * DAY);
    let _ = site.issue(site.alice, "method");
    let operator = Caller::operator(None);
    let scope = patrol_policy::types::Scope::Owner(site.alice);
    for method in ["saml", "password"] {
        site.patrol.change_auth_method(&operator, scope, method).unwrap();
    }
    let mut browser = site.signed_in("alice");
    assert!(browser.get(LIST).texts("tbody tr").is_empty());
    let page = browser.get("/ui/history");
    let mut rows: Vec<_> = page
        .texts("tbody th")
        .into_iter()
        .zip(page.texts("tbody .badge"))
        .collect();
    rows.sort();
    let owned = |name: &str, why: &str| (name.to_owned(), why.to_owned());
    assert_eq!(
        rows,
        [
            owned("idle", "Not used for too long"),
            owned("method", "Authentication method changed")
        ]
    );
}

#[test]
fn a_first_view_weighs_little_with_all_tokens() {
    let site = Site::new();
    for number in 0..104 {
        let _ = site.issue(site.bob, &format!("token-number-{number}"));
    }
    let mut browser = site.signed_in("bob");
    let page = browser.get(NEW);
    let mut weight = page.answer.body.len();
    let assets = [
        page.attributes("link[rel]", "href"),
        page.attributes("script", "src"),
    ];
    for path in assets.concat() {
        let asset = browser.get(&path);
        assert_eq!(asset.answer.status, 200, "{path}");
        weight += asset.answer.body.len();
    }
    assert!(weight < 60 * 1024, "{weight} bytes");
    let list = browser.get(LIST);
    assert_eq!(list.texts("tbody tr").len(), 104);
    assert_eq!(list.text(".heading .hint"), "104 of 104 used");
}

#[test]
fn a_full_list_is_light_and_what_shows_the_request_is_not_compressed() {
    let site = Site::new();
    for number in 0..104 {
        let _ = site.issue(site.bob, &format!("token number {number}"));
    }
    let mut browser = site.signed_in("bob");
    let encoding = |page: &Page| page.answer.header("content-encoding").map(ToOwned::to_owned);
    let plain = browser.get("/ui/tokens");
    assert_eq!(encoding(&plain), None);
    assert_eq!(plain.texts("tbody tr").len(), 104);
    browser
        .headers
        .push(("Accept-Encoding".to_owned(), "gzip".to_owned()));
    let mut weight = 0;
    let assets = [
        plain.attributes("link[rel=stylesheet]", "href"),
        plain.attributes("script", "src"),
    ];
    for path in assets.concat().iter().map(String::as_str).chain(["/ui/tokens"]) {
        let page = browser.get_only(path);
        assert_eq!(encoding(&page).as_deref(), Some("gzip"), "{path}");
        // As text with what is no text replaced: more than there was.
        weight += page.answer.body.len();
    }
    assert!(weight < 60_000, "{weight} bytes");
    for path in ["/ui/tokens?x=1", "/ui/history?after=x"] {
        assert_eq!(encoding(&browser.get_only(path)), None, "{path}");
    }
    let form = plain.fields("/ui/sign-out").remove(0).1;
    let made = browser.post("/ui/tokens/new", &[("csrf", &form), ("name", "one more")]);
    assert_eq!(encoding(&made), None);
}
