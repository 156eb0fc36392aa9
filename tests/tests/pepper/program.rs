//! The program as people run it: from the built-in policy to the one that peppers and back, killed in between, and
//! without its pepper.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use patrol_tests::deployment::raw;
use patrol_tests::{policies, wire};
use serde_json::Value;

use crate::support::{MOVED, PEPPERED, PLAIN, pepper};
use patrol_tests::maker::Maker;

/// A data directory with one user, a release of the policy that peppers, staged, and its id.
fn staged() -> (Maker, String) {
    let maker = Maker::new();
    maker.program.json(&["tenant", "create", "acme"]);
    maker
        .program
        .json(&["user", "create", "--tenant", "acme", "--name", "ann"]);
    let release = maker.release_of(&policies::component("peppered"), 1, &[]);
    let id = maker.stage(&release);
    (maker, id)
}

/// Creates a token; its identifier and its secret.
fn create(maker: &Maker, name: &str) -> (String, String) {
    let created = maker.program.token("ann", name, "30d");
    let text = |key: &str| created[key].as_str().unwrap().to_owned();
    (text("id"), text("secret"))
}

fn status(server: SocketAddr, secret: &str) -> u16 {
    wire::check(server, &[("Authorization", &format!("Bearer {secret}"))]).status
}

fn session_status(server: SocketAddr, session: &str) -> u16 {
    wire::check(server, &[("x-tableau-session-token", session)]).status
}

fn sign_in(server: SocketAddr, secret: &str) -> String {
    let answer = wire::login(server, secret).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["sessionToken"].as_str().unwrap().to_owned()
}

/// How many tokens are kept by a scheme.
fn count(maker: &Maker, scheme: u8) -> u64 {
    raw(&maker.program.data())
        .query_row("SELECT count(*) FROM token WHERE scheme = ?1", [scheme], |row| {
            row.get(0)
        })
        .unwrap()
}

/// Waits until that many tokens are peppered.
fn wait_for(maker: &Maker, peppered: u64) {
    let started = Instant::now();
    while count(maker, PEPPERED) < peppered {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "{}",
            maker.program.said()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_upgrade_moves_tokens_as_they_are_used_and_nobody_is_logged_out_there_or_back() {
    let (maker, release) = staged();
    let (rotated, old) = create(&maker, "rotated");
    let secrets: Vec<_> = (0..3).map(|n| create(&maker, &format!("token {n}")).1).collect();
    let args = ["token", "rotate", &rotated, "--overlap", "1h"];
    let new = maker.program.json(&args)["secret"].as_str().unwrap().to_owned();
    let server = maker.program.serve();
    let mut sessions: Vec<_> = secrets.iter().map(|s| sign_in(server.address, s)).collect();
    sessions.push(sign_in(server.address, &old));
    server.stop();
    assert_eq!((count(&maker, PLAIN), count(&maker, PEPPERED)), (4, 0));
    assert!(!maker.program.data().join("pepper.key").exists());

    let all_good = |server: SocketAddr| {
        for secret in secrets.iter().chain([&old, &new]) {
            assert_eq!(status(server, secret), 200);
        }
        for session in &sessions {
            assert_eq!(session_status(server, session), 200);
        }
    };
    maker.program.json(&["policy", "activate", &release]);
    let server = maker.program.serve();
    all_good(server.address);
    wait_for(&maker, 4);
    all_good(server.address);
    let (_, fresh) = create(&maker, "fresh");
    assert_eq!(status(server.address, &fresh), 200);
    server.stop();
    assert_eq!((count(&maker, PLAIN), count(&maker, PEPPERED)), (0, 5));
    let moved = maker.program.json(&["audit", "list", "--type", MOVED]);
    assert!(!moved.as_array().unwrap().is_empty());
    let doctor = maker.program.run(&["doctor"]);
    assert_eq!(doctor.code, Some(0), "{}", doctor.out);
    assert!(doctor.out.contains("5 tokens need it"), "{}", doctor.out);

    maker.program.json(&["policy", "rollback"]);
    let server = maker.program.serve();
    all_good(server.address);
    assert_eq!(status(server.address, &fresh), 200);
    let after = create(&maker, "after").1;
    assert_eq!(status(server.address, &after), 200);
    server.stop();
    assert_eq!((count(&maker, PLAIN), count(&maker, PEPPERED)), (1, 5));
}

#[test]
fn a_running_server_is_upgraded_and_taken_back_with_nobody_logged_out() {
    let (maker, release) = staged();
    let (rotated, old) = create(&maker, "rotated");
    let mut secrets: Vec<_> = (0..5).map(|n| create(&maker, &format!("token {n}")).1).collect();
    let args = ["token", "rotate", &rotated, "--overlap", "1h"];
    secrets.push(maker.program.json(&args)["secret"].as_str().unwrap().to_owned());
    secrets.push(old);
    let server = maker.program.serve();
    let address = server.address;
    let sessions: Vec<_> = secrets.iter().map(|secret| sign_in(address, secret)).collect();
    let over = AtomicBool::new(false);
    let answered = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    for (secret, session) in secrets.iter().zip(&sessions) {
                        assert_eq!(status(address, secret), 200);
                        assert_eq!(session_status(address, session), 200);
                        sign_in(address, secret);
                        answered.fetch_add(3, Ordering::Relaxed);
                    }
                }
            });
        }
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            maker.program.json(&["policy", "activate", &release]);
            wait_for(&maker, 6);
            let fresh = create(&maker, "fresh").1;
            assert_eq!(status(address, &fresh), 200);
            assert_eq!(count(&maker, PEPPERED), 7);
            maker.program.json(&["policy", "rollback"]);
            assert_eq!(status(address, &fresh), 200);
            let after = create(&maker, "after").1;
            assert_eq!(status(address, &after), 200);
            assert_eq!((count(&maker, PLAIN), count(&maker, PEPPERED)), (1, 7));
            let before = answered.load(Ordering::Relaxed);
            let started = Instant::now();
            while answered.load(Ordering::Relaxed) < before + 60 {
                assert!(started.elapsed() < Duration::from_secs(60));
                std::thread::sleep(Duration::from_millis(5));
            }
        }));
        over.store(true, Ordering::Relaxed);
        ended.unwrap();
    });
    println!(
        "{} requests, all of them answered with a yes",
        answered.load(Ordering::Relaxed)
    );
    server.stop();
}

