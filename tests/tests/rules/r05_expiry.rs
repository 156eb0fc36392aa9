//! R5: expired after 15 days without use, or at the expiration date, whichever comes first.

use patrol::config::Config;
use patrol::service::{NewToken, Origin, WRITE_THROUGH};
use patrol::time::Millis;
use patrol_policy::token::{Kind, compose};
use patrol_policy::types::{Cause, DAY, HOUR, MINUTE, RefusalReason};
use patrol_tests::deployment::{Deployment, START, assert_refused, id, operator, user, verify};

const IDLE: u64 = 15 * DAY;
const EVENT: &str = "verify_personal_access_token";

#[test]
fn r5_a_token_that_was_never_used_expires_15_days_after_its_creation() {
    let it = Deployment::new();
    let tokens = ["before", "at", "after"].map(|name| it.issue(it.alice, name));
    assert_eq!(tokens[0].ends.at, START + 15 * 86_400_000);
    assert_eq!(tokens[0].ends.cause, Cause::Idle);

    it.clock.set(START + IDLE - 1);
    it.verify(&tokens[0]).unwrap();
    it.clock.set(START + IDLE);
    assert_refused(it.verify(&tokens[1]), RefusalReason::Idle);
    it.assert_event(EVENT, "unauthorized", Some("idle"));
    it.clock.set(START + IDLE + 1);
    assert_refused(it.verify(&tokens[2]), RefusalReason::Idle);
}

#[test]
fn r5_each_use_starts_the_15_days_anew() {
    let it = Deployment::new();
    let token = it.issue(it.alice, "one");
    // A verification and a sign-in are uses alike.
    it.clock.advance(IDLE - 1);
    assert_eq!(it.verify(&token).unwrap().ends.at, it.patrol.now() + IDLE);
    it.clock.advance(IDLE - 1);
    let _ = it.sign_in(&token);
    it.clock.advance(IDLE - 1);
    it.verify(&token).unwrap();
    it.clock.advance(IDLE);
    assert_refused(it.verify(&token), RefusalReason::Idle);
}

#[test]
fn r5_a_token_expires_at_the_date_that_was_chosen_however_much_it_is_used() {
    let it = Deployment::new();
    let date = START + 20 * DAY;
    let token = it.issue_until(it.alice, "one", date);
    for day in 1..20 {
        it.clock.set(START + day * DAY);
        it.verify(&token).unwrap();
    }
    it.clock.set(date - 1);
    let identity = it.verify(&token).unwrap();
    assert_eq!(
        (identity.ends.at, identity.ends.cause),
        (date, Cause::ExpirationDate)
    );
    for late in [0, 1] {
        it.clock.set(date + late);
        assert_refused(it.verify(&token), RefusalReason::Expired);
    }
    it.assert_event(EVENT, "unauthorized", Some("expired"));
}

#[test]
fn r5_whichever_comes_first_is_the_reason() {
    let it = Deployment::new();
    for (expires, reason) in [
        (START + IDLE - 1, RefusalReason::Expired),
        (START + IDLE, RefusalReason::Expired),
        (START + IDLE + 1, RefusalReason::Idle),
    ] {
        it.clock.set(START);
        let token = it.issue_until(it.alice, reason.as_str(), expires);
        it.clock.set(START + IDLE + 1);
        assert_refused(it.verify(&token), reason);
        it.patrol.sweep().unwrap();
    }
}

#[test]
fn r5_a_refused_attempt_is_no_use() {
    let it = Deployment::new();
    let token = it.issue(it.alice, "one");
    let stranger = compose(Kind::Pat, id(&token), &[9; 32]);
    it.clock.set(START + IDLE - 1);
    for _ in 0..3 {
        let origin = Origin::default();
        let wrong = it.patrol.authenticate(stranger.expose(), "api", &origin);
        assert_refused(wrong, RefusalReason::WrongSecret);
        let elsewhere = it.patrol.authenticate(token.secret.expose(), "web", &origin);
        assert_refused(elsewhere, RefusalReason::WrongAudience);
        let sign_in = it.patrol.open_session(token.secret.expose(), "web", &origin);
        assert_refused(sign_in, RefusalReason::WrongAudience);
    }
    it.patrol
        .set_enabled(&operator(), &user(it.alice), false)
        .unwrap();
    assert_refused(it.verify(&token), RefusalReason::OwnerDisabled);
    it.patrol.set_enabled(&operator(), &user(it.alice), true).unwrap();
    it.patrol.flush().unwrap();
    assert_eq!(last_used_on_disk(&it, &token), None);
    it.clock.set(START + IDLE);
    assert_refused(it.verify(&token), RefusalReason::Idle);
}

