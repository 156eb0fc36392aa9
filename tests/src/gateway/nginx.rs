//! nginx with the configuration that is shipped: of it, only ports and paths are replaced.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::patrol::Patrol;
use super::upstream::Upstream;
use super::{Running, find, free_port, is_root, wait_for};

/// Where it listens: the server of `nginx.conf`, and that of `git.conf` if it was asked for.
pub struct Nginx {
    pub port: u16,
    pub git_port: u16,
    process: Running,
}

/// What differs from the configuration as shipped.
#[derive(Clone, Copy, Default)]
pub struct Site<'a> {
    /// Put before the protected location, as an operator would.
    pub extra: &'a str,
    /// Switches on `git.conf`, with its paths: the socket of fcgiwrap, the program, the repositories.
    pub git: Option<[&'a str; 3]>,
}

impl Nginx {
    /// Starts nginx before this Patrol and this service.
    pub fn start(patrol: &Patrol, upstream: &Upstream, site: Site<'_>) -> Self {
        // Somebody else may take a port between the moment it was free and the moment nginx binds it.
        for _ in 0..3 {
            if let Some(nginx) = Self::try_start(patrol, upstream, site) {
                return nginx;
            }
        }
        panic!("nginx finds no free port");
    }

    fn try_start(patrol: &Patrol, upstream: &Upstream, site: Site<'_>) -> Option<Self> {
        let (port, git_port) = (free_port(), free_port());
        let home = patrol.beside("nginx");
        copy_configuration(&home);

        let local = |port: u16| format!("127.0.0.1:{port}");
        replace(
            &home.join("patrol/http.conf"),
            &[("127.0.0.1:8787", &local(patrol.port()))],
        );
        let conf = home.join("nginx.conf");
        let location = format!("{}\n        location / {{", site.extra);
        replace(
            &conf,
            &[
                ("127.0.0.1:8080", &local(port)),
                ("127.0.0.1:9000", &local(upstream.port())),
                ("include demo.conf;", ""),
                ("        location / {", &location),
            ],
        );
        if let Some([socket, program, repositories]) = site.git {
            replace(&conf, &[("# include git.conf;", "include git.conf;")]);
            replace(
                &home.join("git.conf"),
                &[
                    ("127.0.0.1:8081", &local(git_port)),
                    ("/run/fcgiwrap.socket", socket),
                    ("/usr/lib/git-core/git-http-backend", program),
                    (
                        "GIT_PROJECT_ROOT /srv/git",
                        &format!("GIT_PROJECT_ROOT {repositories}"),
                    ),
                ],
            );
        }

        let mut command = Command::new(find("nginx").expect("nginx was asked for"));
        command
            .args(["-e", "stderr", "-p"])
            .arg(&home)
            .arg("-c")
            .arg(&conf);
        if is_root() {
            // Its workers would become another user, which may not read this test's directory.
            command.args(["-g", "user root;"]);
        }
        let mut process = Running::start(command, &patrol.beside("nginx.log"));
        let started = wait_for("nginx to listen", || match process.ended() {
            Some(_) => Some(false),
            None => TcpStream::connect(("127.0.0.1", port)).ok().map(|_| true),
        });
        if !started {
            let log = process.log();
            assert!(
                log.contains("Address already in use"),
                "nginx does not start: {log}"
            );
            return None;
        }
        Some(Self {
            port,
            git_port,
            process,
        })
    }

    /// An address at the protected service.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// What nginx wrote.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

/// What is shipped.
#[must_use]
pub fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/gateways/nginx")
}

/// Copies what is shipped.
pub fn copy_configuration(to: &Path) {
    copy(&shipped(), to);
    copy(&shipped().join("patrol"), &to.join("patrol"));
}

/// Copies the files of a directory.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory can be made");
    for entry in std::fs::read_dir(from).expect("the configuration is there") {
        let file = entry.expect("it can be listed").path();
        if file.is_file() {
            let name = file.file_name().expect("it has a name");
            std::fs::copy(&file, to.join(name)).expect("it can be copied");
        }
    }
}

/// Replaces texts that are there exactly once, so that no change of the configuration passes this by.
pub fn replace(file: &Path, changes: &[(&str, &str)]) {
    let mut text = std::fs::read_to_string(file).expect("it can be read");
    for (from, to) in changes {
        assert_eq!(text.matches(from).count(), 1, "{from} in {}", file.display());
        text = text.replace(from, to);
    }
    std::fs::write(file, text).expect("it can be written");
}
