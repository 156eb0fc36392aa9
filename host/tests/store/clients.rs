use patrol::store::{NewClientRow, Store, StoreError};
use patrol_policy::types::{Digest, Id};

use crate::support::{Fixture, NOW, digest, id, open, raw};

/// A client as it is born now.
fn new<'a>(name: &'a str, audiences: &'a [String]) -> NewClientRow<'a> {
    NewClientRow {
        id: id(),
        name,
        tenant: None,
        audiences,
        scheme: 1,
        digest: digest(7),
        created: NOW,
        expires: None,
    }
}

fn api() -> Vec<String> {
    vec!["api".to_owned()]
}

#[test]
fn a_client_is_read_as_it_was_stored() {
    let fixture = Fixture::new();
    let audiences = ["stock", "api", "stock"].map(str::to_owned);
    let client = NewClientRow {
        tenant: Some(fixture.tenant),
        expires: Some(NOW + 1),
        ..new("apache", &audiences)
    };
    fixture.write(|transaction| transaction.insert_client(&client).unwrap());
    let row = fixture.store.client(client.id).unwrap().unwrap();
    assert_eq!((row.id, row.name.as_str()), (client.id, "apache"));
    assert_eq!(row.tenant, Some((fixture.tenant, "acme".to_owned())));
    assert_eq!(row.audiences, ["api", "stock"], "sorted, each once");
    assert_eq!((row.scheme, row.digest), (1, digest(7)));
    assert_eq!(
        (row.created, row.expires, row.revoked),
        (NOW, Some(NOW + 1), None)
    );
    let read = fixture.store.read().unwrap();
    assert_eq!(read.client_row(client.id).unwrap().as_ref(), Some(&*row));
    assert_eq!(fixture.store.client(id()).unwrap(), None);
}

#[test]
fn a_name_is_taken_until_its_client_is_revoked() {
    let fixture = Fixture::new();
    let audiences = api();
    let first = new("apache", &audiences);
    fixture.write(|transaction| transaction.insert_client(&first).unwrap());
    let second = new("apache", &audiences);
    let mut transaction = fixture.store.begin().unwrap();
    let error = transaction.insert_client(&second).unwrap_err();
    assert_eq!(error.to_string(), "client \"apache\" exists already");
    drop(transaction);
    fixture.write(|transaction| {
        transaction.revoke_client(first.id, NOW).unwrap();
        transaction.insert_client(&second).unwrap();
        transaction.insert_client(&new("aardvark", &audiences)).unwrap();
    });
    let read = fixture.store.read().unwrap();
    let names = |revoked| -> Vec<_> {
        let rows = read.clients(revoked).unwrap();
        rows.into_iter().map(|row| (row.name, row.revoked)).collect()
    };
    let row = |name: &str, revoked| (name.to_owned(), revoked);
    assert_eq!(names(false), [row("aardvark", None), row("apache", None)]);
    assert_eq!(
        names(true),
        [
            row("aardvark", None),
            row("apache", Some(NOW)),
            row("apache", None)
        ]
    );
}

#[test]
fn a_revoked_client_has_no_digest_and_never_gets_one_back() {
    let fixture = Fixture::new();
    let audiences = api();
    let client = new("apache", &audiences);
    fixture.write(|transaction| {
        transaction.insert_client(&client).unwrap();
        transaction
            .replace_client_secret(client.id, 1, digest(8))
            .unwrap();
    });
    assert_eq!(
        fixture.store.client(client.id).unwrap().unwrap().digest,
        digest(8)
    );
    fixture.write(|transaction| {
        transaction.revoke_client(client.id, NOW).unwrap();
        transaction.revoke_client(client.id, NOW + 9).unwrap();
        let refused = transaction.replace_client_secret(client.id, 1, digest(9));
        assert!(matches!(refused, Err(StoreError::NotFound { .. })));
        assert!(transaction.replace_client_secret(id(), 1, digest(9)).is_err());
    });
    let row = fixture.store.client(client.id).unwrap().unwrap();
    assert_eq!(
        (row.scheme, row.digest, row.revoked),
        (0, Digest::default(), Some(NOW))
    );
    let raw = raw(fixture.dir.path());
    for change in [
        "UPDATE client SET revoked_at = NULL",
        "UPDATE client SET scheme = 1",
        "UPDATE client SET digest = zeroblob(32)",
    ] {
        assert!(raw.execute(change, []).is_err(), "{change}");
    }
}

#[test]
fn a_tenant_that_is_not_there_is_an_error_and_no_lack_of_a_limit() {
    let fixture = Fixture::new();
    let audiences = api();
    let client = NewClientRow {
        tenant: Some(Id::from_u128(5)),
        ..new("apache", &audiences)
    };
    let mut transaction = fixture.store.begin().unwrap();
    let error = transaction.insert_client(&client).unwrap_err();
    assert!(
        matches!(error, StoreError::NotFound { what: "tenant", .. }),
        "{error}"
    );
    assert_eq!(transaction.client_row(client.id).unwrap(), None);
}

#[test]
fn a_kept_client_is_read_anew_after_a_second_store_has_changed_it() {
    let fixture = Fixture::new();
    let audiences = api();
    let client = new("apache", &audiences);
    fixture.write(|transaction| transaction.insert_client(&client).unwrap());
    let read = || fixture.store.client(client.id).unwrap().unwrap();
    assert!(
        std::sync::Arc::ptr_eq(&read(), &read()),
        "the same row, from memory"
    );
    let second = open(fixture.dir.path());
    let mut transaction = second.begin().unwrap();
    transaction.revoke_client(client.id, NOW).unwrap();
    assert_eq!(read().revoked, None, "not before the commit");
    transaction.commit().unwrap();
    assert_eq!(read().revoked, Some(NOW));
}
