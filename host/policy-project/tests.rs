//! The policy on a host in memory: `cargo unit`. What it says in the real host, `scenarios/` has.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "tests")]

use patrol_policy::memory::MemoryHost;
use patrol_policy::prelude::*;

use crate::Rules;

const TENANT: Id = Id { hi: 0, lo: 1 };
const ANN: Id = Id { hi: 0, lo: 2 };
const SELF: Actor = Actor {
    role: ActorRole::User,
    id: ANN,
};
const API: Audience = 1;

/// A host with one user, Ann, under these settings.
fn host(configured: Parameters) -> MemoryHost {
    let mut host = MemoryHost::new(20_000 * DAY, configured, 1);
    host.add_tenant(TENANT, "password");
    host.add_user(ANN, TENANT, "ann");
    host
}

fn issue(host: &mut MemoryHost) -> Issued {
    let request = IssueRequest {
        owner: ANN,
        name: String::from("backup"),
        expires: host.now + 90 * DAY,
        audience: API,
    };
    Rules.issue(host, request, SELF).unwrap()
}

#[test]
fn a_token_that_nobody_used_for_a_week_is_expired() {
    let mut host = host(Parameters::default());
    let token = issue(&mut host);

    // A millisecond before it is a use, and the week begins anew.
    host.now += 7 * DAY - 1;
    Rules
        .authenticate(&mut host, token.secret.expose(), API)
        .unwrap();
    host.now += 7 * DAY;
    let refused = Rules.authenticate(&mut host, token.secret.expose(), API);
    assert_eq!(
        refused,
        Err(Denial::about(token.token, RefusalReason::Idle))
    );
}

#[test]
fn what_is_configured_stricter_stays_so() {
    let configured = Parameters {
        idle_after: 3 * DAY,
        ..Parameters::default()
    };
    assert_eq!(Rules.describe(&mut host(configured)).parameters, configured);
}
