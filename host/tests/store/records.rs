use patrol::store::{Store, StoreError, TokenFilter};
use patrol_policy::types::{Cause, DAY, Digest, End, PreviousSecret, Scope, Token};

use crate::support::{Fixture, NOW, digest, id, insert_tenant, insert_user, raw, revoked};

#[test]
fn a_token_is_read_back_as_it_was_stored() {
    let fixture = Fixture::new();
    let previous = PreviousSecret {
        scheme: 2,
        digest: digest(9),
        until: NOW + 7,
    };
    let full = fixture.stored(|token| {
        token.scheme = 3;
        token.generation = 4;
        token.previous = Some(previous);
        token.last_used = Some(NOW - 1);
    });
    let plain = fixture.stored(|_| ());
    let read = fixture.store.read().unwrap();
    for token in [full, plain] {
        let state = read.token_state(token.id).unwrap().unwrap();
        assert_eq!(state.token, token);
        assert_eq!(Some(state.owner), read.owner(fixture.owner).unwrap());
        assert_eq!(read.token_row(token.id).unwrap().unwrap().state, state);
        assert_eq!(fixture.store.token(token.id).unwrap().unwrap().state, state);
    }
    assert_eq!(read.token_state(id()).unwrap(), None);
    assert!(fixture.store.token(id()).unwrap().is_none());
}

#[test]
fn a_token_row_carries_the_names_of_the_moment_r4_r10() {
    let fixture = Fixture::new();
    let token = fixture.stored(|_| ());
    assert_eq!(
        fixture.store.token(token.id).unwrap().unwrap().row.owner_name,
        "alice"
    );
    fixture.write(|transaction| {
        transaction.rename_user(fixture.owner, "alice.b").unwrap();
        transaction
            .set_email(fixture.owner, Some("a@example.org"))
            .unwrap();
        transaction
            .set_roles(fixture.owner, &["viewer".into(), "admin".into(), "viewer".into()])
            .unwrap();
        transaction.put_use(token.id, NOW, Some("203.0.113.7")).unwrap();
    });
    let row = fixture.store.token(token.id).unwrap().unwrap().row;
    assert_eq!(row.name, "script");
    assert_eq!(row.audience, "rest-api");
    assert_eq!(row.owner_name, "alice.b");
    assert_eq!(row.owner_email.as_deref(), Some("a@example.org"));
    assert_eq!(row.owner_roles, ["admin", "viewer"]);
    assert_eq!(row.tenant_name, "acme");
    assert_eq!(row.last_used_from.as_deref(), Some("203.0.113.7"));
}

