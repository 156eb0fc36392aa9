//! Traefik with the configuration that is shipped: of it, only ports are replaced.

use std::process::Command;
use std::time::Duration;

use super::files::{copy, replace, shipped};
use super::probe::{Fate, Gateway, KEY_HEADER, Setup, Ways};
use super::{Running, client, find, listen, wait_for};

/// Traefik, with `forwardAuth`.
pub struct Traefik {
    port: u16,
    process: Running,
}

impl Gateway for Traefik {
    const NAME: &'static str = "Traefik";
    const PROGRAMS: &'static [&'static str] = &["traefik"];
    const WAYS: Ways = Ways {
        // forwardAuth has neither an error page nor a time limit of its own: 30 s are built in.
        undecided: &[500],
        patience: Duration::from_secs(40),
        underscores: Fate::Dropped,
        // What the header names is dropped before Patrol is asked.
        connection: Fate::Dropped,
        ..Ways::USUAL
    };

    fn launch(setup: &Setup<'_>) -> Self {
        let home = setup.patrol.beside("traefik");
        let ([port], process) = listen("traefik", &setup.patrol.beside("traefik.log"), |[port]| {
            copy(&shipped("traefik"), &home);
            configure(setup, port);
            let mut command = Command::new(find("traefik").expect("it was asked for"));
            command.arg("--configFile=traefik.yml").current_dir(&home);
            command
        });
        let traefik = Self { port, process };
        // It listens before it knows what for.
        wait_for("traefik to know its routers", || {
            client::status(&traefik.url("/")).filter(|status| *status != 404)
        });
        traefik
    }

    fn port(&self) -> u16 {
        self.port
    }

    fn log(&self) -> String {
        self.process.log()
    }
}

impl Drop for Traefik {
    fn drop(&mut self) {
        // Asked to end, it waits 10 s for requests that may come.
        self.process.kill();
    }
}

fn configure(setup: &Setup<'_>, port: u16) {
    let home = setup.patrol.beside("traefik");
    let local = |port: u16| format!("127.0.0.1:{port}");
    replace(&home.join("traefik.yml"), &[("127.0.0.1:8080", &local(port))]);
    let dynamic = home.join("patrol.yml");
    let patrol = local(setup.patrol.port());
    replace(
        &dynamic,
        &[
            ("127.0.0.1:8787/check", &format!("{patrol}/check")),
            ("127.0.0.1:8787\"", &format!("{patrol}\"")),
            ("127.0.0.1:9000", &local(setup.upstream.port())),
            // As an operator does who has such a header among `credential_headers`.
            (&format!("# {KEY_HEADER}"), KEY_HEADER),
        ],
    );
    if !setup.guarded {
        replace(&dynamic, &[("middlewares: [patrol]\n", "middlewares: []\n")]);
    }
}
