//! Which policy decides: one for everybody, and one of its own for each tenant that activated another.
//!
//! All of them are held together and replaced together, by one store of a pointer: a call takes its policy when it
//! begins and keeps it to its end, whatever is activated meanwhile, and the next call has the new one. A policy that
//! is no longer held by anybody frees its code.
//!
//! A policy that several of them run is loaded once. Tenants whose rules differ are kept apart: a call is told whose
//! records it is about ([`Chosen::tenants`]), and reaches no others.
//!
//! A start, and an activation, load the active release, or, where that cannot be loaded, the one that was active before
//! it, and so on down to the policy that is built in; a tenant's end with what everybody has.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use arc_swap::ArcSwapOption;
use patrol_policy::types::{Id, Parameters, Timestamp};
use sha2::{Digest as _, Sha256};

use super::OpenError;
use super::call::{Call, Found};
use super::question::Whose;
use super::watch::Watch;
use crate::config::PolicyConfig;
use crate::policy::{LoadError, Options, Policy};
use crate::release::Shelf;
use crate::store::{ReleaseRow, Store, StoreError, Tenants};

/// A release that is active and could not be loaded.
#[derive(Clone, Debug)]
pub struct PassedOver {
    /// Which.
    pub release: ReleaseRow,
    /// The tenant that it is active for; none: everybody.
    pub tenant: Option<Id>,
    /// Why, and what to do.
    pub why: String,
}

/// A policy that decides.
pub(super) struct Running {
    /// Shared by all that run it.
    pub(super) policy: Arc<Policy<Call>>,
    /// The release that it came from; none: built in, or given to [`Patrol::open`](super::Patrol::open).
    pub(super) release: Option<ReleaseRow>,
    declared: ArcSwapOption<Declared>,
    /// When it took another one's place; none where it is what this process began with.
    pub(super) since: Option<Timestamp>,
    /// How it does.
    pub(super) watch: Watch,
    /// The rules of the floor that it has broken so far, as bits.
    pub(super) broke: AtomicU32,
}

/// What a policy says its rules are.
struct Declared {
    /// What was configured when it said so.
    configured: Parameters,
    rules: Parameters,
}

impl Running {
    fn new(policy: Arc<Policy<Call>>, release: Option<ReleaseRow>, since: Option<Timestamp>) -> Arc<Self> {
        Arc::new(Self {
            policy,
            release,
            declared: ArcSwapOption::empty(),
            since,
            watch: Watch::default(),
            broke: AtomicU32::default(),
        })
    }

    /// The rules by which this policy goes, as far as it said so: it may be stricter than what was configured. For counts,
    /// and for what is written when; no verdict rests on it.
    pub(super) fn rules(&self, configured: &Parameters) -> Parameters {
        let declared = self.declared.load();
        let declared = declared.as_ref().filter(|said| said.configured == *configured);
        declared.map_or(*configured, |said| said.rules)
    }

    /// Whether it was asked for its rules under this configuration.
    pub(super) fn has_declared(&self, configured: &Parameters) -> bool {
        let declared = self.declared.load();
        declared
            .as_ref()
            .is_some_and(|said| said.configured == *configured)
    }

    /// Notes what it says of its rules under this configuration.
    pub(super) fn declare(&self, configured: Parameters, rules: Parameters) {
        self.declared
            .store(Some(Arc::new(Declared { configured, rules })));
    }
}

/// The policy for a call, and whose records it is to see.
pub(super) struct Chosen<'a> {
    pub(super) running: &'a Arc<Running>,
    pub(super) tenants: Tenants,
    /// The record by which the policy was chosen, if it took one.
    pub(super) found: Found,
}

/// The policies that decide at one moment.
#[derive(Clone)]
pub(super) struct Policies {
    everybody: Arc<Running>,
    /// The tenants whose policy is everybody's.
    unbound: Tenants,
    tenants: HashMap<Id, Arc<Running>>,
    passed_over: Vec<PassedOver>,
}

