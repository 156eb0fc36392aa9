#![allow(clippy::unwrap_used, reason = "tests")]

use patrol_policy::Secret;
use patrol_policy::token::{SCHEME_PEPPERED, compose, digest};
use patrol_policy::types::{Cause, Digest, End, Grant, Owner, PreviousSecret, Session};

use super::*;

const NOW: Timestamp = 1_000;
const AUDIENCE: Audience = 1;
const TOKEN: Id = Id { hi: 0, lo: 3 };
const OWNER: Id = Id { hi: 0, lo: 2 };
const TENANT: Id = Id { hi: 0, lo: 1 };
const SESSION: Id = Id { hi: 0, lo: 4 };
const ELSE: Id = Id { hi: 7, lo: 7 };
const SECRET: [u8; 32] = [5; 32];
const ENDED: Option<End> = Some(End {
    at: 1,
    cause: Cause::Revoked,
});

/// A change that makes one thing wrong.
type Change<S> = fn(&mut S);

fn good() -> TokenState {
    let token = Token {
        id: TOKEN,
        owner: OWNER,
        tenant: TENANT,
        audience: AUDIENCE,
        scheme: SCHEME_SHA256,
        digest: digest(&SECRET),
        generation: 0,
        previous: None,
        created: 1,
        expires: NOW + 1,
        last_used: None,
        owner_epoch: 1,
        tenant_epoch: 2,
        ended: None,
    };
    let owner = Owner {
        id: OWNER,
        tenant: TENANT,
        enabled: true,
        deleted: None,
        epoch: 1,
        epoch_since: 0,
        tenant_epoch: 2,
        tenant_epoch_since: 0,
        multi_factor: false,
    };
    TokenState { token, owner }
}

fn pat(secret: &[u8; 32]) -> Secret {
    compose(Kind::Pat, TOKEN, secret)
}

fn check(presented: &[u8], state: &TokenState) -> Result<(), Fault> {
    check_token(presented, None, (TOKEN, OWNER, TENANT), state, AUDIENCE, NOW)
}

/// What is wrong with a token's record, whatever was presented.
const RECORDS: [(&str, Change<TokenState>); 8] = [
    ("ended", |state| state.token.ended = ENDED),
    ("at its expiration date", |state| state.token.expires = NOW),
    ("past its expiration date", |state| state.token.expires = NOW - 1),
    ("of an earlier owner's epoch", |state| state.owner.epoch = 2),
    ("of an earlier tenant's epoch", |state| {
        state.owner.tenant_epoch = 3
    }),
    ("of another audience", |state| state.token.audience = 2),
    ("of a disabled owner", |state| state.owner.enabled = false),
    ("of a deleted owner", |state| state.owner.deleted = Some(1)),
];

#[test]
fn a_good_token_passes() {
    assert_eq!(check(pat(&SECRET).expose(), &good()), Ok(()));
}

#[test]
fn each_thing_that_forbids_a_token_stops_it_alone() {
    for (what, change) in RECORDS {
        let mut state = good();
        change(&mut state);
        assert!(check(pat(&SECRET).expose(), &state).is_err(), "{what}");
    }
}

#[test]
fn the_token_that_was_presented_is_the_one_that_was_allowed() {
    let state = good();
    assert!(check(b"nonsense", &state).is_err());
    assert!(check(compose(Kind::Session, TOKEN, &SECRET).expose(), &state).is_err());
    assert!(check(compose(Kind::Pat, ELSE, &SECRET).expose(), &state).is_err());
    let mut another = good();
    another.token.id = ELSE;
    assert!(check(pat(&SECRET).expose(), &another).is_err());
    for allowed in [(ELSE, OWNER, TENANT), (TOKEN, ELSE, TENANT), (TOKEN, OWNER, ELSE)] {
        let verdict = check_token(pat(&SECRET).expose(), None, allowed, &state, AUDIENCE, NOW);
        assert!(verdict.is_err(), "{allowed:?}");
    }
}

