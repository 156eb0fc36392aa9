//! The README's walk from a policy that somebody wrote to one that decides, word for word.

use std::fs;
use std::path::Path;

use patrol_tests::gateway::{free_port, have, readme};

/// A line without what differs from one run to the next: times, identifiers, and the width of columns. Status codes, and the
/// numbers of calls that the steps make, stay.
fn tidy(line: &str) -> String {
    let words = line.split_whitespace().map(|word| match word {
        "50" | "100" | "200" | "401" => word,
        "second" | "seconds" | "minute" | "minutes" => "seconds",
        word if word.contains(|c: char| c.is_ascii_digit()) => "#",
        word => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_rules_of_a_running_server_are_replaced_as_the_readme_says() {
    if !have(&["curl"]) {
        return;
    }
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let (_, section) = text
        .split_once("## Replace the rules of a running server\n")
        .unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();

    let directory = tempfile::tempdir().unwrap();
    let clone = directory.path().join("patrol");
    fs::create_dir(&clone).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let serve = format!(
        "patrol serve --listen {address} >>serve.log 2>&1 & SERVER=$!\n\
         until curl -sf -o /dev/null http://{address}/readyz; do sleep 0.1; done"
    );
    let changes = [
        // What the reader has from the section before.
        (
            "key=$(patrol policy keygen",
            &*format!(
                "{serve}\npatrol tenant create acme\npatrol user create --tenant acme --name ada --role admin\n\
                 key=$(patrol policy keygen"
            ),
        ),
        // A busy machine is not a slow policy.
        ("[policy]\n", "[policy]\ndeadline = \"5s\"\n"),
        (
            "# send the server SIGHUP, or start it again",
            &*format!("kill $SERVER; wait $SERVER || true\n{serve}"),
        ),
        ("127.0.0.1:8787", &*address),
        // Everybody's release has an id of its own.
        (
            "bbd349f74474",
            "$(patrol --json policy list | sed -n 's/.*\"id\":\"\\([0-9a-f]\\{12\\}\\).*/\\1/p')",
        ),
    ];
    readme::follow_text(section, &clone, &changes, tidy);
}
