//! Revoking a selection of an organisation's tokens, and what that would end.

use std::collections::BTreeSet;

use patrol_policy::types::{Id, RefusalReason};

use super::{ReviewQuery, ReviewedToken};
use crate::service::{Caller, Error, Patrol};
use crate::store::{TokenRow, TokenStanding};

/// The largest selection.
pub const LARGEST_SELECTION: usize = 1_000;

/// A token that is to be revoked.
#[derive(Clone, Debug)]
pub struct Doomed {
    /// The token.
    pub token: ReviewedToken,
    /// Sessions that it opened and that would end with it (R8).
    pub sessions: usize,
    /// Whether it lives: one that has ended already stays as it is.
    pub lives: bool,
}

/// What became of a selection.
#[derive(Clone, Debug, Default)]
pub struct Revocations {
    /// Those that were revoked.
    pub revoked: Vec<TokenRow>,
    /// Those that were not, and why; none: Patrol could not answer.
    pub kept: Vec<(TokenRow, Option<RefusalReason>)>,
}

impl Patrol {
    /// What revoking these tokens of this tenant would end; does nothing. Each is told of once.
    ///
    /// # Errors
    /// [`Error::NotFound`] where one is not of this tenant; [`Error::Invalid`] for more than [`LARGEST_SELECTION`]; a fault
    /// of the policy, or an outage.
    pub fn preview_revocation(&self, tenant: Id, tokens: &[Id]) -> Result<Vec<Doomed>, Error> {
        let rows = self.selected(tenant, tokens)?;
        let states: Vec<_> = rows.iter().map(|row| row.state).collect();
        let outlooks = self.foresee(&states)?.into_iter();
        let reviewed = rows.into_iter().zip(outlooks);
        self.doomed(reviewed.map(|(row, outlook)| ReviewedToken { row, outlook }))
    }

    /// What revoking all tokens of a user of this tenant would end; does nothing.
    ///
    /// # Errors
    /// A fault of the policy, or an outage.
    pub fn preview_revoke_all(&self, tenant: Id, owner: Id) -> Result<Vec<Doomed>, Error> {
        let mut query = ReviewQuery {
            tenant,
            owner: Some(owner),
            standing: TokenStanding::Live,
            limit: super::LARGEST_REVIEW,
            ..ReviewQuery::default()
        };
        let mut all = Vec::new();
        loop {
            let page = self.review_page(&query)?;
            all.extend(page.rows);
            query.after = page.next;
            if query.after.is_none() {
                return self.doomed(all.into_iter());
            }
        }
    }

    /// Revokes these tokens of this tenant, one after the other, each as [`Patrol::revoke`] does: one that is refused, such
    /// as one that has ended meanwhile, keeps no other from being revoked. The events have one trace id.
    ///
    /// # Errors
    /// As [`Patrol::preview_revocation`]: then nothing was revoked. What goes wrong later is told of in the result.
    pub fn revoke_selection(&self, caller: &Caller, tenant: Id, tokens: &[Id]) -> Result<Revocations, Error> {
        let caller = caller.in_batch(self.now());
        let mut result = Revocations::default();
        let mut out = false;
        for row in self.selected(tenant, tokens)? {
            if out {
                result.kept.push((row, None));
                continue;
            }
            match self.revoke(&caller, row.state.token.id) {
                Ok(revoked) => result.revoked.push(revoked),
                Err(Error::Refused(refusal)) => result.kept.push((row, Some(refusal.reason))),
                Err(error) => {
                    // The next one would hardly fare better.
                    tracing::error!(%error, "a selection of tokens could not be revoked to its end");
                    out = true;
                    result.kept.push((row, None));
                }
            }
        }
        Ok(result)
    }

    fn selected(&self, tenant: Id, tokens: &[Id]) -> Result<Vec<TokenRow>, Error> {
        let tokens: BTreeSet<_> = tokens.iter().copied().collect();
        if tokens.len() > LARGEST_SELECTION {
            return Err(Error::Invalid(format!(
                "at most {LARGEST_SELECTION} tokens can be revoked at once"
            )));
        }
        let read = self.store.read()?;
        let mut rows = Vec::with_capacity(tokens.len());
        for token in tokens {
            let row = read.token_row(token)?;
            let row = row.filter(|row| row.state.token.tenant == tenant);
            rows.push(row.ok_or_else(|| Error::NotFound {
                what: "token",
                name: token.to_string(),
            })?);
        }
        Ok(rows)
    }

    fn doomed(&self, tokens: impl Iterator<Item = ReviewedToken>) -> Result<Vec<Doomed>, Error> {
        let (read, now) = (self.store.read()?, self.now());
        let mut all = Vec::new();
        for token in tokens {
            all.push(Doomed {
                sessions: read.list_open_sessions(token.row.state.token.id)?.len(),
                lives: now < token.outlook.ends.at,
                token,
            });
        }
        Ok(all)
    }
}
