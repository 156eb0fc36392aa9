//! Tokens that end within 7 days.

use patrol::service::{NoticeChannel, NoticeReader, ServeLock};
use patrol_policy::types::DAY;
use patrol_tests::deployment::{START, id, operator};

use super::receiver::{Answer, Receiver};
use super::support::{send_webhooks, telling};

#[test]
fn a_token_is_told_of_when_it_expires_within_seven_days_and_once() {
    let receiver = Receiver::new(Answer::Status(204));
    let deployment = telling(&receiver.url());
    let token = deployment.issue_until(deployment.bob, "nightly", START + 10 * DAY);
    deployment.clock.set(START + 2 * DAY);
    deployment.verify(&token).unwrap();
    assert_eq!(send_webhooks(&deployment), 0, "8 days are left");
    deployment.clock.set(START + 3 * DAY);
    assert_eq!(send_webhooks(&deployment), 1);

    let [notice] = receiver.notices().try_into().unwrap();
    assert_eq!(notice["type"], "token.ending");
    assert_eq!(notice["token"]["id"], id(&token).to_string());
    assert_eq!(notice["token"]["name"], "nightly");
    assert_eq!(notice["token"]["lastUsed"], "2027-01-17T08:00:00.000Z");
    assert_eq!(notice["owner"]["name"], "bob");
    assert_eq!(notice["tenant"]["name"], "acme");
    assert_eq!(notice["ends"]["at"], "2027-01-25T08:00:00.000Z");
    assert_eq!(notice["ends"]["cause"], "expiration-date");
    assert!(notice.get("revoked").is_none());

    // Neither time nor use, neither a restart nor another server tells it again.
    for day in 4..12 {
        deployment.clock.set(START + day * DAY);
        let _ = deployment.verify(&token);
        assert_eq!(send_webhooks(&deployment), 0, "day {day}");
    }
    let another = deployment.another();
    assert_eq!(super::support::send_all(&another, NoticeChannel::Webhook), 0);
    assert_eq!(receiver.all().len(), 1);
}

#[test]
fn an_idle_token_is_told_of_and_one_that_was_used_is_not() {
    let receiver = Receiver::new(Answer::Status(200));
    let deployment = telling(&receiver.url());
    let (idle, used) = (
        deployment.issue(deployment.bob, "idle"),
        deployment.issue(deployment.bob, "used"),
    );
    // Of the use nothing is on disk yet.
    deployment.clock.set(START + 9 * DAY);
    deployment.verify(&used).unwrap();
    assert_eq!(send_webhooks(&deployment), 1);
    let notices = receiver.notices();
    assert_eq!(notices[0]["token"]["id"], id(&idle).to_string());
    assert_eq!(notices[0]["ends"]["cause"], "idle");
    assert_eq!(notices[0]["ends"]["at"], "2027-01-30T08:00:00.000Z");
    assert!(notices[0]["token"]["lastUsed"].is_null(), "never");

    // The one that was told is used at last, and later idles again: it is told again once what was told is past.
    deployment.clock.set(START + 10 * DAY);
    deployment.verify(&idle).unwrap();
    deployment.verify(&used).unwrap();
    deployment.patrol.flush().unwrap();
    for day in 10..18 {
        deployment.clock.set(START + day * DAY);
        assert_eq!(send_webhooks(&deployment), 0, "day {day}");
    }
    deployment.clock.set(START + 18 * DAY + 1);
    assert_eq!(send_webhooks(&deployment), 2);
    assert_eq!(send_webhooks(&deployment), 0);
}

#[test]
fn a_token_that_idles_late_is_not_told_twice_before_what_was_told_is_past() {
    let receiver = Receiver::new(Answer::Status(200));
    let deployment = telling(&receiver.url());
    let token = deployment.issue(deployment.bob, "now and then");
    // Used one day after it was told of, each time; the end that was told lies 6 days ahead then.
    deployment.clock.set(START + 8 * DAY);
    assert_eq!(send_webhooks(&deployment), 1);
    deployment.verify(&token).unwrap();
    deployment.patrol.flush().unwrap();
    // 15 days from there: near from day 16 on, and the first end that was told, on day 15, is past.
    deployment.clock.set(START + 15 * DAY);
    assert_eq!(send_webhooks(&deployment), 0);
    deployment.clock.set(START + 16 * DAY);
    assert_eq!(send_webhooks(&deployment), 1);
    assert_eq!(receiver.all().len(), 2);
}

#[test]
fn a_use_after_it_was_found_and_before_it_was_told_keeps_it_from_being_told() {
    let receiver = Receiver::new(Answer::Status(200));
    let deployment = telling(&receiver.url());
    let token = deployment.issue(deployment.bob, "just in time");
    let other = deployment.issue(deployment.bob, "revoked just now");
    deployment.clock.set(START + 9 * DAY);
    let lock = ServeLock::take(deployment.path()).unwrap();
    let mut reader = NoticeReader::new(NoticeChannel::Webhook);
    let found = deployment.patrol.next_notices(&lock, &mut reader, 10).unwrap();
    assert_eq!(found.len(), 2);
    deployment.verify(&token).unwrap();
    deployment.patrol.revoke(&operator(), id(&other)).unwrap();
    for notice in found {
        assert!(
            !deployment
                .patrol
                .take_notice(NoticeChannel::Webhook, &notice)
                .unwrap()
        );
    }
}

#[test]
fn what_has_ended_is_not_about_to() {
    let receiver = Receiver::new(Answer::Status(200));
    let deployment = telling(&receiver.url());
    let soon = START + 3 * DAY;
    let _ = deployment.issue_until(deployment.bob, "lapses", START + DAY);
    let revoked = deployment.issue_until(deployment.bob, "revoked", soon);
    deployment.patrol.revoke(&operator(), id(&revoked)).unwrap();
    let _ = deployment.issue_until(deployment.alice, "of a method that is no more", soon);
    let scope = patrol_policy::types::Scope::Owner(deployment.alice);
    deployment
        .patrol
        .change_auth_method(&operator(), scope, "saml")
        .unwrap();
    deployment.clock.set(START + DAY);
    assert_eq!(send_webhooks(&deployment), 0, "{:?}", receiver.notices());
}

#[test]
fn many_are_told_of_page_by_page() {
    let receiver = Receiver::new(Answer::Status(200));
    let deployment = telling(&receiver.url());
    for number in 0..120 {
        let _ = deployment.issue(deployment.bob, &format!("t{number}"));
    }
    deployment.clock.set(START + 9 * DAY);
    assert_eq!(send_webhooks(&deployment), 120);
    let mut ids: Vec<_> = receiver
        .notices()
        .iter()
        .map(|notice| notice["id"].to_string())
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 120);
}
