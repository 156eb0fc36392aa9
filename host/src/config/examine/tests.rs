//! What is said of files with mistakes.

#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "tests")]
use super::*;
use proptest::prelude::*;

fn mistakes(text: &str) -> Vec<String> {
    examine(text).mistakes.iter().map(ToString::to_string).collect()
}

#[test]
fn several_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let text = r#"
[server]
lisen = "127.0.0.1:1"
grpc = "somewhere"

[policy]
idle_after = "soon"
tokens_per_owner = 0

[[route]]
path = "/a/**"
methods = ["get"]

[[route]]
path = "/b"
anonymos = true

[colours]
red = 1
"#;
    let told = mistakes(text);
    let expected = [
        ("line 3, column 1: server.lisen: ", "did you mean `listen`"),
        ("line 4, column 8: server.grpc: ", "socket address"),
        (
            "line 7, column 14: policy.idle_after: ",
            "\"soon\" is not a duration",
        ),
        ("line 8, column 20: policy.tokens_per_owner: ", "from 1 to 10000"),
        ("line 12, column 12: route[1].methods[1]: ", "`GET`"),
        (
            "line 16, column 1: route[2].anonymos: ",
            "did you mean `anonymous`",
        ),
        ("line 18, column 2: colours: ", "there are `server`, `policy`"),
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, (begin, holds)) in told.iter().zip(expected) {
        assert!(told.starts_with(begin) && told.contains(holds), "{told}");
    }
}

#[test]
fn a_file_that_is_no_toml_is_told_as_far_as_it_goes() {
    let told = mistakes("[server]\nlisten = \n\n[policy]\nidle_after = \"7d\nx = 1\n");
    assert!(told.len() >= 2, "{told:#?}");
    assert!(
        told.first().is_some_and(|told| told.starts_with("line 2")),
        "{told:#?}"
    );
    let told = mistakes("[http]\nrealm = \"a\"\nrealm = \"b\"\n");
    assert!(
        told.iter()
            .any(|told| told.starts_with("line 3") && told.contains("duplicate")),
        "{told:#?}"
    );
}

#[test]
fn a_value_of_the_wrong_kind_is_told_where_it_is() {
    let told = mistakes("route = 3\n[http]\nchallenge = \"digest\"\ncredential_headers = [\"X-Key\", 7]\n");
    let expected = [
        "line 1, column 9: route: ",
        "line 3, column 13: http.challenge: ",
        "line 4, column 32: http.credential_headers: ",
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, begin) in told.iter().zip(expected) {
        assert!(told.starts_with(begin), "{told}");
    }
    let told = mistakes("server = \"here\"\nroute = [{ path = \"/a\" }, 4]\n");
    assert!(
        told.iter()
            .any(|told| told.starts_with("line 1, column 10: server: ")),
        "{told:#?}"
    );
    assert!(
        told.iter()
            .any(|told| told.starts_with("line 2, column 27: route[2]: ")),
        "{told:#?}"
    );
}

#[test]
fn what_is_missing_is_told_where_it_should_be() {
    let told = mistakes("[http]\n\n[[route]]\nmethods = [\"GET\"]\n");
    assert!(
        told.iter()
            .any(|told| told.starts_with("line 3, column 1: route[1].path: ")),
        "{told:#?}"
    );
}

#[test]
fn one_mistake_is_told_once() {
    let text =
        "[[route]]\npath = 3\n\n[[route]]\npath = \"/**\"\nmethods = \"GET\"\n\n[[route]]\npath = \"/a\"\n";
    let told = mistakes(text);
    assert!(
        matches!(told.as_slice(), [path, methods] if path.contains("route[1].path") && methods.contains("route[2].methods")),
        "{told:#?}"
    );
}

#[test]
fn routes_are_found_again_by_their_lines() {
    let examined = examine("# one\n[[route]]\npath = \"/a\"\n\n[[route]]\npath = \"/b\"\n");
    assert_eq!((examined.mistakes, examined.route_lines), (vec![], vec![2, 5]));
}

const WHOLE: &str = r#"[server]
listen = "127.0.0.1:8787"
[policy]
idle_after = "15d"
[http]
audience = "api"
credential_headers = ["X-Api-Key"]
[[route]]
path = "/git/**"
methods = ["GET", "POST"]
any_role = ["admin"]
credentials = ["basic", "PRIVATE-TOKEN"]
challenge = "basic"
[[route]]
path = "/p\u00fcb/*"
anonymous = true
[limits]
failures_per_address = 3
[identity]
signed = true
lifetime = "30s"
"#;

proptest! {
    /// Whatever is done to a file: it is judged, mistakes lie in it, and what has none can be put in force.
    #[test]
    fn any_file_is_judged_and_mistakes_lie_in_it(
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), 0_usize..12, "[ -~\\n]{0,4}"), 0..4),
    ) {
        let mut text: Vec<char> = WHOLE.chars().collect();
        for (at, length, instead) in cuts {
            let at = at.index(text.len().max(1));
            let end = text.len().min(at + length);
            text.splice(at.min(end)..end, instead.chars());
        }
        let text: String = text.into_iter().collect();
        let Examined { config, mistakes, route_lines } = examine(&text);
        let lines: Vec<_> = text.split('\n').collect();
        for mistake in &mistakes {
            let (line, column) = (mistake.line.unwrap(), mistake.column.unwrap());
            let line = lines.get(line - 1).map(|line| line.chars().count());
            prop_assert!(line.is_some_and(|length| column <= length + 1), "{}: {}", mistake, text);
            prop_assert!(!mistake.message.is_empty());
        }
        if mistakes.is_empty() {
            prop_assert_eq!(toml::from_str::<Config>(&text).unwrap().routes, config.routes.clone());
            prop_assert!(config.check().is_ok() && config.server.check().is_ok());
            prop_assert_eq!(route_lines.len(), config.routes.len());
        } else {
            let refused = toml::from_str::<Config>(&text)
                .map_or(true, |config| config.check().is_err() || config.server.check().is_err());
            prop_assert!(refused, "{:?} {}", mistakes, text);
        }
    }
}
