use patrol::store::sqlite::{AuditVerdict, ChainFault, ChainVerifier, verify_audit};
use patrol::store::{AuditEntry, AuditFilter, AuditHead, Read, Store};
use sha2::{Digest as _, Sha256};

use crate::support::{Fixture, NOW, id, raw};

fn broken(seq: u64, fault: ChainFault) -> AuditVerdict {
    AuditVerdict::Broken { seq, fault }
}

fn entries(read: &dyn Read, filter: &AuditFilter) -> Vec<AuditEntry> {
    let mut all = Vec::new();
    read.audit(filter, &mut |entry| {
        all.push(entry);
        true
    })
    .unwrap();
    all
}

/// A chain of ten, three to a transaction.
fn chain() -> Fixture {
    let fixture = Fixture::new();
    for group in [0..3, 3..6, 6..10] {
        fixture.write(|transaction| {
            for n in group {
                let user = (n % 2 == 0).then_some(fixture.owner);
                let kind = if n % 5 == 0 {
                    "login_with_personal_access_token"
                } else {
                    "revoke_session"
                };
                transaction
                    .append_audit(NOW + n, kind, user, &format!("{{\"n\":{n}}}"))
                    .unwrap();
            }
        });
    }
    fixture
}

/// The verdict after somebody wrote to the file.
fn after(tampering: &str) -> AuditVerdict {
    let fixture = chain();
    raw(fixture.dir.path()).execute_batch(tampering).unwrap();
    let verdict = verify_audit(&*fixture.store.read().unwrap()).unwrap();
    let problems = fixture.store.check().unwrap();
    assert_eq!(
        problems.is_empty(),
        matches!(verdict, AuditVerdict::Sound(_)),
        "{problems:?}"
    );
    verdict
}

#[test]
fn a_chain_is_numbered_without_gaps_and_sound() {
    let fixture = chain();
    let read = fixture.store.read().unwrap();
    let all = entries(&*read, &AuditFilter::default());
    assert_eq!(
        all.iter().map(|entry| entry.seq).collect::<Vec<_>>(),
        (1..=10).collect::<Vec<_>>()
    );
    assert_eq!(all[2].body, "{\"n\":2}");
    assert_eq!((all[2].at, all[2].user), (NOW + 2, Some(fixture.owner)));
    let head = AuditHead {
        seq: 10,
        hash: all[9].hash,
    };
    assert_eq!(read.audit_head().unwrap(), head);
    assert_eq!(verify_audit(&*read).unwrap(), AuditVerdict::Sound(head));
    assert_eq!(fixture.store.check().unwrap(), Vec::<String>::new());
}

#[test]
fn an_empty_chain_is_sound() {
    let fixture = Fixture::new();
    let verdict = verify_audit(&*fixture.store.read().unwrap()).unwrap();
    assert_eq!(verdict, AuditVerdict::Sound(AuditHead::default()));
}

#[test]
fn every_altered_field_is_found() {
    for field in [
        "body = '{}'",
        "at = at + 1",
        "type = 'x'",
        "user = NULL",
        "user = zeroblob(16)",
    ] {
        assert_eq!(
            after(&format!("UPDATE audit SET {field} WHERE seq = 5")),
            broken(5, ChainFault::Altered)
        );
    }
    let moved = "UPDATE audit SET type = type || substr(body, 1, 1), body = substr(body, 2) WHERE seq = 8";
    assert_eq!(after(moved), broken(8, ChainFault::Altered));
}

#[test]
fn a_removed_entry_is_found_in_the_middle_at_the_start_and_at_the_end() {
    assert_eq!(
        after("DELETE FROM audit WHERE seq = 4"),
        broken(4, ChainFault::Missing)
    );
    assert_eq!(
        after("DELETE FROM audit WHERE seq = 1"),
        broken(1, ChainFault::Missing)
    );
    assert_eq!(
        after("DELETE FROM audit WHERE seq = 10"),
        broken(10, ChainFault::Missing)
    );
    assert_eq!(
        after("DELETE FROM audit WHERE seq > 6"),
        broken(7, ChainFault::Missing)
    );
    assert_eq!(after("DELETE FROM audit"), broken(1, ChainFault::Missing));
}

#[test]
fn a_removed_entry_whose_gap_was_closed_is_found() {
    let closed = "DELETE FROM audit WHERE seq = 4; UPDATE audit SET seq = seq - 1 WHERE seq > 4";
    assert_eq!(after(closed), broken(4, ChainFault::Altered));
}

#[test]
fn an_inserted_entry_is_found() {
    let between = "UPDATE audit SET seq = -seq WHERE seq > 4; UPDATE audit SET seq = 1 - seq WHERE seq < 0; \
        INSERT INTO audit SELECT 5, at, type, user, body, hash FROM audit WHERE seq = 4";
    assert_eq!(after(between), broken(5, ChainFault::Altered));
    let behind = "INSERT INTO audit SELECT 11, at, type, user, body, hash FROM audit WHERE seq = 10";
    assert_eq!(after(behind), broken(11, ChainFault::Altered));
}

#[test]
fn swapped_entries_are_found() {
    let swapped = "UPDATE audit SET seq = 0 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = 8; \
        UPDATE audit SET seq = 8 WHERE seq = 0";
    assert_eq!(after(swapped), broken(3, ChainFault::Altered));
}

