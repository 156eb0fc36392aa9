//! nginx with the configuration that is shipped: of it, only ports and paths are replaced.

use std::path::Path;
use std::process::Command;

use super::files::{copy, replace, shipped};
use super::patrol::Patrol;
use super::probe::{Fate, Gateway, KEY_HEADER, Setup, Ways};
use super::upstream::Upstream;
use super::{Running, find, is_root, listen};

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
    /// Leaves out Patrol's check, to measure what it costs.
    pub unguarded: bool,
    /// Where the service listens, if another one than the stand-in is meant.
    pub service: Option<u16>,
}

impl Nginx {
    /// Starts nginx before this Patrol and this service.
    pub fn start(patrol: &Patrol, upstream: &Upstream, site: Site<'_>) -> Self {
        let home = patrol.beside("nginx");
        let ([port, git_port], process) = listen("nginx", &patrol.beside("nginx.log"), |[port, git_port]| {
            copy(&shipped("nginx"), &home);
            configure(&home, patrol, upstream, site, [port, git_port]);
            let mut command = Command::new(find("nginx").expect("nginx was asked for"));
            command.args(["-e", "stderr", "-p"]).arg(&home);
            command.arg("-c").arg(home.join("nginx.conf"));
            if is_root() {
                // Its workers would become another user, which may not read this test's directory.
                command.args(["-g", "user root;"]);
            }
            command
        });
        Self {
            port,
            git_port,
            process,
        }
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

fn configure(home: &Path, patrol: &Patrol, upstream: &Upstream, site: Site<'_>, ports: [u16; 2]) {
    let service = site.service.unwrap_or(upstream.port());
    let [port, git_port, patrol, upstream] =
        [ports[0], ports[1], patrol.port(), service].map(|port| format!("127.0.0.1:{port}"));
    replace(&home.join("patrol/http.conf"), &[("127.0.0.1:8787", &patrol)]);
    // As an operator does who has such a header among `credential_headers`.
    replace(
        &home.join("patrol/proxy.conf"),
        &[(
            &format!("# proxy_set_header {KEY_HEADER}"),
            &format!("proxy_set_header {KEY_HEADER}"),
        )],
    );
    let conf = home.join("nginx.conf");
    let location = format!("{}\n        location / {{", site.extra);
    replace(
        &conf,
        &[
            ("127.0.0.1:8080", &port),
            ("127.0.0.1:9000", &upstream),
            ("include demo.conf;", ""),
            ("        location / {", &location),
        ],
    );
    if site.unguarded {
        let check = ("auth_request /_patrol/check;", "auth_request off;");
        replace(&home.join("patrol/auth.conf"), &[check]);
    }
    if let Some([socket, program, repositories]) = site.git {
        replace(&conf, &[("# include git.conf;", "include git.conf;")]);
        replace(
            &home.join("git.conf"),
            &[
                ("127.0.0.1:8081", &git_port),
                ("/run/fcgiwrap.socket", socket),
                ("/usr/lib/git-core/git-http-backend", program),
                (
                    "GIT_PROJECT_ROOT /srv/git",
                    &format!("GIT_PROJECT_ROOT {repositories}"),
                ),
            ],
        );
    }
}

impl Gateway for Nginx {
    const NAME: &'static str = "nginx";
    const PROGRAMS: &'static [&'static str] = &["nginx"];
    const WAYS: Ways = Ways {
        underscores: Fate::Dropped,
        connection: Fate::Dropped,
        ..Ways::USUAL
    };

    fn launch(setup: &Setup<'_>) -> Self {
        let site = Site {
            unguarded: !setup.guarded,
            ..Site::default()
        };
        Self::start(setup.patrol, setup.upstream, site)
    }

    fn port(&self) -> u16 {
        self.port
    }

    fn log(&self) -> String {
        self.process.log()
    }
}
