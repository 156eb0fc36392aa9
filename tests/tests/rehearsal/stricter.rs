//! A stricter policy, rehearsed on a journal: exactly the tokens that it would refuse, by name.

use std::sync::Arc;

use patrol::config::Config;
use patrol::journal::{self, Reader};
use patrol::service::{
    Answer, Caller, Exchange, Matter, NewAccount, Origin, Patrol, Report, ServeLock, Settings, UserRef,
    WouldBe,
};
use patrol::time::ManualClock;
use patrol_policy::Secret;
use patrol_policy::types::{DAY, HOUR, RefusalReason};
use patrol_tests::trace::START;
use patrol_tests::{hostile, policies};

/// A data directory whose decisions are written down.
pub struct Kept {
    pub patrol: Patrol,
    pub clock: Arc<ManualClock>,
    pub lock: ServeLock,
    _directory: tempfile::TempDir,
}

impl Kept {
    pub fn new() -> Self {
        Self::under(None)
    }

    /// With this policy.
    pub fn under(component: Option<Vec<u8>>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(START));
        let mut config = Config::default();
        config.journal.enabled = true;
        let patrol = Patrol::open(Settings {
            clock: clock.clone(),
            config,
            component: component.map(Arc::from),
            ..Settings::new(directory.path())
        })
        .unwrap();
        let lock = ServeLock::take(patrol.data()).unwrap();
        patrol.keep_journal(&lock).unwrap();
        let admin = Caller::operator(None);
        patrol.create_tenant(&admin, "acme", "password", false).unwrap();
        Self {
            patrol,
            clock,
            lock,
            _directory: directory,
        }
    }

    pub fn user(&self, name: &str) {
        let account = NewAccount {
            name: name.to_owned(),
            email: None,
            roles: vec![],
        };
        let admin = Caller::operator(None);
        self.patrol.create_user(&admin, "acme", &account).unwrap();
    }

    pub fn token(&self, user: &str, name: &str) -> Secret {
        let owner = self.patrol.user(&named(user)).unwrap().id;
        let expires = self.patrol.now() + 300 * DAY;
        let admin = Caller::operator(None);
        let made = self.patrol.issue(&admin, owner, name, expires, "api").unwrap();
        made.secret
    }

    pub fn verify(&self, secret: &Secret) {
        self.patrol
            .authenticate(secret.expose(), "api", &Origin::default())
            .unwrap();
    }

    pub fn at(&self, day: u64) {
        self.clock.set(START + day * DAY + HOUR);
    }

    /// What the journal has.
    pub fn journal(&self) -> Vec<Arc<Exchange>> {
        self.patrol.flush_journal();
        assert_eq!(self.patrol.journal_stats().dropped, 0);
        let reader = Reader::open(&journal::directory(self.patrol.data())).unwrap();
        let records = reader.records(0);
        records
            .map(|record| Arc::new(Exchange::decode(&record.unwrap().bytes).unwrap()))
            .collect()
    }

    pub fn rehearse(&self, component: &[u8]) -> Report {
        let mut rehearsal = self.patrol.rehearse_component(component, None).unwrap();
        for exchange in self.journal() {
            rehearsal.play(&exchange).unwrap();
        }
        rehearsal.report().unwrap()
    }
}

fn named(user: &str) -> UserRef {
    UserRef::Name {
        tenant: None,
        name: user.to_owned(),
    }
}

/// Tokens of three owners: two that are used each day, one each week, and two that rest for ten days.
pub fn a_month(kept: &Kept) {
    for user in ["ann", "bob", "cid"] {
        kept.user(user);
    }
    let daily = [kept.token("ann", "daily"), kept.token("bob", "daily-too")];
    let weekly = kept.token("ann", "each-sixth-day");
    let rarely = [kept.token("bob", "rarely"), kept.token("cid", "seldom")];
    for day in 1..30 {
        kept.at(day);
        daily.iter().for_each(|token| kept.verify(token));
        if day % 6 == 0 {
            kept.verify(&weekly);
        }
        if day % 10 == 0 {
            rarely.iter().for_each(|token| kept.verify(token));
        }
    }
    // A name that does not fit the stricter policy's pattern, in use ever since.
    let named = kept.token("cid", "A Name");
    kept.verify(&named);
    kept.verify(&named);
}

