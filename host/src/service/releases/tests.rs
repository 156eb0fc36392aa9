#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;
use crate::policy::Policy;
use crate::release::Manifest;
use crate::service::Settings;
use crate::service::call::Call;

/// The built-in policy with a note in it, staged; its id.
fn staged(patrol: &Patrol, number: u8) -> String {
    let manifest = Manifest {
        name: "noted".to_owned(),
        version: "1.0.0".to_owned(),
        release: number.into(),
        component: String::new(),
        wit: crate::release::CONTRACT.to_owned(),
        minimum_host: "0.0.1".to_owned(),
        created: "2027-01-31T17:00:00Z".to_owned(),
        notes: String::new(),
    };
    let section = [0, 6, 4, b'n', b'o', b't', b'e', number];
    let component = [Policy::<Call>::embedded(), &section].concat();
    let release = Release::make(manifest, component, None).unwrap();
    hex(&patrol.stage(&Caller::system(), &release).unwrap().release.digest)
}

fn opened(data: &std::path::Path) -> Patrol {
    let mut settings = Settings::new(data);
    settings.config.policy.allow_unsigned = true;
    settings.config.policy.deadline = crate::time::Millis(5_000);
    Patrol::open(settings).unwrap()
}

#[test]
fn what_anybody_can_make_up_neither_proves_a_release_nor_hides_its_faults() {
    use patrol_policy::token::{Kind, compose};
    let directory = tempfile::tempdir().unwrap();
    let patrol = Arc::new(opened(&directory.path().join("data")));
    let id = staged(&patrol, 1);
    let lock = Arc::new(ServeLock::take(patrol.data()).unwrap());
    let watchman = crate::service::Watchman::start(&patrol, &lock).unwrap();
    patrol
        .activate(&lock, &Caller::system(), &id, None, false)
        .unwrap();
    let unknown = compose(Kind::Pat, Id { hi: 1, lo: 1 }, &[1; 32]);
    let [mistyped, known] = [b'0', b'1'].map(|digit| {
        let mut text = unknown.expose().to_vec();
        if let Some(last) = text.last_mut() {
            *last = if *last == digit { b'2' } else { digit };
        }
        text
    });
    for presented in [unknown.expose(), &mistyped, &known, b"no token"] {
        let origin = crate::service::Origin::default();
        assert!(patrol.authenticate(presented, "api", &origin).is_err());
    }
    let watched = || patrol.governing().unwrap().first().unwrap().watched;
    assert_eq!(watched(), Some((0, 0)));
    patrol
        .list_tokens(&Caller::system(), Id { hi: 1, lo: 1 })
        .unwrap_err();
    assert_eq!(watched(), Some((1, 0)));
    drop(watchman);
}

#[test]
fn who_replaces_one_policy_does_not_ask_all_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let patrol = opened(&directory.path().join("data"));
    let caller = Caller::system();
    let tenant = patrol.create_tenant(&caller, "acme", "password", false).unwrap();
    let ids = [1, 2].map(|number| staged(&patrol, number));
    let lock = ServeLock::take(patrol.data()).unwrap();
    patrol
        .activate(&lock, &caller, &ids[0], Some(tenant.id), false)
        .unwrap();
    let policies = patrol.policies.load_full();
    let (_, own) = policies.tenants().next().unwrap();
    let own = Arc::clone(own);
    // What it is taken to have said stays as it is.
    let configured = patrol.parameters();
    let said = patrol_policy::types::Parameters {
        session_idle: 1,
        ..configured
    };
    own.declare(configured, said);
    patrol.activate(&lock, &caller, &ids[1], None, false).unwrap();
    assert_eq!(own.rules(&configured).session_idle, 1);
    // Under another configuration it is asked again.
    let mut config = crate::Config::clone(&patrol.config());
    config.policy.session_idle = crate::time::Millis(60_000);
    patrol.reconfigure(config);
    assert_eq!(own.rules(&patrol.parameters()).session_idle, 60_000);
}

#[test]
fn a_policy_is_freed_once_it_decides_no_more_and_its_last_call_has_ended() {
    let directory = tempfile::tempdir().unwrap();
    let patrol = opened(&directory.path().join("data"));
    let tenant = patrol
        .create_tenant(&Caller::system(), "acme", "password", false)
        .unwrap();
    let ids = [1, 2].map(|number| staged(&patrol, number));
    let lock = ServeLock::take(patrol.data()).unwrap();
    let caller = Caller::system();
    let running = || Arc::downgrade(patrol.policies.load().everybody());

    let built_in = running();
    patrol.activate(&lock, &caller, &ids[0], None, false).unwrap();
    assert!(built_in.upgrade().is_none());
    // As a call has them that is under way.
    let (first, called) = (running(), patrol.policies.load());
    patrol.activate(&lock, &caller, &ids[1], None, false).unwrap();
    assert!(first.upgrade().is_some());
    drop(called);
    assert!(first.upgrade().is_none());
    let second = running();
    patrol.rollback(&lock, &caller, None).unwrap();
    assert!(second.upgrade().is_none());
    // And of a tenant.
    patrol
        .activate(&lock, &caller, &ids[1], Some(tenant.id), false)
        .unwrap();
    let own = patrol
        .policies
        .load()
        .tenants()
        .next()
        .map(|(_, own)| Arc::downgrade(own));
    let own = own.unwrap();
    assert!(own.upgrade().is_some());
    patrol.rollback(&lock, &caller, Some(tenant.id)).unwrap();
    assert!(own.upgrade().is_none());
}
