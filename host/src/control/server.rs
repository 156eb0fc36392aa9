//! The server's side.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::protocol::{
    ANSWER_BYTES, Answer, Outcome, PROGRAM, PROTOCOL, REQUEST_BYTES, Release, Request, Status, Verb,
};
use super::socket::Socket;
use crate::service::{Caller, Patrol, ReleaseError, ServeLock};

/// Clients at the same time; more wait to be accepted.
const CLIENTS: usize = 16;
/// How long a request may take to arrive, and an answer to be taken.
const LINE_TIME: Duration = Duration::from_secs(5);
/// Where a client's mistake is told: the exit code of a wrong command line.
const MISTAKE: u8 = 2;
/// The longest name of a caller, in characters.
const NAME_CHARS: usize = 64;

/// Whoever does what is asked for.
#[derive(Clone)]
pub struct Desk {
    /// What it is done with.
    pub patrol: Arc<Patrol>,
    /// That no other server does it.
    pub lock: Arc<ServeLock>,
    /// The exit code that a command would end with for an error.
    pub exit_code: fn(&ReleaseError) -> u8,
}

/// Answers until `shutdown`, then removes the socket and ends what is under way.
///
/// # Errors
/// Where the socket cannot be used at all. Errors of single connections end those connections only.
pub async fn serve(socket: Socket, desk: Desk, shutdown: CancellationToken) -> io::Result<()> {
    let listener = tokio::net::UnixListener::from_std(socket.listener.try_clone()?)?;
    let permits = Arc::new(Semaphore::new(CLIENTS));
    let mut attended = JoinSet::new();
    loop {
        let permit = tokio::select! {
            () = shutdown.cancelled() => break,
            permit = Arc::clone(&permits).acquire_owned() => permit.map_err(io::Error::other)?,
        };
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        // Those that are over are forgotten.
        while attended.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => {
                let (desk, owner) = (desk.clone(), socket.owner);
                attended.spawn(async move {
                    if let Err(error) = attend(stream, owner, desk).await {
                        tracing::debug!(%error, "a connection to the control socket ended early");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                // Out of descriptors, usually: those under way will give some back.
                tracing::warn!(%error, "could not accept a connection to the control socket");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop((listener, socket));
    let drain = desk.patrol.config().server.drain();
    let ended = async { while attended.join_next().await.is_some() {} };
    if tokio::time::timeout(drain, ended).await.is_err() {
        tracing::warn!("a command was still under way when the time to drain was over");
    }
    Ok(())
}

/// One connection.
async fn attend(mut stream: UnixStream, owner: u32, desk: Desk) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    if peer.uid() != owner && peer.uid() != 0 {
        tracing::warn!(
            uid = peer.uid(),
            pid = peer.pid(),
            "a foreign user was turned away at the control socket"
        );
        return Ok(());
    }
    let outcome = match tokio::time::timeout(LINE_TIME, read_line(&mut stream)).await {
        Ok(line) => match understand(&line?) {
            Ok(request) => do_it(desk, request).await,
            Err(mistake) => failed(mistake),
        },
        Err(_) => failed(format!("no request came within {} s", LINE_TIME.as_secs())),
    };
    let answer = Answer {
        protocol: PROTOCOL,
        program: PROGRAM.to_owned(),
        outcome,
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    tokio::time::timeout(LINE_TIME, stream.write_all(&line)).await?
}

/// Everything up to the end of the line, or as much of it as there may be.
async fn read_line(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let limit = u64::try_from(REQUEST_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    BufReader::new(stream.take(limit))
        .read_until(b'\n', &mut line)
        .await?;
    Ok(line)
}

fn understand(line: &[u8]) -> Result<Request<Verb>, String> {
    let Some(line) = line.strip_suffix(b"\n") else {
        return Err(match line.len() > REQUEST_BYTES {
            true => format!("the request is longer than {REQUEST_BYTES} bytes"),
            false => "the request is not a whole line".to_owned(),
        });
    };
    let request: Request<Value> =
        serde_json::from_slice(line).map_err(|error| format!("the request is none: {error}"))?;
    let versions = |why: &dyn std::fmt::Display| {
        format!(
            "the server does not know this request ({why}): the server is patrol {PROGRAM} with control protocol \
             {PROTOCOL}, the client patrol {} with {}; use the same program for both",
            request.program.escape_debug(),
            request.protocol
        )
    };
    if request.protocol != PROTOCOL {
        return Err(versions(&"its version"));
    }
    let ask = serde_json::from_value(request.ask.clone()).map_err(|error| versions(&error))?;
    Ok(Request {
        protocol: request.protocol,
        program: request.program,
        caller: request.caller,
        ask,
    })
}

fn failed(message: String) -> Outcome {
    Outcome::Failed {
        message,
        exit: MISTAKE,
    }
}

/// Does what is asked for where it may wait.
async fn do_it(desk: Desk, request: Request<Verb>) -> Outcome {
    let work = tokio::task::spawn_blocking(move || {
        let caller = caller(&request.caller);
        tracing::info!(caller = caller.name, verb = ?request.ask, "asked at the control socket");
        desk.answer(&caller, request.ask).unwrap_or_else(|error| {
            tracing::warn!(%error, "what was asked at the control socket was not done");
            Outcome::Failed {
                exit: (desk.exit_code)(&error),
                message: error.to_string(),
            }
        })
    });
    work.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a command at the control socket ended early");
        Outcome::Failed {
            message: "the work ended early: see the server's log".to_owned(),
            exit: 1,
        }
    })
}

/// Who asks: the name is the client's word, but nobody gets here who could not write whatever they like into the data.
fn caller(name: &str) -> Caller {
    let name: String = name
        .chars()
        .filter(|c| !c.is_control())
        .take(NAME_CHARS)
        .collect();
    Caller::operator(Some(format!("{name} (control socket)")))
}

impl Desk {
    fn answer(&self, caller: &Caller, verb: Verb) -> Result<Outcome, ReleaseError> {
        let patrol = &self.patrol;
        let tenant = |name: Option<String>| match name {
            Some(name) => patrol.tenant(&name).map(|row| Some(row.id)),
            None => Ok(None),
        };
        match verb {
            Verb::Status => done(&Status::from(patrol.governing()?)),
            Verb::Activate {
                release,
                tenant: of,
                allow_downgrade,
            } => {
                let row = patrol.activate(&self.lock, caller, &release, tenant(of)?, allow_downgrade)?;
                done(&Release::from(&row))
            }
            Verb::Rollback { tenant: of } => {
                let row = patrol.rollback(&self.lock, caller, tenant(of)?)?;
                done(&row.as_ref().map(Release::from))
            }
        }
    }
}

fn done(answer: &impl Serialize) -> Result<Outcome, ReleaseError> {
    let value = serde_json::to_value(answer).ok();
    // None fails to become JSON that this module knows of, and an answer is as long as the list of tenants.
    let short = value.filter(|value| value.to_string().len() < ANSWER_BYTES.saturating_sub(1_024));
    short.map(Outcome::Done).ok_or_else(|| {
        let text = "it was done, but the answer is too long for the control socket".to_owned();
        crate::service::Error::Invalid(text).into()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_request_that_is_not_known_is_answered_with_both_versions() {
        for line in [
            r#"{"protocol":1,"program":"9.9.9","caller":"ann","ask":{"verb":"dance"}}"#,
            r#"{"protocol":1,"program":"9.9.9","caller":"ann","ask":{"verb":"rollback","steps":3}}"#,
            r#"{"protocol":2,"program":"9.9.9","caller":"ann","ask":{"verb":"status"}}"#,
        ] {
            let why = understand(format!("{line}\n").as_bytes()).unwrap_err();
            assert!(why.contains("9.9.9") && why.contains(PROGRAM), "{why}");
        }
    }

    #[test]
    fn what_is_left_out_of_a_request_means_everybody_and_no_downgrade() {
        let line = r#"{"protocol":1,"program":"0","caller":"ann","ask":{"verb":"activate","release":"ab"}}"#;
        let request = understand(format!("{line}\n").as_bytes()).unwrap();
        let meant = Verb::Activate {
            release: "ab".to_owned(),
            tenant: None,
            allow_downgrade: false,
        };
        assert_eq!(request.ask, meant);
    }

    #[test]
    fn a_callers_name_cannot_steer_the_log() {
        let named = caller(&"a\u{1b}\n".repeat(1_000)).name.unwrap();
        assert!(!named.contains(char::is_control) && named.len() < 100, "{named}");
    }
}
