//! What Patrol does, one method for each thing that a caller can want.
//!
//! [`Patrol`] is a data directory with a policy. Each method asks the policy, checks its yes against the
//! floor, writes the audit event in the same transaction as what it records, and commits.
//! Command line, HTTP and library callers all stand on the same methods.
//!
//! Verification ([`Patrol::authenticate`], [`Patrol::check_session`]) is the hot path and runs in no transaction: it
//! reads the token through the store's coherent cache, and notes the use in memory. R5 stays exact all the same:
//!
//! * whoever reads through this process sees noted uses merged in;
//! * another process, and this one after a crash, sees what is on disk, which is behind by the second between two
//!   flushes. A use that decides whether the token idles out soon ([`WRITE_THROUGH`]) is therefore on disk before
//!   it is answered;
//! * if uses cannot be written for [`STALLED`], there are no more verdicts until they can.

mod access;
mod accounts;
mod activity;
mod call;
mod clients;
mod decision;
mod decisions;
mod directory;
mod error;
mod events;
mod exchange;
mod federation;
mod floor;
mod gateway;
mod governing;
mod history;
mod housekeeping;
mod kept;
mod links;
mod moves;
mod notices;
mod oversight;
mod pepper;
mod policies;
mod preview;
mod question;
mod recorder;
mod rehearsal;
mod releases;
mod replay;
mod request_id;
mod review;
mod second_factor;
mod shadow;
mod sites;
mod statistics;
mod tokens;
mod trial;
mod vitals;
mod watch;
mod ways_in;
mod web;

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use arc_swap::ArcSwap;
use patrol_policy::types::{Audience, Description, Duration, Id, MINUTE, Parameters, Timestamp};

use crate::config::{Config, check_audience};
use crate::journal::Writer;
use crate::policy::Options;
use crate::release::hex;
use crate::store::Store;
use crate::store::sqlite::{OpenOptions, SqliteStore};
use crate::time::{Clock, SystemClock};
use call::Call;
use decision::Decision;
use decisions::Decisions;
use events::{AuditEvent, Journal};
use kept::Kept;
use moves::Moves;
use pepper::Keyring;
use policies::{Chosen, Loader, Policies, Running};
use question::{Describe, Whose};
use recorder::{Draft, Recorder};
use shadow::Shadows;
use statistics::AllStatistics;
use watch::Bell;

pub use access::{Identity, SignIn};
pub use accounts::AccountSignIn;
pub use activity::ActivityHours;
pub use clients::{Client, ClientRefusal, ClientSpec, NewClient};
pub(crate) use directory::normalize;
pub use directory::{NewAccount, UserRef};
pub use error::{Error, OpenError, explain};
pub use events::{Caller, Origin, Outcome};
pub use exchange::{Answer, Asked, Exchange, Matches, Presented, Undecodable, Verdict, Yes};
pub use federation::{PageAdmission, Sought, Stranger, Vouched};
pub use governing::{Ended, Governing};
pub use history::{EndedToken, EndedTokens};
pub use housekeeping::{Housekeeping, ServeLock};
pub use kept::AsOf;
pub use links::{FirstNames, Link};
pub use notices::{
    Named, Notice, NoticeChannel, NoticeEnd, NoticeKind, NoticeOutcome, NoticeReader, NoticeRevocation,
    NoticeToken,
};
pub use oversight::{AuditPage, AuditQuery, ListedUser};
pub use pepper::PepperState;
pub use policies::PassedOver;
pub use preview::{Activated, Found, Preview};
pub use recorder::Listener;
pub use rehearsal::{
    Change, Changed, ChangedOne, Difference, Matter, Outcome as WouldBe, Rehearsal, Report, Subject, Totals,
};
pub use releases::{ReleaseError, Staged};
pub use request_id::RequestId;
pub use review::{
    AuditReport, Doomed, EXAMINED, LARGEST_REVIEW, LARGEST_SELECTION, ReviewCursor, ReviewPage, ReviewQuery,
    ReviewedToken, Revocations,
};
pub use second_factor::{Enrolment, FirstStep, SecondFactor};
pub use shadow::{ShadowChange, ShadowDifference, ShadowStatus};
pub use sites::{NewSiteNames, SiteRef};
pub use statistics::{Ending, SignIns, Statistics};
pub use tokens::{MethodEffect, NewToken, OwnedToken};
pub use vitals::{Backlog, Population, Tally};
pub use watch::Watchman;
pub use ways_in::WaysIn;
pub use web::{WebSignIn, WebVisitor};

// What callers are handed, and hand in: they need know nothing of where it comes from.
pub use crate::policy::{Fault, FloorRule, Violation};
pub use crate::store::{
    AuditEntry, AuditFilter, AuditHead, ReleaseRow, SiteRow, StoreError, TenantRow, TokenFilter, TokenRow,
    TokenSort, TokenStanding, UserRow,
};

