//! R3: the presented hash is compared with the stored one; a match starts an authenticated session.

use std::sync::atomic::{AtomicBool, Ordering};

use patrol::service::Origin;
use patrol_policy::token::{Kind, compose};
use patrol_policy::types::{Cause, HOUR, Id, MINUTE, RefusalReason};
use patrol_tests::deployment::{AUDIENCE, Deployment, START, assert_refused, id};
use patrol_tests::needles::secret_bytes;

const VERIFIED: &str = "verify_personal_access_token";
const LOGIN: &str = "login_with_personal_access_token";

#[test]
fn r3_only_the_secret_itself_lets_in() {
    let it = Deployment::new();
    let token = it.issue(it.alice, "one");
    let present = |text: &[u8]| it.patrol.authenticate(text, AUDIENCE, &Origin::default());
    assert_eq!(
        present(token.secret.expose())
            .unwrap()
            .token()
            .unwrap()
            .state
            .token
            .id,
        id(&token)
    );

    // One bit of 256, with the identifier and the checksum right.
    for bit in [0, 7, 128, 255] {
        let mut bytes = secret_bytes(token.secret.expose());
        bytes[bit / 8] ^= 1 << (bit % 8);
        let near = compose(Kind::Pat, id(&token), &bytes);
        assert_refused(present(near.expose()), RefusalReason::WrongSecret);
    }
    it.assert_event(VERIFIED, "unauthorized", Some("wrong-secret"));
    assert_eq!(it.last_event(VERIFIED)["patId"], id(&token).to_string());

    // Another token's secret.
    let other = it.issue(it.alice, "other");
    let crossed = compose(Kind::Pat, id(&token), &secret_bytes(other.secret.expose()));
    assert_refused(present(crossed.expose()), RefusalReason::WrongSecret);
}

#[test]
fn r3_what_is_no_token_is_refused_with_the_reason_in_the_audit_trail() {
    let it = Deployment::new();
    let token = it.issue(it.alice, "one");
    let present = |text: &[u8]| it.patrol.authenticate(text, AUDIENCE, &Origin::default());

    let mut mistyped = token.secret.expose().to_vec();
    mistyped[50] = if mistyped[50] == b'a' { b'b' } else { b'a' };
    assert_refused(present(&mistyped), RefusalReason::BadChecksum);
    it.assert_event(VERIFIED, "unauthorized", Some("bad-checksum"));

    for text in [
        &b""[..],
        b"x",
        b"patrol_pat_",
        &token.secret.expose()[..82],
        &[0xff; 83],
    ] {
        assert_refused(present(text), RefusalReason::Malformed);
    }
    it.assert_event(VERIFIED, "unauthorized", Some("malformed"));

    let invented = compose(Kind::Pat, Id::from_u128(77), &[1; 32]);
    assert_refused(present(invented.expose()), RefusalReason::Unknown);
    it.assert_event(VERIFIED, "unauthorized", Some("unknown"));

    // A session is no PAT, and a PAT no session.
    let session = it.sign_in(&token);
    assert_refused(present(&session), RefusalReason::Malformed);
    assert_refused(it.check(token.secret.expose()), RefusalReason::Malformed);
}

#[test]
fn r3_each_refused_attempt_is_in_the_audit_trail_once_whoever_flushes() {
    const ATTEMPTS: usize = 400;
    let it = Deployment::new();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    it.patrol.flush().unwrap();
                }
            });
        }
        for _ in 0..ATTEMPTS {
            let refused = it.patrol.authenticate(b"nonsense", AUDIENCE, &Origin::default());
            assert_refused(refused, RefusalReason::Malformed);
        }
        over.store(true, Ordering::SeqCst);
    });
    assert_eq!(it.events(VERIFIED).len(), ATTEMPTS);
}

#[test]
fn r3_a_match_starts_a_session_that_is_the_owners() {
    let it = Deployment::new();
    let token = it.issue(it.alice, "one");
    let signed_in = it
        .patrol
        .open_session(token.secret.expose(), AUDIENCE, &Origin::default())
        .unwrap();
    assert_eq!(signed_in.expires, START + 4 * HOUR);
    assert_eq!(signed_in.identity.ends.at, START + 30 * MINUTE);
    let seen = it.check(signed_in.secret.expose()).unwrap();
    assert_eq!(seen.session, signed_in.identity.session);
    assert_eq!(seen.user_id(), it.alice);

    let event = it.last_event(LOGIN);
    assert_eq!(event["eventOutcome"], "success");
    assert_eq!(event["initiatingUserId"], it.alice.to_string());
    assert_eq!(event["initiatingUserRole"], "admin");
    assert_eq!(event["initiatingSessionId"], seen.session.unwrap().to_string());

    let refused = it.patrol.open_session(b"nonsense", AUDIENCE, &Origin::default());
    assert_refused(refused, RefusalReason::Malformed);
    it.assert_event(LOGIN, "unauthorized", Some("malformed"));
}

#[test]
fn r3_a_session_lasts_four_hours_and_thirty_minutes_idle() {
    let it = Deployment::new();
    let token = it.issue(it.alice, "one");

    for (late, good) in [
        (30 * MINUTE - 1, true),
        (30 * MINUTE, false),
        (30 * MINUTE + 1, false),
    ] {
        let session = it.sign_in(&token);
        it.clock.advance(late);
        match good {
            true => drop(it.check(&session).unwrap()),
            false => assert_refused(it.check(&session), RefusalReason::SessionIdle),
        }
    }
    it.assert_event("verify_session", "unauthorized", Some("session-idle"));

    let session = it.sign_in(&token);
    let opened = it.patrol.now();
    for quarters in 1..16 {
        it.clock.set(opened + quarters * 15 * MINUTE);
        it.check(&session).unwrap();
    }
    it.clock.set(opened + 4 * HOUR - 1);
    assert_eq!(it.check(&session).unwrap().ends.cause, Cause::SessionLifetime);
    it.clock.set(opened + 4 * HOUR);
    assert_refused(it.check(&session), RefusalReason::SessionExpired);
    it.assert_event("verify_session", "unauthorized", Some("session-expired"));
}

#[test]
fn r3_a_session_that_was_signed_out_is_over() {
    let it = Deployment::new();
    let token = it.issue(it.alice, "one");
    let (session, other) = (it.sign_in(&token), it.sign_in(&token));
    it.patrol.close_session(&session, &Origin::default()).unwrap();
    it.assert_event("logout", "success", None);
    assert_refused(it.check(&session), RefusalReason::SessionClosed);
    assert_refused(
        it.patrol.close_session(&session, &Origin::default()),
        RefusalReason::SessionClosed,
    );
    it.assert_event("logout", "unauthorized", Some("session-closed"));
    // Neither its token nor the token's other session minds.
    it.check(&other).unwrap();
    it.verify(&token).unwrap();
}