#[test]
fn a_secret_is_right_if_it_is_the_current_one_or_the_one_before_during_the_overlap() {
    let mut state = good();
    assert!(check(pat(&[6; 32]).expose(), &state).is_err());
    let previous = |until| {
        Some(PreviousSecret {
            scheme: SCHEME_SHA256,
            digest: digest(&[6; 32]),
            until,
        })
    };
    state.token.previous = previous(NOW + 1);
    assert_eq!(check(pat(&[6; 32]).expose(), &state), Ok(()));
    assert_eq!(check(pat(&SECRET).expose(), &state), Ok(()));
    assert!(check(pat(&[7; 32]).expose(), &state).is_err());
    state.token.previous = previous(NOW);
    assert!(check(pat(&[6; 32]).expose(), &state).is_err());
}

#[test]
fn an_erased_digest_or_an_unknown_scheme_lets_nothing_in() {
    let mut state = good();
    state.token.scheme = SCHEME_PEPPERED + 1;
    assert!(check(pat(&SECRET).expose(), &state).is_err());
    state.token.scheme = token::SCHEME_ERASED;
    state.token.digest = Digest::default();
    assert!(check(pat(&SECRET).expose(), &state).is_err());
    assert!(check(pat(&[0; 32]).expose(), &state).is_err());
}

#[test]
fn a_peppered_secret_is_right_by_the_mac_that_the_host_made_and_by_nothing_else() {
    let mac = digest(&[1; 32]);
    let with = |mac, state: &TokenState| {
        let secret = pat(&SECRET);
        check_token(secret.expose(), mac, (TOKEN, OWNER, TENANT), state, AUDIENCE, NOW)
    };
    let mut state = good();
    (state.token.scheme, state.token.digest) = (SCHEME_PEPPERED, mac);
    assert_eq!(with(Some(mac), &state), Ok(()));
    assert_eq!(check_minted(&pat(&SECRET), &state, Some(mac)), Ok(()));
    for wrong in [None, Some(digest(&SECRET)), Some(Digest::default())] {
        assert!(with(wrong, &state).is_err(), "{wrong:?}");
        assert!(check_minted(&pat(&SECRET), &state, wrong).is_err(), "{wrong:?}");
    }
    // What the other scheme stores is not taken for it, and the MAC not for what the other scheme stores.
    state.token.digest = digest(&SECRET);
    assert!(with(Some(mac), &state).is_err());
    (state.token.scheme, state.token.digest) = (SCHEME_SHA256, mac);
    assert!(with(Some(mac), &state).is_err());
    // An overlap's secret may be of either scheme, whatever the current one's is.
    state.token.digest = digest(&[6; 32]);
    state.token.previous = Some(PreviousSecret {
        scheme: SCHEME_PEPPERED,
        digest: mac,
        until: NOW + 1,
    });
    assert_eq!(with(Some(mac), &state), Ok(()));
    assert!(with(None, &state).is_err());
}

#[test]
fn a_secret_is_handed_out_only_if_it_is_the_stored_one() {
    let state = good();
    assert_eq!(check_minted(&pat(&SECRET), &state, None), Ok(()));
    for other in [
        pat(&[6; 32]),
        compose(Kind::Pat, ELSE, &SECRET),
        compose(Kind::Session, TOKEN, &SECRET),
    ] {
        assert!(check_minted(&other, &state, None).is_err());
    }
}

#[test]
fn a_password_lets_nobody_in_where_a_pat_is_needed_or_the_owner_is_disabled_or_deleted() {
    let owner = good().owner;
    assert_eq!(check_password_owner(&owner), Ok(()));
    for forbidden in [
        Owner {
            multi_factor: true,
            ..owner
        },
        Owner {
            enabled: false,
            ..owner
        },
        Owner {
            deleted: Some(1),
            ..owner
        },
    ] {
        assert!(check_password_owner(&forbidden).is_err(), "{forbidden:?}");
    }
}

fn good_session() -> SessionState {
    let session = Session {
        id: SESSION,
        token: TOKEN,
        generation: 0,
        digest: digest(&SECRET),
        opened: 1,
        last_used: 1,
        ended: None,
    };
    SessionState {
        session,
        token: good(),
    }
}

