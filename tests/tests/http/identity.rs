//! The signed identity, verified by others than Patrol.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use patrol::config::Config;
use patrol::gate::Keys;
use patrol::time::Millis;
use patrol_policy::types::DAY;
use patrol_tests::deployment::{Deployment, START, id};
use patrol_tests::gateway::have;
use patrol_tests::wire::{Answer, send};
use serde_json::{Value, json};

use super::{Listener, ask, text};

fn signed() -> Config {
    let mut config = Config::default();
    config.identity.signed = true;
    config
}

fn check(listener: &Listener, method: &str, uri: &str, token: &str) -> Answer {
    let authorization = format!("Bearer {token}");
    ask(
        listener.address,
        method,
        uri,
        "192.0.2.7",
        &[("Authorization", &authorization)],
    )
}

fn header(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.header("x-patrol-identity").unwrap().to_owned()
}

fn key_set(listener: &Listener) -> Value {
    let answer = send(listener.address, "GET /.well-known/jwks.json", &[], b"").unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/jwk-set+json"));
    answer.json()
}

/// Header and claims, whoever signed them.
fn parts(token: &str) -> (Value, Value) {
    let parts: Vec<_> = token.split('.').collect();
    assert_eq!(parts.len(), 3, "{token}");
    let decode = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    (decode(parts[0]), decode(parts[1]))
}

