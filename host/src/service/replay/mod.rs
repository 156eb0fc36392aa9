//! Asking another policy what was asked before, in the same circumstances.
//!
//! A candidate is put each question of an [`Exchange`] again. It is told the time that it was, the configuration that
//! was in force, and what storage answered then; what it wants to write goes into a throw-away [`World`] that is laid
//! over the answers. It may do what it might live: the call is a [`Call`], with the same permissions, and a yes passes
//! the same floor. A candidate's yes that the floor forbids is a fault, as it would be.
//!
//! # What a candidate did is what it finds
//!
//! * A token that it ended stays ended; one that only the live policy ended goes on. Its digest is erased in the live
//!   record, so whether the secret presented later is right, nobody can tell: it is taken for the right one.
//! * A use that it refused is no use, and a use that it alone allowed is one: from then on the token's last use is the
//!   candidate's own.
//! * A secret that it replaced or moved to another scheme is replaced or moved. Whoever was handed a secret by the live
//!   policy holds the one that the candidate handed out in its place, or goes on with the one before where it refused.
//! * A token or session that it would not have made is not there, and one that it alone made counts.
//! * A change of method that one made and the other did not raises, or does not raise, the epochs.
//!
//! Where both did the same, the live records are the ones that count from then on, so what is remembered are
//! differences alone.
//!
//! # What an exchange lacks
//!
//! A candidate may ask what the live policy did not. It is answered from the store as it is now, with what differs laid
//! over it, and [`Replay::unanswered`] counts it: the number is an indication and not what was.

mod desk;
mod reconcile;
mod stand_ins;
#[cfg(test)]
mod tests;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

use patrol_policy::Secret;
use patrol_policy::token::Kind;
use patrol_policy::types::{Duration, HOUR, Id, Parameters};

use super::Error;
use super::call::Call;
use super::decision::Decision;
use super::exchange::{Answer, Asked, Exchange, Matches, Presented, Verdict};
use super::moves::Move;
use super::pepper::Keyring;
use super::question::{
    Authenticate, ChangeMethod, CheckSession, CloseSession, Issue, ListTokens, OpenSession, PasswordSignIn,
    PreviewMethod, Revoke, RevokeAll, Rotate,
};
use crate::policy::Policy;
use crate::store::{Store, Tenants};
use desk::{Desk, Shared};
use stand_ins::StandIns;
use world::World;

/// A broken contract, as [`Fault::kind`](super::Fault::kind) has it.
const CONTRACT: &str = "contract";

/// Exchanges between two looks for sessions that are over.
const TIDY: u32 = 10_000;

/// What the candidate did in one call, besides its verdict.
struct Done {
    /// Whether it noted a use.
    used: bool,
    /// The move of the presented token that it noted.
    moved: Option<Move>,
    /// The text that it handed out.
    text: Option<Secret>,
}

/// A candidate, and the world as it would be.
pub(super) struct Replay {
    candidate: Policy<Call>,
    /// Whose records it would govern; none: all of them.
    tenant: Option<Id>,
    store: Arc<dyn Store>,
    keyring: Arc<Keyring>,
    desk: Shared,
    until_tidy: u32,
}

impl Replay {
    /// Nothing differs yet. `store` is what is read where exchanges say nothing; nothing is written there.
    pub(super) fn new(
        candidate: Policy<Call>,
        store: &Arc<dyn Store>,
        tenant: Option<Id>,
    ) -> Result<Self, Error> {
        let nothing = Exchange {
            at: 0,
            tenant: None,
            parameters: Parameters::default(),
            question: Asked::PasswordSignIn(Id::default()),
            answers: Vec::new(),
            overruled: None,
            verdict: Verdict::Outage,
        };
        let stand_ins = StandIns::new()?;
        let keyring = Arc::clone(&stand_ins.keyring);
        let world = World::new(stand_ins);
        Ok(Self {
            candidate,
            tenant,
            keyring,
            store: Arc::clone(store),
            desk: Shared::new(world, Arc::new(nothing), Arc::clone(store)),
            until_tidy: TIDY,
        })
    }

