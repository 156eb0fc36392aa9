//! The client's side.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::protocol::{ANSWER_BYTES, Answer, Outcome, PROGRAM, PROTOCOL, Request, Verb};
use super::socket;

/// How long an answer may take: an activation compiles the policy, after all that were asked for before it.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long it may take to send a request.
const SEND_TIME: Duration = Duration::from_secs(5);

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// What was asked was not done. The message and the exit code are those of the same command without a server.
    #[error("{message}")]
    Failed {
        /// Why not.
        message: String,
        /// The exit code.
        exit: u8,
    },
    /// The connection ended before the answer.
    #[error("the server ended before it answered ({0}): `patrol policy list` says what is active")]
    Lost(io::Error),
    /// The server is of another version.
    #[error(
        "the server is patrol {server}, whose answers this program, patrol {PROGRAM}, does not understand: use the \
         server's program, or restart the server with this one"
    )]
    Version {
        /// The server's version.
        server: String,
    },
}

/// A connection to a running server, for one request.
#[derive(Debug)]
pub struct Client(UnixStream);

impl Client {
    /// Connects to the server that runs on this data directory.
    ///
    /// # Errors
    /// Where nobody listens there.
    pub fn connect(data: &Path) -> io::Result<Self> {
        let stream = socket::connect(data)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(SEND_TIME))?;
        Ok(Self(stream))
    }

    /// Asks, in the name of `caller`. What comes back depends on the verb.
    ///
    /// # Errors
    /// [`ClientError`] says whether the server said no or nothing.
    pub fn ask<T: DeserializeOwned>(self, caller: &str, verb: Verb) -> Result<T, ClientError> {
        let answer = self.exchange(caller, verb).map_err(ClientError::Lost)?;
        let unknown = |answer: &Answer| ClientError::Version {
            server: answer.program.clone(),
        };
        match answer.outcome {
            Outcome::Failed { message, exit } => Err(ClientError::Failed { message, exit }),
            _ if answer.protocol != PROTOCOL => Err(unknown(&answer)),
            Outcome::Done(ref done) => T::deserialize(done).map_err(|_| unknown(&answer)),
        }
    }

    fn exchange(mut self, caller: &str, verb: Verb) -> io::Result<Answer> {
        let request = Request {
            protocol: PROTOCOL,
            program: PROGRAM.to_owned(),
            caller: caller.to_owned(),
            ask: verb,
        };
        let mut line = serde_json::to_vec(&request)?;
        line.push(b'\n');
        self.0.write_all(&line)?;
        let mut answer = Vec::new();
        let limit = u64::try_from(ANSWER_BYTES).unwrap_or(u64::MAX);
        BufReader::new(self.0.take(limit)).read_until(b'\n', &mut answer)?;
        if answer.pop() != Some(b'\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_slice(&answer)?)
    }
}
