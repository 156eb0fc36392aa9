//! The floor: what the host checks itself after a yes, whatever the policy said.
//!
//! The policy decides; the floor only ever turns a yes into a fault. It looks at the record that the host read, not
//! at anything that the policy says about it: the token that was presented is the one that was allowed, its secret
//! is right by the scheme of the record (the host makes the MAC itself, where it takes one: [`Call::mac_of`]), it is not
//! marked as ended, before its expiration date (R5), of the
//! epochs of its owner and tenant (R9), for this audience (R12), and its owner is enabled and not deleted (R4). So a
//! policy that is wrong or hostile can refuse, and can never let in what these rules forbid. Idle expiry, limits and
//! names are the policy's alone.

use patrol_policy::Secret;
use patrol_policy::token::{self, Kind, Presented, SCHEME_SHA256};
use patrol_policy::types::{
    Audience, ClosedSession, Digest, Id, OpenedSession, Owner, Session, SessionState, Timestamp, Token,
    TokenState,
};

#[cfg(doc)]
use super::call::Call;
use super::exchange::Matches;
use super::moves::Move;
use crate::policy::{Fault, FloorRule, Violation};

/// Fails where a presented PAT must not be let in.
pub(super) fn check_token(
    presented: &[u8],
    mac: Option<Digest>,
    allowed: (Id, Id, Id),
    state: &TokenState,
    audience: Audience,
    now: Timestamp,
) -> Result<(), Fault> {
    let TokenState { token, .. } = state;
    let text = token::parse(Kind::Pat, presented)
        .map_err(|_| lied(FloorRule::Identity, "a text that is no token"))?;
    if text.id() != allowed.0 || text.id() != token.id {
        return Err(lied(FloorRule::Identity, "another token than the one presented"));
    }
    check_state(state, audience, now)?;
    if !is_secret_of(&text, mac, token, now) {
        return Err(lied(FloorRule::Secret, "a wrong secret"));
    }
    if (allowed.1, allowed.2) != (token.owner, token.tenant) {
        return Err(lied(FloorRule::Identity, "a token as somebody else's"));
    }
    Ok(())
}

/// Whether a presented secret is a token's, or the one before during the overlap.
pub(super) fn is_secret_of(text: &Presented, mac: Option<Digest>, token: &Token, now: Timestamp) -> bool {
    match token_match(text, mac, token) {
        Matches::Current => true,
        Matches::Previous => token.previous.is_some_and(|previous| now < previous.until),
        Matches::Nothing => false,
    }
}

/// What a presented secret is to a token (R3).
pub(super) fn token_match(text: &Presented, mac: Option<Digest>, token: &Token) -> Matches {
    let text = with_mac(*text, mac);
    // A scheme that the host does not know matches nothing.
    let current = text.matches(token.scheme, &token.digest);
    let previous = token.previous.map(|p| text.matches(p.scheme, &p.digest));
    if current.into() {
        Matches::Current
    } else if previous.is_some_and(bool::from) {
        Matches::Previous
    } else {
        Matches::Nothing
    }
}

/// What a presented secret is to a session.
pub(super) fn session_match(text: &Presented, session: &Session) -> Matches {
    if text.matches(SCHEME_SHA256, &session.digest).into() {
        Matches::Current
    } else {
        Matches::Nothing
    }
}

/// What was presented, with its MAC, if there is one.
fn with_mac(mut text: Presented, mac: Option<Digest>) -> Presented {
    if let Some(mac) = mac {
        text.set_mac(mac);
    }
    text
}

/// Fails where another token than the one that was let in is to be moved to another scheme.
pub(super) fn check_moved(moved: Option<&Move>, allowed: Id) -> Result<(), Fault> {
    if moved.is_some_and(|moved| moved.token() != allowed) {
        return Err(lied(FloorRule::Stored, "a token and moved another"));
    }
    Ok(())
}