fn checked(presented: &[u8], state: &SessionState) -> Result<(), Fault> {
    let allowed = (SESSION, TOKEN, OWNER, TENANT);
    check_session(presented, allowed, state, Some(AUDIENCE), NOW)
}

fn session_text(secret: &[u8; 32]) -> Secret {
    compose(Kind::Session, SESSION, secret)
}

#[test]
fn a_good_session_passes_and_each_thing_that_forbids_its_token_stops_it() {
    let text = session_text(&SECRET);
    assert_eq!(checked(text.expose(), &good_session()), Ok(()));
    for (what, change) in RECORDS {
        let mut state = good_session();
        change(&mut state.token);
        assert!(checked(text.expose(), &state).is_err(), "{what}");
    }
}

#[test]
fn each_thing_that_forbids_a_session_stops_it_alone() {
    let text = session_text(&SECRET);
    let changes: [(&str, Change<SessionState>); 4] = [
        ("ended", |state| state.session.ended = ENDED),
        ("another session", |state| state.session.id = ELSE),
        ("another token's", |state| state.session.token = ELSE),
        ("of another secret", |state| {
            state.session.digest = digest(&[6; 32])
        }),
    ];
    for (what, change) in changes {
        let mut state = good_session();
        change(&mut state);
        assert!(checked(text.expose(), &state).is_err(), "{what}");
    }
    let state = good_session();
    assert!(checked(session_text(&[6; 32]).expose(), &state).is_err());
    assert!(checked(compose(Kind::Session, ELSE, &SECRET).expose(), &state).is_err());
    assert!(checked(pat(&SECRET).expose(), &state).is_err());
    for allowed in [
        (ELSE, TOKEN, OWNER, TENANT),
        (SESSION, ELSE, OWNER, TENANT),
        (SESSION, TOKEN, ELSE, TENANT),
        (SESSION, TOKEN, OWNER, ELSE),
    ] {
        let verdict = check_session(text.expose(), allowed, &state, Some(AUDIENCE), NOW);
        assert!(verdict.is_err(), "{allowed:?}");
    }
}

fn signed_in(text: Secret) -> OpenedSession {
    let end = End {
        at: NOW + 1,
        cause: Cause::Idle,
    };
    OpenedSession {
        session: SESSION,
        secret: text,
        grant: Grant {
            token: TOKEN,
            owner: OWNER,
            tenant: TENANT,
            ends: end,
        },
        ends: end,
        expires: NOW + 1,
    }
}

#[test]
fn a_sign_in_stores_the_session_that_it_hands_out_for_the_token_that_was_let_in() {
    let check = |stored, ended: &[_], text| check_opened(stored, ended, &signed_in(text));
    let right = Some((SESSION, TOKEN));
    let text = || session_text(&SECRET);
    assert_eq!(check(right, &[], text()), Ok(()));
    assert_eq!(check(right, &[(ELSE, TOKEN)], text()), Ok(()));
    for stored in [None, Some((ELSE, TOKEN)), Some((SESSION, ELSE))] {
        assert!(check(stored, &[], text()).is_err(), "{stored:?}");
    }
    assert!(check(right, &[(ELSE, TOKEN), (ELSE, ELSE)], text()).is_err());
    assert!(check(right, &[], compose(Kind::Session, ELSE, &SECRET)).is_err());
    assert!(check(right, &[], pat(&SECRET)).is_err());
}

#[test]
fn a_sign_out_ends_the_session_that_it_says_and_no_other() {
    let closed = ClosedSession {
        session: SESSION,
        token: TOKEN,
        owner: OWNER,
        tenant: TENANT,
    };
    assert_eq!(check_closed(&[(SESSION, TOKEN)], &closed), Ok(()));
    for ended in [
        vec![],
        vec![(ELSE, TOKEN)],
        vec![(SESSION, ELSE)],
        vec![(SESSION, TOKEN), (ELSE, TOKEN)],
    ] {
        assert!(check_closed(&ended, &closed).is_err(), "{ended:?}");
    }
}
