//! What the service manager is told, on a socket as systemd would open it.

use patrol_tests::gateway::wait_for;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::support::{Home, ends};

#[test]
fn systemd_is_told_of_the_start_a_reload_signs_of_life_and_the_end() {
    let home = Home::new("");
    let socket = tempfile::tempdir().unwrap();
    let path = socket.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut server = home.program.serve_with(|command| {
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "300000");
    });
    let told = || {
        let mut buffer = [0; 512];
        let length = manager.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let next = |but: &str| wait_for("a message", || Some(told()).filter(|message| message != but));
    let ready = format!("READY=1\nSTATUS=listening on http://{}", server.address);
    assert_eq!(next("WATCHDOG=1"), ready);
    for _ in 0..3 {
        assert_eq!(told(), "WATCHDOG=1");
    }
    server.signal("-HUP");
    assert_eq!(next("WATCHDOG=1"), "RELOADING=1");
    assert_eq!(next("WATCHDOG=1"), ready);
    server.signal("-TERM");
    assert!(next("WATCHDOG=1").starts_with("STOPPING=1\n"));
    ends(&mut server);
}

#[cfg(target_os = "linux")]
#[test]
fn a_socket_without_a_path_is_found_too() {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::SocketAddr;

    let home = Home::new("");
    let name = format!("patrol-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let manager = UnixDatagram::bind_addr(&address).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let server = home.program.serve_with(|command| {
        command.env("NOTIFY_SOCKET", format!("@{name}"));
    });
    let mut buffer = [0; 512];
    let length = manager.recv(&mut buffer).unwrap();
    assert!(buffer[..length].starts_with(b"READY=1\n"));
    server.stop();
}

#[test]
fn a_socket_that_is_not_there_does_not_matter() {
    let home = Home::new("");
    let server = home.program.serve_with(|command| {
        command.env("NOTIFY_SOCKET", "/nowhere/at/all");
    });
    home.logged("systemd could not be told", 1);
    server.stop();
}
