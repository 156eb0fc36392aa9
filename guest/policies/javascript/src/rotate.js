// A new secret for an old token: name, dates and settings stay, and it is not a use (R5). The old secret, and sessions that
// were opened with it, work for an overlap that the caller chooses; there are never more than two secrets.

import { refuse } from './denial.js';
import { ahead, usable } from './expiry.js';
import { add, same } from './number.js';
import { compose, digest, PAT, SCHEME_SHA256 } from './token.js';

export function rotate(host, id, overlap, actor) {
  if (actor.role === 'token' || actor.role === 'system') refuse('not-permitted');
  const state = host.getToken(id) ?? refuse('no-such-token');
  const { token } = state;
  const now = host.now();
  const parameters = host.parameters();
  if (actor.role === 'user' && !same(actor.id, token.owner)) refuse('not-permitted', token.id);
  if (overlap > parameters.maxOverlap) refuse('overlap-too-long', token.id);
  const ends = usable(state, now, parameters);

  const secret = host.draw();
  const previous =
    overlap > 0n ? { scheme: token.scheme, digest: token.digest, until: add(now, overlap) } : undefined;
  host.replaceSecret(token.id, token.generation + 1, SCHEME_SHA256, digest(secret), previous);
  return { token: token.id, secret: compose(PAT, token.id, secret), ends };
}

/**
 * Refuses a generation of a token's secret, and what was opened with it, that no longer works: the current one does, the
 * one before does until the end of its overlap, which is returned.
 */
export function overlapOf(token, generation, now) {
  if (generation === token.generation) return undefined;
  if (token.previous === undefined || generation + 1 !== token.generation) refuse('rotated', token.id);
  return ahead({ at: token.previous.until, cause: 'rotated' }, now, token.id);
}
