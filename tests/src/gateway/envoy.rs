//! Envoy with the configurations that are shipped: of them, only ports are replaced.

use std::path::PathBuf;
use std::process::Command;

use super::files::{copy, replace, shipped};
use super::probe::{Fate, Gateway, KEY_HEADER, Setup, Ways};
use super::{Running, find, listen};

/// What is the same for both of Envoy's ways to ask. What `Connection` names, and the header itself, are gone before
/// any filter could refuse them.
const WAYS: Ways = Ways {
    connection: Fate::Dropped,
    ..Ways::USUAL
};

/// Envoy, asking over gRPC.
pub struct EnvoyGrpc(Envoy);

/// Envoy, asking over HTTP.
pub struct EnvoyHttp(Envoy);

/// The file that is shipped for each way to ask.
pub const FILES: [&str; 2] = ["grpc.yaml", "http.yaml"];

/// Envoy, asking in one way or the other.
pub struct Envoy {
    port: u16,
    process: Running,
}

impl Envoy {
    /// Starts one of [`FILES`], with changes as an operator might make them.
    pub fn start(setup: &Setup<'_>, file: &str, changes: &[(&str, &str)]) -> Self {
        let log = setup.patrol.beside("envoy.log");
        let ([port], process) = listen("envoy", &log, |[port]| {
            let path = configure(setup, file, port);
            replace(&path, changes);
            let mut command = Command::new(find("envoy").expect("envoy was asked for"));
            // Several share a machine while tests run side by side.
            command.args(["--use-dynamic-base-id", "--log-level", "warning", "-c"]);
            command.arg(path);
            command
        });
        Self { port, process }
    }

    /// An address at the protected service.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

fn configure(setup: &Setup<'_>, file: &str, port: u16) -> PathBuf {
    let home = setup.patrol.beside("envoy");
    copy(&shipped("envoy"), &home);
    let path = home.join(file);
    // The service is there, so the stand-in for it is not.
    let text = std::fs::read_to_string(&path).expect("it can be read");
    let (before, rest) = text.split_once("    # A stand-in").expect("there is a stand-in");
    let (_, clusters) = rest
        .split_once("\n  clusters:\n")
        .expect("there are clusters behind it");
    std::fs::write(&path, format!("{before}\n  clusters:\n{clusters}")).expect("it can be written");

    let mut ports = vec![
        (8080, port),
        (8787, setup.patrol.port()),
        (9000, setup.upstream.port()),
    ];
    if file == "grpc.yaml" {
        ports.push((8788, setup.patrol.door("grpc")));
    }
    for (from, to) in ports {
        let [from, to] = [from, to].map(|port| format!("port_value: {port} "));
        replace(&path, &[(&from, &to)]);
    }
    // As an operator does who has such a header among `credential_headers`.
    let key = format!("- {{ exact: {KEY_HEADER}, ");
    replace(&path, &[(&format!("# {key}"), &key)]);
    if !setup.guarded {
        let filter = "- name: envoy.filters.http.ext_authz\n";
        let off = format!("{filter}                    disabled: true\n");
        replace(&path, &[(filter, &off)]);
    }
    path
}

impl Gateway for EnvoyGrpc {
    const NAME: &'static str = "envoy (gRPC)";
    const PROGRAMS: &'static [&'static str] = &["envoy"];
    const DOORS: &'static [&'static str] = &["grpc"];
    const WAYS: Ways = WAYS;

    fn launch(setup: &Setup<'_>) -> Self {
        Self(Envoy::start(setup, "grpc.yaml", &[]))
    }

    fn port(&self) -> u16 {
        self.0.port
    }

    fn log(&self) -> String {
        self.0.process.log()
    }
}

impl Gateway for EnvoyHttp {
    const NAME: &'static str = "envoy (HTTP)";
    const PROGRAMS: &'static [&'static str] = &["envoy"];
    const WAYS: Ways = WAYS;

    fn launch(setup: &Setup<'_>) -> Self {
        Self(Envoy::start(setup, "http.yaml", &[]))
    }

    fn port(&self) -> u16 {
        self.0.port
    }

    fn log(&self) -> String {
        self.0.process.log()
    }
}
