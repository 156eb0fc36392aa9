//! Who runs which policy: everybody, and the tenants that are bound to a release of their own.

use patrol_policy::types::Id;

use super::call::{Call, Operation};
use super::policies::{PassedOver, Policies};
use super::{Error, Patrol};
use crate::store::{ReleaseRow, TenantRow};

/// Whose policy a release is, or should be.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Binding {
    /// The tenant; none: everybody but the tenants with a binding of their own.
    pub tenant: Option<TenantRow>,
    /// The release that decides; none: the built-in policy, or one that was given to [`Patrol::open`].
    pub release: Option<ReleaseRow>,
    /// False where nothing that was activated for the tenant can run: then it has what everybody has.
    pub own: bool,
    /// The releases that should decide instead and cannot be loaded, the active one first.
    pub passed_over: Vec<PassedOver>,
}

impl Patrol {
    /// Who runs what: everybody first, then each tenant with activations of its own, by name.
    ///
    /// # Errors
    /// An outage of the store.
    pub fn bindings(&self) -> Result<Vec<Binding>, Error> {
        let policies = self.policies.load();
        let passed_over = |tenant: Option<Id>| {
            let all = policies.passed_over().iter();
            all.filter(|passed| passed.tenant == tenant).cloned().collect()
        };
        let everybody = Binding {
            tenant: None,
            release: policies.everybody().release.clone(),
            own: true,
            passed_over: passed_over(None),
        };
        let mut bindings = vec![everybody];
        let read = self.store.read()?;
        let bound = read.tenants_with_activations()?;
        let tenants = read.tenants()?.into_iter();
        for tenant in tenants.filter(|tenant| bound.binary_search(&tenant.id).is_ok()) {
            bindings.push(Binding {
                release: policies.of_tenant(tenant.id).running.release.clone(),
                own: policies.is_bound(Some(tenant.id)),
                passed_over: passed_over(Some(tenant.id)),
                tenant: Some(tenant),
            });
        }
        Ok(bindings)
    }

    /// Asks each of these policies for its rules, as they are under the present configuration.
    pub(super) fn learn_rules(&self, policies: &Policies) {
        let configured = self.parameters();
        for running in policies.all() {
            let call = Call::new(&self.store, self.now(), configured, Operation::Look, None);
            // One that cannot say gets by with what was configured: no verdict rests on it.
            let rules = running.policy.describe(call).1;
            running.declare(configured, rules.map_or(configured, |said| said.parameters));
        }
    }
}
