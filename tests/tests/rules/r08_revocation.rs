//! R8: refused from the moment of the revocation, sessions too, and never back.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use patrol::service::{Caller, NewToken, Origin};
use patrol_policy::types::{DAY, Id, RefusalReason};
use patrol_tests::deployment::{Deployment, LIFETIME, START, assert_refused, id, operator, person, verify};

const EVENT: &str = "revoke_personal_access_token";

#[test]
fn r8_the_owner_an_administrator_and_the_token_itself_may_revoke_and_nobody_else() {
    let it = Deployment::new();
    let revoke = |caller: &Caller, token: &NewToken| it.patrol.revoke(caller, id(token));
    let token = it.issue(it.alice, "contested");
    let another = it.issue(it.alice, "another");
    let by_token = |token: &NewToken| Caller::token(id(token), Origin::default());

    assert_refused(revoke(&person(it.bob), &token), RefusalReason::NotPermitted);
    it.assert_event(EVENT, "client_error", Some("not-permitted"));
    // Not even another token of the same owner (R12).
    assert_refused(revoke(&by_token(&another), &token), RefusalReason::NotPermitted);
    it.assert_event(EVENT, "unauthorized", Some("not-permitted"));
    it.verify(&token).unwrap();

    for (n, caller) in [person(it.alice), operator(), by_token(&another)]
        .iter()
        .enumerate()
    {
        let token = match n {
            2 => &another,
            n => &it.issue(it.alice, &format!("revoked {n}")),
        };
        revoke(caller, token).unwrap();
        let event = it.last_event(EVENT);
        assert_eq!(event["eventOutcome"], "success");
        assert_eq!(event["patId"], id(token).to_string());
        assert_eq!(event["patUserId"], it.alice.to_string());
        assert_refused(it.verify(token), RefusalReason::Revoked);
    }
}

#[test]
fn r8_sessions_are_refused_with_their_token_at_once_by_every_host() {
    let it = Deployment::new();
    let other = it.another();
    let token = it.issue(it.alice, "one");
    let (session, second) = (it.sign_in(&token), it.sign_in(&token));
    // In the caches of both.
    let check = |session: &[u8]| other.check_session(session, "api", &Origin::default());
    it.check(&session).unwrap();
    check(&session).unwrap();
    verify(&other, &token).unwrap();

    it.patrol.revoke(&person(it.alice), id(&token)).unwrap();
    for session in [&session, &second] {
        assert_refused(it.check(session), RefusalReason::Revoked);
        assert_refused(check(session), RefusalReason::Revoked);
    }
    assert_refused(verify(&other, &token), RefusalReason::Revoked);
    let sign_in = it
        .patrol
        .open_session(token.secret.expose(), "api", &Origin::default());
    assert_refused(sign_in, RefusalReason::Revoked);
}

#[test]
fn r8_a_revoked_token_never_comes_back() {
    let it = Deployment::new();
    let token = it.issue(it.alice, "one");
    it.patrol.revoke(&operator(), id(&token)).unwrap();
    let still_revoked = || assert_refused(it.verify(&token), RefusalReason::Revoked);

    let again = it.patrol.revoke(&operator(), id(&token));
    assert_refused(again, RefusalReason::Revoked);
    it.assert_event(EVENT, "client_error", Some("revoked"));
    let rotated = it.patrol.rotate(&operator(), id(&token), 0);
    assert_refused(rotated, RefusalReason::Revoked);
    still_revoked();
    // Its name is free, and the new token another one.
    let namesake = it.issue(it.alice, "one");
    assert_ne!(id(&namesake), id(&token));
    it.verify(&namesake).unwrap();
    still_revoked();
    // Nor by a clock that is put back, a sweep, or a new start.
    it.clock.set(START - DAY);
    still_revoked();
    it.clock.set(START + DAY);
    it.patrol.sweep().unwrap();
    still_revoked();
    assert_refused(verify(&it.another(), &token), RefusalReason::Revoked);
    // By the time its record is forgotten it is unknown.
    it.clock.set(START + LIFETIME);
    it.patrol.sweep().unwrap();
    assert_refused(it.verify(&token), RefusalReason::Unknown);
}

#[test]
fn r8_what_is_not_there_cannot_be_revoked() {
    let it = Deployment::new();
    let nothing = it.patrol.revoke(&operator(), Id::from_u128(5));
    assert_refused(nothing, RefusalReason::NoSuchToken);
    it.assert_event(EVENT, "client_error", Some("no-such-token"));
}

#[test]
fn r8_all_tokens_of_an_owner_can_be_revoked_together() {
    let it = Deployment::new();
    let tokens = ["a", "b", "c"].map(|name| it.issue(it.alice, name));
    let of_bob = it.issue(it.bob, "a");
    let session = it.sign_in(&tokens[0]);
    assert_refused(
        it.patrol.revoke_all(&person(it.bob), it.alice),
        RefusalReason::NotPermitted,
    );
    const EVENT: &str = "batch_revoke_personal_access_token";
    it.assert_event(EVENT, "client_error", Some("not-permitted"));
    assert_eq!(it.patrol.revoke_all(&person(it.alice), it.alice).unwrap(), 3);
    let event = it.last_event(EVENT);
    assert_eq!(event["patUserId"], it.alice.to_string());
    assert_eq!(event["details"]["count"], 3);
    for token in &tokens {
        assert_refused(it.verify(token), RefusalReason::Revoked);
    }
    assert_refused(it.check(&session), RefusalReason::Revoked);
    it.verify(&of_bob).unwrap();
}

#[test]
fn r8_no_verification_that_begins_after_the_revocation_is_acknowledged_succeeds() {
    let it = Deployment::new();
    for n in 0..10 {
        let token = it.issue(it.alice, &format!("token {n}"));
        none_begun_after_the_change_succeeds(&it, &token, || {
            it.patrol.revoke(&operator(), id(&token)).unwrap();
        });
    }
}

/// Verifies a token without pause, on two hosts, by PAT and by session, while `change` takes place: what begins after
/// it returned must be refused.
pub fn none_begun_after_the_change_succeeds(it: &Deployment, token: &NewToken, change: impl FnOnce()) {
    let other = it.another();
    let session = it.sign_in(token);
    let (acknowledged, over) = (AtomicBool::new(false), AtomicBool::new(false));
    let (before, after, let_in) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for reader in 0..4 {
            let (acknowledged, over, before, after, let_in) =
                (&acknowledged, &over, &before, &after, &let_in);
            let patrol = if reader % 2 == 0 { &*it.patrol } else { &other };
            let session = &session;
            scope.spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    let late = acknowledged.load(Ordering::SeqCst);
                    let verdict = match reader {
                        0 | 1 => verify(patrol, token),
                        _ => patrol.check_session(session, "api", &Origin::default()),
                    };
                    if late && verdict.is_ok() {
                        let_in.fetch_add(1, Ordering::SeqCst);
                    }
                    if late { after } else { before }.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let wait = |counter: &AtomicUsize| {
            while counter.load(Ordering::SeqCst) < 20 {
                std::thread::yield_now();
            }
        };
        wait(&before);
        change();
        acknowledged.store(true, Ordering::SeqCst);
        wait(&after);
        over.store(true, Ordering::SeqCst);
    });
    assert_eq!(let_in.into_inner(), 0, "let in after the acknowledgement");
}
