//! What somebody had: their tokens that have ended, until these are forgotten (R6).

use std::cmp::Reverse;

use patrol_policy::types::{ActorRole, End, Id, RefusalReason, Timestamp};

use super::accounts::refused;
use super::{Caller, Error, Patrol};
use crate::store::TokenRow;

/// A token that has ended.
#[derive(Clone, Debug)]
pub struct EndedToken {
    /// The token, with names.
    pub row: TokenRow,
    /// When it ended, and why.
    pub ended: End,
}

/// A page of them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EndedTokens {
    /// The last to end first.
    pub tokens: Vec<EndedToken>,
    /// What the next page comes after; none: there is none.
    pub next: Option<(Timestamp, Id)>,
}

impl Patrol {
    /// An owner's tokens that have ended, for as long as the rules in force keep them (R6), at most about `limit` of
    /// them. The first page, which comes after none, also has those that nobody has marked as ended yet.
    ///
    /// # Errors
    /// Refused: not-permitted, no-such-owner. Else a fault of the policy, or an outage.
    pub fn ended_tokens(
        &self,
        caller: &Caller,
        owner: Id,
        after: Option<(Timestamp, Id)>,
        limit: u32,
    ) -> Result<EndedTokens, Error> {
        let permitted = match caller.actor.role {
            ActorRole::Administrator => true,
            ActorRole::User => caller.actor.id == owner,
            ActorRole::Token | ActorRole::System => false,
        };
        if !permitted {
            return Err(refused(RefusalReason::NotPermitted));
        }
        let read = self.store.read()?;
        let user = read.user(owner)?;
        let user = user.ok_or_else(|| refused(RefusalReason::NoSuchOwner))?;
        let marked = read.ended_tokens(owner, after, limit)?;
        let unmarked = if after.is_none() {
            read.unmarked_tokens(owner)?
        } else {
            Vec::new()
        };
        drop(read);

        let full = u32::try_from(marked.len()).is_ok_and(|count| count >= limit);
        let ended = |row: TokenRow| row.state.token.ended.map(|ended| EndedToken { row, ended });
        let mut tokens: Vec<_> = marked.into_iter().filter_map(ended).collect();
        let last = tokens
            .last()
            .filter(|_| full)
            .map(|last| (last.ended.at, last.row.state.token.id));
        let now = self.now();
        let states: Vec<_> = unmarked.iter().map(|row| row.state).collect();
        if !states.is_empty() {
            let outlooks = self.foresee(&states)?;
            let lapsed = unmarked.into_iter().zip(outlooks).filter_map(|(row, outlook)| {
                let ended = outlook.ends;
                // One of a disabled owner only rests.
                (ended.at <= now).then_some(EndedToken { row, ended })
            });
            tokens.extend(lapsed);
            tokens.sort_by_key(|token| Reverse((token.ended.at, token.row.state.token.id)));
        }
        // Forgetting takes its time, and what is due for it is not shown any more.
        let kept = self
            .policy_info_of(Some(user.tenant))?
            .description
            .parameters
            .retention;
        let is_kept = |at: Timestamp| at.saturating_add(kept) > now;
        tokens.retain(|token| is_kept(token.ended.at));
        let next = last.filter(|(at, _)| is_kept(*at));
        Ok(EndedTokens { tokens, next })
    }
}
