// Sessions that a token opens (R3, R4, R5).
//
// A session ends at its greatest length after it was opened, at its idle period after its last check, and with its token,
// whatever ends that. It belongs to the generation of the secret that opened it. A check of a session is not a use of the
// token (R5).
//
// The verdict names the first of these that holds: malformed, bad-checksum, unknown, wrong-secret, why it was closed or
// replaced; then the token's reason; rotated; session-expired or session-idle; wrong-audience (R12).

import { grant, tokenEnd, verify } from './authenticate.js';
import { refuse, Refused } from './denial.js';
import { ahead, earlier, unmarked, usable } from './expiry.js';
import { mint } from './issue.js';
import { add } from './number.js';
import { overlapOf } from './rotate.js';
import { compose, digest, matches, parse, SCHEME_SHA256, SESSION } from './token.js';

export function openSession(host, presented, audience) {
  const verified = verify(host, presented, audience);
  const { now, parameters, token, generation, overlap } = verified;
  host.recordUse(token.id, now);
  makeRoom(host, token, now, parameters);

  const { id, secret } = mint(host, now);
  const session = {
    id,
    token: token.id,
    generation,
    digest: digest(secret),
    opened: now,
    lastUsed: now,
    ended: undefined,
  };
  host.insertSession(session);
  let expires = add(now, parameters.sessionLifetime);
  if (token.expires < expires) expires = token.expires;
  if (overlap !== undefined && overlap.at < expires) expires = overlap.at;
  return {
    session: id,
    secret: compose(SESSION, id, secret),
    grant: grant(verified),
    ends: earlier(sessionEnd(session, now, parameters), tokenEnd(verified)),
    expires,
  };
}

/** Ends the oldest sessions of a token until one more is within the limit. */
function makeRoom(host, token, now, parameters) {
  if (parameters.sessionsPerToken === 0) return;
  let room = parameters.sessionsPerToken - 1;
  // The newest first: the oldest are those that there is no room for.
  for (const session of host.listOpenSessions(token.id).reverse()) {
    if (!isOpen(session, token, now, parameters)) continue;
    if (room > 0) {
      room -= 1;
    } else {
      host.endSession(session.id, { at: now, cause: 'session-replaced' });
    }
  }
}

function isOpen(session, token, now, parameters) {
  try {
    overlapOf(token, session.generation, now);
    ahead(sessionEnd(session, session.lastUsed, parameters), now);
    return true;
  } catch (error) {
    if (error instanceof Refused) return false;
    throw error;
  }
}

export function checkSession(host, presented, audience) {
  const { now, parameters, session, token, tokenEnds } = check(host, presented);
  if (token.audience !== audience) refuse('wrong-audience', token.id);
  host.recordSessionUse(session.id, now);
  return {
    session: session.id,
    token: token.id,
    owner: token.owner,
    tenant: token.tenant,
    ends: earlier(sessionEnd(session, now, parameters), tokenEnds),
  };
}

export function closeSession(host, presented) {
  const { now, session, token } = check(host, presented);
  host.endSession(session.id, { at: now, cause: 'session-closed' });
  return { session: session.id, token: token.id, owner: token.owner, tenant: token.tenant };
}

/** The verdict on a presented session, its audience left out. */
function check(host, text) {
  const presented = parse(SESSION, text);
  const { session, token: state } = host.getSession(presented.id) ?? refuse('unknown');
  const { token } = state;
  const now = host.now();
  const parameters = host.parameters();
  if (!matches(presented, SCHEME_SHA256, session.digest)) refuse('wrong-secret', token.id);
  unmarked(session, token.id);
  const own = usable(state, now, parameters);
  const overlap = overlapOf(token, session.generation, now);
  ahead(sessionEnd(session, session.lastUsed, parameters), now, token.id);
  return {
    now,
    parameters,
    session,
    token,
    tokenEnds: overlap === undefined ? own : earlier(own, overlap),
  };
}

/** When a session ends by itself if it was, or is, last used at `used`. */
function sessionEnd(session, used, parameters) {
  const longest = { at: add(session.opened, parameters.sessionLifetime), cause: 'session-lifetime' };
  return earlier(longest, { at: add(used, parameters.sessionIdle), cause: 'session-idle' });
}