#[test]
fn r5_the_use_of_a_session_is_no_use_of_its_pat() {
    let mut config = Config::default();
    config.policy.session_lifetime = Millis(60 * DAY);
    config.policy.session_idle = Millis(20 * DAY);
    let it = Deployment::with(config);
    let token = it.issue(it.alice, "one");
    let session = it.sign_in(&token);
    for day in 1..15 {
        it.clock.set(START + day * DAY);
        it.check(&session).unwrap();
    }
    it.patrol.flush().unwrap();
    assert_eq!(last_used_on_disk(&it, &token), Some(START));
    it.clock.set(START + IDLE - 1);
    it.check(&session).unwrap();
    it.clock.set(START + IDLE);
    assert_refused(it.verify(&token), RefusalReason::Idle);
    // The session ends with its token.
    assert_refused(it.check(&session), RefusalReason::Idle);
}

#[test]
fn r5_listing_rotating_and_previewing_are_no_uses() {
    let it = Deployment::new();
    let token = it.issue(it.alice, "one");
    it.clock.set(START + 10 * DAY);
    let rotated = it.patrol.rotate(&operator(), id(&token), HOUR).unwrap();
    it.patrol.list_tokens(&operator(), it.alice).unwrap();
    it.patrol.show_token(id(&token)).unwrap();
    let scope = patrol_policy::types::Scope::Tenant(it.tenant);
    it.patrol.preview_auth_method(&operator(), scope, "saml").unwrap();
    it.clock.set(START + IDLE);
    assert_refused(it.verify(&rotated), RefusalReason::Idle);
}

fn last_used_on_disk(it: &Deployment, token: &NewToken) -> Option<u64> {
    let key = id(token).to_bytes();
    it.raw()
        .query_row(
            "SELECT last_used FROM token WHERE id = ?",
            [key.as_slice()],
            |row| row.get::<_, Option<i64>>(0),
        )
        .unwrap()
        .map(|at| at.try_into().unwrap())
}

#[test]
fn r5_a_use_that_decides_about_idle_expiry_soon_is_on_disk_before_it_is_answered() {
    let it = Deployment::new();
    let names = ["a minute and 1 ms", "a minute", "at the last instant"];
    let tokens = names.map(|name| it.issue(it.alice, name));
    for (token, (left, written)) in
        tokens
            .iter()
            .zip([(WRITE_THROUGH + 1, false), (WRITE_THROUGH, true), (1, true)])
    {
        it.clock.set(START + IDLE - left);
        it.verify(token).unwrap();
        let expected = written.then_some(it.patrol.now());
        assert_eq!(last_used_on_disk(&it, token), expected, "{left} ms before");
    }
}

#[test]
fn r5_a_use_that_waits_to_be_written_is_honoured_by_another_process_near_the_boundary() {
    let it = Deployment::new();
    let other = it.another();
    let token = it.issue(it.alice, "one");
    // Long before the end: noted in memory only.
    it.clock.set(START + 10 * DAY);
    it.verify(&token).unwrap();
    assert_eq!(last_used_on_disk(&it, &token), None);
    // By what is on disk it is about to idle out, so the next use is written through.
    it.clock.set(START + IDLE - 30_000);
    it.verify(&token).unwrap();

    it.clock.set(START + IDLE);
    assert_eq!(verify(&other, &token).unwrap().token().unwrap().name, "one");
    // And back: the first knows of a use of the second that decides.
    it.clock.set(START + IDLE - 30_000 + IDLE - MINUTE);
    verify(&other, &token).unwrap();
    it.clock.set(START + 2 * IDLE - 30_000);
    it.verify(&token).unwrap();
}

#[test]
fn r5_a_host_that_is_put_down_in_order_forgets_no_use() {
    let it = Deployment::new();
    let other = it.another();
    let token = it.issue(it.alice, "one");
    it.clock.set(START + 10 * DAY);
    verify(&other, &token).unwrap();
    assert_eq!(last_used_on_disk(&it, &token), None);
    drop(other);
    assert_eq!(last_used_on_disk(&it, &token), Some(START + 10 * DAY));
    it.clock.set(START + 10 * DAY + IDLE - 1);
    it.verify(&token).unwrap();
}

#[test]
fn r5_a_use_noted_late_does_not_move_the_last_use_back() {
    let it = Deployment::new();
    let other = it.another();
    let token = it.issue(it.alice, "one");
    it.clock.set(START + DAY);
    verify(&other, &token).unwrap();
    it.clock.set(START + 2 * DAY);
    it.verify(&token).unwrap();
    it.patrol.flush().unwrap();
    other.flush().unwrap();
    assert_eq!(last_used_on_disk(&it, &token), Some(START + 2 * DAY));
}

#[test]
fn r5_the_sweep_does_not_end_a_token_that_was_used_by_this_process_a_moment_ago() {
    let it = Deployment::new();
    let token = it.issue(it.alice, "one");
    it.clock.set(START + 10 * DAY);
    it.verify(&token).unwrap();
    assert_eq!(last_used_on_disk(&it, &token), None);
    it.clock.set(START + IDLE + DAY);
    it.patrol.sweep().unwrap();
    it.verify(&token).unwrap();
}
