//! Time: the clock that the host hands to the policy, and the ways in which people write instants and durations.

use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::fmt::temporal::DateTimePrinter;
use jiff::{Span, SpanRelativeTo, Unit, civil::Date, tz::TimeZone};
use patrol_policy::types::{DAY, Duration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A source of time in milliseconds since the epoch, UTC.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;

    /// Learns of a time that was seen before, in this run or an earlier one.
    fn observe(&self, _mark: Timestamp) {}

    /// How far the machine's clock lies behind the highest time ever seen, ms; 0 is normal.
    fn lag(&self) -> Duration {
        0
    }
}

/// The machine's clock, kept from going back: where it does, time stands still until it has caught up. Otherwise
/// a machine that wakes up in the past would let in what had expired (R6).
#[derive(Debug, Default)]
pub struct SystemClock {
    highest: AtomicU64,
}

impl SystemClock {
    fn wall() -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let wall = Self::wall();
        self.highest.fetch_max(wall, Ordering::Relaxed).max(wall)
    }

    fn observe(&self, mark: Timestamp) {
        self.highest.fetch_max(mark, Ordering::Relaxed);
    }

    fn lag(&self) -> Duration {
        self.highest.load(Ordering::Relaxed).saturating_sub(Self::wall())
    }
}

/// A clock that stands where it is put: for tests, rehearsals and anything else in virtual time. It may go back.
#[derive(Debug, Default)]
pub struct ManualClock {
    now: AtomicU64,
}

impl ManualClock {
    /// A clock standing at `now`.
    #[must_use]
    pub const fn at(now: Timestamp) -> Self {
        Self {
            now: AtomicU64::new(now),
        }
    }

    /// Puts the clock to `now`.
    pub fn set(&self, now: Timestamp) {
        self.now.store(now, Ordering::SeqCst);
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.now.fetch_add(by, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.now.load(Ordering::SeqCst)
    }
}

/// A text that is no instant or duration, with what would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not {expected}")]
pub struct ParseError {
    text: String,
    expected: &'static str,
}

/// Prints an instant as RFC 3339 in UTC, with milliseconds.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    static PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
    // Years past 9999 have no such form: the farthest that has stands for them.
    let at = i64::try_from(at)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    PRINTER.timestamp_to_string(&at.unwrap_or(jiff::Timestamp::MAX))
}

/// Reads an instant: RFC 3339, or a date, which stands for the end of that day in UTC: a token that expires on
/// 2027-01-31 still works on that day.
///
/// # Errors
/// Where the text is neither, or lies before 1970.
pub fn parse_instant(text: &str) -> Result<Timestamp, ParseError> {
    let error = || ParseError {
        text: text.to_owned(),
        expected: "a date such as 2027-01-31 or an instant such as 2027-01-31T17:00:00Z",
    };
    let instant = match Date::from_str(text) {
        Ok(date) if text.len() == 10 => {
            let next = date.tomorrow().map_err(|_| error())?;
            TimeZone::UTC.to_timestamp(next.into()).map_err(|_| error())?
        }
        _ => jiff::Timestamp::from_str(text).map_err(|_| error())?,
    };
    Timestamp::try_from(instant.as_millisecond()).map_err(|_| error())
}

/// Reads an instant in RFC 3339.
///
/// # Errors
/// Where the text is none, or lies before 1970.
pub fn parse_rfc3339(text: &str) -> Result<Timestamp, ParseError> {
    let error = || ParseError {
        text: text.to_owned(),
        expected: "an instant such as 2027-01-31T17:00:00Z",
    };
    let instant = jiff::Timestamp::from_str(text).map_err(|_| error())?;
    Timestamp::try_from(instant.as_millisecond()).map_err(|_| error())
}

/// Reads a duration such as `90d`, `4h`, `30m` or `1h 30m`; a day is 24 hours (R5).
///
/// # Errors
/// Where the text is none, or negative.
pub fn parse_duration(text: &str) -> Result<Duration, ParseError> {
    let error = || ParseError {
        text: text.to_owned(),
        expected: "a duration such as 90d, 4h, 30m or \"1h 30m\"",
    };
    let span = Span::from_str(text).map_err(|_| error())?;
    let duration = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| error())?;
    Duration::try_from(duration.as_millis()).map_err(|_| error())
}

