//! What would have been otherwise, had a candidate decided: exchanges of the past are replayed against it.
//!
//! A token counts once for each kind of change, however many calls it had.

mod difference;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use patrol_policy::types::{Id, Timestamp};
use serde::{Deserialize, Serialize};

use super::exchange::{Exchange, Verdict};
use super::releases::ReleaseError;
use super::replay::Replay;
use super::{Error, Patrol, trial};
use crate::policy::{Options, Policy};
use crate::release::{Release, Step, Unfit};
use crate::store::Store;

pub use difference::{Change, Difference, Matter, Outcome, Subject};

/// A candidate that is asked what was asked before.
pub struct Rehearsal {
    replay: Replay,
    store: Arc<dyn Store>,
    /// About whom decisions count; none: all that everybody's policy decided.
    tenant: Option<Id>,
    totals: Totals,
    changes: BTreeMap<Change, BTreeMap<Subject, Calls>>,
}

/// How many calls there were, and how they compare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Totals {
    /// Calls that were put to the candidate.
    pub calls: u64,
    /// Calls that it would have answered as they were.
    pub unchanged: u64,
    /// Calls that it would have answered otherwise.
    pub changed: u64,
    /// Calls, among these and others, in which it faulted: it did not answer, or allowed what the floor forbids.
    pub faults: u64,
    /// Calls that were not put to it, since the store had failed then.
    pub without_verdict: u64,
    /// Calls that were not put to it, since they were not for it to decide: they were about another tenant, or about
    /// one with a policy of its own.
    pub elsewhere: u64,
}

/// The calls about one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Calls {
    count: u64,
    first: Timestamp,
    last: Timestamp,
}

/// What a rehearsal found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Report {
    /// How many calls.
    #[serde(flatten)]
    pub totals: Totals,
    /// What would change; what concerns the most tokens first.
    pub changes: Vec<Changed>,
    /// Questions that the recorded exchanges could not answer: how often which function was answered from the store as
    /// it is now.
    pub answered_from_the_store: BTreeMap<&'static str, u64>,
}

/// What would change in one way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Changed {
    /// How.
    #[serde(flatten)]
    pub change: Change,
    /// In how many calls.
    pub calls: u64,
    /// Of how many tokens.
    pub tokens: u64,
    /// Of how many owners.
    pub owners: u64,
    /// Each token, or owner.
    pub list: Vec<ChangedOne>,
}

/// One token, owner or tenant that would be answered otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ChangedOne {
    /// The identifiers.
    #[serde(flatten)]
    pub subject: Subject,
    /// The token's name, if there still is such a token.
    pub token_name: Option<String>,
    /// The owner's name.
    pub owner_name: Option<String>,
    /// The tenant's name.
    pub tenant_name: Option<String>,
    /// The token's last use, ms since the epoch.
    pub last_used: Option<Timestamp>,
    /// In how many calls.
    pub calls: u64,
    /// The first such call, ms since the epoch.
    pub first: Timestamp,
    /// The last such call, ms since the epoch.
    pub last: Timestamp,
}

impl Patrol {
    /// Prepares a rehearsal of a release, which is judged and compiled as for staging. `tenant`: whose decisions are to be
    /// replayed, those about a tenant, whosever policy made them, or all that
    /// everybody's made.
    ///
    /// # Errors
    /// The step at which the release is refused.
    pub fn rehearse(&self, release: &Release, tenant: Option<Id>) -> Result<Rehearsal, ReleaseError> {
        self.check_release(release)?;
        self.rehearse_component(release.component(), tenant)
    }

    /// As [`Patrol::rehearse`], with a bare component, which nobody has signed. It can do nothing but be asked.
    ///
    /// # Errors
    /// Where it is not fit to be run.
    pub fn rehearse_component(
        &self,
        component: &[u8],
        tenant: Option<Id>,
    ) -> Result<Rehearsal, ReleaseError> {
        trial::read(component, &self.options)?;
        let options = Options {
            candidate: true,
            ..self.options.clone()
        };
        let candidate = Policy::load(component, &options);
        let candidate = candidate.map_err(|error| Unfit::at(Step::Compile, error.to_string()))?;
        Ok(Rehearsal {
            replay: Replay::new(candidate, &self.store, tenant)?,
            store: Arc::clone(&self.store),
            tenant,
            totals: Totals::default(),
            changes: BTreeMap::new(),
        })
    }
}

impl Rehearsal {
    /// Puts one decision to the candidate again, in the order in which they were made. Says how its answer differs, if
    /// it does.
    ///
    /// # Errors
    /// An outage of the store, which is asked for what the exchange lacks.
    pub fn play(&mut self, exchange: &Arc<Exchange>) -> Result<Option<Difference>, Error> {
        let difference = self.judge(exchange)?;
        if let Some(difference) = &difference {
            self.note(difference);
        }
        Ok(difference)
    }

