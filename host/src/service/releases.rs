//! Which policy runs: releases are staged, activated and rolled back, each with an audit event.
//!
//! A release is staged once everything that can be known of it is known: its file was judged
//! ([`Release::check`]), its component was read, compared with the contract, compiled and started under the limits of
//! every policy, and it gave known answers in throw-away data directories ([`trial`](super::trial)). Activation is one
//! row, written together with its audit event, so a crash leaves the old release active or the new one. What runs is
//! replaced right after: the old policy decides until the new one is compiled and ready, and calls under way end with the
//! one they began with.

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use patrol_policy::types::Id;

use super::events::{AuditEvent, Caller};
use super::pepper::KEYRING;
use super::policies::{Loader, PassedOver, Policies, Running};
use super::vitals::RolledBack;
use super::{Error, OpenError, Patrol, ServeLock, trial};
use crate::config::PolicyConfig;
use crate::release::{Release, Shelf, Step, Unfit, hex};
use crate::scenario::Report;
use crate::store::{ReleaseRow, StoreError};

/// Why a release was not staged, activated or rolled back; nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// It is refused.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// It cannot be kept.
    #[error("cannot keep the release in {}: {source}", .path.display())]
    Shelf {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is none.
    #[error(
        "no release, or more than one, has an id that begins with \"{0}\": `patrol policy list` lists them"
    )]
    NotFound(String),
    /// It has no higher number than the active one.
    #[error(
        "release {number} of {name} is not after release {active}, which is active: give `--allow-downgrade` if it is \
         to be activated nevertheless"
    )]
    Downgrade {
        /// The policy's name.
        name: String,
        /// Its number.
        number: u32,
        /// The active one's.
        active: u32,
    },
    /// It is active.
    #[error("this release is active already")]
    Active,
    /// It cannot verify tokens that there are.
    #[error(
        "release {number} of {name} imports no keyring, and would refuse {tokens} tokens that are kept with the pepper: \
         activate one that does, or add --allow-downgrade"
    )]
    Pepperless {
        /// Its policy's name.
        name: String,
        /// Its number.
        number: u32,
        /// How many tokens are kept with the pepper.
        tokens: u64,
    },
    /// The built-in policy is active.
    #[error("the built-in policy is active: there is nothing to roll back")]
    BuiltIn,
    /// The tenant has what everybody has.
    #[error("the tenant has no release of its own: there is nothing to roll back")]
    NotBound,
    /// No policy at all can be run.
    #[error(transparent)]
    Run(#[from] OpenError),
    /// Something else failed.
    #[error(transparent)]
    Service(#[from] Error),
}

/// Why a release is rolled back.
pub(super) enum Cause<'a> {
    /// An operator asks for it.
    Operator,
    /// It faulted too often.
    Faults {
        /// What did.
        running: &'a Arc<Running>,
        /// How often, among so many calls of late.
        faults: u32,
        calls: u32,
        /// The last fault in words.
        last: String,
    },
}

impl Cause<'_> {
    const fn kind(&self) -> RolledBack {
        match self {
            Self::Operator => RolledBack::Operator,
            Self::Faults { .. } => RolledBack::Faults,
        }
    }
}

impl From<StoreError> for ReleaseError {
    fn from(error: StoreError) -> Self {
        Self::Service(error.into())
    }
}

/// A release that was staged.
#[derive(Clone, Debug)]
pub struct Staged {
    /// Which.
    pub release: ReleaseRow,
    /// In which of the shipped scenarios it does not do as the built-in policy does; none of them is binding.
    pub differs: Vec<Report>,
}

impl Patrol {
    /// The release that decides for everybody but tenants with one of their own; none: the built-in policy, or one that
    /// was given to [`Patrol::open`].
    #[must_use]
    pub fn running_release(&self) -> Option<ReleaseRow> {
        self.policies.load().everybody().release.clone()
    }

    /// The tenants with a release of their own, and which.
    #[must_use]
    pub fn running_for_tenants(&self) -> Vec<(Id, ReleaseRow)> {
        let policies = self.policies.load();
        let tenants = policies.tenants();
        let mut running: Vec<_> = tenants
            .filter_map(|(tenant, running)| Some((tenant, running.release.clone()?)))
            .collect();
        running.sort_by_key(|(tenant, _)| *tenant);
        running
    }

    /// Releases that should run and could not be loaded.
    #[must_use]
    pub fn passed_over(&self) -> Vec<PassedOver> {
        self.policies.load().passed_over().to_vec()
    }

    /// Puts in force what was activated and rolled back by other processes since.
    ///
    /// # Errors
    /// An outage of the store, or a machine that cannot run any policy; what ran goes on then.
    pub fn refresh_policies(&self, _no_server: &ServeLock) -> Result<(), OpenError> {
        let _order = self.activating.lock().unwrap_or_else(PoisonError::into_inner);
        if self.policies.load().are_current(&*self.store)? {
            return Ok(());
        }
        let config = self.config();
        let policies = Policies::load(&*self.store, &self.loader(&config.policy))?;
        self.learn_rules(&policies);
        self.policies.store(Arc::new(policies));
        Ok(())
    }

