//! What a call leaves behind: the difference between what the candidate did and what the live policy did.
//!
//! When this is called, what the candidate wrote is in the world if it said yes, and is not if it did not. What both
//! did is taken out again, since the live records have it from now on, and what the live policy alone did is taken back.

use patrol_policy::Secret;
use patrol_policy::types::{Id, IssueRequest, Scope, Timestamp, Token, TokenState};

use super::Done;
use super::desk::Desk;
use super::world::Secrets;
use crate::service::Error;
use crate::service::exchange::{Answer, Asked, Presented, Verdict, Yes};
use crate::service::moves::Move;

/// Does so.
pub(super) fn reconcile(desk: &mut Desk, verdict: &Verdict, done: Done) -> Result<(), Error> {
    let exchange = std::sync::Arc::clone(&desk.exchange);
    let at = exchange.at;
    let both = Both {
        live: yes(&exchange.verdict),
        own: yes(verdict),
    };
    if let Some(moved) = done.moved.filter(|_| both.own.is_some()) {
        desk.move_token(&moved)?;
    }
    match &exchange.question {
        Asked::Authenticate(Presented::Text { id, .. }, _) => desk.use_token(*id, at, &both, done.used),
        Asked::OpenSession(Presented::Text { id, .. }, _) => {
            desk.use_token(*id, at, &both, done.used)?;
            desk.open_session(*id, &both, done.text)
        }
        Asked::CheckSession(Presented::Text { id, .. }, _) => desk.use_session(*id, at, &both, done.used),
        Asked::CloseSession(Presented::Text { id, .. }) => desk.close_session(*id, &both),
        Asked::Issue(request, _) => desk.issue(request, at, &both),
        Asked::Rotate(token, ..) => desk.rotate(*token, &both, done.text),
        Asked::Revoke(token, _) => desk.revoke(*token, &both),
        Asked::RevokeAll(owner, _) => desk.revoke_all(*owner, at, &both),
        Asked::ChangeMethod(scope, method, _) => desk.change_method(*scope, method, at, &both),
        _ => Ok(()),
    }
}

fn yes(verdict: &Verdict) -> Option<&Yes> {
    match verdict {
        Verdict::Yes(yes) => Some(yes),
        _ => None,
    }
}

/// What each of them said, if it was yes.
struct Both<'a> {
    live: Option<&'a Yes>,
    own: Option<&'a Yes>,
}

impl Desk {
    /// A move to another scheme is made a moment after the yes.
    fn move_token(&mut self, moved: &Move) -> Result<(), Error> {
        let (generation, scheme, digest, previous) = moved.secrets();
        if let Some(record) = self.live_token(moved.token(), false)? {
            let delta = self
                .world
                .change_token(moved.token(), record.token.owner, Some(&record));
            delta.secrets = Some(Secrets {
                generation,
                scheme,
                digest,
                previous,
            });
        }
        Ok(())
    }

    /// A live yes is a use (R5).
    fn use_token(&mut self, id: Id, at: Timestamp, both: &Both<'_>, used: bool) -> Result<(), Error> {
        let (live, own) = (both.live.is_some(), both.own.is_some() && used);
        let differs = self
            .world
            .token(id)
            .is_some_and(|delta| delta.last_used.is_some());
        if live != own || (differs && own) {
            let Some(record) = self.live_token(id, false)? else {
                return Ok(());
            };
            let Some(state) = self.world.laid_over(&record) else {
                return Ok(());
            };
            let before = state.token.last_used;
            let delta = self.world.change_token(id, record.token.owner, Some(&record));
            delta.last_used = Some(if own { before.max(Some(at)) } else { before });
        }
        if live {
            self.world.saw_use(id, at);
        }
        Ok(())
    }

    fn use_session(&mut self, id: Id, at: Timestamp, both: &Both<'_>, used: bool) -> Result<(), Error> {
        let (live, own) = (both.live.is_some(), both.own.is_some() && used);
        let actual = self.world.alias(id).unwrap_or(id);
        let delta = self.world.session(actual);
        let is_made = delta.is_some_and(|delta| delta.made.is_some());
        let differs = delta.is_some_and(|delta| delta.last_used.is_some());
        if !is_made && live == own && !(differs && own) {
            return Ok(());
        }
        let Some(state) = self.session(actual, false)? else {
            return Ok(());
        };
        let before = state.session.last_used;
        let last_used = if own { before.max(at) } else { before };
        let delta = self.world.change_session(actual, state.session.token);
        match &mut delta.made {
            Some(made) => made.last_used = last_used,
            None => delta.last_used = Some(last_used),
        }
        Ok(())
    }

    fn open_session(&mut self, token: Id, both: &Both<'_>, text: Option<Secret>) -> Result<(), Error> {
        let opened = |yes: Option<&Yes>| match yes {
            Some(Yes::Opened { session, .. }) => Some(*session),
            _ => None,
        };
        match (opened(both.live), opened(both.own)) {
            (Some(live), Some(own)) => {
                let secrets = self
                    .world
                    .token(token)
                    .is_some_and(|delta| delta.secrets.is_some());
                if secrets {
                    // It belongs to a generation that the live records may not have.
                    self.world.set_alias(live, own);
                    if let Some(text) = text {
                        self.world.hold(live, 0, text);
                    }
                } else {
                    // They are the same but for their names.
                    self.world.forget_session(own);
                }
            }
            (Some(live), None) => self.world.change_session(live, token).absent = true,
            // Nobody holds it, and it counts.
            (None, _) => {}
        }
        Ok(())
    }

