// Verifying a presented token (R3, R4, R5, R12).
//
// The verdict names the first of these that holds: malformed, bad-checksum; unknown; the reason for which the token was
// marked as ended, whatever the secret; wrong-secret; rotated; the reasons of expiry.js; wrong-audience. Anything else is a
// yes, and only a yes is a use (R5).

import { refuse } from './denial.js';
import { earlier, endAfterUse, unmarked, usable } from './expiry.js';
import { overlapOf } from './rotate.js';
import { matches, parse, PAT } from './token.js';

export function authenticate(host, presented, audience) {
  const verified = verify(host, presented, audience);
  host.recordUse(verified.token.id, verified.now);
  return grant(verified);
}

/** Verifies a presented token for an audience. The caller notes the use. */
export function verify(host, text, audience) {
  const presented = parse(PAT, text);
  const state = host.getToken(presented.id) ?? refuse('unknown');
  const now = host.now();
  const parameters = host.parameters();
  const { token } = state;

  unmarked(token, token.id);
  const generation = generationOf(presented, token);
  const overlap = overlapOf(token, generation, now);
  usable(state, now, parameters);
  if (token.audience !== audience) refuse('wrong-audience', token.id);
  return { now, parameters, token, generation, overlap };
}

/** The generation whose secret was presented (R3). Both are compared, whatever comes of the first. */
function generationOf(presented, token) {
  const { previous } = token;
  const current = matches(presented, token.scheme, token.digest);
  const replaced = previous !== undefined && matches(presented, previous.scheme, previous.digest);
  if (current) return token.generation;
  // There is none before the first: such a record makes no sense, and nothing matches it.
  if (replaced && token.generation > 0) return token.generation - 1;
  return refuse('wrong-secret', token.id);
}

/** The yes, once the use is noted. */
export function grant(verified) {
  const { id, owner, tenant } = verified.token;
  return { token: id, owner, tenant, ends: tokenEnd(verified) };
}

/** When the presented secret stops working if it is not used again: it is used now. */
export function tokenEnd({ now, parameters, token, overlap }) {
  const end = endAfterUse(token, now, parameters);
  return overlap === undefined ? end : earlier(end, overlap);
}
