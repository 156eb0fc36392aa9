//! Many at once: tokens that are used, rotated and revoked while they move. Nobody is kept out who should be let in, no
//! revocation is lost, and what is stored in the end is what was asked for.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use patrol::service::{Error, NewToken, Origin};
use patrol_policy::types::{HOUR, RefusalReason};
use patrol_tests::deployment::{AUDIENCE, Deployment, assert_refused, id, operator, verify};

use crate::support::{MOVED, kept, kept_before, pepper, peppered, stored, under};

const USERS: usize = 6;

#[test]
fn one_token_that_many_use_while_it_moves_is_never_refused_and_moves_once() {
    let it = Deployment::new();
    let patrol = peppered(&it);
    for round in 0..20 {
        let token = it.issue(it.alice, &format!("token {round}"));
        let hosts = [&patrol, &*it.patrol];
        let done = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for user in 0..USERS {
                let (token, host, done) = (&token, hosts[user % 2], &done);
                scope.spawn(move || {
                    for turn in 0..15 {
                        verify(host, token).unwrap();
                        if turn == user {
                            host.open_session(token.secret.expose(), AUDIENCE, &Origin::default())
                                .unwrap();
                        }
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                });
            }
            let (patrol, done) = (&patrol, &done);
            scope.spawn(move || {
                while done.load(Ordering::Relaxed) < USERS {
                    patrol.flush().unwrap();
                }
            });
        });
        patrol.flush().unwrap();
        assert_eq!(
            kept(&it, &token),
            under(&pepper(it.path()), token.secret.expose())
        );
        it.patrol.revoke(&operator(), id(&token)).unwrap();
    }
    let moved: u64 = it
        .events(MOVED)
        .iter()
        .map(|event| event["details"]["count"].as_u64().unwrap())
        .sum();
    assert_eq!(moved, 20, "each once");
}

/// A token as those who use it know it: the secrets that must work at this moment.
struct Shared {
    secrets: RwLock<(Arc<NewToken>, Arc<NewToken>)>,
    revoked: AtomicBool,
}

#[test]
fn tokens_that_are_rotated_and_revoked_while_they_move_keep_their_secrets_and_their_ends() {
    let it = Deployment::new();
    let patrol = peppered(&it);
    let tokens: Vec<_> = (0..12)
        .map(|number| {
            let token = Arc::new(it.issue(it.alice, &format!("token {number}")));
            Shared {
                secrets: RwLock::new((Arc::clone(&token), token)),
                revoked: AtomicBool::new(false),
            }
        })
        .collect();
    let generations = Mutex::new(vec![0u32; tokens.len()]);
    let over = AtomicBool::new(false);
    let refused = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for user in 0..USERS {
            let (tokens, over, refused) = (&tokens, &over, &refused);
            let host = [&patrol, &*it.patrol][user % 2];
            scope.spawn(move || {
                let mut turn = user;
                while !over.load(Ordering::Relaxed) {
                    turn += 1;
                    let shared = &tokens[turn % tokens.len()];
                    // Held while it is presented: meanwhile neither secret is rotated away.
                    let secrets = shared.secrets.read().unwrap();
                    let was_revoked = shared.revoked.load(Ordering::SeqCst);
                    let token = if turn % 3 == 0 { &secrets.0 } else { &secrets.1 };
                    match verify(host, token) {
                        Ok(_) => assert!(!was_revoked, "a revoked token was let in"),
                        Err(Error::Refused(refusal)) => {
                            assert_eq!(refusal.reason, RefusalReason::Revoked);
                            refused.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => panic!("no verdict: {error}"),
                    }
                }
            });
        }
        let (tokens, over, generations) = (&tokens, &over, &generations);
        scope.spawn({
            let patrol = &patrol;
            move || {
                while !over.load(Ordering::Relaxed) {
                    patrol.flush().unwrap();
                }
            }
        });
        // Rotated by one policy, then by the other; the last four are revoked.
        for turn in 0..240 {
            let number = turn % 8;
            let host = [&patrol, &*it.patrol][turn / 8 % 2];
            let shared = &tokens[number];
            let mut secrets = shared.secrets.write().unwrap();
            let rotated = host.rotate(&operator(), id(&secrets.1), HOUR).unwrap();
            *secrets = (Arc::clone(&secrets.1), Arc::new(rotated));
            drop(secrets);
            generations.lock().unwrap()[number] += 1;
            if turn % 60 == 59 {
                let shared = &tokens[8 + turn / 60];
                let token = shared.secrets.read().unwrap().1.clone();
                it.patrol.revoke(&operator(), id(&token)).unwrap();
                shared.revoked.store(true, Ordering::SeqCst);
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    // Whatever still waits, and then each of them once more.
    patrol.flush().unwrap();
    for shared in &tokens {
        let secrets = shared.secrets.read().unwrap();
        if shared.revoked.load(Ordering::SeqCst) {
            assert_refused(verify(&patrol, &secrets.1), RefusalReason::Revoked);
        } else {
            verify(&patrol, &secrets.0).unwrap();
            verify(&patrol, &secrets.1).unwrap();
        }
    }
    patrol.flush().unwrap();
    let key = pepper(it.path());
    for (number, shared) in tokens.iter().enumerate() {
        let secrets = shared.secrets.read().unwrap();
        let token = stored(&it, id(&secrets.1));
        assert_eq!(token.generation, generations.lock().unwrap()[number]);
        if number >= 8 {
            assert!(token.ended.is_some());
            assert_eq!((token.scheme, token.previous), (0, None));
            continue;
        }
        assert_eq!(kept(&it, &secrets.1), under(&key, secrets.1.secret.expose()));
        let before = kept_before(&it, &secrets.1);
        assert_eq!(before, Some(under(&key, secrets.0.secret.expose())));
    }
    println!("{} refusals of revoked tokens", refused.load(Ordering::Relaxed));
    assert_eq!(it.patrol.store().check().unwrap(), Vec::<String>::new());
}
