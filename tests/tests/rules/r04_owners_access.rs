//! R4: a PAT and its sessions have exactly their owner's access, read when it is used.

use patrol_policy::types::{DAY, RefusalReason};
use patrol_tests::deployment::{AUDIENCE, Deployment, assert_refused, operator, user, verify};

#[test]
fn r4_a_demoted_owner_is_demoted_with_the_next_use_of_pat_and_session() {
    let it = Deployment::new();
    let other = it.another();
    let token = it.issue(it.alice, "one");
    let session = it.sign_in(&token);
    assert_eq!(it.verify(&token).unwrap().roles(), ["admin"]);
    assert_eq!(it.check(&session).unwrap().roles(), ["admin"]);
    assert_eq!(verify(&other, &token).unwrap().roles(), ["admin"]);

    for roles in [vec![], vec!["auditor".to_owned(), "viewer".to_owned()]] {
        it.patrol.set_roles(&operator(), &user(it.alice), &roles).unwrap();
        assert_eq!(it.verify(&token).unwrap().roles(), roles);
        assert_eq!(it.check(&session).unwrap().roles(), roles);
        // Another process has no roles of its own to remember either.
        assert_eq!(verify(&other, &token).unwrap().roles(), roles);
    }
    it.assert_event("set_user_roles", "success", None);
}

#[test]
fn r4_a_disabled_owners_pats_and_sessions_stop_at_once_and_rest_until_enabled() {
    let it = Deployment::new();
    let token = it.issue(it.alice, "one");
    let of_bob = it.issue(it.bob, "one");
    let session = it.sign_in(&token);

    it.patrol
        .set_enabled(&operator(), &user(it.alice), false)
        .unwrap();
    it.assert_event("disable_user", "success", None);
    assert_refused(it.verify(&token), RefusalReason::OwnerDisabled);
    it.assert_event(
        "verify_personal_access_token",
        "unauthorized",
        Some("owner-disabled"),
    );
    assert_refused(it.check(&session), RefusalReason::OwnerDisabled);
    it.assert_event("verify_session", "unauthorized", Some("owner-disabled"));
    assert_refused(
        it.patrol
            .issue(&operator(), it.alice, "two", it.patrol.now() + DAY, AUDIENCE),
        RefusalReason::OwnerDisabled,
    );
    // Nobody else is.
    it.verify(&of_bob).unwrap();

    it.patrol.set_enabled(&operator(), &user(it.alice), true).unwrap();
    it.assert_event("enable_user", "success", None);
    it.verify(&token).unwrap();
    it.check(&session).unwrap();
}

#[test]
fn r4_a_deleted_owners_pats_and_sessions_stop_at_once_for_good() {
    let it = Deployment::new();
    let other = it.another();
    let token = it.issue(it.alice, "one");
    let session = it.sign_in(&token);
    verify(&other, &token).unwrap();

    it.patrol.delete_user(&operator(), &user(it.alice)).unwrap();
    it.assert_event("delete_user", "success", None);
    assert_refused(it.verify(&token), RefusalReason::OwnerDeleted);
    assert_refused(verify(&other, &token), RefusalReason::OwnerDeleted);
    assert_refused(it.check(&session), RefusalReason::OwnerDeleted);

    // Not even for another person with the same name.
    let account = patrol::service::NewAccount {
        name: "alice".to_owned(),
        ..Default::default()
    };
    let namesake = it.patrol.create_user(&operator(), "acme", &account).unwrap();
    assert_ne!(namesake.id, it.alice);
    assert_refused(it.verify(&token), RefusalReason::OwnerDeleted);
    assert!(it.patrol.set_enabled(&operator(), &user(it.alice), true).is_err());
    assert_refused(it.verify(&token), RefusalReason::OwnerDeleted);
}

#[test]
fn r4_no_verification_that_begins_after_the_owner_is_disabled_succeeds() {
    let it = Deployment::new();
    let token = it.issue(it.alice, "one");
    for _ in 0..5 {
        crate::r08_revocation::none_begun_after_the_change_succeeds(&it, &token, || {
            it.patrol
                .set_enabled(&operator(), &user(it.alice), false)
                .unwrap();
        });
        it.patrol.set_enabled(&operator(), &user(it.alice), true).unwrap();
    }
}
