//! Each tenant lives by the rules of its own policy, and by no other's.

use patrol::service::{Error, Origin, Patrol};
use patrol::store::TokenFilter;
use patrol_policy::types::{Cause, DAY, HOUR, MINUTE, RefusalReason, Scope};
use patrol_tests::deployment::{AUDIENCE, LIFETIME, assert_refused, id, operator, person, user, verify};
use patrol_tests::hostile;
use patrol_tests::wasm::noted;

use crate::support::{Two, issue};

#[test]
fn names_and_limits_are_each_tenants_own_r7_r13() {
    let two = Two::stricter();
    let (patrol, expires) = (&two.it.patrol, two.it.patrol.now() + LIFETIME);
    let named = |owner, name: &str| patrol.issue(&person(owner), owner, name, expires, AUDIENCE);
    named(two.it.alice, "My Script").unwrap();
    assert_refused(named(two.carol, "My Script"), RefusalReason::NameInvalid);
    for number in 0..20 {
        named(two.it.alice, &format!("script {number}")).unwrap();
        named(two.carol, &format!("script-{number}")).unwrap();
    }
    named(two.it.alice, "one more").unwrap();
    assert_refused(named(two.carol, "one-more"), RefusalReason::LimitReached);
    let listed = |owner| patrol.list_tokens(&person(owner), owner).unwrap().len();
    assert_eq!((listed(two.it.alice), listed(two.carol)), (22, 20));
}

#[test]
fn a_stricter_idle_period_ends_its_own_tenants_tokens_and_no_others_r5() {
    let two = Two::stricter();
    let patrol = &two.it.patrol;
    let [alices, carols] = two.issue("nightly");
    let ends = |token: &patrol::service::NewToken| token.ends.at - two.it.patrol.now();
    assert_eq!((ends(&alices), ends(&carols)), (15 * DAY, 7 * DAY));
    two.it.clock.advance(7 * DAY - 1);
    let [a, c] = [&alices, &carols].map(|token| two.it.verify(token).unwrap().ends);
    assert_eq!((a.cause, c.cause), (Cause::Idle, Cause::Idle));
    assert_eq!(a.at - c.at, 8 * DAY);
    let [open, theirs] = [&alices, &carols].map(|token| two.it.sign_in(token));
    two.it.check(&open).unwrap();
    two.it.check(&theirs).unwrap();

    two.it.clock.advance(7 * DAY);
    two.it.verify(&alices).unwrap();
    assert_refused(two.it.verify(&carols), RefusalReason::Idle);
    let origin = Origin::default();
    let opened = patrol.open_session(carols.secret.expose(), AUDIENCE, &origin);
    assert_refused(opened, RefusalReason::Idle);
    assert_refused(patrol.rotate(&operator(), id(&carols), 0), RefusalReason::Idle);
    assert_refused(patrol.revoke(&operator(), id(&carols)), RefusalReason::Idle);
    patrol.rotate(&operator(), id(&alices), 0).unwrap();
    // What is reviewed is judged token by token, in one page.
    let filter = TokenFilter {
        limit: 10,
        ..TokenFilter::default()
    };
    let reviewed = patrol.review(&filter).unwrap();
    let mut live: Vec<_> = reviewed
        .iter()
        .map(|token| (token.row.owner_name.as_str(), token.outlook.live))
        .collect();
    live.sort_unstable();
    assert_eq!(live, [("alice", true), ("carol", false)]);
    assert!(!patrol.show_token(id(&carols)).unwrap().outlook.live);
    assert_eq!(
        patrol.list_tokens(&person(two.carol), two.carol).unwrap().len(),
        0
    );
    let population = patrol.population(DAY).unwrap();
    assert_eq!((population.live, population.ending), (1, 0));
}