/// Reads an expiration: an instant, or a duration from `now`.
///
/// # Errors
/// Where the text is neither.
pub fn parse_expiration(text: &str, now: Timestamp) -> Result<Timestamp, ParseError> {
    if let Ok(instant) = parse_instant(text) {
        return Ok(instant);
    }
    let duration = parse_duration(text).map_err(|_| ParseError {
        text: text.to_owned(),
        expected: "an expiration: a date (2027-01-31, the end of that day UTC), an instant \
                   (2027-01-31T17:00:00Z) or a duration from now (90d)",
    })?;
    Ok(now.saturating_add(duration))
}

/// Prints a duration in the largest units that hold it whole, such as `15d` or `1h 30m`.
#[must_use]
pub fn print_duration(ms: Duration) -> String {
    let span = i64::try_from(ms)
        .ok()
        .and_then(|ms| Span::new().try_milliseconds(ms).ok())
        .and_then(|span| {
            span.round(
                jiff::SpanRound::new()
                    .largest(Unit::Day)
                    .days_are_24_hours()
                    .smallest(Unit::Millisecond),
            )
            .ok()
        });
    span.map_or_else(|| format!("{ms}ms"), |span| format!("{span:#}"))
}

/// A duration in a configuration file: a text such as `"15d"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Millis(pub Duration);

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_duration(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&print_duration(self.0))
    }
}

/// Says how far `at` lies from `now`, rounded, such as `in 3 days` or `2 hours ago`.
#[must_use]
pub fn roughly(at: Timestamp, now: Timestamp) -> String {
    const UNITS: [(Duration, &str); 4] = [
        (DAY, "day"),
        (3_600_000, "hour"),
        (60_000, "minute"),
        (1_000, "second"),
    ];
    let distance = at.abs_diff(now);
    let Some((count, unit)) = UNITS
        .iter()
        .find(|(size, _)| distance >= *size)
        .and_then(|(size, unit)| Some((distance.saturating_add(size / 2).checked_div(*size)?, *unit)))
    else {
        return "now".to_owned();
    };
    let plural = if count == 1 { "" } else { "s" };
    if at > now {
        format!("in {count} {unit}{plural}")
    } else {
        format!("{count} {unit}{plural} ago")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_date_stands_for_the_end_of_that_day_in_utc() {
        assert_eq!(
            rfc3339(parse_instant("2027-01-31").unwrap()),
            "2027-02-01T00:00:00.000Z"
        );
        assert_eq!(
            rfc3339(parse_instant("2027-01-31T17:00:00+01:00").unwrap()),
            "2027-01-31T16:00:00.000Z"
        );
    }

    #[test]
    fn a_day_is_86_400_seconds() {
        assert_eq!(parse_duration("90d").unwrap(), 90 * 86_400_000);
        assert_eq!(parse_duration("1h 30m").unwrap(), 5_400_000);
        assert_eq!(parse_expiration("90d", 5).unwrap(), 90 * 86_400_000 + 5);
    }

    #[test]
    fn nonsense_is_refused_with_what_would_do() {
        for text in [
            "",
            "soon",
            "2027-02-30",
            "-3d",
            "1969-12-31T00:00:00Z",
            "90",
            "2027-1-1",
        ] {
            let error = parse_expiration(text, 0).unwrap_err().to_string();
            assert!(error.contains("2027-01-31"), "{text}: {error}");
        }
    }

    #[test]
    fn durations_are_printed_as_they_are_read() {
        for text in ["15d", "4h", "30m", "1h 30m", "90d", "250ms"] {
            assert_eq!(print_duration(parse_duration(text).unwrap()), text);
        }
    }

    #[test]
    fn the_system_clock_never_goes_behind_a_time_it_has_seen() {
        let clock = SystemClock::default();
        let future = clock.now() + DAY;
        clock.observe(future);
        assert_eq!(clock.now(), future);
        assert!(clock.lag() > DAY - 60_000);
    }

    #[test]
    fn distances_are_told_in_words() {
        assert_eq!(roughly(3 * DAY, 0), "in 3 days");
        assert_eq!(roughly(15 * DAY - 20, 0), "in 15 days");
        assert_eq!(roughly(0, 3_600_000), "1 hour ago");
        assert_eq!(roughly(5, 5), "now");
    }
}
