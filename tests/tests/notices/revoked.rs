//! Tokens that were revoked, whoever did it.

use patrol::service::{Caller, Origin};
use patrol_policy::types::Scope;
use patrol_tests::deployment::{id, operator, person};

use super::receiver::{Answer, Receiver};
use super::support::{send_webhooks, telling};

#[test]
fn each_revocation_is_told_with_whoever_it_was_by() {
    let receiver = Receiver::new(Answer::Status(200));
    let deployment = telling(&receiver.url());
    let bob = deployment.bob;
    let before = deployment.issue(bob, "before anybody was to be told");
    deployment.patrol.revoke(&operator(), id(&before)).unwrap();
    assert_eq!(send_webhooks(&deployment), 0);

    let [a, b, c] = ["a", "b", "c"].map(|name| deployment.issue(bob, name));
    deployment.patrol.revoke(&operator(), id(&a)).unwrap();
    deployment.patrol.revoke(&person(bob), id(&b)).unwrap();
    let itself = Caller::token(id(&c), Origin::default());
    deployment.patrol.revoke(&itself, id(&c)).unwrap();
    // In vain, and so not told.
    deployment
        .patrol
        .revoke(&person(deployment.alice), id(&c))
        .unwrap_err();
    deployment.patrol.flush().unwrap();
    let more: Vec<_> = (0..3)
        .map(|number| deployment.issue(bob, &format!("n{number}")))
        .collect();
    assert_eq!(deployment.patrol.revoke_all(&operator(), bob).unwrap(), 3);
    assert_eq!(deployment.patrol.revoke_all(&operator(), bob).unwrap(), 0);
    assert_eq!(send_webhooks(&deployment), 4);
    assert_eq!(send_webhooks(&deployment), 0);

    let told = receiver.notices();
    for (notice, (name, role)) in told
        .iter()
        .zip([("a", "administrator"), ("b", "user"), ("c", "token")])
    {
        assert_eq!(notice["type"], "token.revoked");
        assert_eq!(notice["token"]["name"], name);
        assert_eq!(notice["revoked"]["byRole"], role);
        assert_eq!(notice["revoked"]["cause"], "revoked");
        assert_eq!(notice["owner"]["name"], "bob");
    }
    assert_eq!(told[0]["revoked"]["by"], "operator");
    assert_eq!(told[1]["revoked"]["by"], bob.to_string());
    assert_eq!(told[3]["type"], "tokens.revoked");
    assert_eq!(told[3]["revoked"]["count"], 3);
    assert_eq!(told[3]["owner"]["name"], "bob");
    assert!(told[3].get("token").is_none());

    // Neither a secret nor a digest is told.
    let raw = deployment.raw();
    let mut query = raw
        .prepare("SELECT lower(hex(digest)) FROM token WHERE digest IS NOT NULL")
        .unwrap();
    let digests: Vec<String> = query
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for request in receiver.all() {
        let text = String::from_utf8(request.body).unwrap();
        for token in [&before, &a, &b, &c].into_iter().chain(&more) {
            assert!(!text.contains(std::str::from_utf8(token.secret.expose()).unwrap()));
        }
        assert!(!text.contains("digest") && digests.iter().all(|digest| !text.contains(digest)));
    }
}

#[test]
fn a_change_of_method_is_one_notice_however_many_tokens_it_ends() {
    let receiver = Receiver::new(Answer::Status(200));
    let deployment = telling(&receiver.url());
    for number in 0..997 {
        let token = deployment.issue(deployment.bob, &format!("t{number}"));
        if number < 5 {
            // Revoked before, and so not revoked by the change.
            deployment.patrol.revoke(&operator(), id(&token)).unwrap();
        }
    }
    assert_eq!(send_webhooks(&deployment), 0, "the first look begins at the end");
    for number in 0..8 {
        let _ = deployment.issue(deployment.alice, &format!("t{number}"));
    }
    let scope = Scope::Tenant(deployment.tenant);
    deployment
        .patrol
        .change_auth_method(&operator(), scope, "saml")
        .unwrap();
    // Some of them are swept before anybody is told, and count as well.
    let swept = deployment.patrol.sweep_round(100).unwrap();
    assert_eq!(swept.ended, 100);
    assert_eq!(send_webhooks(&deployment), 1);
    let [notice] = receiver.notices().try_into().unwrap();
    assert_eq!(notice["type"], "tokens.revoked");
    assert_eq!(notice["tenant"]["name"], "acme");
    assert_eq!(notice["revoked"]["cause"], "auth-method-changed");
    assert_eq!(notice["revoked"]["authMethod"], "saml");
    assert_eq!(notice["revoked"]["count"], 1_000);
    assert_eq!(notice["revoked"]["owners"], 2);
    assert!(notice.get("owner").is_none() && notice.get("token").is_none());

    // The same of one user, where those that the tenant's change had ended do not count again.
    deployment.clock.advance(1_000);
    for number in 0..3 {
        let _ = deployment.issue(deployment.bob, &format!("u{number}"));
    }
    let scope = Scope::Owner(deployment.bob);
    deployment
        .patrol
        .change_auth_method(&operator(), scope, "password")
        .unwrap();
    assert_eq!(send_webhooks(&deployment), 1);
    let notice = &receiver.notices()[1];
    assert_eq!(
        (&notice["owner"]["name"], &notice["revoked"]["count"]),
        (&"bob".into(), &3.into())
    );
}
