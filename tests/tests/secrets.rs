//! R1, R2: a secret is shown once and is nowhere after that. A long mixed run of the program with all logging on, and
//! then a search of everything that it left, for every form of every secret that it ever showed or was told.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use patrol::time::rfc3339;
use patrol_policy::token::{Kind, compose};
use patrol_policy::types::Id;
use patrol_tests::maker::Maker;
use patrol_tests::needles::Needles;
use patrol_tests::program::Program;
use patrol_tests::wire;
use serde_json::{Value, json};

/// The secrets of a run, and everything that was answered but what had to hold one.
#[derive(Default)]
struct Seen {
    needles: Needles,
    answers: String,
}

impl Seen {
    /// An answer that holds a secret: that is remembered, and the rest of the answer searched like any other.
    fn secret(&mut self, what: &str, answer: &Value, key: &str) -> String {
        let secret = answer[key].as_str().unwrap().to_owned();
        self.needles.add_token(what, secret.as_bytes());
        let mut rest = answer.clone();
        rest.as_object_mut().unwrap().remove(key);
        self.answer(&rest.to_string());
        secret
    }

    fn answer(&mut self, answer: &str) {
        self.answers += answer;
        self.answers.push('\n');
    }
}

/// A date that a token may expire at, whenever this runs.
fn in_30_days() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 30 * 86_400;
    rfc3339(seconds * 1_000)
}

/// 32 bytes that are in no file by chance.
fn unlike_anything(seed: u8) -> [u8; 32] {
    std::array::from_fn(|at| {
        seed.wrapping_mul(37) ^ (at as u8).wrapping_mul(at as u8).wrapping_mul(91) ^ 0xa5
    })
}

fn copy_of(directory: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    let copied = Command::new("cp")
        .arg("-r")
        .arg(directory)
        .arg(copy.path())
        .status()
        .unwrap();
    assert!(copied.success());
    copy
}

/// The life of a client of the OAuth endpoints, which asks about this token and session, in right ways and wrong ones.
fn clients(program: &Program, seen: &mut Seen, server: SocketAddr, round: u8, pat: &str, session: &str) {
    let name = format!("client {round}");
    let created = program.run(&["client", "create", &name]).json();
    let id = created["clientId"].as_str().unwrap().to_owned();
    let first = seen.secret("a client", &created, "clientSecret");
    let rotated = program.run(&["client", "rotate", &id]).json();
    let secret = seen.secret("a rotated client", &rotated, "clientSecret");
    let wrong = compose(
        Kind::Client,
        id.parse::<Id>().unwrap(),
        &unlike_anything(round ^ 0x80),
    );
    let wrong = String::from_utf8(wrong.into_bytes()).unwrap();
    seen.needles.add_token("a wrong client secret", wrong.as_bytes());

    let encode = |text: String| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let mut ask = |path: &str, secret: &str, token: &str| {
        let basic = format!("Basic {}", encode(format!("{id}:{secret}")));
        let headers = [form, ("Authorization", &*basic)];
        let body = format!("token={token}");
        let answer = wire::send(server, path, &headers, body.as_bytes()).unwrap();
        seen.answer(&format!("{answer:?}"));
        answer.status
    };
    for token in [pat, session, &pat[..82], &secret, "nonsense"] {
        assert_eq!(ask("POST /oauth2/introspect", &secret, token), 200);
    }
    for credential in [&*first, &wrong, pat, &secret[..82], &secret.to_lowercase()] {
        assert_eq!(ask("POST /oauth2/introspect", credential, pat), 401);
        assert_eq!(ask("POST /oauth2/revoke", credential, pat), 401);
    }
    assert_eq!(ask("POST /oauth2/revoke", &secret, &secret), 400);
    // In the wrong place: in the query, without a form, twice, as the agent's name, as another's.
    let query = format!("POST /oauth2/introspect?client_secret={secret}&token={pat}");
    assert_eq!(ask(&query, "x", "x"), 401);
    for (kind, body) in [
        (
            form,
            format!("client_id={id}&client_secret={secret}&client_secret={secret}&token={pat}"),
        ),
        (
            ("Content-Type", "application/json"),
            format!("{{\"client_secret\":\"{secret}\",\"token\":\"{pat}\"}}"),
        ),
        (
            form,
            format!("client_id={secret}&client_secret={secret}&token={pat}"),
        ),
    ] {
        let answer = wire::send(server, "POST /oauth2/introspect", &[kind], body.as_bytes()).unwrap();
        assert!(answer.status >= 400, "{answer:?}");
        seen.answer(&format!("{answer:?}"));
    }
    seen.answer(&program.run(&["client", "list"]).out);
    if round.is_multiple_of(2) {
        seen.answer(&program.run(&["client", "revoke", &id]).out);
    }
}