/// A use is written through if the token, by its last use on disk, would idle out within this time, in ms.
pub const WRITE_THROUGH: Duration = MINUTE;

/// If uses wait for longer than this to be written, verification fails as an outage.
pub const STALLED: std::time::Duration = std::time::Duration::from_secs(30);

/// The number that stands for an audience which no token was ever created for; see [`Patrol::authenticate`].
const NO_AUDIENCE: Audience = 0;

/// The event of a yes that the floor turned down.
pub const FLOOR_VIOLATION: &str = "policy_floor_violation";

/// How a data directory is opened.
#[derive(Clone)]
pub struct Settings {
    /// Where the data is.
    pub data: PathBuf,
    /// The configuration.
    pub config: Config,
    /// Whether to make the data directory if it is not there.
    pub create: bool,
    /// Whether to check the integrity of the database, which reads all of it.
    pub check: bool,
    /// The policy component; `None`: that of the active release, or else the one built in.
    pub component: Option<Arc<[u8]>>,
    /// Where the component's compiled code is kept; `None`: in the data directory. Whoever can write there can run
    /// code in this process.
    pub compiled: Option<PathBuf>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

impl Settings {
    /// The defaults, for a data directory.
    #[must_use]
    pub fn new(data: &Path) -> Self {
        Self {
            data: data.to_owned(),
            config: Config::default(),
            create: true,
            check: false,
            component: None,
            compiled: None,
            clock: Arc::new(SystemClock::default()),
        }
    }
}

/// A data directory with a policy: everything that Patrol can do. Shared by all threads; further processes may work
/// on the same directory at the same time.
pub struct Patrol {
    data: PathBuf,
    configured: ArcSwap<Configured>,
    policies: ArcSwap<Policies>,
    /// How policies are run.
    options: Options,
    /// Held by whoever activates, so that what runs and what is stored change in the same order.
    activating: Mutex<()>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    audiences: RwLock<HashMap<String, Audience>>,
    journal: Journal,
    recorder: Arc<Recorder>,
    decisions: Decisions,
    shadows: Shadows,
    keyring: Arc<Keyring>,
    moves: Moves,
    stalled: AtomicBool,
    tally: Tally,
    bell: Bell,
    statistics: AllStatistics,
    chain: Kept<AuditReport>,
    preview: Kept<Preview>,
}

/// The configuration, and what the policy is told of it.
struct Configured {
    config: Arc<Config>,
    parameters: Parameters,
}

impl From<Config> for Configured {
    fn from(config: Config) -> Self {
        Self {
            parameters: config.policy.parameters(),
            config: Arc::new(config),
        }
    }
}

/// What there is to know about the active policy.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PolicyInfo {
    /// What it says of itself.
    pub description: Description,
    /// The release that it came from; none: it is built in, or was given to [`Patrol::open`].
    pub release: Option<ReleaseRow>,
    /// Whether it is one tenant's own: others have another.
    pub own: bool,
    /// SHA-256 of the component.
    pub digest: [u8; 32],
    /// The component's size in bytes.
    pub size: usize,
    /// The interfaces that it imports.
    pub imports: Vec<String>,
    /// The interfaces that it exports.
    pub exports: Vec<String>,
}

impl Patrol {
    /// Opens a data directory.
    ///
    /// # Errors
    /// [`OpenError`] says what is wrong and what to do.
    pub fn open(settings: Settings) -> Result<Self, OpenError> {
        let options = OpenOptions {
            create: settings.create,
            check: settings.check,
            ..OpenOptions::default()
        };
        let store = SqliteStore::open(&settings.data, &options)?;
        let policy_config = &settings.config.policy;
        let options = Options {
            cache_dir: Some(
                settings
                    .compiled
                    .unwrap_or_else(|| settings.data.join("compiled")),
            ),
            ..policy_config.options()
        };
        let policies = match &settings.component {
            Some(component) => Policies::fixed(component, &options)?,
            None => {
                let loader = Loader {
                    data: &settings.data,
                    config: policy_config,
                    options: &options,
                    loaded: RefCell::default(),
                    now: None,
                };
                Policies::load(&store, &loader)?
            }
        };
        settings.clock.observe(store.read()?.clock_mark()?);
        let decisions = Decisions::new(Writer::new(&settings.data, Arc::clone(&settings.clock)));
        let patrol = Self {
            keyring: Arc::new(Keyring::new(&settings.data)),
            moves: Moves::default(),
            data: settings.data,
            configured: ArcSwap::from_pointee(Configured::from(settings.config)),
            policies: ArcSwap::from_pointee(policies),
            options,
            activating: Mutex::new(()),
            store: Arc::new(store),
            clock: settings.clock,
            audiences: RwLock::new(HashMap::new()),
            journal: Journal::default(),
            recorder: Arc::default(),
            decisions,
            shadows: Shadows::default(),
            stalled: AtomicBool::new(false),
            tally: Tally::default(),
            bell: Bell::default(),
            statistics: AllStatistics::default(),
            chain: Kept::default(),
            preview: Kept::default(),
        };
        patrol.learn_rules(&patrol.policies.load());
        Ok(patrol)
    }

