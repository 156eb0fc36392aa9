//! How a server ends: in order, in time, or at once; always with the last uses written (R5).

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use patrol_tests::gateway::wait_for;
use patrol_tests::wire::{connect, receive};

use crate::support::{Connection, Home, ends, get};

/// A sign-in of which the server has read the head, and waits for the rest.
struct HalfSent {
    stream: std::net::TcpStream,
    rest: String,
}

impl HalfSent {
    fn begin(server: SocketAddr, secret: &str) -> Self {
        let body = format!("{{\"token\":\"{secret}\"}}");
        let (first, rest) = body.split_at(20);
        let mut stream = connect(server).unwrap();
        let head = format!(
            "POST /api/v1/pat/login HTTP/1.1\r\nHost: patrol\r\nContent-Length: {}\r\n\r\n{first}",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        // Whatever was sent before an answered request on another connection has most likely been read.
        assert_eq!(get(server, "/healthz").status, 200);
        std::thread::sleep(Duration::from_millis(100));
        Self {
            stream,
            rest: rest.to_owned(),
        }
    }

    fn finish(mut self) -> std::io::Result<u16> {
        self.stream.write_all(self.rest.as_bytes())?;
        Ok(receive(self.stream)?.status)
    }
}

fn closed(server: SocketAddr) {
    wait_for("the port to close", || connect(server).err());
}

#[test]
fn under_load_every_request_is_answered_and_readyz_says_no_before_the_port_closes() {
    let home = Home::new("[server]\ndrain_notice = \"1s\"\n");
    let mut server = home.program.serve();
    let address = server.address;
    assert_eq!(get(address, "/readyz").status, 200);
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let secret = home.secret.clone();
            std::thread::spawn(move || {
                let mut connection = Connection::open(address);
                let mut answers = 0_u32;
                // Until the server closes it; it does so between two requests, never within one.
                while let Some(answer) = connection.present(&secret) {
                    assert_eq!(answer.status, 200, "{answer:?}");
                    answers += 1;
                }
                (answers, Instant::now())
            })
        })
        .collect();
    let mut watcher = Connection::open(address);
    std::thread::sleep(Duration::from_millis(200));
    server.signal("-TERM");
    let told = wait_for("readyz to say no", || {
        let answer = watcher.ask("GET /readyz", &[]).expect("not closed yet");
        (answer.status == 503).then(Instant::now)
    });
    // New connections are welcome still, and decided about.
    let mut late = Connection::open(address);
    assert_eq!(late.present(&home.secret).unwrap().status, 200);
    ends(&mut server);
    for client in clients {
        let (answers, closed) = client.join().expect("no answer but yes");
        assert!(answers > 0);
        assert!(
            closed - told > Duration::from_millis(500),
            "it went on for the notice"
        );
    }
    assert!(home.last_used().is_string());
}

#[test]
fn a_request_under_way_is_answered_after_the_port_is_closed() {
    let home = Home::new("");
    let mut server = home.program.serve();
    let under_way = HalfSent::begin(server.address, &home.secret);
    server.signal("-INT");
    closed(server.address);
    assert_eq!(server.ended(), None);
    assert_eq!(under_way.finish().unwrap(), 200);
    ends(&mut server);
}

#[test]
fn a_request_that_takes_longer_than_the_time_to_drain_is_not_waited_for() {
    let home = Home::new("[server]\ndrain = \"300ms\"\n");
    let mut server = home.program.serve();
    let under_way = HalfSent::begin(server.address, &home.secret);
    let begun = Instant::now();
    server.signal("-TERM");
    ends(&mut server);
    // The default is 10 s.
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert!(begun.elapsed() > Duration::from_millis(300));
    home.logged("some requests were still under way", 1);
    assert!(under_way.finish().is_err());
}

#[test]
fn a_second_signal_ends_it_at_once_with_the_last_uses_written_r5() {
    let home = Home::new("[server]\ndrain = \"10m\"\n");
    let mut server = home.program.serve();
    let under_way = HalfSent::begin(server.address, &home.secret);
    let mut connection = Connection::open(server.address);
    assert_eq!(connection.present(&home.secret).unwrap().status, 200);
    server.signal("-TERM");
    closed(server.address);
    let begun = Instant::now();
    // The first one waits for as long as it was told.
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(server.ended(), None);
    server.signal("-TERM");
    ends(&mut server);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    home.logged("what is under way is cut off", 1);
    assert!(under_way.finish().is_err());
    assert!(home.last_used().is_string());
}

#[test]
fn a_reload_while_it_ends_is_refused() {
    let home = Home::new("");
    let mut server = home.program.serve();
    let under_way = HalfSent::begin(server.address, &home.secret);
    server.signal("-TERM");
    closed(server.address);
    server.signal("-HUP");
    home.logged("SIGHUP received: too late", 1);
    assert_eq!(under_way.finish().unwrap(), 200);
    ends(&mut server);
}
