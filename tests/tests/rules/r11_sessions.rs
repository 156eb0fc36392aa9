//! R11, R4: what a session is that a password opened. No PAT is behind it, and it ends with everything that ends its
//! owner's access.

use patrol::config::Config;
use patrol::service::{Error, Identity, Origin, Patrol};
use patrol::time::Millis;
use patrol_policy::token::{Kind, compose};
use patrol_policy::types::{HOUR, Id, MINUTE, RefusalReason, Scope};
use patrol_tests::deployment::{AUDIENCE, Deployment, START, assert_refused, operator, user};

fn check(patrol: &Patrol, session: &[u8]) -> Result<Identity, Error> {
    patrol.check_session(session, AUDIENCE, &Origin::default())
}

#[test]
fn r11_a_session_of_a_password_has_its_owners_access_and_no_pat() {
    let it = Deployment::new();
    let session = it.sign_in_as("alice");
    assert!(session.starts_with(b"patrol_acc_") && session.len() == 83);
    let identity = check(&it.patrol, &session).unwrap();
    assert!(identity.token().is_none() && identity.session.is_some());
    assert_eq!((identity.user_id(), identity.tenant_id()), (it.alice, it.tenant));
    assert_eq!((identity.user_name(), identity.tenant_name()), ("alice", "acme"));
    assert_eq!(identity.user_email(), Some("alice@example.com"));
    assert_eq!(
        (identity.roles(), identity.audience()),
        (&["admin".to_owned()][..], AUDIENCE)
    );

    let event = it.last_event("login_with_password");
    assert_eq!(event["initiatingUserId"], it.alice.to_string());
    assert_eq!(event["initiatingUserRole"], "admin");
    assert_eq!(
        event["initiatingSessionId"],
        identity.session.unwrap().to_string()
    );
    assert_eq!(event["tenantId"], it.tenant.to_string());
}

#[test]
fn r4_roles_of_a_session_are_the_owners_at_each_use() {
    let it = Deployment::new();
    let session = it.sign_in_as("alice");
    it.another()
        .set_roles(&operator(), &user(it.alice), &["auditor".into()])
        .unwrap();
    assert_eq!(check(&it.patrol, &session).unwrap().roles(), ["auditor"]);
    it.another()
        .rename_user(&operator(), &user(it.alice), "zoe")
        .unwrap();
    assert_eq!(check(&it.patrol, &session).unwrap().user_name(), "zoe");
}

#[test]
fn r4_whatever_ends_the_owners_access_ends_the_session_at_once_whichever_process_does_it() {
    let admin = operator();
    type End = fn(&Patrol, &Deployment);
    let ends: [(End, RefusalReason); 6] = [
        (
            |patrol, it| drop(patrol.set_enabled(&operator(), &user(it.alice), false).unwrap()),
            RefusalReason::OwnerDisabled,
        ),
        (
            |patrol, it| drop(patrol.delete_user(&operator(), &user(it.alice)).unwrap()),
            RefusalReason::OwnerDeleted,
        ),
        (
            |patrol, it| {
                let scope = Scope::Owner(it.alice);
                drop(patrol.change_auth_method(&operator(), scope, "saml").unwrap());
            },
            RefusalReason::AuthMethodChanged,
        ),
        (
            |patrol, it| {
                let scope = Scope::Tenant(it.tenant);
                drop(patrol.change_auth_method(&operator(), scope, "saml").unwrap());
            },
            RefusalReason::AuthMethodChanged,
        ),
        (
            |patrol, it| {
                let password = b"another long password".to_vec().into();
                drop(
                    patrol
                        .set_password(&operator(), &user(it.alice), &password)
                        .unwrap(),
                );
            },
            RefusalReason::SessionClosed,
        ),
        (
            |patrol, _| drop(patrol.set_multi_factor(&operator(), "acme", true).unwrap()),
            RefusalReason::PatRequired,
        ),
    ];
    for (end, reason) in ends {
        let it = Deployment::new();
        let another = it.another();
        let (session, of_bob) = (it.sign_in_as("alice"), it.sign_in_as("bob"));
        check(&it.patrol, &session).unwrap();
        end(&another, &it);
        assert_refused(check(&it.patrol, &session), reason);
        it.assert_event("verify_session", "unauthorized", Some(reason.as_str()));
        let whole_tenant = matches!(reason, RefusalReason::PatRequired)
            || it.patrol.tenant("acme").unwrap().auth_method == "saml";
        assert_eq!(check(&it.patrol, &of_bob).is_ok(), !whole_tenant, "{reason}");
    }
    // What only pauses it lets it go on.
    let it = Deployment::new();
    let session = it.sign_in_as("alice");
    for on in [false, true] {
        it.patrol.set_enabled(&admin, &user(it.alice), on).unwrap();
        it.patrol.set_multi_factor(&admin, "acme", !on).unwrap();
    }
    check(&it.patrol, &session).unwrap();
}

