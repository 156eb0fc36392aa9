//! Patrol before git over HTTP, end to end: nginx with the shipped configuration, fcgiwrap, git on both sides.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use patrol_tests::gateway::client::{curl, decided};
use patrol_tests::gateway::nginx::{Nginx, Site};
use patrol_tests::gateway::patrol::Patrol;
use patrol_tests::gateway::upstream::Upstream;
use patrol_tests::gateway::{Running, find, have, wait_for};

/// Runs git with nobody's settings; passwords come from the variable PAT.
fn git(home: &Path, secret: &str, arguments: &[&str]) -> Output {
    let askpass = home.join("askpass");
    script(&askpass, "printf '%s\\n' \"$PAT\"");
    let mut command = Command::new("git");
    command.current_dir(home).args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("GIT_") || name.to_ascii_lowercase().ends_with("_proxy") {
            command.env_remove(&*name);
        }
    }
    command.env("HOME", home).env("XDG_CONFIG_HOME", home);
    command
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0");
    command.env("GIT_ASKPASS", &askpass).env("PAT", secret);
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "Ann");
        command.env(format!("GIT_{role}_EMAIL"), "ann@example.com");
    }
    command.output().unwrap()
}

/// Runs git, which must succeed.
fn git_well(home: &Path, secret: &str, arguments: &[&str]) {
    let output = git(home, secret, arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn script(path: &Path, body: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

/// A directory below the test's own.
fn directory(patrol: &Patrol, name: &str) -> PathBuf {
    let path = patrol.beside(name);
    std::fs::create_dir_all(&path).unwrap();
    path
}

#[test]
fn git_clones_and_pushes_with_a_token_as_its_password_until_it_is_revoked() {
    if !have(&["nginx", "curl", "git", "git-http-backend", "fcgiwrap"]) {
        return;
    }
    let patrol = Patrol::new("[http]\nchallenge = \"basic\"\n");
    patrol.user("ann", &[]);
    let token = patrol.token("ann", "git", "30d");
    let _server = patrol.serve();

    let [home, repositories] = ["home", "git"].map(|name| directory(&patrol, name));
    let origin = repositories.join("project.git");
    git_well(
        &home,
        "",
        &["init", "--quiet", "--bare", &origin.to_string_lossy()],
    );
    // What the program is told of the request is noted on the way.
    let (backend, noted) = (patrol.beside("backend"), patrol.beside("noted"));
    let program = find("git-http-backend").unwrap();
    script(
        &backend,
        &format!("env >> '{}'\nexec '{}'", noted.display(), program.display()),
    );
    let socket = patrol.beside("fcgiwrap.socket");
    let mut command = Command::new(find("fcgiwrap").unwrap());
    // What it has in its environment, the program is given too.
    command.env_clear().env("PATH", "/usr/bin:/bin");
    command.arg("-s").arg(format!("unix:{}", socket.display()));
    let _fcgiwrap = Running::start(command, &patrol.beside("fcgiwrap.log"));
    wait_for("fcgiwrap to listen", || socket.exists().then_some(()));
    let paths = [&socket, &backend, &repositories].map(|path| path.to_string_lossy());
    let git_paths = paths.each_ref().map(|path| &**path);
    let nginx = Nginx::start(
        &patrol,
        &Upstream::start(),
        Site {
            git: Some(git_paths),
            ..Site::default()
        },
    );
    let base = format!("http://ann@127.0.0.1:{}", nginx.git_port);
    let url = format!("{base}/project.git");

    git_well(&home, &token.secret, &["clone", "--quiet", &url, "work"]);
    let work = home.join("work");
    // Larger than what git sends in one piece, and not compressible.
    let seed = b"patrol".iter().fold(7_u64, |seed, byte| {
        seed.wrapping_mul(31).wrapping_add(u64::from(*byte))
    });
    let noise = std::iter::successors(Some(seed), |x| {
        let x = x ^ (x << 13);
        let x = x ^ (x >> 7);
        Some(x ^ (x << 17))
    });
    let large: Vec<u8> = noise.take(400_000).flat_map(u64::to_le_bytes).collect();
    std::fs::write(work.join("large"), large).unwrap();
    git_well(&home, "", &["-C", "work", "add", "large"]);
    git_well(
        &home,
        "",
        &["-C", "work", "commit", "--quiet", "--message", "Large"],
    );
    git_well(
        &home,
        &token.secret,
        &["-C", "work", "push", "--quiet", "origin", "HEAD:main"],
    );
    git_well(
        &home,
        &token.secret,
        &["clone", "--quiet", "--branch", "main", &url, "again"],
    );
    assert_eq!(
        std::fs::read(home.join("again/large")).unwrap(),
        std::fs::read(work.join("large")).unwrap()
    );

    let told = std::fs::read_to_string(&noted).unwrap();
    assert!(told.contains("REMOTE_USER=ann\n"), "{told}");
    assert!(
        told.contains(&format!("HTTP_X_PATROL_TOKEN_ID={}\n", token.id)),
        "{told}"
    );
    assert!(!told.contains("HTTP_AUTHORIZATION"), "{told}");
    let before = told.len();

    patrol.json(&["token", "revoke", &token.id]);
    for arguments in [
        &["clone", &*url, "never"][..],
        &["-C", "work", "push", "origin", "HEAD:later"],
    ] {
        let output = git(&home, &token.secret, arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && errors.contains("Authentication failed"),
            "{errors}"
        );
    }
    assert_eq!(
        std::fs::read(&noted).unwrap().len(),
        before,
        "git-http-backend was reached"
    );
}

#[test]
fn paths_that_can_be_read_in_two_ways_are_refused_where_they_name_a_file() {
    if !have(&["nginx", "curl"]) {
        return;
    }
    let patrol = Patrol::new("");
    let _server = patrol.serve();
    let nowhere = patrol.beside("nowhere");
    let nowhere = nowhere.to_string_lossy();
    let site = Site {
        git: Some([&*nowhere; 3]),
        ..Site::default()
    };
    let nginx = Nginx::start(&patrol, &Upstream::start(), site);
    let status = |path: &str| {
        let url = format!("http://127.0.0.1:{}{path}", nginx.git_port);
        decided(&["--path-as-is", &url]).status
    };
    for path in [
        "/a/../b",
        "/a/..",
        "/a/./b",
        "/a//b",
        "/a%2fb",
        "/a%2Fb",
        "/a%2e%2E/b",
        "/a%5cb",
        "/a\\b",
        "/a;b",
        "/a%00b",
        "/a%0ab",
        "/a%7f",
    ] {
        assert_eq!(status(path), 400, "{path}");
    }
    for path in [
        "/a/b",
        "/a.git/info/refs?service=git-upload-pack",
        "/..a/b..",
        "/a%20b",
        "/a?b=//../%2f;",
    ] {
        assert_eq!(status(path), 401, "{path}");
    }
    let unmatched = curl(&[&*format!("http://127.0.0.1:{}/a%%20b", nginx.git_port)]);
    assert_eq!(unmatched.status, 400, "no path at all");
}
