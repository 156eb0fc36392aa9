//! The rules, one by one, on the native engine over a host in memory. Each test names the rule that it proves.

use patrol_policy::types::{
    Actor, ActorRole, Cause, DAY, Denial, End, HOUR, Id, IssueRequest, Issued, MINUTE, Outage, Parameters,
    Refusal, RefusalReason, Scope, Token,
};
use patrol_policy::{Policy as _, Secret, Stock};
use patrol_tests::memory::Calls;
use patrol_tests::native::Native;
use patrol_tests::trace::{START, tenant_id, user_id};

const AUDIENCE: u32 = 1;
const ADMINISTRATOR: Actor = Actor {
    role: ActorRole::Administrator,
    id: Id { hi: 2, lo: 99 },
};

fn world() -> Native {
    Native::new(Parameters::default())
}

fn user(index: usize) -> Actor {
    Actor {
        role: ActorRole::User,
        id: user_id(index),
    }
}

fn request(name: &str) -> IssueRequest {
    IssueRequest {
        owner: user_id(0),
        name: name.to_owned(),
        expires: START + 30 * DAY,
        audience: AUDIENCE,
    }
}

fn issue(world: &mut Native, name: &str) -> Issued {
    world.engine().issue(request(name), user(0)).unwrap()
}

fn no<T: std::fmt::Debug>(answer: Result<T, Denial>) -> RefusalReason {
    match answer.unwrap_err() {
        Denial::Refused(refusal) => refusal.reason,
        Denial::Outage(outage) => panic!("the store failed: {outage}"),
    }
}

fn present(world: &mut Native, secret: &Secret) -> Result<(), RefusalReason> {
    let answer = world.engine().authenticate(secret.expose(), AUDIENCE);
    answer.map(drop).map_err(|denial| no::<()>(Err(denial)))
}

#[test]
fn everything_is_refused_by_default() {
    let mut world = world();
    assert_eq!(
        no(world.engine().authenticate(b"", AUDIENCE)),
        RefusalReason::Malformed
    );
    assert_eq!(
        no(world.engine().check_session(b"", AUDIENCE)),
        RefusalReason::Malformed
    );
    let nobody = Actor {
        role: ActorRole::User,
        id: Id::default(),
    };
    assert_eq!(
        no(world.engine().issue(request("a"), nobody)),
        RefusalReason::NotPermitted
    );
    assert_eq!(
        no(world.engine().revoke(Id::default(), ADMINISTRATOR)),
        RefusalReason::NoSuchToken
    );
}

#[test]
fn r1_a_token_carries_name_and_date_and_its_secret_is_never_printed() {
    let mut world = world();
    let issued = issue(&mut world, "nightly build");
    let (token, name) = &world.host.rows.tokens[&issued.token];
    assert_eq!(
        (name.as_str(), token.expires),
        ("nightly build", START + 30 * DAY)
    );
    assert_eq!(
        issued.ends,
        End {
            at: START + 15 * DAY,
            cause: Cause::Idle
        }
    );
    let text = String::from_utf8(issued.secret.expose().to_vec()).unwrap();
    assert!(text.starts_with("patrol_pat_") && text.len() == 83);
    assert!(!format!("{issued:?}").contains(&text[40..60]));
    assert!(!format!("{:?}", world.host).contains(&text[40..60]));
}

#[test]
fn r1_two_tokens_share_neither_identifier_nor_secret() {
    let mut world = world();
    let (one, other) = (issue(&mut world, "a"), issue(&mut world, "b"));
    assert_ne!(one.token, other.token);
    let digest = |issued: &Issued| world.host.rows.tokens[&issued.token].0.digest;
    assert_ne!(digest(&one), digest(&other));
    assert_eq!(
        world.host.calls.entropy, 4,
        "one draw for a secret, one for an identifier"
    );
    assert_eq!(one.token.as_uuid().get_version_num(), 7);
}

