//! R11: with multi-factor authentication on, the REST API wants a PAT instead of a password.

use patrol::service::{AccountSignIn, Error, Origin};
use patrol_policy::Secret;
use patrol_policy::types::RefusalReason;
use patrol_tests::deployment::{AUDIENCE, Deployment, assert_refused, operator, user};

const EVENT: &str = "login_with_password";
const PASSWORD: &str = "correct horse battery staple";

fn with_password() -> Deployment {
    let it = Deployment::new();
    let password = Secret::new(PASSWORD.into());
    it.patrol
        .set_password(&operator(), &user(it.alice), &password)
        .unwrap();
    it
}

fn sign_in(it: &Deployment, name: &str, password: &str) -> Result<AccountSignIn, Error> {
    let password = Secret::new(password.into());
    it.patrol
        .sign_in_with_password(Some("acme"), name, &password, AUDIENCE, &Origin::default())
}

#[test]
fn r11_with_multi_factor_off_a_password_signs_in_and_a_pat_does() {
    let it = with_password();
    assert_eq!(
        sign_in(&it, "alice", PASSWORD).unwrap().identity.user_id(),
        it.alice
    );
    it.assert_event(EVENT, "success", None);
    assert_eq!(it.last_event(EVENT)["initiatingUserId"], it.alice.to_string());
    let token = it.issue(it.alice, "one");
    let _ = it.sign_in(&token);
}

#[test]
fn r11_with_multi_factor_on_a_password_is_refused_with_an_error_that_says_a_pat_is_needed() {
    let it = with_password();
    it.patrol.set_multi_factor(&operator(), "acme", true).unwrap();
    // Whether the password, or the name, is right is not told.
    for (name, password) in [
        ("alice", PASSWORD),
        ("alice", "wrong"),
        ("bob", "wrong"),
        ("nobody", "wrong"),
    ] {
        let refused = sign_in(&it, name, password);
        assert_eq!(
            refused.as_ref().unwrap_err().to_string(),
            "multi-factor authentication is on: sign in with a personal access token instead of a password"
        );
        assert_refused(refused, RefusalReason::PatRequired);
    }
    it.assert_event(EVENT, "unauthorized", Some("pat-required"));
    let token = it.issue(it.alice, "one");
    let _ = it.sign_in(&token);

    it.patrol.set_multi_factor(&operator(), "acme", false).unwrap();
    sign_in(&it, "alice", PASSWORD).unwrap();
}

#[test]
fn r11_with_multi_factor_on_a_disabled_account_answers_as_any_other() {
    let it = with_password();
    it.patrol.set_multi_factor(&operator(), "acme", true).unwrap();
    it.patrol
        .set_enabled(&operator(), &user(it.alice), false)
        .unwrap();
    assert_refused(sign_in(&it, "alice", PASSWORD), RefusalReason::PatRequired);
}

#[test]
fn r11_a_wrong_password_a_wrong_name_and_a_disabled_account_are_answered_alike() {
    let it = with_password();
    let wrong = |result: Result<AccountSignIn, Error>| {
        assert!(matches!(result, Err(Error::WrongPassword)), "{result:?}");
        it.assert_event(EVENT, "unauthorized", Some("user name or password is wrong"));
    };
    wrong(sign_in(&it, "alice", "wrong"));
    wrong(sign_in(&it, "alice", ""));
    wrong(sign_in(&it, "bob", "has none"));
    wrong(sign_in(&it, "nobody", PASSWORD));
    it.patrol
        .set_enabled(&operator(), &user(it.alice), false)
        .unwrap();
    wrong(sign_in(&it, "alice", PASSWORD));
    it.patrol.delete_user(&operator(), &user(it.alice)).unwrap();
    wrong(sign_in(&it, "alice", PASSWORD));
}

#[test]
fn r11_names_are_read_as_everywhere_else() {
    let it = with_password();
    it.patrol
        .rename_user(&operator(), &user(it.alice), "Zoé")
        .unwrap();
    for name in ["Zoé", "Zoe\u{301}", "  Zoé "] {
        assert_eq!(sign_in(&it, name, PASSWORD).unwrap().identity.user_id(), it.alice);
    }
}

#[test]
fn r11_the_tenant_need_not_be_named_while_there_is_one() {
    let it = with_password();
    let sign_in = |tenant: Option<&str>| {
        let password = Secret::new(PASSWORD.into());
        it.patrol
            .sign_in_with_password(tenant, "alice", &password, AUDIENCE, &Origin::default())
    };
    for tenant in [None, Some("acme"), Some(&*it.tenant.to_string())] {
        assert_eq!(
            sign_in(tenant).unwrap().identity.user_id(),
            it.alice,
            "{tenant:?}"
        );
    }
    assert!(matches!(sign_in(Some("elsewhere")), Err(Error::WrongPassword)));
    it.patrol
        .create_tenant(&operator(), "umbrella", "password", false)
        .unwrap();
    assert!(matches!(sign_in(None), Err(Error::Invalid(_))));
    assert!(matches!(sign_in(Some("umbrella")), Err(Error::WrongPassword)));
    sign_in(Some("acme")).unwrap();
}
