//! A policy that moves what it must not is a fault, and moves nothing.

use patrol::service::Error;
use patrol_policy::types::{HOUR, Id, RefusalReason};
use patrol_tests::deployment::{AUDIENCE, Deployment, assert_refused, changed_rows, id, operator, verify};
use patrol_tests::hostile;

use crate::support::{MOVED, kept, pepper, peppered, plain, under};

const IMPORTS: &str = r#"
(import "patrol:policy/storage@0.1.0" "get-token" (func $get-token (param i64 i64 i32)))
(import "patrol:policy/keyring@0.1.0" "mac" (func $mac (param i64 i64 i64 i64 i32)))
(import "patrol:policy/storage@0.1.0" "replace-secret" (func $replace-secret
  (param i64 i64 i32 i32 i64 i64 i64 i64 i32 i32 i64 i64 i64 i64 i64 i32)))
;; Reads a token into 1024, and makes a MAC of its digest at 2048.
(func $look (param $hi i64) (param $lo i64)
  (call $get-token (local.get $hi) (local.get $lo) (i32.const 1024))
  (call $mac (i64.load (i32.const 1096)) (i64.load (i32.const 1104)) (i64.load (i32.const 1112))
    (i64.load (i32.const 1120)) (i32.const 2048)))
;; Moves a token to what is at 2056, with `more` added to it.
(func $move (param $hi i64) (param $lo i64) (param $more i64)
  (call $replace-secret (local.get $hi) (local.get $lo) (i32.const 0) (i32.const 2)
    (i64.load (i32.const 2056)) (i64.load (i32.const 2064)) (i64.load (i32.const 2072))
    (i64.add (i64.load (i32.const 2080)) (local.get $more))
    (i32.const 0) (i32.const 0) (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0)
    (i32.const 3072)))
;; A yes to the token at 1040.
(func $yes (result i32)
  (memory.copy (i32.const 24) (i32.const 1040) (i32.const 48))
  (i64.store (i32.const 72) (i64.const -1))
  (i32.const 16))
;; A no for a wrong secret.
(func $no (result i32)
  (i32.store8 (i32.const 16) (i32.const 1))
  (i32.store8 (i32.const 32) (i32.const 3))
  (i32.const 16))
"#;

/// A policy that does this when a token is presented.
fn policy(body: &str, token: Id, other: Id) -> Vec<u8> {
    let text = format!(
        r#"(module {IMPORTS}
        (func (export "patrol:policy/engine@0.1.0#authenticate") (param i32 i32 i32) (result i32) {body}))"#
    );
    let name = |id: Id| format!("(i64.const {:#x}) (i64.const {:#x})", id.hi, id.lo);
    let text = text
        .replace("$token", &name(token))
        .replace("$other", &name(other));
    hostile::componentize(&text, &hostile::wit()).unwrap()
}

#[test]
fn a_policy_moves_the_token_that_it_lets_in_to_its_mac_and_nothing_else() {
    let it = Deployment::new();
    let (token, other) = (it.issue(it.alice, "one"), it.issue(it.bob, "one"));
    let faults = [
        (
            "(call $look $token) (call $move $token (i64.const 1)) (call $yes)",
            "it moved a token in a way",
        ),
        (
            "(call $look $other) (call $get-token $token (i32.const 1024)) (call $move $token (i64.const 0)) (call $yes)",
            "it moved a token in a way",
        ),
        (
            "(call $look $other) (call $move $other (i64.const 0)) (call $look $token) (call $yes)",
            "a token and moved another",
        ),
        (
            "(call $look $token) (call $move $other (i64.const 0)) (call $yes)",
            "it moved a token in a way",
        ),
        (
            "(call $look $token) (call $move $token (i64.const 0)) (call $move $token (i64.const 0)) (call $yes)",
            "it moved a token in a way",
        ),
        (
            "(call $look $token) (call $move $token (i64.const 0)) (call $no)",
            "it moved a token that it refused",
        ),
    ];
    for (body, what) in faults {
        let before = it.dump();
        let hostile = it.under(&policy(body, id(&token), id(&other)));
        match verify(&hostile, &token) {
            Err(Error::Fault(fault)) => assert!(fault.to_string().contains(what), "{body}: {fault}"),
            verdict => panic!("{body}: {verdict:?}"),
        }
        hostile.flush().unwrap();
        assert_eq!(changed_rows(&before, &it.dump()).get("token"), None, "{body}");
    }
    assert_eq!(it.events(MOVED).len(), 0);
    for token in [&token, &other] {
        assert_eq!(kept(&it, token), plain(token.secret.expose()));
        it.verify(token).unwrap();
    }

    // What it may do is what shows that all of the above was tried.
    let body = "(call $look $token) (call $move $token (i64.const 0)) (call $yes)";
    let honest = it.under(&policy(body, id(&token), id(&other)));
    verify(&honest, &token).unwrap();
    honest.flush().unwrap();
    assert_eq!(
        kept(&it, &token),
        under(&pepper(it.path()), token.secret.expose())
    );
    it.verify(&token).unwrap();
}

#[test]
fn a_policy_that_calls_a_secret_wrong_without_asking_for_its_mac_is_not_believed() {
    let it = Deployment::new();
    let (moved, stays) = (it.issue(it.alice, "moved"), it.issue(it.alice, "stays"));
    let patrol = peppered(&it);
    verify(&patrol, &moved).unwrap();
    patrol.flush().unwrap();
    // As a policy does that knows of one scheme only.
    let old = |token| {
        it.under(&policy(
            "(call $get-token $token (i32.const 1024)) (call $no)",
            token,
            token,
        ))
    };
    let verdict = verify(&old(id(&moved)), &moved);
    match verdict {
        Err(Error::Fault(fault)) => assert!(fault.to_string().contains("could not tell"), "{fault}"),
        other => panic!("{other:?}"),
    }
    assert_refused(verify(&old(id(&stays)), &stays), RefusalReason::WrongSecret);
}

#[test]
fn a_policy_that_never_asks_for_a_mac_lets_in_no_wrong_secret_of_a_peppered_token() {
    let it = Deployment::new();
    let patrol = peppered(&it);
    let [token, other] = ["one", "two"].map(|name| {
        patrol
            .issue(&operator(), it.alice, name, it.patrol.now() + HOUR, AUDIENCE)
            .unwrap()
    });
    let yes = it.under(&hostile::policy("floor-yes-to-anything"));
    verify(&yes, &token).unwrap();
    let wrong = patrol_policy::token::compose(patrol_policy::token::Kind::Pat, id(&token), &[7; 32]);
    let swapped = [&token, &other].map(|token| patrol_tests::needles::secret_bytes(token.secret.expose()));
    let swapped = patrol_policy::token::compose(patrol_policy::token::Kind::Pat, id(&token), &swapped[1]);
    for secret in [wrong, swapped] {
        let verdict = yes.authenticate(secret.expose(), AUDIENCE, &Default::default());
        match verdict {
            Err(Error::Fault(fault)) => assert!(fault.to_string().contains("a wrong secret"), "{fault}"),
            other => panic!("{other:?}"),
        }
    }
}
