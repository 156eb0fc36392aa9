//! Which policy runs: releases are staged, activated and rolled back, each with an audit event.
//!
//! A release is staged once everything that can be known of it is known: its file was judged
//! ([`Release::check`]), its component was compiled and started under the limits of every policy, and it gave known
//! answers in a throw-away data directory ([`trial`](super::trial)). Activation is one row, written together with its
//! audit event, so a crash leaves the old release active or the new one.
//!
//! A start runs the active release, or, where that cannot be loaded, the one that was active before it, and so on down
//! to the policy that is built in.

use std::io;
use std::path::{Path, PathBuf};

use super::call::Call;
use super::events::{AuditEvent, Caller};
use super::{Error, OpenError, Patrol, ServeLock, trial};
use crate::config::PolicyConfig;
use crate::policy::{Options, Policy};
use crate::release::{Release, Shelf, Unfit};
use crate::store::{ReleaseRow, Store, StoreError};

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
    /// The built-in policy is active.
    #[error("the built-in policy is active: there is nothing to roll back")]
    BuiltIn,
    /// Something else failed.
    #[error(transparent)]
    Service(#[from] Error),
}

impl From<StoreError> for ReleaseError {
    fn from(error: StoreError) -> Self {
        Self::Service(error.into())
    }
}

/// A release that was active when the data directory was opened, and could not be loaded.
#[derive(Clone, Debug)]
pub struct PassedOver {
    /// Which.
    pub release: ReleaseRow,
    /// Why, and what to do.
    pub why: String,
}

/// What runs, by which row, and which releases should run instead.
pub(super) type Loaded = (Policy<Call>, Option<ReleaseRow>, Vec<PassedOver>);

/// The active release, or the last good one before it, or the built-in policy.
pub(super) fn load_active(
    store: &dyn Store,
    data: &Path,
    config: &PolicyConfig,
    options: &Options,
) -> Result<Loaded, OpenError> {
    let mut passed_over = Vec::new();
    for release in store.read()?.activations()? {
        match load(data, &release, config, options) {
            Ok(policy) => return Ok((policy, Some(release), passed_over)),
            Err(why) => {
                tracing::error!(
                    name = release.name,
                    version = release.version,
                    release = release.number,
                    why,
                    "the active policy cannot be loaded: the one before it runs instead"
                );
                passed_over.push(PassedOver { release, why });
            }
        }
    }
    let embedded = Policy::load(Policy::<Call>::embedded(), options)?;
    Ok((embedded, None, passed_over))
}

fn load(
    data: &Path,
    row: &ReleaseRow,
    config: &PolicyConfig,
    options: &Options,
) -> Result<Policy<Call>, String> {
    let release = Shelf::of(data)
        .load(&row.digest)
        .map_err(|unfit| unfit.to_string())?;
    // Again: a key that is no longer trusted no longer decides.
    release
        .check(&config.trusted_keys(), config.allow_unsigned)
        .map_err(|unfit| unfit.to_string())?;
    Policy::load(release.component(), options).map_err(|error| error.to_string())
}

impl Patrol {
    /// The release that runs; none: the built-in policy, or one that was given to [`Patrol::open`].
    #[must_use]
    pub const fn running_release(&self) -> Option<&ReleaseRow> {
        self.running.as_ref()
    }

    /// Releases that should run and could not be loaded.
    #[must_use]
    pub fn passed_over(&self) -> &[PassedOver] {
        &self.passed_over
    }

    /// Whether another release was activated, or the active one rolled back, since the data directory was opened.
    ///
    /// # Errors
    /// An outage of the store.
    pub fn is_outdated(&self) -> Result<bool, Error> {
        let first = self.passed_over.first().map(|passed| &passed.release);
        let active = self.store.read()?.activations()?;
        Ok(active.first() != first.or(self.running.as_ref()))
    }

