//! What a policy overrides, the host hears: `tests/policies/contrary` overrides all there is.

use patrol::policy::{Isolation, Options, Policy};
use patrol_policy::memory::MemoryHost;
use patrol_policy::types::{
    Actor, ActorRole, Cause, DAY, Denial, HOUR, Id, IssueRequest, Parameters, RefusalReason, Scope, Swept,
};
use patrol_tests::policies;
use patrol_tests::shape::{EXPORTS, shape};
use patrol_tests::trace::{START, Subject as _, tenant_id, user_id};
use patrol_tests::wasm::Wasm;

/// As the policy has them.
const WORD: &str = "contrary";
const NUMBER: u32 = 42;
const NUMBERED: Id = Id {
    hi: 1,
    lo: NUMBER as u64,
};

const ADMINISTRATOR: Actor = Actor {
    role: ActorRole::Administrator,
    id: Id { hi: 9, lo: 9 },
};

fn policy() -> Policy<MemoryHost> {
    // Time is not what this is about.
    let deadline = std::time::Duration::from_secs(10);
    let options = Options {
        isolation: Isolation::PerCall,
        deadline,
        bulk_deadline: deadline,
        ..Options::default()
    };
    Policy::load(&policies::read("contrary"), &options).expect("a policy")
}

fn request(name: &str) -> IssueRequest {
    IssueRequest {
        owner: user_id(0),
        name: name.to_owned(),
        expires: START + 90 * DAY,
        audience: 1,
    }
}

fn reason<T: std::fmt::Debug>(verdict: Result<T, Denial>) -> RefusalReason {
    match verdict.unwrap_err() {
        Denial::Refused(refusal) => refusal.reason,
        Denial::Outage(outage) => panic!("{outage}"),
    }
}

#[test]
fn each_function_that_a_policy_overrides_answers_for_it() {
    let policy = policy();
    let mut host = Wasm::new(&policy, Parameters::default());
    let scope = Scope::Tenant(tenant_id(0));

    // Each of them is refused otherwise, and for another reason.
    assert_eq!(
        reason(host.issue(request(WORD), ADMINISTRATOR)),
        RefusalReason::PatRequired
    );
    assert_eq!(
        reason(host.authenticate(WORD.as_bytes(), 1)),
        RefusalReason::SessionClosed
    );
    assert_eq!(
        reason(host.open_session(WORD.as_bytes(), 1)),
        RefusalReason::SessionReplaced
    );
    assert_eq!(
        reason(host.check_session(WORD.as_bytes(), 1)),
        RefusalReason::NameTaken
    );
    assert_eq!(
        reason(host.close_session(WORD.as_bytes())),
        RefusalReason::LimitReached
    );
    assert_eq!(
        reason(host.revoke(NUMBERED, ADMINISTRATOR)),
        RefusalReason::OverlapTooLong
    );
    assert_eq!(host.revoke_all(NUMBERED, ADMINISTRATOR), Ok(0));
    assert_eq!(
        reason(host.rotate(NUMBERED, 0, ADMINISTRATOR)),
        RefusalReason::ExpirationPast
    );
    assert_eq!(
        reason(host.change_auth_method(scope, WORD, ADMINISTRATOR)),
        RefusalReason::NameInvalid
    );
    assert_eq!(
        reason(host.preview_auth_method(scope, WORD, ADMINISTRATOR)),
        RefusalReason::ExpirationTooFar
    );
    assert_eq!(
        reason(host.decide_password_sign_in(NUMBERED)),
        RefusalReason::Rotated
    );
    assert_eq!(host.list_tokens(NUMBERED, ADMINISTRATOR), Ok(Vec::new()));
    assert_eq!(reason(host.sweep(NUMBER)), RefusalReason::WrongAudience);

    let contrary = IssueRequest {
        audience: NUMBER,
        ..request("a")
    };
    host.issue(contrary, ADMINISTRATOR).unwrap();
    let states: Vec<_> = host.tokens().into_iter().map(|(state, _)| state).collect();
    assert_eq!(host.foresee(&states)[0].ends.cause, Cause::SessionClosed);
}

