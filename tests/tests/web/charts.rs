//! What administrators see first.

use patrol_policy::types::{DAY, HOUR, MINUTE};

use super::Site;

/// The numbers of a chart, by their row.
fn numbers(page: &patrol_tests::web::Page, chart: usize) -> Vec<Vec<String>> {
    let table = format!("figure:nth-of-type({chart}) tbody tr");
    let rows = page.texts(&table).len();
    (1..=rows)
        .map(|row| page.texts(&format!("{table}:nth-child({row}) > *")))
        .collect()
}

#[test]
fn charts_answer_what_ends_what_is_used_and_who_signs_in() {
    let site = Site::new();
    let now = site.patrol.now();
    // Expires within two weeks, before it would idle out.
    let used = site.issue_until(site.bob, "soon", now + 9 * DAY);
    // Idle out in the third week.
    let _ = site.issue(site.bob, "idle");
    let old = site.issue(site.alice, "old");
    site.verify(&old).unwrap();
    site.clock.advance(8 * DAY);
    site.verify(&used).unwrap();
    site.browser().sign_in("bob", "wrong password");
    let mut alice = site.signed_in("alice");
    site.patrol.flush().unwrap();
    let page = alice.get("/ui/admin");
    assert_eq!(page.answer.status, 200, "{page:?}");
    assert_eq!(
        page.texts(".numbers dd"),
        ["3", "1", "1", "1"],
        "live, used, quiet, never"
    );

    let ending = numbers(&page, 1);
    assert_eq!(ending.len(), 12);
    assert_eq!(ending[0][1..], ["1", "0"], "{ending:?}");
    assert_eq!(ending[1][1..], ["0", "2"], "{ending:?}");
    let used = numbers(&page, 2);
    assert_eq!(used[0][1], "1");
    let days = numbers(&page, 3);
    assert_eq!(days.len(), 30);
    assert_eq!(days[29][1..], ["1", "1"], "{days:?}");
    let reasons = numbers(&page, 4);
    assert_eq!(reasons.len(), 1);
    assert_eq!(reasons[0][1], "1");

    // Each is a picture with a name and a description.
    let pictures = page.attributes("figure .picture svg[role=img]", "aria-labelledby");
    assert_eq!(pictures.len(), 4);
    for ids in pictures {
        for id in ids.split(' ') {
            assert!(!page.text(&format!("#{id}")).is_empty());
        }
    }
    assert!(!page.answer.body.contains("style="));
}

#[test]
fn counts_are_kept_for_a_minute_and_are_of_the_tenant_alone() {
    let site = Site::new();
    let operator = patrol::service::Caller::operator(None);
    let mut alice = site.signed_in("alice");
    assert_eq!(alice.get("/ui/admin").texts(".numbers dd")[0], "0");
    let other = site
        .patrol
        .create_tenant(&operator, "other", "password", false)
        .unwrap();
    let account = patrol::service::NewAccount {
        name: "mallory".to_owned(),
        ..Default::default()
    };
    let mallory = site
        .patrol
        .create_user(&operator, &other.id.to_string(), &account)
        .unwrap();
    let _ = site.issue(mallory.id, "theirs");
    let _ = site.issue(site.bob, "ours");
    assert_eq!(alice.get("/ui/admin").texts(".numbers dd")[0], "0");
    site.clock.advance(2 * MINUTE);
    // Whoever comes first sees the last counts, and has new ones made.
    alice.get("/ui/admin");
    let counted = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        alice.get("/ui/admin").texts(".numbers dd")[0] == "1"
    });
    assert!(counted);
    site.clock.advance(HOUR / 4);
}
