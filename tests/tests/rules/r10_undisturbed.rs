//! R10: a password reset, a new user name, a new e-mail address disturb no PAT.

use patrol::service::{Origin, UserRef};
use patrol_policy::Secret;
use patrol_tests::deployment::{Deployment, operator, user};

#[test]
fn r10_neither_password_nor_name_nor_address_disturbs_a_pat_or_its_session() {
    let it = Deployment::new();
    let token = it.issue(it.alice, "one");
    let session = it.sign_in(&token);
    let undisturbed = |name: &str| {
        let identity = it.verify(&token).unwrap();
        assert_eq!(identity.user_id(), it.alice);
        assert_eq!(identity.user_name(), name);
        assert_eq!(it.check(&session).unwrap().user_name(), name);
        assert_eq!(it.patrol.list_tokens(&operator(), it.alice).unwrap().len(), 1);
    };
    undisturbed("alice");
    for password in ["first password", "second password"] {
        let password = Secret::new(password.into());
        it.patrol
            .set_password(&operator(), &user(it.alice), &password)
            .unwrap();
        undisturbed("alice");
    }
    it.patrol
        .rename_user(&operator(), &user(it.alice), "alicia")
        .unwrap();
    undisturbed("alicia");
    for email in [Some("new@example.com"), None] {
        it.patrol.set_email(&operator(), &user(it.alice), email).unwrap();
        undisturbed("alicia");
        assert_eq!(it.verify(&token).unwrap().user_email(), email);
    }
    for event in ["set_user_password", "rename_user", "set_user_email"] {
        it.assert_event(event, "success", None);
    }
}

#[test]
fn r10_the_old_name_may_be_another_persons_whose_pats_are_their_own() {
    let it = Deployment::new();
    let token = it.issue(it.alice, "one");
    let rename = |who, name| it.patrol.rename_user(&operator(), &user(who), name);
    assert!(rename(it.bob, "alice").is_err());
    rename(it.alice, "alicia").unwrap();
    rename(it.bob, "alice").unwrap();
    let of_bob = it.issue(it.bob, "one");
    assert_eq!(it.verify(&token).unwrap().user_id(), it.alice);
    assert_eq!(it.verify(&of_bob).unwrap().user_id(), it.bob);
    let found = it.patrol.user(&"acme/alice".parse::<UserRef>().unwrap()).unwrap();
    assert_eq!(found.id, it.bob);
}

#[test]
fn r10_turning_multi_factor_on_or_off_disturbs_no_pat() {
    let it = Deployment::new();
    let token = it.issue(it.alice, "one");
    for on in [true, false] {
        it.patrol.set_multi_factor(&operator(), "acme", on).unwrap();
        it.verify(&token).unwrap();
        it.patrol
            .open_session(token.secret.expose(), "api", &Origin::default())
            .unwrap();
    }
}
