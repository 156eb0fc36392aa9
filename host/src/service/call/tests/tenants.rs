//! Where tenants have policies of their own, each reaches the records of those alone that it governs.

use patrol_policy::types::MINUTE;

use super::*;

const ELSEWHERE: Id = Id { hi: 1, lo: 2 };
const STRANGER: Id = Id { hi: 2, lo: 3 };
const STRANGERS: Id = Id { hi: 3, lo: 3 };
const THEIR_SESSION: Id = Id { hi: 4, lo: 3 };

/// With one more tenant, whose one user has a token with a session.
fn world() -> World {
    let world = World::new();
    let mut transaction = world.store.begin().unwrap();
    transaction
        .insert_tenant(&NewTenant {
            id: ELSEWHERE,
            name: "globex",
            auth_method: "password",
            multi_factor: false,
            created: NOW,
        })
        .unwrap();
    transaction
        .insert_user(&NewUser {
            id: STRANGER,
            tenant: ELSEWHERE,
            name: "carol",
            email: None,
            roles: &[],
            created: NOW,
        })
        .unwrap();
    let token = Token {
        tenant: ELSEWHERE,
        ..token(STRANGERS, STRANGER)
    };
    transaction.insert_token(&token, "one").unwrap();
    transaction
        .insert_session(&session(THEIR_SESSION, STRANGERS))
        .unwrap();
    transaction.commit().unwrap();
    world
}

type Question = fn(&mut Call, Id, Id, Id, Id) -> Result<(), Outage>;

/// Every question about a tenant, an owner, a token or a session.
const QUESTIONS: &[(&str, Question)] = &[
    ("get-token", |call, _, _, token, _| {
        call.get_token(token).map(drop)
    }),
    ("get-owner", |call, _, owner, _, _| {
        call.get_owner(owner).map(drop)
    }),
    ("get-session", |call, _, _, _, session| {
        call.get_session(session).map(drop)
    }),
    ("list-open-sessions", |call, _, _, token, _| {
        call.list_open_sessions(token).map(drop)
    }),
    ("count-live-tokens", |call, _, owner, _, _| {
        call.count_live_tokens(owner, RULE).map(drop)
    }),
    ("live-name-exists", |call, _, owner, _, _| {
        call.live_name_exists(owner, "one", RULE).map(drop)
    }),
    ("list-tokens", |call, _, owner, _, _| {
        call.list_live_tokens(owner, RULE).map(drop)
    }),
    ("get-auth-method of a user", |call, _, owner, _, _| {
        call.get_auth_method(Scope::Owner(owner)).map(drop)
    }),
    ("get-auth-method of a tenant", |call, tenant, _, _, _| {
        call.get_auth_method(Scope::Tenant(tenant)).map(drop)
    }),
    ("take-census of a user", |call, _, owner, _, _| {
        call.take_census(Scope::Owner(owner), RULE).map(drop)
    }),
    ("take-census of a tenant", |call, tenant, _, _, _| {
        call.take_census(Scope::Tenant(tenant), RULE).map(drop)
    }),
];

#[test]
fn a_policy_sees_the_records_of_the_tenants_that_it_governs_and_no_others() {
    let world = world();
    let ours = |tenants: &Tenants| tenants.contains(TENANT);
    for tenants in [
        Tenants::All,
        Tenants::One(TENANT),
        Tenants::only([TENANT]),
        Tenants::all_but([TENANT]),
        Tenants::One(ELSEWHERE),
    ] {
        for (name, ask) in QUESTIONS {
            for operation in [Operation::Look, Operation::Sweep] {
                let mut call = world.call(operation.clone());
                call.tenants = tenants.clone();
                let told = ask(&mut call, TENANT, OWNER, TOKEN, SESSION);
                assert_eq!(told.is_ok(), ours(&tenants), "{tenants:?}: {name}");
                assert_eq!(!is_breach(&mut call, ()), ours(&tenants), "{tenants:?}: {name}");
                drop(call);

                let mut call = world.call(operation);
                call.tenants = tenants.clone();
                let told = ask(&mut call, ELSEWHERE, STRANGER, STRANGERS, THEIR_SESSION);
                let theirs = tenants.contains(ELSEWHERE);
                assert_eq!(told.is_ok(), theirs, "{tenants:?}: {name}");
                assert_eq!(!is_breach(&mut call, ()), theirs, "{tenants:?}: {name}");
            }
        }
    }
}

#[test]
fn a_sweep_lists_ends_and_forgets_what_is_its_tenants_alone() {
    let world = world();
    let mut call = world.call(Operation::Sweep);
    call.tenants = Tenants::only([ELSEWHERE]);
    let listed = call.list_lapsed_tokens(LATER, 10).unwrap();
    assert_eq!(
        listed.iter().map(|state| state.token.id).collect::<Vec<_>>(),
        [STRANGERS]
    );
    call.end_token(STRANGERS, END).unwrap();
    assert_eq!(call.forget_sessions(NOW, NOW, 10), Ok(1));
    assert!(!is_breach(&mut call, ()));
    call.end_token(TOKEN, END).unwrap_err();
    assert!(is_breach(&mut call, ()));
    drop(call);

    let mut call = world.call(Operation::Sweep);
    call.tenants = Tenants::all_but([ELSEWHERE]);
    assert_eq!(call.list_lapsed_tokens(LATER, 10).unwrap().len(), 2);
    assert_eq!(call.forget_sessions(NOW, NOW, 10), Ok(2));
    assert!(!is_breach(&mut call, ()));
}

#[test]
fn a_record_that_was_read_to_find_the_policy_answers_one_question() {
    let world = world();
    let read = world.store.token(TOKEN).unwrap();
    let mut call = world.call(Operation::Authenticate);
    call.found = Found::Token(TOKEN, read);
    world.store.record_use(TOKEN, NOW + MINUTE, None, true).unwrap();
    let used = |call: &mut Call| call.get_token(TOKEN).unwrap().unwrap().token.last_used;
    assert_eq!(used(&mut call), None, "what was found");
    assert_eq!(used(&mut call), Some(NOW + MINUTE), "what there is");

    // One that is not there is not looked for twice, and another is.
    let mut call = world.call(Operation::Authenticate);
    call.found = Found::Token(NEW, None);
    assert_eq!(call.get_token(NEW), Ok(None));
    call.found = Found::Token(NEW, None);
    assert!(call.get_token(TOKEN).unwrap().is_some());

    let mut call = world.call(Operation::CheckSession);
    call.found = Found::Session(SESSION, world.store.session(SESSION).unwrap());
    assert!(call.get_session(SESSION).unwrap().is_some());
    assert!(matches!(call.found, Found::Nothing));
}
