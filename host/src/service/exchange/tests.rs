//! Writing exchanges down and reading them.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

use patrol_policy::types::{
    ActorRole, Cause, Digest, PreviousSecret, Session, SessionState, Token, TokenState,
};

use super::*;

const NOW: Timestamp = 1_800_000_000_000;
const TOKEN: Id = Id { hi: 3, lo: 1 };

fn digest(byte: u8) -> Digest {
    Digest::from_bytes(&[byte; 32])
}

fn state() -> SessionState {
    let owner = Owner {
        id: Id { hi: 2, lo: 1 },
        tenant: Id { hi: 1, lo: 1 },
        enabled: true,
        deleted: Some(7),
        epoch: 2,
        epoch_since: 3,
        tenant_epoch: 4,
        tenant_epoch_since: 5,
        multi_factor: true,
    };
    let token = Token {
        id: TOKEN,
        owner: owner.id,
        tenant: owner.tenant,
        audience: 1,
        scheme: 2,
        digest: digest(0xd1),
        generation: 3,
        previous: Some(PreviousSecret {
            scheme: 1,
            digest: digest(0xd2),
            until: NOW + 1,
        }),
        created: 4,
        expires: NOW + 2,
        last_used: Some(NOW),
        owner_epoch: 1,
        tenant_epoch: 2,
        ended: Some(End {
            at: 9,
            cause: Cause::Revoked,
        }),
    };
    let session = Session {
        id: Id { hi: 4, lo: 1 },
        token: TOKEN,
        generation: 2,
        digest: digest(0xd3),
        opened: 5,
        last_used: 6,
        ended: None,
    };
    SessionState {
        session,
        token: TokenState { token, owner },
    }
}

fn exchange() -> Exchange {
    let state = state();
    let rule = LiveRule {
        now: NOW,
        idle_since: 5,
    };
    let request = IssueRequest {
        owner: state.token.owner.id,
        name: "deploy".to_owned(),
        expires: NOW + 9,
        audience: 1,
    };
    let actor = Actor {
        role: ActorRole::Administrator,
        id: Id::default(),
    };
    Exchange {
        at: NOW,
        tenant: Some(state.token.owner.tenant),
        parameters: Parameters::default(),
        question: Asked::Issue(request, actor),
        answers: vec![
            Answer::Token(TOKEN, Some((&state.token).into())),
            Answer::Token(TOKEN, None),
            Answer::Owner(TOKEN, Some(state.token.owner)),
            Answer::Count(TOKEN, rule, 3),
            Answer::Name(TOKEN, "deploy".to_owned(), rule, true),
            Answer::List(TOKEN, rule, vec![(&state.token).into(); 3]),
            Answer::Session(TOKEN, Some((&state).into())),
            Answer::Sessions(TOKEN, vec![(&state.session).into()]),
            Answer::Method(Scope::Tenant(TOKEN), Some("saml".to_owned())),
            Answer::Census(Scope::Owner(TOKEN), rule, Census { tokens: 1, owners: 1 }),
            Answer::Ended(TOKEN, rule, 4),
        ],
        overruled: Some(Verdict::Yes(Yes::Ended(3))),
        verdict: Verdict::Fault("contract".to_owned()),
    }
}

#[test]
fn an_exchange_is_read_as_it_was_written() {
    let exchange = exchange();
    let mut bytes = vec![9];
    exchange.encode(&mut bytes).unwrap();
    assert_eq!(Exchange::decode(&bytes[1..]), Ok(exchange));
}

#[test]
fn what_was_cut_or_prolonged_or_is_of_another_version_is_no_exchange() {
    let mut bytes = Vec::new();
    exchange().encode(&mut bytes).unwrap();
    for length in 0..bytes.len() {
        assert_eq!(
            Exchange::decode(&bytes[..length]),
            Err(Undecodable::Damaged),
            "{length}"
        );
    }
    bytes.push(0);
    assert_eq!(Exchange::decode(&bytes), Err(Undecodable::Damaged));
    bytes[0] = 2;
    assert_eq!(Exchange::decode(&bytes), Err(Undecodable::Version(2)));
}

#[test]
fn a_record_is_kept_whole_but_for_its_digests() {
    let state = state();
    let mut bare = state;
    bare.session.digest = Digest::default();
    bare.token.token.digest = Digest::default();
    bare.token.token.previous.as_mut().unwrap().digest = Digest::default();
    assert_eq!(SessionSeen::from(&state).state(), bare);
    let mut bytes = Vec::new();
    exchange().encode(&mut bytes).unwrap();
    for byte in [0xd1, 0xd2, 0xd3] {
        assert!(!bytes.windows(8).any(|window| window == [byte; 8]), "{byte:x}");
    }
}
