//! Which policy decides for whom, and how it came to that.

use patrol_policy::types::{Id, Timestamp};
use serde::Deserialize;

use super::call::{Call, Operation};
use super::policies::{PassedOver, Policies};
use super::{Error, Patrol};
use crate::store::{AuditFilter, ReleaseRow, TenantRow};

/// Which policy decides for somebody.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Governing {
    /// The tenant with a release of its own; none: everybody else.
    pub tenant: Option<TenantRow>,
    /// The release that decides; none: the built-in policy or, for a tenant, what everybody has.
    pub release: Option<ReleaseRow>,
    /// Since when: in this process, or else since it was activated. None for the built-in policy.
    pub since: Option<Timestamp>,
    /// Calls of late, and the faults among them, while it is watched.
    pub watched: Option<(u32, u32)>,
    /// Releases that should decide and could not be loaded.
    pub passed_over: Vec<PassedOver>,
}

/// That a release was rolled back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
    /// SHA-256 of its file.
    pub release: String,
    /// The tenant that had it; none: everybody.
    pub tenant: Option<Id>,
    /// When.
    pub at: Timestamp,
    /// Why, in words.
    pub why: String,
}

/// As much of the audit trail's event as is needed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RollbackEvent {
    initiating_user_display_name: Option<String>,
    details: RollbackDetails,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RollbackDetails {
    release: String,
    tenant_id: Option<String>,
    faults: Option<u32>,
    calls: Option<u32>,
    last_fault: Option<String>,
}

impl Patrol {
    /// Which policy decides for everybody, and for each tenant with a release of its own or one that should be.
    ///
    /// # Errors
    /// An outage of the store.
    pub fn governing(&self) -> Result<Vec<Governing>, Error> {
        let policies = self.policies.load();
        let read = self.store.read()?;
        let mut scopes: Vec<_> = policies.tenants().map(|(tenant, _)| tenant).collect();
        scopes.extend(policies.passed_over().iter().filter_map(|passed| passed.tenant));
        scopes.sort_unstable();
        scopes.dedup();
        let scopes = std::iter::once(None).chain(scopes.into_iter().map(Some));
        let governing = scopes.map(|scope| {
            let running = policies.all().find(|(tenant, _)| *tenant == scope);
            let running = running.map(|(_, running)| running);
            let release = running.and_then(|running| running.release.clone());
            let row = release.as_ref().map(|row| read.activation(scope, row.digest));
            let activated = row.transpose()?.flatten().map(|row| row.at);
            let watched = running.and_then(|running| running.watch.so_far());
            let passed_over = policies.passed_over().iter();
            Ok(Governing {
                tenant: scope.map(|id| read.tenant(id)).transpose()?.flatten(),
                since: running.and_then(|running| running.since).or(activated),
                release,
                watched: watched.map(|counted| (counted.calls, counted.faults)),
                passed_over: passed_over
                    .filter(|passed| passed.tenant == scope)
                    .cloned()
                    .collect(),
            })
        });
        governing.collect()
    }

    /// The last rollback of each release, of everybody's and of each tenant's, by the audit trail's latest thousand.
    ///
    /// # Errors
    /// An outage of the store.
    pub fn rolled_back(&self) -> Result<Vec<Ended>, Error> {
        let filter = AuditFilter {
            event_type: Some("rollback_policy".to_owned()),
            last: Some(1_000),
            ..AuditFilter::default()
        };
        let mut ended: Vec<Ended> = Vec::new();
        self.audit(&filter, |entry| {
            // What is not of this form is not of this program.
            if let Ok(event) = serde_json::from_str::<RollbackEvent>(&entry.body) {
                let details = event.details;
                let by = event.initiating_user_display_name;
                let this = Ended {
                    tenant: details.tenant_id.and_then(|id| id.parse().ok()),
                    release: details.release,
                    at: entry.at,
                    why: match (details.faults, details.calls) {
                        (Some(faults), Some(calls)) => format!(
                            "by itself, after {faults} faults in {calls} calls: {}",
                            details.last_fault.unwrap_or_default()
                        ),
                        _ => format!("by {}", by.as_deref().unwrap_or("an operator")),
                    },
                };
                ended.retain(|known| (&known.release, known.tenant) != (&this.release, this.tenant));
                ended.push(this);
            }
            true
        })?;
        Ok(ended)
    }

    /// Asks each of these policies for its rules, as they are under the present configuration, unless it was asked.
    pub(super) fn learn_rules(&self, policies: &Policies) {
        let configured = self.parameters();
        for (_, running) in policies.all() {
            // Who waits for one policy to be replaced does not wait for all the others.
            if running.has_declared(&configured) {
                continue;
            }
            let (store, keyring) = (&self.store, &self.keyring);
            let call = Call::new(store, keyring, self.now(), configured, Operation::Look, None);
            // One that cannot say gets by with what was configured: no verdict rests on it.
            let rules = running.policy.describe(call).1;
            running.declare(configured, rules.map_or(configured, |said| said.parameters));
        }
    }
}
