//! The operator's door to a running server: a socket in the data directory, `control.sock`.
//!
//! A server holds its policies in memory, so whoever wants another one has to ask it. Only those who could change the
//! data anyway can: the socket lies in a directory that nobody but its owner can enter, its own mode is 0600, and the
//! kernel says who is on the other end, which must be the server's own user or root.
//!
//! A client sends one line of JSON and gets one line back; then the connection is over. Both are bounded in size and
//! time. [`Verb`] lists what can be asked: what a server does for a verb, and what a command does where no server
//! runs, is the same method of the service, so that both end alike, with the same words and the same exit code.
//!
//! The two programs may be of different versions while one is being replaced. Each line names the version of the
//! [protocol](PROTOCOL) and of its program, and what the other side does not know is an error that says so.

mod client;
mod protocol;
mod server;
mod socket;

pub use client::{Client, ClientError};
pub use protocol::{Governing, PROTOCOL, PassedOver, Release, Status, Verb, Watched};
pub use server::{Desk, serve};
pub use socket::{NAME, Socket};
