// The shape of a token (R1), and what is kept of it (R2).
//
//   patrol_pat_ | 22 digits: id | 22 + 22 digits: secret, two halves of 16 bytes | 6 digits: CRC-32
//
// Digits are base62. The checksum is over all text before it. A session token differs in its prefix only. Of the secret,
// the SHA-256 of its 32 bytes is stored and nothing else.
//
// What a caller presented or will be shown is only ever in typed arrays, and these are wiped: a warm instance serves other
// callers after this one.

import { decode, encode } from './base62.js';
import { checksum } from './crc32.js';
import { refuse } from './denial.js';
import { sha256 } from './sha256.js';

export const PAT = new TextEncoder().encode('patrol_pat_');
export const SESSION = new TextEncoder().encode('patrol_ses_');

/** The scheme number of a SHA-256 of the 32 secret bytes; the only one that this policy knows. */
export const SCHEME_SHA256 = 1;

const LENGTH = 83;
const ID = 11;
const UPPER = 33;
const LOWER = 55;
const CHECKSUM = 77;

const id = new Uint8Array(16);
const secret = new Uint8Array(32);
const upper = secret.subarray(0, 16);
const lower = secret.subarray(16, 32);
const found = new Uint8Array(4);
const words = new Uint32Array(8);

const view = new DataView(id.buffer);

/**
 * Takes a presented text apart, and wipes it: the identifier in it, and the digest of its secret.
 *
 * Refuses as malformed what has not the length, prefix or alphabet of its kind, or a number beyond its range; as
 * bad-checksum what was mistyped.
 */
export function parse(prefix, text) {
  try {
    if (text.length !== LENGTH) refuse('malformed');
    for (let at = 0; at < prefix.length; at += 1) {
      if (text[at] !== prefix[at]) refuse('malformed');
    }
    const numbers = [
      decode(text, ID, UPPER, id),
      decode(text, UPPER, LOWER, upper),
      decode(text, LOWER, CHECKSUM, lower),
    ];
    const sum = decode(text, CHECKSUM, LENGTH, found);
    // All are digits; before they mean anything, they have to be the right ones.
    if (sum !== null || numbers.includes('digits')) refuse('malformed');
    const expected = checksum(text, CHECKSUM);
    const given = ((found[0] << 24) | (found[1] << 16) | (found[2] << 8) | found[3]) >>> 0;
    if (given !== expected) refuse('bad-checksum');
    if (numbers.includes('range')) refuse('malformed');
    return { id: { hi: view.getBigUint64(0), lo: view.getBigUint64(8) }, digest: digest(secret) };
  } finally {
    secret.fill(0);
    text.fill(0);
  }
}

/** What is stored of a secret (R2). */
export function digest(bytes) {
  sha256(bytes, words);
  const pair = (at) => (BigInt(words[at]) << 32n) | BigInt(words[at + 1]);
  return { a: pair(0), b: pair(2), c: pair(4), d: pair(6) };
}

/**
 * Whether a stored digest belongs to what was presented (R3). All of it is looked at whatever comes of the beginning, and
 * what is compared are digests: what time tells of one does not tell the secret.
 */
export function matches(presented, scheme, stored) {
  const { a, b, c, d } = presented.digest;
  const differing = (a ^ stored.a) | (b ^ stored.b) | (c ^ stored.c) | (d ^ stored.d);
  return scheme === SCHEME_SHA256 && differing === 0n;
}

/** What was last handed out. The bindings copy it once the call is over, so it can be wiped by the next one only. */
let shown = new Uint8Array(0);

/** Wipes what the last call handed out. */
export function forget() {
  shown.fill(0);
}

/** The text for an identifier and its 32 secret bytes, which are wiped. */
export function compose(prefix, of, bytes) {
  shown = new Uint8Array(LENGTH);
  shown.set(prefix);
  view.setBigUint64(0, of.hi);
  view.setBigUint64(8, of.lo);
  encode(id, shown, ID, UPPER);
  encode(bytes.subarray(0, 16), shown, UPPER, LOWER);
  encode(bytes.subarray(16, 32), shown, LOWER, CHECKSUM);
  bytes.fill(0);
  const sum = checksum(shown, CHECKSUM);
  for (let at = 0; at < 4; at += 1) {
    found[at] = sum >>> (24 - 8 * at);
  }
  encode(found, shown, CHECKSUM, LENGTH);
  return shown;
}
