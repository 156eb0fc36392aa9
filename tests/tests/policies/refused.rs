//! What `patrol policy new` does not do, and that it leaves no trace where it does not.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::support::Directory;

#[test]
fn a_directory_with_something_in_it_stays_as_it_is() {
    let directory = Directory::new();
    fs::create_dir(directory.path("mine")).unwrap();
    fs::write(directory.path("mine/notes"), "to be kept").unwrap();
    let before = directory.contents();
    let run = directory.new_project(&["mine"]);
    assert_eq!(run.code, Some(5), "{run:?}");
    assert!(run.err.contains("mine is not empty"), "{run:?}");
    assert_eq!(directory.contents(), before);
    assert_eq!(
        fs::read_to_string(directory.path("mine/notes")).unwrap(),
        "to be kept"
    );
}

#[test]
fn a_second_project_is_not_written_over_the_first() {
    let directory = Directory::new();
    directory.new_project(&["mine"]).done();
    fs::write(directory.path("mine/src/lib.rs"), "// days of work").unwrap();
    let run = directory.new_project(&["mine"]);
    assert_eq!(run.code, Some(5), "{run:?}");
    assert_eq!(
        fs::read_to_string(directory.path("mine/src/lib.rs")).unwrap(),
        "// days of work"
    );
}

#[test]
fn a_file_is_no_directory() {
    let directory = Directory::new();
    fs::write(directory.path("mine"), "a file").unwrap();
    for wanted in ["mine", "mine/inside"] {
        let run = directory.new_project(&[wanted, "--name", "mine"]);
        assert_eq!(run.code, Some(5), "{run:?}");
        assert!(run.err.contains("no directory"), "{run:?}");
    }
    symlink("nowhere", directory.path("dangling")).unwrap();
    assert_eq!(directory.new_project(&["dangling"]).code, Some(5));
    assert_eq!(directory.contents(), ["dangling", "mine"]);
}

#[test]
fn a_directory_that_cannot_be_written_to_is_named() {
    let directory = Directory::new();
    // Not even root can make a directory there.
    let run = directory.new_project(&["/proc/mine"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.err.contains("cannot write /proc/mine"), "{run:?}");
}

#[test]
fn an_empty_directory_will_do_be_it_the_one_where_it_is_called() {
    let directory = Directory::new();
    fs::create_dir(directory.path("empty")).unwrap();
    fs::set_permissions(directory.path("empty"), fs::Permissions::from_mode(0o750)).unwrap();
    directory.new_project(&["empty"]).done();
    assert!(directory.path("empty/Cargo.toml").is_file());
    let mode = fs::metadata(directory.path("empty"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o750, "what was there is as it was");

    let directory = Directory::new();
    directory.new_project(&[".", "--name", "mine"]).done();
    assert!(directory.path("Cargo.toml").is_file());
}

#[test]
fn a_name_that_a_release_or_a_crate_cannot_have_is_refused_and_nothing_written() {
    let directory = Directory::new();
    let long = "a".repeat(100);
    for (name, why) in [
        ("", "small letters, digits and dashes"),
        ("Mine", "small letters, digits and dashes"),
        ("my policy", "small letters, digits and dashes"),
        ("my_policy", "small letters, digits and dashes"),
        ("9lives", "a letter first"),
        ("-mine", "a letter first"),
        ("../mine", "a letter first"),
        ("\u{1b}[2J", "a letter first"),
        (&long, "small letters, digits and dashes"),
        ("self", "means something else"),
        ("fn", "means something else"),
        ("core", "means something else"),
        ("patrol-policy", "built from a crate of that name"),
        ("sha2", "built from a crate of that name"),
        ("syn", "built from a crate of that name"),
    ] {
        let run = directory.new_project(&["somewhere", &format!("--name={name}")]);
        assert_eq!(run.code, Some(2), "{name}: {run:?}");
        assert!(run.err.contains(why), "{name}: {run:?}");
        assert!(
            run.err.contains("--name") && !run.err.contains('\u{1b}'),
            "{run:?}"
        );
        assert_eq!(directory.contents(), [""; 0], "{name}");
    }
}

#[test]
fn a_directory_that_is_named_as_no_policy_can_be_wants_a_name() {
    let directory = Directory::new();
    for wanted in ["My Policy", "a/../..", "/"] {
        let run = directory.new_project(&[wanted]);
        assert_eq!(run.code, Some(2), "{run:?}");
        assert!(run.err.contains("--name"), "{run:?}");
    }
    assert_eq!(directory.contents(), [""; 0]);
    directory.new_project(&["My Policy", "--name", "mine"]).done();
    let manifest = fs::read_to_string(directory.path("My Policy/Cargo.toml")).unwrap();
    assert!(manifest.contains("name = \"mine\""), "{manifest}");
}
