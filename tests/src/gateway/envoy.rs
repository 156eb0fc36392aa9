//! Envoy with the configurations that are shipped: of them, only ports are replaced.

use std::path::PathBuf;
use std::process::Command;

use super::files::{copy, replace, shipped};
use super::patrol::Patrol;
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

struct Envoy {
    port: u16,
    process: Running,
}

/// Copies the configurations, with these ports for the client, Patrol over HTTP, Patrol over gRPC, and the service.
pub fn configure(patrol: &Patrol, file: &str, ports: [u16; 4]) -> PathBuf {
    let home = patrol.beside("envoy");
    copy(&shipped("envoy"), &home);
    let path = home.join(file);
    let [gateway, http, grpc, service] = ports.map(|port| format!("port_value: {port} "));
    replace(&path, &[("port_value: 8080 ", &gateway)]);
    if file == "grpc.yaml" {
        replace(&path, &[("port_value: 8788 ", &grpc)]);
    }
    replace(&path, &[("port_value: 8787 ", &http)]);
    // The service is known to the cluster and to the stand-in, in this order or the other.
    let text = std::fs::read_to_string(&path).expect("it can be read");
    assert_eq!(text.matches("port_value: 9000 ").count(), 2);
    std::fs::write(&path, text.replace("port_value: 9000 ", &service)).expect("it can be written");
    path
}

impl Envoy {
    fn start(setup: &Setup<'_>, file: &str, grpc: u16) -> Self {
        let log = setup.patrol.beside("envoy.log");
        let ([port], process) = listen("envoy", &log, |[port]| {
            let ports = [port, setup.patrol.port(), grpc, setup.upstream.port()];
            let path = configure(setup.patrol, file, ports);
            // The service is there, so the stand-in for it is not.
            let text = std::fs::read_to_string(&path).expect("it can be read");
            let (before, rest) = text.split_once("    # A stand-in").expect("there is a stand-in");
            let (_, clusters) = rest.split_once("\n  clusters:\n").expect("clusters follow");
            let text = format!("{before}\n  clusters:\n{clusters}");
            std::fs::write(&path, text).expect("it can be written");
            // As an operator does who has such a header among `credential_headers`.
            let key = format!("- {{ exact: {KEY_HEADER}, ");
            replace(&path, &[(&format!("# {key}"), &key)]);
            if !setup.guarded {
                let filter = "- name: envoy.filters.http.ext_authz\n";
                let off = format!("{filter}                    disabled: true\n");
                replace(&path, &[(filter, &off)]);
            }
            let mut command = Command::new(find("envoy").expect("envoy was asked for"));
            // Several share a machine while tests run side by side.
            command
                .args(["--use-dynamic-base-id", "--log-level", "warning", "-c"])
                .arg(path);
            command
        });
        Self { port, process }
    }
}

impl Gateway for EnvoyGrpc {
    const NAME: &'static str = "envoy (gRPC)";
    const PROGRAMS: &'static [&'static str] = &["envoy"];
    const DOORS: &'static [&'static str] = &["grpc"];
    const WAYS: Ways = WAYS;

    fn launch(setup: &Setup<'_>) -> Self {
        Self(Envoy::start(setup, "grpc.yaml", setup.patrol.door("grpc")))
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
        Self(Envoy::start(setup, "http.yaml", 0))
    }

    fn port(&self) -> u16 {
        self.0.port
    }

    fn log(&self) -> String {
        self.0.process.log()
    }
}
