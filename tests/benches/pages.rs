//! What the pages take at the listener, with 1,000,000 tokens in the store and 104 of whoever looks at them.
//!
//! ```sh
//! cargo bench -p patrol-tests --bench pages
//! ```
//!
//! Each page is asked for by one browser after another answer, on a connection of its own: what is measured is from the
//! request to the last byte of the answer. The last columns are what goes over the network, plain and with gzip.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench stops at the first surprise"
)]

use std::time::{Duration, Instant};

use patrol::config::Config;
use patrol::service::{Caller, UserRef};
use patrol_policy::Secret;
use patrol_policy::types::DAY;
use patrol_tests::deployment::{Deployment, START};
use patrol_tests::listener::Listener;
use patrol_tests::web::Browser;

const PASSWORD: &str = "correct horse battery";
/// How often each page is asked for.
const ROUNDS: usize = 50;

fn main() {
    let mut config = Config::default();
    // As gateways may set it: what is measured is no attempt at signing in.
    config.limits.passwords_per_address = 0;
    let deployment = Deployment::with(config);
    fill(&deployment);
    let password = Secret::new(PASSWORD.as_bytes().to_vec());
    let operator = Caller::operator(None);
    for user in [deployment.alice, deployment.bob] {
        deployment
            .patrol
            .set_password(&operator, &UserRef::Id(user), &password)
            .unwrap();
    }
    for number in 0..104 {
        let _ = deployment.issue(deployment.alice, &format!("token number {number}"));
    }
    let listener = Listener::start(&deployment.patrol);
    let mut browser = Browser::new(listener.address);
    let page = browser.sign_in("alice", PASSWORD);
    assert_eq!(page.path, "/ui/tokens", "{page:?}");

    println!("| page | median | 95 of 100 | bytes | gzip |");
    println!("| --- | --- | --- | --- | --- |");
    for (name, path) in [
        ("My tokens, 104 of them", "/ui/tokens"),
        ("Create token", "/ui/tokens/new"),
        ("History", "/ui/history"),
        ("Overview, with charts", "/ui/admin"),
        ("All tokens, the newest", "/ui/admin/tokens"),
        ("All tokens, by end", "/ui/admin/tokens?sort=ends"),
        ("All tokens, by name", "/ui/admin/tokens?sort=name"),
        ("All tokens, by last use", "/ui/admin/tokens?sort=used"),
        ("All tokens, name contains 77", "/ui/admin/tokens?name=77"),
        (
            "All tokens, no name contains this",
            "/ui/admin/tokens?name=absent",
        ),
        ("All tokens, never used", "/ui/admin/tokens?used=never"),
        ("Users, of 10,000", "/ui/admin/users"),
        ("Audit trail", "/ui/admin/audit"),
        ("Policy", "/ui/admin/policy"),
        ("Settings", "/ui/admin/settings"),
    ] {
        measure(&mut browser, name, path);
    }
}

fn measure(browser: &mut Browser, name: &str, path: &str) {
    // What is made apart and kept, such as the charts, is there from the second time on.
    browser.get_only(path);
    let mut times = Vec::with_capacity(ROUNDS);
    let mut bytes = 0;
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let page = browser.get_only(path);
        times.push(begun.elapsed());
        assert_eq!(page.answer.status, 200, "{page:?}");
        bytes = page.answer.length;
    }
    times.sort_unstable();
    browser
        .headers
        .push(("Accept-Encoding".to_owned(), "gzip".to_owned()));
    let zipped = browser.get_only(path).answer;
    browser.headers.pop();
    let zipped = match zipped.header("content-encoding") {
        Some(_) => zipped.length.to_string(),
        None => "—".to_owned(),
    };
    let (median, most) = (times[ROUNDS / 2], times[ROUNDS * 95 / 100]);
    println!("| {name} | {} | {} | {bytes} | {zipped} |", ms(median), ms(most));
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}

/// 10,000 users with 100 tokens each: two of three were used, in the last ten days.
fn fill(deployment: &Deployment) {
    let connection = rusqlite::Connection::open(deployment.path().join("patrol.db")).unwrap();
    connection
        .execute_batch(&format!(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
             INSERT INTO user (id, tenant, name, roles, created)
             SELECT unhex(printf('%012x7000a%015x', {START}, i)), 1, 'user-' || i, '[]', {START} FROM n;
             INSERT OR IGNORE INTO audience (name) VALUES ('api');
             WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999999)
             INSERT INTO token (id, owner, audience, name, scheme, digest, generation, created, expires, last_used,
                 owner_epoch, tenant_epoch, tenant)
             SELECT unhex(printf('%012x7%03x8%015x', {START} - 1000000 + i, i % 4096, i)),
                 (SELECT max(key) FROM user) - i % 10000, (SELECT id FROM audience WHERE name = 'api'),
                 'token-' || (i * 7919 % 1000003), 1, zeroblob(32), 0, {START} - 1000000 + i,
                 {START} + {DAY} * (1 + i % 90),
                 iif(i % 3, {START} - {DAY} * 10 + i * 700 % ({DAY} * 10), NULL), 0, 0, 1
             FROM n;"
        ))
        .unwrap();
}
