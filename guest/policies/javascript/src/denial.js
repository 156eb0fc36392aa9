// Anything but yes: what a function of the contract throws instead of giving an answer.

/** A refusal (`denial.refused`), about a token where one was found. The bindings make a verdict of `payload`. */
export class Refused {
  constructor(reason, token) {
    this.payload = { tag: 'refused', val: { reason, token } };
  }
}

/** Throws a refusal. */
export function refuse(reason, token) {
  throw new Refused(reason, token);
}

/** A failure of the store, told on as it is (`denial.outage`). */
export class Outage {
  constructor(outage) {
    this.payload = { tag: 'outage', val: outage };
  }
}
