//! Two tenants with different policies in one installation are told what each would be told in one of its own.
//!
//! A random trace of both is run on an installation where one tenant is bound to the stricter policy, and each tenant's
//! share of it on an installation of that tenant alone, whose one policy is the tenant's. What each is told, secrets and
//! identifiers apart, is the same to the word; so is what housekeeping does, taken together.

use std::sync::Arc;

use patrol::config::Config;
use patrol::service::{Caller, Error, NewAccount, Origin, Patrol, ServeLock, Settings};
use patrol::time::{ManualClock, Millis};
use patrol_policy::types::{DAY, Duration, Id, MINUTE, Scope, Swept};
use patrol_tests::deployment::{AUDIENCE, START, operator, share_compiled_code};
use patrol_tests::policies;
use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};

const TENANTS: [&str; 2] = ["acme", "globex"];
const NAMES: [&str; 4] = ["deploy", "Deploy!", "team/nightly", " b "];
const METHODS: [&str; 2] = ["password", "saml"];

#[derive(Clone, Copy, Debug)]
enum Op {
    Issue { name: usize, days: u64 },
    Present(usize),
    SignIn(usize),
    UseSession(usize),
    CloseSession(usize),
    Rotate { token: usize, overlap: Duration },
    Revoke(usize),
    RevokeAll,
    List,
    Preview(usize),
    Change(usize),
    Password,
    Review,
    Enable(bool),
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Of(usize, Op),
    Advance(Duration),
    Sweep,
}

/// One installation, with one tenant or both.
struct World {
    patrol: Patrol,
    clock: Arc<ManualClock>,
    tenants: Vec<Tenant>,
    _directory: tempfile::TempDir,
}

struct Tenant {
    id: Id,
    owner: Id,
    /// In the order in which they were made: the identifier, and the texts handed out.
    tokens: Vec<(Id, Vec<u8>)>,
    sessions: Vec<Vec<u8>>,
}

impl World {
    fn new(names: &[&str], everybodys: Option<&[u8]>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        share_compiled_code(directory.path());
        let clock = Arc::new(ManualClock::at(START));
        let mut config = Config::default();
        config.policy.deadline = Millis(5_000);
        config.policy.allow_unsigned = true;
        config.policy.tokens_per_owner = 4;
        let patrol = Patrol::open(Settings {
            config,
            clock: Arc::clone(&clock) as _,
            component: everybodys.map(Arc::from),
            ..Settings::new(directory.path())
        });
        let patrol = patrol.unwrap();
        let tenant = |name: &&str| {
            let tenant = patrol
                .create_tenant(&operator(), name, METHODS[0], false)
                .unwrap()
                .id;
            let account = NewAccount {
                name: "owner".to_owned(),
                ..NewAccount::default()
            };
            Tenant {
                id: tenant,
                owner: patrol.create_user(&operator(), name, &account).unwrap().id,
                tokens: Vec::new(),
                sessions: Vec::new(),
            }
        };
        let tenants = names.iter().map(tenant).collect();
        Self {
            patrol,
            clock,
            tenants,
            _directory: directory,
        }
    }

    /// Where the second tenant has a policy of its own.
    fn both() -> Self {
        let world = Self::new(&TENANTS, None);
        let release = patrol_tests::deployment::release("stricter", policies::read("stricter"), 1);
        let lock = ServeLock::take(world.patrol.data()).unwrap();
        let staged = crate::support::keep(&world.patrol, &release);
        let tenant = Some(world.tenants[1].id);
        world
            .patrol
            .activate(&lock, &operator(), &staged, tenant, false)
            .unwrap();
        world
    }

