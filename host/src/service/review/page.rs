//! A page of an organisation's tokens, as an administrator asks for it.

use patrol_policy::types::{Id, LiveRule, Timestamp};

use super::ReviewedToken;
use crate::service::question::Whose;
use crate::service::{Error, Patrol};
use crate::store::{TokenPlace, TokenQuery, TokenSort, TokenStanding, UserRow};

/// How many tokens one page looks at, at most. A filter that lets little through is searched on with the next page.
pub const EXAMINED: u32 = 20_000;

/// The largest page.
pub const LARGEST_REVIEW: u32 = 1_000;

/// Bytes of a cursor before its text.
const FIXED: usize = 33;

/// Which tokens of a tenant to list, and in which order.
#[derive(Clone, Debug, Default)]
pub struct ReviewQuery {
    /// Of this tenant.
    pub tenant: Id,
    /// Of this owner only.
    pub owner: Option<Id>,
    /// By whether they live.
    pub standing: TokenStanding,
    /// Not used since this time, or never.
    pub unused_since: Option<Timestamp>,
    /// Used at this time or later.
    pub used_since: Option<Timestamp>,
    /// Never used.
    pub never_used: bool,
    /// Ended, or ending if not used again, before this time.
    pub ends_before: Option<Timestamp>,
    /// With this in their name, whatever the case.
    pub name: Option<String>,
    /// In this order.
    pub sort: TokenSort,
    /// The other way round.
    pub descending: bool,
    /// Where it begins; none: at the beginning.
    pub after: Option<ReviewCursor>,
    /// At most so many, up to [`LARGEST_REVIEW`].
    pub limit: u32,
}

/// A page of tokens.
#[derive(Clone, Debug)]
pub struct ReviewPage {
    /// The tokens.
    pub rows: Vec<ReviewedToken>,
    /// Where the next page begins, if there may be one.
    pub next: Option<ReviewCursor>,
    /// Whether it ended because [`EXAMINED`] were looked at: then the next page may be empty.
    pub stopped: bool,
}

/// Where a page begins. It is of use with the query that it came from, and of none with another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewCursor(TokenPlace);

impl ReviewCursor {
    /// For an address: opaque, no secret, and with no checksum.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let TokenPlace {
            part,
            numbers,
            text,
            id,
        } = &self.0;
        let mut bytes = vec![*part];
        bytes.extend_from_slice(&numbers.0.to_be_bytes());
        bytes.extend_from_slice(&numbers.1.to_be_bytes());
        bytes.extend_from_slice(&id.to_bytes());
        bytes.extend_from_slice(text.as_bytes());
        bytes
    }

    /// What [`ReviewCursor::to_bytes`] made; none for anything else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (fixed, text) = bytes.split_first_chunk::<FIXED>()?;
        let (part, rest) = fixed.split_first()?;
        let (first, rest) = rest.split_first_chunk::<8>()?;
        let (second, id) = rest.split_first_chunk::<8>()?;
        Some(Self(TokenPlace {
            part: *part,
            numbers: (i64::from_be_bytes(*first), i64::from_be_bytes(*second)),
            text: str::from_utf8(text).ok()?.to_owned(),
            id: Id::from_bytes(id.try_into().ok()?),
        }))
    }
}

impl Patrol {
    /// A page of a tenant's tokens, ended ones included until they are forgotten (R6, R13), with uses that are not yet
    /// written. It takes about the same time however many tokens there are.
    ///
    /// # Errors
    /// A fault of the policy, or an outage.
    pub fn review_page(&self, query: &ReviewQuery) -> Result<ReviewPage, Error> {
        let by_use = query.sort == TokenSort::Used || query.sort == TokenSort::Ends;
        if by_use
            && query.after.is_none()
            && let Err(error) = self.store.flush()
        {
            // The order is by what is written. It is a little behind, and the page can be shown all the same.
            tracing::warn!(%error, "uses could not be written before a review");
        }
        let now = self.now();
        let policies = self.policies.load();
        let chosen = policies.of(Whose::Tenant(query.tenant), &*self.store)?;
        let idle_after = chosen.running.rules(&self.parameters()).idle_after;
        let name = query.name.as_deref().map(str::to_lowercase);
        let page = self.store.read()?.token_page(&TokenQuery {
            tenant: query.tenant,
            owner: query.owner,
            standing: query.standing,
            rule: LiveRule {
                now,
                idle_since: now.saturating_sub(idle_after),
            },
            unused_since: query.unused_since,
            used_since: query.used_since,
            never_used: query.never_used,
            ends_before: query.ends_before,
            name: name.as_deref(),
            sort: query.sort,
            descending: query.descending,
            after: query.after.as_ref().map(|cursor| &cursor.0),
            limit: query.limit.clamp(1, LARGEST_REVIEW),
            budget: EXAMINED,
        })?;
        let states: Vec<_> = page.rows.iter().map(|row| row.state).collect();
        let outlooks = self.foresee(&states)?;
        let rows = page.rows.into_iter().zip(outlooks);
        // The policy has the last word on what lives, and why not.
        let rows = rows.filter(|(_, outlook)| {
            let ended = outlook.ends.at <= now;
            match query.standing {
                TokenStanding::Any => true,
                TokenStanding::Live => !ended,
                TokenStanding::Ended => ended,
                TokenStanding::EndedBy(cause) => ended && outlook.ends.cause == cause,
            }
        });
        Ok(ReviewPage {
            rows: rows
                .map(|(row, outlook)| ReviewedToken { row, outlook })
                .collect(),
            next: page.next.map(ReviewCursor),
            stopped: page.stopped,
        })
    }

    /// The user of this tenant whose name or identifier this is; by the identifier, also one who was deleted.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for a user of another tenant; or an outage.
    pub fn user_of(&self, tenant: Id, name: &str) -> Result<UserRow, Error> {
        let read = self.store.read()?;
        let by_id = match name.parse::<Id>() {
            Ok(id) => read.user(id)?.filter(|user| user.tenant == tenant),
            Err(_) => None,
        };
        let user = match by_id {
            Some(user) => Some(user),
            None => read
                .users_by_name(Some(tenant), &crate::service::normalize(name))?
                .pop(),
        };
        user.ok_or_else(|| Error::NotFound {
            what: "user",
            name: name.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_cursor_is_the_same_after_a_way_through_an_address() {
        let cursor = ReviewCursor(TokenPlace {
            part: 1,
            numbers: (-1, i64::MAX),
            text: "Ärger".to_owned(),
            id: Id { hi: 7, lo: u64::MAX },
        });
        let bytes = cursor.to_bytes();
        assert_eq!(ReviewCursor::from_bytes(&bytes).unwrap(), cursor);
        assert_eq!(ReviewCursor::from_bytes(bytes.get(..FIXED - 1).unwrap()), None);
        assert_eq!(ReviewCursor::from_bytes(&[0xff; FIXED + 1]), None, "no UTF-8");
    }
}
