//! Traefik, with `forwardAuth`.

use patrol_tests::gateway::files::{copy, replace, shipped};
use patrol_tests::gateway::traefik::Traefik;
use patrol_tests::gateway::{free_port, have, readme};

patrol_tests::probe!(Traefik);

#[test]
fn the_steps_in_the_readme_work_as_written() {
    if !have(&["bash", "curl", "python3", "traefik"]) {
        return;
    }
    let directory = tempfile::TempDir::new().unwrap();
    let home = directory.path().join("traefik");
    copy(&shipped("traefik"), &home);
    let ports = [(); 3].map(|()| free_port());
    let [patrol, gateway, service] = ports.map(|port| format!("127.0.0.1:{port}"));
    replace(&home.join("traefik.yml"), &[("127.0.0.1:8080", &gateway)]);
    let check = format!("{patrol}/check");
    let calls = format!("{patrol}\"");
    replace(
        &home.join("patrol.yml"),
        &[
            ("127.0.0.1:8787/check", &check),
            ("127.0.0.1:8787\"", &calls),
            ("127.0.0.1:9000", &service),
        ],
    );
    replace(&home.join("demo.py"), &[("9000", &ports[2].to_string())]);
    let changes = [
        ("127.0.0.1:8787", &*patrol),
        ("127.0.0.1:8080", &gateway),
        ("127.0.0.1:9000", &service),
        ("patrol serve", &format!("patrol serve --listen {patrol}")),
        ("$PWD/host/gateways/traefik", &home.to_string_lossy()),
    ];
    readme::follow("traefik", directory.path(), &changes);
}