#[test]
fn r2_the_pepper_is_in_its_file_and_nowhere_else() {
    let mut maker = Maker::new();
    let done = |maker: &Maker, args: &[&str]| {
        let run = maker.program.run(args);
        assert_eq!(run.code, Some(0), "{args:?}: {}", maker.program.said());
        run.out
    };
    let mut answers = done(&maker, &["tenant", "create", "acme"]);
    answers += &done(&maker, &["user", "create", "--tenant", "acme", "--name", "ann"]);
    let release = maker.release_of(&patrol_tests::policies::component("peppered"), 1, &[]);
    let staged = maker.stage(&release);
    let create = |maker: &Maker, name: &str| {
        let created = maker.program.token("ann", name, "30d");
        ["id", "secret"].map(|key| created[key].as_str().unwrap().to_owned())
    };
    let [id, plain] = create(&maker, "plain");
    answers += &done(&maker, &["policy", "activate", &staged]);
    // Not before: the compiler would say more than all else together.
    maker.program.verbose = true;
    let [_, peppered] = create(&maker, "peppered");
    let server = maker.program.serve();
    for secret in [&plain, &peppered] {
        answers += &format!(
            "{:?}",
            wire::login(server.address, secret).map(|answer| answer.status)
        );
        answers += &format!(
            "{:?}",
            wire::check(server.address, &[("Authorization", &format!("Bearer {secret}"))])
        );
    }
    done(&maker, &["token", "rotate", &id, "--overlap", "1h"]);
    for command in [
        &["audit", "export"][..],
        &["token", "list", "--all"],
        &["policy", "show"],
        &["doctor"],
    ] {
        answers += &done(&maker, command);
    }

    let file = maker.program.data().join("pepper.key");
    let text = std::fs::read_to_string(&file).unwrap();
    let digits = text.trim_end().strip_prefix("patrol-pepper-1:").unwrap();
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let key = base64::Engine::decode(&engine, digits).unwrap();
    let mut needles = Needles::default();
    needles.add_text("the pepper", &key);
    needles.add_text("the pepper's text", digits.as_bytes());
    needles.add_text(
        "the pepper, as a list",
        format!("{key:?}").trim_matches(['[', ']']).as_bytes(),
    );

    let running = copy_of(&maker.program.data());
    server.stop();
    for data in [&running.path().join("data"), &maker.program.data()] {
        let found = needles.found_below(data);
        assert!(!found.is_empty(), "the search finds it in its file");
        let elsewhere: Vec<_> = found
            .iter()
            .filter(|what| !what.contains("pepper.key: "))
            .collect();
        assert_eq!(elsewhere, Vec::<&String>::new());
    }
    let log = std::fs::read(maker.program.log()).unwrap();
    assert!(log.len() > 5_000 && answers.len() > 1_000);
    assert_eq!(needles.found_in(&log), Vec::<&str>::new(), "in the log");
    assert_eq!(
        needles.found_in(answers.as_bytes()),
        Vec::<&str>::new(),
        "in an answer"
    );
}

