//! A journal holds nothing that authenticates: of every secret that was presented or handed out, no form, no digest.

use std::fs;

use patrol::journal::{self, Reader};
use patrol::service::{Caller, Exchange, Origin};
use patrol_policy::Secret;
use patrol_policy::token::{self, Kind};
use patrol_policy::types::{HOUR, Id};
use patrol_tests::needles::{Needles, secret_bytes};

use crate::stricter::Kept;

/// A secret that was shown or presented: its text, its bytes, and the SHA-256 that is stored of it.
fn add(needles: &mut Needles, what: &str, text: &Secret) {
    needles.add_token(what, text.expose());
    let digest = token::digest(&secret_bytes(text.expose())).to_bytes();
    add_bytes(needles, &format!("the digest of {what}"), &digest);
}

fn add_bytes(needles: &mut Needles, what: &str, bytes: &[u8]) {
    for (part, bytes) in [
        ("all", bytes),
        ("half", &bytes[..16]),
        ("other half", &bytes[16..]),
    ] {
        needles.add_text(&format!("{what}, {part}"), bytes);
        let list = format!("{bytes:?}");
        needles.add_text(
            &format!("{what}, {part}, as a list"),
            list.trim_matches(['[', ']']).as_bytes(),
        );
    }
}

#[test]
fn a_journal_holds_nothing_that_authenticates() {
    let kept = Kept::new();
    let patrol = &kept.patrol;
    let (origin, admin) = (Origin::default(), Caller::operator(None));
    let mut needles = Needles::default();
    kept.user("ann");
    for round in 0..8_u8 {
        let first = kept.token("ann", &format!("token {round}"));
        add(&mut needles, "a token", &first);
        let id = token::parse(Kind::Pat, first.expose()).unwrap().id();
        kept.verify(&first);
        let wrong = token::compose(Kind::Pat, id, &[round ^ 0xa7; 32]);
        add(&mut needles, "a wrong secret", &wrong);
        assert!(patrol.authenticate(wrong.expose(), "api", &origin).is_err());
        let unknown = token::compose(Kind::Pat, Id { hi: 5, lo: 5 }, &[round ^ 0x59; 32]);
        add(&mut needles, "a secret of no token", &unknown);
        assert!(patrol.authenticate(unknown.expose(), "api", &origin).is_err());
        let session = patrol
            .open_session(first.expose(), "api", &origin)
            .unwrap()
            .secret;
        add(&mut needles, "a session", &session);
        patrol.check_session(session.expose(), "api", &origin).unwrap();
        let second = patrol.rotate(&admin, id, HOUR).unwrap().secret;
        add(&mut needles, "a rotated token", &second);
        kept.verify(&first);
        kept.verify(&second);
        let mut mistyped = second.expose().to_vec();
        *mistyped.last_mut().unwrap() ^= 1;
        assert!(patrol.authenticate(&mistyped, "api", &origin).is_err());
        needles.add_text("a mistyped token", &mistyped[33..]);
        // Whatever the scheme: what the store has of it.
        let stored = patrol.store().token(id).unwrap().unwrap().state.token;
        add_bytes(&mut needles, "the stored digest", &stored.digest.to_bytes());
        add_bytes(
            &mut needles,
            "the stored digest before",
            &stored.previous.unwrap().digest.to_bytes(),
        );
        if round % 2 == 0 {
            patrol.close_session(session.expose(), &origin).unwrap();
            patrol.revoke(&admin, id).unwrap();
        }
    }
    patrol.flush_journal();
    let directory = journal::directory(patrol.data());
    let reader = Reader::open(&directory).unwrap();
    let (mut records, mut told, mut count) = (Vec::new(), String::new(), 0);
    for record in reader.records(0) {
        let bytes = record.unwrap().bytes;
        told += &format!("{:?}\n", Exchange::decode(&bytes).unwrap());
        records.extend(bytes);
        count += 1;
    }
    assert!(count > 80, "{count} decisions");
    assert_eq!(needles.found_in(&records), Vec::<&str>::new());
    assert_eq!(needles.found_in(told.as_bytes()), Vec::<&str>::new());
    for entry in fs::read_dir(&directory).unwrap() {
        let file = fs::read(entry.unwrap().path()).unwrap();
        assert_eq!(needles.found_in(&file), Vec::<&str>::new());
    }
    // What it does hold is sealed: not even a name is to be seen.
    let mut names = Needles::default();
    names.add_text("a name", b"token 3");
    assert!(!names.found_in(&records).is_empty());
    for entry in fs::read_dir(&directory).unwrap() {
        let file = fs::read(entry.unwrap().path()).unwrap();
        assert_eq!(names.found_in(&file), Vec::<&str>::new());
    }
}