    /// Has the audit trail say which releases should run and do not.
    ///
    /// # Errors
    /// An outage of the store.
    pub fn note_passed_over(&self) -> Result<(), Error> {
        let passed_over = self.passed_over();
        if passed_over.is_empty() {
            return Ok(());
        }
        let mut transaction = self.store.begin()?;
        for PassedOver { release, tenant, why } in &passed_over {
            let event = release_event("pass_over_policy", self, &Caller::system(), release, *tenant);
            event.detail("why", why.as_str()).write(&mut *transaction)?;
        }
        Ok(transaction.commit()?)
    }

    /// All releases that were ever staged, the latest first.
    ///
    /// # Errors
    /// An outage of the store.
    pub fn releases(&self) -> Result<Vec<ReleaseRow>, Error> {
        Ok(self.store.read()?.releases()?)
    }

    /// The releases that were activated and not rolled back, the active one first, of a tenant of its own or else
    /// everybody's; none: the tenant has what everybody has, and everybody has the built-in policy.
    ///
    /// # Errors
    /// An outage of the store.
    pub fn activations(&self, tenant: Option<Id>) -> Result<Vec<ReleaseRow>, Error> {
        Ok(self.store.read()?.activations(tenant)?)
    }

    /// The file of a release that was staged, found by the first digits of its id.
    ///
    /// # Errors
    /// Where there is none, or where it is not what was staged.
    pub fn release(&self, id: &str) -> Result<(ReleaseRow, Release), ReleaseError> {
        let id = id.to_ascii_lowercase();
        let mut fitting = self.store.read()?.releases()?;
        fitting.retain(|row| !id.is_empty() && hex(&row.digest).starts_with(&id));
        let row = fitting.pop().filter(|_| fitting.is_empty());
        let row = row.ok_or(ReleaseError::NotFound(id))?;
        let release = Shelf::of(&self.data).load(&row.digest)?;
        Ok((row, release))
    }

    /// Judges a release, tries it out, and keeps it, so that it can be activated.
    ///
    /// # Errors
    /// The step at which it was refused, and what to do.
    pub fn stage(&self, caller: &Caller, release: &Release) -> Result<Staged, ReleaseError> {
        self.check_release(release)?;
        trial::read(release.component(), &self.options)?;
        let shelf = Shelf::of(&self.data);
        let failed = |source| ReleaseError::Shelf {
            path: shelf.directory().to_owned(),
            source,
        };
        shelf.make().map_err(failed)?;
        let differs = trial::run(
            &shelf.scratch(),
            &self.options,
            release.component(),
            &self.config().policy,
        )?;
        shelf.keep(release).map_err(failed)?;
        let manifest = release.manifest();
        let row = ReleaseRow {
            digest: release.digest(),
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            number: manifest.release,
            staged: self.now(),
        };
        let mut transaction = self.store.begin()?;
        transaction.insert_release(&row)?;
        let signer = release.signer().map(ToString::to_string);
        let names: Vec<_> = differs.iter().map(|report| report.name.as_str()).collect();
        release_event("stage_policy", self, caller, &row, None)
            .detail("signer", signer)
            .detail("differs", names)
            .write(&mut *transaction)?;
        transaction.commit()?;
        Ok(Staged {
            release: row,
            differs,
        })
    }

    /// Makes a release that was staged the active one, of one tenant or of everybody. The next call to the policy is
    /// answered by it; nothing else serves this data directory, as the lock shows.
    ///
    /// # Errors
    /// Where it is not fit any more, where it is active, or where it is not after the one that is.
    pub fn activate(
        &self,
        _no_other_server: &ServeLock,
        caller: &Caller,
        id: &str,
        tenant: Option<Id>,
        allow_downgrade: bool,
    ) -> Result<ReleaseRow, ReleaseError> {
        let (row, release) = self.release(id)?;
        self.check_release(&release)?;
        trial::read(release.component(), &self.options)?;
        let _order = self.activating.lock().unwrap_or_else(PoisonError::into_inner);
        let config = self.config();
        let running = self
            .loader(&config.policy)
            .release(row.clone())
            .map_err(|why| Unfit::at(Step::Compile, why))?;
        if !allow_downgrade && !running.policy.imports().iter().any(|name| name == KEYRING) {
            let tokens = self.count_peppered()?;
            if tokens > 0 {
                let ReleaseRow { name, number, .. } = row;
                return Err(ReleaseError::Pepperless { name, number, tokens });
            }
        }
        let mut transaction = self.store.begin()?;
        let own = transaction.activations(tenant)?.into_iter().next();
        if own.as_ref().is_some_and(|active| active.digest == row.digest) {
            return Err(ReleaseError::Active);
        }
        // A tenant without a release of its own has everybody's: that is what it may keep, and would fall behind.
        let active = match own {
            None => transaction.activations(None)?.into_iter().next(),
            own => own,
        };
        let overtaken = active.filter(|active| active.digest != row.digest && row.number <= active.number);
        if let Some(active) = overtaken.filter(|_| !allow_downgrade) {
            return Err(ReleaseError::Downgrade {
                name: row.name,
                number: row.number,
                active: active.number,
            });
        }
        transaction.push_activation(tenant, row.digest, self.now())?;
        release_event("activate_policy", self, caller, &row, tenant)
            .detail("downgradeAllowed", allow_downgrade)
            .write(&mut *transaction)?;
        transaction.commit()?;
        self.replace(self.policies.load().with(tenant, running), None);
        Ok(row)
    }