#[test]
fn r1_no_secret_is_in_any_file_log_answer_or_error_of_a_long_mixed_run() {
    let mut program = Program::new();
    let mut seen = Seen::default();
    // Not yet with all logging on: the compiler, which runs once, would say more than all else together.
    seen.answer(&program.run(&["tenant", "create", "acme"]).out);
    program.verbose = true;
    for user in ["ann", "bob"] {
        let roles = [
            "user", "create", "--tenant", "acme", "--name", user, "--role", "admin",
        ];
        seen.answer(&program.run(&roles).out);
    }
    // Nothing is put off: what is answered otherwise is what is looked at.
    let limits = [
        "failures_per_address",
        "failures_per_token",
        "passwords_per_user",
        "passwords_per_address",
    ];
    let limits = limits.map(|limit| format!("{limit} = 0\n")).concat();
    std::fs::write(
        program.configuration(),
        format!("[policy]\ndeadline = \"5s\"\n[limits]\n{limits}"),
    )
    .unwrap();
    let server = program.serve();

    for round in 0..12 {
        let name = format!("token {round}");
        let create = [
            "token",
            "create",
            "--owner",
            "ann",
            "--name",
            &name,
            "--expires",
            "30d",
        ];
        let created = program.run(&create).json();
        let id = created["id"].as_str().unwrap().to_owned();
        let pat = seen.secret("a token", &created, "secret");

        let password = format!("a password that nobody guesses {round}");
        seen.needles.add_text("a password", password.as_bytes());
        seen.answer(&program.run_with(&["user", "set-password", "ann"], &password).out);
        // Wrong ones: too short, and a token in the password's place.
        let short = format!("pw-{round}x");
        seen.needles.add_text("a short password", short.as_bytes());
        let refused = program.run_with(&["user", "set-password", "ann"], &short);
        assert_ne!(refused.code, Some(0));
        seen.answer(&refused.out);

        let login = wire::login(server.address, &pat).unwrap().json();
        let session = seen.secret("a session", &login, "sessionToken");
        // With the password, right and wrong, in the right place and in wrong ones.
        let in_with = |password: &str| json!({"userName": "ann", "password": password}).to_string();
        let post = |path: &str, session: &str, body: &str| {
            let headers = [
                ("Content-Type", "application/json"),
                ("x-tableau-session-token", session),
            ];
            wire::send(server.address, &format!("POST {path}"), &headers, body.as_bytes()).unwrap()
        };
        let login = post("/api/v1/login", "", &in_with(&password));
        assert_eq!(login.status, 200, "{login:?}");
        let login = login.json();
        let account = seen.secret("a session of a password", &login, "sessionToken");
        let users = format!(
            "/api/v1/tenants/{}/users/{}",
            login["tenantId"].as_str().unwrap(),
            login["userId"].as_str().unwrap()
        );
        let tokens = format!("{users}/personal-access-tokens");
        let asked =
            json!({"name": format!("by the api {round}"), "expirationDate": "9999-12-31"}).to_string();
        seen.answer(&format!("{:?}", post(&tokens, &account, &asked)));
        let asked =
            json!({"name": format!("by the api {round}"), "expirationDate": in_30_days()}).to_string();
        let made = post(&tokens, &account, &asked);
        assert_eq!(made.status, 201, "{made:?}");
        seen.secret("a token of the api", &made.json(), "secret");
        for wrong in [
            in_with(&(password.clone() + "!")),
            json!({"userName": password, "password": password}).to_string(),
            json!({"userName": "ann", "password": [password]}).to_string(),
            json!({"userName": "ann", "password": account}).to_string(),
            format!("{{\"password\": \"{password}\", }}"),
        ] {
            let answer = post("/api/v1/login", "", &wrong);
            assert!(answer.status >= 400, "{answer:?}");
            seen.answer(&format!("{answer:?}"));
        }
        for request in [
            format!("GET {tokens}"),
            format!("GET {tokens}?token={pat}&password={account}"),
            format!("GET /api/v1/{account}"),
            format!("GET {tokens}/{pat}"),
        ] {
            let headers = [
                ("x-tableau-session-token", account.as_str()),
                ("User-Agent", &account),
            ];
            let answer = wire::send(server.address, &request, &headers, b"");
            seen.answer(&format!("{answer:?}"));
        }
        seen.answer(&program.run_with(&["verify"], &account).out);
        let almost = [
            account[..82].to_owned(),
            account.replace("patrol_acc_", "patrol_ses_"),
            format!("{account}x"),
        ];
        for attempt in almost {
            let bearer = format!("Bearer {attempt}");
            seen.answer(&format!(
                "{:?}",
                wire::check(server.address, &[("Authorization", &bearer)])
            ));
        }

        let basic = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("x:{pat}"));
        for (header, value) in [
            ("Authorization", format!("Bearer {pat}")),
            ("Authorization", format!("token {pat}")),
            ("Authorization", format!("Basic {basic}")),
            ("x-tableau-session-token", session.clone()),
        ] {
            let answer = wire::check(server.address, &[(header, &value)]);
            assert_eq!(answer.status, 200, "{answer:?}");
            seen.answer(&format!("{answer:?}"));
        }
        seen.answer(&program.run_with(&["verify"], &pat).out);
        seen.answer(&program.run_with(&["verify"], &session).out);

        // Almost right: each has the secret, or most of it, in it.
        let wrong = compose(Kind::Pat, id.parse::<Id>().unwrap(), &unlike_anything(round));
        let wrong = String::from_utf8(wrong.into_bytes()).unwrap();
        seen.needles.add_token("a wrong secret", wrong.as_bytes());
        let attempts = [
            wrong.clone(),
            pat[..82].to_owned(),
            format!("{pat}x"),
            format!("{pat}, {pat}"),
            pat.to_lowercase(),
            session.replace("patrol_ses_", "patrol_pat_"),
            format!("\u{1b}[31m{pat}"),
        ];
        for attempt in &attempts {
            let answer = wire::check(server.address, &[("Authorization", &format!("Bearer {attempt}"))]);
            assert!(answer.status >= 400, "{answer:?}");
            seen.answer(&format!("{answer:?}"));
            seen.answer(&format!("{:?}", wire::login(server.address, attempt)));
            seen.answer(&program.run_with(&["verify"], attempt).out);
        }
        // In the wrong place: as a query, as the agent's name, as another header, in bad JSON, twice.
        let query = format!("/thing?token={pat}");
        let odd = [
            ("X-Original-URI", query.as_str()),
            ("X-Original-Method", "GET"),
            ("Authorization", "Bearer nonsense"),
        ];
        seen.answer(&format!(
            "{:?}",
            wire::send(server.address, "GET /check/nginx", &odd, b"")
        ));
        let body = format!("{{\"token\": \"{pat}\", }}");
        seen.answer(&format!(
            "{:?}",
            wire::send(server.address, "POST /api/v1/pat/login", &[], body.as_bytes())
        ));
        let body = format!("{{\"token\": [\"{pat}\"]}}");
        seen.answer(&format!(
            "{:?}",
            wire::send(server.address, "POST /api/v1/pat/login", &[], body.as_bytes())
        ));
        // Where no token belongs, and software that logs or keeps such things would leave it.
        for misplaced in [&pat, &session] {
            let misplaced = misplaced.as_str();
            for name in [
                "X-Request-Id",
                "traceparent",
                "tracestate",
                "User-Agent",
                "X-Whatever",
            ] {
                let headers = [(name, misplaced), ("Authorization", "Bearer nonsense")];
                seen.answer(&format!("{:?}", wire::check(server.address, &headers)));
            }
            let lost = [("X-Original-URI", misplaced), ("X-Original-Method", misplaced)];
            for path in [
                format!("/api/v1/{misplaced}/x?token={misplaced}"),
                format!("/{misplaced}"),
                format!("/check/nginx?{misplaced}"),
            ] {
                let answer = wire::send(server.address, &format!("GET {path}"), &lost, b"");
                seen.answer(&format!("{answer:?}"));
            }
        }
        let two = [
            ("Authorization", &*format!("Bearer {pat}")),
            ("x-tableau-session-token", &session),
        ];
        seen.answer(&format!("{:?}", wire::check(server.address, &two)));

        clients(&program, &mut seen, server.address, round, &pat, &session);

        let rotated = match round % 3 {
            0 => program.run(&["token", "rotate", &id]),
            _ => program.run(&["token", "rotate", &id, "--overlap", "1h"]),
        };
        seen.secret("a rotated token", &rotated.json(), "secret");
        seen.answer(&format!(
            "{:?}",
            wire::login(server.address, &pat).map(|answer| answer.status)
        ));
        let header = [("x-tableau-session-token", session.as_str())];
        seen.answer(&format!(
            "{:?}",
            wire::send(server.address, "DELETE /api/v2/sessions", &header, b"")
        ));
        if round % 2 == 0 {
            seen.answer(&program.run(&["token", "revoke", &id]).out);
            seen.answer(&format!("{:?}", wire::check(server.address, &header)));
        }
    }
    for command in [
        &["token", "list", "--all", "--ended"][..],
        &["client", "list", "--revoked"],
        &["audit", "list", "--limit", "1000"],
        &["audit", "export"],
        &["tenant", "set-auth-method", "acme", "saml"],
        &["user", "show", "ann"],
        &["user", "delete", "bob"],
        &["sweep"],
        &["doctor"],
    ] {
        let run = program.run(command);
        assert_eq!(run.code, Some(0), "{command:?}: {}", run.out);
        seen.answer(&run.out);
    }

    // While the server runs, with the write-ahead log as it is; and after it has stopped.
    let running = copy_of(&program.data());
    server.stop();
    let log = std::fs::read(program.log()).unwrap();
    let Seen { needles, answers } = seen;
    println!(
        "{} forms, {} bytes of log, {} of answers",
        needles.len(),
        log.len(),
        answers.len()
    );
    assert!(needles.len() > 500 && log.len() > 10_000 && answers.len() > 10_000);
    assert!(running.path().join("data/patrol.db-wal").exists());
    let nothing = Vec::<String>::new();
    assert_eq!(needles.found_below(running.path()), nothing);
    assert_eq!(needles.found_below(&program.data()), nothing);
    assert_eq!(needles.found_in(&log), Vec::<&str>::new(), "in the log");
    assert_eq!(
        needles.found_in(answers.as_bytes()),
        Vec::<&str>::new(),
        "in an answer"
    );

    // The search finds what is there: one secret, planted in the copy of the database.
    let mut needles = needles;
    let token = compose(Kind::Pat, Id::from_u128(1), &unlike_anything(99));
    needles.add_token("the planted token", token.expose());
    let database = running.path().join("data/patrol.db");
    let planted = Command::new("sh")
        .args(["-c", "printf %s \"$1\" >> \"$2\"", "sh"])
        .arg(String::from_utf8(token.expose().to_vec()).unwrap())
        .arg(&database)
        .status()
        .unwrap();
    assert!(planted.success());
    let found = needles.found_below(running.path());
    assert!(
        found.iter().any(|what| what.contains("the planted token")),
        "{found:?}"
    );
}
