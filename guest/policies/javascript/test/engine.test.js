import assert from 'node:assert/strict';
import { test } from 'node:test';

import { engine } from '../src/engine.js';
import { DAY, host, OWNER } from './host.js';

const ADMINISTRATOR = { role: 'administrator', id: OWNER };

function issued() {
  const over = host();
  const policy = engine(over);
  const request = { owner: OWNER, name: ' backup ', expires: over.now() + 30n * DAY, audience: 1 };
  const { token, secret } = policy.issue(request, ADMINISTRATOR);
  return { over, policy, token, secret: Uint8Array.from(secret) };
}

/** The reason of a refusal. */
function reason(call) {
  try {
    call();
  } catch (thrown) {
    return thrown.payload.val.reason;
  }
  return 'none';
}

test('a token is let in until the exact instant at which it has idled out (R5)', () => {
  const { over, policy, token, secret } = issued();
  over.clock.now += 15n * DAY - 1n;
  const grant = policy.authenticate(Uint8Array.from(secret), 1);
  assert.deepEqual(grant.token, token);
  assert.deepEqual(grant.ends, { at: over.now() + 15n * DAY, cause: 'idle' });
  over.clock.now += 15n * DAY;
  assert.equal(reason(() => policy.authenticate(Uint8Array.from(secret), 1)), 'idle');
});

test('a token is good for its audience alone (R12)', () => {
  const { policy, secret } = issued();
  assert.equal(reason(() => policy.authenticate(Uint8Array.from(secret), 2)), 'wrong-audience');
});

test('a revoked token is refused, and revoked once (R8)', () => {
  const { policy, token, secret } = issued();
  policy.revoke(token, ADMINISTRATOR);
  assert.equal(reason(() => policy.authenticate(Uint8Array.from(secret), 1)), 'revoked');
  assert.equal(reason(() => policy.revoke(token, ADMINISTRATOR)), 'revoked');
});

test('what was presented is wiped, whatever comes of it', () => {
  const { policy, secret } = issued();
  for (const presented of [Uint8Array.from(secret), new Uint8Array(83).fill(0x7a), new Uint8Array(1000).fill(1)]) {
    reason(() => policy.authenticate(presented, 1));
    assert.ok(presented.every((byte) => byte === 0));
  }
});

test('what was handed out is wiped by the next call', () => {
  const over = host();
  const policy = engine(over);
  const request = { owner: OWNER, name: 'backup', expires: over.now() + DAY, audience: 1 };
  const { secret } = policy.issue(request, ADMINISTRATOR);
  assert.match(new TextDecoder().decode(secret), /^patrol_pat_[0-9A-Za-z]{72}$/);
  reason(() => policy.authenticate(new Uint8Array(0), 1));
  assert.ok(secret.every((byte) => byte === 0));
});

test('a scheme that this policy does not know matches nothing', () => {
  const { over, policy, secret } = issued();
  for (const token of over.tokens.values()) token.scheme = 2;
  assert.equal(reason(() => policy.authenticate(Uint8Array.from(secret), 1)), 'wrong-secret');
});

test('a mistake in the policy is a fault and no verdict', () => {
  const { over, policy, secret } = issued();
  over.recordUse = () => {
    throw new TypeError('a mistake');
  };
  assert.throws(() => policy.authenticate(Uint8Array.from(secret), 1), /a fault: TypeError: a mistake/);
});
