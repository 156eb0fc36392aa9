//! HAProxy with the configuration that is shipped: of it, only ports are replaced.

use std::process::Command;

use super::files::{copy, replace, shipped};
use super::patrol::Patrol;
use super::probe::{Gateway, KEY_HEADER, Setup, Ways};
use super::upstream::Upstream;
use super::{Running, find, listen};

/// HAProxy, running.
pub struct HaProxy {
    port: u16,
    process: Running,
}

impl HaProxy {
    /// Starts it before this Patrol and this service.
    pub fn start(patrol: &Patrol, upstream: &Upstream, guarded: bool) -> Self {
        let home = patrol.beside("haproxy");
        let ([port], process) = listen("haproxy", &patrol.beside("haproxy.log"), |[port]| {
            copy(&shipped("haproxy"), &home);
            let conf = home.join("haproxy.cfg");
            let [port, calls, agent, upstream] = [port, patrol.port(), patrol.door("spop"), upstream.port()]
                .map(|port| format!("127.0.0.1:{port}"));
            replace(
                &conf,
                &[
                    ("127.0.0.1:8080", &port),
                    ("127.0.0.1:8787", &calls),
                    ("127.0.0.1:8790", &agent),
                    ("127.0.0.1:9000", &upstream),
                    // As an operator does who has such a header among `credential_headers`.
                    (
                        &format!("# http-request del-header {KEY_HEADER}"),
                        &format!("http-request del-header {KEY_HEADER}"),
                    ),
                ],
            );
            if !guarded {
                replace(
                    &conf,
                    &[
                        ("filter spoe engine patrol config patrol.spoe", ""),
                        ("http-request send-spoe-group patrol check unless patrol_own", ""),
                        ("unless patrol_own or patrol_allow", "if { always_false }"),
                    ],
                );
            }
            let mut command = Command::new(find("haproxy").expect("haproxy was asked for"));
            // In the foreground, whatever the configuration says.
            command.args(["-db", "-f"]).arg(&conf);
            command
        });
        Self { port, process }
    }
}

impl Gateway for HaProxy {
    const NAME: &'static str = "HAProxy";
    const PROGRAMS: &'static [&'static str] = &["haproxy"];
    const DOORS: &'static [&'static str] = &["spop"];
    const WAYS: Ways = Ways::USUAL;

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
