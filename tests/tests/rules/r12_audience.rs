//! R12: a PAT is good for one audience, and can do nothing with PATs but revoke itself.

use patrol::service::{Caller, Origin};
use patrol_policy::types::{DAY, RefusalReason};
use patrol_tests::deployment::{AUDIENCE, Deployment, START, assert_refused, id, operator};

#[test]
fn r12_a_pat_presented_at_another_audience_is_refused() {
    let it = Deployment::new();
    let token = it.issue(it.alice, "one");
    let elsewhere = it
        .patrol
        .issue(&operator(), it.alice, "two", START + DAY, "reports")
        .unwrap();
    let session = it.sign_in(&token);
    let present = |secret: &[u8], audience| it.patrol.authenticate(secret, audience, &Origin::default());

    present(token.secret.expose(), AUDIENCE).unwrap();
    present(elsewhere.secret.expose(), "reports").unwrap();
    // One that tokens were created for, one that nobody ever heard of, and near misses.
    for audience in ["reports", "web", "API", "api ", ""] {
        assert_refused(
            present(token.secret.expose(), audience),
            RefusalReason::WrongAudience,
        );
        let sign_in = it
            .patrol
            .open_session(token.secret.expose(), audience, &Origin::default());
        assert_refused(sign_in, RefusalReason::WrongAudience);
        let checked = it.patrol.check_session(&session, audience, &Origin::default());
        assert_refused(checked, RefusalReason::WrongAudience);
    }
    assert_refused(
        present(elsewhere.secret.expose(), AUDIENCE),
        RefusalReason::WrongAudience,
    );
    it.assert_event(
        "verify_personal_access_token",
        "unauthorized",
        Some("wrong-audience"),
    );
    it.assert_event("verify_session", "unauthorized", Some("wrong-audience"));
}

#[test]
fn r12_a_pat_cannot_create_list_or_rotate_pats() {
    let it = Deployment::new();
    let token = it.issue(it.alice, "one");
    let caller = Caller::token(id(&token), Origin::default());
    let created = it.patrol.issue(&caller, it.alice, "two", START + DAY, AUDIENCE);
    assert_refused(created, RefusalReason::NotPermitted);
    it.assert_event(
        "create_personal_access_token",
        "client_error",
        Some("not-permitted"),
    );
    assert_refused(
        it.patrol.list_tokens(&caller, it.alice),
        RefusalReason::NotPermitted,
    );
    assert_refused(
        it.patrol.rotate(&caller, id(&token), 0),
        RefusalReason::NotPermitted,
    );
    it.assert_event(
        "rotate_personal_access_token",
        "unauthorized",
        Some("not-permitted"),
    );
    assert_refused(
        it.patrol.revoke_all(&caller, it.alice),
        RefusalReason::NotPermitted,
    );
    it.verify(&token).unwrap();
    assert_eq!(it.patrol.list_tokens(&operator(), it.alice).unwrap().len(), 1);
}

#[test]
fn r12_a_pat_can_revoke_itself_and_no_other() {
    let it = Deployment::new();
    let (token, sibling, of_bob) = (
        it.issue(it.alice, "one"),
        it.issue(it.alice, "two"),
        it.issue(it.bob, "one"),
    );
    let caller = Caller::token(id(&token), Origin::default());
    for other in [&sibling, &of_bob] {
        assert_refused(it.patrol.revoke(&caller, id(other)), RefusalReason::NotPermitted);
        it.verify(other).unwrap();
    }
    it.patrol.revoke(&caller, id(&token)).unwrap();
    assert_refused(it.verify(&token), RefusalReason::Revoked);
    assert_eq!(
        it.last_event("revoke_personal_access_token")["initiatingUserRole"],
        "token"
    );
}
