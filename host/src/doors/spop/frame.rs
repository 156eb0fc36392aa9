//! Frames, as HAProxy sends them: taken apart where they lie, since they hold credentials.
//!
//! Layout and names are those of section 3 of HAProxy's `SPOE.txt`. Everything is bounded by the length of the frame,
//! and nothing is allocated by a number that the other side claims.

use spop::types::{TypedData, typed_data};
use spop::{FrameType, StatusCode, decode_varint};

/// The bytes of a frame's length.
pub(super) const PREFIX_BYTES: usize = 4;

const TYPE_STRING: u8 = 8;
const TYPE_BINARY: u8 = 9;
const FIN: u32 = 1;
/// A continued frame: what fragmentation uses, which is not offered.
const UNSET: u8 = 0;

/// One frame.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub(super) kind: FrameType,
    pub(super) stream: u64,
    pub(super) frame: u64,
    pub(super) payload: &'a [u8],
}

/// A value.
#[derive(Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// A string or binary.
    Bytes(&'a [u8]),
    /// Anything else.
    Plain(TypedData),
}

impl<'a> Value<'a> {
    /// Bytes, if it is a string or binary.
    pub(super) const fn bytes(&self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Plain(_) => None,
        }
    }
}

/// One message: its name, and its arguments in order.
pub(super) struct Message<'a> {
    pub(super) name: &'a [u8],
    pub(super) arguments: Vec<(&'a [u8], Value<'a>)>,
}

/// The first frame of what was read, and how many bytes it takes; nothing while it is not complete.
///
/// # Errors
/// The status to disconnect with.
pub(super) fn first(read: &[u8], max_bytes: u32) -> Result<Option<(Frame<'_>, usize)>, StatusCode> {
    let Some((prefix, rest)) = read.split_first_chunk::<PREFIX_BYTES>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*prefix);
    // Before the rest of it is waited for.
    if length > max_bytes {
        return Err(StatusCode::TooBig);
    }
    let length = usize::try_from(length).map_err(|_| StatusCode::TooBig)?;
    let Some(body) = rest.get(..length) else {
        return Ok(None);
    };
    let frame = parse(body)?;
    Ok(Some((frame, length.saturating_add(PREFIX_BYTES))))
}

fn parse(body: &[u8]) -> Result<Frame<'_>, StatusCode> {
    let (kind, rest) = body.split_first().ok_or(StatusCode::Invalid)?;
    let (flags, rest) = rest.split_first_chunk::<4>().ok_or(StatusCode::Invalid)?;
    let flags = u32::from_be_bytes(*flags);
    if *kind == UNSET || flags & FIN == 0 {
        return Err(StatusCode::FragmentationNotSupported);
    }
    if flags != FIN {
        return Err(StatusCode::Invalid);
    }
    let kind = FrameType::from_u8(*kind).map_err(|_| StatusCode::Invalid)?;
    let (rest, stream) = decode_varint(rest).map_err(|_| StatusCode::Invalid)?;
    let (payload, frame) = decode_varint(rest).map_err(|_| StatusCode::Invalid)?;
    Ok(Frame {
        kind,
        stream,
        frame,
        payload,
    })
}

/// A list of keys and values to its end; nothing where it is malformed.
pub(super) fn pairs(mut payload: &[u8]) -> Option<Vec<(&[u8], Value<'_>)>> {
    let mut pairs = Vec::new();
    while !payload.is_empty() {
        let (name, value, rest) = pair(payload)?;
        pairs.push((name, value));
        payload = rest;
    }
    Some(pairs)
}

/// A list of messages to its end; nothing where it is malformed.
pub(super) fn messages(mut payload: &[u8]) -> Option<Vec<Message<'_>>> {
    let mut messages = Vec::new();
    while !payload.is_empty() {
        let (name, rest) = string(payload)?;
        let (count, mut rest) = rest.split_first()?;
        let mut arguments = Vec::new();
        for _ in 0..*count {
            let (name, value, after) = pair(rest)?;
            arguments.push((name, value));
            rest = after;
        }
        messages.push(Message { name, arguments });
        payload = rest;
    }
    Some(messages)
}

/// A name, its value, and the rest.
fn pair(input: &[u8]) -> Option<(&[u8], Value<'_>, &[u8])> {
    let (name, rest) = string(input)?;
    let (value, rest) = value(rest)?;
    Some((name, value, rest))
}

fn value(input: &[u8]) -> Option<(Value<'_>, &[u8])> {
    let (kind, rest) = input.split_first()?;
    if matches!(kind & 0x0f, TYPE_STRING | TYPE_BINARY) {
        let (bytes, rest) = string(rest)?;
        return Some((Value::Bytes(bytes), rest));
    }
    let (rest, value) = typed_data(input).ok()?;
    Some((Value::Plain(value), rest))
}

/// A length and so many bytes.
pub(super) fn string(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (rest, length) = decode_varint(input).ok()?;
    rest.split_at_checked(usize::try_from(length).ok()?)
}
