// What the policy says of itself.

/** The same as in package.json. */
export const VERSION = '0.1.0';

export function describe(parameters) {
  return { name: 'patrol-javascript', version: VERSION, parameters };
}
