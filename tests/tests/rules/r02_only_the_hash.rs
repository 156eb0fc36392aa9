//! R2: a PAT is hashed, and only the hash is stored.

use patrol_policy::token::{SCHEME_SHA256, digest};
use patrol_policy::types::HOUR;
use patrol_tests::deployment::{Deployment, id, operator};
use patrol_tests::needles::{Needles, secret_bytes};

fn stored_digest(it: &Deployment, query: &str, id: [u8; 16]) -> (u8, Vec<u8>) {
    it.raw()
        .query_row(query, [id.as_slice()], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
}

#[test]
fn r2_what_is_stored_of_a_token_is_the_sha_256_of_its_secret() {
    let it = Deployment::new();
    let token = it.issue(it.alice, "one");
    let expected = |secret: &[u8]| digest(&secret_bytes(secret)).to_bytes().to_vec();

    let current = "SELECT scheme, digest FROM token WHERE id = ?";
    let stored = stored_digest(&it, current, id(&token).to_bytes());
    assert_eq!(stored, (SCHEME_SHA256, expected(token.secret.expose())));

    let rotated = it.patrol.rotate(&operator(), id(&token), HOUR).unwrap();
    let stored = stored_digest(&it, current, id(&token).to_bytes());
    assert_eq!(stored, (SCHEME_SHA256, expected(rotated.secret.expose())));
    let previous = "SELECT previous_scheme, previous_digest FROM token WHERE id = ?";
    let stored = stored_digest(&it, previous, id(&token).to_bytes());
    assert_eq!(stored, (SCHEME_SHA256, expected(token.secret.expose())));
}

#[test]
fn r2_no_file_of_the_data_directory_holds_a_secret() {
    let it = Deployment::new();
    let mut needles = Needles::default();
    for n in 0..5 {
        let token = it.issue(it.alice, &format!("token {n}"));
        let session = it.sign_in(&token);
        it.check(&session).unwrap();
        let rotated = it.patrol.rotate(&operator(), id(&token), HOUR).unwrap();
        needles.add_token("a token", token.secret.expose());
        needles.add_token("a rotated token", rotated.secret.expose());
        needles.add_token("a session", &session);
    }
    // What a copy made by another process would have of them, write-ahead log and all.
    let copy = tempfile::tempdir().unwrap();
    let copied = std::process::Command::new("cp")
        .args(["patrol.db", "patrol.db-wal"])
        .arg(copy.path())
        .current_dir(it.path())
        .status()
        .unwrap();
    assert!(copied.success());
    assert_eq!(needles.found_below(copy.path()), Vec::<String>::new());

    // The search would have found it.
    let token = it.issue(it.alice, "planted");
    needles.add_token("the planted token", token.secret.expose());
    let planted = [b"...", token.secret.expose(), b"..."].concat();
    std::fs::write(copy.path().join("planted"), planted).unwrap();
    assert!(!needles.found_below(copy.path()).is_empty());
}
