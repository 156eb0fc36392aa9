//! What administrators review: all tokens with when and why they end (R13), and the audit trail.

mod page;
mod revocation;

use patrol_policy::types::{Id, LiveRule, Outlook, Scope, TokenState};

use super::policies::Chosen;
use super::question::{Foresee, Whose};
use super::{Error, Patrol};
use crate::store::sqlite::{AuditVerdict, verify_audit};
use crate::store::{AuditEntry, AuditFilter, TokenFilter, TokenRow};

pub use page::{EXAMINED, LARGEST_REVIEW, ReviewCursor, ReviewPage, ReviewQuery};
pub use revocation::{Doomed, LARGEST_SELECTION, Revocations};

/// A token, ended or not, with its outlook.
#[derive(Clone, Debug)]
pub struct ReviewedToken {
    /// The token, with names.
    pub row: TokenRow,
    /// Whether it lives, and when and why it ended or will end.
    pub outlook: Outlook,
}

/// What a verification of the audit trail found; see [`Patrol::verify_audit`].
pub type AuditReport = AuditVerdict;

impl Patrol {
    /// Tokens of everyone, ended ones included until they are forgotten (R6, R13), a page at a time in the order of
    /// their identifiers.
    ///
    /// # Errors
    /// A fault of the policy, or an outage.
    pub fn review(&self, filter: &TokenFilter) -> Result<Vec<ReviewedToken>, Error> {
        let rows = self.store.read()?.token_rows(filter)?;
        let states: Vec<_> = rows.iter().map(|row| row.state).collect();
        let outlooks = self.foresee(&states)?;
        Ok(rows
            .into_iter()
            .zip(outlooks)
            .map(|(row, outlook)| ReviewedToken { row, outlook })
            .collect())
    }

    /// When each of these tokens ended or will end, in the same order, each by the policy of its tenant.
    ///
    /// # Errors
    /// A fault of a policy.
    pub fn foresee(&self, states: &[TokenState]) -> Result<Vec<Outlook>, Error> {
        let policies = self.policies.load();
        let mut governing = policies.governing();
        if governing.len() == 1
            && let Some(everybody) = governing.pop()
        {
            return self.foresee_by(everybody, states);
        }
        let mut all = Vec::with_capacity(states.len());
        for chosen in governing {
            let its = states.iter().copied().enumerate();
            let (places, its): (Vec<_>, Vec<_>) = its
                .filter(|(_, state)| chosen.tenants.contains(state.token.tenant))
                .unzip();
            if !its.is_empty() {
                all.extend(places.into_iter().zip(self.foresee_by(chosen, &its)?));
            }
        }
        all.sort_unstable_by_key(|(place, _)| *place);
        Ok(all.into_iter().map(|(_, outlook)| outlook).collect())
    }

    /// The same by one policy, whose tokens they all are.
    pub(super) fn foresee_by(
        &self,
        chosen: Chosen<'_>,
        states: &[TokenState],
    ) -> Result<Vec<Outlook>, Error> {
        let whose = Whose::Everybody;
        self.ask(chosen, &Foresee { whose, states }, |_, outlooks| Ok(outlooks))
    }

    /// Calls `each` for every token that the filter lets through, page by page, until it says no. The filter's own
    /// cursor is where it starts. Where live ones are asked for, those are left out that the policy says have ended.
    ///
    /// # Errors
    /// As [`Patrol::review`].
    pub fn review_all(
        &self,
        mut filter: TokenFilter,
        mut each: impl FnMut(ReviewedToken) -> bool,
    ) -> Result<(), Error> {
        filter.limit = filter.limit.clamp(1, 1_000);
        loop {
            let page = self.review(&filter)?;
            let full = u32::try_from(page.len()).is_ok_and(|count| count >= filter.limit);
            filter.after = page.last().map(|token| token.row.state.token.id);
            for token in page {
                let ended = filter.live.is_some_and(|rule| token.outlook.ends.at <= rule.now);
                if !ended && !each(token) {
                    return Ok(());
                }
            }
            if !full {
                return Ok(());
            }
        }
    }

    /// What a change of authentication method of this scope would revoke, for [`Patrol::review_all`] (R9).
    #[must_use]
    pub fn live_in(&self, scope: Scope) -> TokenFilter {
        let (tenant, owner) = match scope {
            Scope::Tenant(id) => (Some(id), None),
            Scope::Owner(id) => (None, Some(id)),
        };
        TokenFilter {
            owner,
            tenant,
            // Whatever idle period it is, a policy has one of its own, and is asked.
            live: Some(LiveRule {
                now: self.now(),
                idle_since: 0,
            }),
            after: None,
            limit: 1_000,
        }
    }

    /// One token, ended or not, with its outlook.
    ///
    /// # Errors
    /// [`Error::NotFound`], a fault of the policy, or an outage.
    pub fn show_token(&self, id: Id) -> Result<ReviewedToken, Error> {
        let row = self.store.read()?.token_row(id)?;
        let row = row.ok_or_else(|| Error::NotFound {
            what: "token",
            name: id.to_string(),
        })?;
        let outlook = self.foresee(&[row.state])?.pop();
        let outlook =
            outlook.ok_or_else(|| crate::policy::Fault::Contract("it foresaw nothing".to_owned()))?;
        Ok(ReviewedToken { row, outlook })
    }

    /// The token of this user of this tenant, ended or not.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for a token of somebody else; or an outage.
    pub fn token_of(&self, tenant: Id, owner: Id, token: Id) -> Result<TokenRow, Error> {
        let row = self.store.read()?.token_row(token)?;
        let of = |row: &TokenRow| (row.state.token.tenant, row.state.token.owner);
        row.filter(|row| of(row) == (tenant, owner))
            .ok_or_else(|| Error::NotFound {
                what: "token",
                name: token.to_string(),
            })
    }

    /// Calls `each` for every audit entry that the filter lets through, in order, until it says no.
    ///
    /// # Errors
    /// An outage.
    pub fn audit(&self, filter: &AuditFilter, mut each: impl FnMut(AuditEntry) -> bool) -> Result<(), Error> {
        Ok(self.store.read()?.audit(filter, &mut each)?)
    }

    /// Verifies the whole audit chain: an event that was removed, altered or moved is found.
    ///
    /// # Errors
    /// An outage.
    pub fn verify_audit(&self) -> Result<AuditReport, Error> {
        Ok(verify_audit(&*self.store.read()?)?)
    }
}
