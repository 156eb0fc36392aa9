// When a token ends, and why (R5); whether it lives.
//
// A token ends by itself at its expiration date, or once it has not been used for the idle period; whichever comes first,
// the date where both fall on the same instant. At the instant of its end it has ended. From outside it ends when it is
// marked as ended (R8), when its owner is deleted (R4), or when an epoch is no longer the one it was born with (R9). The
// token of a disabled owner rests: it does not work, and has not ended (R4).
//
// Of several reasons the verdict names the first in this order: the mark, owner deleted, owner disabled, method changed,
// expired or idle.

import { refuse } from './denial.js';
import { add } from './number.js';

/** What is answered once something has ended for this cause. */
const REASONS = {
  'expiration-date': 'expired',
  idle: 'idle',
  revoked: 'revoked',
  'auth-method-changed': 'auth-method-changed',
  'owner-deleted': 'owner-deleted',
  rotated: 'rotated',
  'session-lifetime': 'session-expired',
  'session-idle': 'session-idle',
  'session-closed': 'session-closed',
  'session-replaced': 'session-replaced',
};

/** Whichever comes first; the former where both are at the same instant (R5). */
export function earlier(end, other) {
  return other.at < end.at ? other : end;
}

/** This end while it lies ahead; once it has come, a refusal about the token (R5). */
export function ahead(end, now, token) {
  if (now >= end.at) refuse(REASONS[end.cause], token);
  return end;
}

/** When a token will end by itself if its last use was, or is, at `used` (R5). */
export function endAfterUse(token, used, parameters) {
  const date = { at: token.expires, cause: 'expiration-date' };
  return earlier(date, { at: add(used, parameters.idleAfter), cause: 'idle' });
}

/** When a token will end by itself, as it stands (R5). */
export function endOf(token, parameters) {
  return endAfterUse(token, token.lastUsed ?? token.created, parameters);
}

/** When a token ended or will end, everything considered. This is also the mark that sweeping gives it. */
export function foreseenEnd({ token, owner }, parameters) {
  if (token.ended !== undefined) return token.ended;
  const ends = [];
  if (owner.deleted !== undefined) ends.push({ at: owner.deleted, cause: 'owner-deleted' });
  const changed = methodChange(token, owner);
  if (changed !== undefined) ends.push(changed);
  ends.push(endOf(token, parameters));
  return ends.reduce(earlier);
}

/** When the authentication method changed since the token was created (R9), if it did. */
function methodChange(token, owner) {
  const own = token.ownerEpoch !== owner.epoch ? owner.epochSince : undefined;
  const tenants = token.tenantEpoch !== owner.tenantEpoch ? owner.tenantEpochSince : undefined;
  if (own === undefined && tenants === undefined) return undefined;
  const at = tenants === undefined || own < tenants ? own : tenants;
  return { at, cause: 'auth-method-changed' };
}

/** Refuses a token, or a session, that is marked as ended. */
export function unmarked(record, token) {
  if (record.ended !== undefined) refuse(REASONS[record.ended.cause], token);
}

/** Refuses a token that has ended, be its owner disabled or not; else when it will end by itself. */
export function alive({ token, owner }, now, parameters) {
  unmarked(token, token.id);
  if (owner.deleted !== undefined) refuse('owner-deleted', token.id);
  if (methodChange(token, owner) !== undefined) refuse('auth-method-changed', token.id);
  return ahead(endOf(token, parameters), now, token.id);
}

/** Refuses a token that has ended or whose owner is disabled (R4); else when it will end by itself. */
export function usable(state, now, parameters) {
  const { token, owner } = state;
  if (token.ended === undefined && owner.deleted === undefined && !owner.enabled) {
    refuse('owner-disabled', token.id);
  }
  return alive(state, now, parameters);
}