#[test]
fn foresight_keeps_the_order_in_which_it_was_asked() {
    let two = Two::stricter();
    let patrol = &two.it.patrol;
    let mut tokens: Vec<_> = (0..4).flat_map(|n| two.issue(&format!("n{n}"))).collect();
    tokens.reverse();
    let read = patrol.store().read().unwrap();
    let states: Vec<_> = tokens
        .iter()
        .map(|t| read.token_state(id(t)).unwrap().unwrap())
        .collect();
    let ends: Vec<_> = patrol
        .foresee(&states)
        .unwrap()
        .into_iter()
        .map(|outlook| outlook.ends)
        .collect();
    let expected: Vec<_> = tokens.iter().map(|token| token.ends).collect();
    assert_eq!(ends, expected);
}

#[test]
fn every_policy_sweeps_the_tokens_of_its_own_tenants_r6() {
    let two = Two::stricter();
    let patrol = &two.it.patrol;
    let [alices, carols] = two.issue("nightly");
    two.it.clock.advance(8 * DAY);
    let swept = patrol.sweep().unwrap();
    assert_eq!((swept.ended, swept.more), (1, false));
    let ended = |token| patrol.token_of_anyone(id(token)).state.token.ended;
    assert_eq!(ended(&carols).map(|end| end.cause), Some(Cause::Idle));
    assert_eq!(ended(&alices), None);
    two.it.clock.advance(7 * DAY);
    assert_eq!(patrol.sweep().unwrap().ended, 1);
    assert!(ended(&alices).is_some());
    // The records of both stay as long as is configured.
    two.it.clock.advance(90 * DAY);
    assert_eq!(patrol.sweep().unwrap().forgotten, 2);
}

#[test]
fn a_policy_that_fails_at_housekeeping_keeps_no_other_from_it() {
    let two = Two::new();
    let [alices, carols] = two.issue("nightly");
    two.bind(&two.keep(hostile::policy("unreachable"), 1));
    let fault = |result: Result<_, Error>| matches!(result, Err(Error::Fault(_)));
    assert!(fault(two.it.verify(&carols).map(drop)));
    two.it.verify(&alices).unwrap();
    two.it.patrol.ready().unwrap();
    two.it.clock.advance(16 * DAY);
    assert!(fault(two.it.patrol.sweep().map(drop)));
    let ended = |token| two.it.patrol.token_of_anyone(id(token)).state.token.ended;
    assert!(ended(&alices).is_some() && ended(&carols).is_none());
}

#[test]
fn a_revocation_of_all_is_no_fault_under_a_stricter_policy_and_holds_under_another_r8() {
    let two = Two::stricter();
    let patrol = &two.it.patrol;
    let [_, idle] = two.issue("idle");
    two.it.clock.advance(8 * DAY);
    let [alices, fresh] = two.issue("fresh");
    assert_eq!(patrol.revoke_all(&operator(), two.carol).unwrap(), 1);
    assert_refused(two.it.verify(&fresh), RefusalReason::Revoked);
    two.it.verify(&alices).unwrap();
    // Everybody's policy would take the idle one, had it not been ended with the others.
    two.unbind();
    assert_refused(two.it.verify(&idle), RefusalReason::Idle);
    assert_refused(two.it.verify(&fresh), RefusalReason::Revoked);
    assert_eq!(patrol.revoke_all(&operator(), two.it.alice).unwrap(), 2);
}

#[test]
fn a_change_of_method_is_previewed_by_the_tenants_own_rules_r9() {
    let two = Two::stricter();
    let patrol = &two.it.patrol;
    two.issue("idle");
    two.it.clock.advance(8 * DAY);
    let [_, fresh] = two.issue("fresh");
    let preview = |tenant| {
        let scope = Scope::Tenant(tenant);
        let effect = patrol.preview_auth_method(&operator(), scope, "saml").unwrap();
        let mut listed = 0;
        patrol
            .review_all(patrol.live_in(scope), |_| {
                listed += 1;
                true
            })
            .unwrap();
        assert_eq!(effect.tokens, Some(listed));
        listed
    };
    assert_eq!((preview(two.it.tenant), preview(two.globex)), (2, 1));
    patrol
        .change_auth_method(&operator(), Scope::Tenant(two.globex), "saml")
        .unwrap();
    assert_refused(two.it.verify(&fresh), RefusalReason::AuthMethodChanged);
    assert_eq!(
        (preview(two.it.tenant), patrol.population(DAY).unwrap().live),
        (2, 2)
    );
}

