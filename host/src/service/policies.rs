//! Which policy decides: one for everybody, and one of its own for each tenant that activated another.
//!
//! All of them are held together and replaced together, by one store of a pointer: a call takes its policy when it
//! begins and keeps it to its end, whatever is activated meanwhile, and the next call has the new one. A policy that
//! is no longer held by anybody frees its code.
//!
//! A start, and an activation, load the active release, or, where that cannot be loaded, the one that was active before
//! it, and so on down to the policy that is built in; a tenant's end with what everybody has.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use patrol_policy::types::Id;

use super::OpenError;
use super::call::Call;
use super::question::Whose;
use crate::config::PolicyConfig;
use crate::policy::{Options, Policy};
use crate::release::Shelf;
use crate::store::{ReleaseRow, Store, StoreError};

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
    pub(super) policy: Policy<Call>,
    /// The release that it came from; none: built in, or given to [`Patrol::open`](super::Patrol::open).
    pub(super) release: Option<ReleaseRow>,
}

impl Running {
    fn new(policy: Policy<Call>, release: Option<ReleaseRow>) -> Arc<Self> {
        Arc::new(Self { policy, release })
    }
}

/// The policies that decide at one moment.
#[derive(Clone)]
pub(super) struct Policies {
    everybody: Arc<Running>,
    tenants: HashMap<Id, Arc<Running>>,
    passed_over: Vec<PassedOver>,
}

/// What loading takes.
pub(super) struct Loader<'a> {
    pub(super) data: &'a Path,
    pub(super) config: &'a PolicyConfig,
    pub(super) options: &'a Options,
}

impl Policies {
    /// One policy for everybody, whatever was activated.
    pub(super) fn fixed(component: &[u8], options: &Options) -> Result<Self, OpenError> {
        Ok(Self {
            everybody: Running::new(Policy::load(component, options)?, None),
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
        policies
    }

    /// These after the active one of everybody or of a tenant was rolled back to these.
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

    pub(super) fn passed_over(&self) -> &[PassedOver] {
        &self.passed_over
    }

    /// The one that governs.
    pub(super) fn of(&self, whose: Whose, store: &dyn Store) -> Result<&Running, StoreError> {
        // Nearly everywhere there is one policy, and nothing to find out.
        if self.tenants.is_empty() {
            return Ok(&self.everybody);
        }
        let tenant = match whose {
            Whose::Everybody => None,
            Whose::Tenant(tenant) => Some(tenant),
            Whose::User(user) => store.read()?.owner(user)?.map(|owner| owner.tenant),
            Whose::Token(token) => store.token(token)?.map(|read| read.state.token.tenant),
            Whose::Session(session) => store.session(session)?.map(|read| read.state.token.token.tenant),
        };
        let own = tenant.and_then(|tenant| self.tenants.get(&tenant));
        Ok(own.unwrap_or(&self.everybody))
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
        let embedded = Policy::load(Policy::<Call>::embedded(), self.options)?;
        Ok(Running::new(embedded, None))
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
        let policy = Policy::load(release.component(), self.options).map_err(|error| error.to_string())?;
        Ok(Running::new(policy, Some(row)))
    }
}