/// What loading takes.
pub(super) struct Loader<'a> {
    pub(super) data: &'a Path,
    pub(super) config: &'a PolicyConfig,
    pub(super) options: &'a Options,
    /// What is loaded already, by the digest of its component.
    pub(super) loaded: RefCell<HashMap<[u8; 32], Arc<Policy<Call>>>>,
    /// Now, where what is loaded takes another one's place.
    pub(super) now: Option<Timestamp>,
}

impl Policies {
    /// One policy for everybody, whatever was activated.
    pub(super) fn fixed(component: &[u8], options: &Options) -> Result<Self, OpenError> {
        let policy = Arc::new(Policy::load(component, options)?);
        Ok(Self {
            everybody: Running::new(policy, None, None),
            unbound: Tenants::All,
            tenants: HashMap::new(),
            passed_over: Vec::new(),
        })
    }

    /// What was activated.
    pub(super) fn load(store: &dyn Store, loader: &Loader<'_>) -> Result<Self, OpenError> {
        let read = store.read()?;
        let mut passed_over = Vec::new();
        let mut tenants = HashMap::new();
        for tenant in read.tenants_with_activations()? {
            let activations = read.activations(Some(tenant))?;
            let running = loader.last_good(Some(tenant), activations, &mut passed_over);
            tenants.extend(running.map(|running| (tenant, running)));
        }
        Ok(Self {
            everybody: loader.everybody(read.activations(None)?, &mut passed_over)?,
            unbound: Tenants::all_but(tenants.keys().copied()),
            tenants,
            passed_over,
        })
    }

    /// These with another one, for everybody or for one tenant.
    pub(super) fn with(&self, tenant: Option<Id>, running: Arc<Running>) -> Self {
        let mut policies = self.clone();
        policies.passed_over.retain(|passed| passed.tenant != tenant);
        match tenant {
            Some(tenant) => drop(policies.tenants.insert(tenant, running)),
            None => policies.everybody = running,
        }
        policies.unbound = Tenants::all_but(policies.tenants.keys().copied());
        policies
    }

    /// These after one that everybody or a tenant had was rolled back, and these activations are left.
    pub(super) fn rolled_back(
        &self,
        tenant: Option<Id>,
        activations: Vec<ReleaseRow>,
        loader: &Loader<'_>,
    ) -> Result<Self, OpenError> {
        let mut passed_over = Vec::new();
        let mut policies = match tenant {
            None => self.with(None, loader.everybody(activations, &mut passed_over)?),
            Some(id) => match loader.last_good(tenant, activations, &mut passed_over) {
                Some(running) => self.with(tenant, running),
                None => {
                    let mut policies = self.clone();
                    policies.tenants.remove(&id);
                    policies.unbound = Tenants::all_but(policies.tenants.keys().copied());
                    policies
                }
            },
        };
        policies.passed_over.retain(|passed| passed.tenant != tenant);
        policies.passed_over.append(&mut passed_over);
        Ok(policies)
    }

