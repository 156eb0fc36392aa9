//! Sessions that a token opens (R3, R4, R5).
//!
//! A session ends at its greatest length after it was opened, at its idle period after its last check, and with its
//! token, whatever ends that. It belongs to the generation of the secret that opened it: once that secret is
//! refused, so is the session. A check of a session is not a use of the token (R5).
//!
//! The verdict on a presented session names the first of these that holds: malformed, bad-checksum, unknown,
//! wrong-secret, the reason for which it was closed or replaced; then its token's reason, in the order of
//! [`expiry`](crate::expiry), or what a policy of one's own refuses it for; rotated; session-expired or session-idle, the
//! earlier of the two and the former where both fall on the same instant; wrong-audience (R12).

use crate::authenticate::Verified;
use crate::token::{self, Kind, SCHEME_SHA256};
use crate::types::{
    Audience, Cause, ClosedSession, Denial, End, OpenedSession, Parameters, RefusalReason, Session,
    SessionGrant, SessionState, Timestamp, TokenState,
};
use crate::{Engine, Host, Policy, rotate};

/// A presented session that is good, at the instant at which it was found so.
struct Checked {
    now: Timestamp,
    parameters: Parameters,
    state: SessionState,
    /// When the token will end, and where the session is of the generation before, its overlap.
    token_end: End,
}

impl<H: Host, P: Policy> Engine<'_, H, P> {
    /// Verifies a presented token for an audience, notes the use and opens a session (R3).
    ///
    /// With a limit on the open sessions of one token, the oldest make room for the new one.
    ///
    /// # Errors
    /// Refusals: as for [`authenticate`](Self::authenticate).
    pub fn open_session(&mut self, presented: &[u8], audience: Audience) -> Result<OpenedSession, Denial> {
        let verified = self.verify(presented, audience)?;
        let Verified {
            now,
            parameters,
            state,
            generation,
            overlap,
        } = &verified;
        self.host.record_use(state.token.id, *now)?;
        self.move_used(&state.token)?;
        self.make_room(state, *now, parameters)?;

        let (id, secret) = self.mint(*now);
        let session = Session {
            id,
            token: state.token.id,
            generation: *generation,
            digest: token::digest(&secret),
            opened: *now,
            last_used: *now,
            ended: None,
        };
        self.host.insert_session(&session)?;
        let longest = own_ends(&session, *now, parameters).0.at.min(state.token.expires);
        Ok(OpenedSession {
            session: id,
            secret: token::compose(Kind::Session, id, &secret),
            grant: verified.grant(),
            ends: end(&session, *now, parameters).or_earlier(verified.token_end()),
            expires: overlap.map_or(longest, |overlap| longest.min(overlap.at)),
        })
    }

    /// Ends the oldest sessions of a token until one more is within the limit.
    fn make_room(
        &mut self,
        state: &TokenState,
        now: Timestamp,
        parameters: &Parameters,
    ) -> Result<(), Denial> {
        let Some(others) = parameters.sessions_per_token.checked_sub(1) else {
            return Ok(()); // Any number.
        };
        let mut room = others;
        // The newest first: the oldest are those that there is no room for.
        for session in self.host.list_open_sessions(state.token.id)?.iter().rev() {
            let open = rotate::overlap(&state.token, session.generation, now).is_ok()
                && end(session, session.last_used, parameters).ahead(now).is_ok();
            if !open {
                continue;
            }
            if let Some(left) = room.checked_sub(1) {
                room = left;
                continue;
            }
            self.host.end_session(
                session.id,
                End {
                    at: now,
                    cause: Cause::SessionReplaced,
                },
            )?;
        }
        Ok(())
    }

    /// Verifies a presented session for an audience and notes its use, which is not one of the token (R5).
    ///
    /// # Errors
    /// Refusals: see the [module](self).
    pub fn check_session(&mut self, presented: &[u8], audience: Audience) -> Result<SessionGrant, Denial> {
        let Checked {
            now,
            parameters,
            state,
            token_end,
        } = self.check(presented)?;
        let (session, token) = (&state.session, &state.token.token);
        if token.audience != audience {
            return Err(Denial::about(token.id, RefusalReason::WrongAudience));
        }
        self.host.record_session_use(session.id, now)?;
        Ok(SessionGrant {
            session: session.id,
            token: token.id,
            owner: token.owner,
            tenant: token.tenant,
            ends: end(session, now, &parameters).or_earlier(token_end),
        })
    }

    /// Ends a presented session.
    ///
    /// # Errors
    /// Refusals: as for [`check_session`](Self::check_session), whatever the audience.
    pub fn close_session(&mut self, presented: &[u8]) -> Result<ClosedSession, Denial> {
        let Checked { now, state, .. } = self.check(presented)?;
        let (session, token) = (&state.session, &state.token.token);
        self.host.end_session(
            session.id,
            End {
                at: now,
                cause: Cause::SessionClosed,
            },
        )?;
        Ok(ClosedSession {
            session: session.id,
            token: token.id,
            owner: token.owner,
            tenant: token.tenant,
        })
    }

    /// The verdict on a presented session, its audience left out.
    fn check(&mut self, presented: &[u8]) -> Result<Checked, Denial> {
        let presented = token::parse(Kind::Session, presented)?;
        let state = self
            .host
            .get_session(presented.id())?
            .ok_or(RefusalReason::Unknown)?;
        let now = self.host.now();
        let parameters = self.parameters();
        let about = |reason| Denial::about(state.token.token.id, reason);
        if !bool::from(presented.matches(SCHEME_SHA256, &state.session.digest)) {
            return Err(about(RefusalReason::WrongSecret));
        }
        let token_end = self.judge_session(&state, now, &parameters).map_err(about)?;
        Ok(Checked {
            now,
            parameters,
            state,
            token_end,
        })
    }

    /// The verdict on a session whose secret is right; on a yes, when it will end with its token.
    fn judge_session(
        &self,
        state: &SessionState,
        now: Timestamp,
        parameters: &Parameters,
    ) -> Result<End, RefusalReason> {
        let SessionState { session, token } = state;
        if let Some(mark) = session.ended {
            return Err(mark.cause.into());
        }
        let token_end = self.usable(token, now, parameters)?;
        let overlap = rotate::overlap(&token.token, session.generation, now)?;
        end(session, session.last_used, parameters).ahead(now)?;
        Ok(overlap.map_or(token_end, |overlap| token_end.or_earlier(overlap)))
    }
}

/// When a session ends by itself if it was, or is, last used at `used`.
fn end(session: &Session, used: Timestamp, parameters: &Parameters) -> End {
    let (lifetime, idle) = own_ends(session, used, parameters);
    lifetime.or_earlier(idle)
}

fn own_ends(session: &Session, used: Timestamp, parameters: &Parameters) -> (End, End) {
    let lifetime = session.opened.saturating_add(parameters.session_lifetime);
    let idle = used.saturating_add(parameters.session_idle);
    (
        End {
            at: lifetime,
            cause: Cause::SessionLifetime,
        },
        End {
            at: idle,
            cause: Cause::SessionIdle,
        },
    )
}
