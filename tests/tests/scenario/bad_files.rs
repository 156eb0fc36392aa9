//! Scenarios that cannot be run: exit code 2, and a message with the line and what was probably meant.

use patrol::scenario::{Scenario, ScenarioMistake};

use crate::support::{Directory, story};

/// The line of the `do` of the step that comes after the beginning.
const DO: usize = 16;

fn mistakes(text: &str) -> Vec<ScenarioMistake> {
    Scenario::parse("a.toml", text).unwrap_err().mistakes
}

/// The only mistake, which is in this line and says these things.
#[track_caller]
fn says(text: &str, line: usize, words: &[&str]) {
    let mistakes = mistakes(text);
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    assert_eq!(mistakes[0].line, line, "{mistakes:?}");
    for word in words {
        assert!(mistakes[0].message.contains(word), "{word}: {mistakes:?}");
    }
}

fn step(rest: &str) -> String {
    story(&format!("\n[[step]]\n{rest}\n"))
}

#[test]
fn a_key_that_is_not_there_is_named_with_the_one_that_was_meant() {
    says(
        &step("do = \"verify\"\ntokn = \"backup\"\ntoken = \"backup\""),
        DO + 1,
        &["`tokn`", "`token`?"],
    );
    says(
        &step("do = \"verfy\"\ntoken = \"backup\""),
        DO,
        &["`verfy`", "`verify`?"],
    );
    says(
        &step("do = \"verify\"\ntoken = \"backup\"\nexpect = \"exipred\""),
        DO + 2,
        &["`expired`?"],
    );
    says(
        &format!("abuot = \"x\"\n{}", story("")),
        1,
        &["`abuot`", "`about`?"],
    );
    says(
        &format!("[parameters]\nidle_afer = \"7d\"\n{}", story("")),
        2,
        &["`idle_afer`", "`idle_after`?"],
    );
    says(
        &step("do = \"verify\"\ntoken = \"backup\"\nwhy = \"idel\""),
        DO + 2,
        &["`idle`?"],
    );
    says(
        &step("do = \"verify\"\ntoken = \"backup\"\nsecret = \"wong\""),
        DO + 2,
        &["`wrong`?"],
    );
}

#[test]
fn a_key_of_another_action_is_one_that_is_not_there() {
    says(
        &step("do = \"verify\"\ntoken = \"backup\"\noverlap = \"1h\""),
        DO + 2,
        &["`verify` has no key `overlap`"],
    );
    says(&step("do = \"verify\""), DO, &["`verify` needs `token`"]);
    says(&step("token = \"backup\""), DO - 1, &["`do`"]);
}

#[test]
fn a_name_that_no_step_made_is_named_with_the_one_that_was_meant() {
    says(
        &step("do = \"verify\"\ntoken = \"bakcup\""),
        DO + 1,
        &["\"bakcup\"", "\"backup\"?"],
    );
    says(
        &step("do = \"list\"\nuser = \"eve\""),
        DO + 1,
        &["no step before this one makes a user \"eve\""],
    );
    says(
        &step("do = \"check-session\"\nsession = \"s\""),
        DO + 1,
        &["session \"s\""],
    );
    says(
        &step("do = \"revoke\"\ntoken = \"backup\"\nas = \"user:adda\""),
        DO + 2,
        &["\"ada\"?"],
    );
    says(
        &step("do = \"revoke\"\ntoken = \"backup\"\nas = \"ada\""),
        DO + 2,
        &["user:NAME"],
    );
    // What is refused makes nothing.
    let refused = "do = \"issue\"\nuser = \"ada\"\ntoken = \"other\"\nname = \"\"\nexpect = \"name-invalid\"\n\n[[step]]\ndo = \
                   \"verify\"\ntoken = \"other\"";
    says(
        &step(refused),
        DO + 8,
        &["no step before this one makes a token \"other\""],
    );
    says(
        &step("do = \"issue\"\nuser = \"ada\"\ntoken = \"backup\""),
        DO + 2,
        &["already"],
    );
}

#[test]
fn a_mistake_is_told_once_and_not_again_for_what_its_step_would_have_made() {
    let after = "token = \"x\"\n\n[[step]]\ndo = \"verify\"\ntoken = \"x\"";
    says(
        &step(&format!(
            "do = \"issue\"\nuser = \"ada\"\nexpires = \"soon\"\n{after}"
        )),
        DO + 2,
        &["soon"],
    );
    says(
        &step(&format!(
            "do = \"issue\"\nuser = \"ada\"\nexpire = \"1d\"\n{after}"
        )),
        DO + 2,
        &["`expires`?"],
    );
}

#[test]
fn time_does_not_go_back() {
    let text = step("at = \"+2d\"\ndo = \"sweep\"\n\n[[step]]\nat = \"+1d\"\ndo = \"sweep\"");
    says(&text, DO + 4, &["time does not go back", "+2d", "+1d"]);
    says(&step("at = \"tomorrow\"\ndo = \"sweep\""), DO, &["+15d"]);
    says(
        &step("at = \"+1d\"\nafter = \"1d\"\ndo = \"sweep\""),
        DO + 1,
        &["either `at` or `after`"],
    );
}

#[test]
fn what_cannot_be_meant_is_a_mistake() {
    says("about = \"nothing\"\n", 1, &["no steps"]);
    says(&step("do = \"sweep\"\nrepeat = 0"), DO + 1, &["from 1 to"]);
    says(
        &step("do = \"sweep\"\nended = \"two\""),
        DO + 1,
        &["invalid type"],
    );
    says(
        &step("do = \"verify\"\ntoken = \"backup\"\nexpect = \"idle\"\nwho = \"ada\""),
        DO + 3,
        &["with a yes only"],
    );
    says(
        &step("do = \"set-method\"\nmethod = \"saml\""),
        DO + 1,
        &["either `user` or `tenant`"],
    );
    says("step = [\n", 1, &[]);
}

#[test]
fn all_mistakes_are_told_at_once_and_the_exit_code_is_2() {
    let directory = Directory::new();
    directory.write(
        "a.toml",
        step("do = \"verfy\"\n\n[[step]]\ndo = \"verify\"\ntoken = \"bakcup\""),
    );
    directory.write("b.toml", "[[step]]\ndo = \"sweeep\"\n");
    let run = directory.run(&["scenario", "run", "a.toml", "b.toml"]);
    assert_eq!(run.code, Some(2), "{run:?}");
    for word in ["a.toml:16: ", "a.toml:20: ", "b.toml:2: "] {
        assert!(run.err.contains(word), "{word}: {run:?}");
    }
    assert_eq!((run.out.as_str(), run.err.lines().count()), ("", 1), "{run:?}");
    for missing in ["missing.toml", "tmp"] {
        let run = directory.run(&["scenario", "run", missing]);
        assert_eq!(run.code, Some(2), "{run:?}");
        assert!(run.err.contains(missing), "{run:?}");
    }
}