    /// Whether these are what was activated last.
    pub(super) fn are_current(&self, store: &dyn Store) -> Result<bool, StoreError> {
        let read = store.read()?;
        let mut meant = vec![None];
        meant.extend(read.tenants_with_activations()?.into_iter().map(Some));
        // A tenant whose last activation was rolled back is not among them.
        if self.tenants.keys().any(|tenant| !meant.contains(&Some(*tenant))) {
            return Ok(false);
        }
        for tenant in meant {
            let passed = self.passed_over.iter().find(|passed| passed.tenant == tenant);
            let running = match tenant {
                None => Some(&self.everybody),
                Some(tenant) => self.tenants.get(&tenant),
            };
            let wanted = passed.map(|passed| &passed.release);
            let wanted = wanted.or_else(|| running.and_then(|running| running.release.as_ref()));
            if read.activations(tenant)?.first() != wanted {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The one for everybody.
    pub(super) const fn everybody(&self) -> &Arc<Running> {
        &self.everybody
    }

    /// Those that tenants have of their own.
    pub(super) fn tenants(&self) -> impl Iterator<Item = (Id, &Arc<Running>)> {
        self.tenants.iter().map(|(tenant, running)| (*tenant, running))
    }

    /// Whether a tenant has one of its own.
    pub(super) fn is_bound(&self, tenant: Option<Id>) -> bool {
        tenant.is_some_and(|tenant| self.tenants.contains_key(&tenant))
    }

    /// Whether this is what decides for a tenant by a release of its own, or for everybody.
    pub(super) fn runs(&self, tenant: Option<Id>, running: &Arc<Running>) -> bool {
        self.all()
            .any(|(of, decides)| of == tenant && Arc::ptr_eq(decides, running))
    }

    /// All of them: first that for everybody, then those that tenants have of their own.
    pub(super) fn all(&self) -> impl Iterator<Item = (Option<Id>, &Arc<Running>)> {
        let tenants = self.tenants().map(|(tenant, running)| (Some(tenant), running));
        std::iter::once((None, &self.everybody)).chain(tenants)
    }

    pub(super) fn passed_over(&self) -> &[PassedOver] {
        &self.passed_over
    }

    /// All that run, a policy once, each with the tenants that it governs: everybody's comes first.
    pub(super) fn governing(&self) -> Vec<Chosen<'_>> {
        let mut groups: Vec<(&Arc<Running>, Vec<Id>)> = Vec::new();
        for (tenant, running) in &self.tenants {
            let alike = |(group, _): &&mut (&Arc<Running>, _)| Arc::ptr_eq(&group.policy, &running.policy);
            match groups.iter_mut().find(alike) {
                Some((_, tenants)) => tenants.push(*tenant),
                None => groups.push((running, vec![*tenant])),
            }
        }
        let mut all = vec![Chosen::new(&self.everybody, self.unbound.clone())];
        let groups = groups.into_iter();
        all.extend(groups.map(|(running, tenants)| Chosen::new(running, Tenants::only(tenants))));
        all
    }

    /// The one of a tenant.
    pub(super) fn of_tenant(&self, tenant: Id) -> Chosen<'_> {
        match self.tenants.get(&tenant) {
            Some(running) => Chosen::new(running, Tenants::One(tenant)),
            None => Chosen::new(&self.everybody, self.unbound.clone()),
        }
    }

    /// The one that governs.
    pub(super) fn of(&self, whose: Whose, store: &dyn Store) -> Result<Chosen<'_>, StoreError> {
        // Nearly everywhere there is one policy, and nothing to find out.
        if self.tenants.is_empty() {
            return Ok(Chosen::new(&self.everybody, Tenants::All));
        }
        let (tenant, found) = match whose {
            Whose::Everybody => (None, Found::Nothing),
            Whose::Tenant(tenant) => (Some(tenant), Found::Nothing),
            Whose::User(user) => {
                let owner = store.read()?.owner(user)?;
                (owner.map(|owner| owner.tenant), Found::Nothing)
            }
            // The policy will ask for the same record, and is answered with this one.
            Whose::Token(token) => {
                let read = store.token(token)?;
                let tenant = read.as_ref().map(|read| read.state.token.tenant);
                (tenant, Found::Token(token, read))
            }
            Whose::Session(session) => {
                let read = store.session(session)?;
                let tenant = read.as_ref().map(|read| read.state.token.token.tenant);
                (tenant, Found::Session(session, read))
            }
        };
        let chosen = match tenant {
            Some(tenant) => self.of_tenant(tenant),
            None => Chosen::new(&self.everybody, self.unbound.clone()),
        };
        Ok(Chosen { found, ..chosen })
    }

    /// The policies that are loaded, for a [`Loader`].
    pub(super) fn loaded(&self) -> HashMap<[u8; 32], Arc<Policy<Call>>> {
        let held = |running: &Arc<Running>| (running.policy.digest(), Arc::clone(&running.policy));
        self.all().map(|(_, running)| held(running)).collect()
    }
}

impl<'a> Chosen<'a> {
    pub(super) const fn new(running: &'a Arc<Running>, tenants: Tenants) -> Self {
        Self {
            running,
            tenants,
            found: Found::Nothing,
        }
    }
}