    /// What a tenant is told.
    fn told(&mut self, tenant: usize, op: Op) -> String {
        let (patrol, tenant) = (&self.patrol, &mut self.tenants[tenant]);
        let (who, origin) = (Caller::user(tenant.owner, Origin::default()), Origin::default());
        let scope = Scope::Tenant(tenant.id);
        let nothing = (Id { hi: 9, lo: 9 }, b"patrol_pat_nothing".to_vec());
        let token = |at: usize| tenant.tokens.get(at).cloned().unwrap_or_else(|| nothing.clone());
        let session = |at: usize| tenant.sessions.get(at).cloned().unwrap_or_default();
        let numbered = |id: Id| tenant.tokens.iter().position(|(known, _)| *known == id);
        match op {
            Op::Issue { name, days } => {
                let expires = patrol.now() + days * DAY;
                let issued = patrol.issue(&who, tenant.owner, NAMES[name], expires, AUDIENCE);
                let told = say(&issued, |token| format!("{:?}", token.ends));
                if let Ok(issued) = issued {
                    let secret = issued.secret.expose().to_vec();
                    tenant.tokens.push((issued.row.state.token.id, secret));
                }
                told
            }
            Op::Present(at) => say(
                &patrol.authenticate(&token(at).1, AUDIENCE, &origin),
                |identity| format!("{:?} {:?}", identity.ends, identity.roles()),
            ),
            Op::SignIn(at) => {
                let opened = patrol.open_session(&token(at).1, AUDIENCE, &origin);
                let told = say(&opened, |opened| {
                    format!(
                        "{:?} {} {:?}",
                        opened.identity.ends, opened.expires, opened.token_ends
                    )
                });
                tenant
                    .sessions
                    .extend(opened.map(|opened| opened.secret.expose().to_vec()));
                told
            }
            Op::UseSession(at) => say(
                &patrol.check_session(&session(at), AUDIENCE, &origin),
                |identity| format!("{:?}", identity.ends),
            ),
            Op::CloseSession(at) => say(&patrol.close_session(&session(at), &origin), |closed| {
                format!("{:?}", numbered(closed.token))
            }),
            Op::Rotate { token: at, overlap } => {
                let rotated = patrol.rotate(&operator(), token(at).0, overlap);
                let told = say(&rotated, |token| format!("{:?}", token.ends));
                if let (Ok(rotated), Some((_, text))) = (rotated, tenant.tokens.get_mut(at)) {
                    *text = rotated.secret.expose().to_vec();
                }
                told
            }
            Op::Revoke(at) => say(&patrol.revoke(&who, token(at).0), |row| {
                format!("{:?}", row.state.token.ended)
            }),
            Op::RevokeAll => say(&patrol.revoke_all(&operator(), tenant.owner), |count| {
                count.to_string()
            }),
            Op::List => say(&patrol.list_tokens(&who, tenant.owner), |listed| {
                let one = |one: &patrol::service::OwnedToken| {
                    (numbered(one.row.state.token.id), one.row.name.clone(), one.ends)
                };
                // Of those made at the same instant, which comes first is chance.
                let mut listed: Vec<_> = listed.iter().map(one).collect();
                listed.sort_by_key(|(number, ..)| *number);
                format!("{listed:?}")
            }),
            Op::Preview(method) => {
                let effect = patrol.preview_auth_method(&operator(), scope, METHODS[method]);
                say(&effect, |effect| format!("{effect:?}"))
            }
            Op::Change(method) => {
                let effect = patrol.change_auth_method(&operator(), scope, METHODS[method]);
                say(&effect, |effect| format!("{effect:?}"))
            }
            Op::Password => say(&patrol.decide_password_sign_in(tenant.owner), |()| {
                "yes".to_owned()
            }),
            Op::Review => {
                let mut all = Vec::new();
                let filter = patrol::store::TokenFilter {
                    tenant: Some(tenant.id),
                    limit: 3,
                    ..Default::default()
                };
                let read = patrol.review_all(filter, |token| {
                    all.push((numbered(token.row.state.token.id), token.outlook));
                    true
                });
                all.sort_by_key(|(number, _)| *number);
                say(&read, |()| format!("{all:?}"))
            }
            Op::Enable(on) => {
                let user = patrol::service::UserRef::Id(tenant.owner);
                say(&patrol.set_enabled(&operator(), &user, on), |row| {
                    row.enabled.to_string()
                })
            }
        }
    }
}

