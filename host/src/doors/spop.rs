//! An agent for HAProxy's SPOE.
//!
//! HAProxy connects, both say HELLO, and then each NOTIFY with the message `check` is answered by an ACK that sets
//! variables of the transaction; the shipped configuration (`host/gateways/haproxy/`) lets nothing through unless
//! `allow` is true among them. Several NOTIFY frames may be sent before the first is answered (pipelining); they are
//! answered in order. Frames are never fragmented.
//!
//! Whatever is no proper frame is answered by a DISCONNECT that says what is wrong with it, and ends the connection: to
//! HAProxy that is an error, and no verdict. A proper frame with a question that makes no sense is answered, by 400.

mod check;
mod frame;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use spop::frames::{AgentDisconnect, AgentHello, FrameCapabilities};
use spop::types::TypedData;
use spop::{FrameType, SUPPORTED_VERSION, SpopFrame, StatusCode};
use tokio::net::TcpStream;
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;

use super::connection::{Buffer, after, end, send, serve_each};
use crate::gate::{Gate, Listener};
use frame::{Frame, PREFIX_BYTES, Value};

/// The largest frame that is taken; HAProxy's own limit is its `tune.bufsize`, 16 KiB unless set otherwise.
const MAX_FRAME_BYTES: u32 = 64 * 1024;
/// The smallest limit that leaves room for a request's headers and an identity.
const MIN_FRAME_BYTES: u32 = 4 * 1024;
/// From the connection to HELLO.
const HELLO_TIME: Duration = Duration::from_secs(5);
/// From the first byte of a frame to its last.
const FRAME_TIME: Duration = Duration::from_secs(5);
/// Without any frame. Longer than HAProxy's own `timeout idle`, so that none is closed as it is being used.
const IDLE_TIME: Duration = Duration::from_secs(180);
/// After a shutdown began: the connection ends as soon as nothing comes for so long …
const QUIET_TIME: Duration = Duration::from_millis(5);
/// … and at the latest after this, frames or not.
const BUSY_TIME: Duration = Duration::from_millis(500);

/// Serves until `shutdown`, then answers what has arrived and takes its leave.
///
/// # Errors
/// Where the listener cannot be used at all.
pub async fn serve(
    gate: Arc<Gate>,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let connection = |stream| connect(Arc::clone(&gate), stream, shutdown.clone());
    serve_each(&gate, (Listener::Spop, listener), &shutdown, connection).await
}

async fn connect(gate: Arc<Gate>, mut stream: TcpStream, shutdown: CancellationToken) {
    let mut session = Session::new(gate);
    match session.run(&mut stream, &shutdown).await {
        Ok(()) => end(stream).await,
        Err(error) => tracing::debug!(%error, "a connection of HAProxy's ended early"),
    }
}

/// One connection.
struct Session {
    gate: Arc<Gate>,
    read: Buffer,
    out: Vec<u8>,
    /// The largest frame, once HELLO was said.
    agreed: Option<u32>,
}

/// What comes after the frames that have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// More of them.
    Read,
    /// The end, and why.
    Leave(StatusCode),
}

impl Session {
    fn new(gate: Arc<Gate>) -> Self {
        let capacity = usize::try_from(MAX_FRAME_BYTES).unwrap_or(usize::MAX);
        Self {
            gate,
            read: Buffer::new(capacity.saturating_add(PREFIX_BYTES)),
            out: Vec::new(),
            agreed: None,
        }
    }

    /// Until one of the two ends it. What is to be said at the end has then been said.
    async fn run(&mut self, stream: &mut TcpStream, shutdown: &CancellationToken) -> std::io::Result<()> {
        let mut deadline = after(HELLO_TIME);
        let mut last_call = None;
        loop {
            if let Next::Leave(status) = self.work()? {
                return self.leave(stream, status).await;
            }
            if !self.out.is_empty() {
                send(stream, &self.out).await?;
                self.out.clear();
                let idle = self.read.filled().is_empty();
                deadline = after(if idle { IDLE_TIME } else { FRAME_TIME });
            }
            let begun = !self.read.filled().is_empty();
            if let Some(last_call) = last_call {
                deadline = after(if begun { FRAME_TIME } else { QUIET_TIME }).min(last_call);
            }
            let read = tokio::select! {
                biased;
                () = shutdown.cancelled(), if last_call.is_none() => {
                    last_call = Some(after(BUSY_TIME));
                    continue;
                }
                read = timeout_at(deadline, self.read.read(stream)) => read,
            };
            match read {
                Ok(Ok(0)) => return Ok(()),
                Ok(Ok(_)) if !begun && self.agreed.is_some() => deadline = after(FRAME_TIME),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(error),
                Err(_) => {
                    let rude = self.agreed.is_none() || begun;
                    let late = if rude {
                        StatusCode::Timeout
                    } else {
                        StatusCode::None
                    };
                    return self.leave(stream, late).await;
                }
            }
        }
    }