#[test]
fn exactly_what_a_stricter_policy_would_refuse_is_told_by_name() {
    let kept = Kept::new();
    a_month(&kept);
    let report = kept.rehearse(&policies::read("stricter"));
    let idle = report
        .changes
        .iter()
        .find(|changed| changed.change.would == WouldBe::Refused(RefusalReason::Idle))
        .unwrap();
    assert_eq!(
        (idle.change.asked, &idle.change.was),
        (Matter::Token, &WouldBe::Accepted)
    );
    let named = |changed: &patrol::service::Changed| -> Vec<_> {
        let one = |one: &patrol::service::ChangedOne| {
            (one.owner_name.clone().unwrap(), one.token_name.clone(), one.calls)
        };
        changed.list.iter().map(one).collect()
    };
    // The day 10 is the first that it refuses, and none of the later ones is a use either.
    let some = |name: &str| Some(name.to_owned());
    assert_eq!(
        named(idle),
        [
            ("bob".to_owned(), some("rarely"), 2),
            ("cid".to_owned(), some("seldom"), 2)
        ]
    );
    assert_eq!((idle.calls, idle.tokens, idle.owners), (4, 2, 2));
    assert_eq!(idle.list[0].last_used, Some(START + 20 * DAY + HOUR));
    let name = report
        .changes
        .iter()
        .find(|changed| changed.change.would == WouldBe::Refused(RefusalReason::NameInvalid))
        .unwrap();
    assert_eq!(
        (name.change.asked, name.calls, name.owners),
        (Matter::Creation, 1, 1)
    );
    // A token that it would not have made is unknown to it.
    let unknown = report
        .changes
        .iter()
        .find(|changed| changed.change.would == WouldBe::Refused(RefusalReason::Unknown))
        .unwrap();
    assert_eq!(named(unknown), [("cid".to_owned(), some("A Name"), 2)]);
    // All else is accepted, and ends earlier.
    let others: Vec<_> = report
        .changes
        .iter()
        .map(|changed| &changed.change.would)
        .filter(|would| !matches!(would, WouldBe::Refused(_)))
        .collect();
    assert!(
        others.iter().all(|would| **would == WouldBe::OtherEnd),
        "{others:?}"
    );
    assert_eq!(report.totals.faults, 0);
    assert_eq!(
        report.totals.unchanged + report.totals.changed,
        report.totals.calls
    );
}

#[test]
fn the_policy_that_decided_would_decide_so_again_by_the_journal() {
    let kept = Kept::new();
    a_month(&kept);
    let report = kept.rehearse(patrol_tests::wasm::embedded());
    assert_eq!(report.changes, []);
    assert_eq!(report.totals.calls, kept.journal().len() as u64);
    assert!(report.totals.calls > 70);
}

#[test]
fn a_policy_that_keeps_secrets_in_another_way_differs_in_nothing() {
    let peppered = policies::read("peppered");
    let kept = Kept::new();
    a_month(&kept);
    assert_eq!(kept.rehearse(&peppered).changes, []);
    // The other way round: what is presented are secrets that are kept with the pepper.
    let kept = Kept::under(Some(peppered.clone()));
    a_month(&kept);
    let schemes: Vec<_> = kept
        .journal()
        .iter()
        .flat_map(|exchange| exchange.answers.clone())
        .filter_map(|answer| match answer {
            Answer::Token(_, seen) => seen.map(|seen| seen.scheme),
            _ => None,
        })
        .collect();
    assert!(schemes.iter().all(|scheme| *scheme == 2) && schemes.len() > 60);
    for candidate in [patrol_tests::wasm::embedded(), &peppered] {
        let report = kept.rehearse(candidate);
        assert_eq!(report.changes, []);
        assert!(report.totals.calls > 70);
    }
}

#[test]
fn a_yes_that_the_floor_forbids_is_a_fault_in_a_rehearsal_too() {
    let kept = Kept::new();
    kept.user("ann");
    let token = kept.token("ann", "one");
    kept.verify(&token);
    let refused = kept
        .patrol
        .authenticate(token.expose(), "elsewhere", &Origin::default());
    assert!(refused.is_err());
    let liar = hostile::policy("floor-yes-to-anything");
    let report = kept.rehearse(&liar);
    let fault = report
        .changes
        .iter()
        .find(|changed| changed.change.was == WouldBe::Refused(RefusalReason::WrongAudience))
        .unwrap();
    assert_eq!(fault.change.would, WouldBe::Fault("floor".to_owned()));
    assert!(report.totals.faults > 0);
    // And nobody else noticed.
    assert_eq!(
        kept.patrol
            .tally()
            .floor_violations()
            .map(|(_, count)| count)
            .sum::<u64>(),
        0
    );
}
