//! curl, in each way that it carries a password or a token.

use std::process::Command;

use patrol_tests::gateway::have;
use patrol_tests::gateway::upstream::{Arrived, Upstream};

use crate::behind::{Behind, run_well};

/// curl with these settings, in a file that only its user may read.
fn curl(behind: &Behind, settings: &str) -> Command {
    let settings = format!("{settings}\nurl = \"{}\"\n", behind.url("/thing"));
    let file = behind.private("curlrc", &settings);
    let mut command = behind.client("curl");
    command.args([
        "--silent",
        "--show-error",
        "--fail",
        "--max-time",
        "60",
        "--config",
    ]);
    command.arg(file);
    command
}

#[test]
fn curl_is_let_in_with_a_token_in_each_of_its_ways_until_that_is_revoked() {
    if !have(&["nginx", "curl"]) {
        return;
    }
    let upstream = Upstream::start();
    // Of the two ways to be asked, `--anyauth` follows this one.
    let behind = Behind::before("basic", upstream.port());
    let token = behind.token();
    let secret = &token.secret;
    behind.private(
        "netrc",
        &format!("machine 127.0.0.1 login ann password {secret}\n"),
    );
    let netrc = behind.beside("netrc");
    let ways = [
        (format!("oauth2-bearer = \"{secret}\""), "Bearer", false),
        (format!("user = \"ann:{secret}\""), "Basic", false),
        (format!("user = \":{secret}\""), "Basic", false),
        (format!("user = \"ann:{secret}\"\nanyauth"), "Basic", true),
        (format!("netrc-file = \"{}\"", netrc.display()), "Basic", false),
        (
            format!("header = \"Authorization: token {secret}\""),
            "token",
            false,
        ),
    ];
    for (settings, scheme, anonymously_first) in &ways {
        let before = behind.questions().len();
        let answer = run_well(curl(&behind, settings));
        let arrived: Arrived = serde_json::from_str(&answer).unwrap();
        assert_eq!(arrived.header("X-Patrol-User-Name"), "ann");
        assert_eq!(arrived.header("X-Patrol-Token-Id"), token.id);
        let schemes: Vec<_> = behind
            .questions()
            .into_iter()
            .skip(before)
            .map(|question| question.scheme)
            .collect();
        let expected = Some((*scheme).to_owned());
        let expected = if *anonymously_first {
            vec![None, expected]
        } else {
            vec![expected]
        };
        // Which connection a question took is nginx's choice, so of two the order is not seen.
        let count = |all: &[Option<String>]| (all.len(), all.iter().flatten().count());
        assert_eq!(count(&schemes), count(&expected), "{scheme}: {schemes:?}");
    }
    behind.assert_ended_at_the_gateway(&token);
    behind.revoke(&token);
    for (settings, ..) in &ways {
        let said = behind.assert_refused(curl(&behind, settings));
        assert!(said.contains("401"), "{said}");
    }
}
