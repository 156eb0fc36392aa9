//! A FastCGI authorizer, as Apache's `mod_authnz_fcgi` asks it.
//!
//! The server sends the request as CGI parameters; a 200 sets variables, which the shipped configuration
//! (`host/gateways/apache/`) turns into identity headers, and anything else is the answer to the client. A connection
//! carries one request at a time, and several one after the other if the server wants it to; Apache opens one for each.
//!
//! The records are FastCGI 1.0; what is none of them ends the connection, which no server takes for a 200.

mod check;
mod record;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::connection::{Buffer, after, end, send, serve_each};
use crate::gate::{Gate, Listener};
use record::{AUTHORIZER, MAX_RECORD_BYTES, Malformed, Record, ended, kind};

/// Parameters larger than this are answered 400. The headers among them are bounded by the server, at 8 KiB a line.
const PARAMETER_BYTES: usize = 64 * 1024;
/// From the first byte of a request to the end of its parameters.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// Between requests.
const IDLE_TIME: Duration = Duration::from_secs(60);

/// Serves until `shutdown`, then lets requests under way finish.
///
/// # Errors
/// Where the listener cannot be used at all.
pub async fn serve(
    gate: Arc<Gate>,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let connection = |stream| connect(Arc::clone(&gate), stream, shutdown.clone());
    serve_each(&gate, (Listener::FastCgi, listener), &shutdown, connection).await
}

async fn connect(gate: Arc<Gate>, mut stream: TcpStream, shutdown: CancellationToken) {
    let mut session = Session::new(gate);
    match session.run(&mut stream, &shutdown).await {
        Ok(()) => end(stream).await,
        Err(error) => tracing::debug!(%error, "a FastCGI connection ended early"),
    }
}

/// One connection.
struct Session {
    gate: Arc<Gate>,
    read: Buffer,
    out: Vec<u8>,
    open: Option<Open>,
}

/// A request whose parameters are still being sent.
struct Open {
    request: u16,
    keep: bool,
    /// Nothing once they were too many.
    parameters: Option<Zeroizing<Vec<u8>>>,
}

/// What comes after the records that have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// More of them.
    Read,
    /// The end: the server wants no other request on this connection.
    Close,
}

impl Session {
    fn new(gate: Arc<Gate>) -> Self {
        Self {
            gate,
            read: Buffer::new(MAX_RECORD_BYTES),
            out: Vec::new(),
            open: None,
        }
    }

    /// Whether it waits for a request to begin.
    fn idle(&self) -> bool {
        self.open.is_none() && self.read.filled().is_empty()
    }

    /// Until one of the two ends it.
    async fn run(&mut self, stream: &mut TcpStream, shutdown: &CancellationToken) -> std::io::Result<()> {
        // Whoever connects has something to ask.
        let mut deadline = after(REQUEST_TIME);
        loop {
            let next = self.work().map_err(std::io::Error::other)?;
            if !self.out.is_empty() {
                send(stream, &self.out).await?;
                self.out.clear();
                deadline = after(if self.idle() { IDLE_TIME } else { REQUEST_TIME });
            }
            if next == Next::Close {
                return Ok(());
            }
            let idle = self.idle();
            let read = tokio::select! {
                biased;
                read = timeout_at(deadline, self.read.read(stream)) => read,
                // What has begun is answered first.
                () = shutdown.cancelled(), if idle => return Ok(()),
            };
            match read {
                Ok(Ok(0)) | Err(_) => return Ok(()),
                Ok(Ok(_)) if idle => deadline = after(REQUEST_TIME),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(error),
            }
        }
    }

    /// Answers all records that have arrived whole.
    fn work(&mut self) -> Result<Next, Malformed> {
        // What was read stays where it is while answers are written.
        let mut read = std::mem::replace(&mut self.read, Buffer::new(0));
        let mut taken = 0_usize;
        let next = loop {
            let rest = read.filled().get(taken..).unwrap_or_default();
            let (record, bytes) = match record::first(rest) {
                Ok(None) => break Ok(Next::Read),
                Ok(Some(first)) => first,
                Err(malformed) => break Err(malformed),
            };
            taken = taken.saturating_add(bytes);
            match self.take(&record) {
                Ok(Next::Read) => {}
                other => break other,
            }
        };
        read.consume(taken);
        self.read = read;
        next
    }