#[test]
fn what_it_does_not_override_is_as_the_stock_rules_have_it() {
    let policy = policy();
    let mut host = Wasm::new(&policy, Parameters::default());
    let scope = Scope::Tenant(tenant_id(0));

    let issued = host.issue(request("a"), ADMINISTRATOR).unwrap();
    let secret = issued.secret.expose();
    assert_eq!(host.authenticate(secret, 1).unwrap().token, issued.token);
    assert_eq!(reason(host.authenticate(secret, 2)), RefusalReason::WrongAudience);
    let session = host.open_session(secret, 1).unwrap();
    assert_eq!(
        host.check_session(session.secret.expose(), 1).unwrap().session,
        session.session
    );
    host.close_session(session.secret.expose()).unwrap();
    let rotated = host.rotate(issued.token, HOUR, ADMINISTRATOR).unwrap();
    host.authenticate(rotated.secret.expose(), 1).unwrap();
    assert_eq!(host.list_tokens(user_id(0), ADMINISTRATOR).unwrap().len(), 1);
    assert_eq!(host.decide_password_sign_in(user_id(0)), Ok(()));
    let preview = host.preview_auth_method(scope, "another", ADMINISTRATOR).unwrap();
    assert_eq!((preview.changes, preview.tokens), (true, 1));
    host.revoke(issued.token, ADMINISTRATOR).unwrap();
    assert_eq!(host.revoke_all(user_id(0), ADMINISTRATOR), Ok(0));
    assert_eq!(host.change_auth_method(scope, "another", ADMINISTRATOR), Ok(true));
    let swept = host.sweep(10).unwrap();
    assert_eq!(
        swept,
        Swept {
            sessions: 1,
            ..Swept::default()
        }
    );
}

#[test]
fn a_policy_says_its_own_name_and_version_and_no_laxer_limits_than_are_configured() {
    let configured = Parameters {
        sessions_per_token: 3,
        ..Parameters::default()
    };
    let host = MemoryHost::new(START, configured, 1);
    let (_, said) = policy().describe(host);
    let said = said.unwrap();
    assert_eq!(
        (said.name.as_str(), said.version.as_str()),
        ("contrary-to-the-last", "7.8.9")
    );
    let expected = Parameters {
        tokens_per_owner: 2,
        max_overlap: HOUR,
        ..configured
    };
    assert_eq!(
        said.parameters, expected,
        "what it asked for laxer is as configured"
    );
}

#[test]
fn the_rules_go_by_the_policys_parameters() {
    let policy = policy();
    let mut host = Wasm::new(&policy, Parameters::default());
    let first = host.issue(request("a"), ADMINISTRATOR).unwrap();
    assert_eq!(first.ends.at, START + 15 * DAY, "no laxer than configured (R5)");
    host.issue(request("b"), ADMINISTRATOR).unwrap();
    assert_eq!(
        reason(host.issue(request("c"), ADMINISTRATOR)),
        RefusalReason::LimitReached
    );
    assert_eq!(
        reason(host.rotate(first.token, HOUR + 1, ADMINISTRATOR)),
        RefusalReason::OverlapTooLong
    );
}

#[test]
fn the_rules_ask_the_policy_about_a_name_that_they_take() {
    let policy = policy();
    let mut host = Wasm::new(&policy, Parameters::default());
    for name in ["unwanted", "  unwanted\t"] {
        let refused = host.issue(request(name), ADMINISTRATOR);
        assert_eq!(reason(refused), RefusalReason::NameInvalid, "{name:?}");
    }
    host.issue(request("wanted"), ADMINISTRATOR).unwrap();
}

#[test]
fn a_token_that_the_policy_judges_to_rest_does_not_work_anywhere_and_works_again() {
    let policy = policy();
    let mut host = Wasm::new(&policy, Parameters::default());
    let rest = START.next_multiple_of(5 * DAY);
    host.set_now(rest - 1);
    let issued = host.issue(request("a"), ADMINISTRATOR).unwrap();
    let secret = issued.secret.expose();
    let session = host.open_session(secret, 1).unwrap();
    let session = session.secret.expose();
    let lives = |host: &mut Wasm<'_>| {
        let states: Vec<_> = host.tokens().into_iter().map(|(state, _)| state).collect();
        host.foresee(&states)[0].live
    };
    assert!(lives(&mut host));

    host.set_now(rest);
    let resting = RefusalReason::NotPermitted;
    assert_eq!(reason(host.authenticate(secret, 1)), resting);
    assert_eq!(reason(host.open_session(secret, 1)), resting);
    assert_eq!(reason(host.check_session(session, 1)), resting);
    assert_eq!(reason(host.rotate(issued.token, 0, ADMINISTRATOR)), resting);
    assert!(!lives(&mut host));
    assert_eq!(host.list_tokens(user_id(0), ADMINISTRATOR).unwrap().len(), 1);

    host.set_now(rest + DAY);
    host.authenticate(secret, 1).unwrap();
    assert!(lives(&mut host));
}

#[test]
fn a_policy_of_ones_own_imports_and_exports_what_the_contract_has() {
    for package in ["contrary", "stricter"] {
        let shape = shape(&policies::read(package));
        assert_eq!(shape.imports_beyond_the_contract(), [""; 0], "{package}");
        assert_eq!(shape.exports, EXPORTS, "{package}");
        assert_eq!(shape.memories, [1], "{package} starts with one page");
    }
}