#[test]
fn what_was_moved_before_a_crash_and_what_was_not_is_let_in_after_it() {
    const TOKENS: u64 = 40;
    let (maker, release) = staged();
    let secrets: Vec<_> = (0..TOKENS)
        .map(|n| create(&maker, &format!("token {n}")).1)
        .collect();
    maker.program.json(&["policy", "activate", &release]);
    let mut crashes_amid = 0;
    for (round, chunk) in secrets.chunks(4).enumerate() {
        let server = maker.program.serve();
        let address = server.address;
        let load = {
            let chunk = chunk.to_vec();
            std::thread::spawn(move || {
                for secret in chunk.iter().cycle() {
                    let bearer = format!("Bearer {secret}");
                    let headers = [
                        ("X-Original-URI", "/thing"),
                        ("X-Original-Method", "GET"),
                        ("Authorization", &*bearer),
                    ];
                    match wire::send(address, "GET /check/nginx", &headers, b"") {
                        Ok(answer) => assert_eq!(answer.status, 200, "{answer:?}"),
                        Err(_) => return,
                    }
                }
            })
        };
        // Around the moment of the first write of moves.
        std::thread::sleep(Duration::from_millis(380 + 35 * round as u64));
        server.kill();
        load.join().unwrap();
        let (plain, peppered) = (count(&maker, PLAIN), count(&maker, PEPPERED));
        assert_eq!(plain + peppered, TOKENS);
        crashes_amid += u32::from(peppered % 4 != 0 || peppered / 4 != round as u64 + 1);
        // Moved and told of, or neither.
        let told: u64 = raw(&maker.program.data())
            .query_row(
                "SELECT coalesce(sum(json_extract(body, '$.details.count')), 0) FROM audit WHERE type = ?1",
                [MOVED],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(told, peppered);
    }
    println!("{crashes_amid} of the crashes left tokens behind");
    let doctor = maker.program.run(&["doctor"]);
    assert_eq!(doctor.code, Some(0), "{}", doctor.out);
    let server = maker.program.serve();
    for secret in &secrets {
        assert_eq!(status(server.address, secret), 200);
    }
    wait_for(&maker, TOKENS);
    for secret in &secrets {
        assert_eq!(status(server.address, secret), 200);
    }
    server.stop();
    let others = fs::read_dir(maker.program.data())
        .unwrap()
        .filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().contains("pepper")
        })
        .count();
    assert_eq!(others, 1, "the key, and nothing left over of making it");
}