    async fn leave(&mut self, stream: &mut TcpStream, status: StatusCode) -> std::io::Result<()> {
        if status != StatusCode::None {
            tracing::warn!(reason = %status, "HAProxy is disconnected");
        }
        AgentDisconnect {
            status_code: status.to_u32(),
            message: status.to_string(),
        }
        .serialize_into(&mut self.out)?;
        send(stream, &self.out).await
    }

    /// Answers all frames that have arrived whole.
    fn work(&mut self) -> std::io::Result<Next> {
        // What was read stays where it is while answers are written.
        let mut read = std::mem::replace(&mut self.read, Buffer::new(0));
        let mut taken = 0_usize;
        let next = loop {
            let rest = read.filled().get(taken..).unwrap_or_default();
            let (frame, bytes) = match frame::first(rest, self.agreed.unwrap_or(MAX_FRAME_BYTES)) {
                Ok(None) => break Ok(Next::Read),
                Ok(Some(first)) => first,
                Err(status) => break Ok(Next::Leave(status)),
            };
            taken = taken.saturating_add(bytes);
            match self.answer(&frame) {
                Ok(Next::Read) => {}
                other => break other,
            }
        };
        read.consume(taken);
        self.read = read;
        next
    }

    fn answer(&mut self, frame: &Frame<'_>) -> std::io::Result<Next> {
        match (&frame.kind, self.agreed) {
            (FrameType::HaproxyHello, None) => self.hello(frame.payload),
            (FrameType::Notify, Some(max)) => {
                let Some(messages) = frame::messages(frame.payload) else {
                    return Ok(Next::Leave(StatusCode::Invalid));
                };
                let verdict = check::verdict(&self.gate, &messages);
                let max = usize::try_from(max).unwrap_or(usize::MAX);
                let answers = (frame.stream, frame.frame);
                check::acknowledge(&mut self.out, answers, verdict.as_ref(), max)?;
                Ok(Next::Read)
            }
            (FrameType::HaproxyDisconnect, _) => Ok(Next::Leave(StatusCode::None)),
            // A second HELLO, a question before the first, or what only an agent may send.
            _ => Ok(Next::Leave(StatusCode::Invalid)),
        }
    }

    fn hello(&mut self, payload: &[u8]) -> std::io::Result<Next> {
        match Hello::of(payload) {
            Err(status) => Ok(Next::Leave(status)),
            Ok(hello) => {
                self.agreed = Some(hello.max_frame_bytes);
                AgentHello {
                    version: SUPPORTED_VERSION,
                    max_frame_size: hello.max_frame_bytes,
                    capabilities: vec![FrameCapabilities::Pipelining],
                }
                .serialize_into(&mut self.out)?;
                // A check of health is over once HELLO was answered; HAProxy closes.
                Ok(Next::Read)
            }
        }
    }
}

/// What both agree on.
struct Hello {
    max_frame_bytes: u32,
}

impl Hello {
    fn of(payload: &[u8]) -> Result<Self, StatusCode> {
        let pairs = frame::pairs(payload).ok_or(StatusCode::Invalid)?;
        let item = |name: &str, missing| {
            let mut found = pairs.iter().filter(|(known, _)| *known == name.as_bytes());
            let (_, value) = found.next().ok_or(missing)?;
            if found.next().is_some() {
                return Err(StatusCode::Invalid);
            }
            Ok(value)
        };
        let versions = item("supported-versions", StatusCode::NoVersion)?;
        let size = item("max-frame-size", StatusCode::NoFrameSize)?;
        let capabilities = item("capabilities", StatusCode::NoCapabilities)?;
        let versions = versions.bytes().ok_or(StatusCode::NoVersion)?;
        // Whoever announces a version speaks all minor versions before it.
        let major = |version: &[u8]| {
            let major = version.trim_ascii().split(|byte| *byte == b'.').next()?;
            std::str::from_utf8(major).ok()?.parse::<u64>().ok()
        };
        if !versions
            .split(|byte| *byte == b',')
            .any(|version| major(version) == Some(SUPPORTED_VERSION.major))
        {
            return Err(StatusCode::BadVersion);
        }
        let Value::Plain(TypedData::UInt32(size)) = size else {
            return Err(StatusCode::NoFrameSize);
        };
        if *size < MIN_FRAME_BYTES {
            return Err(StatusCode::BadFrameSize);
        }
        // Whether HAProxy can pipeline is up to HAProxy; to an agent that can, both look the same.
        capabilities.bytes().ok_or(StatusCode::NoCapabilities)?;
        Ok(Self {
            max_frame_bytes: (*size).min(MAX_FRAME_BYTES),
        })
    }
}
