//! What was acknowledged before a crash is there after it, and nothing is half there.
//!
//! Workers do what owners and administrators do and write down each acknowledgement; at a random moment they are killed
//! with no chance to clean up. Then a new process must find every acknowledged creation good, every acknowledged end
//! an end, the database whole, and the audit trail unbroken and in step with the records. The seed is printed;
//! `PATROL_CRASH_SEED` sets it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use patrol::service::{Caller, NewAccount, Origin, Patrol, Settings};
use patrol_policy::types::{DAY, Id, Scope};
use patrol_tests::deployment::{AUDIENCE, operator, raw, share_compiled_code};
use patrol_tests::program::{Program, ended};
use patrol_tests::wire;

const ROUNDS: u32 = 200;
const ROUNDS_OF_THE_PROGRAM: u32 = 12;
const WORKER: &str = "PATROL_CRASH_WORKER";
const ACKNOWLEDGED: &str = "PATROL_CRASH_ACKNOWLEDGED";
const SEED: &str = "PATROL_CRASH_SEED";

/// A generator of numbers that is the same for the same seed: xorshift64*.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let seed = std::env::var(SEED).map_or(nanos as u64, |seed| seed.parse().unwrap());
        println!("{SEED}={seed}");
        Self(seed | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 33) % limit
    }
}

fn settings(directory: &Path) -> Settings {
    let mut settings = Settings::new(directory);
    settings.config.policy.deadline = patrol::time::Millis(5_000);
    settings
}

/// Not a test: what the killed processes run.
#[test]
#[ignore = "only other tests run it, in a process of its own"]
fn worker() {
    let Ok(name) = std::env::var(WORKER) else {
        return;
    };
    let mut random = Random::new();
    // Each line is in the file once this returns: a file outlives the process.
    let mut file = File::options()
        .create(true)
        .append(true)
        .open(std::env::var(ACKNOWLEDGED).unwrap())
        .unwrap();
    let mut write = |line: String| file.write_all(format!("{line}\n").as_bytes()).unwrap();

    let directory = std::env::var("PATROL_CRASH_DATA").unwrap();
    let patrol = Patrol::open(settings(directory.as_ref())).unwrap();
    let account = NewAccount {
        name,
        ..NewAccount::default()
    };
    let owner = patrol.create_user(&operator(), "acme", &account).unwrap().id;
    let caller = Caller::user(owner, Origin::default());
    let mut live: Vec<(Id, String)> = Vec::new();
    for n in 0.. {
        let text = |secret: &[u8]| String::from_utf8(secret.to_vec()).unwrap();
        let expires = patrol.now() + DAY;
        match random.below(20) {
            0 if !live.is_empty() => {
                for (_, secret) in &live {
                    write(format!("ending {secret}"));
                }
                let method = format!("method-{n}");
                patrol
                    .change_auth_method(&operator(), Scope::Owner(owner), &method)
                    .unwrap();
                for (_, secret) in live.drain(..) {
                    write(format!("ended {secret}"));
                }
            }
            1..=3 if !live.is_empty() => {
                let at = random.below(live.len() as u64) as usize;
                let (token, old) = live.swap_remove(at);
                write(format!("ending {old}"));
                let rotated = patrol.rotate(&caller, token, 0).unwrap();
                let secret = text(rotated.secret.expose());
                write(format!("ended {old}\nissued {secret}"));
                live.push((token, secret));
            }
            4..=9 if !live.is_empty() => {
                let at = random.below(live.len() as u64) as usize;
                let (token, secret) = live.swap_remove(at);
                write(format!("ending {secret}"));
                patrol.revoke(&caller, token).unwrap();
                write(format!("ended {secret}"));
            }
            _ if live.len() < 90 => {
                let issued = patrol
                    .issue(&caller, owner, &format!("token {n}"), expires, AUDIENCE)
                    .unwrap();
                let secret = text(issued.secret.expose());
                write(format!("issued {secret}"));
                live.push((issued.row.state.token.id, secret));
            }
            _ => {
                let (_, secret) = &live[0];
                let origin = Origin::default();
                patrol.authenticate(secret.as_bytes(), AUDIENCE, &origin).unwrap();
            }
        }
    }
}

