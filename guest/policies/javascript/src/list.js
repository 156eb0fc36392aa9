// What owners and administrators see (R6, R13). A token lists none (R12).

import { refuse, Refused } from './denial.js';
import { foreseenEnd, usable } from './expiry.js';
import { liveRule } from './issue.js';
import { same } from './number.js';

export function listTokens(host, owner, actor) {
  const permitted = actor.role === 'administrator' || (actor.role === 'user' && same(actor.id, owner));
  if (!permitted) refuse('not-permitted');
  host.getOwner(owner) ?? refuse('no-such-owner');
  const now = host.now();
  const parameters = host.parameters();
  const live = host.listTokens({ tag: 'live', val: owner }, liveRule(now, parameters));
  return live.map((state) => ({ token: state.token.id, ends: foreseenEnd(state, parameters) }));
}

export function foresee(host, states) {
  const now = host.now();
  const parameters = host.parameters();
  return states.map((state) => ({
    live: isUsable(state, now, parameters),
    ends: foreseenEnd(state, parameters),
  }));
}

function isUsable(state, now, parameters) {
  try {
    usable(state, now, parameters);
    return true;
  } catch (error) {
    if (error instanceof Refused) return false;
    throw error;
  }
}