    fn close_session(&mut self, id: Id, both: &Both<'_>) -> Result<(), Error> {
        if both.live.is_some() && both.own.is_none() {
            let actual = self.world.alias(id).unwrap_or(id);
            if let Some(state) = self.session(actual, false)? {
                self.world.change_session(actual, state.session.token).ended = Some(state.session.ended);
            }
        }
        Ok(())
    }

    fn issue(&mut self, request: &IssueRequest, at: Timestamp, both: &Both<'_>) -> Result<(), Error> {
        match (both.live, both.own) {
            // They are the same but for their names and secrets.
            (Some(_), Some(_)) => self.world.roll_back(),
            (Some(Yes::Minted { token, .. }), None) => {
                let owner = self.exchange.answers.iter().find_map(|answer| match answer {
                    Answer::Owner(id, Some(owner)) if *id == request.owner => Some(*owner),
                    _ => None,
                });
                let state = owner.map(|owner| TokenState {
                    token: Token {
                        id: *token,
                        owner: owner.id,
                        tenant: owner.tenant,
                        audience: request.audience,
                        scheme: patrol_policy::token::SCHEME_SHA256,
                        digest: patrol_policy::types::Digest::default(),
                        generation: 0,
                        previous: None,
                        created: at,
                        expires: request.expires,
                        last_used: None,
                        owner_epoch: owner.epoch,
                        tenant_epoch: owner.tenant_epoch,
                        ended: None,
                    },
                    owner,
                });
                let delta = self.world.change_token(*token, request.owner, state.as_ref());
                delta.absent = true;
                delta.name = Some(request.name.clone());
            }
            _ => {}
        }
        Ok(())
    }

    fn rotate(&mut self, token: Id, both: &Both<'_>, text: Option<Secret>) -> Result<(), Error> {
        let Some(record) = self.live_token(token, false)? else {
            return Ok(());
        };
        let generation = record.token.generation;
        let next = generation.saturating_add(1);
        match (both.live.is_some(), both.own.is_some(), text) {
            (live, true, Some(text)) => {
                let from = if live { next } else { generation };
                self.world.hold(token, from, text);
            }
            (true, false, _) => {
                // Whoever was refused goes on with what they have.
                let held = self.world.held(token, generation);
                let text = held.unwrap_or_else(|| self.world.stand_ins.token(token, generation));
                self.world.hold(token, next, text);
                if let Some(state) = self.world.laid_over(&record) {
                    let delta = self.world.change_token(token, record.token.owner, Some(&record));
                    delta.secrets = Some(Secrets::of(&state.token));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn revoke(&mut self, token: Id, both: &Both<'_>) -> Result<(), Error> {
        let was_spared = |desk: &Self| {
            let delta = desk.world.token(token);
            delta.is_some_and(|delta| delta.ended == Some(None))
        };
        match (both.live.is_some(), both.own.is_some()) {
            (true, true) => {
                // The live record has the mark from now on, unless it was made to look as if it had none.
                self.world.roll_back();
                if was_spared(self)
                    && let Some(record) = self.live_token(token, false)?
                {
                    let delta = self.world.change_token(token, record.token.owner, Some(&record));
                    delta.ended = None;
                }
            }
            (true, false) => {
                if let Some(record) = self.live_token(token, false)?
                    && let Some(state) = self.world.laid_over(&record)
                {
                    let delta = self.world.change_token(token, record.token.owner, Some(&record));
                    delta.ended = Some(state.token.ended);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn revoke_all(&mut self, owner: Id, at: Timestamp, both: &Both<'_>) -> Result<(), Error> {
        match (both.live.is_some(), both.own.is_some()) {
            (true, true) => {
                // The live records have the marks from now on; what differs has been marked one by one.
                self.world.change_scope(owner).ended.pop();
            }
            (true, false) => self.world.change_scope(owner).spared.push(at),
            _ => {}
        }
        Ok(())
    }

    fn change_method(
        &mut self,
        scope: Scope,
        method: &str,
        at: Timestamp,
        both: &Both<'_>,
    ) -> Result<(), Error> {
        let changed = |yes: Option<&Yes>| matches!(yes, Some(Yes::Changed(true)));
        let (Scope::Tenant(id) | Scope::Owner(id)) = scope;
        match (changed(both.live), changed(both.own)) {
            (true, true) => {
                let delta = self.world.change_scope(id);
                delta.changes.pop();
                // Both have this one now.
                delta.method = None;
            }
            (true, false) => {
                let before = self.exchange.answers.iter().find_map(|answer| match answer {
                    Answer::Method(asked, before) if *asked == scope => before.clone(),
                    _ => None,
                });
                let set_already = matches!(both.own, Some(Yes::Changed(false)));
                let delta = self.world.change_scope(id);
                delta.changes.push((at, false));
                match set_already {
                    true => delta.method = Some(method.to_owned()),
                    false => delta.method = delta.method.take().or(before),
                }
            }
            _ => {}
        }
        Ok(())
    }
}