    /// As [`play`](Self::play), without a note of it in the report.
    pub(super) fn judge(&mut self, exchange: &Arc<Exchange>) -> Result<Option<Difference>, Error> {
        // What a tenant's candidate would decide is what concerns the tenant, whosever policy decided it then. What is
        // everybody's is what everybody's decided.
        let whose = self.tenant.and_then(|_| exchange.concerns()).or(exchange.tenant);
        if whose != self.tenant {
            self.totals.elsewhere = self.totals.elsewhere.saturating_add(1);
            return Ok(None);
        }
        let Some(verdict) = self.replay.play(exchange)? else {
            self.totals.without_verdict = self.totals.without_verdict.saturating_add(1);
            return Ok(None);
        };
        self.totals.calls = self.totals.calls.saturating_add(1);
        if matches!(verdict, Verdict::Fault(_)) {
            self.totals.faults = self.totals.faults.saturating_add(1);
        }
        let difference = Difference::between(exchange, &verdict);
        match &difference {
            None => self.totals.unchanged = self.totals.unchanged.saturating_add(1),
            Some(_) => self.totals.changed = self.totals.changed.saturating_add(1),
        }
        Ok(difference)
    }

    fn note(&mut self, difference: &Difference) {
        let Difference { at, .. } = *difference;
        let subjects = match self.changes.get_mut(&difference.change) {
            Some(subjects) => subjects,
            None => self.changes.entry(difference.change.clone()).or_default(),
        };
        let calls = subjects.entry(difference.subject).or_insert(Calls {
            count: 0,
            first: at,
            last: at,
        });
        calls.count = calls.count.saturating_add(1);
        calls.first = calls.first.min(at);
        calls.last = calls.last.max(at);
    }

    /// How many calls there were so far.
    #[must_use]
    pub const fn totals(&self) -> Totals {
        self.totals
    }

    /// How often which function was answered from the store as it is now.
    pub(super) fn unanswered(&self) -> BTreeMap<&'static str, u64> {
        self.replay.unanswered()
    }

    /// What was found so far, with the names that tokens and owners have now.
    ///
    /// # Errors
    /// An outage of the store.
    pub fn report(&self) -> Result<Report, Error> {
        let read = self.store.read()?;
        let mut changes = Vec::with_capacity(self.changes.len());
        for (change, subjects) in &self.changes {
            let mut list = Vec::with_capacity(subjects.len());
            for (subject, calls) in subjects {
                list.push(named(&*read, *subject, *calls)?);
            }
            list.sort_by(|a, b| {
                let names = |one: &ChangedOne| {
                    (
                        one.tenant_name.clone(),
                        one.owner_name.clone(),
                        one.token_name.clone(),
                    )
                };
                names(a).cmp(&names(b))
            });
            let distinct = |of: fn(&Subject) -> Option<Id>| {
                let ids: BTreeSet<_> = list.iter().filter_map(|one| of(&one.subject)).collect();
                u64::try_from(ids.len()).unwrap_or(u64::MAX)
            };
            changes.push(Changed {
                change: change.clone(),
                calls: subjects
                    .values()
                    .fold(0, |sum, calls| sum.saturating_add(calls.count)),
                tokens: distinct(|subject| subject.token),
                owners: distinct(|subject| subject.owner),
                list,
            });
        }
        changes.sort_by_key(|changed| std::cmp::Reverse((changed.tokens, changed.owners, changed.calls)));
        Ok(Report {
            totals: self.totals,
            changes,
            answered_from_the_store: self.replay.unanswered(),
        })
    }
}

/// One line of the report.
fn named(read: &dyn crate::store::Read, subject: Subject, calls: Calls) -> Result<ChangedOne, Error> {
    let mut one = ChangedOne {
        subject,
        token_name: None,
        owner_name: None,
        tenant_name: None,
        last_used: None,
        calls: calls.count,
        first: calls.first,
        last: calls.last,
    };
    let row = match subject.token {
        Some(token) => read.token_row(token)?,
        None => None,
    };
    if let Some(row) = row {
        one.subject.owner = Some(row.state.token.owner);
        one.token_name = Some(row.name);
        one.owner_name = Some(row.owner_name);
        one.tenant_name = Some(row.tenant_name);
        one.last_used = row.state.token.last_used;
        return Ok(one);
    }
    if let Some(user) = subject.owner.map(|owner| read.user(owner)).transpose()?.flatten() {
        one.owner_name = Some(user.name);
        one.tenant_name = Some(user.tenant_name);
    } else if let Some(tenant) = subject
        .tenant
        .map(|tenant| read.tenant(tenant))
        .transpose()?
        .flatten()
    {
        one.tenant_name = Some(tenant.name);
    }
    Ok(one)
}
