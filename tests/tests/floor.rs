//! The floor under the policy: whatever a component says, the host lets in no token that is revoked, past its
//! expiration date, of another audience, of a disabled or deleted owner, of an earlier method, or somebody else's. It
//! turns each such yes into a fault, changes nothing, and the good policy serves on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

use std::collections::BTreeMap;

use patrol::service::{Error, NewToken, Origin, Patrol};
use patrol_policy::token::{Kind, compose};
use patrol_policy::types::{DAY, HOUR, Id, Scope};
use patrol_tests::deployment::{
    AUDIENCE, Deployment, START, assert_refused, changed_rows, id, operator, person, user, verify,
};
use patrol_tests::hostile;

const VERIFIED: &str = "verify_personal_access_token";

/// Asserts that there was no verdict, because the policy did what the fault says.
#[track_caller]
fn assert_lied<T: std::fmt::Debug>(result: Result<T, Error>, did: &str) {
    match result {
        Err(Error::Fault(fault)) => {
            assert_eq!(fault.kind(), "floor", "{fault}");
            let told = fault.to_string();
            assert!(told.contains(did), "{told}");
        }
        other => panic!("{other:?}"),
    }
}

/// What must not be let in, and at which audience, each with what a fault says that was allowed.
struct Forbidden {
    it: Deployment,
    good: NewToken,
    bad: Vec<(&'static str, Vec<u8>, &'static str)>,
}

impl Forbidden {
    fn new() -> Self {
        let it = Deployment::new();
        let patrol = &it.patrol;
        let mut bad = Vec::new();
        let account = |name: &str| patrol::service::NewAccount {
            name: name.to_owned(),
            ..Default::default()
        };
        let [disabled, deleted, moved] = ["disabled", "deleted", "moved"].map(|name| {
            patrol
                .create_user(&operator(), "acme", &account(name))
                .unwrap()
                .id
        });
        let mut forbid = |what, token: &NewToken| bad.push((what, token.secret.expose().to_vec(), AUDIENCE));

        let revoked = it.issue(it.alice, "revoked");
        patrol.revoke(&operator(), id(&revoked)).unwrap();
        forbid("a token that has ended", &revoked);
        forbid(
            "a token past its expiration date",
            &it.issue_until(it.alice, "expired", START + HOUR),
        );
        forbid(
            "a token of a disabled or deleted owner",
            &it.issue(disabled, "one"),
        );
        patrol.set_enabled(&operator(), &user(disabled), false).unwrap();
        forbid(
            "a token of a disabled or deleted owner",
            &it.issue(deleted, "one"),
        );
        patrol.delete_user(&operator(), &user(deleted)).unwrap();
        forbid(
            "a token from before a change of authentication method",
            &it.issue(moved, "one"),
        );
        patrol
            .change_auth_method(&operator(), Scope::Owner(moved), "saml")
            .unwrap();
        let rotated = it.issue(it.alice, "rotated");
        patrol.rotate(&operator(), id(&rotated), 0).unwrap();
        forbid("a wrong secret", &rotated);

        let good = it.issue(it.bob, "good");
        let wrong = compose(Kind::Pat, id(&good), &[8; 32]).into_bytes();
        bad.push(("a wrong secret", wrong, AUDIENCE));
        let invented = compose(Kind::Pat, Id::from_u128(99), &[8; 32]).into_bytes();
        bad.push(("", invented, AUDIENCE));
        bad.push((
            "a token of another audience",
            good.secret.expose().to_vec(),
            "reports",
        ));
        bad.push((
            "a token of another audience",
            good.secret.expose().to_vec(),
            "web",
        ));
        it.patrol
            .issue(&operator(), it.bob, "reports", START + DAY, "reports")
            .unwrap();
        it.clock.set(START + HOUR);
        Self { it, good, bad }
    }

    /// Presents all that is forbidden to a policy: each is a fault.
    fn all_lied_about(&self, hostile: &Patrol) {
        for (what, secret, audience) in &self.bad {
            let verdict = hostile.authenticate(secret, audience, &Origin::default());
            assert_lied(verdict, &format!("it allowed {what}"));
        }
    }
}

