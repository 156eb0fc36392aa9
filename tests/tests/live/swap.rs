//! Replaced again and again while calls go on: none fails, none gets half a verdict, nothing is left behind.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use patrol::control::{Client, Release, Verb};
use patrol::release::hex;
use patrol::service::{Caller, Error, Origin, Patrol, ServeLock};
use patrol_policy::types::RefusalReason;
use patrol_tests::deployment::{AUDIENCE, Deployment, LIFETIME, START, operator, release};
use patrol_tests::variant::{AUTHENTICATE, Turn, turning};
use patrol_tests::wasm::noted;
use serde_json::json;

use crate::support::{Home, check, deciding, metric, now, turned};

const SWAPS: u32 = 200;
/// The reasons by their numbers in `wit/types.wit`.
const UNKNOWN: u8 = RefusalReason::Unknown as u8;

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None);
    config
        .timeout_global(Some(Duration::from_secs(60)))
        .build()
        .into()
}

/// A number of kilobytes that the kernel knows of a process.
fn kilobytes(process: u32, what: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(what)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Mappings that hold code.
fn code_mappings(process: u32) -> usize {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    maps.lines().filter(|line| line.contains(" r-xp ")).count()
}

#[test]
fn a_server_under_load_is_swapped_two_hundred_times_and_no_request_fails() {
    let home = Home::new();
    // One decides as ever, the other refuses all tokens that are verified and is as ever in all else.
    let ids = [
        home.stage(&noted(1), 1),
        home.stage(&turned(Turn::Refuses(UNKNOWN)), 2),
        home.stage(&noted(3), 3),
    ];
    let set = home
        .program
        .run_with(&["user", "set-password", "ann"], "correct horse battery");
    assert_eq!(set.code, Some(0), "{}", home.program.said());
    let server = home.program.serve();
    let url = |path: &str| format!("http://{}{path}", server.address);
    let session = agent()
        .post(url("/api/v1/login"))
        .send_json(json!({"tenant": "acme", "userName": "ann", "password": "correct horse battery"}))
        .unwrap()
        .body_mut()
        .read_json::<serde_json::Value>()
        .unwrap();
    let text = |key: &str| session[key].as_str().unwrap().to_owned();
    let issuing = url(&format!(
        "/api/v1/tenants/{}/users/{}/personal-access-tokens",
        text("tenantId"),
        text("userId")
    ));
    let (session, secret) = (text("sessionToken"), &home.secret);
    let expires = patrol::time::rfc3339(now() + patrol::DAY);

    let stop = AtomicBool::new(false);
    let checking = || {
        let (agent, url) = (agent(), url("/check/nginx"));
        let mut statuses = BTreeMap::<u16, u64>::new();
        while !stop.load(Ordering::Relaxed) {
            let asked = agent
                .get(&url)
                .header("Authorization", format!("Bearer {secret}"))
                .header("X-Original-URI", "/thing")
                .header("X-Original-Method", "GET");
            let status = asked.call().unwrap().status().as_u16();
            *statuses.entry(status).or_default() += 1;
        }
        statuses
    };
    let issue = |worker: u32| {
        let (agent, session, issuing, expires) = (agent(), &session, &issuing, &expires);
        let mut issued = 0_u64;
        while !stop.load(Ordering::Relaxed) {
            let body = json!({"name": format!("{worker} {issued}"), "expirationDate": expires});
            let made = agent.post(issuing).header("x-tableau-session-token", session);
            let mut made = made.send_json(body).unwrap();
            assert_eq!(made.status(), 201, "{:?}", made.body_mut().read_to_string());
            let made: serde_json::Value = made.body_mut().read_json().unwrap();
            let id = made["id"].as_str().unwrap();
            let ended = agent
                .delete(format!("{issuing}/{id}"))
                .header("x-tableau-session-token", session);
            assert_eq!(ended.call().unwrap().status(), 204);
            issued += 1;
        }
        issued
    };
    let data = home.program.data();
    let swap = |number: u32| {
        let id = &ids[number as usize % 3];
        let verb = Verb::Activate {
            release: id.clone(),
            tenant: None,
            allow_downgrade: true,
        };
        let active: Release = Client::connect(&data).unwrap().ask("the test", verb).unwrap();
        assert_eq!(&active.id, id);
    };
    let (statuses, issued) = std::thread::scope(|scope| {
        let checkers = [scope.spawn(checking), scope.spawn(checking)];
        let issuers = [1, 2].map(|worker| scope.spawn(move || issue(worker)));
        // Until everything that is made once is there.
        for number in 0..30 {
            swap(number);
        }
        let (before, code) = (
            kilobytes(server.process(), "VmRSS"),
            code_mappings(server.process()),
        );
        for number in 30..30 + SWAPS {
            swap(number);
        }
        let (after, code_after) = (
            kilobytes(server.process(), "VmRSS"),
            code_mappings(server.process()),
        );
        println!("{before} KiB with {code} mappings of code, then {after} KiB with {code_after}");
        stop.store(true, Ordering::Relaxed);
        // A release held 200 times would be far more.
        assert!(after < before + (24 << 10), "{before} KiB, then {after} KiB");
        assert!(
            code_after <= code + 6,
            "{code} mappings of code, then {code_after}"
        );
        let mut statuses = BTreeMap::<u16, u64>::new();
        for (status, count) in checkers.into_iter().flat_map(|checker| checker.join().unwrap()) {
            *statuses.entry(status).or_default() += count;
        }
        (statuses, issuers.map(|issuer| issuer.join().unwrap()))
    });
    println!("{statuses:?}, {issued:?} issued");
    // Each is a verdict that one of them gives, and all of them gave some.
    assert_eq!(statuses.keys().copied().collect::<Vec<_>>(), [200, 401]);
    assert!(statuses.values().all(|count| *count > 100), "{statuses:?}");
    assert!(issued.iter().all(|count| *count > 10), "{issued:?}");
    assert_eq!(
        deciding(&server),
        [home.component(&ids[(29 + SWAPS as usize) % 3])]
    );
    assert_eq!(
        metric(&server, "patrol_policy_activations_total"),
        Some(f64::from(30 + SWAPS))
    );
    assert_eq!(
        metric(
            &server,
            "patrol_verdicts_total{door=\"nginx\",kind=\"undecided\"}"
        ),
        Some(0.0)
    );
    server.stop();
    assert_eq!(home.program.run(&["audit", "verify"]).code, Some(0));
}

/// Stages a component of a name of its own.
fn stage(patrol: &Patrol, component: Vec<u8>, number: u32) -> String {
    let release = release("swapped", component, number);
    hex(&patrol.stage(&operator(), &release).unwrap().release.digest)
}

#[test]
fn every_verdict_is_one_policys_whole_and_the_next_call_has_the_new_one() {
    let mut config = patrol::Config::default();
    config.policy.allow_unsigned = true;
    let it = Deployment::with(config);
    let refusing = |reason: RefusalReason| turning(AUTHENTICATE, START - 1, 2, Turn::Refuses(reason as u8));
    // Two that refuse for reasons which the built-in policy has no cause for.
    let reasons = [RefusalReason::Rotated, RefusalReason::OwnerDeleted];
    let ids = [1, 2].map(|number| stage(&it.patrol, refusing(reasons[number as usize - 1]), number));
    let token = it.issue(it.alice, "verified");
    let lock = ServeLock::take(it.path()).unwrap();
    let activate = |number: u32| {
        let id = &ids[number as usize % 2];
        it.patrol.activate(&lock, &operator(), id, None, true).unwrap();
    };
    let verdict = || match it
        .patrol
        .authenticate(token.secret.expose(), AUDIENCE, &Origin::default())
    {
        Err(Error::Refused(refusal)) => refusal.reason,
        other => panic!("{other:?}"),
    };
    activate(0);
    let (stop, issued) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let verifiers = [(); 2].map(|()| {
            scope.spawn(|| {
                let mut seen = [0_u64; 2];
                while !stop.load(Ordering::Relaxed) {
                    let reason = verdict();
                    let which = reasons.iter().position(|known| *known == reason);
                    seen[which.unwrap_or_else(|| panic!("nobody's verdict: {reason}"))] += 1;
                }
                seen
            })
        });
        scope.spawn(|| {
            let caller = Caller::user(it.bob, Origin::default());
            while !stop.load(Ordering::Relaxed) {
                let number = issued.fetch_add(1, Ordering::Relaxed);
                let name = format!("token {number}");
                let made = it
                    .patrol
                    .issue(&caller, it.bob, &name, START + LIFETIME, AUDIENCE);
                it.patrol
                    .revoke(&caller, made.unwrap().row.state.token.id)
                    .unwrap();
            }
        });
        for number in 1..=SWAPS {
            activate(number);
            // Whoever was told that it is active finds it so.
            assert_eq!(verdict(), reasons[number as usize % 2]);
        }
        stop.store(true, Ordering::Relaxed);
        for verifier in verifiers {
            let seen = verifier.join().unwrap();
            assert!(seen.iter().all(|count| *count > 10), "{seen:?}");
        }
    });
    assert!(issued.load(Ordering::Relaxed) > 10);
}

