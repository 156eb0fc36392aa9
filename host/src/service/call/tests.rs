//! What a policy may write, for each operation: every write is tried in every operation.

#![allow(clippy::unwrap_used, reason = "tests")]

mod tenants;

use patrol_policy::Host;
use patrol_policy::types::{Cause, DAY, End, LiveRule, Session};

use super::*;
use crate::store::sqlite::{OpenOptions, SqliteStore};
use crate::store::{NewTenant, NewUser};

const NOW: Timestamp = 1_800_000_000_000;
const TENANT: Id = Id { hi: 1, lo: 1 };
const OWNER: Id = Id { hi: 2, lo: 1 };
const OTHER_OWNER: Id = Id { hi: 2, lo: 2 };
const TOKEN: Id = Id { hi: 3, lo: 1 };
const OTHER_TOKEN: Id = Id { hi: 3, lo: 2 };
const SESSION: Id = Id { hi: 4, lo: 1 };
const OTHER_SESSION: Id = Id { hi: 4, lo: 2 };
const NEW: Id = Id { hi: 9, lo: 9 };
const END: End = End {
    at: NOW,
    cause: Cause::Revoked,
};
const ROTATE: Operation = Operation::Rotate {
    token: TOKEN,
    overlap: 60_000,
};
const RULE: LiveRule = LiveRule {
    now: NOW,
    idle_since: 0,
};
/// By which every token has lapsed.
const LATER: LiveRule = LiveRule {
    now: NOW + DAY,
    idle_since: 0,
};

fn token(id: Id, owner: Id) -> Token {
    Token {
        id,
        owner,
        tenant: TENANT,
        audience: 1,
        scheme: 1,
        digest: Digest::default(),
        generation: 0,
        previous: None,
        created: NOW,
        expires: NOW + DAY,
        last_used: None,
        owner_epoch: 0,
        tenant_epoch: 0,
        ended: None,
    }
}

fn session(id: Id, token: Id) -> Session {
    Session {
        id,
        token,
        generation: 0,
        digest: Digest::default(),
        opened: NOW,
        last_used: NOW,
        ended: None,
    }
}

/// A store with two owners, who have a token with a session each.
struct World {
    store: Arc<dyn Store>,
    keyring: Arc<Keyring>,
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(dir.path(), &OpenOptions::default()).unwrap());
        let mut transaction = store.begin().unwrap();
        transaction
            .insert_tenant(&NewTenant {
                id: TENANT,
                name: "acme",
                auth_method: "password",
                multi_factor: false,
                created: NOW,
            })
            .unwrap();
        transaction.intern_audience("api").unwrap();
        for (owner, name, of, opened) in [
            (OWNER, "alice", TOKEN, SESSION),
            (OTHER_OWNER, "bob", OTHER_TOKEN, OTHER_SESSION),
        ] {
            transaction
                .insert_user(&NewUser {
                    id: owner,
                    tenant: TENANT,
                    name,
                    email: None,
                    roles: &[],
                    created: NOW,
                })
                .unwrap();
            transaction.insert_token(&token(of, owner), "one").unwrap();
            transaction.insert_session(&session(opened, of)).unwrap();
        }
        transaction.commit().unwrap();
        let keyring = Arc::new(Keyring::new(dir.path()));
        Self { store, keyring, dir }
    }

    fn call(&self, operation: Operation) -> Call {
        let writes = !matches!(
            operation,
            Operation::Look | Operation::Authenticate | Operation::CheckSession
        );
        let transaction = writes.then(|| self.store.begin().unwrap());
        Call::new(
            &self.store,
            &self.keyring,
            NOW,
            Parameters::default(),
            operation,
            transaction,
        )
    }
}

type Write = fn(&mut Call) -> Result<(), Outage>;