#[test]
fn a_policy_that_says_yes_to_anything_lets_in_nothing_that_is_forbidden() {
    let forbidden = Forbidden::new();
    let it = &forbidden.it;
    // With the policy that is meant for it, each of them is refused, not faulty.
    for (what, secret, audience) in &forbidden.bad {
        let verdict = it.patrol.authenticate(secret, audience, &Origin::default());
        assert!(matches!(verdict, Err(Error::Refused(_))), "{what}: {verdict:?}");
    }
    it.patrol.flush().unwrap();

    let before = it.dump();
    let hostile = it.under(&hostile::policy("floor-yes-to-anything"));
    forbidden.all_lied_about(&hostile);
    // What is allowed by the rules of the floor is let in: a wrong policy is not the host's to second-guess.
    verify(&hostile, &forbidden.good).unwrap();
    hostile.flush().unwrap();

    // Nothing changed but that the audit trail has an entry for each fault.
    let changed = changed_rows(&before, &it.dump());
    let faults = forbidden.bad.len();
    assert_eq!(
        changed,
        BTreeMap::from([("audit".to_owned(), faults), ("meta".to_owned(), 1)])
    );
    let told: Vec<_> = it
        .events(VERIFIED)
        .into_iter()
        .filter(|event| event["eventOutcomeReason"] == "policy-fault-floor")
        .collect();
    assert_eq!(told.len(), faults);
    assert!(told.iter().all(|event| event["eventOutcome"] == "internal_error"));

    drop(hostile);
    verify(&it.patrol, &forbidden.good).unwrap();
    verify(&it.another(), &forbidden.good).unwrap();
}

#[test]
fn a_policy_that_speaks_of_another_owner_or_another_token_lets_in_nobody() {
    let it = Deployment::new();
    let (of_alice, of_bob) = (it.issue(it.alice, "one"), it.issue(it.bob, "one"));
    let before = it.dump();

    let another_owner = it.under(&hostile::policy("floor-another-owner"));
    assert_lied(
        verify(&another_owner, &of_alice),
        "it allowed a token as somebody else's",
    );
    let invented = it.under(&hostile::policy("floor-invented"));
    let nothing = "it allowed something that it did not look up or that is not there";
    assert_lied(verify(&invented, &of_alice), nothing);
    let nonsense = invented.authenticate(b"nonsense", AUDIENCE, &Origin::default());
    assert_lied(nonsense, nothing);
    let another_token = it.under(&hostile::policy("floor-another-token"));
    let both = [of_alice.secret.expose(), b" ", of_bob.secret.expose()].concat();
    let verdict = another_token.authenticate(&both, AUDIENCE, &Origin::default());
    assert_lied(verdict, "it allowed a text that is no token");

    for hostile in [&another_owner, &invented, &another_token] {
        hostile.flush().unwrap();
    }
    let changed = changed_rows(&before, &it.dump());
    assert_eq!(
        changed,
        BTreeMap::from([("audit".to_owned(), 4), ("meta".to_owned(), 1)])
    );
    for token in [&of_alice, &of_bob] {
        it.verify(token).unwrap();
    }
}

/// A policy with one function that does as the text says. `$hi` and `$lo` name a token.
fn policy(imports: &str, function: &str, token: Id) -> Vec<u8> {
    let text = format!("(module\n{imports}\n{function})")
        .replace("$hi", &format!("(i64.const {:#x})", token.hi))
        .replace("$lo", &format!("(i64.const {:#x})", token.lo));
    hostile::componentize(&text, &hostile::wit()).unwrap()
}

const END_TOKEN: &str =
    r#"(import "patrol:policy/storage@0.1.0" "end-token" (func $end-token (param i64 i64 i64 i32 i32)))"#;
const GET_TOKEN: &str =
    r#"(import "patrol:policy/storage@0.1.0" "get-token" (func $get-token (param i64 i64 i32)))"#;

