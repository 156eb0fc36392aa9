// The functions of `wit/engine.wit`, over a host that answers their questions. What a host is, policy.js says for the
// component and test/host.js for the tests.

import { authenticate } from './authenticate.js';
import { issue } from './issue.js';
import { foresee, listTokens } from './list.js';
import { changeAuthMethod, decidePasswordSignIn, previewAuthMethod } from './method.js';
import { revoke, revokeAll } from './revoke.js';
import { rotate } from './rotate.js';
import { checkSession, closeSession, openSession } from './sessions.js';
import { sweep } from './sweep.js';
import { forget } from './token.js';

const FUNCTIONS = {
  issue,
  authenticate,
  openSession,
  checkSession,
  closeSession,
  revoke,
  revokeAll,
  rotate,
  changeAuthMethod,
  previewAuthMethod,
  decidePasswordSignIn,
  listTokens,
  foresee,
  sweep,
};

/**
 * The engine over a host. A denial is thrown as the contract has it, in `payload`; anything else that is thrown is a mistake
 * in this policy, and `host.fail` ends the call as a fault.
 */
export function engine(host) {
  const exported = {};
  for (const [name, decide] of Object.entries(FUNCTIONS)) {
    exported[name] = (...request) => {
      forget();
      try {
        return decide(host, ...request);
      } catch (thrown) {
        if (thrown !== null && typeof thrown === 'object' && Object.hasOwn(thrown, 'payload')) throw thrown;
        return host.fail(`${thrown}`);
      }
    };
  }
  return exported;
}
