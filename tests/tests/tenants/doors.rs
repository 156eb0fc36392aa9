//! Whichever way a token comes in, it is its owner's tenant's policy that judges it.

use patrol::service::{ClientSpec, Error, Origin};
use patrol_policy::token::{self, Kind};
use patrol_policy::types::{DAY, Id, RefusalReason};
use patrol_tests::deployment::{AUDIENCE, assert_refused, operator};
use patrol_tests::hostile;

use crate::support::Two;

#[test]
fn introspection_and_revocation_go_by_the_tokens_tenant() {
    let two = Two::stricter();
    let patrol = &two.it.patrol;
    let client = patrol
        .create_client(
            &operator(),
            &ClientSpec {
                name: "gateway".to_owned(),
                tenant: None,
                audiences: vec![AUDIENCE.to_owned()],
                expires: None,
            },
        )
        .unwrap();
    let id = client.row.id.to_string();
    let client = patrol
        .authenticate_client(id.as_bytes(), &client.secret, &Origin::default())
        .unwrap();
    let [alices, carols] = two.issue("nightly");
    two.it.clock.advance(7 * DAY);
    let origin = Origin::default();
    patrol
        .introspect(&client, alices.secret.expose(), &origin)
        .unwrap();
    assert_refused(
        patrol.introspect(&client, carols.secret.expose(), &origin),
        RefusalReason::Idle,
    );
    // Nothing is left to revoke of what has ended by the tenant's own rules.
    let revoke = |secret: &[u8]| patrol.revoke_presented(&client, secret, &origin).unwrap();
    assert!(revoke(alices.secret.expose()));
    assert!(!revoke(carols.secret.expose()));
}

/// A policy that decides nothing at all shows who is asked.
#[test]
fn no_way_leads_around_a_tenants_policy() {
    let two = Two::new();
    let patrol = &two.it.patrol;
    let [alices, carols] = two.issue("nightly");
    let [open, theirs] = [&alices, &carols].map(|token| two.it.sign_in(token));
    two.bind(&two.keep(hostile::policy("unreachable"), 1));
    let (origin, token) = (Origin::default(), carols.row.state.token.id);
    let faults: Vec<(&str, Result<(), Error>)> = vec![
        ("authenticate", two.it.verify(&carols).map(drop)),
        (
            "open-session",
            patrol
                .open_session(carols.secret.expose(), AUDIENCE, &origin)
                .map(drop),
        ),
        ("check-session", two.it.check(&theirs).map(drop)),
        ("close-session", patrol.close_session(&theirs, &origin).map(drop)),
        ("rotate", patrol.rotate(&operator(), token, 0).map(drop)),
        ("revoke", patrol.revoke(&operator(), token).map(drop)),
        ("revoke-all", patrol.revoke_all(&operator(), two.carol).map(drop)),
        ("list", patrol.list_tokens(&operator(), two.carol).map(drop)),
        ("foresee", patrol.show_token(token).map(drop)),
    ];
    for (what, result) in faults {
        assert!(matches!(result, Err(Error::Fault(_))), "{what}: {result:?}");
    }
    two.it.verify(&alices).unwrap();
    two.it.check(&open).unwrap();
    patrol.close_session(&open, &origin).unwrap();
    patrol.show_token(alices.row.state.token.id).unwrap();
    patrol.revoke_all(&operator(), two.it.alice).unwrap();

    // What is nobody's is refused as ever.
    let strange = token::compose(Kind::Pat, Id { hi: 7, lo: 7 }, &[7; 32]);
    let refused = |presented: &[u8]| patrol.authenticate(presented, AUDIENCE, &origin);
    assert_refused(refused(strange.expose()), RefusalReason::Unknown);
    assert_refused(refused(b"nonsense"), RefusalReason::Malformed);
    let strange = token::compose(Kind::Session, Id { hi: 7, lo: 7 }, &[7; 32]);
    assert_refused(two.it.check(strange.expose()), RefusalReason::Unknown);
    // Nor does it help to present one's own token as a session, or with another's secret.
    let wrong = token::compose(Kind::Pat, token, &[7; 32]);
    assert!(matches!(refused(wrong.expose()), Err(Error::Fault(_))));
    assert_refused(two.it.check(carols.secret.expose()), RefusalReason::Malformed);
}