#[test]
fn a_verification_that_ends_a_token_is_a_fault_and_ends_none() {
    let it = Deployment::new();
    let token = it.issue(it.alice, "one");
    let before = it.dump();
    let body = r#"(func (export "patrol:policy/engine@0.1.0#authenticate") (param i32 i32 i32) (result i32)
        (call $end-token $hi $lo (i64.const 1) (i32.const 2) (i32.const 512))
        (call $get-token $hi $lo (i32.const 1024))
        (memory.copy (i32.const 24) (i32.const 1040) (i32.const 48))
        (i64.store (i32.const 72) (i64.const -1))
        (i32.const 16))"#;
    let hostile = it.under(&policy(&format!("{END_TOKEN}{GET_TOKEN}"), body, id(&token)));
    assert_lied(verify(&hostile, &token), "it wrote where it was only asked");
    hostile.flush().unwrap();
    assert_eq!(changed_rows(&before, &it.dump()).get("token"), None);
    it.verify(&token).unwrap();
}

#[test]
fn the_revocation_of_one_token_cannot_end_another() {
    let it = Deployment::new();
    let (asked, other) = (it.issue(it.alice, "asked"), it.issue(it.bob, "other"));
    let before = it.dump();
    let body = r#"(func (export "patrol:policy/engine@0.1.0#revoke")
        (param i64 i64 i32 i64 i64) (result i32)
        (call $end-token $hi $lo (i64.const 1) (i32.const 2) (i32.const 512))
        (i32.const 1024))"#;
    let hostile = it.under(&policy(END_TOKEN, body, id(&other)));
    let revoked = hostile.revoke(&person(it.alice), id(&asked));
    assert_lied(revoked, "it wrote something other than what it was asked for");
    hostile.flush().unwrap();
    assert_eq!(changed_rows(&before, &it.dump()).get("token"), None);
    it.verify(&other).unwrap();
    it.verify(&asked).unwrap();
}

#[test]
fn a_revocation_or_a_change_of_method_that_did_nothing_is_not_acknowledged() {
    let it = Deployment::new();
    let token = it.issue(it.alice, "one");
    let revoke = r#"(func (export "patrol:policy/engine@0.1.0#revoke")
        (param i64 i64 i32 i64 i64) (result i32)
        (call $get-token $hi $lo (i32.const 1024))
        ;; The state, eight bytes into the answer as it is eight bytes into the option.
        (memory.copy (i32.const 2056) (i32.const 1032) (i32.const 512))
        (i32.const 2048))"#;
    let hostile = it.under(&policy(GET_TOKEN, revoke, id(&token)));
    let revoked = hostile.revoke(&operator(), id(&token));
    assert_lied(revoked, "it said that it revoked a token that lives");

    let change = r#"(func (export "patrol:policy/engine@0.1.0#change-auth-method")
        (param i32 i64 i64 i32 i32 i32 i64 i64) (result i32)
        ;; It changes something, from the method "".
        (i32.store8 (i32.const 20) (i32.const 1))
        (i32.const 16))"#;
    let hostile = it.under(&policy("", change, id(&token)));
    let changed = hostile.change_auth_method(&operator(), Scope::Tenant(it.tenant), "saml");
    assert_lied(changed, "it said that it set a method that is not set");

    let all = r#"(func (export "patrol:policy/engine@0.1.0#revoke-all")
        (param i64 i64 i32 i64 i64) (result i32)
        (i32.store (i32.const 24) (i32.const 1))
        (i32.const 16))"#;
    let hostile = it.under(&policy("", all, id(&token)));
    let revoked = hostile.revoke_all(&operator(), it.alice);
    assert_lied(revoked, "it said that it revoked tokens that live");

    it.verify(&token).unwrap();
    let successes: Vec<_> = [
        "revoke_personal_access_token",
        "batch_revoke_personal_access_token",
    ]
    .iter()
    .flat_map(|event| it.events(event))
    .filter(|event| event["eventOutcome"] == "success")
    .collect();
    assert_eq!(successes, Vec::<serde_json::Value>::new());
}