#[test]
fn a_use_is_on_disk_before_it_matters_to_a_stricter_policy_r5() {
    let two = Two::stricter();
    let [alices, carols] = two.issue("nightly");
    two.it.clock.advance(7 * DAY - MINUTE / 2);
    two.it.verify(&alices).unwrap();
    two.it.verify(&carols).unwrap();
    // Another process, or this one after a crash, knows nothing of what is only noted.
    let stored = |token| -> Option<u64> {
        let sql = "SELECT last_used FROM token WHERE id = ?1";
        let connection = two.it.raw();
        connection
            .query_row(sql, [id(token).to_bytes()], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(stored(&alices), None);
    assert_eq!(stored(&carols), Some(two.it.patrol.now()));
    two.it.clock.advance(MINUTE);
    verify(&two.it.another(), &carols).unwrap();
}

#[test]
fn passwords_and_their_sessions_go_by_the_tenant_r11() {
    let two = Two::stricter();
    let patrol = &two.it.patrol;
    let secret = || patrol_policy::Secret::from(b"correct horse".to_vec());
    for owner in [two.it.alice, two.carol] {
        patrol.set_password(&operator(), &user(owner), &secret()).unwrap();
    }
    let sign_in = |tenant: &str, name: &str| {
        patrol.sign_in_with_password(Some(tenant), name, &secret(), AUDIENCE, &Origin::default())
    };
    let [a, c] =
        [("acme", "alice"), ("globex", "carol")].map(|(tenant, name)| sign_in(tenant, name).unwrap());
    two.it.check(a.secret.expose()).unwrap();
    two.it.check(c.secret.expose()).unwrap();
    patrol.set_multi_factor(&operator(), "globex", true).unwrap();
    assert_refused(sign_in("globex", "carol"), RefusalReason::PatRequired);
    sign_in("acme", "alice").unwrap();
    patrol.set_multi_factor(&operator(), "globex", false).unwrap();
    // A policy that decides nothing lets no password in, and the other tenant's policy goes on.
    two.bind(&two.keep(hostile::policy("unreachable"), 9));
    assert!(matches!(sign_in("globex", "carol"), Err(Error::Fault(_))));
    sign_in("acme", "alice").unwrap();
    two.it.clock.advance(HOUR);
    assert_refused(two.it.check(a.secret.expose()), RefusalReason::SessionIdle);
}

#[test]
fn tenants_with_the_same_rules_are_told_the_same() {
    let two = Two::new();
    let release = two.keep(noted(b'1'), 1);
    two.bind(&release);
    two.activate(&release, Some(two.it.tenant)).unwrap();
    let digest = |tenant| two.it.patrol.policy_info_of(tenant).unwrap().digest;
    assert_eq!(digest(Some(two.globex)), digest(Some(two.it.tenant)));
    assert_ne!(digest(Some(two.globex)), digest(None));
    let [alices, carols] = two.issue("nightly");
    two.it.verify(&alices).unwrap();
    two.it.verify(&carols).unwrap();
    two.it.clock.advance(15 * DAY);
    assert_eq!(two.it.patrol.sweep().unwrap().ended, 2);
}

/// What is stored of a token.
trait Stored {
    fn token_of_anyone(&self, token: patrol_policy::types::Id) -> patrol::store::TokenRow;
}

impl Stored for Patrol {
    fn token_of_anyone(&self, token: patrol_policy::types::Id) -> patrol::store::TokenRow {
        self.store().read().unwrap().token_row(token).unwrap().unwrap()
    }
}

#[test]
fn a_tenant_that_was_there_before_everybodys_policy_changed_keeps_its_own() {
    let two = Two::stricter();
    let stricter = two.it.patrol.running_for_tenants();
    two.activate(&two.keep(noted(b'2'), 2), None).unwrap();
    assert_eq!(two.it.patrol.running_for_tenants(), stricter);
    let token = issue(&two.it.patrol, two.carol, "nightly");
    assert_eq!(token.ends.at, two.it.patrol.now() + 7 * DAY);
}
