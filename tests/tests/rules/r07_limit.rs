//! R7: at most 104 live PATs, exact under any concurrency.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use patrol::service::{Error, Patrol};
use patrol_policy::types::{DAY, Id, RefusalReason};
use patrol_tests::deployment::{AUDIENCE, Deployment, LIFETIME, START, assert_refused, id, operator, person};

const LIMIT: usize = 104;

#[test]
fn r7_the_105th_live_token_is_refused_with_an_error_that_says_so_and_nothing_is_evicted() {
    let it = Deployment::new();
    let tokens: Vec<_> = (0..LIMIT)
        .map(|n| it.issue(it.alice, &format!("token {n}")))
        .collect();
    let one_more = it
        .patrol
        .issue(&person(it.alice), it.alice, "one more", START + DAY, AUDIENCE);
    let text = one_more.as_ref().unwrap_err().to_string();
    assert_eq!(
        text,
        "the owner has as many live tokens as allowed: revoke one that is no longer needed"
    );
    assert_refused(one_more, RefusalReason::LimitReached);
    it.assert_event(
        "create_personal_access_token",
        "client_error",
        Some("limit-reached"),
    );
    for token in &tokens {
        it.verify(token).unwrap();
    }
    // Nor is it anybody else's limit.
    let _ = it.issue(it.bob, "of bob");
}

#[test]
fn r7_expired_and_revoked_tokens_do_not_count() {
    let it = Deployment::new();
    let short = it.issue_until(it.alice, "short", START + DAY);
    let revoked = it.issue(it.alice, "revoked");
    for n in 2..LIMIT {
        let _ = it.issue(it.alice, &format!("token {n}"));
    }
    let issue = |name| {
        it.patrol
            .issue(&operator(), it.alice, name, START + LIFETIME, AUDIENCE)
    };
    assert_refused(issue("too many"), RefusalReason::LimitReached);
    it.patrol.revoke(&operator(), id(&revoked)).unwrap();
    issue("after the revocation").unwrap();

    it.clock.set(START + DAY - 1);
    assert_refused(issue("too many"), RefusalReason::LimitReached);
    it.clock.set(START + DAY);
    issue("after the expiration").unwrap();
    assert_refused(issue("too many"), RefusalReason::LimitReached);
    assert_refused(it.verify(&short), RefusalReason::Expired);
}

#[test]
fn r7_the_limit_is_exact_under_64_threads() {
    let it = Deployment::new();
    let hosts = [&*it.patrol];
    storm(&it, &hosts);
}

#[test]
fn r7_the_limit_is_exact_under_several_hosts_on_one_directory() {
    let it = Deployment::new();
    let others = [it.another(), it.another(), it.another()];
    let hosts: Vec<_> = others.iter().chain([&*it.patrol]).collect();
    storm(&it, &hosts);
}

/// 64 threads, on these hosts, ask for three tokens each.
fn storm(it: &Deployment, hosts: &[&Patrol]) {
    const THREADS: usize = 64;
    let (issued, refused, start) = (AtomicUsize::new(0), AtomicUsize::new(0), Barrier::new(THREADS));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (issued, refused, start) = (&issued, &refused, &start);
            let patrol = hosts[thread % hosts.len()];
            scope.spawn(move || {
                start.wait();
                for n in 0..3 {
                    match ask(patrol, it.alice, &format!("token {thread} {n}")) {
                        Ok(_) => issued.fetch_add(1, Ordering::Relaxed),
                        Err(error) => {
                            assert_eq!(error.refusal(), Some(RefusalReason::LimitReached), "{error}");
                            refused.fetch_add(1, Ordering::Relaxed)
                        }
                    };
                }
            });
        }
    });
    assert_eq!(issued.into_inner(), LIMIT);
    assert_eq!(refused.into_inner(), 3 * THREADS - LIMIT);
    let live = |patrol: &Patrol| patrol.list_tokens(&operator(), it.alice).unwrap().len();
    assert!(hosts.iter().all(|patrol| live(patrol) == LIMIT));
    let stored: usize = it
        .raw()
        .query_row("SELECT count(*) FROM token", [], |row| row.get(0))
        .unwrap();
    assert_eq!(stored, LIMIT);
}

/// Asks again where a writer was kept waiting too long: that is no answer.
fn ask(patrol: &Patrol, owner: Id, name: &str) -> Result<(), Error> {
    loop {
        match patrol.issue(&operator(), owner, name, START + DAY, AUDIENCE) {
            Err(Error::Outage(outage)) if outage.outage() == patrol_policy::types::Outage::Busy => {}
            answer => return answer.map(drop),
        }
    }
}
