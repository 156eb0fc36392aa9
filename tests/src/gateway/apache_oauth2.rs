//! Apache with mod_oauth2 and the configuration that is shipped: of it, only ports and paths are replaced.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::files::{copy, replace, shipped};
use super::patrol::{Patrol, text};
use super::probe::{Gateway, KEY_HEADER, Setup, Ways};
use super::upstream::Upstream;
use super::{Running, find, is_root, listen};

/// The module, where Debian puts it.
pub const MODULE: &str = "/usr/lib/apache2/modules/mod_oauth2.so";

/// Apache, running, as a client of Patrol's introspection.
pub struct ApacheOauth2 {
    port: u16,
    process: Running,
    /// The identifier of the client as which it asks.
    pub client: String,
}

impl ApacheOauth2 {
    /// Starts it before this Patrol and this service.
    pub fn start(patrol: &Patrol, upstream: &Upstream, guarded: bool) -> Self {
        let home = patrol.beside("apache-oauth2");
        let made = patrol.json(&["client", "create", "apache"]);
        let (client, secret) = (text(&made, "clientId"), text(&made, "clientSecret"));
        let log = patrol.beside("apache-oauth2.log");
        let ([port, _], process) = listen("apache2", &log, |[port, away]| {
            copy(&shipped("apache-oauth2"), &home);
            credentials(&home, &client, &secret);
            configure(&home, patrol, upstream, guarded, [port, away]);
            let mut command = Command::new(find("apache2").expect("apache2 was asked for"));
            command.arg("-DFOREGROUND").arg("-d").arg(&home);
            command.arg("-f").arg(home.join("apache2.conf"));
            if is_root() {
                // Its workers have to become somebody else; they read the stand-in's answer.
                open(&home);
            }
            command
        });
        Self {
            port,
            process,
            client,
        }
    }
}

/// Writes the client's credentials, as the README says.
fn credentials(home: &Path, client: &str, secret: &str) {
    let file = home.join("patrol/client.conf");
    let lines = format!("Define PATROL_CLIENT_ID {client}\nDefine PATROL_CLIENT_SECRET {secret}\n");
    std::fs::write(&file, lines).expect("it can be written");
    let owner_only = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(file, owner_only).expect("it is ours");
}

/// Lets everyone into the directories down to this one.
pub fn open(home: &Path) {
    let ancestors = home
        .ancestors()
        .take_while(|directory| *directory != std::env::temp_dir());
    for directory in ancestors.map(PathBuf::from).chain([home.join("patrol")]) {
        let everyone = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(directory, everyone).expect("it is ours");
    }
}

fn configure(home: &Path, patrol: &Patrol, upstream: &Upstream, guarded: bool, [port, away]: [u16; 2]) {
    let [patrol, upstream, away] =
        [patrol.port(), upstream.port(), away].map(|port| format!("127.0.0.1:{port}"));
    let conf = home.join("apache2.conf");
    replace(
        &conf,
        &[
            ("Listen 127.0.0.1:8080", &format!("Listen 127.0.0.1:{port}")),
            ("<VirtualHost *:8080>", &format!("<VirtualHost *:{port}>")),
            ("127.0.0.1:9000", &upstream),
            (
                "Define PATROL_RUN /tmp/patrol-apache-oauth2",
                &format!("Define PATROL_RUN \"{}\"", home.display()),
            ),
            // To where failing tests show it.
            ("ErrorLog ${PATROL_RUN}/error.log", "ErrorLog /dev/stderr"),
            ("Include demo.conf", ""),
        ],
    );
    replace(
        &home.join("patrol/patrol.conf"),
        &[("127.0.0.1:8787", &patrol), ("127.0.0.1:8786", &away)],
    );
    // As an operator does who has such a header among `credential_headers`.
    let condition = "RewriteCond %{HTTP:Authorization}%{HTTP:X-Tableau-Session-Token} \".\"";
    let rule = "RewriteRule \"^\" \"-\" [R=400,L]";
    let lines = [
        ("host.conf", format!("SetEnvIf {KEY_HEADER} \",\"")),
        ("host.conf", format!("RewriteCond %{{HTTP:{KEY_HEADER}}}")),
        ("host.conf", format!("{condition}\n# {rule}")),
        ("host.conf", format!("SetEnvIf {KEY_HEADER} \"^")),
        ("protect.conf", format!("RequestHeader unset {KEY_HEADER}")),
    ];
    for (file, line) in lines {
        let switched_on = line.replace("\n# ", "\n");
        replace(
            &home.join("patrol").join(file),
            &[(&format!("# {line}"), &switched_on)],
        );
    }
    if !guarded {
        replace(&conf, &[("Include patrol/protect.conf", "Require all granted")]);
    }
}

impl Gateway for ApacheOauth2 {
    const NAME: &'static str = "Apache, mod_oauth2";
    const PROGRAMS: &'static [&'static str] = &["apache2", MODULE];
    const WAYS: Ways = Ways {
        // The module gives up after 15 s, and nothing can be set.
        patience: Duration::from_secs(40),
        // Introspection is about the token alone.
        tells_request: false,
        // The module opens a connection for each question.
        keeps_connections: false,
        ..Ways::USUAL
    };

    fn launch(setup: &Setup<'_>) -> Self {
        Self::start(setup.patrol, setup.upstream, setup.guarded)
    }

    fn port(&self) -> u16 {
        self.port
    }

    fn log(&self) -> String {
        self.process.log()
    }
}
