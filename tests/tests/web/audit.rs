//! Administrators and their tenant's part of the audit trail.

use patrol::service::{Caller, Origin};
use patrol_policy::types::DAY;
use patrol_tests::deployment::id;

use super::{PASSWORD, Site};

const TRAIL: &str = "/ui/admin/audit";
const EVIL: &str = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'";

#[test]
fn events_are_listed_newest_first_filtered_and_linked() {
    let site = Site::new();
    let token = site.issue(site.bob, "ci");
    site.clock.advance(2 * DAY);
    let mut alice = site.signed_in("alice");
    site.patrol.revoke(&Caller::operator(None), id(&token)).unwrap();
    let page = alice.get(TRAIL);
    assert_eq!(page.answer.status, 200, "{page:?}");
    let types = page.texts("tbody th");
    assert_eq!(types[0], "revoke_personal_access_token", "{types:?}");
    assert_eq!(types[1], "web_login");
    assert!(types.contains(&"create_tenant".to_owned()));

    for (query, expected) in [
        ("type=create_user", 2),
        ("type=create_user&user=bob", 1),
        (&format!("type=create_user&user={}", site.bob), 1),
        ("outcome=refused", 0),
        ("user=nobody", 0),
        // The clock stands at 15 January 2027, 08:00 UTC, when it starts.
        ("type=web_login&from=2027-01-17&until=2027-01-17", 1),
        ("type=web_login&until=2027-01-16", 0),
        ("type=create_user&from=2027-01-16", 0),
        ("from=yesterday", 0),
    ] {
        let page = alice.get(&format!("{TRAIL}?{query}"));
        assert_eq!(page.answer.status, 200, "{query}");
        assert_eq!(
            page.texts("tbody tr").len(),
            expected,
            "{query}: {:?}",
            page.texts("tbody tr")
        );
    }
    assert!(
        !alice
            .get(&format!("{TRAIL}?user=nobody"))
            .text("[role=alert]")
            .is_empty()
    );

    let event = page.attributes("tbody td a", "href").remove(0);
    let page = alice.get(&event);
    assert_eq!(page.text("h1"), "revoke_personal_access_token");
    let values = page.texts("dd");
    assert!(values.contains(&"ci".to_owned()), "{values:?}");
    assert!(values.contains(&site.bob.to_string()));
    assert_eq!(alice.get_only(&format!("{TRAIL}/x")).answer.status, 404);
    assert_eq!(alice.get_only(&format!("{TRAIL}/999999")).answer.status, 404);
}

#[test]
fn pages_go_back_without_gaps() {
    let site = Site::new();
    for number in 0..130 {
        if number % 40 == 0 {
            site.clock.advance(DAY / 3);
        }
        let _ = site.issue(
            if number % 2 == 0 { site.bob } else { site.alice },
            &format!("t{number}"),
        );
    }
    let mut alice = site.signed_in("alice");
    for (query, whole) in [
        ("type=create_personal_access_token", 130),
        ("type=create_personal_access_token&user=bob", 65),
    ] {
        let mut path = format!("{TRAIL}?{query}");
        let mut seen = Vec::new();
        for _ in 0..10 {
            let page = alice.get(&path);
            seen.extend(page.attributes("tbody td a", "href"));
            let next = page.attributes("a[rel=next]", "href");
            let Some(next) = next.first() else { break };
            path = next.clone();
        }
        let mut numbers: Vec<u64> = seen
            .iter()
            .map(|path| path.rsplit('/').next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(numbers.len(), whole);
        assert!(numbers.is_sorted_by(|a, b| a > b));
        numbers.dedup();
        assert_eq!(numbers.len(), whole);
    }
}

#[test]
fn events_of_others_are_not_there() {
    let site = Site::new();
    let operator = Caller::operator(None);
    let mut alice = site.signed_in("alice");
    site.patrol
        .create_tenant(&operator, "other", "password", false)
        .unwrap();
    let theirs = site.patrol.audit_head().unwrap().seq;
    let page = alice.get(TRAIL);
    assert_eq!(alice.get_only(&format!("{TRAIL}/{theirs}")).answer.status, 404);
    assert!(
        !page
            .attributes("tbody td a", "href")
            .contains(&format!("{TRAIL}/{theirs}"))
    );
    // A cursor may lie there all the same.
    let page = alice.get(&format!("{TRAIL}?before={theirs}"));
    assert!(page.texts("tbody tr").len() > 2);
}

#[test]
fn what_clients_say_of_themselves_is_text() {
    let site = Site::new();
    let operator = Caller {
        name: Some(EVIL.to_owned()),
        origin: Origin {
            user_agent: Some(EVIL.to_owned()),
            url: Some(EVIL.to_owned()),
            ..Origin::default()
        },
        ..Caller::operator(None)
    };
    let expires = site.patrol.now() + DAY;
    site.patrol
        .issue(&operator, site.bob, EVIL, expires, "api")
        .unwrap();
    let mut alice = site.signed_in("alice");
    let page = alice.get(&format!("{TRAIL}?type=create_personal_access_token"));
    let event = page.attributes("tbody td a", "href").remove(0);
    let searched = alice.get(&format!(
        "{TRAIL}?type=%3Cscript%3Ealert(1)&user=%22%3E%3Cimg%20src%3Dx%3E"
    ));
    let shown = alice.get(&event);
    assert!(
        shown.texts("dd").iter().filter(|value| *value == EVIL).count() >= 3,
        "{shown:?}"
    );
    for page in [page, shown, searched] {
        assert_eq!(page.answer.status, 200);
        assert!(
            !page.answer.body.contains("<script>alert") && !page.answer.body.contains("<img"),
            "{page:?}"
        );
    }
}

#[test]
fn the_chain_is_verified_on_demand_and_says_where_it_is_broken() {
    let site = Site::new();
    let mut alice = site.signed_in("alice");
    let page = alice.get(TRAIL);
    let page = alice.submit(&page, TRAIL, &[]);
    let head = site.patrol.audit_head().unwrap().seq;
    assert!(
        page.text("#chain .notice")
            .starts_with(&format!("The chain is whole up to event {head}.")),
        "{page:?}"
    );

    rusqlite::Connection::open(site.path().join("patrol.db"))
        .unwrap()
        .execute(
            "UPDATE audit SET body = replace(body, 'bob', 'eve') WHERE seq = 3",
            [],
        )
        .unwrap();
    let page = alice.submit(&page, TRAIL, &[]);
    let said = page.text("#chain .notice.error");
    assert!(said.starts_with("The chain is broken at event 3: "), "{said}");
    // Without the form's token, and for those who may not, nothing is begun.
    assert_eq!(alice.post(TRAIL, &[]).answer.status, 403);
}

#[test]
fn refusals_say_why() {
    let site = Site::new();
    site.browser().sign_in("bob", "wrong password");
    site.patrol.flush().unwrap();
    let mut alice = site.signed_in("alice");
    let page = alice.get(&format!("{TRAIL}?outcome=refused"));
    assert_eq!(page.texts("tbody tr").len(), 1, "{page:?}");
    assert!(!page.answer.body.contains(PASSWORD));
    assert_eq!(
        alice
            .get(&format!("{TRAIL}?outcome=unauthorized"))
            .texts("tbody tr")
            .len(),
        1
    );
}
