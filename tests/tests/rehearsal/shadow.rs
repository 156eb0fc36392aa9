//! A shadow has no effect, and finds what a rehearsal of the same decisions finds.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use patrol::config::Config;
use patrol::release::hex;
use patrol::service::{AuditFilter, Caller, Patrol, Report, ShadowStatus};
use patrol::store::TokenFilter;
use patrol_policy::types::DAY;
use patrol_tests::deployment::release;
use patrol_tests::trace::START;
use patrol_tests::variant::{self, AUTHENTICATE, Turn};
use patrol_tests::{hostile, policies};

use crate::stricter::{Kept, a_month};

/// Stages the stricter policy; its id.
fn staged(kept: &Kept) -> String {
    staged_as(kept, "stricter", policies::read("stricter"))
}

/// Stages a component as a release of a policy with this name; its id.
fn staged_as(kept: &Kept, name: &str, component: Vec<u8>) -> String {
    let mut config = Config::clone(&kept.patrol.config());
    config.policy.allow_unsigned = true;
    kept.patrol.reconfigure(config);
    let release = release(name, component, 3);
    hex(&kept
        .patrol
        .stage(&Caller::operator(None), &release)
        .unwrap()
        .release
        .digest)
}

/// What is stored of tokens, and the kinds of events, without those of shadows.
fn left(patrol: &Patrol) -> (Vec<String>, Vec<String>) {
    patrol.flush().unwrap();
    let filter = TokenFilter {
        limit: 1_000,
        ..TokenFilter::default()
    };
    let rows = patrol.store().read().unwrap().token_rows(&filter).unwrap();
    let mut tokens: Vec<_> = rows
        .iter()
        .map(|row| {
            let token = &row.state.token;
            format!("{} {:?} {:?}", row.name, token.last_used, token.ended)
        })
        .collect();
    tokens.sort();
    let mut events = Vec::new();
    patrol
        .audit(&AuditFilter::default(), |entry| {
            events.push(entry.event_type.clone());
            true
        })
        .unwrap();
    events.retain(|kind| !kind.ends_with("policy_shadow"));
    (tokens, events)
}

type Kinds = Vec<(String, String, String, u64, u64, u64)>;

fn shadowed(status: &ShadowStatus) -> Kinds {
    let mut kinds: Kinds = status
        .changes
        .iter()
        .map(|c| {
            let (asked, was, would) = (c.asked.clone(), c.was.clone(), c.would.clone());
            (asked, was, would, c.calls, c.tokens, c.owners)
        })
        .collect();
    kinds.sort();
    kinds
}

fn rehearsed(report: &Report) -> Kinds {
    let mut kinds: Kinds = report
        .changes
        .iter()
        .map(|c| {
            let change = &c.change;
            let (asked, was) = (change.asked.to_string(), change.was.to_string());
            (asked, was, change.would.to_string(), c.calls, c.tokens, c.owners)
        })
        .collect();
    kinds.sort();
    kinds
}

#[test]
fn a_shadow_has_no_effect_and_finds_what_a_rehearsal_finds() {
    let (with, without) = (Kept::new(), Kept::new());
    let (id, _) = (staged(&with), staged(&without));
    let admin = Caller::operator(None);
    let begun = with
        .patrol
        .shadow(&with.lock, &admin, &id, None, Some(Duration::from_secs(3_600)))
        .unwrap();
    assert_eq!((begun.name.as_str(), begun.ended), ("stricter", None));
    a_month(&with);
    a_month(&without);
    let status = with.patrol.end_shadow(&with.lock, &admin).unwrap().unwrap();
    assert_eq!((status.dropped, status.failure.clone()), (0, None));
    assert!(status.ended.is_some());
    assert_eq!(left(&with.patrol), left(&without.patrol));
    assert!(with.patrol.verify_audit().is_ok());

    let report = with.rehearse(&policies::read("stricter"));
    assert_eq!(status.totals, report.totals);
    assert_eq!(shadowed(&status), rehearsed(&report));
    assert_eq!(shadowed(&status).len(), 5, "{:#?}", shadowed(&status));
    // The latest are listed, the last one first, by name.
    assert_eq!(status.latest.len() as u64, status.totals.changed.min(100));
    assert_eq!(status.latest[0].token_name.as_deref(), Some("A Name"));
    assert_eq!(status.latest[0].owner_name.as_deref(), Some("cid"));
    assert_eq!(status.latest[0].would, "refused: unknown");
    // What it found is there until the next one begins, and it hears no more.
    with.user("dan");
    with.token("dan", "later");
    assert_eq!(with.patrol.shadow_status().unwrap(), Some(status));
}

#[test]
fn a_shadow_ends_by_itself_and_with_the_next_one() {
    let kept = Kept::new();
    let id = staged(&kept);
    let admin = Caller::operator(None);
    let begin = |lasting| {
        kept.patrol
            .shadow(&kept.lock, &admin, &id[..12], None, lasting)
            .unwrap()
    };
    begin(Some(Duration::from_millis(50)));
    let started = Instant::now();
    while kept.patrol.shadow_status().unwrap().unwrap().ended.is_none() {
        assert!(started.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(10));
    }
    begin(None);
    begin(None);
    kept.patrol.end_shadow(&kept.lock, &admin).unwrap();
    let mut ended = 0;
    kept.patrol
        .audit(&AuditFilter::default(), |entry| {
            ended += u32::from(entry.event_type == "end_policy_shadow");
            true
        })
        .unwrap();
    assert_eq!(ended, 3);
    let unknown = kept.patrol.shadow(&kept.lock, &admin, "ffff", None, None);
    assert!(unknown.is_err());
}

