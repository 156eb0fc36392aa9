//! Questions about many tokens at once: how many, which, and whether one has a name.

use patrol_policy::types::{Census, End, Id, LiveRule, Scope, TokenState};

use super::super::world::is_live;
use super::Desk;
use crate::service::exchange::Answer;
use crate::store::{Result, TokenFilter};

/// A token that differs, as it is among the live records and as the candidate has it.
struct Differing {
    live: Option<TokenState>,
    own: Option<TokenState>,
    /// Its name, if it is known.
    name: Option<String>,
}

impl Desk {
    /// The tokens of an owner that differ, each as it is among the live records and as the candidate has it.
    fn differing(&mut self, owner: Id) -> Result<Vec<Differing>> {
        let deltas: Vec<_> = self
            .world
            .tokens_of(owner)
            .map(|(id, delta)| (id, delta.clone()))
            .collect();
        let mut both = Vec::with_capacity(deltas.len());
        for (id, delta) in deltas {
            let own = match (delta.made.is_some(), delta.live) {
                (true, _) => self.token(id, false)?,
                (false, Some(mut live)) => {
                    // The owner may have changed since the token was last seen.
                    if let Some(Some(owner)) = self.recorded_owner(owner) {
                        live.owner = owner;
                    }
                    self.world.laid_over(&live)
                }
                (false, None) => None,
            };
            both.push(Differing {
                live: delta.live.filter(|_| delta.made.is_none()),
                own,
                name: delta.name,
            });
        }
        Ok(both)
    }

    /// How many more tokens of an owner live for the candidate than do among the live records; and how many fewer.
    fn balance(&mut self, owner: Id, rule: LiveRule) -> Result<(u32, u32)> {
        let (mut more, mut fewer) = (0_u32, 0_u32);
        for Differing { live, own, .. } in self.differing(owner)? {
            let lives = live.is_some_and(|live| is_live(&live, rule));
            match (lives, own.is_some_and(|own| is_live(&own, rule))) {
                (false, true) => more = more.saturating_add(1),
                (true, false) => fewer = fewer.saturating_add(1),
                _ => {}
            }
        }
        Ok((more, fewer))
    }

    /// Whether the candidate itself has just ended all that this rule calls live.
    fn has_ended(&self, owner: Id, rule: LiveRule) -> bool {
        let scope = self.world.scope(owner);
        scope.is_some_and(|scope| {
            let covers =
                |(ended, _): &(LiveRule, End)| ended.now == rule.now && ended.idle_since <= rule.idle_since;
            scope.ended.iter().any(covers)
        })
    }

    /// An owner's live tokens as the candidate has them.
    pub(super) fn live_list(
        &mut self,
        owner: Id,
        rule: LiveRule,
        function: &'static str,
    ) -> Result<Vec<TokenState>> {
        let known = self.exchange.answers.iter().find_map(|answer| match answer {
            Answer::List(asked, by, list) if (*asked, *by) == (owner, rule) => {
                Some(list.iter().map(|seen| seen.state()).collect())
            }
            _ => None,
        });
        let live: Vec<TokenState> = match known {
            Some(known) => known,
            None => {
                let mut stored = self.now_stored(function)?.list_live_tokens(owner, rule)?;
                // The store is that of today: what was made by this decision, or later, was not there.
                let at = self.exchange.at;
                stored.retain(|state| state.token.created < at);
                stored
            }
        };
        let mut list: Vec<_> = live
            .iter()
            .filter_map(|live| self.world.laid_over(live))
            .collect();
        for Differing { own, .. } in self.differing(owner)? {
            if let Some(own) = own
                && !list.iter().any(|one| one.token.id == own.token.id)
            {
                list.push(own);
            }
        }
        list.retain(|state| is_live(state, rule));
        list.sort_by_key(|state| (state.token.created, state.token.id));
        Ok(list)
    }

