//! What is counted, for Prometheus.
//!
//! What happens at each verdict is a counter and a histogram whose handles were made once: counting is two atomic
//! additions. Everything else is looked at when somebody asks for the numbers, or, where looking is work, once a
//! minute by a thread of its own. There is no recorder for the whole process: two gates in one program count apart.
//!
//! Labels are words of which there are few. Reasons of refusals are among them, since the numbers are for operators;
//! identifiers and names of tokens and people are not.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::StatusCode;
use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram, with_local_recorder,
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusRecorder};
use patrol_policy::types::DAY;

use super::{Denial, Door};
use crate::release::hex;
use crate::service::{Patrol, Population};

/// What `patrol_tokens_near_expiry` looks ahead, ms.
pub const NEAR_EXPIRY: patrol_policy::types::Duration = 7 * DAY;

const VERDICTS: &str = "patrol_verdicts_total";
const DURATION: &str = "patrol_verdict_duration_seconds";
const CONNECTIONS: &str = "patrol_connections";
const REFUSALS: &str = "patrol_refusals_total";
const FAULTS: &str = "patrol_policy_faults_total";
const OUTAGES: &str = "patrol_store_outages_total";
const RELOADS: &str = "patrol_config_reloads_total";
const USES: &str = "patrol_store_uses_waiting";
const EVENTS: &str = "patrol_audit_events_waiting";
const LAG: &str = "patrol_flush_lag_seconds";
const LIVE: &str = "patrol_tokens_live";
const NEAR: &str = "patrol_tokens_near_expiry";
const SESSIONS: &str = "patrol_sessions_open";
const STOCK_AGE: &str = "patrol_tokens_counted_age_seconds";
const CLOCK_LAG: &str = "patrol_clock_lag_seconds";
const JOURNAL_ON: &str = "patrol_journal_on";
const JOURNAL_KEPT: &str = "patrol_journal_decisions_total";
const JOURNAL_DROPPED: &str = "patrol_journal_dropped_total";
const JOURNAL_BYTES: &str = "patrol_journal_bytes";
const SHADOW_ON: &str = "patrol_shadow_on";
const SHADOW_DROPPED: &str = "patrol_shadow_dropped";
const NOTICES: &str = "patrol_notices_total";
const UPTIME: &str = "patrol_uptime_seconds";
const DRAINING: &str = "patrol_draining";
const BUILD: &str = "patrol_build_info";
const POLICY: &str = "patrol_policy_info";
const FLOOR: &str = "patrol_policy_floor_violations_total";
const ACTIVATIONS: &str = "patrol_policy_activations_total";
const ROLLBACKS: &str = "patrol_policy_rollbacks_total";
const SWAPPED: &str = "patrol_policy_last_swap_timestamp_seconds";

/// Between two counts of all tokens.
const STOCK_EVERY: Duration = Duration::from_secs(60);

/// Upper bounds, in seconds: a verdict takes some 20 µs, and a gateway waits for 100 ms or so.
const BUCKETS: [f64; 17] = [
    5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1.0,
];

/// How a request was answered: a label of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Let in, with an identity.
    Allowed,
    /// Let in by a route that is open to everyone.
    Anonymous,
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 400.
    BadRequest,
    /// 429.
    TooMany,
    /// 503.
    Undecided,
}

impl Kind {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 7] = [
        Self::Allowed,
        Self::Anonymous,
        Self::Unauthorized,
        Self::Forbidden,
        Self::BadRequest,
        Self::TooMany,
        Self::Undecided,
    ];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Anonymous => "anonymous",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::BadRequest => "bad-request",
            Self::TooMany => "too-many",
            Self::Undecided => "undecided",
        }
    }
}

impl From<StatusCode> for Kind {
    /// What an answer with this status was, of a door whose callers get the answer itself.
    fn from(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Self::Unauthorized,
            StatusCode::FORBIDDEN => Self::Forbidden,
            StatusCode::TOO_MANY_REQUESTS => Self::TooMany,
            StatusCode::BAD_REQUEST => Self::BadRequest,
            status if status.is_server_error() => Self::Undecided,
            _ => Self::Allowed,
        }
    }
}

impl From<&Denial> for Kind {
    fn from(denial: &Denial) -> Self {
        match Self::from(denial.status) {
            // Whatever the status: it was no yes.
            Self::Allowed => Self::Undecided,
            kind => kind,
        }
    }
}

/// What connections come in by: a label of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Listener {
    /// `[server] listen`.
    Http,
    /// `[server] metrics`.
    Metrics,
    /// `[server] grpc`.
    Grpc,
    /// `[server] spop`.
    Spop,
    /// `[server] fastcgi`.
    FastCgi,
}