    /// Makes the release before the active one active again, of one tenant or of everybody; none is given back where
    /// none was: then everybody has the built-in policy, or the tenant what everybody has. The next call to the policy
    /// is answered by it, or, where it cannot be loaded any more, by the last one before it that can.
    ///
    /// # Errors
    /// Where nothing was activated.
    pub fn rollback(
        &self,
        no_other_server: &ServeLock,
        caller: &Caller,
        tenant: Option<Id>,
    ) -> Result<Option<ReleaseRow>, ReleaseError> {
        self.take_back(no_other_server, caller, tenant, &Cause::Operator)
    }

    /// As [`rollback`](Self::rollback), for this cause. A release that faults need not be the active one: one that is
    /// passed over stays what it is.
    pub(super) fn take_back(
        &self,
        _no_other_server: &ServeLock,
        caller: &Caller,
        tenant: Option<Id>,
        cause: &Cause<'_>,
    ) -> Result<Option<ReleaseRow>, ReleaseError> {
        let _order = self.activating.lock().unwrap_or_else(PoisonError::into_inner);
        let policies = self.policies.load();
        let mut activations = self.activations(tenant)?;
        let taken = match cause {
            Cause::Operator => activations.first().cloned(),
            // Whatever decides by now is not what faulted.
            Cause::Faults { running, .. } if !policies.runs(tenant, running) => {
                return Ok(activations.first().cloned());
            }
            Cause::Faults { running, .. } => running.release.clone(),
        };
        let place = activations.iter().position(|row| Some(row) == taken.as_ref());
        let (Some(taken), Some(place)) = (taken, place) else {
            return Err(match tenant {
                Some(_) => ReleaseError::NotBound,
                None => ReleaseError::BuiltIn,
            });
        };
        // Nobody else changes them: this process serves, and changes them one at a time.
        activations.remove(place);
        let before = activations.first().cloned();
        let config = self.config();
        let policies = policies.rolled_back(tenant, activations, &self.loader(&config.policy))?;
        let mut transaction = self.store.begin()?;
        transaction.drop_activation(tenant, taken.digest)?;
        let event = release_event("rollback_policy", self, caller, &taken, tenant)
            .detail("to", before.as_ref().map(|row| hex(&row.digest)))
            .detail("cause", cause.kind().as_str());
        let event = match cause {
            Cause::Operator => event,
            Cause::Faults {
                faults, calls, last, ..
            } => event
                .detail("faults", *faults)
                .detail("calls", *calls)
                .detail("lastFault", last.as_str()),
        };
        event.write(&mut *transaction)?;
        transaction.commit()?;
        self.replace(policies, Some(cause.kind()));
        Ok(before)
    }

    /// Has these decide from the next call on.
    fn replace(&self, policies: Policies, rolled_back: Option<RolledBack>) {
        self.learn_rules(&policies);
        // Before anybody asks them: no call goes unwatched.
        self.watch_over(&policies);
        self.policies.store(Arc::new(policies));
        self.tally.count_swap(rolled_back, self.now());
    }

    fn loader<'a>(&'a self, config: &'a PolicyConfig) -> Loader<'a> {
        Loader {
            data: &self.data,
            config,
            options: &self.options,
            // What several run is loaded once.
            loaded: RefCell::new(self.policies.load().loaded()),
            now: Some(self.now()),
        }
    }

    pub(super) fn check_release(&self, release: &Release) -> Result<(), Unfit> {
        let policy = &self.config().policy;
        release.check_size(policy.max_component.bytes())?;
        release.check(&policy.trusted_keys(), policy.allow_unsigned)
    }
}

pub(super) fn release_event(
    what: &'static str,
    patrol: &Patrol,
    caller: &Caller,
    row: &ReleaseRow,
    tenant: Option<Id>,
) -> AuditEvent {
    AuditEvent::new(what, patrol.now(), caller)
        .detail("tenantId", tenant.map(|tenant| tenant.to_string()))
        .detail("release", hex(&row.digest))
        .detail("policyName", row.name.as_str())
        .detail("policyVersion", row.version.as_str())
        .detail("releaseNumber", row.number)
}

#[cfg(test)]
mod tests;