    /// The data directory.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.configured.load().config)
    }

    /// Puts another configuration in force, for all calls that begin from now on. How the policy component is run
    /// (`isolation`, `warm_max_calls`, `deadline`, `memory`, `table_elements`) stays as it was when the data directory was opened.
    pub fn reconfigure(&self, config: Config) {
        self.configured.store(Arc::new(Configured::from(config)));
        self.learn_rules(&self.policies.load());
        if let Err(error) = self.apply_journal() {
            tracing::error!(%error, "decisions are not written down");
        }
    }

    fn parameters(&self) -> Parameters {
        self.configured.load().parameters
    }

    /// Now, by the clock that the policy sees.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// How far the machine's clock lies behind the highest time ever seen, ms; 0 is normal.
    #[must_use]
    pub fn clock_lag(&self) -> Duration {
        self.clock.lag()
    }

    /// The store, for what only reads.
    #[doc(hidden)]
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// SHA-256 of the component that decides for everybody but tenants with one of their own.
    #[must_use]
    pub fn policy_digest(&self) -> [u8; 32] {
        self.policies.load().everybody().policy.digest()
    }

    /// SHA-256 of each component that decides for anybody, in order.
    #[must_use]
    pub fn policy_digests(&self) -> Vec<[u8; 32]> {
        let policies = self.policies.load();
        let mut digests: Vec<_> = policies
            .all()
            .map(|(_, running)| running.policy.digest())
            .collect();
        digests.sort_unstable();
        digests.dedup();
        digests
    }

    /// What there is to know about the policy that decides for everybody but tenants with one of their own.
    ///
    /// # Errors
    /// A fault of the policy.
    pub fn policy_info(&self) -> Result<PolicyInfo, Error> {
        self.policy_info_of(None)
    }

    /// What there is to know about the policy that decides for this tenant, be it its own or everybody's; of none, about
    /// everybody's.
    ///
    /// # Errors
    /// A fault of the policy.
    pub fn policy_info_of(&self, tenant: Option<Id>) -> Result<PolicyInfo, Error> {
        let policies = self.policies.load();
        let whose = tenant.map_or(Whose::Everybody, Whose::Tenant);
        let chosen = policies.of(whose, &*self.store)?;
        let (running, own) = (chosen.running, policies.is_bound(tenant));
        let described = self.decide(chosen, &Describe { whose }, |_, description| Ok(description));
        // Whoever asks whether Patrol is ready asks this, every few seconds: a yes proves nothing.
        self.watch_faults(running, described.as_ref().err());
        let description = described?;
        let policy = &running.policy;
        Ok(PolicyInfo {
            description,
            release: running.release.clone(),
            own,
            digest: policy.digest(),
            size: policy.size(),
            imports: policy.imports().to_vec(),
            exports: policy.exports().to_vec(),
        })
    }

    /// Whether store and policy answer.
    ///
    /// # Errors
    /// An outage of the store, or a fault of the policy.
    pub fn ready(&self) -> Result<(), Error> {
        self.audit_head()?;
        self.policy_info().map(drop)
    }

    /// Writes everything that waits to be written: uses and refusals, and then what policies want moved.
    ///
    /// # Errors
    /// An outage of the store. No use and no refusal is lost then; a move is, until the token is used again.
    pub fn flush(&self) -> Result<(), Error> {
        self.store.flush()?;
        self.journal.flush(self.now(), || self.store.begin())?;
        self.make_moves()
    }

    /// The end of the audit chain, to be kept somewhere else.
    ///
    /// # Errors
    /// An outage of the store.
    pub fn audit_head(&self) -> Result<AuditHead, Error> {
        Ok(self.store.read()?.audit_head()?)
    }

    /// Repairs a clock that once ran ahead: time may go back to the machine's from the next start on.
    ///
    /// # Errors
    /// An outage of the store.
    pub fn reset_clock(&self, caller: &Caller, to: Timestamp) -> Result<(), Error> {
        let mut transaction = self.store.begin()?;
        let event = AuditEvent::new("reset_clock", self.now(), caller).detail("to", crate::time::rfc3339(to));
        event.write(&mut *transaction)?;
        transaction.put_clock_mark(to, true)?;
        Ok(transaction.commit()?)
    }

    /// Puts a question to the policy that governs, and checks a yes. `conclude` sees it then, and writes down what
    /// follows from it, before any of it is committed.
    fn put<Q: Decision, T>(
        &self,
        question: &Q,
        conclude: impl FnOnce(&mut Call, Q::Yes) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let policies = self.policies.load();
        let chosen = policies.of(question.whose(), &*self.store)?;
        self.ask(chosen, question, conclude)
    }

    /// As [`put`](Self::put), to this policy.
    fn ask<Q: Decision, T>(
        &self,
        chosen: Chosen<'_>,
        question: &Q,
        conclude: impl FnOnce(&mut Call, Q::Yes) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let running = chosen.running;
        let answer = self.decide(chosen, question, conclude);
        let error = answer.as_ref().err();
        self.watch_call(running, error);
        if let Some(Error::Fault(Fault::Floor(violation))) = error {
            self.raise_alarm(running, *violation);
        }
        answer
    }

    fn decide<Q: Decision, T>(
        &self,
        chosen: Chosen<'_>,
        question: &Q,
        conclude: impl FnOnce(&mut Call, Q::Yes) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let transaction = match Q::IN_TRANSACTION {
            true => Some(self.store.begin()?),
            false => None,
        };
        // The time is taken with the lock held, so that what is written is in the order of time.
        let parameters = self.parameters();
        let mut call = Call::new(
            &self.store,
            &self.keyring,
            self.now(),
            parameters,
            question.operation(),
            transaction,
        );
        call.rules = chosen.running.rules(&parameters);
        let own = chosen.tenants.one();
        (call.tenants, call.found) = (chosen.tenants, chosen.found);
        let taking_down = self.recorder.is_on();
        if taking_down {
            call.listen();
        }
        let (mut call, answer) = question.put(&chosen.running.policy, call);
        let answer = call.settle(answer);
        let draft = taking_down
            .then(|| Draft::of(question, own, &mut call, &answer))
            .flatten();
        let result = answer.and_then(|yes| {
            question.check(&mut call, &yes)?;
            let value = conclude(&mut call, yes)?;
            let moved = call.moved;
            call.commit()?;
            self.moves.note(moved);
            Ok(value)
        });
        if let Some(draft) = draft {
            self.recorder.record(draft.finish(result.as_ref().err()));
        }
        result
    }

    /// A policy allowed what nothing may allow. Nobody was let in, but somebody has to know: a policy does not come to
    /// that by a slip. Each is counted; the first of its kind by each policy is told.
    fn raise_alarm(&self, running: &Running, violation: Violation) {
        let Violation { rule, what } = violation;
        self.tally.count_violation(rule);
        let bit = 1_u32.checked_shl(rule as u32).unwrap_or_default();
        if running.broke.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
            return;
        }
        let digest = hex(&running.policy.digest());
        tracing::error!(
            rule = rule.as_str(),
            what,
            component = digest,
            "ALARM: the policy allowed what nothing may allow, and the floor turned it down"
        );
        let event = AuditEvent::new(FLOOR_VIOLATION, self.now(), &Caller::system())
            .detail("rule", rule.as_str())
            .detail("allowed", what)
            .detail("component", digest)
            .detail("release", running.release.as_ref().map(|row| hex(&row.digest)));
        self.journal
            .push(event.failed(&Fault::Floor(violation).into(), false));
    }

    /// Notes that something was asked for in vain.
    fn note(&self, error: &Error, unauthorized: bool, event: AuditEvent) {
        self.tally.count(error);
        let request = event.request_id().map(tracing::field::display);
        match error {
            Error::Fault(fault) => tracing::error!(request, kind = fault.kind(), %fault, "the policy failed"),
            Error::Outage(outage) => tracing::error!(request, %outage, "the store failed"),
            refused => tracing::debug!(request, %refused, "refused"),
        }
        self.journal.push(event.failed(error, unauthorized));
    }

    /// The number of an audience that tokens were created for.
    fn known_audience(&self, name: &str) -> Result<Audience, StoreError> {
        if let Some(number) = self
            .audiences
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
        {
            return Ok(*number);
        }
        let Some(number) = self.store.read()?.audience(name)? else {
            return Ok(NO_AUDIENCE);
        };
        self.audiences
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_owned(), number);
        Ok(number)
    }

    /// The number of an audience, made if it is new.
    fn intern_audience(&self, name: &str) -> Result<Audience, Error> {
        check_audience(name)
            .map_err(|why| Error::Invalid(format!("\"{name}\" cannot be an audience: {why}")))?;
        let known = self.known_audience(name)?;
        if known != NO_AUDIENCE {
            return Ok(known);
        }
        let mut transaction = self.store.begin()?;
        let number = transaction.intern_audience(name)?;
        transaction.commit()?;
        Ok(number)
    }
}

impl Drop for Patrol {
    fn drop(&mut self) {
        if let Err(error) = self.flush() {
            tracing::error!(%error, "last uses and refusals could not be written");
        }
    }
}
