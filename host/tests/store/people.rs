use patrol::store::{NewTenant, NewUser, Store, StoreError};
use patrol_policy::types::{Scope, Token};

use crate::support::{Fixture, NOW, id, insert_tenant, insert_user};

#[test]
fn tenants_are_found_by_identifier_and_by_name() {
    let fixture = Fixture::new();
    let other = id();
    fixture.write(|transaction| {
        let tenant = NewTenant {
            id: other,
            name: "aardvark",
            auth_method: "saml",
            multi_factor: true,
            created: NOW,
        };
        transaction.insert_tenant(&tenant).unwrap();
        transaction.set_multi_factor(fixture.tenant, true).unwrap();
        let error = transaction
            .insert_tenant(&NewTenant { id: id(), ..tenant })
            .unwrap_err();
        assert_eq!(error.to_string(), "tenant \"aardvark\" exists already");
        assert!(matches!(
            transaction.set_multi_factor(id(), true),
            Err(StoreError::NotFound { .. })
        ));
    });
    let read = fixture.store.read().unwrap();
    let row = read.tenant(other).unwrap().unwrap();
    assert_eq!(
        (row.name.as_str(), row.auth_method.as_str()),
        ("aardvark", "saml")
    );
    assert_eq!(
        (row.multi_factor, row.epoch, row.epoch_since, row.created),
        (true, 0, 0, NOW)
    );
    assert_eq!(read.tenant_by_name("aardvark").unwrap(), Some(row));
    assert_eq!(read.tenant_by_name("Aardvark").unwrap(), None);
    assert_eq!(read.tenant(id()).unwrap(), None);
    let names: Vec<_> = read.tenants().unwrap().into_iter().map(|row| row.name).collect();
    assert_eq!(names, ["aardvark", "acme"]);
    assert!(read.owner(fixture.owner).unwrap().unwrap().multi_factor);
}

#[test]
fn users_are_found_by_identifier_name_and_tenant() {
    let fixture = Fixture::new();
    let (other, bob, namesake) = (id(), id(), id());
    fixture.write(|transaction| {
        insert_tenant(transaction, other, "zoo");
        insert_user(transaction, bob, fixture.tenant, "bob");
        insert_user(transaction, namesake, other, "alice");
    });
    let read = fixture.store.read().unwrap();
    let ids = |rows: Vec<patrol::store::UserRow>| rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
    assert_eq!(
        ids(read.users(None, false).unwrap()),
        [fixture.owner, bob, namesake]
    );
    assert_eq!(ids(read.users(Some(other), false).unwrap()), [namesake]);
    assert_eq!(
        ids(read.users_by_name(None, "alice").unwrap()),
        [fixture.owner, namesake]
    );
    assert_eq!(ids(read.users_by_name(Some(other), "alice").unwrap()), [namesake]);
    assert_eq!(ids(read.users_by_name(None, "Alice").unwrap()), []);
    let row = read.user(bob).unwrap().unwrap();
    assert_eq!(
        (row.name.as_str(), row.tenant, row.tenant_name.as_str()),
        ("bob", fixture.tenant, "acme")
    );
    assert_eq!(
        (row.enabled, row.deleted, row.has_password, row.created),
        (true, None, false, NOW)
    );
    assert_eq!(read.user(id()).unwrap(), None);
}

