//! Help, completions and manual pages.

use std::fs;

use crate::support::Home;

/// Every command, with the commands of its group.
const COMMANDS: &[(&str, &[&str])] = &[
    ("serve", &[]),
    (
        "tenant",
        &["create", "list", "show", "set-auth-method", "set-mfa"],
    ),
    ("site", &["create", "list", "rename", "delete"]),
    (
        "user",
        &[
            "create",
            "list",
            "show",
            "rename",
            "set-email",
            "set-roles",
            "set-password",
            "link",
            "set-auth-method",
            "enable",
            "disable",
            "delete",
        ],
    ),
    (
        "token",
        &["create", "list", "show", "revoke", "revoke-all", "rotate"],
    ),
    ("client", &["create", "list", "revoke", "rotate"]),
    ("verify", &[]),
    ("sweep", &[]),
    ("audit", &["list", "export", "verify"]),
    ("config", &["check"]),
    ("route", &["explain", "list"]),
    ("identity", &["show", "rotate"]),
    (
        "policy",
        &[
            "show", "keygen", "sign", "inspect", "verify", "stage", "list", "activate", "rollback", "diff",
        ],
    ),
    ("scenario", &["run"]),
    ("doctor", &[]),
    ("openapi", &[]),
    ("completions", &[]),
    ("man", &[]),
];

#[test]
fn every_command_has_help_and_needs_no_data_for_it() {
    let home = Home::empty();
    for (command, inner) in COMMANDS {
        let group = [vec![*command, "--help"], vec!["help", command]];
        let inner = inner.iter().map(|inner| vec![*command, inner, "--help"]);
        for args in group.into_iter().chain(inner) {
            let help = home.run(&args).done();
            assert!(help.contains("Usage: patrol"), "{args:?}: {help}");
        }
    }
    assert!(!home.data().exists());
}

#[test]
fn the_main_help_lists_commands_and_exit_codes() {
    let help = Home::empty().run(&["--help"]).done();
    for (command, _) in COMMANDS {
        assert!(help.contains(&format!("\n  {command} ")), "{command}: {help}");
    }
    for code in ["   3  refused", "  12  a check found problems"] {
        assert!(help.contains(code), "{code}: {help}");
    }
}

#[test]
fn a_group_without_a_command_shows_its_help_as_a_mistake() {
    let run = Home::empty().run(&["token"]);
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.err.contains("revoke-all"), "{run:?}");
}

#[test]
fn completions_are_made_for_each_shell() {
    let home = Home::empty();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = home.run(&["completions", shell]).done();
        assert!(
            script.contains("patrol") && script.contains("set-auth-method"),
            "{shell}"
        );
    }
}

#[test]
fn there_is_a_manual_page_for_each_command() {
    let home = Home::empty();
    let page = home.run(&["man"]).done();
    assert!(
        page.contains(".TH patrol 1") && page.contains("Exit codes"),
        "{page}"
    );

    home.run(&["man", "pages/man1"]).done();
    let page = |name: &str| fs::read_to_string(home.beside("pages/man1").join(name));
    for (command, inner) in COMMANDS {
        page(&format!("patrol-{command}.1")).unwrap_or_else(|error| panic!("{command}: {error}"));
        for inner in *inner {
            let page = page(&format!("patrol-{command}-{inner}.1"));
            assert!(
                page.is_ok_and(|page| page.contains("SYNOPSIS")),
                "{command} {inner}"
            );
        }
    }
}