#[test]
fn r2_the_stored_digest_is_gone_once_a_token_has_ended() {
    let mut world = world();
    let issued = issue(&mut world, "a");
    world.engine().rotate(issued.token, HOUR, user(0)).unwrap();
    world.engine().revoke(issued.token, user(0)).unwrap();
    let (stored, _) = world.host.rows.tokens[&issued.token];
    assert_eq!(
        (stored.scheme, stored.previous, stored.digest.to_bytes()),
        (0, None, [0; 32])
    );
}

#[test]
fn r3_a_secret_of_another_token_or_scheme_does_not_match() {
    let mut world = world();
    let issued = issue(&mut world, "a");
    let id = issued.token;
    for scheme in [0, 2, 255] {
        world.host.rows.tokens.get_mut(&id).unwrap().0.scheme = scheme;
        assert_eq!(
            present(&mut world, &issued.secret),
            Err(RefusalReason::WrongSecret)
        );
    }
    let other = issue(&mut world, "b").token;
    let other = world.host.rows.tokens[&other].0.digest;
    let stored = &mut world.host.rows.tokens.get_mut(&id).unwrap().0;
    *stored = Token {
        scheme: 1,
        digest: other,
        ..*stored
    };
    assert_eq!(
        present(&mut world, &issued.secret),
        Err(RefusalReason::WrongSecret)
    );
}

#[test]
fn r3_a_previous_secret_of_a_token_that_was_never_rotated_makes_no_sense_and_does_not_match() {
    let mut world = world();
    let issued = issue(&mut world, "a");
    let rotated = world.engine().rotate(issued.token, HOUR, user(0)).unwrap();
    world
        .host
        .rows
        .tokens
        .get_mut(&issued.token)
        .unwrap()
        .0
        .generation = 0;
    assert_eq!(
        present(&mut world, &issued.secret),
        Err(RefusalReason::WrongSecret)
    );
    assert_eq!(present(&mut world, &rotated.secret), Ok(()));
}

#[test]
fn r4_a_session_stops_with_its_owner_at_the_next_check() {
    let mut world = world();
    let issued = issue(&mut world, "a");
    let session = world
        .engine()
        .open_session(issued.secret.expose(), AUDIENCE)
        .unwrap()
        .secret;
    let check = |world: &mut Native| world.engine().check_session(session.expose(), AUDIENCE);
    assert_eq!(check(&mut world).unwrap().owner, user_id(0));
    world.host.set_enabled(user_id(0), false);
    assert_eq!(no(check(&mut world)), RefusalReason::OwnerDisabled);
    world.host.set_enabled(user_id(0), true);
    check(&mut world).unwrap();
    world.host.delete(user_id(0));
    assert_eq!(no(check(&mut world)), RefusalReason::OwnerDeleted);
}

#[test]
fn r5_a_session_in_use_does_not_keep_its_token_alive_and_a_sign_in_does() {
    let mut world = world();
    let issued = issue(&mut world, "a");
    world.host.now = START + 15 * DAY - 1;
    let opened = world
        .engine()
        .open_session(issued.secret.expose(), AUDIENCE)
        .unwrap();
    assert_eq!(
        opened.grant.ends,
        End {
            at: START + 30 * DAY - 1,
            cause: Cause::Idle
        }
    );
    world.host.now += MINUTE;
    world
        .engine()
        .check_session(opened.secret.expose(), AUDIENCE)
        .unwrap();
    let (stored, _) = world.host.rows.tokens[&issued.token];
    assert_eq!(stored.last_used, Some(START + 15 * DAY - 1));
}

#[test]
fn r5_no_refused_attempt_writes_anything() {
    let mut world = world();
    let issued = issue(&mut world, "a");
    world.host.now += DAY;
    let before = world.host.clone();
    for presented in [&b"patrol_pat_"[..], b"nonsense", &issued.secret.expose()[..82]] {
        no(world.engine().authenticate(presented, AUDIENCE));
        no(world.engine().open_session(presented, AUDIENCE));
    }
    no(world.engine().authenticate(issued.secret.expose(), AUDIENCE + 1));
    world.host.set_enabled(user_id(0), false);
    no(world.engine().authenticate(issued.secret.expose(), AUDIENCE));
    assert_eq!(world.host.rows.tokens, before.rows.tokens);
    assert_eq!(world.host.calls.writes, before.calls.writes);
}