#[test]
fn an_end_mark_is_set_once_and_erases_both_digests_r6_r8() {
    let fixture = Fixture::new();
    let token = fixture.stored(|token| {
        token.previous = Some(PreviousSecret {
            scheme: 1,
            digest: digest(1),
            until: NOW + 1,
        });
    });
    fixture.write(|transaction| transaction.end_token(token.id, revoked(NOW)).unwrap());
    fixture.write(|transaction| {
        transaction
            .end_token(
                token.id,
                End {
                    at: NOW + 5,
                    cause: Cause::Idle,
                },
            )
            .unwrap();
    });
    let stored = fixture
        .store
        .read()
        .unwrap()
        .token_state(token.id)
        .unwrap()
        .unwrap()
        .token;
    let expected = Token {
        scheme: 0,
        digest: Digest::default(),
        previous: None,
        ended: Some(revoked(NOW)),
        ..token
    };
    assert_eq!(stored, expected);
    let kept: bool = raw(fixture.dir.path())
        .query_row(
            "SELECT digest IS NULL AND previous_digest IS NULL FROM token",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert!(kept, "nothing usable is left on disk");
}

#[test]
fn a_replaced_secret_takes_the_place_of_the_old_one_but_not_after_the_end_r8() {
    let fixture = Fixture::new();
    let token = fixture.stored(|_| ());
    let previous = PreviousSecret {
        scheme: 1,
        digest: token.digest,
        until: NOW + 60,
    };
    fixture.write(|transaction| {
        transaction
            .replace_secret(token.id, 1, 1, digest(5), Some(previous))
            .unwrap();
    });
    let stored = fixture
        .store
        .read()
        .unwrap()
        .token_state(token.id)
        .unwrap()
        .unwrap()
        .token;
    assert_eq!(
        stored,
        Token {
            generation: 1,
            digest: digest(5),
            previous: Some(previous),
            ..token
        }
    );
    fixture.write(|transaction| {
        transaction.end_token(token.id, revoked(NOW)).unwrap();
        let error = transaction
            .replace_secret(token.id, 2, 1, digest(6), None)
            .unwrap_err();
        assert!(matches!(error, StoreError::NotFound { .. }), "{error}");
    });
    assert_eq!(
        fixture
            .store
            .read()
            .unwrap()
            .token_state(token.id)
            .unwrap()
            .unwrap()
            .token
            .scheme,
        0
    );
}

#[test]
fn last_used_times_only_move_forward_r5() {
    let fixture = Fixture::new();
    let token = fixture.stored(|_| ());
    let session = fixture.session(token.id);
    fixture.write(|transaction| transaction.insert_session(&session).unwrap());
    for (at, from, expected) in [
        (NOW + 5, "a", (NOW + 5, "a")),
        (NOW + 4, "b", (NOW + 5, "a")),
        (NOW + 5, "c", (NOW + 5, "a")),
        (NOW + 6, "d", (NOW + 6, "d")),
    ] {
        fixture.write(|transaction| {
            transaction.put_use(token.id, at, Some(from)).unwrap();
            transaction.put_session_use(session.id, at).unwrap();
        });
        let row = fixture.store.session(session.id).unwrap().unwrap().row;
        assert_eq!(row.token.state.token.last_used, Some(expected.0));
        assert_eq!(row.token.last_used_from.as_deref(), Some(expected.1));
        assert_eq!(row.state.session.last_used, expected.0);
    }
}

#[test]
fn sessions_are_read_back_listed_and_ended_once() {
    let fixture = Fixture::new();
    let token = fixture.stored(|_| ());
    let mut sessions = [
        fixture.session(token.id),
        fixture.session(token.id),
        fixture.session(token.id),
    ];
    sessions[0].opened = NOW + 9;
    sessions[0].generation = 3;
    fixture.write(|transaction| {
        for session in &sessions {
            transaction.insert_session(session).unwrap();
        }
    });
    let read = fixture.store.read().unwrap();
    let state = read.session_state(sessions[0].id).unwrap().unwrap();
    assert_eq!(state.session, sessions[0]);
    assert_eq!(Some(state.token), read.token_state(token.id).unwrap());
    assert_eq!(
        fixture.store.session(sessions[0].id).unwrap().unwrap().state,
        state
    );
    assert_eq!(
        read.list_open_sessions(token.id).unwrap(),
        [sessions[1], sessions[2], sessions[0]]
    );
    assert_eq!(read.list_open_sessions(id()).unwrap(), []);
    let end = End {
        at: NOW,
        cause: Cause::SessionClosed,
    };
    fixture.write(|transaction| transaction.end_session(sessions[1].id, end).unwrap());
    fixture.write(|transaction| transaction.end_session(sessions[1].id, revoked(NOW + 1)).unwrap());
    let read = fixture.store.read().unwrap();
    assert_eq!(
        read.session_state(sessions[1].id).unwrap().unwrap().session.ended,
        Some(end)
    );
    assert_eq!(
        read.list_open_sessions(token.id).unwrap(),
        [sessions[2], sessions[0]]
    );
}

#[test]
fn a_token_needs_an_owner_of_its_tenant_an_audience_and_an_epoch_that_has_come() {
    let fixture = Fixture::new();
    let other = id();
    let mut transaction = fixture.store.begin().unwrap();
    insert_tenant(&mut *transaction, other, "other");
    let mut refuse = |change: &dyn Fn(&mut Token)| {
        let mut token = fixture.token();
        change(&mut token);
        transaction.insert_token(&token, "x").unwrap_err()
    };
    assert!(matches!(
        refuse(&|token| token.owner = id()),
        StoreError::NotFound { what: "user", .. }
    ));
    assert!(matches!(
        refuse(&|token| token.tenant = other),
        StoreError::NotFound { .. }
    ));
    assert!(matches!(
        refuse(&|token| token.audience = 77),
        StoreError::Unavailable(_)
    ));
    assert!(matches!(
        refuse(&|token| token.owner_epoch = 1),
        StoreError::Unavailable(_)
    ));
    assert!(matches!(
        refuse(&|token| token.tenant_epoch = 1),
        StoreError::Unavailable(_)
    ));
    assert!(matches!(
        refuse(&|token| token.expires = u64::MAX),
        StoreError::Unavailable(_)
    ));
    let token = fixture.token();
    transaction.insert_token(&token, "x").unwrap();
    assert!(matches!(
        transaction.insert_token(&token, "y").unwrap_err(),
        StoreError::Exists { .. }
    ));
}

#[test]
fn token_rows_are_filtered_and_paged() {
    let fixture = Fixture::new();
    let (bob, other, carol) = (id(), id(), id());
    let mut expected = Vec::new();
    fixture.write(|transaction| {
        insert_user(transaction, bob, fixture.tenant, "bob");
        insert_tenant(transaction, other, "other");
        insert_user(transaction, carol, other, "carol");
        for (owner, tenant) in [
            (fixture.owner, fixture.tenant),
            (bob, fixture.tenant),
            (carol, other),
        ] {
            for expires in [NOW, NOW + DAY] {
                let token = Token {
                    owner,
                    tenant,
                    expires,
                    ..fixture.token()
                };
                transaction.insert_token(&token, "x").unwrap();
                expected.push(token.id);
            }
        }
    });
    let read = fixture.store.read().unwrap();
    let list = |filter: TokenFilter| {
        read.token_rows(&filter)
            .unwrap()
            .into_iter()
            .map(|row| row.state.token.id)
            .collect::<Vec<_>>()
    };
    let all = TokenFilter {
        limit: 100,
        ..TokenFilter::default()
    };
    assert_eq!(list(all.clone()), expected);
    assert_eq!(
        list(TokenFilter {
            tenant: Some(fixture.tenant),
            ..all.clone()
        }),
        expected[..4]
    );
    assert_eq!(
        list(TokenFilter {
            owner: Some(bob),
            ..all.clone()
        }),
        expected[2..4]
    );
    assert_eq!(
        list(TokenFilter {
            owner: Some(bob),
            tenant: Some(other),
            ..all.clone()
        }),
        []
    );
    let live = TokenFilter {
        live: Some(crate::support::rule()),
        ..all.clone()
    };
    assert_eq!(list(live.clone()), [expected[1], expected[3], expected[5]]);
    let page = TokenFilter {
        after: Some(expected[1]),
        limit: 1,
        ..live
    };
    assert_eq!(list(page), [expected[3]]);
}

#[test]
fn a_transaction_that_is_dropped_changes_nothing() {
    let fixture = Fixture::new();
    let token = fixture.stored(|_| ());
    let before = fixture.store.token(token.id).unwrap().unwrap().row;
    let born = fixture.token();
    let mut transaction = fixture.store.begin().unwrap();
    transaction.insert_token(&born, "x").unwrap();
    transaction.end_token(token.id, revoked(NOW)).unwrap();
    transaction
        .set_auth_method(Scope::Tenant(fixture.tenant), "saml", NOW)
        .unwrap();
    transaction
        .append_audit(NOW, "revoke_personal_access_token", None, "{}")
        .unwrap();
    transaction.put_clock_mark(NOW, false).unwrap();
    assert!(
        transaction.token_state(born.id).unwrap().is_some(),
        "it sees its own writes"
    );
    drop(transaction);
    assert_eq!(fixture.store.token(token.id).unwrap().unwrap().row, before);
    let read = fixture.store.read().unwrap();
    assert_eq!(read.token_state(born.id).unwrap(), None);
    assert_eq!(
        read.auth_method(Scope::Tenant(fixture.tenant))
            .unwrap()
            .as_deref(),
        Some("password")
    );
    assert_eq!(
        (read.audit_head().unwrap().seq, read.clock_mark().unwrap()),
        (0, 0)
    );
}

#[test]
fn a_view_stays_as_it_was_when_it_was_taken() {
    let fixture = Fixture::new();
    let read = fixture.store.read().unwrap();
    let token = fixture.stored(|_| ());
    assert_eq!(read.token_state(token.id).unwrap(), None);
    assert!(
        fixture
            .store
            .read()
            .unwrap()
            .token_state(token.id)
            .unwrap()
            .is_some()
    );
}

#[test]
fn a_stored_value_that_makes_no_sense_is_corruption_and_never_a_default() {
    let fixture = Fixture::new();
    let token = fixture.stored(|_| ());
    let raw = raw(fixture.dir.path());
    raw.pragma_update(None, "ignore_check_constraints", true).unwrap();
    let spoil = |set: &str| {
        raw.execute_batch("SAVEPOINT whole").unwrap();
        raw.execute_batch(set).unwrap();
        raw.execute_batch("RELEASE whole").unwrap();
        let found = fixture.store.token(token.id);
        assert!(matches!(found, Err(StoreError::Corrupt(_))), "{set}: {found:?}");
    };
    for (spoiled, mended) in [
        (
            "UPDATE token SET digest = x'00'",
            "UPDATE token SET digest = zeroblob(32)",
        ),
        (
            "UPDATE token SET digest = NULL",
            "UPDATE token SET digest = zeroblob(32)",
        ),
        ("UPDATE token SET scheme = 256", "UPDATE token SET scheme = 1"),
        ("UPDATE token SET expires = -1", "UPDATE token SET expires = 1"),
        (
            "UPDATE token SET previous_until = 1",
            "UPDATE token SET previous_until = NULL",
        ),
        (
            "UPDATE token SET ended_at = 1",
            "UPDATE token SET ended_at = NULL",
        ),
        (
            "UPDATE token SET ended_at = 1, ended_cause = 'boredom'",
            "UPDATE token SET ended_at = NULL, ended_cause = NULL",
        ),
        ("UPDATE user SET enabled = 2", "UPDATE user SET enabled = 1"),
        ("UPDATE user SET roles = 'admin'", "UPDATE user SET roles = '[]'"),
    ] {
        spoil(spoiled);
        raw.execute_batch(mended).unwrap();
        assert!(fixture.store.token(token.id).is_ok(), "{mended}");
    }
}