impl Listener {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 5] = [Self::Http, Self::Metrics, Self::Grpc, Self::Spop, Self::FastCgi];

    /// Its name, as in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Metrics => "metrics",
            Self::Grpc => "grpc",
            Self::Spop => "spop",
            Self::FastCgi => "fastcgi",
        }
    }
}

/// Counts one connection for as long as it lives.
pub struct Connected(Gauge);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// Where verdicts are counted. The default counts nothing.
pub struct Meters {
    verdicts: [[Counter; Kind::ALL.len()]; Door::ALL.len()],
    durations: [Histogram; Door::ALL.len()],
    connections: [Gauge; Listener::ALL.len()],
    recorder: Option<PrometheusRecorder>,
    started: Instant,
    population: Mutex<Option<(Population, Instant)>>,
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            verdicts: std::array::from_fn(|_| std::array::from_fn(|_| Counter::noop())),
            durations: std::array::from_fn(|_| Histogram::noop()),
            connections: std::array::from_fn(|_| Gauge::noop()),
            recorder: None,
            started: Instant::now(),
            population: Mutex::default(),
        }
    }
}

impl Meters {
    /// Counts, for [`Meters::render`]. [`Meters::upkeep`] has to be called every few seconds.
    ///
    /// # Errors
    /// None that is known of: the exporter checks what it is given.
    pub fn prometheus() -> Result<Self, BuildError> {
        let duration = Matcher::Full(DURATION.to_owned());
        let builder = PrometheusBuilder::new().set_buckets_for_metric(duration, &BUCKETS)?;
        let recorder = builder.build_recorder();
        let meters = with_local_recorder(&recorder, || {
            describe();
            let verdicts = |door: Door| {
                Kind::ALL.map(|kind| counter!(VERDICTS, "door" => door.as_str(), "kind" => kind.as_str()))
            };
            Self {
                verdicts: Door::ALL.map(verdicts),
                durations: Door::ALL.map(|door| histogram!(DURATION, "door" => door.as_str())),
                connections: Listener::ALL
                    .map(|listener| gauge!(CONNECTIONS, "listener" => listener.as_str())),
                ..Self::default()
            }
        });
        Ok(Self {
            recorder: Some(recorder),
            ..meters
        })
    }

    /// Whether anybody will ask for what is counted.
    #[must_use]
    pub const fn counts(&self) -> bool {
        self.recorder.is_some()
    }

    /// Counts a verdict. [`Gate::check`](super::Gate::check) does so itself; this is for doors that ask Patrol for
    /// something else.
    pub fn verdict(&self, door: Door, kind: Kind, took: Duration) {
        if self.recorder.is_none() {
            return;
        }
        let counters = self.verdicts.get(door as usize);
        if let Some(counter) = counters.and_then(|counters| counters.get(kind as usize)) {
            counter.increment(1);
        }
        if let Some(histogram) = self.durations.get(door as usize) {
            histogram.record(took.as_secs_f64());
        }
    }

    /// Counts a connection until what is returned is dropped.
    #[must_use]
    pub fn connected(&self, listener: Listener) -> Connected {
        let gauge = self.connections.get(listener as usize);
        let gauge = gauge.cloned().unwrap_or_else(Gauge::noop);
        gauge.increment(1.0);
        Connected(gauge)
    }

    /// Counts a reload of the configuration.
    pub fn reloaded(&self, accepted: bool) {
        self.record(|| {
            let result = if accepted { "accepted" } else { "refused" };
            counter!(RELOADS, "result" => result).increment(1);
        });
    }

    /// Looks at what is work to look at: all tokens. Says how long until it should be looked at again: a minute, more
    /// where it takes so long that it would be busy for more than a hundredth of the time.
    pub fn take_stock(&self, patrol: &Patrol) -> Duration {
        let begun = Instant::now();
        match patrol.population(NEAR_EXPIRY) {
            Ok(population) => {
                let mut known = self.population.lock().unwrap_or_else(PoisonError::into_inner);
                *known = Some((population, Instant::now()));
            }
            Err(error) => tracing::warn!(%error, "tokens could not be counted for the metrics"),
        }
        let took = begun.elapsed();
        STOCK_EVERY.max(took.saturating_mul(100))
    }

    /// Takes in what was noted of verdicts since the last time, so that it does not heap up while nobody asks.
    pub fn upkeep(&self) {
        if let Some(recorder) = &self.recorder {
            recorder.handle().run_upkeep();
        }
    }