#[test]
fn user_settings_are_changed_one_by_one_r10() {
    let fixture = Fixture::new();
    fixture.write(|transaction| {
        transaction
            .set_password_hash(fixture.owner, "$argon2id$x")
            .unwrap();
        transaction
            .set_email(fixture.owner, Some("a@example.org"))
            .unwrap();
        transaction
            .set_roles(fixture.owner, &["b".into(), "a".into()])
            .unwrap();
        transaction.set_enabled(fixture.owner, false).unwrap();
    });
    let read = fixture.store.read().unwrap();
    let row = read.user(fixture.owner).unwrap().unwrap();
    assert_eq!(row.email.as_deref(), Some("a@example.org"));
    assert_eq!(row.roles, ["a", "b"]);
    assert!(row.has_password && !row.enabled);
    assert!(!read.owner(fixture.owner).unwrap().unwrap().enabled);
    assert_eq!(
        read.password(fixture.owner)
            .unwrap()
            .and_then(|row| row.hash)
            .as_deref(),
        Some("$argon2id$x")
    );
    assert_eq!(read.password(id()).unwrap(), None);
    fixture.write(|transaction| {
        transaction.set_email(fixture.owner, None).unwrap();
        for error in [
            transaction.set_email(id(), None).unwrap_err(),
            transaction.set_roles(id(), &[]).unwrap_err(),
            transaction.set_password_hash(id(), "x").unwrap_err(),
            transaction.set_enabled(id(), true).unwrap_err(),
            transaction.rename_user(id(), "x").unwrap_err(),
            transaction.delete_user(id(), NOW).unwrap_err(),
        ] {
            assert!(
                matches!(error, StoreError::NotFound { what: "user", .. }),
                "{error}"
            );
        }
    });
    assert_eq!(
        fixture
            .store
            .read()
            .unwrap()
            .user(fixture.owner)
            .unwrap()
            .unwrap()
            .email,
        None
    );
}

#[test]
fn a_user_name_is_unique_among_those_not_deleted() {
    let fixture = Fixture::new();
    let bob = id();
    fixture.write(|transaction| {
        insert_user(transaction, bob, fixture.tenant, "bob");
        let twin = NewUser {
            id: id(),
            tenant: fixture.tenant,
            name: "alice",
            email: None,
            roles: &[],
            created: NOW,
        };
        let error = transaction.insert_user(&twin).unwrap_err();
        assert!(
            matches!(&error, StoreError::Exists { what: "user", name } if name == "alice"),
            "{error}"
        );
        assert!(matches!(
            transaction.rename_user(bob, "alice"),
            Err(StoreError::Exists { .. })
        ));
        assert!(matches!(
            transaction.insert_user(&NewUser { tenant: id(), ..twin }),
            Err(StoreError::NotFound { what: "tenant", .. })
        ));
        transaction.set_password_hash(fixture.owner, "hash").unwrap();
        transaction.delete_user(fixture.owner, NOW).unwrap();
        transaction.delete_user(fixture.owner, NOW + 1).unwrap();
        transaction.rename_user(bob, "alice").unwrap();
    });
    let read = fixture.store.read().unwrap();
    let gone = read.user(fixture.owner).unwrap().unwrap();
    assert_eq!((gone.deleted, gone.has_password), (Some(NOW), false));
    assert_eq!(read.owner(fixture.owner).unwrap().unwrap().deleted, Some(NOW));
    assert_eq!(read.users_by_name(None, "alice").unwrap()[0].id, bob);
    assert_eq!(read.users(None, false).unwrap().len(), 1);
    assert_eq!(read.users(None, true).unwrap().len(), 2);
}

#[test]
fn a_users_own_method_goes_before_the_tenants_r9() {
    let fixture = Fixture::new();
    let method = |scope| fixture.store.read().unwrap().auth_method(scope).unwrap();
    let (tenant, owner) = (Scope::Tenant(fixture.tenant), Scope::Owner(fixture.owner));
    assert_eq!(method(owner).as_deref(), Some("password"));
    assert_eq!(method(Scope::Owner(id())), None);
    assert_eq!(method(Scope::Tenant(id())), None);
    fixture.write(|transaction| transaction.set_auth_method(tenant, "saml", NOW + 1).unwrap());
    assert_eq!(
        [method(tenant), method(owner)].map(Option::unwrap),
        ["saml", "saml"]
    );
    fixture.write(|transaction| transaction.set_auth_method(owner, "oidc", NOW + 2).unwrap());
    assert_eq!(
        [method(tenant), method(owner)].map(Option::unwrap),
        ["saml", "oidc"]
    );
    let seen = fixture
        .store
        .read()
        .unwrap()
        .owner(fixture.owner)
        .unwrap()
        .unwrap();
    assert_eq!((seen.epoch, seen.epoch_since), (1, NOW + 2));
    assert_eq!((seen.tenant_epoch, seen.tenant_epoch_since), (1, NOW + 1));
    fixture.write(|transaction| {
        for scope in [Scope::Owner(id()), Scope::Tenant(id())] {
            let error = transaction.set_auth_method(scope, "x", NOW).unwrap_err();
            assert!(matches!(error, StoreError::NotFound { .. }), "{error}");
        }
    });
}