fn start_worker(directory: &Path, name: &str, acknowledged: &Path, seed: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "worker", "--ignored", "--nocapture"])
        .env(WORKER, name)
        .env(ACKNOWLEDGED, acknowledged)
        .env(SEED, seed.to_string())
        .env("PATROL_CRASH_DATA", directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(
            File::options()
                .create(true)
                .append(true)
                .open(acknowledged.with_extension("err"))
                .unwrap(),
        )
        .spawn()
        .unwrap()
}

/// What must hold of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Must {
    BeAccepted,
    BeRefused,
    /// Its end was under way: either.
    BeEither,
}

fn read_acknowledgements(file: &Path, known: &mut BTreeMap<String, Must>) {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    // A line without an end was cut by the crash.
    for line in text
        .split_inclusive('\n')
        .filter_map(|line| line.strip_suffix('\n'))
    {
        let (what, secret) = line.split_once(' ').unwrap();
        let must = match what {
            "issued" => Must::BeAccepted,
            "ending" => Must::BeEither,
            "ended" => Must::BeRefused,
            other => panic!("{other}"),
        };
        known.insert(secret.to_owned(), must);
    }
}

/// Everything that must hold after a crash.
fn verify<'a>(directory: &Path, known: impl IntoIterator<Item = (&'a String, &'a Must)>) {
    let patrol = Patrol::open(settings(directory)).unwrap();
    for (secret, must) in known {
        let verdict = patrol.authenticate(secret.as_bytes(), AUDIENCE, &Origin::default());
        let holds = match must {
            Must::BeAccepted => verdict.is_ok(),
            Must::BeRefused => verdict.as_ref().is_err_and(|error| error.refusal().is_some()),
            Must::BeEither => verdict.is_ok() || verdict.as_ref().is_err_and(|e| e.refusal().is_some()),
        };
        assert!(holds, "{must:?}: {verdict:?}");
    }
}

/// The database is whole, the audit trail unbroken, and both say the same.
fn check_whole(directory: &Path) {
    let patrol = Patrol::open(settings(directory)).unwrap();
    assert_eq!(patrol.store().check().unwrap(), Vec::<String>::new());
    let count = |query: &str| -> u64 { raw(directory).query_row(query, [], |row| row.get(0)).unwrap() };
    let events = |event: &str| {
        count(&format!(
            "SELECT count(*) FROM audit WHERE type = '{event}' AND json_extract(body, '$.eventOutcome') = 'success'"
        ))
    };
    assert_eq!(
        events("create_personal_access_token"),
        count("SELECT count(*) FROM token")
    );
    assert_eq!(
        events("rotate_personal_access_token"),
        count("SELECT coalesce(sum(generation), 0) FROM token")
    );
    assert_eq!(
        events("revoke_personal_access_token"),
        count("SELECT count(*) FROM token WHERE ended_cause = 'revoked'")
    );
    assert_eq!(
        events("batch_revoke_personal_access_token"),
        count("SELECT coalesce(sum(epoch), 0) FROM user")
    );
    assert_eq!(events("create_user"), count("SELECT count(*) FROM user"));
}

