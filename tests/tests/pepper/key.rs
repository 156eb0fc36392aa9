//! What the pepper is good for: records without it verify nothing, and what somebody else wrote into them is refused.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use patrol::service::{Error, Patrol, PepperState, Settings};
use patrol_policy::memory::hmac_sha256;
use patrol_policy::token::{Kind, compose};
use patrol_policy::types::{Digest, HOUR, Id, RefusalReason};
use patrol_tests::deployment::{
    AUDIENCE, Deployment, assert_refused, id, operator, share_compiled_code, verify,
};
use patrol_tests::{hostile, policies};
use rusqlite::params;

use crate::support::{MOVED, PEPPERED, pepper, peppered, plain, under};

/// Asserts that there was no verdict, since the pepper is not to be had.
#[track_caller]
fn assert_outage<T: std::fmt::Debug>(result: Result<T, Error>, why: &str) {
    match result {
        Err(Error::Outage(outage)) => assert!(outage.to_string().contains(why), "{outage}"),
        other => panic!("{why} was expected: {other:?}"),
    }
}

/// A copy of the database, and of nothing else, in a data directory of its own.
fn stolen(it: &Deployment) -> (tempfile::TempDir, Patrol) {
    let directory = tempfile::tempdir().unwrap();
    share_compiled_code(directory.path());
    let file = directory.path().join("patrol.db");
    it.raw()
        .execute("VACUUM INTO ?1", [file.to_str().unwrap()])
        .unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let mut settings = Settings::new(directory.path());
    settings.config.policy.deadline = patrol::time::Millis(5_000);
    settings.clock = it.clock.clone();
    let patrol = Patrol::open(settings).unwrap();
    (directory, patrol)
}

#[test]
fn a_stolen_database_without_the_pepper_verifies_nothing() {
    let it = Deployment::new();
    let patrol = peppered(&it);
    let token = patrol
        .issue(&operator(), it.alice, "one", it.patrol.now() + HOUR, AUDIENCE)
        .unwrap();
    let (directory, thief) = stolen(&it);
    assert_outage(verify(&thief, &token), "is missing");
    assert_eq!(
        thief.pepper_state().unwrap(),
        PepperState::Wrong {
            tokens: 1,
            why: format!(
                "the pepper {} is missing, and there are tokens that are kept with it: put it back from its backup",
                directory.path().join("pepper.key").display()
            ),
        }
    );
    // Nor with a pepper of the thief's own, nor by a policy of theirs.
    let text = format!("patrol-pepper-1:{}\n", "A".repeat(43));
    fs::write(directory.path().join("pepper.key"), text).unwrap();
    let file = directory.path().join("pepper.key");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert_outage(verify(&thief, &token), "is not the one");
    let mut settings = Settings::new(directory.path());
    settings.clock = it.clock.clone();
    settings.config.policy.deadline = patrol::time::Millis(5_000);
    settings.component = Some(hostile::policy("floor-yes-to-anything").into());
    let yes = Patrol::open(settings).unwrap();
    assert_outage(verify(&yes, &token), "is not the one");

    // With the right one it is no longer stolen but restored, and nobody has to start anything again.
    fs::copy(it.path().join("pepper.key"), &file).unwrap();
    verify(&thief, &token).unwrap();
    assert_eq!(thief.pepper_state().unwrap(), PepperState::Right { tokens: 1 });
}

/// Writes into the database behind the host's back.
fn write_row(directory: &Path, token: Id, (scheme, digest): (u8, Digest)) {
    let database = rusqlite::Connection::open(directory.join("patrol.db")).unwrap();
    let changed = database
        .execute(
            "UPDATE token SET scheme = ?2, digest = ?3 WHERE id = ?1",
            params![token.to_bytes(), scheme, digest.to_bytes()],
        )
        .unwrap();
    assert_eq!(changed, 1);
}

