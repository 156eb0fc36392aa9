//! R13: names are unique among an owner's live PATs, and everything can be reviewed.

use patrol::service::Origin;
use patrol::store::TokenFilter;
use patrol_policy::types::{Cause, DAY, RefusalReason};
use patrol_tests::deployment::{AUDIENCE, Deployment, START, assert_refused, id, operator};

fn issue(it: &Deployment, name: &str) -> Result<String, patrol::service::Error> {
    it.patrol
        .issue(&operator(), it.alice, name, START + DAY, AUDIENCE)
        .map(|token| token.row.name)
}

#[test]
fn r13_two_live_tokens_of_one_owner_never_have_the_same_name() {
    let it = Deployment::new();
    let first = it.issue(it.alice, "Café");
    for same in ["Café", "Cafe\u{301}", "  Café\t", "\u{2003}Cafe\u{301}\u{a0}"] {
        assert_refused(issue(&it, same), RefusalReason::NameTaken);
    }
    it.assert_event("create_personal_access_token", "client_error", Some("name-taken"));
    // Another spelling is another name, and another owner's is another token.
    for other in ["café", "Cafe", "Ca fé"] {
        issue(&it, other).unwrap();
    }
    let _ = it.issue(it.bob, "Café");
    it.verify(&first).unwrap();
}

#[test]
fn r13_the_name_of_a_token_that_ended_is_free() {
    let it = Deployment::new();
    let revoked = it.issue(it.alice, "revoked");
    let _expired = it.issue_until(it.alice, "expired", START + DAY);
    it.patrol.revoke(&operator(), id(&revoked)).unwrap();
    issue(&it, "revoked").unwrap();
    it.clock.set(START + DAY - 1);
    assert_refused(issue(&it, "expired"), RefusalReason::NameTaken);
    it.clock.set(START + DAY);
    let again = it
        .patrol
        .issue(&operator(), it.alice, "expired", START + 2 * DAY, AUDIENCE);
    again.unwrap();
}

#[test]
fn r13_a_name_is_trimmed_and_stored_in_nfc() {
    let it = Deployment::new();
    assert_eq!(
        issue(&it, " \u{2003}nightly backup\t\n").unwrap(),
        "nightly backup"
    );
    assert_eq!(issue(&it, "e\u{301}tude").unwrap(), "étude");
    assert_eq!(issue(&it, "在庫 📦").unwrap(), "在庫 📦");
}

#[test]
fn r13_a_name_has_1_to_255_characters() {
    let it = Deployment::new();
    for empty in ["", " ", "\t\n\u{2003}"] {
        assert_refused(issue(&it, empty), RefusalReason::NameInvalid);
    }
    it.assert_event(
        "create_personal_access_token",
        "client_error",
        Some("name-invalid"),
    );
    issue(&it, "x").unwrap();
    // Characters, not bytes.
    for character in ["y", "é", "📦"] {
        issue(&it, &character.repeat(255)).unwrap();
        assert_refused(issue(&it, &character.repeat(256)), RefusalReason::NameInvalid);
    }
    issue(&it, &format!("  {}  ", "z".repeat(255))).unwrap();
}

#[test]
fn r13_a_name_has_no_control_characters() {
    let it = Deployment::new();
    for control in ['\0', '\t', '\n', '\r', '\u{1b}', '\u{7f}', '\u{85}', '\u{9b}'] {
        assert_refused(issue(&it, &format!("a{control}b")), RefusalReason::NameInvalid);
    }
}

#[test]
fn r13_one_of_many_that_ask_for_a_name_at_once_gets_it() {
    let it = Deployment::new();
    let other = it.another();
    let issued: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|n| {
                let patrol = if n % 2 == 0 { &*it.patrol } else { &other };
                scope.spawn(move || {
                    let token = patrol.issue(&operator(), it.alice, "the one", START + DAY, AUDIENCE);
                    match token {
                        Ok(_) => 1,
                        Err(error) => {
                            assert_eq!(error.refusal(), Some(RefusalReason::NameTaken), "{error}");
                            0
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(issued, 1);
}

#[test]
fn r13_a_review_says_who_what_created_last_used_from_where_and_when_and_why_it_ends() {
    let it = Deployment::new();
    let token = it.issue_until(it.alice, "nightly backup", START + 10 * DAY);
    let unused = it.issue(it.bob, "unused");
    it.clock.set(START + DAY);
    let origin = Origin {
        address: Some("192.0.2.7".parse().unwrap()),
        ..Origin::default()
    };
    it.patrol
        .authenticate(token.secret.expose(), AUDIENCE, &origin)
        .unwrap();
    it.patrol.flush().unwrap();

    let filter = TokenFilter {
        tenant: Some(it.tenant),
        limit: 1,
        ..TokenFilter::default()
    };
    let mut reviewed = Vec::new();
    it.patrol
        .review_all(filter, |token| {
            reviewed.push(token);
            true
        })
        .unwrap();
    let [one, other] = reviewed.as_slice() else {
        panic!("{reviewed:?}");
    };
    assert_eq!(
        (one.row.owner_name.as_str(), one.row.name.as_str()),
        ("alice", "nightly backup")
    );
    assert_eq!(one.row.state.token.created, START);
    assert_eq!(one.row.state.token.last_used, Some(START + DAY));
    assert_eq!(one.row.last_used_from.as_deref(), Some("192.0.2.7"));
    assert_eq!(
        (one.outlook.ends.at, one.outlook.ends.cause),
        (START + 10 * DAY, Cause::ExpirationDate)
    );
    assert_eq!(
        (other.row.state.token.id, other.row.state.token.last_used),
        (id(&unused), None)
    );
    assert_eq!(
        (other.outlook.ends.at, other.outlook.ends.cause),
        (START + 15 * DAY, Cause::Idle)
    );
}