#[test]
fn a_change_of_method_writes_one_row_for_1_token_and_for_10_000_r9() {
    let written = |tokens| {
        let fixture = Fixture::new();
        let mut transaction = fixture.store.begin().unwrap();
        for _ in 0..tokens {
            transaction.insert_token(&fixture.token(), "script").unwrap();
        }
        transaction.commit().unwrap();
        [Scope::Tenant(fixture.tenant), Scope::Owner(fixture.owner)].map(|scope| {
            let mut transaction = fixture.store.begin().unwrap();
            transaction.set_auth_method(scope, "saml", NOW).unwrap();
            let rows = transaction.rows_written();
            transaction.commit().unwrap();
            rows
        })
    };
    assert_eq!(written(1), [1, 1]);
    assert_eq!(written(10_000), [1, 1]);
}

#[test]
fn the_census_counts_tokens_and_owners_of_the_scope_only_r9() {
    let fixture = Fixture::new();
    let (bob, other, carol) = (id(), id(), id());
    fixture.write(|transaction| {
        insert_user(transaction, bob, fixture.tenant, "bob");
        insert_tenant(transaction, other, "other");
        insert_user(transaction, carol, other, "carol");
        for (owner, tenant) in [
            (fixture.owner, fixture.tenant),
            (fixture.owner, fixture.tenant),
            (bob, fixture.tenant),
            (carol, other),
        ] {
            transaction
                .insert_token(
                    &Token {
                        owner,
                        tenant,
                        ..fixture.token()
                    },
                    "x",
                )
                .unwrap();
        }
    });
    let read = fixture.store.read().unwrap();
    let census = |scope| {
        let census = read.census(scope, crate::support::rule()).unwrap();
        (census.tokens, census.owners)
    };
    assert_eq!(census(Scope::Tenant(fixture.tenant)), (3, 2));
    assert_eq!(census(Scope::Owner(fixture.owner)), (2, 1));
    assert_eq!(census(Scope::Tenant(id())), (0, 0));
}

#[test]
fn an_audience_has_one_number() {
    let fixture = Fixture::new();
    let read = fixture.store.read().unwrap();
    assert_eq!(read.audience("rest-api").unwrap(), Some(fixture.audience));
    assert_eq!(read.audience("other").unwrap(), None);
    fixture.write(|transaction| {
        assert_eq!(transaction.intern_audience("rest-api").unwrap(), fixture.audience);
        let other = transaction.intern_audience("other").unwrap();
        assert_ne!(other, fixture.audience);
        assert_eq!(transaction.audience("other").unwrap(), Some(other));
    });
}

#[test]
fn the_clock_mark_is_only_raised_unless_forced() {
    let fixture = Fixture::new();
    let mark = || fixture.store.read().unwrap().clock_mark().unwrap();
    assert_eq!(mark(), 0);
    for (at, force, expected) in [
        (NOW, false, NOW),
        (NOW - 1, false, NOW),
        (NOW - 1, true, NOW - 1),
        (NOW + 1, false, NOW + 1),
    ] {
        fixture.write(|transaction| transaction.put_clock_mark(at, force).unwrap());
        assert_eq!(mark(), expected);
    }
}
