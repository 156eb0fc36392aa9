//! The policy on a host in memory; the real one has tests of its own, with crashes and with threads.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

use patrol_policy::Stock;
use patrol_policy::memory::{MemoryHost, PEPPER, hmac_sha256};
use patrol_policy::prelude::*;
use patrol_policy::token::{Kind, SCHEME_PEPPERED, SCHEME_SHA256, parse};
use patrol_policy::types::{Digest, Outage};

use crate::Peppered;

const TENANT: Id = Id { hi: 0, lo: 1 };
const ANN: Id = Id { hi: 0, lo: 2 };
const SELF: Actor = Actor {
    role: ActorRole::User,
    id: ANN,
};
const API: Audience = 1;

fn host() -> MemoryHost {
    let mut host = MemoryHost::new(20_000 * DAY, Parameters::default(), 1);
    host.add_tenant(TENANT, "password");
    host.add_user(ANN, TENANT, "ann");
    host
}

fn issue(policy: &impl Policy, host: &mut MemoryHost) -> Issued {
    let request = IssueRequest {
        owner: ANN,
        name: String::from("backup"),
        expires: host.now + 90 * DAY,
        audience: API,
    };
    policy.issue(host, request, SELF).unwrap()
}

fn stored(host: &MemoryHost, token: Id) -> Token {
    host.rows.tokens[&token].0
}

/// What is stored of a secret, by both schemes.
fn kept(secret: &Secret) -> [(u8, Digest); 2] {
    let plain = parse(Kind::Pat, secret.expose()).unwrap().digest();
    let mac = hmac_sha256(PEPPER, &plain.to_bytes());
    [
        (SCHEME_SHA256, plain),
        (SCHEME_PEPPERED, Digest::from_bytes(&mac)),
    ]
}

fn let_in(policy: &impl Policy, host: &mut MemoryHost, secret: &Secret) {
    policy.authenticate(host, secret.expose(), API).unwrap();
}

#[test]
fn r2_of_a_new_secret_the_mac_is_stored_and_it_is_let_in_by_that_alone() {
    let mut host = host();
    let issued = issue(&Peppered, &mut host);
    let token = stored(&host, issued.token);
    assert_eq!((token.scheme, token.digest), kept(&issued.secret)[1]);
    let_in(&Peppered, &mut host, &issued.secret);
    let_in(&Stock, &mut host, &issued.secret);
    assert_eq!(stored(&host, issued.token).digest, token.digest);

    // Under a digest of the other scheme it is a wrong secret.
    let row = host.rows.tokens.get_mut(&issued.token).unwrap();
    row.0.digest = kept(&issued.secret)[0].1;
    let refused = Peppered.authenticate(&mut host, issued.secret.expose(), API);
    let wrong = Denial::about(issued.token, RefusalReason::WrongSecret);
    assert_eq!(refused, Err(wrong));
    assert_eq!(
        Stock.authenticate(&mut host, issued.secret.expose(), API),
        Err(wrong)
    );
}

#[test]
fn a_token_is_moved_when_it_is_used_and_nothing_else_of_it_changes() {
    for session in [false, true] {
        let mut host = host();
        let issued = issue(&Stock, &mut host);
        let before = stored(&host, issued.token);
        assert_eq!((before.scheme, before.digest), kept(&issued.secret)[0]);
        if session {
            Peppered
                .open_session(&mut host, issued.secret.expose(), API)
                .unwrap();
        } else {
            let_in(&Peppered, &mut host, &issued.secret);
        }
        let (scheme, digest) = kept(&issued.secret)[1];
        let after = Token {
            scheme,
            digest,
            last_used: Some(host.now),
            ..before
        };
        assert_eq!(stored(&host, issued.token), after);

        host.calls = Default::default();
        let_in(&Peppered, &mut host, &issued.secret);
        assert_eq!(host.calls.writes, 1, "the use, and no second move");
        assert_eq!(stored(&host, issued.token), after);
    }
}