#[test]
fn a_policy_from_before_the_pepper_does_not_take_over_unnoticed() {
    let (maker, release) = staged();
    let (_, plain) = create(&maker, "plain");
    let first = Path::new(env!("CARGO_MANIFEST_DIR")).join("compat/patrol-policy-0.1.0.wasm");
    let first = maker.stage(&maker.release_of(&first, 2, &[]));
    let first = first.as_str();
    maker.program.json(&["policy", "activate", first]);
    let server = maker.program.serve();
    assert_eq!(status(server.address, &plain), 200);
    server.stop();
    maker.program.json(&["policy", "rollback"]);

    maker.program.json(&["policy", "activate", &release]);
    let (_, peppered) = create(&maker, "peppered");
    let said = maker.judge(&["policy", "activate", first]).unwrap();
    for part in ["imports no keyring", "1 tokens", "--allow-downgrade"] {
        assert!(said.contains(part), "{said}");
    }
    // Whoever insists has those tokens without a verdict, and not refused.
    maker
        .program
        .json(&["policy", "activate", first, "--allow-downgrade"]);
    let server = maker.program.serve();
    assert_eq!(status(server.address, &plain), 200);
    assert_eq!(status(server.address, &peppered), 503);
    server.stop();
    maker.program.json(&["policy", "rollback"]);
    let server = maker.program.serve();
    for secret in [&plain, &peppered] {
        assert_eq!(status(server.address, secret), 200);
    }
    server.stop();
}

#[test]
fn without_the_right_pepper_there_is_no_verdict_and_start_and_doctor_say_what_to_do() {
    let (maker, release) = staged();
    let (_, plain) = create(&maker, "plain");
    maker.program.json(&["policy", "activate", &release]);
    let (_, peppered) = create(&maker, "peppered");
    let path = maker.program.data().join("pepper.key");
    let right = pepper(&maker.program.data());
    let text = fs::read_to_string(&path).unwrap();

    let another = format!("patrol-pepper-1:{}\n", "A".repeat(43));
    for (put, told) in [(None, "is missing"), (Some(&another), "is not the one that")] {
        match put {
            None => fs::remove_file(&path).unwrap(),
            Some(text) => {
                fs::write(&path, text).unwrap();
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
                fs::set_permissions(&path, mode).unwrap();
                assert_ne!(pepper(&maker.program.data()), right);
            }
        }
        let doctor = maker.program.run(&["doctor"]);
        assert_eq!(doctor.code, Some(12), "{}", doctor.out);
        let report: Value = serde_json::from_str(&doctor.out).unwrap();
        let findings = report["findings"].as_array().unwrap();
        let finding = findings
            .iter()
            .find(|finding| finding["what"] == "pepper")
            .unwrap();
        assert_eq!(finding["status"], "fail");
        let advice = finding["advice"].as_str().unwrap();
        for part in [told, "from its backup", "1 tokens cannot be verified"] {
            assert!(advice.contains(part), "{advice}");
        }

        let before = maker.program.said().len();
        let server = maker.program.serve();
        let said = maker.program.said().split_off(before);
        assert!(said.contains(told) && said.contains("from its backup"), "{said}");
        assert_eq!(status(server.address, &peppered), 503);
        assert_eq!(wire::login(server.address, &peppered).unwrap().status, 503);
        assert_eq!(status(server.address, &plain), 200);
        // Put back, it is found without a restart.
        fs::write(&path, &text).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(&path, mode).unwrap();
        assert_eq!(status(server.address, &peppered), 200);
        server.stop();
    }
    assert_eq!(maker.program.run(&["doctor"]).code, Some(0));
}
