//! The doors with protocols of their own, from the wire: what they are told and what they say, byte by byte.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod fastcgi;
mod spop;

use std::io::{ErrorKind, Read as _};
use std::net::TcpStream;
use std::time::Duration;

use patrol::service::NewToken;
use patrol_tests::listener::Listener;

/// Nothing here takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// So many bytes, or as many as come before the other side closes.
fn read(stream: &mut TcpStream, bytes: usize) -> Vec<u8> {
    let mut read = vec![0; bytes];
    let mut filled = 0;
    while filled < bytes {
        match stream.read(&mut read[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            // It closed while something was on its way to it.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{error}"),
        }
    }
    read.truncate(filled);
    read
}

fn text(token: &NewToken) -> String {
    String::from_utf8(token.secret.expose().to_vec()).unwrap()
}
