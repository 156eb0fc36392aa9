//! Times as people read them: in the viewer's zone, with the exact instant for machines.
//!
//! The zone is told by a cookie that the script sets from what the browser knows. Without it, times are in UTC and say so.

use std::fmt;

use askama::filters::HtmlSafe;
use axum::http::HeaderMap;
use jiff::tz::TimeZone;
use patrol_policy::types::{DAY, HOUR, MINUTE, Timestamp};

use super::guard;
use super::strings::{text, text_with};
use crate::time::rfc3339;

/// The cookie with the name of the viewer's zone.
const ZONE: &str = "patrol-zone";

/// The viewer's zone, and what time it is.
#[derive(Clone)]
pub(super) struct Zone {
    zone: TimeZone,
    now: Timestamp,
}

impl Zone {
    pub(super) fn of(headers: &HeaderMap, now: Timestamp) -> Self {
        let named = guard::sent(headers, ZONE).and_then(|name| {
            let name = percent_encoding::percent_decode(name.expose());
            let name = name.decode_utf8().ok()?.into_owned();
            // From the database that is built in: no path leads anywhere.
            TimeZone::get(&name).ok()
        });
        Self {
            zone: named.unwrap_or(TimeZone::UTC),
            now,
        }
    }

    /// The zone of days that are counted for everybody.
    pub(super) const fn utc() -> Self {
        Self {
            zone: TimeZone::UTC,
            now: 0,
        }
    }

    pub(super) const fn now(&self) -> Timestamp {
        self.now
    }

    /// The zone itself, for what reads times that the viewer wrote.
    pub(super) const fn zone(&self) -> &TimeZone {
        &self.zone
    }

    fn formatted(&self, at: Timestamp, format: &str) -> String {
        let at = i64::try_from(at)
            .ok()
            .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        let zoned = at
            .unwrap_or(jiff::Timestamp::MAX)
            .to_zoned_datetime(self.zone.clone());
        zoned.strftime(format).to_string()
    }

    /// Day and minute.
    pub(super) fn when(&self, at: Timestamp) -> Time {
        self.time(at, self.formatted(at, "%-d %b %Y, %H:%M"))
    }

    /// The day.
    pub(super) fn date(&self, at: Timestamp) -> Time {
        self.time(at, self.formatted(at, "%-d %b %Y"))
    }

    /// Day and month, for where there is little room.
    pub(super) fn short_date(&self, at: Timestamp) -> String {
        self.formatted(at, "%-d %b")
    }

    /// How long ago it was, or how long it will be.
    pub(super) fn ago(&self, at: Timestamp) -> Time {
        let (distance, past) = if at > self.now {
            (at.saturating_sub(self.now), false)
        } else {
            (self.now.saturating_sub(at), true)
        };
        let (key, count) = match distance {
            0..MINUTE => ("time-moments", 0),
            MINUTE..HOUR => ("time-minutes", distance / MINUTE),
            HOUR..DAY => ("time-hours", distance / HOUR),
            _ => ("time-days", distance / DAY),
        };
        let span = text_with(key, &[("count", &count.to_string())]);
        let key = if past { "time-ago" } else { "time-in" };
        self.time(at, text_with(key, &[("span", &span)]))
    }

    fn time(&self, at: Timestamp, shown: String) -> Time {
        let exact = self.formatted(at, "%-d %b %Y, %H:%M:%S %Z");
        Time {
            machine: rfc3339(at),
            exact,
            shown,
        }
    }

    /// The zone's name, as pages say it.
    pub(super) fn name(&self) -> String {
        self.zone
            .iana_name()
            .map_or_else(|| text("time-utc"), ToOwned::to_owned)
    }
}

/// A time as an element of the page.
pub(super) struct Time {
    machine: String,
    exact: String,
    shown: String,
}

// All three are digits, letters and signs of ours: nothing of them has a meaning in HTML.
impl HtmlSafe for Time {}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            machine,
            exact,
            shown,
        } = self;
        write!(f, "<time datetime=\"{machine}\" title=\"{exact}\">{shown}</time>")
    }
}
