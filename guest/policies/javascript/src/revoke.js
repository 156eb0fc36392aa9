// Ending tokens by hand (R8). What has ended stays as it ended: revoking it again is refused with the reason. The token of
// a disabled owner rests, so it can be revoked; a token can revoke itself (R12).

import { refuse } from './denial.js';
import { alive } from './expiry.js';
import { liveRule } from './issue.js';
import { same } from './number.js';

export function revoke(host, id, actor) {
  const state = host.getToken(id) ?? refuse('no-such-token');
  const { token } = state;
  const permitted =
    actor.role === 'administrator' ||
    actor.role === 'system' ||
    (actor.role === 'user' && same(actor.id, token.owner)) ||
    (actor.role === 'token' && same(actor.id, token.id));
  if (!permitted) refuse('not-permitted', token.id);
  const now = host.now();
  alive(state, now, host.parameters());
  host.endToken(token.id, { at: now, cause: 'revoked' });
}

export function revokeAll(host, owner, actor) {
  const permitted =
    actor.role === 'administrator' ||
    actor.role === 'system' ||
    (actor.role === 'user' && same(actor.id, owner));
  if (!permitted) refuse('not-permitted');
  host.getOwner(owner) ?? refuse('no-such-owner');
  const now = host.now();
  return host.endLiveTokens(owner, liveRule(now, host.parameters()), { at: now, cause: 'revoked' });
}
