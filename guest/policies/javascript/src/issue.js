// Creating a token (R1, R2, R7, R13).
//
// Tested in this order: permission, the owner (exists, not deleted, not disabled), the name, the expiration date, the number
// of live tokens, the uniqueness of the name. A token creates none (R12).

import { refuse } from './denial.js';
import { endOf } from './expiry.js';
import { judgeName } from './name.js';
import { add, same, subtract } from './number.js';
import { compose, digest, PAT, SCHEME_SHA256 } from './token.js';

export function issue(host, request, actor) {
  const permitted = actor.role === 'administrator' || (actor.role === 'user' && same(actor.id, request.owner));
  if (!permitted) refuse('not-permitted');
  const owner = presentOwner(host, request.owner);
  const now = host.now();
  const parameters = host.parameters();
  const rule = liveRule(now, parameters);

  const name = judgeName(request.name, parameters.nameMaxLength);
  if (request.expires <= now) refuse('expiration-past');
  if (request.expires > add(now, parameters.maxLifetime)) refuse('expiration-too-far');
  if (host.countLiveTokens(owner.id, rule) >= parameters.tokensPerOwner) refuse('limit-reached');
  if (host.liveNameExists(owner.id, name, rule)) refuse('name-taken');

  const { id, secret } = mint(host, now);
  const token = {
    id,
    owner: owner.id,
    tenant: owner.tenant,
    audience: request.audience,
    scheme: SCHEME_SHA256,
    digest: digest(secret),
    generation: 0,
    previous: undefined,
    created: now,
    expires: request.expires,
    lastUsed: undefined,
    ownerEpoch: owner.epoch,
    tenantEpoch: owner.tenantEpoch,
    ended: undefined,
  };
  host.insertToken(token, name);
  return { token: id, secret: compose(PAT, id, secret), ends: endOf(token, parameters) };
}

/** The owner with this identifier, who is there and may act (R4). */
export function presentOwner(host, id) {
  const owner = host.getOwner(id) ?? refuse('no-such-owner');
  if (owner.deleted !== undefined) refuse('owner-deleted');
  if (!owner.enabled) refuse('owner-disabled');
  return owner;
}

/** What the host has to apply when it counts or lists live tokens (R5). */
export function liveRule(now, parameters) {
  return { now, idleSince: subtract(now, parameters.idleAfter) };
}

/** A new identifier, a UUID of version 7 (RFC 9562, 5.7), and 32 secret bytes for it, from one draw each. */
export function mint(host, now) {
  const secret = host.draw();
  const random = new DataView(host.draw().buffer);
  const hi = (BigInt.asUintN(48, now) << 16n) | 0x7000n | BigInt(random.getUint16(0) & 0x0fff);
  const lo = (1n << 63n) | (random.getBigUint64(2) & ((1n << 62n) - 1n));
  return { id: { hi, lo }, secret };
}
