// Authentication methods (R9) and passwords (R11). A change of method raises the epoch of its scope, and that is all of it.
// Setting the method that is in force already changes nothing.

import { refuse } from './denial.js';
import { liveRule, presentOwner } from './issue.js';

export function changeAuthMethod(host, scope, method, actor) {
  const changes = isChange(host, scope, method, actor);
  if (changes) host.setAuthMethod(scope, method, host.now());
  return changes;
}

export function previewAuthMethod(host, scope, method, actor) {
  const changes = isChange(host, scope, method, actor);
  if (!changes) return { changes, tokens: 0n, owners: 0n };
  const { tokens, owners } = host.takeCensus(scope, liveRule(host.now(), host.parameters()));
  return { changes, tokens, owners };
}

function isChange(host, scope, method, actor) {
  if (actor.role !== 'administrator' && actor.role !== 'system') refuse('not-permitted');
  const set = host.getAuthMethod(scope) ?? refuse('no-such-owner');
  return set !== method;
}

export function decidePasswordSignIn(host, owner) {
  if (presentOwner(host, owner).multiFactor) refuse('pat-required');
}