    /// All numbers, in Prometheus' text format.
    pub fn render(&self, patrol: &Patrol, draining: bool) -> String {
        self.record(|| self.look(patrol, draining));
        let recorder = self.recorder.as_ref();
        let rendered = recorder.map(|recorder| recorder.handle().render() + &policies(patrol));
        rendered.unwrap_or_default()
    }

    fn record(&self, record: impl FnOnce()) {
        if let Some(recorder) = &self.recorder {
            with_local_recorder(recorder, record);
        }
    }

    fn look(&self, patrol: &Patrol, draining: bool) {
        let tally = patrol.tally();
        for (reason, count) in tally.refusals() {
            counter!(REFUSALS, "reason" => reason).absolute(count);
        }
        for (kind, count) in tally.faults() {
            counter!(FAULTS, "kind" => kind).absolute(count);
        }
        for (rule, count) in tally.floor_violations() {
            counter!(FLOOR, "rule" => rule).absolute(count);
        }
        counter!(ACTIVATIONS).absolute(tally.activations());
        for (cause, count) in tally.rollbacks() {
            counter!(ROLLBACKS, "cause" => cause).absolute(count);
        }
        if let Some(at) = tally.last_swap() {
            gauge!(SWAPPED).set(Duration::from_millis(at).as_secs_f64());
        }
        counter!(OUTAGES).absolute(tally.outages());
        for (channel, outcome, count) in tally.notices() {
            counter!(NOTICES, "channel" => channel.as_str(), "outcome" => outcome.as_str()).absolute(count);
        }
        for result in ["accepted", "refused"] {
            counter!(RELOADS, "result" => result).increment(0);
        }
        let backlog = patrol.backlog();
        gauge!(USES).set(number(backlog.uses));
        gauge!(EVENTS).set(number(backlog.events));
        gauge!(LAG).set(backlog.oldest.as_secs_f64());
        let known = *self.population.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((population, at)) = known {
            gauge!(LIVE).set(number(population.live));
            gauge!(NEAR).set(number(population.ending));
            gauge!(SESSIONS).set(number(population.sessions));
            gauge!(STOCK_AGE).set(at.elapsed().as_secs_f64());
        }
        let journal = patrol.journal_stats();
        gauge!(JOURNAL_ON).set(f64::from(u8::from(journal.on && !journal.failing)));
        counter!(JOURNAL_KEPT).absolute(journal.appended);
        counter!(JOURNAL_DROPPED).absolute(journal.dropped.saturating_add(patrol.oversized_exchanges()));
        gauge!(JOURNAL_BYTES).set(number(journal.bytes));
        let (shadow, unheard) = patrol.shadow_backlog();
        gauge!(SHADOW_ON).set(f64::from(u8::from(shadow)));
        gauge!(SHADOW_DROPPED).set(number(unheard));
        gauge!(CLOCK_LAG).set(Duration::from_millis(patrol.clock_lag()).as_secs_f64());
        gauge!(UPTIME).set(self.started.elapsed().as_secs_f64());
        gauge!(DRAINING).set(f64::from(u8::from(draining)));
        gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    }
}

/// The policies that decide. The recorder never forgets a series, and this one is to be gone with its policy.
fn policies(patrol: &Patrol) -> String {
    let mut text = format!(
        "# HELP {POLICY} 1 for each policy that decides, for everybody or for a tenant, with the SHA-256 of its \
         component\n# TYPE {POLICY} gauge\n"
    );
    for digest in patrol.policy_digests() {
        text.push_str(&format!("{POLICY}{{digest=\"{}\"}} 1\n", hex(&digest)));
    }
    text.push('\n');
    text
}

/// A number of things, of which there are fewer than 2^53.
fn number(count: impl TryInto<u64>) -> f64 {
    let count = count.try_into().unwrap_or(u64::MAX);
    let (high, low) = (count >> 32, count & u64::from(u32::MAX));
    let exact = |half: u64| f64::from(u32::try_from(half).unwrap_or(u32::MAX));
    exact(high).mul_add(4_294_967_296.0, exact(low))
}