    fn take(&mut self, record: &Record<'_>) -> Result<Next, Malformed> {
        if record.request == 0 {
            self.manage(record);
            return Ok(Next::Read);
        }
        if record.kind == kind::BEGIN_REQUEST {
            return self.begin(record);
        }
        // Records of a request that is over, or was refused, may still be on their way.
        let Some(open) = self.open.take_if(|open| open.request == record.request) else {
            return Ok(Next::Read);
        };
        match record.kind {
            kind::PARAMS if record.content.is_empty() => Ok(self.answer(&open)),
            kind::PARAMS => {
                self.open = Some(open.with(record.content));
                Ok(Next::Read)
            }
            kind::ABORT_REQUEST => {
                record::write_end(&mut self.out, open.request, ended::COMPLETE);
                Ok(open.next())
            }
            // An authorizer has no use for a body; some servers end one all the same.
            kind::STDIN | kind::DATA => {
                self.open = Some(open);
                Ok(Next::Read)
            }
            _ => Err(Malformed),
        }
    }

    fn begin(&mut self, record: &Record<'_>) -> Result<Next, Malformed> {
        let (role, keep) = record::begin(record.content)?;
        let request = record.request;
        if self.open.as_ref().is_some_and(|open| open.request == request) {
            return Err(Malformed);
        }
        if self.open.is_some() {
            record::write_end(&mut self.out, request, ended::CANNOT_MULTIPLEX);
            return Ok(Next::Read);
        }
        if role != AUTHORIZER {
            record::write_end(&mut self.out, request, ended::UNKNOWN_ROLE);
            return Ok(if keep { Next::Read } else { Next::Close });
        }
        self.open = Some(Open {
            request,
            keep,
            parameters: Some(Zeroizing::default()),
        });
        Ok(Next::Read)
    }

    /// Header and body in one record, as Apache wants them: it takes for the body what came with the end of the header.
    fn answer(&mut self, open: &Open) -> Next {
        let parameters = open.parameters.as_ref().map(|parameters| &parameters[..]);
        let verdict = check::verdict(&self.gate, parameters);
        let answer = check::answer(&verdict);
        record::write(&mut self.out, kind::STDOUT, open.request, answer.as_bytes());
        record::write(&mut self.out, kind::STDOUT, open.request, &[]);
        record::write_end(&mut self.out, open.request, ended::COMPLETE);
        open.next()
    }

    /// Records that are about no request.
    fn manage(&mut self, record: &Record<'_>) {
        if record.kind != kind::GET_VALUES {
            let unknown = [record.kind, 0, 0, 0, 0, 0, 0, 0];
            record::write(&mut self.out, kind::UNKNOWN_TYPE, 0, &unknown);
            return;
        }
        let mut asked = record.content;
        let mut known = Vec::new();
        let mut values = [
            (&b"FCGI_MAX_CONNS"[..], &b"1024"[..]),
            (b"FCGI_MAX_REQS", b"1024"),
            (b"FCGI_MPXS_CONNS", b"0"),
        ]
        .map(Some);
        while let Some((name, _, rest)) = record::pair(asked) {
            let answer = values
                .iter_mut()
                .find(|value| value.is_some_and(|(known, _)| known == name));
            if let Some((name, value)) = answer.and_then(Option::take) {
                record::write_pair(&mut known, name, value);
            }
            asked = rest;
        }
        record::write(&mut self.out, kind::GET_VALUES_RESULT, 0, &known);
    }
}

impl Open {
    const fn next(&self) -> Next {
        if self.keep { Next::Read } else { Next::Close }
    }

    fn with(self, more: &[u8]) -> Self {
        let parameters = self.parameters.and_then(|mut parameters| {
            let bytes = parameters.len().saturating_add(more.len());
            if bytes > PARAMETER_BYTES {
                return None;
            }
            if bytes > parameters.capacity() {
                // Not grown in place: what a buffer leaves behind as it moves is not wiped.
                let room = bytes.max(parameters.capacity().saturating_mul(2));
                let mut larger = Zeroizing::new(Vec::with_capacity(room));
                larger.extend_from_slice(&parameters);
                parameters = larger;
            }
            parameters.extend_from_slice(more);
            Some(parameters)
        });
        Self { parameters, ..self }
    }
}