#[test]
fn r6_an_expired_token_is_gone_from_the_list_before_any_sweep() {
    let mut world = world();
    let issued = issue(&mut world, "a");
    assert_eq!(world.engine().list_tokens(user_id(0), user(0)).unwrap().len(), 1);
    world.host.now = issued.ends.at;
    assert_eq!(world.engine().list_tokens(user_id(0), user(0)).unwrap(), []);
}

#[test]
fn r6_sweeping_stops_at_its_limit_and_says_that_there_is_more() {
    let mut world = world();
    for name in ["a", "b", "c"] {
        issue(&mut world, name);
        world.host.now += 1;
    }
    world.host.now = START + 15 * DAY + 2;
    let first = world.engine().sweep(2).unwrap();
    assert_eq!((first.ended, first.more), (2, true));
    let second = world.engine().sweep(2).unwrap();
    assert_eq!((second.ended, second.more), (1, false));
    let marks: Vec<_> = world
        .host
        .rows
        .tokens
        .values()
        .map(|(token, _)| token.ended.unwrap())
        .collect();
    let expected = (0..3).map(|n| End {
        at: START + 15 * DAY + n,
        cause: Cause::Idle,
    });
    assert_eq!(
        marks,
        expected.collect::<Vec<_>>(),
        "the mark is the end that it came to, not the time of the sweep"
    );
}

#[test]
fn r7_the_hundred_and_fifth_token_is_refused_until_one_has_ended() {
    let mut world = world();
    let first = issue(&mut world, "0").token;
    for number in 1..104 {
        issue(&mut world, &number.to_string());
    }
    // The limit is named even where the name is taken, too.
    for name in ["104", "0"] {
        assert_eq!(
            no(world.engine().issue(request(name), user(0))),
            RefusalReason::LimitReached
        );
    }
    assert_eq!(
        no(world.engine().issue(request("104"), ADMINISTRATOR)),
        RefusalReason::LimitReached
    );
    let other = IssueRequest {
        owner: user_id(1),
        ..request("0")
    };
    world.engine().issue(other, user(1)).unwrap();
    world.engine().revoke(first, user(0)).unwrap();
    issue(&mut world, "104");
}

#[test]
fn r8_a_token_is_revoked_by_its_owner_an_administrator_the_host_or_itself_and_nobody_else() {
    let mut world = world();
    let attempt = |world: &mut Native, actor: fn(Id) -> Actor| {
        let issued = issue(world, "a");
        let answer = world.engine().revoke(issued.token, actor(issued.token));
        let works = present(world, &issued.secret);
        world.engine().revoke_all(user_id(0), ADMINISTRATOR).unwrap();
        (answer, works)
    };
    for actor in [
        |_| user(0),
        |_| ADMINISTRATOR,
        |_| Actor {
            role: ActorRole::System,
            id: Id::default(),
        },
        |token| Actor {
            role: ActorRole::Token,
            id: token,
        },
    ] {
        let (answer, works) = attempt(&mut world, actor);
        answer.unwrap();
        assert_eq!(works, Err(RefusalReason::Revoked));
    }
    for actor in [
        |_| user(1),
        |_| Actor {
            role: ActorRole::Token,
            id: user_id(0),
        },
    ] {
        let (answer, works) = attempt(&mut world, actor);
        assert_eq!((no(answer), works), (RefusalReason::NotPermitted, Ok(())));
    }
}