fn describe() {
    describe_counter!(
        VERDICTS,
        "Answers to the question whether a request may go on, by who asked"
    );
    describe_histogram!(
        DURATION,
        Unit::Seconds,
        "How long such an answer took, by who asked"
    );
    describe_counter!(
        REFUSALS,
        "What the policy refused, by the reason: for operators, never told to callers"
    );
    describe_counter!(
        FAULTS,
        "Calls in which the policy did not decide, by how it failed"
    );
    describe_counter!(OUTAGES, "Calls in which the store did not answer");
    describe_counter!(RELOADS, "Reloads of the configuration, by how they went");
    describe_gauge!(CONNECTIONS, "Open connections, by what they came in by");
    describe_gauge!(USES, "Tokens and sessions with a use that is not yet on disk");
    describe_gauge!(EVENTS, "Audit events of refusals that are not yet on disk");
    describe_gauge!(
        LAG,
        Unit::Seconds,
        "How long the oldest use has waited to be written; over 30 there are no verdicts"
    );
    describe_gauge!(LIVE, "Live tokens, as last counted");
    describe_gauge!(
        NEAR,
        "Live tokens that end within 7 days unless they are used again, as last counted"
    );
    describe_gauge!(SESSIONS, "Open sessions, as last counted");
    describe_gauge!(
        STOCK_AGE,
        Unit::Seconds,
        "How long ago tokens and sessions were counted"
    );
    describe_gauge!(
        CLOCK_LAG,
        Unit::Seconds,
        "How far the machine's clock is behind the latest time seen; 0 is normal"
    );
    describe_gauge!(
        JOURNAL_ON,
        "1 while decisions are written down in the journal; 0 where that is off, or the last ones could not be written"
    );
    describe_counter!(JOURNAL_KEPT, "Decisions that were written down in the journal");
    describe_counter!(
        JOURNAL_DROPPED,
        "Decisions that were to be written down and were not, since the disk was too slow or full, or they too large"
    );
    describe_gauge!(JOURNAL_BYTES, Unit::Bytes, "What the journal has on disk");
    describe_gauge!(
        SHADOW_ON,
        "1 while a release hears what is decided, without an effect"
    );
    describe_gauge!(
        SHADOW_DROPPED,
        "Decisions that the latest shadow did not hear of, since it was too slow"
    );
    describe_counter!(
        NOTICES,
        "Attempts to tell somebody that a token ends or was revoked, by channel and by what became of it; of these only \
         unreachable is tried again"
    );
    describe_gauge!(UPTIME, Unit::Seconds, "How long ago the program started");
    describe_gauge!(DRAINING, "1 once the program was told to end");
    describe_gauge!(BUILD, "1, with the version of the program");
    describe_counter!(
        FLOOR,
        "ALARM: yeses of a policy that the host turned down, since nothing may allow that, by what forbids it"
    );
    describe_counter!(ACTIVATIONS, "Releases of policies that were activated");
    describe_counter!(ROLLBACKS, "Releases of policies that were rolled back, by why");
    describe_gauge!(
        SWAPPED,
        Unit::Seconds,
        "When another policy began to decide, last, since the epoch; absent where none has since the start"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::{NoticeChannel, NoticeOutcome};

    #[test]
    fn labels_are_found_by_the_order_of_declaration() {
        for (place, door) in Door::ALL.into_iter().enumerate() {
            assert_eq!(door as usize, place, "{door:?}");
        }
        for (place, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place, "{kind:?}");
        }
        for (place, listener) in Listener::ALL.into_iter().enumerate() {
            assert_eq!(listener as usize, place, "{listener:?}");
        }
        for (place, channel) in NoticeChannel::ALL.into_iter().enumerate() {
            assert_eq!(channel as usize, place, "{channel:?}");
        }
        for (place, outcome) in NoticeOutcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, place, "{outcome:?}");
        }
    }

    #[test]
    fn a_number_stays_what_it_is() {
        for count in [0, 1, u64::from(u32::MAX), 1 << 32, (1 << 53) - 1] {
            assert_eq!(format!("{}", number(count)), count.to_string());
        }
    }

    #[test]
    fn two_gates_in_one_program_count_apart() -> Result<(), BuildError> {
        let (one, other) = (Meters::prometheus()?, Meters::prometheus()?);
        one.verdict(Door::Nginx, Kind::Allowed, Duration::from_micros(7));
        let text = |meters: &Meters| {
            meters
                .recorder
                .as_ref()
                .map(|recorder| recorder.handle().render())
        };
        let line = |count: u8| format!("patrol_verdicts_total{{door=\"nginx\",kind=\"allowed\"}} {count}");
        assert!(text(&one).is_some_and(|text| text.contains(&line(1))));
        assert!(text(&other).is_some_and(|text| text.contains(&line(0))));
        let bucket = "patrol_verdict_duration_seconds_bucket{door=\"nginx\",le=\"0.00001\"} 1";
        let rendered = text(&one).unwrap_or_default();
        assert!(rendered.contains(bucket), "{rendered}");
        Ok(())
    }
}
