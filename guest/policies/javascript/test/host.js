// A host that keeps one owner and a few tokens in maps, for tests of single rules. What the rules come to altogether is
// tested on the component, by `patrol scenario run` and by the tests of the repository.

import { randomBytes } from 'node:crypto';

export const DAY = 86_400_000n;
export const OWNER = { hi: 1n, lo: 2n };
export const PARAMETERS = {
  idleAfter: 15n * DAY,
  tokensPerOwner: 104,
  maxLifetime: 366n * DAY,
  maxOverlap: 7n * DAY,
  nameMaxLength: 255,
  sessionLifetime: 14_400_000n,
  sessionIdle: 1_800_000n,
  sessionsPerToken: 0,
  retention: 90n * DAY,
};

const key = (id) => `${id.hi}/${id.lo}`;

export function host() {
  const tokens = new Map();
  const owner = {
    id: OWNER,
    tenant: { hi: 3n, lo: 4n },
    enabled: true,
    deleted: undefined,
    epoch: 0n,
    epochSince: 0n,
    tenantEpoch: 0n,
    tenantEpochSince: 0n,
    multiFactor: false,
  };
  const clock = { now: 20_000n * DAY };
  return {
    clock,
    owner,
    tokens,
    now: () => clock.now,
    parameters: () => PARAMETERS,
    draw: () => new Uint8Array(randomBytes(32)),
    fail: (reason) => {
      throw new Error(`a fault: ${reason}`);
    },
    getToken: (id) => {
      const token = tokens.get(key(id));
      return token && { token, owner };
    },
    getOwner: (id) => (key(id) === key(OWNER) ? owner : undefined),
    countLiveTokens: () => tokens.size,
    liveNameExists: () => false,
    insertToken: (token) => tokens.set(key(token.id), token),
    recordUse: (id, at) => {
      tokens.get(key(id)).lastUsed = at;
    },
    endToken: (id, end) => {
      tokens.get(key(id)).ended = end;
    },
  };
}
