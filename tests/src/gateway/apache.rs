//! Apache with the configuration that is shipped: of it, only ports and paths are replaced.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::files::{copy, replace, shipped};
use super::patrol::Patrol;
use super::probe::{Gateway, KEY_HEADER, Setup, Ways};
use super::upstream::Upstream;
use super::{Running, find, listen};

/// Apache, running, with Patrol as its FastCGI authorizer.
pub struct Apache {
    port: u16,
    process: Running,
}

impl Apache {
    /// Starts it before this Patrol and this service. `extra` is put after the protected location, as an
    /// operator would.
    pub fn start(patrol: &Patrol, upstream: &Upstream, extra: &str, guarded: bool) -> Self {
        let home = patrol.beside("apache");
        let ([port], process) = listen("apache2", &patrol.beside("apache.log"), |[port]| {
            copy(&shipped("apache"), &home);
            open_to_workers(&patrol.beside("."));
            let conf = home.join("apache2.conf");
            let [calls, agent, upstream] = [patrol.port(), patrol.door("fastcgi"), upstream.port()]
                .map(|port| format!("127.0.0.1:{port}"));
            let last = format!("{extra}\n    Include patrol/host.conf");
            replace(
                &conf,
                &[
                    ("Listen 127.0.0.1:8080", &format!("Listen 127.0.0.1:{port}")),
                    ("<VirtualHost *:8080>", &format!("<VirtualHost *:{port}>")),
                    ("127.0.0.1:9000", &upstream),
                    (
                        "Define PATROL_RUN /tmp/patrol-apache",
                        &format!("Define PATROL_RUN \"{}\"", home.display()),
                    ),
                    // To where failing tests show it.
                    ("ErrorLog ${PATROL_RUN}/error.log", "ErrorLog /dev/stderr"),
                    ("    Include patrol/host.conf", &last),
                    ("Include demo.conf", ""),
                ],
            );
            replace(
                &home.join("patrol/patrol.conf"),
                &[("127.0.0.1:8791", &agent), ("127.0.0.1:8787", &calls)],
            );
            // As an operator does who has such a header among `credential_headers`.
            replace(
                &home.join("patrol/protect.conf"),
                &[(
                    &format!("# RequestHeader unset {KEY_HEADER}"),
                    &format!("RequestHeader unset {KEY_HEADER}"),
                )],
            );
            if !guarded {
                replace(&conf, &[("Include patrol/protect.conf", "Require all granted")]);
            }
            let mut command = Command::new(find("apache2").expect("apache2 was asked for"));
            command
                .arg("-DFOREGROUND")
                .arg("-d")
                .arg(&home)
                .arg("-f")
                .arg(&conf);
            command
        });
        Self { port, process }
    }
}

/// Where root starts it, its workers become another user, who must be able to read what is in this directory.
pub fn open_to_workers(directory: &Path) {
    std::fs::set_permissions(directory, Permissions::from_mode(0o755)).expect("it is this test's own");
}

impl Gateway for Apache {
    const NAME: &'static str = "Apache";
    const PROGRAMS: &'static [&'static str] = &["apache2"];
    const DOORS: &'static [&'static str] = &["fastcgi"];
    const WAYS: Ways = Ways {
        // mod_authnz_fcgi opens a connection for each question, and waits 30 s for the answer, which cannot be set.
        patience: Duration::from_secs(40),
        keeps_connections: false,
        ..Ways::USUAL
    };

    fn launch(setup: &Setup<'_>) -> Self {
        Self::start(setup.patrol, setup.upstream, "", setup.guarded)
    }

    fn port(&self) -> u16 {
        self.port
    }

    fn log(&self) -> String {
        self.process.log()
    }
}