/// Every write there is, each about alice's records, which the call has read.
const WRITES: &[(&str, Write)] = &[
    ("insert-token", |call| {
        call.insert_token(&token(NEW, OWNER), "new")
    }),
    ("replace-secret", |call| {
        call.replace_secret(TOKEN, 1, 1, Digest::default(), None)
    }),
    ("record-use", |call| call.record_use(TOKEN, NOW)),
    ("end-token", |call| call.end_token(TOKEN, END)),
    ("end-live-tokens", |call| {
        call.end_live_tokens(OWNER, RULE, END).map(drop)
    }),
    ("insert-session", |call| call.insert_session(&session(NEW, TOKEN))),
    ("record-session-use", |call| call.record_session_use(SESSION, NOW)),
    ("end-session", |call| call.end_session(SESSION, END)),
    ("set-auth-method", |call| {
        call.set_auth_method(Scope::Owner(OWNER), "saml", NOW)
    }),
    ("erase-previous-secrets", |call| {
        call.erase_previous_secrets(NOW, 1).map(drop)
    }),
    ("forget-tokens", |call| {
        call.forget_tokens(NOW - Parameters::default().retention, 1)
            .map(drop)
    }),
    ("forget-sessions", |call| {
        call.forget_sessions(NOW, NOW, 1).map(drop)
    }),
];

fn issue() -> Operation {
    Operation::Issue {
        owner: OWNER,
        expires: NOW + DAY,
        audience: 1,
    }
}

const fn previous(digest: Digest, until: Timestamp) -> Option<PreviousSecret> {
    Some(PreviousSecret {
        scheme: 1,
        digest,
        until,
    })
}

#[test]
fn a_rotation_keeps_the_replaced_secret_for_as_long_as_was_asked_for() {
    let world = World::new();
    let mut call = world.call(ROTATE);
    let kept = previous(Digest::default(), NOW + 60_000);
    call.replace_secret(TOKEN, 1, 1, Digest::default(), kept).unwrap();
    assert!(!is_breach(&mut call, ()));
}

#[test]
fn a_secret_is_stored_under_the_pepper_once_the_policy_has_asked_for_it() {
    let world = World::new();
    let mut call = world.call(issue());
    let mac = call.mac(digest(1)).unwrap();
    let peppered = Token {
        scheme: 2,
        digest: mac,
        ..token(NEW, OWNER)
    };
    call.insert_token(&peppered, "new").unwrap();
    assert!(!is_breach(&mut call, ()));
    call.commit().unwrap();

    let mut call = world.call(ROTATE);
    let mac = call.mac(digest(2)).unwrap();
    let kept = previous(Digest::default(), NOW + 60_000);
    call.replace_secret(TOKEN, 1, 2, mac, kept).unwrap();
    assert!(!is_breach(&mut call, ()));
    call.commit().unwrap();
    let stored = world.store.token(TOKEN).unwrap().unwrap().state.token;
    assert_eq!((stored.scheme, stored.digest, stored.previous), (2, mac, kept));
    // The same pepper, then and now, in this process and in another.
    let another = Arc::new(Keyring::new(world.dir.path()));
    let mut call = Call::new(
        &world.store,
        &another,
        NOW,
        Parameters::default(),
        Operation::Look,
        None,
    );
    assert_eq!(call.mac(digest(2)), Ok(mac));
}

#[test]
fn a_move_of_the_presented_token_is_noted_and_not_made() {
    let world = World::new();
    for operation in [Operation::Authenticate, Operation::OpenSession] {
        let mut call = world.call(operation);
        let mac = call.mac(Digest::default()).unwrap();
        call.get_token(TOKEN).unwrap();
        call.replace_secret(TOKEN, 0, 2, mac, None).unwrap();
        assert!(!is_breach(&mut call, ()));
        assert_eq!(call.moved.map(|moved| moved.token()), Some(TOKEN));
        // Twice is once too often.
        let again = call.replace_secret(TOKEN, 0, 2, mac, None);
        assert_eq!(again, Err(Outage::Unavailable));
        assert!(is_breach(&mut call, ()));
        drop(call);
        let stored = world.store.token(TOKEN).unwrap().unwrap().state.token;
        assert_eq!((stored.scheme, stored.digest), (1, Digest::default()));
    }
}

