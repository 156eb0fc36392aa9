// Numbers in base62 (`0-9A-Za-z`), big-endian, padded with `0` to a fixed length.
//
// They may be secrets, so nothing here is a BigInt, a string or an array of numbers, which cannot be wiped: digits and
// numbers are in typed arrays that belong to the caller. Five digits at a time, since 62^5 < 2^30: times a limb of 16 bits
// that is below 2^46, which a double holds exactly.

const BASE = 62;
const GROUP = 5;
const GROUPS = BASE ** GROUP;
const LIMBS = 8;
const LETTERS = new TextEncoder().encode('0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz');

/** What each byte stands for; 255 for what is no digit. */
const VALUES = new Uint8Array(256).fill(255);
LETTERS.forEach((letter, value) => {
  VALUES[letter] = value;
});

/** A number as eight times 16 bits, the most significant first. */
const limbs = new Uint16Array(LIMBS);

/**
 * Reads the digits of `text` from `start` to `end` into `bytes`, big-endian, up to 16 of them.
 *
 * 'digits': there is something else than digits; 'range': the number is larger than `bytes`; null: it is read.
 */
export function decode(text, start, end, bytes) {
  limbs.fill(0);
  let strange = 0;
  let over = 0;
  for (let at = start; at < end; ) {
    let factor = 1;
    let carry = 0;
    for (const stop = Math.min(at + GROUP, end); at < stop; at += 1) {
      const value = VALUES[text[at]];
      strange |= value & 0xc0;
      factor *= BASE;
      carry = carry * BASE + value;
    }
    for (let place = LIMBS - 1; place >= 0; place -= 1) {
      const product = limbs[place] * factor + carry;
      carry = Math.floor(product / 0x10000);
      limbs[place] = product - carry * 0x10000;
    }
    over += carry;
  }
  const spare = LIMBS - bytes.length / 2;
  for (let place = 0; place < LIMBS; place += 1) {
    const limb = limbs[place];
    if (place < spare) {
      over += limb;
    } else {
      bytes[2 * (place - spare)] = limb >> 8;
      bytes[2 * (place - spare) + 1] = limb & 0xff;
    }
  }
  limbs.fill(0);
  if (strange !== 0) return 'digits';
  return over === 0 ? null : 'range';
}

/** Writes the number in `bytes` all over `text` from `start` to `end`, which must be enough digits for it. */
export function encode(bytes, text, start, end) {
  const spare = LIMBS - bytes.length / 2;
  for (let place = 0; place < LIMBS; place += 1) {
    const at = 2 * (place - spare);
    limbs[place] = place < spare ? 0 : (bytes[at] << 8) | bytes[at + 1];
  }
  for (let stop = end; stop > start; stop -= GROUP) {
    let rest = 0;
    for (let place = 0; place < LIMBS; place += 1) {
      const dividend = rest * 0x10000 + limbs[place];
      const quotient = Math.floor(dividend / GROUPS);
      rest = dividend - quotient * GROUPS;
      limbs[place] = quotient;
    }
    for (let at = stop - 1; at >= Math.max(start, stop - GROUP); at -= 1) {
      text[at] = LETTERS[rest % BASE];
      rest = Math.floor(rest / BASE);
    }
  }
  limbs.fill(0);
}
