//! The policy on a host in memory; `scenarios/` tries it in the real one.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "tests")]

use patrol_policy::memory::MemoryHost;
use patrol_policy::prelude::*;

use crate::Stricter;

const TENANT: Id = Id { hi: 0, lo: 1 };
const ANN: Id = Id { hi: 0, lo: 2 };
const SELF: Actor = Actor {
    role: ActorRole::User,
    id: ANN,
};
const API: Audience = 1;

fn host(configured: Parameters) -> MemoryHost {
    let mut host = MemoryHost::new(20_000 * DAY, configured, 1);
    host.add_tenant(TENANT, "password");
    host.add_user(ANN, TENANT, "ann");
    host
}

fn issue(host: &mut MemoryHost, name: &str) -> Result<Issued, Denial> {
    let request = IssueRequest {
        owner: ANN,
        name: String::from(name),
        expires: host.now + 90 * DAY,
        audience: API,
    };
    Stricter.issue(host, request, SELF)
}

#[test]
fn r13_names_follow_the_pattern() {
    for name in [
        "a",
        "payments",
        "payments/nightly-backup",
        "x9/1/2/--",
        "  payments/export ",
    ] {
        issue(&mut host(Parameters::default()), name).unwrap();
    }
    let long = "a".repeat(256);
    for name in [
        "", " ", "9lives", "-a", "/a", "a/", "a//b", "Payments", "a b", "a/b c", "a/é", "ä", "a_b",
        "a/\u{a0}", &long,
    ] {
        let refused = issue(&mut host(Parameters::default()), name).unwrap_err();
        assert_eq!(refused, RefusalReason::NameInvalid.into(), "{name:?}");
    }
}

#[test]
fn r5_a_token_ends_after_a_week_without_use() {
    let mut host = host(Parameters::default());
    let issued = issue(&mut host, "payments").unwrap();
    assert_eq!(issued.ends.at, host.now + 7 * DAY);
    host.now += 7 * DAY - 1;
    Stricter
        .authenticate(&mut host, issued.secret.expose(), API)
        .unwrap();
    host.now += 7 * DAY;
    let refused = Stricter
        .authenticate(&mut host, issued.secret.expose(), API)
        .unwrap_err();
    assert_eq!(refused, Denial::about(issued.token, RefusalReason::Idle));
    assert!(Stricter.list_tokens(&mut host, ANN, SELF).unwrap().is_empty());
}

#[test]
fn r7_the_twenty_first_token_is_refused() {
    let mut host = host(Parameters::default());
    for number in 1..=20 {
        issue(&mut host, &format!("payments/{number}")).unwrap();
    }
    assert_eq!(
        issue(&mut host, "payments/21").unwrap_err(),
        RefusalReason::LimitReached.into()
    );
}

#[test]
fn what_is_configured_stricter_stays_so_and_all_else_is_as_configured() {
    let configured = Parameters {
        idle_after: 3 * DAY,
        tokens_per_owner: 5,
        max_lifetime: 30 * DAY,
        ..Parameters::default()
    };
    let said = Stricter.describe(&mut host(configured));
    assert_eq!(said.parameters, configured);
    assert_eq!((said.name.as_str(), said.version.as_str()), ("stricter", "1.0.0"));
}