    /// How often which function of the contract was answered from the store as it is now.
    pub(super) fn unanswered(&self) -> BTreeMap<&'static str, u64> {
        self.desk.lock().unanswered.clone()
    }

    /// What the candidate says; none where there was no verdict to compare with, since the store was out.
    ///
    /// # Errors
    /// An outage of the store, which was asked for what the exchange lacks.
    pub(super) fn play(&mut self, exchange: &Arc<Exchange>) -> Result<Option<Verdict>, Error> {
        if exchange.verdict == Verdict::Outage {
            return Ok(None);
        }
        self.tidy(exchange);
        self.desk.lock().turn_to(exchange);
        let (verdict, done) = self.put_again(exchange)?;
        // What the candidate wrote stands with a yes alone, as it does live.
        let mut desk = self.desk.lock();
        if !matches!(verdict, Verdict::Yes(_)) {
            desk.world.roll_back();
        }
        reconcile::reconcile(&mut desk, &verdict, done)?;
        desk.world.keep();
        Ok(Some(verdict))
    }

    /// Puts the question.
    fn put_again(&self, exchange: &Exchange) -> Result<(Verdict, Done), Error> {
        let nothing = |()| None;
        Ok(match &exchange.question {
            Asked::Authenticate(presented, audience) => {
                let text = self.text(Kind::Pat, presented)?;
                let question = Authenticate {
                    presented: text.expose(),
                    audience: *audience,
                };
                self.judge(exchange, &question, |_| None)
            }
            Asked::OpenSession(presented, audience) => {
                let text = self.text(Kind::Pat, presented)?;
                let question = OpenSession {
                    presented: text.expose(),
                    audience: *audience,
                };
                self.judge(exchange, &question, |opened| Some(opened.secret))
            }
            Asked::CheckSession(presented, audience) => {
                let text = self.text(Kind::Session, presented)?;
                let question = CheckSession {
                    presented: text.expose(),
                    audience: *audience,
                };
                self.judge(exchange, &question, |_| None)
            }
            Asked::CloseSession(presented) => {
                let text = self.text(Kind::Session, presented)?;
                let question = CloseSession {
                    presented: text.expose(),
                };
                self.judge(exchange, &question, |_| None)
            }
            Asked::Issue(request, actor) => {
                let actor = *actor;
                self.judge(exchange, &Issue { request, actor }, |issued| Some(issued.secret))
            }
            Asked::Rotate(token, overlap, actor) => {
                let question = Rotate {
                    token: *token,
                    overlap: *overlap,
                    actor: *actor,
                };
                self.judge(exchange, &question, |issued| Some(issued.secret))
            }
            Asked::Revoke(token, actor) => {
                let (token, actor) = (*token, *actor);
                self.judge(exchange, &Revoke { token, actor }, nothing)
            }
            Asked::RevokeAll(owner, actor) => {
                let (owner, actor) = (*owner, *actor);
                let (verdict, done) = self.judge(exchange, &RevokeAll { owner, actor }, |_| None);
                // Live, the policy is asked what it thinks of the tokens that it left.
                let idle = matches!(verdict, Verdict::Yes(_)) && self.desk.lock().left_alive(owner);
                match idle {
                    true => (Verdict::Fault(CONTRACT.to_owned()), done),
                    false => (verdict, done),
                }
            }
            Asked::ListTokens(owner, actor) => {
                let (owner, actor) = (*owner, *actor);
                self.judge(exchange, &ListTokens { owner, actor }, |_| None)
            }
            Asked::ChangeMethod(scope, method, actor) => {
                let (scope, actor) = (*scope, *actor);
                let question = ChangeMethod { scope, method, actor };
                self.judge(exchange, &question, |_| None)
            }
            Asked::PreviewMethod(scope, method, actor) => {
                let (scope, actor) = (*scope, *actor);
                let question = PreviewMethod { scope, method, actor };
                self.judge(exchange, &question, |_| None)
            }
            Asked::PasswordSignIn(owner) => self.judge(exchange, &PasswordSignIn { owner: *owner }, nothing),
        })
    }

    /// What the candidate says to a question, after the floor.
    fn judge<Q: Decision>(
        &self,
        exchange: &Exchange,
        question: &Q,
        text: impl FnOnce(Q::Yes) -> Option<Secret>,
    ) -> (Verdict, Done) {
        let mut call = Call::again(
            &self.store,
            &self.keyring,
            exchange.at,
            exchange.parameters,
            question.operation(),
            Box::new(self.desk.clone()),
            Q::IN_TRANSACTION,
        );
        call.tenants = self.tenant.map_or(Tenants::All, Tenants::One);
        let (mut call, answer) = question.put(&self.candidate, call);
        let checked = call.settle(answer).and_then(|yes| {
            question.check(&mut call, &yes)?;
            Ok(yes)
        });
        let mut done = Done {
            used: call.used,
            moved: call.moved,
            text: None,
        };
        match checked {
            Ok(yes) => {
                let said = Q::said(&yes);
                done.text = text(yes);
                (Verdict::Yes(said), done)
            }
            Err(error) => (Verdict::of(&error), done),
        }
    }

    /// The text in the place of one that was presented.
    fn text(&self, kind: Kind, presented: &Presented) -> Result<Secret, Error> {
        let mut desk = self.desk.lock();
        Ok(match presented {
            Presented::Malformed => Secret::new(b"malformed".to_vec()),
            Presented::BadChecksum => desk.world.stand_ins.mistyped(kind),
            Presented::Text { id, matches } if kind == Kind::Session => desk.session_text(*id, *matches),
            Presented::Text { id, matches } => desk.token_text(*id, *matches)?,
        })
    }

    /// Forgets sessions that are over, now and then: each sign-in may have made one.
    fn tidy(&mut self, exchange: &Exchange) {
        self.until_tidy = self.until_tidy.saturating_sub(1);
        if self.until_tidy == 0 {
            self.until_tidy = TIDY;
            let longest: Duration = exchange.parameters.session_lifetime.saturating_add(HOUR);
            let over = exchange.at.saturating_sub(longest);
            self.desk.lock().world.forget_sessions(over);
        }
    }
}

