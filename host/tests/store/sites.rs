use patrol::store::{AuditHour, NewSite, NewUser, SiteScope, Store, StoreError};
use patrol_policy::types::{HOUR, Id};

use crate::support::{Fixture, NOW, id, insert_tenant, open, raw};

fn insert(fixture: &Fixture, tenant: Id, name: &str, content_url: &str) -> Result<Id, StoreError> {
    let id = id();
    let site = NewSite {
        id,
        tenant,
        name,
        content_url,
        created: NOW,
    };
    fixture.write(|transaction| transaction.insert_site(&site))?;
    Ok(id)
}

#[test]
fn sites_are_listed_of_their_tenant_in_order_a_page_at_a_time() {
    let fixture = Fixture::new();
    let other = id();
    fixture.write(|transaction| insert_tenant(transaction, other, "umbrella"));
    let names = ["b", "a", "c"];
    let ids = names.map(|name| insert(&fixture, fixture.tenant, name, name).unwrap());
    insert(&fixture, other, "a", "a").unwrap();
    let read = fixture.store.read().unwrap();
    let page = |after, limit| -> Vec<String> {
        let rows = read.sites(fixture.tenant, after, limit).unwrap();
        rows.into_iter().map(|row| row.name).collect()
    };
    assert_eq!(page(None, 10), names);
    assert_eq!(page(None, 2), names[..2]);
    assert_eq!(page(Some(ids[1]), 10), names[2..]);
    assert_eq!(page(Some(ids[2]), 10), Vec::<String>::new());
    let site = read.site(ids[0]).unwrap().unwrap();
    assert_eq!((site.tenant, site.tenant_name.as_str()), (fixture.tenant, "acme"));
    assert_eq!((site.content_url.as_str(), site.created), ("b", NOW));
    assert_eq!(read.sites_by_name(None, "a").unwrap().len(), 2);
    assert_eq!(read.sites_by_name(Some(other), "a").unwrap()[0].tenant, other);
    assert_eq!(read.site(id()).unwrap(), None);
}

#[test]
fn a_sites_name_and_its_part_of_addresses_are_its_own_in_the_tenant() {
    let fixture = Fixture::new();
    let one = insert(&fixture, fixture.tenant, "one", "first").unwrap();
    let two = insert(&fixture, fixture.tenant, "two", "second").unwrap();
    let taken =
        |result: Result<Id, StoreError>| matches!(result, Err(StoreError::Exists { what: "site", .. }));
    assert!(taken(insert(&fixture, fixture.tenant, "one", "third")));
    assert!(taken(insert(&fixture, fixture.tenant, "three", "first")));
    let nowhere = insert(&fixture, id(), "four", "fourth");
    assert!(matches!(
        nowhere,
        Err(StoreError::NotFound { what: "tenant", .. })
    ));
    fixture.write(|transaction| {
        assert!(matches!(
            transaction.rename_site(two, "one"),
            Err(StoreError::Exists { .. })
        ));
        transaction.delete_site(one).unwrap();
        transaction.rename_site(two, "one").unwrap();
        for gone in [transaction.delete_site(one), transaction.rename_site(one, "x")] {
            assert!(
                matches!(gone, Err(StoreError::NotFound { what: "site", .. })),
                "{gone:?}"
            );
        }
    });
}

#[test]
fn users_are_listed_by_identifier_without_the_deleted_ones() {
    let fixture = Fixture::new();
    let ids: Vec<Id> = (0..4).map(|_| id()).collect();
    fixture.write(|transaction| {
        // Not made in the order of their identifiers.
        for at in [2, 0, 3, 1] {
            let user = NewUser {
                id: ids[at],
                tenant: fixture.tenant,
                name: &format!("user{at}"),
                email: None,
                roles: &[],
                created: NOW,
            };
            transaction.insert_user(&user).unwrap();
        }
        transaction.delete_user(ids[1], NOW).unwrap();
    });
    let read = fixture.store.read().unwrap();
    let page = |after, limit| -> Vec<Id> {
        let rows = read.users_page(fixture.tenant, after, limit).unwrap();
        rows.into_iter().map(|row| row.id).collect()
    };
    assert_eq!(page(None, 10), [fixture.owner, ids[0], ids[2], ids[3]]);
    assert_eq!(page(Some(ids[0]), 1), [ids[2]]);
    // One that is gone is a place in the order all the same.
    assert_eq!(page(Some(ids[1]), 10), [ids[2], ids[3]]);
    assert_eq!(read.users_page(id(), None, 10).unwrap(), []);
}