/// Fails where a presented session must not be let in.
pub(super) fn check_session(
    presented: &[u8],
    allowed: (Id, Id, Id, Id),
    state: &SessionState,
    audience: Option<Audience>,
    now: Timestamp,
) -> Result<(), Fault> {
    let text = token::parse(Kind::Session, presented)
        .map_err(|_| lied(FloorRule::Identity, "a text that is no session"))?;
    let (session, token) = (&state.session, &state.token.token);
    if text.id() != allowed.0 || text.id() != session.id {
        return Err(lied(
            FloorRule::Identity,
            "another session than the one presented",
        ));
    }
    if session_match(&text, session) != Matches::Current {
        return Err(lied(FloorRule::Secret, "a wrong session secret"));
    }
    if session.token != token.id || (allowed.1, allowed.2, allowed.3) != (token.id, token.owner, token.tenant)
    {
        return Err(lied(FloorRule::Identity, "a session as somebody else's"));
    }
    if session.ended.is_some() {
        return Err(lied(FloorRule::Ended, "a session that has ended"));
    }
    check_state(&state.token, audience.unwrap_or(token.audience), now)
}

/// Fails where a secret is handed out that does not fit what was stored: its owner would rely on it in vain, or on one
/// that somebody else has.
pub(super) fn check_minted(secret: &Secret, state: &TokenState, mac: Option<Digest>) -> Result<(), Fault> {
    let token = &state.token;
    let text = token::parse(Kind::Pat, secret.expose())
        .map_err(|_| lied(FloorRule::Stored, "a secret that is no token"))?;
    let text = with_mac(text, mac);
    if text.id() != token.id || !bool::from(text.matches(token.scheme, &token.digest)) {
        return Err(lied(FloorRule::Stored, "a secret that is not the stored one"));
    }
    Ok(())
}

/// Fails where a password must not let anybody in (R4, R11).
pub(super) fn check_password_owner(owner: &Owner) -> Result<(), Fault> {
    if owner.multi_factor {
        return Err(lied(
            FloorRule::MultiFactor,
            "a password where multi-factor authentication is on",
        ));
    }
    if !owner.enabled || owner.deleted.is_some() {
        return Err(lied(
            FloorRule::Owner,
            "the password of a disabled or deleted owner",
        ));
    }
    Ok(())
}

/// Fails where a sign-in stored or ended anything but sessions of the token that was let in: whoever presents one token
/// must not leave with a session of another.
pub(super) fn check_opened(
    stored: Option<(Id, Id)>,
    ended: &[(Id, Id)],
    opened: &OpenedSession,
) -> Result<(), Fault> {
    let token = opened.grant.token;
    if stored != Some((opened.session, token)) {
        return Err(lied(
            FloorRule::Stored,
            "a session that it did not store for the token",
        ));
    }
    if ended.iter().any(|(_, of)| *of != token) {
        return Err(lied(
            FloorRule::Stored,
            "a sign-in that ended another token's session",
        ));
    }
    let text = token::parse(Kind::Session, opened.secret.expose());
    if text.map(|text| text.id()) != Ok(opened.session) {
        return Err(lied(FloorRule::Stored, "a session and handed out another's text"));
    }
    Ok(())
}

/// Fails where a sign-out did not end the session that it says, or ended another.
pub(super) fn check_closed(ended: &[(Id, Id)], closed: &ClosedSession) -> Result<(), Fault> {
    if ended != [(closed.session, closed.token)] {
        return Err(lied(
            FloorRule::Stored,
            "a sign-out and did not end just that session",
        ));
    }
    Ok(())
}

fn check_state(state: &TokenState, audience: Audience, now: Timestamp) -> Result<(), Fault> {
    let TokenState { token, owner } = state;
    if token.ended.is_some() {
        return Err(lied(FloorRule::Ended, "a token that has ended"));
    }
    if now >= token.expires {
        return Err(lied(FloorRule::Expiration, "a token past its expiration date"));
    }
    if (token.owner_epoch, token.tenant_epoch) != (owner.epoch, owner.tenant_epoch) {
        return Err(lied(
            FloorRule::Method,
            "a token from before a change of authentication method",
        ));
    }
    if token.audience != audience {
        return Err(lied(FloorRule::Audience, "a token of another audience"));
    }
    if !owner.enabled || owner.deleted.is_some() {
        return Err(lied(FloorRule::Owner, "a token of a disabled or deleted owner"));
    }
    Ok(())
}

const fn lied(rule: FloorRule, what: &'static str) -> Fault {
    Fault::Floor(Violation { rule, what })
}

#[cfg(test)]
mod tests;