impl Loader<'_> {
    fn everybody(
        &self,
        activations: Vec<ReleaseRow>,
        passed_over: &mut Vec<PassedOver>,
    ) -> Result<Arc<Running>, OpenError> {
        if let Some(running) = self.last_good(None, activations, passed_over) {
            return Ok(running);
        }
        let embedded = self.policy(Policy::<Call>::embedded())?;
        Ok(Running::new(embedded, None, self.now))
    }

    /// The first of these releases, the active one first, that can be loaded.
    fn last_good(
        &self,
        tenant: Option<Id>,
        activations: Vec<ReleaseRow>,
        passed_over: &mut Vec<PassedOver>,
    ) -> Option<Arc<Running>> {
        for release in activations {
            match self.release(release.clone()) {
                Ok(running) => return Some(running),
                Err(why) => {
                    tracing::error!(
                        name = release.name,
                        version = release.version,
                        release = release.number,
                        tenant = tenant.map(tracing::field::display),
                        why,
                        "the active policy cannot be loaded: the one before it runs instead"
                    );
                    passed_over.push(PassedOver { release, tenant, why });
                }
            }
        }
        None
    }

    /// A release that is on the shelf.
    pub(super) fn release(&self, row: ReleaseRow) -> Result<Arc<Running>, String> {
        let release = Shelf::of(self.data)
            .load(&row.digest)
            .map_err(|unfit| unfit.to_string())?;
        // Again: a key that is no longer trusted no longer decides.
        release
            .check(&self.config.trusted_keys(), self.config.allow_unsigned)
            .map_err(|unfit| unfit.to_string())?;
        let policy = self
            .policy(release.component())
            .map_err(|error| error.to_string())?;
        Ok(Running::new(policy, Some(row), self.now))
    }

    /// A policy, loaded unless it is already.
    fn policy(&self, component: &[u8]) -> Result<Arc<Policy<Call>>, LoadError> {
        let digest: [u8; 32] = Sha256::digest(component).into();
        if let Some(policy) = self.loaded.borrow().get(&digest) {
            return Ok(Arc::clone(policy));
        }
        let policy = Arc::new(Policy::load(component, self.options)?);
        self.loaded.borrow_mut().insert(digest, Arc::clone(&policy));
        Ok(policy)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn what_several_tenants_run_is_loaded_once_and_governs_them_together() {
        let [a, b, c, d] = [1, 2, 3, 4].map(|lo| Id { hi: 1, lo });
        let (config, options) = (PolicyConfig::default(), Options::default());
        let policies = Policies::fixed(Policy::<Call>::embedded(), &options).unwrap();
        assert_eq!(policies.unbound, Tenants::All);
        let directory = tempfile::tempdir().unwrap();
        let loader = Loader {
            data: directory.path(),
            config: &config,
            options: &options,
            loaded: RefCell::new(policies.loaded()),
            now: None,
        };
        let stock = loader.policy(Policy::<Call>::embedded()).unwrap();
        assert!(Arc::ptr_eq(&stock, &policies.everybody.policy));
        let note = [0, 6, 4, b'n', b'o', b't', b'e', 1];
        let other = [Policy::<Call>::embedded(), &note].concat();
        let [one, again] = [(); 2].map(|()| loader.policy(&other).unwrap());
        assert!(Arc::ptr_eq(&one, &again) && !Arc::ptr_eq(&one, &stock));

        let policies = policies
            .with(Some(c), Running::new(one, None, None))
            .with(Some(a), Running::new(again, None, None))
            .with(Some(b), Running::new(stock, None, None));
        let governing = policies.governing();
        let mut tenants: Vec<_> = governing.iter().map(|chosen| chosen.tenants.clone()).collect();
        assert_eq!(tenants.remove(0), Tenants::all_but([a, b, c]));
        tenants.sort_by_key(|tenants| tenants.listed().map(|(listed, _)| listed.len()));
        assert_eq!(tenants, [Tenants::only([b]), Tenants::only([a, c])]);
        // Each tenant is one policy's.
        for tenant in [a, b, c, d] {
            let governed = |chosen: &&Chosen<'_>| chosen.tenants.contains(tenant);
            assert_eq!(governing.iter().filter(governed).count(), 1);
        }
        assert_eq!(policies.of_tenant(a).tenants, Tenants::One(a));
        assert_eq!(policies.of_tenant(d).tenants, Tenants::all_but([a, b, c]));
    }
}
