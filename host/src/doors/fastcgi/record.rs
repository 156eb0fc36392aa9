//! Records of FastCGI 1.0: taken apart where they lie, since they hold credentials.
//!
//! Written here because what there is to write is small, and because the library that was tried logs every parameter
//! (the `Authorization` header among them) at the level `trace`, panics at a short `BEGIN_REQUEST`, and allocates by
//! lengths that the other side claims.

/// A record's fixed part.
pub(super) const HEADER_BYTES: usize = 8;
/// The longest record: its fixed part, content and padding.
pub(super) const MAX_RECORD_BYTES: usize = HEADER_BYTES + 65_535 + 255;

const VERSION: u8 = 1;
const KEEP_CONN: u8 = 1;

/// What a record is, by number.
pub(super) mod kind {
    pub(in super::super) const BEGIN_REQUEST: u8 = 1;
    pub(in super::super) const ABORT_REQUEST: u8 = 2;
    pub(in super::super) const END_REQUEST: u8 = 3;
    pub(in super::super) const PARAMS: u8 = 4;
    pub(in super::super) const STDIN: u8 = 5;
    pub(in super::super) const STDOUT: u8 = 6;
    pub(in super::super) const DATA: u8 = 8;
    pub(in super::super) const GET_VALUES: u8 = 9;
    pub(in super::super) const GET_VALUES_RESULT: u8 = 10;
    pub(in super::super) const UNKNOWN_TYPE: u8 = 11;
}

/// The role that decides who comes in.
pub(super) const AUTHORIZER: u16 = 2;

/// How a request ended, by number.
pub(super) mod ended {
    pub(in super::super) const COMPLETE: u8 = 0;
    pub(in super::super) const CANNOT_MULTIPLEX: u8 = 1;
    pub(in super::super) const UNKNOWN_ROLE: u8 = 3;
}

/// One record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) kind: u8,
    pub(super) request: u16,
    pub(super) content: &'a [u8],
}

/// This is no FastCGI, or none of a version that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no record of FastCGI version 1")]
pub(super) struct Malformed;

/// The first record of what was read, and how many bytes it takes; nothing while it is not complete.
pub(super) fn first(read: &[u8]) -> Result<Option<(Record<'_>, usize)>, Malformed> {
    if read.first().is_some_and(|version| *version != VERSION) {
        return Err(Malformed);
    }
    let Some((head, rest)) = read.split_first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    let [
        _,
        kind,
        request_high,
        request_low,
        length_high,
        length_low,
        padding,
        _,
    ] = *head;
    let length = usize::from(u16::from_be_bytes([length_high, length_low]));
    let whole = length.saturating_add(usize::from(padding));
    if rest.len() < whole {
        return Ok(None);
    }
    let record = Record {
        kind,
        request: u16::from_be_bytes([request_high, request_low]),
        content: rest.get(..length).unwrap_or_default(),
    };
    Ok(Some((record, whole.saturating_add(HEADER_BYTES))))
}

/// What a request begins with: its role, and whether the connection is used again.
pub(super) fn begin(content: &[u8]) -> Result<(u16, bool), Malformed> {
    match *content {
        [high, low, flags, ..] if content.len() == 8 => {
            Ok((u16::from_be_bytes([high, low]), flags & KEEP_CONN != 0))
        }
        _ => Err(Malformed),
    }
}

/// The next name, its value, and the rest; nothing where there is none, or not all of it.
pub(super) fn pair(input: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (name, rest) = length(input)?;
    let (value, rest) = length(rest)?;
    let (name, rest) = rest.split_at_checked(name)?;
    let (value, rest) = rest.split_at_checked(value)?;
    Some((name, value, rest))
}

fn length(input: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = input.split_first()?;
    if first & 0x80 == 0 {
        return Some((usize::from(*first), rest));
    }
    let (bytes, rest) = input.split_first_chunk::<4>()?;
    let long = u32::from_be_bytes(*bytes) & 0x7fff_ffff;
    Some((usize::try_from(long).ok()?, rest))
}

/// Adds a record.
pub(super) fn write(out: &mut Vec<u8>, kind: u8, request: u16, content: &[u8]) {
    // What is longer than a record goes into several; an empty one ends a stream.
    let mut rest = content;
    loop {
        let (now, later) = rest.split_at(rest.len().min(usize::from(u16::MAX)));
        let length = u16::try_from(now.len()).unwrap_or_default().to_be_bytes();
        let [request_high, request_low] = request.to_be_bytes();
        let [length_high, length_low] = length;
        out.extend_from_slice(&[
            VERSION,
            kind,
            request_high,
            request_low,
            length_high,
            length_low,
            0,
            0,
        ]);
        out.extend_from_slice(now);
        if later.is_empty() {
            return;
        }
        rest = later;
    }
}

/// Adds the end of a request.
pub(super) fn write_end(out: &mut Vec<u8>, request: u16, how: u8) {
    write(out, kind::END_REQUEST, request, &[0, 0, 0, 0, how, 0, 0, 0]);
}

/// Adds a name and a value, both short.
pub(super) fn write_pair(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    if let (Ok(a @ 0..0x80), Ok(b @ 0..0x80)) = (u8::try_from(name.len()), u8::try_from(value.len())) {
        out.extend_from_slice(&[a, b]);
        out.extend_from_slice(name);
        out.extend_from_slice(value);
    }
}