#[test]
fn r10_a_new_name_or_address_ends_no_session_and_a_new_password_no_pat() {
    let it = Deployment::new();
    let token = it.issue(it.alice, "one");
    let session = it.sign_in_as("alice");
    it.patrol
        .rename_user(&operator(), &user(it.alice), "zoe")
        .unwrap();
    it.patrol.set_email(&operator(), &user(it.alice), None).unwrap();
    check(&it.patrol, &session).unwrap();
    let password = b"another long password".to_vec().into();
    it.patrol
        .set_password(&operator(), &user(it.alice), &password)
        .unwrap();
    it.verify(&token).unwrap();
}

#[test]
fn a_session_is_over_after_its_lifetime_or_idle_at_the_very_instant() {
    let it = Deployment::new();
    let (idle, used) = (it.sign_in_as("alice"), it.sign_in_as("bob"));
    it.clock.set(START + 30 * MINUTE - 1);
    check(&it.patrol, &used).unwrap();
    it.clock.set(START + 30 * MINUTE);
    assert_refused(check(&it.patrol, &idle), RefusalReason::SessionIdle);
    for quarter in 3..16 {
        it.clock.set(START + quarter * 15 * MINUTE);
        check(&it.patrol, &used).unwrap();
    }
    it.clock.set(START + 4 * HOUR - 1);
    let identity = check(&it.patrol, &used).unwrap();
    assert_eq!(identity.ends.at, START + 4 * HOUR);
    it.clock.set(START + 4 * HOUR);
    assert_refused(check(&it.patrol, &used), RefusalReason::SessionExpired);
}

#[test]
fn a_use_that_keeps_a_session_alive_is_seen_by_another_process_in_time() {
    let it = Deployment::new();
    let another = it.another();
    let session = it.sign_in_as("alice");
    // Not yet written, and no need to: by what is on disk it lives for another minute and more.
    it.clock.set(START + 20 * MINUTE);
    check(&it.patrol, &session).unwrap();
    assert!(it.patrol.store().oldest_unflushed().is_some());
    check(&another, &session).unwrap();
    // This one decides, so it is on disk before it is answered.
    let it = Deployment::new();
    let another = it.another();
    let session = it.sign_in_as("alice");
    it.clock.set(START + 29 * MINUTE);
    check(&it.patrol, &session).unwrap();
    it.clock.set(START + 31 * MINUTE);
    check(&another, &session).unwrap();
}

#[test]
fn a_use_survives_the_process_and_a_sweep_forgets_only_what_is_over() {
    let it = Deployment::new();
    let (kept, idle, closed) = (it.sign_in_as("alice"), it.sign_in_as("bob"), it.sign_in_as("bob"));
    let rows = || -> i64 {
        let sql = "SELECT count(*) FROM account_session";
        it.raw().query_row(sql, [], |row| row.get(0)).unwrap()
    };
    it.patrol.close_session(&closed, &Origin::default()).unwrap();
    it.clock.set(START + 20 * MINUTE);
    check(&it.patrol, &kept).unwrap();
    it.clock.set(START + 40 * MINUTE);
    assert_eq!(rows(), 3);
    // One that was used, though not yet on disk, is none that idled out.
    assert_eq!(it.patrol.sweep().unwrap().sessions, 2);
    assert_eq!(rows(), 1);
    it.patrol.flush().unwrap();
    check(&it.another(), &kept).unwrap();
    assert_refused(check(&it.patrol, &idle), RefusalReason::Unknown);
    it.clock.set(START + 4 * HOUR);
    assert_eq!(it.patrol.sweep().unwrap().sessions, 1);
}

