//! A scanner for weaknesses of web applications, Wapiti, goes over all pages as an administrator and tries what it knows.
//!
//! What the pages are made to withstand has tests of its own; this is somebody else's list. It finds what a query or a form
//! sends straight back; a form that does its work once, such as that of a token, it sends in vain.

use std::path::Path;
use std::process::{Command, Stdio};

use patrol_tests::gateway::have;
use patrol_tests::program::Program;
use patrol_tests::web::Browser;
use serde_json::Value;

const PASSWORD: &str = "correct horse battery";
const WAPITI: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/scanner/bin/wapiti");

/// What it looks for. Left out is what asks servers elsewhere.
const MODULES: &str = "cookieflags,crlf,csp,csrf,exec,file,http_headers,permanentxss,redirect,sql,xss";

/// Where it would sign itself out.
const LEFT_ALONE: [&str; 1] = ["/ui/sign-out"];

/// With `ann`, an administrator, and `bob`, who have a token each.
fn program() -> Program {
    let program = Program::new();
    program.json(&["tenant", "create", "acme"]);
    for (name, role) in [("ann", "admin"), ("bob", "reader")] {
        let user = [
            "user", "create", "--tenant", "acme", "--name", name, "--role", role,
        ];
        program.json(&user);
        let set = program.run_with(&["user", "set-password", name], PASSWORD);
        assert_eq!(set.code, Some(0), "{set:?}");
        program.token(name, "nightly", "5d");
    }
    program
}

/// The scanner, at this address with these cookies, with all that it writes in a directory.
fn scanner(base: &str, cookies: &str, directory: &Path) -> Command {
    let mut scanner = Command::new(WAPITI);
    scanner
        .args(["--url", base, "--scope", "folder", "--module", MODULES])
        .args(["--header", &format!("Cookie: {cookies}")])
        .args([
            "--start",
            &format!("{base}tokens"),
            "--start",
            &format!("{base}admin"),
        ])
        .args(["--max-links-per-page", "60", "--max-files-per-dir", "8"])
        // Bounded, in seconds: for the pages together, and for what each module tries.
        .args([
            "--max-scan-time",
            "60",
            "--max-attack-time",
            "15",
            "--timeout",
            "10",
        ])
        .args(["--verbose", "0", "--no-bugreport", "--flush-session"])
        .args(["--format", "json", "--output"])
        .arg(directory.join("report.json"))
        .arg("--store-session")
        .arg(directory)
        .arg("--store-config")
        .arg(directory)
        .env("HOME", directory)
        .stdin(Stdio::null());
    for path in LEFT_ALONE {
        scanner.args(["--exclude", &base.replace("/ui/", path)]);
    }
    scanner
}

#[test]
fn a_scanner_finds_nothing() {
    if !have(&[WAPITI]) {
        return;
    }
    let program = program();
    let server = program.serve();
    let mut browser = Browser::new(server.address);
    assert_eq!(browser.sign_in("ann", PASSWORD).path, "/ui/tokens");
    let cookies = browser.cookies.iter();
    let cookies: Vec<_> = cookies.map(|(name, value)| format!("{name}={value}")).collect();

    let directory = tempfile::tempdir().unwrap();
    let base = format!("http://{}/ui/", server.address);
    let scan = scanner(&base, &cookies.join("; "), directory.path())
        .output()
        .unwrap();
    assert!(scan.status.success(), "{}", String::from_utf8_lossy(&scan.stderr));
    let report = std::fs::read(directory.path().join("report.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    let mut found = Vec::new();
    for kind in ["vulnerabilities", "anomalies"] {
        for (name, places) in report[kind].as_object().unwrap() {
            found.extend(
                places
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|place| format!("{name}: {place:#}")),
            );
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));

    // It was signed in all the time, saw the pages, and its forms did something.
    let pages = report["infos"]["crawled_pages_nbr"].as_u64();
    assert!(pages.is_some_and(|pages| pages >= 40), "{pages:?}");
    assert_eq!(browser.get_only("/ui/admin").answer.status, 200);
    let audit = program.run(&["audit", "list", "--type", "create_user", "--limit", "1000"]);
    assert!(audit.out.matches("\"create_user\"").count() > 2, "{}", audit.out);
    assert!(!program.said().contains("ERROR"), "{}", program.said());
}