    pub(super) fn count(&mut self, owner: Id, rule: LiveRule) -> Result<u32> {
        let known = self.exchange.answers.iter().find_map(|answer| match answer {
            Answer::Count(asked, by, count) if (*asked, *by) == (owner, rule) => Some(*count),
            _ => None,
        });
        let known = known.or_else(|| self.has_ended(owner, rule).then_some(0));
        match known {
            Some(count) => {
                let (more, fewer) = self.balance(owner, rule)?;
                Ok(count.saturating_add(more).saturating_sub(fewer))
            }
            None => {
                let list = self.live_list(owner, rule, "count-live-tokens")?;
                Ok(u32::try_from(list.len()).unwrap_or(u32::MAX))
            }
        }
    }

    pub(super) fn name_exists(&mut self, owner: Id, name: &str, rule: LiveRule) -> Result<bool> {
        let known = self.exchange.answers.iter().find_map(|answer| match answer {
            Answer::Name(asked, what, by, exists) if (*asked, what.as_str(), *by) == (owner, name, rule) => {
                Some(*exists)
            }
            _ => None,
        });
        let live = match known {
            Some(known) => known,
            None => {
                let at = self.exchange.at;
                let filter = TokenFilter {
                    owner: Some(owner),
                    live: Some(rule),
                    limit: u32::MAX,
                    ..TokenFilter::default()
                };
                let stored = self.now_stored("live-name-exists")?.token_rows(&filter)?;
                stored
                    .iter()
                    .any(|row| row.name == name && row.state.token.created < at)
            }
        };
        // A name is one token's at a time, among the live records as for the candidate.
        let mut exists = live;
        for Differing {
            live: theirs,
            own,
            name: known,
        } in self.differing(owner)?
        {
            let lives = theirs.is_some_and(|theirs| is_live(&theirs, rule));
            let own_lives = own.is_some_and(|own| is_live(&own, rule));
            if lives == own_lives {
                continue;
            }
            let id = own.or(theirs).map(|state| state.token.id).unwrap_or_default();
            let named = match known {
                Some(named) => Some(named),
                None => self.stored()?.token_row(id)?.map(|row| row.name),
            };
            if named.as_deref() == Some(name) {
                exists = own_lives;
                if own_lives {
                    break;
                }
            }
        }
        Ok(exists)
    }

    pub(super) fn census(&mut self, scope: Scope, rule: LiveRule) -> Result<Census> {
        let known = self.exchange.answers.iter().find_map(|answer| match answer {
            Answer::Census(asked, by, census) if (*asked, *by) == (scope, rule) => Some(*census),
            _ => None,
        });
        let mut census = match known {
            Some(known) => known,
            None => self.now_stored("take-census")?.census(scope, rule)?,
        };
        let owners: Vec<_> = match scope {
            Scope::Owner(owner) => vec![owner],
            Scope::Tenant(_) => self.world.owners().collect(),
        };
        for owner in owners {
            let within = match scope {
                Scope::Owner(_) => true,
                Scope::Tenant(tenant) => self.live_owner(owner, false)?.is_some_and(|o| o.tenant == tenant),
            };
            if within {
                let (more, fewer) = self.balance(owner, rule)?;
                census.tokens = census
                    .tokens
                    .saturating_add(more.into())
                    .saturating_sub(fewer.into());
            }
        }
        if matches!(scope, Scope::Owner(_)) {
            census.owners = census.tokens.min(1);
        }
        Ok(census)
    }

    pub(super) fn end_all(&mut self, owner: Id, rule: LiveRule, end: End) -> Result<u32> {
        let known = self.exchange.answers.iter().find_map(|answer| match answer {
            Answer::Ended(asked, by, count) if (*asked, *by) == (owner, rule) => Some(*count),
            _ => None,
        });
        let count = match known {
            Some(count) => {
                let (more, fewer) = self.balance(owner, rule)?;
                count.saturating_add(more).saturating_sub(fewer)
            }
            None => {
                let list = self.live_list(owner, rule, "end-live-tokens")?;
                u32::try_from(list.len()).unwrap_or(u32::MAX)
            }
        };
        for Differing { own, .. } in self.differing(owner)? {
            if let Some(own) = own.filter(|own| is_live(own, rule)) {
                self.end(own.token.id, end)?;
            }
        }
        self.world.change_scope(owner).ended.push((rule, end));
        Ok(count)
    }
}
