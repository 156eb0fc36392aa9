//! R1: created with a name and an expiration date; the secret is shown once.

use patrol::store::TokenFilter;
use patrol_policy::types::{DAY, HOUR, RefusalReason};
use patrol_tests::deployment::{AUDIENCE, Deployment, START, assert_refused, id, operator, person};
use patrol_tests::needles::Needles;

const EVENT: &str = "create_personal_access_token";

#[test]
fn r1_a_token_has_the_name_and_the_expiration_date_that_were_chosen() {
    let it = Deployment::new();
    let token = it.issue_until(it.alice, "nightly backup", START + 30 * DAY);
    assert_eq!(token.row.name, "nightly backup");
    assert_eq!(token.row.state.token.created, START);
    assert_eq!(token.row.state.token.expires, START + 30 * DAY);
    assert_eq!(it.verify(&token).unwrap().token().unwrap().name, "nightly backup");

    let event = it.last_event(EVENT);
    assert_eq!(event["eventOutcome"], "success");
    assert_eq!(event["patName"], "nightly backup");
    assert_eq!(event["patId"], id(&token).to_string());
    assert_eq!(event["patUserId"], it.alice.to_string());
    assert_eq!(event["tenantName"], "acme");
    assert_eq!(event["initiatingUserRole"], "administrator");
}

#[test]
fn r1_an_expiration_date_lies_in_the_future_and_within_the_greatest_lifetime() {
    let it = Deployment::new();
    let longest = it.patrol.config().policy.max_lifetime.0;
    let issue = |name: &str, expires| it.patrol.issue(&operator(), it.alice, name, expires, AUDIENCE);

    for past in [0, START - 1, START] {
        assert_refused(issue("past", past), RefusalReason::ExpirationPast);
    }
    it.assert_event(EVENT, "client_error", Some("expiration-past"));
    issue("soon", START + 1).unwrap();
    issue("far", START + longest).unwrap();
    for far in [START + longest + 1, u64::MAX] {
        assert_refused(issue("too far", far), RefusalReason::ExpirationTooFar);
    }
    it.assert_event(EVENT, "client_error", Some("expiration-too-far"));
}

#[test]
fn r1_nothing_but_the_answer_to_creation_or_rotation_holds_the_secret() {
    let it = Deployment::new();
    let token = it.issue(it.alice, "one");
    let rotated = it.patrol.rotate(&operator(), id(&token), HOUR).unwrap();
    let identity = it.verify(&token).unwrap();
    it.verify(&rotated).unwrap();
    let session = it.sign_in(&rotated);
    let checked = it.check(&session).unwrap();

    let mut needles = Needles::default();
    needles.add_token("the token", token.secret.expose());
    needles.add_token("the rotated token", rotated.secret.expose());
    needles.add_token("the session", &session);

    let mut answers = format!("{token:?}{rotated:?}{identity:?}{checked:?}");
    answers += &format!("{:?}", it.patrol.list_tokens(&person(it.alice), it.alice));
    answers += &format!("{:?}", it.patrol.show_token(id(&token)));
    answers += &format!(
        "{:?}",
        it.patrol.review(&TokenFilter {
            limit: 10,
            ..Default::default()
        })
    );
    answers += &format!("{:?}", it.patrol.revoke(&operator(), id(&token)));
    answers += &format!("{:?}", it.verify(&rotated));
    let mut events = 0;
    it.patrol
        .audit(&Default::default(), |entry| {
            answers += &entry.body;
            events += 1;
            true
        })
        .unwrap();
    assert!(events > 5 && answers.contains(&id(&token).to_string()));
    assert_eq!(needles.found_in(answers.as_bytes()), Vec::<&str>::new());
}

#[test]
fn r1_no_two_tokens_share_a_secret_or_an_identifier() {
    let it = Deployment::new();
    let mut seen = std::collections::HashSet::new();
    for n in 0..20 {
        let token = it.issue(it.alice, &format!("token {n}"));
        let text = token.secret.expose();
        assert!(seen.insert(text[..33].to_vec()) && seen.insert(text[33..].to_vec()));
    }
}
