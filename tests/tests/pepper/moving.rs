//! Tokens move as they are used, nobody is logged out, and back goes as easily.

use patrol::service::Origin;
use patrol_policy::types::{Cause, DAY, End, HOUR, MINUTE, RefusalReason, Token};
use patrol_tests::deployment::{
    AUDIENCE, Deployment, START, assert_refused, changed_rows, id, operator, verify,
};

use crate::support::{MOVED, PLAIN, kept, kept_before, pepper, peppered, plain, stored, under};

#[test]
fn a_token_moves_when_it_is_used_and_nothing_of_it_changes_for_its_owner() {
    let it = Deployment::new();
    let [used, signed_in, idle] = ["used", "signed in", "idle"].map(|name| it.issue(it.alice, name));
    let sessions = [&used, &signed_in, &idle].map(|token| it.sign_in(token));
    let before = stored(&it, id(&used));
    assert_eq!((before.scheme, before.digest), plain(used.secret.expose()));
    it.clock.set(START + MINUTE);

    let patrol = peppered(&it);
    assert!(!it.path().join("pepper.key").exists());
    let identity = verify(&patrol, &used).unwrap();
    assert_eq!(identity.token().unwrap().name, "used");
    let opened = patrol.open_session(signed_in.secret.expose(), AUDIENCE, &Origin::default());
    let opened = opened.unwrap().secret.into_bytes();
    // The verdict did not wait for it.
    assert_eq!(kept(&it, &used), plain(used.secret.expose()));
    patrol.flush().unwrap();

    let key = pepper(it.path());
    for token in [&used, &signed_in] {
        assert_eq!(kept(&it, token), under(&key, token.secret.expose()));
    }
    assert_eq!(kept(&it, &idle), plain(idle.secret.expose()));
    let (scheme, digest) = under(&key, used.secret.expose());
    let after = Token {
        scheme,
        digest,
        last_used: Some(START + MINUTE),
        ..before
    };
    assert_eq!(stored(&it, id(&used)), after);
    let event = it.last_event(MOVED);
    assert_eq!(
        (&event["details"]["count"], &event["details"]["scheme"]),
        (&2.into(), &2.into())
    );
    assert_eq!(it.events(MOVED).len(), 1);

    // Under either policy, in either process, with the rows that it had in memory: tokens and sessions go on.
    for host in [&patrol, &*it.patrol] {
        for token in [&used, &signed_in, &idle] {
            verify(host, token).unwrap();
        }
        for session in sessions.iter().chain([&opened]) {
            host.check_session(session, AUDIENCE, &Origin::default()).unwrap();
        }
    }
    patrol.flush().unwrap();
    assert_eq!(kept(&it, &idle).0, 2, "it was used by now");
    assert_eq!(it.events(MOVED).len(), 2);
    let settled = it.dump();
    verify(&patrol, &used).unwrap();
    patrol.flush().unwrap();
    assert_eq!(
        changed_rows(&settled, &it.dump()).keys().collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "what has moved does not move again"
    );
}

#[test]
fn both_secrets_of_an_overlap_move_and_end_as_they_would_have() {
    let it = Deployment::new();
    let old = it.issue(it.alice, "rotated");
    let session = it.sign_in(&old);
    let new = it.patrol.rotate(&operator(), id(&old), HOUR).unwrap();
    let patrol = peppered(&it);
    verify(&patrol, &old).unwrap();
    patrol.flush().unwrap();
    let key = pepper(it.path());
    assert_eq!(kept(&it, &new), under(&key, new.secret.expose()));
    assert_eq!(kept_before(&it, &new), Some(under(&key, old.secret.expose())));

    // One that is rotated under the policy: the secret before is still plain, and moves with the next use.
    let newer = patrol.rotate(&operator(), id(&old), HOUR).unwrap();
    let plain_before = it.issue(it.bob, "plain");
    let rotated = patrol.rotate(&operator(), id(&plain_before), HOUR).unwrap();
    assert_eq!(kept(&it, &rotated), under(&key, rotated.secret.expose()));
    assert_eq!(
        kept_before(&it, &rotated),
        Some(plain(plain_before.secret.expose()))
    );
    verify(&it.patrol, &plain_before).unwrap();
    verify(&patrol, &rotated).unwrap();
    patrol.flush().unwrap();
    let before = kept_before(&it, &rotated);
    assert_eq!(before, Some(under(&key, plain_before.secret.expose())));

    for host in [&patrol, &*it.patrol] {
        for good in [&new, &newer, &plain_before, &rotated] {
            verify(host, good).unwrap();
        }
        assert_refused(verify(host, &old), RefusalReason::WrongSecret);
        assert_refused(
            host.check_session(&session, AUDIENCE, &Origin::default()),
            RefusalReason::Rotated,
        );
    }
    it.clock.set(START + HOUR);
    for host in [&patrol, &*it.patrol] {
        for over in [&new, &plain_before] {
            assert_refused(verify(host, over), RefusalReason::Rotated);
        }
        for good in [&newer, &rotated] {
            verify(host, good).unwrap();
        }
    }
}