#[test]
fn both_secrets_of_an_overlap_move_whichever_is_used_and_sessions_of_both_go_on() {
    for present_old in [false, true] {
        let mut host = host();
        let old = issue(&Stock, &mut host);
        let session = Stock.open_session(&mut host, old.secret.expose(), API).unwrap();
        let new = Stock.rotate(&mut host, old.token, HOUR, SELF).unwrap();
        let used = if present_old { &old.secret } else { &new.secret };
        let_in(&Peppered, &mut host, used);

        let token = stored(&host, old.token);
        let previous = token.previous.unwrap();
        assert_eq!((token.scheme, token.digest), kept(&new.secret)[1]);
        assert_eq!((previous.scheme, previous.digest), kept(&old.secret)[1]);
        assert_eq!((token.generation, previous.until), (1, host.now + HOUR));
        for secret in [&old.secret, &new.secret] {
            let_in(&Peppered, &mut host, secret);
            let_in(&Stock, &mut host, secret);
        }
        Peppered
            .check_session(&mut host, session.secret.expose(), API)
            .unwrap();
        host.now += HOUR;
        let rotated = Denial::about(old.token, RefusalReason::Rotated);
        let refused = Peppered.authenticate(&mut host, old.secret.expose(), API);
        assert_eq!(refused, Err(rotated));
        let_in(&Peppered, &mut host, &new.secret);
    }
}

#[test]
fn a_rotation_leaves_the_replaced_secret_as_it_was_stored() {
    let mut host = host();
    let old = issue(&Stock, &mut host);
    let new = Peppered.rotate(&mut host, old.token, HOUR, SELF).unwrap();
    let token = stored(&host, old.token);
    let previous = token.previous.unwrap();
    assert_eq!((token.scheme, token.digest), kept(&new.secret)[1]);
    assert_eq!((previous.scheme, previous.digest), kept(&old.secret)[0]);
    let_in(&Stock, &mut host, &old.secret);
    assert_eq!(stored(&host, old.token).previous, Some(previous));
    let_in(&Peppered, &mut host, &new.secret);
    let moved = stored(&host, old.token).previous.unwrap();
    assert_eq!((moved.scheme, moved.digest), kept(&old.secret)[1]);
}

#[test]
fn a_token_that_is_refused_does_not_move() {
    let mut host = host();
    let issued = issue(&Stock, &mut host);
    let before = stored(&host, issued.token);
    let refused = Peppered.authenticate(&mut host, issued.secret.expose(), API + 1);
    assert!(refused.is_err());
    host.now += 15 * DAY;
    assert!(
        Peppered
            .authenticate(&mut host, issued.secret.expose(), API)
            .is_err()
    );
    assert_eq!(stored(&host, issued.token), before);
}

#[test]
fn without_the_pepper_a_plain_token_is_let_in_and_stays_and_a_peppered_one_is_no_verdict() {
    let mut host = host();
    let plain = issue(&Stock, &mut host);
    host.unkeyed = Some(Outage::Unavailable);
    let_in(&Peppered, &mut host, &plain.secret);
    assert_eq!(stored(&host, plain.token).scheme, SCHEME_SHA256);
    host.unkeyed = None;
    let_in(&Peppered, &mut host, &plain.secret);
    assert_eq!(stored(&host, plain.token).scheme, SCHEME_PEPPERED);

    host.unkeyed = Some(Outage::Unavailable);
    let outage = Denial::Outage(Outage::Unavailable);
    for secret in [plain.secret.expose(), &[]] {
        let verdicts = [
            Peppered.authenticate(&mut host, secret, API),
            Stock.authenticate(&mut host, secret, API),
        ];
        for verdict in verdicts {
            let expected = if secret.is_empty() {
                RefusalReason::Malformed.into()
            } else {
                outage
            };
            assert_eq!(verdict, Err(expected));
        }
    }
    assert_eq!(
        Peppered.rotate(&mut host, plain.token, 0, SELF).unwrap_err(),
        outage
    );
}