#[test]
fn r8_revoking_again_is_refused_with_the_reason_and_keeps_the_first_mark() {
    let mut world = world();
    let id = issue(&mut world, "a").token;
    world.engine().revoke(id, user(0)).unwrap();
    world.host.now += DAY;
    let denial = world.engine().revoke(id, user(0)).unwrap_err();
    assert_eq!(
        denial,
        Denial::Refused(Refusal {
            reason: RefusalReason::Revoked,
            token: Some(id)
        })
    );
    assert_eq!(
        world.host.rows.tokens[&id].0.ended,
        Some(End {
            at: START,
            cause: Cause::Revoked
        })
    );
}

#[test]
fn r9_a_change_of_method_writes_once_however_many_tokens_go() {
    for tokens in [1, 100] {
        let mut world = world();
        let issued: Vec<_> = (0..tokens)
            .map(|number| issue(&mut world, &number.to_string()))
            .collect();
        let preview = |world: &mut Native| {
            world
                .engine()
                .preview_auth_method(Scope::Tenant(tenant_id(0)), "saml", ADMINISTRATOR)
                .unwrap()
        };
        world.host.calls = Calls::default();
        let foreseen = preview(&mut world);
        assert_eq!(
            (foreseen.tokens, foreseen.owners, world.host.calls.writes),
            (tokens, 1, 0)
        );
        let changes = world
            .engine()
            .change_auth_method(Scope::Tenant(tenant_id(0)), "saml", ADMINISTRATOR)
            .unwrap();
        assert!(changes);
        assert_eq!(world.host.calls.writes, 1);
        for token in &issued {
            assert_eq!(
                present(&mut world, &token.secret),
                Err(RefusalReason::AuthMethodChanged)
            );
        }
        let again = preview(&mut world);
        assert_eq!((again.changes, again.tokens, again.owners), (false, 0, 0));
    }
}

#[test]
fn r9_only_administrators_and_the_host_change_methods() {
    let mut world = world();
    for actor in [
        user(0),
        Actor {
            role: ActorRole::Token,
            id: user_id(0),
        },
    ] {
        for scope in [Scope::Tenant(tenant_id(0)), Scope::Owner(user_id(0))] {
            let answer = world.engine().change_auth_method(scope, "saml", actor);
            assert_eq!(no(answer), RefusalReason::NotPermitted);
            let answer = world.engine().preview_auth_method(scope, "saml", actor);
            assert_eq!(no(answer), RefusalReason::NotPermitted);
        }
    }
    let system = Actor {
        role: ActorRole::System,
        id: Id::default(),
    };
    assert!(
        world
            .engine()
            .change_auth_method(Scope::Owner(user_id(0)), "saml", system)
            .unwrap()
    );
}

#[test]
fn r11_a_password_is_not_enough_with_multi_factor_authentication() {
    let mut world = world();
    world.engine().decide_password_sign_in(user_id(0)).unwrap();
    world.host.set_multi_factor(tenant_id(0), true);
    assert_eq!(
        no(world.engine().decide_password_sign_in(user_id(0))),
        RefusalReason::PatRequired
    );
    let issued = issue(&mut world, "a");
    assert_eq!(present(&mut world, &issued.secret), Ok(()));
}

#[test]
fn r12_a_token_creates_lists_and_rotates_nothing() {
    let mut world = world();
    let id = issue(&mut world, "a").token;
    // Not even one that claims its owner's identifier.
    for actor in [
        Actor {
            role: ActorRole::Token,
            id,
        },
        Actor {
            role: ActorRole::Token,
            id: user_id(0),
        },
    ] {
        assert_eq!(
            no(world.engine().issue(request("b"), actor)),
            RefusalReason::NotPermitted
        );
        assert_eq!(
            no(world.engine().list_tokens(user_id(0), actor)),
            RefusalReason::NotPermitted
        );
        assert_eq!(
            no(world.engine().rotate(id, 0, actor)),
            RefusalReason::NotPermitted
        );
        assert_eq!(
            no(world.engine().revoke_all(user_id(0), actor)),
            RefusalReason::NotPermitted
        );
    }
}