#[test]
fn what_a_tenants_own_release_decided_is_rehearsed_for_that_tenant_alone() {
    let kept = Kept::new();
    kept.user("ann");
    let token = kept.token("ann", "one");
    kept.verify(&token);
    let (id, admin) = (staged(&kept), Caller::operator(None));
    let acme = Some(kept.patrol.tenant("acme").unwrap().id);
    kept.patrol
        .activate(&kept.lock, &admin, &id, acme, false)
        .unwrap();
    kept.verify(&token);
    kept.verify(&token);
    let rehearse = |tenant| {
        let component = policies::read("stricter");
        let mut rehearsal = kept.patrol.rehearse_component(&component, tenant).unwrap();
        for exchange in kept.journal() {
            rehearsal.play(&exchange).unwrap();
        }
        rehearsal.report().unwrap()
    };
    let (everybody, own) = (rehearse(None), rehearse(acme));
    assert_eq!((everybody.totals.calls, everybody.totals.elsewhere), (2, 2));
    // All of them are about the tenant, whosever policy decided.
    assert_eq!((own.totals.calls, own.totals.elsewhere), (4, 0));
    // The last two are what the stricter policy said itself.
    assert_eq!(own.changes, everybody.changes);
    assert_ne!(own.changes, []);
}

#[test]
fn what_a_release_would_do_to_a_tenant_is_known_before_it_is_made_the_tenants() {
    let kept = Kept::new();
    kept.user("ann");
    let token = kept.token("ann", "one");
    let (id, admin) = (staged(&kept), Caller::operator(None));
    let other = kept.patrol.create_tenant(&admin, "other", "password", false);
    let other = Some(other.unwrap().id);
    let acme = Some(kept.patrol.tenant("acme").unwrap().id);
    let heard = |tenant| {
        kept.patrol.shadow(&kept.lock, &admin, &id, tenant, None).unwrap();
        kept.verify(&token);
        let status = kept.patrol.end_shadow(&kept.lock, &admin).unwrap().unwrap();
        (status.totals.calls, status.totals.elsewhere)
    };
    assert_eq!((heard(acme), heard(other)), ((1, 0), (0, 1)));
    let rehearsed = |tenant| {
        let component = policies::read("stricter");
        let mut rehearsal = kept.patrol.rehearse_component(&component, tenant).unwrap();
        for exchange in kept.journal() {
            rehearsal.play(&exchange).unwrap();
        }
        let report = rehearsal.report().unwrap();
        (report.totals.calls, report.totals.elsewhere)
    };
    assert_eq!((rehearsed(acme), rehearsed(other)), ((3, 0), (0, 3)));
}

/// Long after anything that a release is tried on.
const LATER: u64 = START + 4_000 * DAY;

/// How many calls each shadow that ended had answered, the first one first.
fn answered(patrol: &Patrol) -> Vec<u64> {
    let mut calls = Vec::new();
    patrol
        .audit(&AuditFilter::default(), |entry| {
            if entry.event_type == "end_policy_shadow" {
                let event: serde_json::Value = serde_json::from_str(&entry.body).unwrap();
                calls.push(event["details"]["calls"].as_u64().unwrap());
            }
            true
        })
        .unwrap();
    calls
}

#[test]
fn a_shadow_whose_findings_nobody_will_see_leaves_what_waits_for_it() {
    let kept = Kept::new();
    kept.clock.advance(LATER - START);
    kept.user("ann");
    let token = kept.token("ann", "one");
    let (id, admin) = (
        staged_as(
            &kept,
            "looping",
            variant::turning(AUTHENTICATE, LATER, DAY, Turn::Loops),
        ),
        Caller::operator(None),
    );
    let begin = || kept.patrol.shadow(&kept.lock, &admin, &id, None, None).unwrap();
    begin();
    // Each takes the candidate its whole deadline.
    for _ in 0..100 {
        kept.verify(&token);
    }
    begin();
    let calls = answered(&kept.patrol);
    assert!(calls.len() == 1 && calls[0] < 100, "{calls:?}");
}

#[test]
fn a_shadow_that_does_nothing_but_fault_ends() {
    let kept = Kept::new();
    kept.clock.advance(LATER - START);
    kept.user("ann");
    let token = kept.token("ann", "one");
    let trapping = variant::turning(AUTHENTICATE, LATER, DAY, Turn::Traps);
    let (id, admin) = (staged_as(&kept, "trapping", trapping), Caller::operator(None));
    kept.patrol.shadow(&kept.lock, &admin, &id, None, None).unwrap();
    for _ in 0..600 {
        kept.verify(&token);
    }
    let status = kept.patrol.end_shadow(&kept.lock, &admin).unwrap().unwrap();
    assert_eq!((status.totals.calls, status.totals.faults), (500, 500));
    assert_eq!(
        status.failure.as_deref(),
        Some("500 calls in a row had no verdict, but a fault")
    );
}

/// What was logged meanwhile, at `info` and above.
fn logged(what: impl FnOnce()) -> String {
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, what);
    String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
}

#[test]
fn what_a_candidate_logs_does_not_look_as_if_the_policy_that_decides_had_logged_it() {
    let kept = Kept::new();
    kept.user("ann");
    let token = kept.token("ann", "one");
    kept.verify(&token);
    let talkative = hostile::policy("log-flood");
    let mut rehearsal = kept.patrol.rehearse_component(&talkative, None).unwrap();
    let journal = kept.journal();
    let said = logged(|| {
        for exchange in &journal {
            rehearsal.play(exchange).unwrap();
        }
    });
    assert!(rehearsal.totals().faults > 0);
    assert!(!said.contains("guest"), "{said}");
}
