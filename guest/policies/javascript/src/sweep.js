// Housekeeping (R6). No verdict waits for it: a token is dead when the rules say so, swept or not.

import { foreseenEnd } from './expiry.js';
import { liveRule } from './issue.js';
import { subtract } from './number.js';

export function sweep(host, limit) {
  const now = host.now();
  const parameters = host.parameters();
  const lapsed = host.listTokens({ tag: 'lapsed', val: limit }, liveRule(now, parameters));
  for (const state of lapsed) {
    host.endToken(state.token.id, foreseenEnd(state, parameters));
  }
  const ended = lapsed.length;
  const secrets = host.erasePreviousSecrets(now, limit);
  const forgotten = host.forgetTokens(subtract(now, parameters.retention), limit);
  const sessions = host.forgetSessions(
    subtract(now, parameters.sessionLifetime),
    subtract(now, parameters.sessionIdle),
    limit,
  );
  return { ended, secrets, forgotten, sessions, more: Math.max(ended, secrets, forgotten, sessions) >= limit };
}