#[test]
fn a_head_that_does_not_fit_is_found() {
    assert_eq!(
        after("UPDATE meta SET audit_hash = zeroblob(32)"),
        broken(10, ChainFault::HeadMismatch)
    );
    assert_eq!(
        after("UPDATE meta SET audit_seq = 9"),
        broken(10, ChainFault::HeadMismatch)
    );
    assert_eq!(
        after("UPDATE meta SET audit_seq = 12"),
        broken(11, ChainFault::Missing)
    );
}

#[test]
fn entries_that_come_out_of_order_are_found() {
    let fixture = chain();
    let read = fixture.store.read().unwrap();
    let all = entries(&*read, &AuditFilter::default());
    let mut verifier = ChainVerifier::default();
    for n in [0, 1, 2, 1] {
        verifier.next(&all[n]);
    }
    assert_eq!(
        verifier.finish(read.audit_head().unwrap()),
        broken(2, ChainFault::OutOfOrder)
    );
}

#[test]
fn entries_are_filtered_by_time_user_type_and_number() {
    let fixture = chain();
    let read = fixture.store.read().unwrap();
    let list = |filter: AuditFilter| {
        entries(&*read, &filter)
            .into_iter()
            .map(|entry| entry.seq)
            .collect::<Vec<_>>()
    };
    let all = AuditFilter::default();
    let hour = AuditFilter {
        since: Some(NOW + 2),
        until: Some(NOW + 5),
        ..all.clone()
    };
    assert_eq!(list(hour), [3, 4, 5]);
    assert_eq!(
        list(AuditFilter {
            user: Some(fixture.owner),
            ..all.clone()
        }),
        [1, 3, 5, 7, 9]
    );
    assert_eq!(
        list(AuditFilter {
            user: Some(id()),
            ..all.clone()
        }),
        [0; 0]
    );
    let logins = Some("login_with_personal_access_token".to_owned());
    assert_eq!(
        list(AuditFilter {
            event_type: logins,
            ..all.clone()
        }),
        [1, 6]
    );
    assert_eq!(
        list(AuditFilter {
            after: 8,
            ..all.clone()
        }),
        [9, 10]
    );
    assert_eq!(
        list(AuditFilter {
            last: Some(3),
            ..all.clone()
        }),
        [8, 9, 10]
    );
    let some = AuditFilter {
        last: Some(2),
        user: Some(fixture.owner),
        until: Some(NOW + 7),
        ..all.clone()
    };
    assert_eq!(list(some), [5, 7]);
    let mut seen = 0;
    read.audit(&all, &mut |_| {
        seen += 1;
        seen < 4
    })
    .unwrap();
    assert_eq!(seen, 4, "it stops when told to");
}

/// The hash as the documentation has it, written down a second time.
fn hash(before: [u8; 32], entry: &AuditEntry) -> [u8; 32] {
    let mut bytes = before.to_vec();
    let user = entry.user.map_or(Vec::new(), |user| user.to_bytes().to_vec());
    for field in [
        entry.seq.to_be_bytes().to_vec(),
        entry.at.to_be_bytes().to_vec(),
        entry.event_type.clone().into_bytes(),
        user,
        entry.body.clone().into_bytes(),
    ] {
        bytes.extend((field.len() as u64).to_be_bytes());
        bytes.extend(field);
    }
    Sha256::digest(bytes).into()
}

#[test]
fn each_hash_is_over_the_one_before_and_the_entry() {
    let fixture = chain();
    let mut before = [0; 32];
    for entry in entries(&*fixture.store.read().unwrap(), &AuditFilter::default()) {
        assert_eq!(entry.hash, hash(before, &entry), "{}", entry.seq);
        before = entry.hash;
    }
}

#[test]
fn an_altered_entry_with_a_new_hash_shows_at_the_next() {
    let fixture = chain();
    let all = entries(&*fixture.store.read().unwrap(), &AuditFilter::default());
    for (altered, expected) in [
        (4, broken(6, ChainFault::Altered)),
        (9, broken(10, ChainFault::HeadMismatch)),
    ] {
        let mut forged = AuditEntry {
            body: "{}".to_owned(),
            ..all[altered].clone()
        };
        forged.hash = hash(all[altered - 1].hash, &forged);
        let update = "UPDATE audit SET body = ?1, hash = ?2 WHERE seq = ?3";
        let raw = raw(fixture.dir.path());
        raw.execute(update, (&forged.body, forged.hash, forged.seq))
            .unwrap();
        assert_eq!(verify_audit(&*fixture.store.read().unwrap()).unwrap(), expected);
        raw.execute(update, (&all[altered].body, all[altered].hash, forged.seq))
            .unwrap();
    }
}

#[test]
fn an_entry_that_cannot_be_read_is_a_problem_like_any_other() {
    let fixture = chain();
    let raw = raw(fixture.dir.path());
    raw.pragma_update(None, "ignore_check_constraints", true).unwrap();
    raw.execute_batch("UPDATE audit SET hash = x'00' WHERE seq = 3")
        .unwrap();
    assert!(verify_audit(&*fixture.store.read().unwrap()).is_err());
    let problems = fixture.store.check().unwrap();
    assert!(
        problems
            .iter()
            .any(|problem| problem.starts_with("the audit trail cannot be read")),
        "{problems:?}"
    );
}

#[test]
fn rows_that_refer_to_nothing_are_found_by_the_check() {
    let fixture = Fixture::new();
    fixture.stored(|_| ());
    let raw = raw(fixture.dir.path());
    raw.execute_batch("PRAGMA foreign_keys = OFF; UPDATE token SET owner = 99")
        .unwrap();
    let problems = fixture.store.check().unwrap();
    assert_eq!(
        problems,
        ["1 rows of table token refer to rows that are not there"]
    );
}