/// Whether OpenSSL, as node has it, verifies a token with the key of a set that the token names.
fn verifies(token: &str, keys: &Value) -> bool {
    const SCRIPT: &str = "\
        const { token, keys } = JSON.parse(require('fs').readFileSync(0, 'utf8'));\
        const { createPublicKey, verify } = require('crypto');\
        const [header, claims, signature] = token.split('.');\
        const { kid, alg } = JSON.parse(Buffer.from(header, 'base64url'));\
        const jwk = keys.keys.find((key) => key.kid === kid && key.alg === alg && key.use === 'sig');\
        const good = jwk !== undefined && verify(null, Buffer.from(header + '.' + claims),\
            createPublicKey({ key: jwk, format: 'jwk' }), Buffer.from(signature, 'base64url'));\
        console.log(good);";
    let mut node = Command::new("node")
        .args(["-e", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let question = json!({"token": token, "keys": keys}).to_string();
    node.stdin.take().unwrap().write_all(question.as_bytes()).unwrap();
    let output = node.wait_with_output().unwrap();
    match String::from_utf8(output.stdout).unwrap().trim() {
        "true" => true,
        "false" => false,
        other => panic!("{other}"),
    }
}

fn digest(uri: &str) -> String {
    use sha2::Digest as _;
    URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(uri))
}

#[test]
fn a_signed_identity_says_who_calls_what_and_for_how_long() {
    let it = Deployment::with(signed());
    let listener = Listener::start(&it.patrol);
    let made = it.issue(it.alice, "one");
    let token = header(&check(&listener, "POST", "/a%20b?c=d", &text(&made)));
    let (head, mut claims) = parts(&token);
    let keys = key_set(&listener);
    assert_eq!(
        head,
        json!({"alg": "EdDSA", "typ": "JWT", "kid": keys["keys"][0]["kid"]})
    );
    let identifier = claims["jti"].take();
    assert_eq!(identifier.as_str().unwrap().len(), 22);
    let now = START / 1_000;
    assert_eq!(
        claims,
        json!({
            "iss": "patrol",
            "aud": "api",
            "sub": it.alice.to_string(),
            "iat": now,
            "nbf": now,
            "exp": now + 60,
            "jti": null,
            "tenant": it.tenant.to_string(),
            "roles": ["admin"],
            "token_id": id(&made).to_string(),
            "method": "POST",
            "uri_sha256": digest("/a%20b?c=d"),
        })
    );
    // The same request again is another one.
    let (_, again) = parts(&header(&check(&listener, "POST", "/a%20b?c=d", &text(&made))));
    assert_ne!(again["jti"], identifier);

    let session = it.sign_in(&made);
    let answer = check(&listener, "GET", "/", std::str::from_utf8(&session).unwrap());
    let (_, claims) = parts(&header(&answer));
    assert_eq!(claims["session"].as_str(), answer.header("x-patrol-session"));
}

#[test]
fn a_signature_does_not_outlive_the_token() {
    let mut config = signed();
    config.identity.lifetime = Millis(600_000);
    let it = Deployment::with(config);
    let listener = Listener::start(&it.patrol);
    let made = it.issue_until(it.alice, "short", START + 90_999);
    let (_, claims) = parts(&header(&check(&listener, "GET", "/", &text(&made))));
    assert_eq!(claims["exp"], START / 1_000 + 90);
    let made = it.issue_until(it.alice, "long", START + DAY);
    let (_, claims) = parts(&header(&check(&listener, "GET", "/", &text(&made))));
    assert_eq!(claims["exp"], START / 1_000 + 600);
}

#[test]
fn others_verify_it_and_nothing_else() {
    if !have(&["node"]) {
        return;
    }
    let it = Deployment::with(signed());
    let listener = Listener::start(&it.patrol);
    let made = it.issue(it.alice, "one");
    let token = header(&check(&listener, "GET", "/x", &text(&made)));
    let keys = key_set(&listener);
    assert!(verifies(&token, &keys));
    // Somebody else's claims under the same signature.
    let bob = it.issue(it.bob, "one");
    let other = header(&check(&listener, "GET", "/x", &text(&bob)));
    let (head, rest) = token.split_once('.').unwrap();
    let (_, signature) = rest.split_once('.').unwrap();
    let claims = other.split('.').nth(1).unwrap();
    assert!(!verifies(&format!("{head}.{claims}.{signature}"), &keys));
    // A signature by the key of somebody else.
    let elsewhere = Deployment::with(signed());
    let stranger = Listener::start(&elsewhere.patrol);
    assert!(!verifies(&token, &key_set(&stranger)));

    // After a rotation both keys are published, and what either signed is verified.
    let before = START + 120_000;
    let (_, replaced) = Keys::rotate(it.path(), START, Some(before)).unwrap();
    assert_eq!(replaced.unwrap().kid, keys["keys"][0]["kid"]);
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    let newer = loop {
        let newer = header(&check(&listener, "GET", "/x", &text(&made)));
        if parts(&newer).0 != parts(&token).0 {
            break newer;
        }
        assert!(std::time::Instant::now() < deadline, "the new key is never used");
        std::thread::sleep(Duration::from_millis(100));
    };
    let both = key_set(&listener);
    assert_eq!(both["keys"].as_array().unwrap().len(), 2);
    assert!(verifies(&newer, &both) && verifies(&token, &both));
    assert!(!verifies(&newer, &keys), "the old key is not the new one");
    it.clock.set(before);
    let one = key_set(&listener);
    assert!(verifies(&newer, &one) && !verifies(&token, &one));
}

#[test]
fn without_a_key_nobody_is_let_in() {
    let it = Deployment::with(signed());
    let made = it.issue(it.alice, "one");
    let path = it.path().join("identity.key");
    fs::write(&path, "not a key").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    {
        let listener = Listener::start(&it.patrol);
        let answer = check(&listener, "GET", "/", &text(&made));
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
        assert_eq!(answer.header("x-patrol-user"), None);
        let keys = send(listener.address, "GET /.well-known/jwks.json", &[], b"").unwrap();
        assert_eq!(keys.status, 503);
    }
    // Taken away, a new one is made; with others able to read it, it is not used.
    fs::remove_file(&path).unwrap();
    let listener = Listener::start(&it.patrol);
    header(&check(&listener, "GET", "/", &text(&made)));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while check(&listener, "GET", "/", &text(&made)).status != 503 {
        assert!(std::time::Instant::now() < deadline, "the key is still used");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn while_it_is_off_the_header_is_empty_and_no_key_is_made() {
    let it = Deployment::new();
    let listener = Listener::start(&it.patrol);
    let made = it.issue(it.alice, "one");
    assert_eq!(header(&check(&listener, "GET", "/", &text(&made))), "");
    assert_eq!(key_set(&listener), json!({"keys": []}));
    assert!(!it.path().join("identity.key").exists());
    // Turned on, it signs from the next request on; turned off again, its key stays published.
    listener.gate.reconfigure(signed()).unwrap();
    assert_ne!(header(&check(&listener, "GET", "/", &text(&made))), "");
    listener.gate.reconfigure(Config::default()).unwrap();
    assert_eq!(header(&check(&listener, "GET", "/", &text(&made))), "");
    assert_eq!(key_set(&listener)["keys"].as_array().unwrap().len(), 1);
}