#[test]
fn what_is_refused_does_not_move_and_what_ended_while_it_waited_stays_ended() {
    let it = Deployment::new();
    let tokens =
        ["misplaced", "left alone", "revoked", "rotated", "ended"].map(|name| it.issue(it.alice, name));
    let [misplaced, alone, revoked, rotated, ended] = &tokens;
    let patrol = peppered(&it);
    for token in [alone, revoked, rotated, ended] {
        verify(&patrol, token).unwrap();
    }
    // All of them wait to be moved; and then:
    it.patrol.revoke(&operator(), id(revoked)).unwrap();
    let new = it.patrol.rotate(&operator(), id(rotated), HOUR).unwrap();
    let mut transaction = it.patrol.store().begin().unwrap();
    let end = End {
        at: START,
        cause: Cause::Idle,
    };
    transaction.end_token(id(ended), end).unwrap();
    transaction.commit().unwrap();
    let _ = patrol.authenticate(misplaced.secret.expose(), "elsewhere", &Origin::default());
    patrol.flush().unwrap();

    assert_eq!(kept(&it, misplaced), plain(misplaced.secret.expose()));
    assert_eq!(kept(&it, revoked).0, 0);
    assert_eq!(kept(&it, ended).0, 0);
    assert_eq!(stored(&it, id(ended)).ended, Some(end));
    assert_eq!(kept(&it, &new), plain(new.secret.expose()));
    assert_eq!(kept_before(&it, &new), Some(plain(rotated.secret.expose())));
    // The one that was left alone has moved, and ends as it would have.
    assert_eq!(kept(&it, alone), under(&pepper(it.path()), alone.secret.expose()));
    assert_eq!(it.last_event(MOVED)["details"]["count"], 1);
    assert_refused(verify(&patrol, revoked), RefusalReason::Revoked);
    assert_refused(verify(&patrol, ended), RefusalReason::Idle);
    it.clock.set(START + 15 * DAY);
    assert_refused(verify(&patrol, alone), RefusalReason::Idle);
}

#[test]
fn going_back_to_the_built_in_policy_logs_nobody_out() {
    let it = Deployment::new();
    let old = it.issue(it.alice, "from before");
    let patrol = peppered(&it);
    verify(&patrol, &old).unwrap();
    let new = patrol
        .issue(
            &operator(),
            it.alice,
            "peppered from birth",
            START + DAY,
            AUDIENCE,
        )
        .unwrap();
    let session = patrol.open_session(new.secret.expose(), AUDIENCE, &Origin::default());
    let session = session.unwrap().secret.into_bytes();
    drop(patrol);
    let key = pepper(it.path());
    for token in [&old, &new] {
        assert_eq!(kept(&it, token), under(&key, token.secret.expose()));
    }

    let back = it.another();
    for token in [&old, &new] {
        verify(&back, token).unwrap();
    }
    back.check_session(&session, AUDIENCE, &Origin::default())
        .unwrap();
    back.flush().unwrap();
    assert_eq!(kept(&it, &old).0, 2, "the built-in policy moves nothing");
    let rotated = back.rotate(&operator(), id(&old), HOUR).unwrap();
    assert_eq!(kept(&it, &rotated), plain(rotated.secret.expose()));
    assert_eq!(kept_before(&it, &rotated), Some(under(&key, old.secret.expose())));
    for token in [&old, &rotated] {
        verify(&back, token).unwrap();
    }
    let fresh = back
        .issue(&operator(), it.bob, "plain", START + DAY, AUDIENCE)
        .unwrap();
    assert_eq!(kept(&it, &fresh).0, PLAIN);
    back.revoke(&operator(), id(&new)).unwrap();
    assert_refused(verify(&it.patrol, &new), RefusalReason::Revoked);
}