#[test]
fn a_policy_that_traps_lets_in_nobody_and_changes_nothing() {
    let it = Deployment::new();
    let token = it.issue(it.alice, "one");
    let session = it.sign_in(&token);
    let before = it.dump();
    let hostile = it.under(&hostile::policy("unreachable"));
    let origin = Origin::default();
    let secret = token.secret.expose();
    let no_verdict = |what: &str, ended: bool| assert!(ended, "{what}");
    let fault = |error: &Error| matches!(error, Error::Fault(_));
    no_verdict("verify", verify(&hostile, &token).is_err_and(|e| fault(&e)));
    let opened = hostile.open_session(secret, AUDIENCE, &origin);
    no_verdict("open", opened.is_err_and(|e| fault(&e)));
    let checked = hostile.check_session(&session, AUDIENCE, &origin);
    no_verdict("check", checked.is_err_and(|e| fault(&e)));
    let closed = hostile.close_session(&session, &origin);
    no_verdict("close", closed.is_err_and(|e| fault(&e)));
    let issued = hostile.issue(&operator(), it.alice, "two", START + DAY, AUDIENCE);
    no_verdict("issue", issued.is_err_and(|e| fault(&e)));
    let revoked = hostile.revoke(&operator(), id(&token));
    no_verdict("revoke", revoked.is_err_and(|e| fault(&e)));
    let rotated = hostile.rotate(&operator(), id(&token), 0);
    no_verdict("rotate", rotated.is_err_and(|e| fault(&e)));
    let listed = hostile.list_tokens(&operator(), it.alice);
    no_verdict("list", listed.is_err_and(|e| fault(&e)));
    no_verdict("sweep", hostile.sweep().is_err_and(|e| fault(&e)));
    let scope = Scope::Tenant(it.tenant);
    let changed = hostile.change_auth_method(&operator(), scope, "saml");
    no_verdict("change", changed.is_err_and(|e| fault(&e)));
    hostile.flush().unwrap();

    let changed = changed_rows(&before, &it.dump());
    assert_eq!(changed.keys().collect::<Vec<_>>(), ["audit", "meta"]);
    it.verify(&token).unwrap();
    it.check(&session).unwrap();
}

#[test]
fn a_sign_in_cannot_store_a_session_of_another_token() {
    let it = Deployment::new();
    let (mine, victim) = (it.issue(it.alice, "mine"), it.issue(it.bob, "victim"));
    // What a session of the victim's would be presented with, if it came to be.
    let planned = compose(Kind::Session, Id { hi: 5, lo: 5 }, &[3; 32]);
    let known = patrol_policy::token::digest(&[3; 32]);
    let text = std::str::from_utf8(planned.expose()).unwrap();
    let imports = format!(
        r#"{GET_TOKEN}
        (import "patrol:policy/storage@0.1.0" "insert-session" (func $insert-session
          (param i64 i64 i64 i64 i32 i64 i64 i64 i64 i64 i64 i32 i64 i32 i32)))"#
    );
    let number = |value: u64| format!("(i64.const {value:#x})");
    let digest = [known.a, known.b, known.c, known.d].map(number).join(" ");
    let now = number(START);
    let mine_id = id(&mine);
    let body = format!(
        r#"(data (i32.const 3072) "{text}")
        (func (export "patrol:policy/engine@0.1.0#open-session") (param i32 i32 i32) (result i32)
        (call $get-token $hi $lo (i32.const 1024))
        (call $insert-session (i64.const 5) (i64.const 5) $hi $lo (i32.const 0) {digest} {now} {now}
          (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 512))
        (call $get-token {} {} (i32.const 1024))
        (i64.store (i32.const 24) (i64.const 5))
        (i64.store (i32.const 32) (i64.const 5))
        (i32.store (i32.const 40) (i32.const 3072))
        (i32.store (i32.const 44) (i32.const {}))
        (memory.copy (i32.const 48) (i32.const 1040) (i32.const 48))
        (i64.store (i32.const 96) (i64.const -1))
        (i64.store (i32.const 112) (i64.const -1))
        (i64.store (i32.const 128) (i64.const -1))
        (i32.const 16))"#,
        number(mine_id.hi),
        number(mine_id.lo),
        text.len(),
    );
    let hostile = it.under(&policy(&imports, &body, id(&victim)));
    let signed_in = hostile.open_session(mine.secret.expose(), AUDIENCE, &Origin::default());
    assert_lied(
        signed_in,
        "it allowed a session that it did not store for the token",
    );
    assert_refused(
        it.check(planned.expose()),
        patrol_policy::types::RefusalReason::Unknown,
    );
}
