// Numbers of the contract: u64 is a BigInt here. Additions and subtractions of time saturate, so that an end beyond the
// end of time is never reached.

const MOST = (1n << 64n) - 1n;

/** `a + b`, at most the largest u64. */
export function add(a, b) {
  const sum = a + b;
  return sum > MOST ? MOST : sum;
}

/** `a - b`, at least 0. */
export function subtract(a, b) {
  return a > b ? a - b : 0n;
}

/** Whether two identifiers are the same. */
export function same(a, b) {
  return a.hi === b.hi && a.lo === b.lo;
}
