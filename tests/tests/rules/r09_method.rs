//! R9: all PATs are revoked when the authentication method changes, at the same cost for one and for many.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use patrol::service::{MethodEffect, Patrol};
use patrol_policy::token::digest;
use patrol_policy::types::{DAY, HOUR, Id, RefusalReason, Scope, Token};
use patrol_tests::deployment::{
    AUDIENCE, Deployment, LIFETIME, START, assert_refused, changed_rows, id, operator, person, user, verify,
};

const EVENT: &str = "batch_revoke_personal_access_token";
const TENANT_METHOD: &str = "SELECT epoch FROM tenant";

fn change(patrol: &Patrol, scope: Scope, method: &str) -> MethodEffect {
    patrol.change_auth_method(&operator(), scope, method).unwrap()
}

/// Stores so many tokens of alice's, as the policy would make them, in one transaction.
fn store_tokens(it: &Deployment, count: u64) {
    let store = it.patrol.store();
    let mut transaction = store.begin().unwrap();
    let owner = transaction.owner(it.alice).unwrap().unwrap();
    let audience = transaction.intern_audience(AUDIENCE).unwrap();
    for n in 0..count {
        let mut random = [0; 10];
        random[2..].copy_from_slice(&n.to_be_bytes());
        let mut secret = [0; 32];
        secret[..8].copy_from_slice(&n.to_be_bytes());
        let token = Token {
            id: Id::new_v7(START, &random),
            owner: owner.id,
            tenant: owner.tenant,
            audience,
            scheme: 1,
            digest: digest(&secret),
            generation: 0,
            previous: None,
            created: START,
            expires: START + LIFETIME,
            last_used: None,
            owner_epoch: owner.epoch,
            tenant_epoch: owner.tenant_epoch,
            ended: None,
        };
        transaction.insert_token(&token, &format!("script {n}")).unwrap();
    }
    transaction.commit().unwrap();
}

#[test]
fn r9_a_tenants_method_takes_all_its_pats_and_nobody_elses() {
    let it = Deployment::new();
    let other = it.another();
    it.patrol
        .create_tenant(&operator(), "umbrella", "password", false)
        .unwrap();
    let account = patrol::service::NewAccount {
        name: "carol".to_owned(),
        ..Default::default()
    };
    let carol = it
        .patrol
        .create_user(&operator(), "umbrella", &account)
        .unwrap()
        .id;
    let tokens = [it.issue(it.alice, "one"), it.issue(it.bob, "one")];
    let foreign = it.issue(carol, "one");
    let session = it.sign_in(&tokens[0]);
    verify(&other, &tokens[0]).unwrap();

    let effect = change(&it.patrol, Scope::Tenant(it.tenant), "saml");
    assert!(effect.changes && effect.from == "password");
    for token in &tokens {
        assert_refused(it.verify(token), RefusalReason::AuthMethodChanged);
        assert_refused(verify(&other, token), RefusalReason::AuthMethodChanged);
    }
    assert_refused(it.check(&session), RefusalReason::AuthMethodChanged);
    it.verify(&foreign).unwrap();
    assert_eq!(it.patrol.list_tokens(&operator(), it.alice).unwrap().len(), 0);
    it.assert_event("verify_session", "unauthorized", Some("auth-method-changed"));

    // A new one is born into the new method, and setting the old one again brings none back.
    let born = it.issue(it.alice, "one");
    it.verify(&born).unwrap();
    change(&it.patrol, Scope::Tenant(it.tenant), "password");
    assert_refused(it.verify(&tokens[0]), RefusalReason::AuthMethodChanged);
    assert_refused(it.verify(&born), RefusalReason::AuthMethodChanged);
}

#[test]
fn r9_one_users_method_takes_that_users_pats_alone() {
    let it = Deployment::new();
    let (of_alice, of_bob) = (it.issue(it.alice, "one"), it.issue(it.bob, "one"));
    change(&it.patrol, Scope::Owner(it.alice), "saml");
    assert_refused(it.verify(&of_alice), RefusalReason::AuthMethodChanged);
    it.verify(&of_bob).unwrap();
    let event = it.last_event(EVENT);
    assert_eq!(event["patUserId"], it.alice.to_string());
    assert_eq!(event["details"]["authMethodBefore"], "password");
    assert_eq!(event["details"]["authMethod"], "saml");
    assert_eq!(
        it.patrol.user(&user(it.alice)).unwrap().auth_method.as_deref(),
        Some("saml")
    );
}

#[test]
fn r9_setting_the_method_that_is_in_force_changes_nothing_and_leaves_no_event() {
    let it = Deployment::new();
    let token = it.issue(it.alice, "one");
    for scope in [Scope::Tenant(it.tenant), Scope::Owner(it.alice)] {
        let before = it.dump();
        let effect = change(&it.patrol, scope, "password");
        assert!(!effect.changes && effect.from == "password");
        assert_eq!(changed_rows(&before, &it.dump()), BTreeMap::new());
    }
    it.verify(&token).unwrap();
    assert_eq!(it.events(EVENT).len(), 0);
}