    /// Has the audit trail say which releases should run and do not.
    ///
    /// # Errors
    /// An outage of the store.
    pub fn note_passed_over(&self) -> Result<(), Error> {
        if self.passed_over.is_empty() {
            return Ok(());
        }
        let mut transaction = self.store.begin()?;
        for PassedOver { release, why } in &self.passed_over {
            let event = release_event("pass_over_policy", self, &Caller::system(), release);
            event.detail("why", why.as_str()).write(&mut *transaction)?;
        }
        Ok(transaction.commit()?)
    }

    /// All releases that were ever staged, the latest first, and those that were activated and not rolled back, the
    /// active one first.
    ///
    /// # Errors
    /// An outage of the store.
    pub fn releases(&self) -> Result<(Vec<ReleaseRow>, Vec<ReleaseRow>), Error> {
        let read = self.store.read()?;
        Ok((read.releases()?, read.activations()?))
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
    pub fn stage(&self, caller: &Caller, release: &Release) -> Result<ReleaseRow, ReleaseError> {
        self.check_release(release)?;
        let shelf = Shelf::of(&self.data);
        let failed = |source| ReleaseError::Shelf {
            path: shelf.directory().to_owned(),
            source,
        };
        shelf.make().map_err(failed)?;
        trial::run(
            &shelf.scratch(),
            self.options.cache_dir.as_deref(),
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
        release_event("stage_policy", self, caller, &row)
            .detail("signer", signer)
            .write(&mut *transaction)?;
        transaction.commit()?;
        Ok(row)
    }

    /// Makes a release that was staged the active one, from the next start on: no server may run.
    ///
    /// # Errors
    /// Where it is not fit any more, where it is active, or where it is not after the one that is.
    pub fn activate(
        &self,
        _no_server: &ServeLock,
        caller: &Caller,
        id: &str,
        allow_downgrade: bool,
    ) -> Result<ReleaseRow, ReleaseError> {
        let (row, release) = self.release(id)?;
        self.check_release(&release)?;
        trial::load(release.component(), &self.options)?;
        let mut transaction = self.store.begin()?;
        if let Some(active) = transaction.activations()?.first() {
            if active.digest == row.digest {
                return Err(ReleaseError::Active);
            }
            if row.number <= active.number && !allow_downgrade {
                return Err(ReleaseError::Downgrade {
                    name: row.name,
                    number: row.number,
                    active: active.number,
                });
            }
        }
        transaction.push_activation(row.digest, self.now())?;
        release_event("activate_policy", self, caller, &row)
            .detail("downgradeAllowed", allow_downgrade)
            .write(&mut *transaction)?;
        transaction.commit()?;
        Ok(row)
    }

    /// Makes the release before the active one active again, or the built-in policy where none was: none is given back
    /// then. From the next start on: no server may run.
    ///
    /// # Errors
    /// Where the built-in policy is active.
    pub fn rollback(
        &self,
        _no_server: &ServeLock,
        caller: &Caller,
    ) -> Result<Option<ReleaseRow>, ReleaseError> {
        let mut transaction = self.store.begin()?;
        let mut activations = transaction.activations()?.into_iter();
        let active = activations.next().ok_or(ReleaseError::BuiltIn)?;
        let before = activations.next();
        transaction.pop_activation()?;
        let to = before.as_ref().map(|row| hex(&row.digest));
        release_event("rollback_policy", self, caller, &active)
            .detail("to", to)
            .write(&mut *transaction)?;
        transaction.commit()?;
        Ok(before)
    }

    fn check_release(&self, release: &Release) -> Result<(), Unfit> {
        let policy = &self.config().policy;
        release.check_size(policy.max_component.bytes())?;
        release.check(&policy.trusted_keys(), policy.allow_unsigned)
    }
}

fn release_event(what: &'static str, patrol: &Patrol, caller: &Caller, row: &ReleaseRow) -> AuditEvent {
    AuditEvent::new(what, patrol.now(), caller)
        .detail("release", hex(&row.digest))
        .detail("policyName", row.name.as_str())
        .detail("policyVersion", row.version.as_str())
        .detail("releaseNumber", row.number)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
