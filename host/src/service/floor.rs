//! The floor: what the host checks itself after a yes, whatever the policy said.
//!
//! The policy decides; the floor only ever turns a yes into a fault. It looks at the record that the host read, not
//! at anything that the policy says about it: the token that was presented is the one that was allowed, its secret
//! is right (for schemes that the host knows), it is not marked as ended, before its expiration date (R5), of the
//! epochs of its owner and tenant (R9), for this audience (R12), and its owner is enabled and not deleted (R4). So a
//! policy that is wrong or hostile can refuse, and can never let in what these rules forbid. Idle expiry, limits and
//! names are the policy's alone.

use patrol_policy::token::{self, Kind, SCHEME_SHA256};
use patrol_policy::types::{Audience, Id, SessionState, Timestamp, TokenState};

use crate::policy::Fault;

/// Fails where a presented PAT must not be let in.
pub(super) fn check_token(
    presented: &[u8],
    allowed: (Id, Id, Id),
    state: &TokenState,
    audience: Audience,
    now: Timestamp,
) -> Result<(), Fault> {
    let TokenState { token, .. } = state;
    let text = token::parse(Kind::Pat, presented).map_err(|_| lied("a text that is no token"))?;
    if text.id() != allowed.0 || text.id() != token.id {
        return Err(lied("another token than the one presented"));
    }
    let previous = token.previous.filter(|previous| now < previous.until);
    let known = token.scheme == SCHEME_SHA256 || previous.is_some_and(|p| p.scheme == SCHEME_SHA256);
    let matches = bool::from(text.matches(token.scheme, &token.digest))
        || previous.is_some_and(|p| bool::from(text.matches(p.scheme, &p.digest)));
    if token.scheme == token::SCHEME_ERASED || (known && !matches) {
        return Err(lied("a wrong secret"));
    }
    if (allowed.1, allowed.2) != (token.owner, token.tenant) {
        return Err(lied("a token as somebody else's"));
    }
    check_state(state, audience, now)
}

/// Fails where a presented session must not be let in.
pub(super) fn check_session(
    presented: &[u8],
    allowed: (Id, Id, Id, Id),
    state: &SessionState,
    audience: Option<Audience>,
    now: Timestamp,
) -> Result<(), Fault> {
    let text = token::parse(Kind::Session, presented).map_err(|_| lied("a text that is no session"))?;
    let (session, token) = (&state.session, &state.token.token);
    if text.id() != allowed.0 || text.id() != session.id {
        return Err(lied("another session than the one presented"));
    }
    if !bool::from(text.matches(SCHEME_SHA256, &session.digest)) {
        return Err(lied("a wrong session secret"));
    }
    if session.token != token.id || (allowed.1, allowed.2, allowed.3) != (token.id, token.owner, token.tenant)
    {
        return Err(lied("a session as somebody else's"));
    }
    if session.ended.is_some() {
        return Err(lied("a session that has ended"));
    }
    check_state(&state.token, audience.unwrap_or(token.audience), now)
}

fn check_state(state: &TokenState, audience: Audience, now: Timestamp) -> Result<(), Fault> {
    let TokenState { token, owner } = state;
    if token.ended.is_some() {
        return Err(lied("a token that has ended"));
    }
    if now >= token.expires {
        return Err(lied("a token past its expiration date"));
    }
    if (token.owner_epoch, token.tenant_epoch) != (owner.epoch, owner.tenant_epoch) {
        return Err(lied("a token from before a change of authentication method"));
    }
    if token.audience != audience {
        return Err(lied("a token of another audience"));
    }
    if !owner.enabled || owner.deleted.is_some() {
        return Err(lied("a token of a disabled or deleted owner"));
    }
    Ok(())
}

fn lied(what: &str) -> Fault {
    Fault::Contract(format!("it allowed {what}"))
}