#[test]
fn a_move_to_anything_but_the_mac_or_on_the_way_to_a_no_is_a_breach() {
    let world = World::new();
    let attempts: &[(&str, Write)] = &[
        ("another digest", |call| {
            call.replace_secret(TOKEN, 0, 2, digest(1), None)
        }),
        ("the MAC of another digest", |call| {
            let mac = call.mac(digest(1))?;
            call.replace_secret(TOKEN, 0, 2, mac, None)
        }),
        ("another token", |call| {
            let mac = call.mac(Digest::default())?;
            call.replace_secret(OTHER_TOKEN, 0, 2, mac, None)
        }),
        ("another generation", |call| {
            let mac = call.mac(Digest::default())?;
            call.replace_secret(TOKEN, 1, 2, mac, None)
        }),
        ("a secret beside it", |call| {
            let mac = call.mac(Digest::default())?;
            call.replace_secret(TOKEN, 0, 2, mac, previous(digest(1), NOW + 1))
        }),
        ("a scheme without a key", |call| {
            call.replace_secret(TOKEN, 0, 1, digest(1), None)
        }),
        ("an erased digest", |call| {
            call.replace_secret(TOKEN, 0, 0, Digest::default(), None)
        }),
        ("no change", |call| {
            call.replace_secret(TOKEN, 0, 1, Digest::default(), None)
        }),
    ];
    for operation in [Operation::Authenticate, Operation::OpenSession] {
        for (what, attempt) in attempts {
            let mut call = world.call(operation.clone());
            call.mac(digest(9)).unwrap();
            call.get_token(TOKEN).unwrap();
            assert_eq!(attempt(&mut call), Err(Outage::Unavailable), "{what}");
            assert!(is_breach(&mut call, ()), "{what}");
        }
        let mut call = world.call(operation);
        let mac = call.mac(Digest::default()).unwrap();
        call.get_token(TOKEN).unwrap();
        call.replace_secret(TOKEN, 0, 2, mac, None).unwrap();
        let refusal = patrol_policy::types::Refusal {
            reason: patrol_policy::types::RefusalReason::WrongSecret,
            token: None,
        };
        let answer: Result<(), _> = Err(Ending::Refused(refusal));
        assert!(matches!(call.settle(answer), Err(Error::Fault(_))));
    }
}

#[test]
fn without_the_pepper_there_is_no_verdict_on_what_it_keeps_and_one_on_all_else() {
    let world = World::new();
    let mut call = world.call(ROTATE);
    let mac = call.mac(digest(2)).unwrap();
    call.replace_secret(TOKEN, 1, 2, mac, None).unwrap();
    call.commit().unwrap();
    std::fs::remove_file(world.dir.path().join("pepper.key")).unwrap();
    let world = World {
        keyring: Arc::new(Keyring::new(world.dir.path())),
        ..world
    };
    for (operation, token, matters) in [
        (issue(), None, true),
        (Operation::Authenticate, Some(TOKEN), true),
        (Operation::Authenticate, Some(OTHER_TOKEN), false),
        (Operation::OpenSession, Some(TOKEN), true),
        (Operation::OpenSession, Some(OTHER_TOKEN), false),
    ] {
        let mut call = world.call(operation);
        if let Some(token) = token {
            call.get_token(token).unwrap();
        }
        assert_eq!(call.mac(digest(1)), Err(Outage::Unavailable));
        // Whatever the policy makes of it, a no as well.
        let refusal = patrol_policy::types::Refusal {
            reason: patrol_policy::types::RefusalReason::WrongSecret,
            token,
        };
        let answer: Result<(), _> = Err(Ending::Refused(refusal));
        let settled = call.settle(answer);
        assert_eq!(matches!(settled, Err(Error::Outage(_))), matters, "{settled:?}");
    }
    assert!(!world.dir.path().join("pepper.key").exists());
}

fn digest(a: u64) -> Digest {
    Digest {
        a,
        ..Digest::default()
    }
}

fn is_breach<T>(call: &mut Call, answer: T) -> bool {
    matches!(call.settle(Ok(answer)), Err(Error::Fault(Fault::Contract(_))))
}