#[test]
fn r13_a_name_is_trimmed_and_has_1_to_255_characters_none_of_them_a_control_character() {
    let mut world = world();
    let longest = "é".repeat(255);
    for (name, kept) in [
        ("\u{a0}\t build \u{2003}\n", "build"),
        (longest.as_str(), longest.as_str()),
        ("zero\u{200b}width", "zero\u{200b}width"),
    ] {
        let token = issue(&mut world, name).token;
        assert_eq!(world.host.rows.tokens[&token].1, kept);
    }
    for name in ["", " \u{3000} ", "a\nb", "a\u{7f}b", "a\u{85}b", &"é".repeat(256)] {
        assert_eq!(
            no(world.engine().issue(request(name), user(0))),
            RefusalReason::NameInvalid,
            "{name:?}"
        );
    }
    assert_eq!(
        no(world.engine().issue(request(" build"), user(0))),
        RefusalReason::NameTaken
    );
    issue(&mut world, "Build");
}

#[test]
fn the_hot_path_asks_for_the_token_the_time_and_the_settings_once_each() {
    let mut world = world();
    let issued = issue(&mut world, "a");
    let session = world
        .engine()
        .open_session(issued.secret.expose(), AUDIENCE)
        .unwrap()
        .secret;
    let budget = Calls {
        clock: 1,
        settings: 1,
        entropy: 0,
        keyring: 0,
        reads: 1,
        writes: 1,
    };

    world.host.calls = Calls::default();
    world
        .engine()
        .authenticate(issued.secret.expose(), AUDIENCE)
        .unwrap();
    assert_eq!(world.host.calls, budget);

    world.host.calls = Calls::default();
    world.engine().check_session(session.expose(), AUDIENCE).unwrap();
    assert_eq!(world.host.calls, budget);
}

type Operation = Box<dyn Fn(&mut Native, &Issued, &Secret) -> Result<(), Denial>>;

/// Every operation of the engine, none of them refused in a world with a token and a session.
fn every_operation() -> Vec<(&'static str, Operation)> {
    let scope = Scope::Tenant(tenant_id(0));
    vec![
        (
            "issue",
            Box::new(|w, _, _| w.engine().issue(request("b"), user(0)).map(drop)),
        ),
        (
            "authenticate",
            Box::new(|w, t, _| w.engine().authenticate(t.secret.expose(), AUDIENCE).map(drop)),
        ),
        (
            "open-session",
            Box::new(|w, t, _| w.engine().open_session(t.secret.expose(), AUDIENCE).map(drop)),
        ),
        (
            "check-session",
            Box::new(|w, _, s| w.engine().check_session(s.expose(), AUDIENCE).map(drop)),
        ),
        (
            "close-session",
            Box::new(|w, _, s| w.engine().close_session(s.expose()).map(drop)),
        ),
        (
            "revoke",
            Box::new(|w, t, _| w.engine().revoke(t.token, user(0)).map(drop)),
        ),
        (
            "revoke-all",
            Box::new(|w, _, _| w.engine().revoke_all(user_id(0), user(0)).map(drop)),
        ),
        (
            "rotate",
            Box::new(|w, t, _| w.engine().rotate(t.token, HOUR, user(0)).map(drop)),
        ),
        (
            "change",
            Box::new(move |w, _, _| {
                w.engine()
                    .change_auth_method(scope, "saml", ADMINISTRATOR)
                    .map(drop)
            }),
        ),
        (
            "preview",
            Box::new(move |w, _, _| {
                w.engine()
                    .preview_auth_method(scope, "saml", ADMINISTRATOR)
                    .map(drop)
            }),
        ),
        (
            "password",
            Box::new(|w, _, _| w.engine().decide_password_sign_in(user_id(0))),
        ),
        (
            "list",
            Box::new(|w, _, _| w.engine().list_tokens(user_id(0), user(0)).map(drop)),
        ),
        ("sweep", Box::new(|w, _, _| w.engine().sweep(10).map(drop))),
    ]
}