#[test]
#[ignore = "prints how long things take, and asserts nothing"]
fn how_long_from_activation_to_the_first_verdict_and_what_a_held_release_takes() {
    let home = Home::new();
    let ids = [
        home.stage(&noted(1), 1),
        home.stage(&turned(Turn::Refuses(UNKNOWN)), 2),
    ];
    let server = home.program.serve();
    let data = home.program.data();
    let mut took = Vec::new();
    for number in 0..40 {
        let verb = Verb::Activate {
            release: ids[number % 2].clone(),
            tenant: None,
            allow_downgrade: true,
        };
        let begun = Instant::now();
        let _: Release = Client::connect(&data).unwrap().ask("the test", verb).unwrap();
        let meant = [200, 401][number % 2];
        while check(&server, &home.secret) != meant {}
        took.push(begun.elapsed());
    }
    took.sort();
    println!(
        "activate to the first verdict: median {:?}, longest {:?}",
        took[20], took[39]
    );
    for round in 0..4 {
        for number in 0..200 {
            let verb = Verb::Activate {
                release: ids[number % 2].clone(),
                tenant: None,
                allow_downgrade: true,
            };
            let _: Release = Client::connect(&data).unwrap().ask("the test", verb).unwrap();
        }
        println!(
            "after {} swaps: {} KiB",
            (round + 1) * 200,
            kilobytes(server.process(), "VmRSS")
        );
    }
    // As many tenants as hold a release of their own.
    let before = kilobytes(server.process(), "VmRSS");
    for number in 0..20_u8 {
        let name = format!("tenant-{number}");
        home.json(&["tenant", "create", &name]);
        // Of a component of its own: what several run is held once.
        let release = home.force(&noted(100 + number), 100 + u32::from(number));
        home.json(&["policy", "activate", &release, "--tenant", &name]);
        home.json(&["user", "create", "--tenant", &name, "--name", "user"]);
        let owner = format!("{name}/user");
        let token = [
            "token",
            "create",
            "--owner",
            &owner,
            "--name",
            "one",
            "--expires",
            "90d",
        ];
        let token = home.json(&token);
        assert_eq!(check(&server, token["secret"].as_str().unwrap()), 200);
    }
    let after = kilobytes(server.process(), "VmRSS");
    println!("a held release: {} KiB", (after - before) / 20);
}