#[test]
fn each_operation_may_write_what_it_is_for_and_nothing_else() {
    let operations: [(Operation, &[&str]); 11] = [
        (Operation::Look, &[]),
        (Operation::Authenticate, &["record-use"]),
        (
            Operation::OpenSession,
            &["record-use", "insert-session", "end-session"],
        ),
        (Operation::CheckSession, &["record-session-use"]),
        (Operation::CloseSession, &["end-session"]),
        (issue(), &["insert-token"]),
        (Operation::Revoke(TOKEN), &["end-token"]),
        (Operation::RevokeAll(OWNER), &["end-live-tokens"]),
        (ROTATE, &["replace-secret"]),
        (
            Operation::ChangeMethod(Scope::Owner(OWNER), "saml".to_owned()),
            &["set-auth-method"],
        ),
        (
            Operation::Sweep,
            &[
                "end-token",
                "erase-previous-secrets",
                "forget-tokens",
                "forget-sessions",
            ],
        ),
    ];
    let world = World::new();
    for (operation, permitted) in operations {
        for (name, write) in WRITES {
            let mut call = world.call(operation.clone());
            call.get_token(TOKEN).unwrap();
            call.get_session(SESSION).unwrap();
            call.list_open_sessions(TOKEN).unwrap();
            call.list_lapsed_tokens(LATER, 10).unwrap();
            let told = write(&mut call);
            let permitted = permitted.contains(name);
            assert_eq!(told.is_ok(), permitted, "{operation:?}: {name}");
            assert_eq!(!is_breach(&mut call, ()), permitted, "{operation:?}: {name}");
        }
    }
}

#[test]
fn an_operation_about_one_record_writes_no_other() {
    let world = World::new();
    let attempts: &[(&str, Operation, Write)] = &[
        ("a token of somebody else", issue(), |call| {
            call.insert_token(&token(NEW, OTHER_OWNER), "new")
        }),
        ("a token that lasts longer", issue(), |call| {
            let longer = Token {
                expires: NOW + DAY + 1,
                ..token(NEW, OWNER)
            };
            call.insert_token(&longer, "new")
        }),
        ("a token for another audience", issue(), |call| {
            let elsewhere = Token {
                audience: 2,
                ..token(NEW, OWNER)
            };
            call.insert_token(&elsewhere, "new")
        }),
        (
            "a token that outlives the next change of method",
            issue(),
            |call| {
                let ahead = Token {
                    owner_epoch: 1,
                    ..token(NEW, OWNER)
                };
                call.insert_token(&ahead, "new")
            },
        ),
        ("a token of another day", issue(), |call| {
            let later = Token {
                created: NOW + DAY,
                ..token(NEW, OWNER)
            };
            call.insert_token(&later, "new")
        }),
        ("another token's end", Operation::Revoke(TOKEN), |call| {
            call.end_token(OTHER_TOKEN, END)
        }),
        ("an end at another time", Operation::Revoke(TOKEN), |call| {
            call.end_token(TOKEN, End { at: NOW - 1, ..END })
        }),
        (
            "the end of a token that was not listed",
            Operation::Sweep,
            |call| call.end_token(TOKEN, END),
        ),
        ("a secret whose overlap lasts", Operation::Sweep, |call| {
            call.erase_previous_secrets(NOW + 1, 1).map(drop)
        }),
        ("records that are to be kept (R6)", Operation::Sweep, |call| {
            let early = NOW - Parameters::default().retention + 1;
            call.forget_tokens(early, 1).map(drop)
        }),
        ("another owner's end", Operation::RevokeAll(OWNER), |call| {
            call.end_live_tokens(OTHER_OWNER, RULE, END).map(drop)
        }),
        ("another token's secret", ROTATE, |call| {
            call.replace_secret(OTHER_TOKEN, 1, 1, Digest::default(), None)
        }),
        ("a secret of another generation", ROTATE, |call| {
            call.replace_secret(TOKEN, 2, 1, Digest::default(), None)
        }),
        ("a secret that nobody can check", ROTATE, |call| {
            call.replace_secret(TOKEN, 1, 2, Digest::default(), None)
        }),
        ("a longer overlap", ROTATE, |call| {
            call.replace_secret(
                TOKEN,
                1,
                1,
                Digest::default(),
                previous(Digest::default(), NOW + 60_001),
            )
        }),
        ("a second secret beside the new one", ROTATE, |call| {
            let another = Digest {
                a: 1,
                ..Digest::default()
            };
            call.replace_secret(TOKEN, 1, 1, Digest::default(), previous(another, NOW + 60_000))
        }),
        ("a token with a second secret", issue(), |call| {
            let two = Token {
                previous: previous(Digest::default(), NOW + 1),
                ..token(NEW, OWNER)
            };
            call.insert_token(&two, "new")
        }),
        ("a token whose secret nobody can check", issue(), |call| {
            let odd = Token {
                scheme: 2,
                ..token(NEW, OWNER)
            };
            call.insert_token(&odd, "new")
        }),
        (
            "another scope's method",
            Operation::ChangeMethod(Scope::Owner(OWNER), "saml".to_owned()),
            |call| call.set_auth_method(Scope::Tenant(TENANT), "saml", NOW),
        ),
        (
            "another method",
            Operation::ChangeMethod(Scope::Owner(OWNER), "saml".to_owned()),
            |call| call.set_auth_method(Scope::Owner(OWNER), "none", NOW),
        ),
        (
            "a use of a token that it did not read",
            Operation::Authenticate,
            |call| call.record_use(OTHER_TOKEN, NOW),
        ),
        ("a use at another time", Operation::Authenticate, |call| {
            call.record_use(TOKEN, NOW + DAY)
        }),
        ("a use of another session", Operation::CheckSession, |call| {
            call.record_session_use(OTHER_SESSION, NOW)
        }),
        ("another session's end", Operation::CloseSession, |call| {
            call.end_session(OTHER_SESSION, END)
        }),
        (
            "the end of a session that it did not list",
            Operation::OpenSession,
            |call| call.end_session(OTHER_SESSION, END),
        ),
        ("a session that lasts longer", Operation::OpenSession, |call| {
            let longer = Session {
                opened: NOW + DAY,
                ..session(NEW, TOKEN)
            };
            call.insert_session(&longer)
        }),
        ("two sessions", Operation::OpenSession, |call| {
            call.insert_session(&session(NEW, TOKEN))?;
            call.insert_session(&session(Id { hi: 9, lo: 8 }, TOKEN))
        }),
    ];
    for (what, operation, attempt) in attempts {
        let mut call = world.call(operation.clone());
        call.get_token(TOKEN).unwrap();
        call.get_session(SESSION).unwrap();
        assert_eq!(attempt(&mut call), Err(Outage::Unavailable), "{what}");
        assert!(is_breach(&mut call, ()), "{what}");
    }
}

