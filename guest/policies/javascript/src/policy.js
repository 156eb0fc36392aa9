// The component: the engine over the imports of `wit/world.wit`. No rule lives here.

import { now } from 'patrol:policy/clock@0.1.0';
import { abort } from 'patrol:policy/diagnostics@0.1.0';
import { draw } from 'patrol:policy/entropy@0.1.0';
import { current } from 'patrol:policy/settings@0.1.0';
import * as storage from 'patrol:policy/storage@0.1.0';

import { describe } from './about.js';
import { Outage } from './denial.js';
import { engine as over } from './engine.js';

/** 32 secret bytes. */
function drawBytes() {
  const { a, b, c, d } = draw();
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, a);
  view.setBigUint64(8, b);
  view.setBigUint64(16, c);
  view.setBigUint64(24, d);
  return bytes;
}

const host = { now, parameters: current, draw: drawBytes, fail: abort };
for (const [name, question] of Object.entries(storage)) {
  host[name] = (...details) => {
    try {
      return question(...details);
    } catch (failed) {
      // The bindings tell the error of an import in `payload`: here always an outage, which is passed on as it is.
      if (failed !== null && typeof failed === 'object' && Object.hasOwn(failed, 'payload')) {
        throw new Outage(failed.payload);
      }
      throw failed;
    }
  };
}

export const engine = over(host);
export const about = { describe: () => describe(current()) };