#[test]
fn r9_the_change_writes_as_many_rows_for_100_000_tokens_as_for_one() {
    let one = Deployment::new();
    store_tokens(&one, 1);
    let many = Deployment::new();
    store_tokens(&many, 100_000);
    // The scope's own row, the event, and where the audit chain ends.
    let expected =
        |table: &str| BTreeMap::from([("audit", 1), ("meta", 1), (table, 1)].map(|(t, n)| (t.to_owned(), n)));

    for it in [&one, &many] {
        let start = it.dump();
        change(&it.patrol, Scope::Tenant(it.tenant), "saml");
        let changed = it.dump();
        assert_eq!(changed_rows(&start, &changed), expected("tenant"));
        change(&it.patrol, Scope::Owner(it.alice), "oidc");
        assert_eq!(changed_rows(&changed, &it.dump()), expected("user"));
        assert_eq!(it.events(EVENT).len(), 2);

        // By the count of rows written, not only of rows that differ.
        let mut transaction = it.patrol.store().begin().unwrap();
        transaction
            .set_auth_method(Scope::Tenant(it.tenant), "ldap", START)
            .unwrap();
        assert_eq!(transaction.rows_written(), 1);
    }
    assert_eq!(many.patrol.list_tokens(&operator(), many.alice).unwrap().len(), 0);
}

#[test]
fn r9_a_preview_says_how_many_would_go_and_when_each_was_last_used_and_changes_nothing() {
    let it = Deployment::new();
    let used = it.issue(it.alice, "used");
    let _unused = it.issue(it.alice, "unused");
    let _of_bob = it.issue(it.bob, "of bob");
    let _ended = it.issue_until(it.bob, "ended", START + HOUR);
    it.clock.set(START + DAY);
    it.verify(&used).unwrap();
    it.patrol.flush().unwrap();

    for (scope, tokens, owners) in [(Scope::Tenant(it.tenant), 3, 2), (Scope::Owner(it.alice), 2, 1)] {
        let before = it.dump();
        let preview = it.patrol.preview_auth_method(&operator(), scope, "saml").unwrap();
        assert!(preview.changes);
        assert_eq!((preview.tokens, preview.owners), (Some(tokens), Some(owners)));
        let mut seen = Vec::new();
        it.patrol
            .review_all(it.patrol.live_in(scope), |token| {
                seen.push((token.row.name, token.row.state.token.last_used));
                true
            })
            .unwrap();
        assert_eq!(seen.len() as u64, tokens);
        assert!(seen.contains(&("used".to_owned(), Some(START + DAY))));
        assert!(seen.contains(&("unused".to_owned(), None)));
        assert_eq!(changed_rows(&before, &it.dump()), BTreeMap::new());
    }
    it.verify(&used).unwrap();
    // What is in force already would take none.
    let preview = it
        .patrol
        .preview_auth_method(&operator(), Scope::Tenant(it.tenant), "password")
        .unwrap();
    assert_eq!(
        (preview.changes, preview.tokens, preview.owners),
        (false, Some(0), Some(0))
    );
}

#[test]
fn r9_only_administrators_change_or_preview_methods() {
    let it = Deployment::new();
    let token = it.issue(it.alice, "one");
    let by_token = patrol::service::Caller::token(id(&token), Default::default());
    for caller in [person(it.alice), by_token] {
        for scope in [Scope::Tenant(it.tenant), Scope::Owner(it.alice)] {
            assert_refused(
                it.patrol.change_auth_method(&caller, scope, "saml"),
                RefusalReason::NotPermitted,
            );
            assert_refused(
                it.patrol.preview_auth_method(&caller, scope, "saml"),
                RefusalReason::NotPermitted,
            );
        }
    }
    it.assert_event(EVENT, "client_error", Some("not-permitted"));
    it.verify(&token).unwrap();
}

#[test]
fn r9_the_change_and_its_event_are_there_together_or_not_at_all() {
    let it = Deployment::new();
    let over = AtomicBool::new(false);
    let raw = it.raw();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let raw = raw;
            let mut seen = std::collections::BTreeSet::new();
            while !over.load(Ordering::SeqCst) {
                // One statement sees one state of the file, as what is left after a crash would be.
                let (epoch, events): (u32, u32) = raw
                    .query_row(
                        &format!(
                            "SELECT ({TENANT_METHOD}), (SELECT count(*) FROM audit WHERE type = '{EVENT}')"
                        ),
                        [],
                        |row| Ok((row.get(0)?, row.get(1)?)),
                    )
                    .unwrap();
                assert_eq!(epoch, events);
                seen.insert(epoch);
            }
            seen.len()
        });
        for n in 0..60 {
            let method = ["saml", "oidc"][n % 2];
            change(&it.patrol, Scope::Tenant(it.tenant), method);
        }
        over.store(true, Ordering::SeqCst);
        assert!(reader.join().unwrap() > 1, "nothing was seen");
    });
}

#[test]
fn r9_no_verification_that_begins_after_the_change_succeeds() {
    let it = Deployment::new();
    for n in 0..5 {
        let token = it.issue(it.alice, &format!("token {n}"));
        let method = ["saml", "oidc"][n % 2];
        crate::r08_revocation::none_begun_after_the_change_succeeds(&it, &token, || {
            change(&it.patrol, Scope::Tenant(it.tenant), method);
        });
    }
}