#[test]
fn a_breach_stays_one_whatever_the_policy_says_afterwards() {
    let world = World::new();
    let mut call = world.call(Operation::Look);
    let _ = call.end_token(TOKEN, END);
    let refusal = patrol_policy::types::Refusal {
        reason: patrol_policy::types::RefusalReason::Unknown,
        token: None,
    };
    let answer: Result<(), _> = Err(Ending::Refused(refusal));
    assert!(matches!(
        call.settle(answer),
        Err(Error::Fault(Fault::Contract(_)))
    ));
}

#[test]
fn what_a_call_wrote_is_gone_with_it_unless_committed() {
    let world = World::new();
    let ended = || {
        let read = world.store.token(TOKEN).unwrap().unwrap();
        read.state.token.ended.is_some()
    };
    let mut call = world.call(Operation::Revoke(TOKEN));
    call.end_token(TOKEN, END).unwrap();
    drop(call);
    assert!(!ended());
    let mut call = world.call(Operation::Revoke(TOKEN));
    call.end_token(TOKEN, END).unwrap();
    call.commit().unwrap();
    assert!(ended());
}

#[test]
fn a_failure_of_the_store_that_the_policy_swallowed_is_an_outage_all_the_same() {
    let world = World::new();
    let mut call = world.call(issue());
    // Stored already: a failure of the store's, in words that the policy does not get.
    assert_eq!(
        call.insert_token(&token(TOKEN, OWNER), "new"),
        Err(Outage::Unavailable)
    );
    assert!(!matches!(
        call.settle(Ok(())),
        Ok(()) | Err(Error::Refused(_) | Error::Fault(_))
    ));
}
