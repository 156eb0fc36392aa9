//! Bound, rolled back, started again: a tenant has what was activated for it last, or what everybody has.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use patrol::release::hex;
use patrol_policy::types::{DAY, RefusalReason};
use patrol_tests::deployment::{assert_refused, operator, verify};
use patrol_tests::policies;
use patrol_tests::wasm::noted;

use crate::support::{Two, issue};

/// The idle period that a new token of `carol` gets, in days: what decides for her.
fn idle_days(patrol: &patrol::service::Patrol, two: &Two) -> u64 {
    let name = format!("n{}", patrol.list_tokens(&operator(), two.carol).unwrap().len());
    (issue(patrol, two.carol, &name).ends.at - patrol.now()) / DAY
}

#[test]
fn a_tenants_releases_are_rolled_back_down_to_what_everybody_has() {
    let two = Two::stricter();
    let patrol = &two.it.patrol;
    let second = two.keep(noted(b'2'), 2);
    assert_eq!(idle_days(patrol, &two), 7);
    two.bind(&second);
    assert_eq!(idle_days(patrol, &two), 15);
    assert_eq!(two.unbind().map(|row| row.number), Some(1));
    assert_eq!(idle_days(patrol, &two), 7);
    // Everybody's changes without touching the tenant, which then follows what it is by then.
    let third = two.keep(noted(b'3'), 3);
    two.activate(&third, None).unwrap();
    assert_eq!(idle_days(patrol, &two), 7);
    assert_eq!(two.unbind(), None);
    assert_eq!(idle_days(patrol, &two), 15);
    let of_globex = patrol.policy_info_of(Some(two.globex)).unwrap();
    assert!(!of_globex.own);
    assert_eq!(of_globex.release.map(|row| hex(&row.digest)), Some(third));
    assert!(patrol.rollback(&two.lock, &operator(), Some(two.globex)).is_err());
    let events = two.it.events("rollback_policy");
    assert_eq!(events.len(), 2);
    assert!(
        events
            .iter()
            .all(|event| event["details"]["tenantId"] == two.globex.to_string())
    );
}

#[test]
fn a_binding_outlives_the_process_and_a_new_name_of_the_tenant() {
    let two = Two::stricter();
    let another = two.it.another();
    assert_eq!(idle_days(&another, &two), 7);
    let writer = rusqlite::Connection::open(two.it.path().join("patrol.db")).unwrap();
    writer
        .execute("UPDATE tenant SET name = 'initech' WHERE name = 'globex'", [])
        .unwrap();
    let again = two.it.another();
    assert_eq!(idle_days(&again, &two), 7);
    let names: Vec<_> = again
        .governing()
        .unwrap()
        .into_iter()
        .map(|governing| governing.tenant.map(|tenant| tenant.name))
        .collect();
    assert_eq!(names, [None, Some("initech".to_owned())]);
    assert!(
        again
            .activate(&two.lock, &operator(), &"0".repeat(64), None, true)
            .is_err()
    );
}

#[test]
fn a_release_that_cannot_run_leaves_the_tenants_last_good_one_then_everybodys() {
    let two = Two::stricter();
    let second = two.keep(noted(b'2'), 2);
    two.bind(&second);
    let spoil = |id: &str| {
        let path = two.it.path().join(format!("releases/{id}.patrol"));
        let mut bytes = fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    spoil(&second);
    let patrol = two.it.another();
    assert_eq!(idle_days(&patrol, &two), 7);
    let passed = patrol.passed_over();
    assert_eq!(passed.len(), 1);
    assert_eq!(
        (passed[0].tenant, passed[0].release.number),
        (Some(two.globex), 2)
    );

    let first = patrol.activations(Some(two.globex)).unwrap().pop().unwrap();
    spoil(&hex(&first.digest));
    let patrol = two.it.another();
    assert_eq!(idle_days(&patrol, &two), 15);
    assert_eq!(patrol.passed_over().len(), 2);
    assert!(!patrol.policy_info_of(Some(two.globex)).unwrap().own);
    let governing = patrol.governing().unwrap();
    assert!(governing[1].release.is_none() && governing[1].passed_over.len() == 2);
}

struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn binding_a_tenant_under_load_disturbs_nobody() {
    const SWAPS: usize = 20;
    let two = Two::new();
    let releases = [two.keep(policies::read("stricter"), 1), two.keep(noted(b'2'), 2)];
    let [alices, carols] = two.issue("nightly");
    let (over, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for token in [&alices, &carols] {
            let (patrol, over, calls) = (&two.it.patrol, &over, &calls);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    verify(patrol, token).unwrap();
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // The threads end, whatever happens here.
        let _end = SetWhenDropped(&over);
        for round in 0..SWAPS {
            two.bind(&releases[round % 2]);
            if round % 2 == 1 {
                two.unbind();
                two.unbind();
            }
        }
        // Whoever waits for the others to begin waits for them to have called.
        while calls.load(Ordering::Relaxed) < 100 {
            std::thread::yield_now();
        }
    });
    let tally = two.it.patrol.tally();
    assert_eq!(tally.faults().map(|(_, count)| count).sum::<u64>(), 0);
    assert_eq!(tally.refusals().map(|(_, count)| count).sum::<u64>(), 0);
    two.bind(&releases[0]);
    two.it.clock.advance(8 * DAY);
    assert_refused(two.it.verify(&carols), RefusalReason::Idle);
    two.it.verify(&alices).unwrap();
}