fn say<T>(result: &Result<T, Error>, yes: impl FnOnce(&T) -> String) -> String {
    match result {
        Ok(value) => yes(value),
        Err(Error::Refused(refusal)) => format!("refused: {}", refusal.reason),
        Err(error) => panic!("no verdict: {error}"),
    }
}

fn op() -> impl Strategy<Value = Op> {
    let at = || prop_oneof![3 => 0..2usize, 1 => 0..6usize];
    prop_oneof![
        6 => (0..NAMES.len(), prop_oneof![Just(5u64), Just(30u64)])
            .prop_map(|(name, days)| Op::Issue { name, days }),
        8 => at().prop_map(Op::Present),
        5 => at().prop_map(Op::SignIn),
        6 => at().prop_map(Op::UseSession),
        1 => at().prop_map(Op::CloseSession),
        3 => (at(), prop_oneof![Just(0), Just(10 * MINUTE), Just(8 * DAY)])
            .prop_map(|(token, overlap)| Op::Rotate { token, overlap }),
        2 => at().prop_map(Op::Revoke),
        1 => Just(Op::RevokeAll),
        3 => Just(Op::List),
        2 => (0..METHODS.len()).prop_map(Op::Preview),
        1 => (0..METHODS.len()).prop_map(Op::Change),
        1 => Just(Op::Password),
        3 => Just(Op::Review),
        2 => prop::bool::weighted(0.7).prop_map(Op::Enable),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        14 => (0..2usize, op()).prop_map(|(tenant, op)| Step::Of(tenant, op)),
        2 => prop_oneof![
            Just(MINUTE), Just(20 * MINUTE), Just(DAY), Just(7 * DAY - 1), Just(7 * DAY), Just(8 * DAY), Just(90 * DAY)
        ].prop_map(Step::Advance),
        1 => Just(Step::Sweep),
    ]
}

fn sum(swept: [Swept; 2]) -> [u32; 4] {
    let [a, b] = swept;
    [
        a.ended + b.ended,
        a.secrets + b.secrets,
        a.forgotten + b.forgotten,
        a.sessions + b.sessions,
    ]
}

/// Runs a trace on all three; says how many answers differed between the tenants' policies in kind: refusals.
fn agree(steps: &[Step], stricter: &[u8]) -> Result<(), TestCaseError> {
    let mut both = World::both();
    let mut alone = [
        World::new(&TENANTS[..1], None),
        World::new(&TENANTS[1..], Some(stricter)),
    ];
    for (number, step) in steps.iter().enumerate() {
        match *step {
            Step::Of(tenant, op) => {
                let (one, own) = (both.told(tenant, op), alone[tenant].told(0, op));
                prop_assert_eq!(one, own, "step {}: {:?}", number, step);
            }
            Step::Advance(by) => {
                for world in alone.iter().chain([&both]) {
                    world.clock.advance(by);
                }
            }
            Step::Sweep => {
                let [a, b] = [&alone[0], &alone[1]].map(|world| world.patrol.sweep().unwrap());
                let swept = both.patrol.sweep().unwrap();
                prop_assert_eq!(sum([swept, Swept::default()]), sum([a, b]), "step {}", number);
            }
        }
    }
    Ok(())
}

#[test]
fn each_tenant_is_told_what_it_would_be_told_alone() {
    let stricter = policies::read("stricter");
    let mut runner = TestRunner::new(Cases {
        cases: 40,
        failure_persistence: None,
        max_shrink_iters: 60,
        ..Cases::default()
    });
    let steps = prop::collection::vec(step(), 30..60).prop_map(|mut steps| {
        // Nothing happens before there are tokens.
        for tenant in 0..2 {
            steps.insert(0, Step::Of(tenant, Op::Issue { name: 0, days: 30 }));
        }
        steps
    });
    runner.run(&steps, |steps| agree(&steps, &stricter)).unwrap();
}