#[test]
fn a_closed_session_is_over_everywhere_and_stays_so() {
    let it = Deployment::new();
    let another = it.another();
    let (session, sibling) = {
        let first = it.sign_in_as("alice");
        // Setting the password again ends the first; so the two are of two users.
        (first, it.sign_in_as("bob"))
    };
    check(&it.patrol, &session).unwrap();
    let closed = another.close_session(&session, &Origin::default()).unwrap();
    assert_eq!((closed.owner, closed.tenant), (it.alice, it.tenant));
    assert_refused(check(&it.patrol, &session), RefusalReason::SessionClosed);
    assert_refused(
        it.patrol.close_session(&session, &Origin::default()),
        RefusalReason::SessionClosed,
    );
    check(&it.patrol, &sibling).unwrap();
    let events = it.events("logout");
    assert_eq!(events[0]["eventOutcome"], "success");
    assert_eq!(events[0]["initiatingUserId"], it.alice.to_string());
    assert_eq!(events[1]["eventOutcome"], "unauthorized");
}

#[test]
fn only_the_session_itself_is_let_in() {
    let it = Deployment::new();
    let session = it.sign_in_as("alice");
    let id = check(&it.patrol, &session).unwrap().session.unwrap();
    let forged = |id| compose(Kind::Account, id, &[7; 32]).into_bytes();
    assert_refused(check(&it.patrol, &forged(id)), RefusalReason::WrongSecret);
    assert_refused(
        check(&it.patrol, &forged(Id::from_u128(5))),
        RefusalReason::Unknown,
    );
    assert_refused(check(&it.patrol, &session[..82]), RefusalReason::Malformed);
    let mut mistyped = session.clone();
    mistyped[40] = if mistyped[40] == b'0' { b'1' } else { b'0' };
    assert_refused(check(&it.patrol, &mistyped), RefusalReason::BadChecksum);
    // As another kind it is nothing, and another kind is nothing as this.
    let renamed = [b"patrol_ses_", &session[11..]].concat();
    assert_refused(check(&it.patrol, &renamed), RefusalReason::BadChecksum);
    let pat = it.issue(it.alice, "one");
    let renamed = [b"patrol_acc_", &pat.secret.expose()[11..]].concat();
    assert_refused(check(&it.patrol, &renamed), RefusalReason::BadChecksum);
    assert_refused(
        it.patrol.authenticate(&session, AUDIENCE, &Origin::default()),
        RefusalReason::Malformed,
    );
}

#[test]
fn r12_a_session_is_good_for_the_audience_that_it_was_opened_at() {
    let it = Deployment::new();
    let session = it.sign_in_as("alice");
    for audience in ["reports", "web", ""] {
        let checked = it.patrol.check_session(&session, audience, &Origin::default());
        assert_refused(checked, RefusalReason::WrongAudience);
    }
    check(&it.patrol, &session).unwrap();
}

#[test]
fn the_settings_of_a_session_are_those_in_force_when_it_is_used() {
    let it = Deployment::new();
    let session = it.sign_in_as("alice");
    let mut config = Config::clone(&it.patrol.config());
    config.policy.session_idle = Millis(MINUTE);
    it.patrol.reconfigure(config);
    it.clock.set(START + MINUTE);
    assert_refused(check(&it.patrol, &session), RefusalReason::SessionIdle);
}

#[test]
fn r2_of_a_session_only_the_hash_is_stored() {
    let it = Deployment::new();
    let session = it.sign_in_as("alice");
    let digest: Vec<u8> = it
        .raw()
        .query_row("SELECT digest FROM account_session", [], |row| row.get(0))
        .unwrap();
    assert_eq!(digest.len(), 32);
    assert_ne!(digest, patrol_tests::needles::secret_bytes(&session));
}

#[test]
fn r9_a_password_opens_nothing_once_its_user_signs_in_by_other_means() {
    for (tenant, method) in [(true, "saml"), (false, "oidc:corp")] {
        let it = Deployment::new();
        drop(it.sign_in_as("alice"));
        let scope = if tenant {
            Scope::Tenant(it.tenant)
        } else {
            Scope::Owner(it.alice)
        };
        let sign_in = |name: &str| {
            let password = b"correct horse battery staple".to_vec().into();
            let origin = Origin::default();
            let signed_in = it
                .patrol
                .sign_in_with_password(Some("acme"), name, &password, AUDIENCE, &origin);
            signed_in.map(drop)
        };
        drop(it.sign_in_as("bob"));
        it.patrol.change_auth_method(&operator(), scope, method).unwrap();
        assert!(matches!(sign_in("alice"), Err(Error::WrongPassword)), "{method}");
        it.assert_event(
            "login_with_password",
            "unauthorized",
            Some("user name or password is wrong"),
        );
        assert_eq!(sign_in("bob").is_ok(), !tenant, "{method}");
        it.patrol
            .change_auth_method(&operator(), scope, "password")
            .unwrap();
        sign_in("alice").unwrap();
    }
}
