//! Which request something happened in: the thread that ties a gateway's log, Patrol's log and the audit trail.

use std::cell::Cell;
use std::fmt;

use serde::{Serialize, Serializer};

/// The longest identifier, in characters. A secret of Patrol's is longer.
const LONGEST: usize = 64;

/// Identifies one request: the trace-id of its `traceparent` (W3C Trace Context), what its sender wrote into
/// `x-request-id`, or made anew.
///
/// The first two are the sender's word: good for finding things, no proof of anything. They may hold no more than
/// letters, digits, `-`, `.` and `:`, at most 64 of them, so that nothing can be smuggled into a log, and neither a
/// token nor a session can stand in one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId {
    text: [u8; LONGEST],
    length: u8,
}

impl RequestId {
    /// From the value of `x-request-id`; none where it does not qualify.
    #[must_use]
    pub fn from_text(value: &[u8]) -> Option<Self> {
        let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b':');
        if value.is_empty() || !value.iter().all(fits) {
            return None;
        }
        Self::of(value)
    }

    /// The trace-id from the value of `traceparent`; none where that is not valid by W3C Trace Context, level 2.
    #[must_use]
    pub fn from_traceparent(value: &[u8]) -> Option<Self> {
        let mut parts = value.splitn(5, |byte| *byte == b'-');
        let mut hex = |digits: usize| {
            let part = parts.next()?;
            let lower = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            (part.len() == digits && part.iter().all(lower)).then_some(part)
        };
        let (version, trace, parent, _flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
        let zero = |part: &[u8]| part.iter().all(|byte| *byte == b'0');
        // Later versions may have more parts; the first one has not.
        let too_much = version == b"00" && parts.next().is_some();
        if version == b"ff" || too_much || zero(trace) || zero(parent) {
            return None;
        }
        Self::of(trace)
    }

    /// A new one, of the form of a trace-id: unique, though not secret.
    #[must_use]
    pub fn fresh() -> Self {
        thread_local! {
            static STATE: Cell<Option<(u64, u64)>> = const { Cell::new(None) };
        }
        // A system call for each request would cost more than the verdict's own randomness, which is none.
        let (thread, count) = STATE.get().unwrap_or_else(|| {
            let mut seed = [0; 8];
            // Without randomness, numbers that start at the address of something on this thread's stack.
            if getrandom::fill(&mut seed).is_err() {
                seed = (std::ptr::from_ref(&seed).addr() as u64).to_be_bytes();
            }
            (u64::from_be_bytes(seed) | 1, 0)
        });
        let count = count.wrapping_add(1);
        STATE.set(Some((thread, count)));
        let id = (u128::from(thread) << 64) | u128::from(mixed(thread ^ count));
        let mut text = [0; LONGEST];
        for (pair, byte) in text.chunks_exact_mut(2).zip(id.to_be_bytes()) {
            if let [high, low] = pair {
                (*high, *low) = (digit(byte >> 4), digit(byte & 15));
            }
        }
        Self { text, length: 32 }
    }

    fn of(value: &[u8]) -> Option<Self> {
        let mut text = [0; LONGEST];
        text.get_mut(..value.len())?.copy_from_slice(value);
        let length = u8::try_from(value.len()).ok()?;
        Some(Self { text, length })
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let text = self.text.get(..usize::from(self.length)).unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }
}

/// The hexadecimal digit of a number below 16.
const fn digit(number: u8) -> u8 {
    match number {
        ..10 => b'0'.wrapping_add(number),
        _ => b'a'.wrapping_add(number).wrapping_sub(10),
    }
}

/// Spreads neighbouring numbers, each to another one (the finalizer of `SplitMix64`).
const fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::collections::HashSet;

    use patrol_policy::token::{Kind, compose};
    use patrol_policy::types::Id;

    use super::*;

    #[test]
    fn the_trace_id_of_a_valid_traceparent_is_taken() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        for value in [
            format!("00-{trace}-00f067aa0ba902b7-01"),
            format!("cc-{trace}-00f067aa0ba902b7-01"),
            format!("cc-{trace}-00f067aa0ba902b7-01-what-comes-later"),
        ] {
            let id = RequestId::from_traceparent(value.as_bytes()).unwrap();
            assert_eq!(id.as_str(), trace, "{value}");
        }
    }

    #[test]
    fn anything_else_is_no_traceparent() {
        for value in [
            "",
            "00",
            "4bf92f3577b34da6a3ce929d0e0e4736",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e47361-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(RequestId::from_traceparent(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn what_its_sender_wrote_is_bounded_and_plain() {
        for good in [
            "7",
            "0198b1f2-7c1e-7d3a-9d6e-0a1b2c3d4e5f",
            "Root:1.5-x",
            &"a".repeat(64),
        ] {
            assert_eq!(RequestId::from_text(good.as_bytes()).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "a b",
            "a\nb",
            "a\"b",
            "a_b",
            "ä",
            "a/b",
            "a?b=c",
            &"a".repeat(65),
        ] {
            assert_eq!(RequestId::from_text(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn no_secret_can_stand_in_one_r1() {
        for kind in [Kind::Pat, Kind::Session, Kind::Client] {
            let secret = compose(kind, Id::from_u128(1), &[7; 32]);
            let text = secret.expose();
            let prefix = kind.prefix().len();
            assert_eq!(RequestId::from_text(text), None);
            assert_eq!(RequestId::from_text(text.get(prefix..).unwrap()), None);
        }
    }

    #[test]
    fn new_ones_are_valid_trace_ids_and_never_the_same() {
        let made = || (0..1_000).map(|_| RequestId::fresh()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(made)).collect();
        let ids: HashSet<_> = threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect();
        assert_eq!(ids.len(), 4_000);
        for id in ids {
            let parent = format!("00-{id}-00f067aa0ba902b7-01");
            assert_eq!(RequestId::from_traceparent(parent.as_bytes()), Some(id));
        }
    }
}