fn world_with_a_session() -> (Native, Issued, Secret) {
    let mut world = world();
    let issued = issue(&mut world, "a");
    let session = world
        .engine()
        .open_session(issued.secret.expose(), AUDIENCE)
        .unwrap()
        .secret;
    world.host.calls = Calls::default();
    (world, issued, session)
}

#[test]
fn no_operation_reads_the_clock_or_the_settings_twice() {
    for (name, operation) in every_operation() {
        let (mut world, issued, session) = world_with_a_session();
        operation(&mut world, &issued, &session).unwrap();
        assert!(
            world.host.calls.clock <= 1 && world.host.calls.settings <= 1,
            "{name}: {:?}",
            world.host.calls
        );
    }
}

#[test]
fn a_failing_store_is_an_outage_in_every_operation_and_never_a_verdict() {
    for (name, operation) in every_operation() {
        for outage in Outage::ALL {
            let (mut world, issued, session) = world_with_a_session();
            world.host.outage = Some(*outage);
            let answer = operation(&mut world, &issued, &session);
            assert_eq!(answer, Err(Denial::Outage(*outage)), "{name}");
        }
    }
}

#[test]
fn a_text_that_is_no_token_never_reaches_the_store() {
    let (mut world, issued, _) = world_with_a_session();
    let mut mistyped = issued.secret.expose().to_vec();
    mistyped[30] = if mistyped[30] == b'a' { b'b' } else { b'a' };
    assert_eq!(
        no(world.engine().authenticate(&mistyped, AUDIENCE)),
        RefusalReason::BadChecksum
    );
    assert_eq!(
        no(world.engine().authenticate(b"patrol_pat_", AUDIENCE)),
        RefusalReason::Malformed
    );
    assert_eq!(world.host.calls, Calls::default());
}

#[test]
fn a_refusal_about_a_found_token_names_it_and_any_other_names_none() {
    let (mut world, issued, session) = world_with_a_session();
    let about = |denial: Denial| match denial {
        Denial::Refused(refusal) => refusal.token,
        Denial::Outage(outage) => panic!("{outage}"),
    };
    let id = issued.token;
    assert_eq!(
        about(
            world
                .engine()
                .authenticate(issued.secret.expose(), 9)
                .unwrap_err()
        ),
        Some(id)
    );
    assert_eq!(
        about(world.engine().check_session(session.expose(), 9).unwrap_err()),
        Some(id)
    );
    assert_eq!(
        about(world.engine().rotate(id, 8 * DAY, user(0)).unwrap_err()),
        Some(id)
    );
    assert_eq!(about(world.engine().revoke(id, user(1)).unwrap_err()), Some(id));
    world.host.rows.sessions.clear();
    assert_eq!(
        about(
            world
                .engine()
                .check_session(session.expose(), AUDIENCE)
                .unwrap_err()
        ),
        None
    );
    world.host.rows.tokens.clear();
    assert_eq!(
        about(
            world
                .engine()
                .authenticate(issued.secret.expose(), AUDIENCE)
                .unwrap_err()
        ),
        None
    );
}

#[test]
fn a_rotation_keeps_everything_but_the_secret() {
    let (mut world, issued, _) = world_with_a_session();
    let before = world.host.rows.tokens[&issued.token].0;
    world.host.now += DAY;
    let rotated = world.engine().rotate(issued.token, HOUR, ADMINISTRATOR).unwrap();
    assert_eq!(rotated.token, issued.token);
    let (after, name) = &world.host.rows.tokens[&issued.token];
    assert_eq!(name, "a");
    assert_ne!(after.digest, before.digest);
    let previous = after.previous.unwrap();
    assert_eq!(
        (previous.digest, previous.until),
        (before.digest, world.host.now + HOUR)
    );
    let expected = Token {
        digest: after.digest,
        previous: after.previous,
        generation: 1,
        ..before
    };
    assert_eq!(*after, expected);
}

#[test]
fn a_policy_says_what_it_is() {
    let described = Stock.describe(&mut world().host);
    assert_eq!(described.name, "patrol-default");
    assert_eq!(described.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(described.parameters, Parameters::default());
}