impl Desk {
    /// Whether the candidate left tokens alive that the live policy ended, all at once.
    fn left_alive(&self, owner: Id) -> bool {
        let ended = self.exchange.answers.iter().any(|answer| match answer {
            Answer::Ended(asked, _, count) => *asked == owner && *count > 0,
            _ => false,
        });
        let now = self.exchange.at;
        let scope = self.world.scope(owner);
        ended && scope.is_none_or(|scope| !scope.ended.iter().any(|(rule, _)| rule.now == now))
    }

    fn token_text(&mut self, id: Id, matches: Matches) -> Result<Secret, Error> {
        let live = self.live_token(id, false)?;
        let own = match live {
            Some(live) => self.world.laid_over(&live),
            None => None,
        };
        let generation = live.map_or(0, |live| live.token.generation);
        // Only the live policy ended it, so nobody knows whether the secret is right.
        let spared = live.is_some_and(|live| live.token.ended.is_some())
            && own.is_some_and(|own| own.token.ended.is_none());
        let generation = match matches {
            Matches::Current => generation,
            Matches::Previous => generation.saturating_sub(1),
            Matches::Nothing if spared => generation,
            Matches::Nothing => return Ok(self.world.stand_ins.wrong(Kind::Pat, id)),
        };
        let held = self.world.held(id, generation);
        Ok(held.unwrap_or_else(|| self.world.stand_ins.token(id, generation)))
    }

    fn session_text(&self, id: Id, matches: Matches) -> Secret {
        match matches {
            Matches::Current => {
                let held = self.world.held(id, 0);
                held.unwrap_or_else(|| self.world.stand_ins.session(id))
            }
            _ => {
                let own = self.world.alias(id).unwrap_or(id);
                self.world.stand_ins.wrong(Kind::Session, own)
            }
        }
    }
}