#[test]
fn what_was_acknowledged_survives_200_crashes_and_nothing_is_half_done() {
    let mut random = Random::new();
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("data");
    std::fs::create_dir(&directory).unwrap();
    std::fs::set_permissions(&directory, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    share_compiled_code(&directory);
    let patrol = Patrol::open(settings(&directory)).unwrap();
    patrol
        .create_tenant(&operator(), "acme", "password", false)
        .unwrap();
    drop(patrol);

    let mut all = BTreeMap::new();
    let mut eventful = 0;
    for round in 0..ROUNDS {
        // One or two at a time, so that a crash also meets the other's locks.
        let workers: Vec<_> = (0..=random.below(2))
            .map(|n| {
                let name = format!("worker-{round}-{n}");
                let acknowledged = scratch.path().join(&name);
                let child = start_worker(&directory, &name, &acknowledged, random.next());
                (child, acknowledged)
            })
            .collect();
        std::thread::sleep(Duration::from_millis(10 + random.below(150)));
        let mut known = BTreeMap::new();
        for (mut child, acknowledged) in workers {
            let early = child.try_wait().unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
            let said = std::fs::read_to_string(acknowledged.with_extension("err")).unwrap();
            assert_eq!(early, None, "round {round}: a worker ended by itself: {said}");
            read_acknowledgements(&acknowledged, &mut known);
        }
        eventful += u32::from(!known.is_empty());
        verify(&directory, &known);
        all.append(&mut known);
        if round % 20 == 19 {
            check_whole(&directory);
        }
    }
    verify(&directory, &all);
    check_whole(&directory);
    let count = |must| all.values().filter(|one| **one == must).count();
    let (good, over) = (count(Must::BeAccepted), count(Must::BeRefused));
    println!("{eventful} eventful rounds, {good} tokens acknowledged, {over} ends acknowledged");
    assert!(
        eventful > ROUNDS / 4 && good > 100 && over > 100,
        "the workers hardly worked"
    );
}

#[test]
fn what_the_program_acknowledged_survives_the_crash_of_server_and_commands() {
    let mut random = Random::new();
    let program = Program::new();
    let done = |arguments: &[&str]| program.run(arguments).json();
    done(&["tenant", "create", "acme"]);
    let mut sessions: Vec<String> = Vec::new();
    let mut live: Vec<(String, String)> = Vec::new();
    let mut over: Vec<String> = Vec::new();
    for round in 0..ROUNDS_OF_THE_PROGRAM {
        let owner = format!("user-{round}");
        done(&["user", "create", "--tenant", "acme", "--name", &owner]);
        let server = program.serve();
        let create = |n: u32| {
            let name = format!("token {n}");
            let arguments = [
                "token",
                "create",
                "--owner",
                &owner,
                "--name",
                &name,
                "--expires",
                "30d",
            ];
            program.command(&arguments).spawn().unwrap()
        };
        let created = ended(create(0)).json();
        let text = |key: &str| created[key].as_str().unwrap().to_owned();
        let (id, secret) = (text("id"), text("secret"));

        // A load of sign-ins, and commands beside it; all are cut off.
        let address = server.address;
        let load = {
            let secret = secret.clone();
            std::thread::spawn(move || {
                let mut sessions = Vec::new();
                while let Ok(answer) = wire::login(address, &secret) {
                    assert_eq!(answer.status, 200, "{answer:?}");
                    sessions.push(answer.json()["sessionToken"].as_str().unwrap().to_owned());
                }
                sessions
            })
        };
        let revoked = ended(create(1)).json();
        let to_revoke = revoked["id"].as_str().unwrap();
        let mut commands = vec![program.command(&["token", "revoke", to_revoke]).spawn().unwrap()];
        commands.extend((2..4).map(create));
        std::thread::sleep(Duration::from_millis(20 + random.below(200)));
        for command in &mut commands {
            let _ = command.kill();
        }
        server.kill();
        sessions.extend(load.join().unwrap());

        let mut runs = commands.into_iter().map(ended);
        if runs.next().unwrap().code == Some(0) {
            over.push(revoked["secret"].as_str().unwrap().to_owned());
        }
        for run in runs.filter(|run| run.code == Some(0)) {
            let created = run.json();
            let text = |key: &str| created[key].as_str().unwrap().to_owned();
            live.push((text("id"), text("secret")));
        }
        live.push((id, secret));
    }

    let doctor = program.run(&["doctor"]);
    assert_eq!(doctor.code, Some(0), "{}", doctor.out);
    assert_eq!(program.run(&["audit", "verify"]).code, Some(0));
    let server = program.serve();
    for (_, secret) in &live {
        let answer = wire::check(server.address, &[("Authorization", &format!("Bearer {secret}"))]);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    for secret in &over {
        let answer = wire::check(server.address, &[("Authorization", &format!("Bearer {secret}"))]);
        assert_eq!(answer.status, 401, "{answer:?}");
    }
    for session in &sessions {
        let answer = wire::check(server.address, &[("x-tableau-session-token", session)]);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    println!(
        "{} tokens, {} revoked, {} sessions",
        live.len(),
        over.len(),
        sessions.len()
    );
    assert!(live.len() >= ROUNDS_OF_THE_PROGRAM as usize && sessions.len() > 20);
    // The ends of tokens that sessions hang on reach them, too.
    let (id, secret) = &live[0];
    assert_eq!(program.run(&["token", "revoke", id]).code, Some(0));
    let answer = wire::check(server.address, &[("Authorization", &format!("Bearer {secret}"))]);
    assert_eq!(answer.status, 401);
    server.stop();
}