#[test]
fn hours_of_the_trail_are_told_with_their_size_for_one_tenant_and_site() {
    let fixture = Fixture::new();
    let (site, elsewhere) = (id(), id());
    let hour = NOW / HOUR;
    let body = |tenant: Id, more: &str| format!("{{\"tenantId\":\"{tenant}\"{more}}}");
    let mine = body(fixture.tenant, ",\"name\":\"Zoé\"");
    let at_site = body(fixture.tenant, &format!(",\"siteId\":\"{site}\""));
    let at_other = body(fixture.tenant, &format!(",\"siteId\":\"{elsewhere}\""));
    fixture.write(|transaction| {
        let mut append = |at, body: &str| transaction.append_audit(at, "x", None, body).unwrap();
        append(hour * HOUR, &mine);
        append((hour + 1) * HOUR - 1, &at_site);
        append(hour * HOUR + 5, &at_other);
        append(hour * HOUR + 5, &body(id(), ""));
        append(hour * HOUR + 5, "{}");
        append((hour + 2) * HOUR, &mine);
        // A little out of order, as refusals may be.
        append(hour * HOUR + 9, &mine);
    });
    let scope = SiteScope {
        tenant: fixture.tenant,
        site,
    };
    let read = fixture.store.read().unwrap();
    let size = |bodies: &[&String]| bodies.iter().map(|body| body.len() as u64 + 1).sum();
    let first = AuditHour {
        hour,
        bytes: size(&[&mine, &at_site, &mine]),
    };
    let second = AuditHour {
        hour: hour + 2,
        bytes: size(&[&mine]),
    };
    let hours = |from, until, limit| read.audit_hours(scope, from, until, limit).unwrap();
    assert_eq!(hours(0, u64::MAX, 10), [first, second]);
    assert_eq!(hours(0, u64::MAX, 1), [first]);
    assert_eq!(hours(hour + 1, hour + 3, 10), [second]);
    assert_eq!(hours(hour + 1, hour + 2, 10), []);
    assert_eq!(hours(hour, hour + 1, 10), [first]);
    let entries = |after, limit| read.audit_hour(scope, hour, after, limit).unwrap();
    let all = [(1, mine.clone()), (2, at_site), (7, mine)];
    assert_eq!(entries(0, 10), all);
    assert_eq!(entries(1, 1), all[1..2]);
    assert_eq!(entries(7, 10), []);
}

#[test]
fn a_body_that_somebody_spoilt_is_in_nobodys_hours_and_stops_nothing() {
    let fixture = Fixture::new();
    let body = format!("{{\"tenantId\":\"{}\"}}", fixture.tenant);
    fixture.write(|transaction| {
        for _ in 0..3 {
            transaction.append_audit(NOW, "x", None, &body).unwrap();
        }
    });
    let spoil = "UPDATE audit SET body = substr(body, 2) WHERE seq = 2";
    raw(fixture.dir.path()).execute(spoil, []).unwrap();
    let scope = SiteScope {
        tenant: fixture.tenant,
        site: id(),
    };
    let read = fixture.store.read().unwrap();
    let entries = read.audit_hour(scope, NOW / HOUR, 0, 10).unwrap();
    assert_eq!(entries.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [1, 3]);
    fixture.write(|transaction| transaction.append_audit(NOW, "x", None, &body).unwrap());
}

#[test]
fn a_data_file_from_before_there_were_sites_gets_one_for_each_tenant() {
    let fixture = Fixture::new();
    let other = id();
    fixture.write(|transaction| {
        insert_tenant(transaction, other, "umbrella");
        transaction.set_password_hash(fixture.owner, "hash").unwrap();
        let body = format!("{{\"tenantId\":\"{other}\"}}");
        transaction.append_audit(NOW, "x", None, &body).unwrap();
    });
    let Fixture {
        store,
        dir,
        tenant,
        owner,
        ..
    } = fixture;
    drop(store);
    // As it was: what that version did not have is taken away.
    let connection = raw(dir.path());
    let tables: Vec<String> = connection
        .prepare(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT IN
             ('meta', 'tenant', 'user', 'audience', 'token', 'session', 'audit', 'client')",
        )
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    connection.pragma_update(None, "foreign_keys", false).unwrap();
    for table in tables {
        connection.execute_batch(&format!("DROP TABLE {table}")).unwrap();
    }
    connection
        .execute_batch(
            "DROP INDEX user_page; DROP INDEX user_email; DROP INDEX audit_hour;
             ALTER TABLE user DROP COLUMN password_epoch; ALTER TABLE meta DROP COLUMN pepper_check;
             DROP INDEX token_due; DROP INDEX token_page; DROP INDEX token_name; DROP INDEX token_used;
             ALTER TABLE token DROP COLUMN lapses; ALTER TABLE token DROP COLUMN title;
             ALTER TABLE token DROP COLUMN tenant;
             CREATE INDEX token_due ON token (min(expires, coalesce(last_used, created) + 1296000000))
                 WHERE ended_at IS NULL;
             PRAGMA user_version = 2;",
        )
        .unwrap();
    let store = open(dir.path());
    let read = store.read().unwrap();
    let mut ids = Vec::new();
    for tenant in [tenant, other] {
        let sites = read.sites(tenant, None, 10).unwrap();
        let [site] = &sites[..] else { panic!("{sites:?}") };
        assert_eq!((site.name.as_str(), site.content_url.as_str()), ("Default", ""));
        // A version 4 UUID.
        let text = site.id.to_string();
        assert_eq!((&text[14..15], &text[19..20]), ("4", "8"), "{text}");
        ids.push(site.id);
    }
    assert_ne!(ids[0], ids[1]);
    let password = read.password(owner).unwrap().unwrap();
    assert_eq!((password.hash.as_deref(), password.epoch), (Some("hash"), 0));
    let scope = SiteScope {
        tenant: other,
        site: ids[1],
    };
    assert_eq!(read.audit_hours(scope, 0, u64::MAX, 10).unwrap().len(), 1);
    assert_eq!(store.check().unwrap(), Vec::<String>::new());
}
