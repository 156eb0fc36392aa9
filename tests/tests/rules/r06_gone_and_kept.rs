//! R6: an expired PAT cannot authenticate and is gone from the list; its record stays until the retention ends, without
//! its hash.

use patrol_policy::types::{Cause, DAY, RefusalReason};
use patrol_tests::deployment::{Deployment, START, assert_refused, id, operator, person};

const RETENTION: u64 = 90 * DAY;

#[test]
fn r6_an_expired_token_is_gone_from_the_owners_list_swept_or_not() {
    let it = Deployment::new();
    let token = it.issue_until(it.alice, "short", START + DAY);
    let lasting = it.issue(it.alice, "lasting");
    let names = || {
        let listed = it.patrol.list_tokens(&person(it.alice), it.alice).unwrap();
        listed.into_iter().map(|one| one.row.name).collect::<Vec<_>>()
    };
    it.clock.set(START + DAY - 1);
    assert_eq!(names(), ["short", "lasting"]);
    it.clock.set(START + DAY);
    assert_eq!(names(), ["lasting"]);
    assert_refused(it.verify(&token), RefusalReason::Expired);
    it.patrol.sweep().unwrap();
    assert_eq!(names(), ["lasting"]);
    assert_refused(it.verify(&token), RefusalReason::Expired);
    it.verify(&lasting).unwrap();

    // Administrators still see it, with when and why it ended.
    let reviewed = it.patrol.show_token(id(&token)).unwrap();
    assert!(!reviewed.outlook.live);
    assert_eq!(
        (reviewed.outlook.ends.at, reviewed.outlook.ends.cause),
        (START + DAY, Cause::ExpirationDate)
    );
}

#[test]
fn r6_the_sweep_erases_the_hash_of_what_has_ended_and_says_so_in_one_event() {
    let it = Deployment::new();
    let expired = it.issue_until(it.alice, "expired", START + DAY);
    let idle = it.issue(it.alice, "idle");
    let lives = it.issue(it.alice, "lives");
    it.clock.set(START + 10 * DAY);
    it.verify(&lives).unwrap();
    it.clock.set(START + 15 * DAY);
    let swept = it.patrol.sweep().unwrap();
    assert_eq!((swept.ended, swept.forgotten), (2, 0));
    it.assert_event("sweep_personal_access_tokens", "success", None);
    assert_eq!(
        it.last_event("sweep_personal_access_tokens")["details"]["ended"],
        2
    );

    let usable = |id: patrol_policy::types::Id| -> bool {
        let key = id.to_bytes();
        let query =
            "SELECT digest IS NOT NULL OR scheme <> 0 OR previous_digest IS NOT NULL FROM token WHERE id = ?";
        it.raw()
            .query_row(query, [key.as_slice()], |row| row.get(0))
            .unwrap()
    };
    assert!(!usable(id(&expired)) && !usable(id(&idle)) && usable(id(&lives)));
    // Swept late, they ended when they ended.
    let outlook = |token| it.patrol.show_token(id(token)).unwrap().outlook;
    assert_eq!(outlook(&expired).ends.at, START + DAY);
    assert_eq!(outlook(&idle).ends.at, START + 15 * DAY);

    // Nothing to do is nothing to tell.
    it.patrol.sweep().unwrap();
    assert_eq!(it.events("sweep_personal_access_tokens").len(), 1);
}

#[test]
fn r6_a_record_stays_for_90_days_after_the_end_and_is_forgotten_then() {
    let it = Deployment::new();
    let token = it.issue_until(it.alice, "one", START + DAY);
    let end = START + DAY;
    it.clock.set(end);
    it.patrol.sweep().unwrap();
    it.clock.set(end + RETENTION - 1);
    assert_eq!(it.patrol.sweep().unwrap().forgotten, 0);
    assert_eq!(it.patrol.show_token(id(&token)).unwrap().row.name, "one");
    assert_refused(it.verify(&token), RefusalReason::Expired);

    it.clock.set(end + RETENTION);
    assert_eq!(it.patrol.sweep().unwrap().forgotten, 1);
    assert!(it.patrol.show_token(id(&token)).is_err());
    assert_refused(it.verify(&token), RefusalReason::Unknown);
    // The audit trail remembers.
    let created = it.last_event("create_personal_access_token");
    assert_eq!(created["patId"], id(&token).to_string());
}

#[test]
fn r6_a_revoked_token_is_kept_as_long_as_an_expired_one() {
    let it = Deployment::new();
    let token = it.issue(it.alice, "one");
    it.clock.set(START + DAY);
    it.patrol.revoke(&operator(), id(&token)).unwrap();
    it.clock.set(START + DAY + RETENTION - 1);
    it.patrol.sweep().unwrap();
    assert_eq!(
        it.patrol.show_token(id(&token)).unwrap().outlook.ends.cause,
        Cause::Revoked
    );
    it.clock.set(START + DAY + RETENTION);
    it.patrol.sweep().unwrap();
    assert!(it.patrol.show_token(id(&token)).is_err());
}