#[test]
fn a_digest_that_somebody_wrote_into_the_database_lets_nobody_in() {
    let it = Deployment::new();
    let patrol = peppered(&it);
    let token = patrol
        .issue(&operator(), it.alice, "one", it.patrol.now() + HOUR, AUDIENCE)
        .unwrap();
    let key = pepper(it.path());
    let own = compose(Kind::Pat, id(&token), &[7; 32]);
    let (_, digest) = plain(own.expose());
    let yes = it.under(&hostile::policy("floor-yes-to-anything"));
    for made_up in [
        digest,
        Digest::default(),
        Digest::from_bytes(&hmac_sha256(&[0; 32], &digest.to_bytes())),
        Digest::from_bytes(&hmac_sha256(&[7; 32], &digest.to_bytes())),
        // What the check in the database is good for, used as a key.
        Digest::from_bytes(&hmac_sha256(
            &it.raw()
                .query_row("SELECT pepper_check FROM meta", [], |row| {
                    row.get::<_, [u8; 32]>(0)
                })
                .unwrap(),
            &digest.to_bytes(),
        )),
    ] {
        write_row(it.path(), id(&token), (PEPPERED, made_up));
        for host in [&patrol, &*it.patrol] {
            let verdict = host.authenticate(own.expose(), AUDIENCE, &Default::default());
            assert_refused(verdict, RefusalReason::WrongSecret);
        }
        let verdict = yes.authenticate(own.expose(), AUDIENCE, &Default::default());
        assert!(matches!(verdict, Err(Error::Fault(_))), "{verdict:?}");
    }
    // With the pepper it would have been easy.
    write_row(it.path(), id(&token), under(&key, own.expose()));
    for host in [&patrol, &*it.patrol, &yes] {
        host.authenticate(own.expose(), AUDIENCE, &Default::default())
            .unwrap();
        assert!(verify(host, &token).is_err());
    }
}

#[test]
fn a_peppered_record_where_there_never_was_a_pepper_is_no_verdict_and_makes_none() {
    let it = Deployment::new();
    let token = it.issue(it.alice, "one");
    write_row(it.path(), id(&token), (PEPPERED, Digest::default()));
    for host in [&peppered(&it), &*it.patrol] {
        assert_outage(verify(host, &token), "never was one");
        assert_outage(host.rotate(&operator(), id(&token), HOUR), "never was one");
    }
    assert!(!it.path().join("pepper.key").exists());
    assert_eq!(it.patrol.pepper_state().unwrap(), PepperState::Unused);
}

#[test]
fn without_the_pepper_plain_tokens_go_on_and_peppered_ones_come_back_with_it() {
    let it = Deployment::new();
    let (moved, stays) = (it.issue(it.alice, "moved"), it.issue(it.alice, "stays"));
    let patrol = peppered(&it);
    verify(&patrol, &moved).unwrap();
    let session = it.sign_in(&moved);
    drop(patrol);
    let path = it.path().join("pepper.key");
    let key = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();

    let (component, origin) = (policies::read("peppered"), Default::default());
    let patrol = it.under(&component);
    for host in [&patrol, &it.another()] {
        verify(host, &stays).unwrap();
        assert_outage(verify(host, &moved), "is missing");
        let opened = host.open_session(moved.secret.expose(), AUDIENCE, &origin);
        assert_outage(opened, "is missing");
        // A wrong secret is no verdict either: nobody can tell.
        let wrong = compose(Kind::Pat, id(&moved), &[7; 32]);
        let verdict = host.authenticate(wrong.expose(), AUDIENCE, &origin);
        assert_outage(verdict, "is missing");
        // A session is not kept with it, and goes on.
        host.check_session(&session, AUDIENCE, &origin).unwrap();
        host.flush().unwrap();
    }
    let issued = patrol.issue(&operator(), it.bob, "new", it.patrol.now() + HOUR, AUDIENCE);
    assert_outage(issued, "is missing");
    assert!(!path.exists(), "no other is made");
    assert_eq!(it.events(MOVED).len(), 1);

    fs::write(&path, key).unwrap();
    assert_outage(verify(&patrol, &moved), "chmod go=");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    verify(&patrol, &moved).unwrap();
    verify(&patrol, &stays).unwrap();
    patrol.flush().unwrap();
    assert_eq!(it.events(MOVED).len(), 2);
    // A token can be revoked without it, whatever it is kept with.
    fs::remove_file(&path).unwrap();
    let back = it.another();
    back.revoke(&operator(), id(&moved)).unwrap();
    assert_refused(verify(&back, &moved), RefusalReason::Revoked);
}
