// SHA-256 (FIPS 180-4) of 32 bytes, which with its padding is one block. StarlingMonkey's `crypto.subtle` would do it, too,
// but comes with `wasi:random`, which a policy may not import.

/** The first 32 bits of the fractional parts of `root(p)` for the first primes p; exact, as FIPS 180-4 defines them. */
function fractions(count, power) {
  const words = new Int32Array(count);
  for (let candidate = 2n, found = 0; found < count; candidate += 1n) {
    let prime = true;
    for (let divisor = 2n; divisor * divisor <= candidate; divisor += 1n) {
      if (candidate % divisor === 0n) prime = false;
    }
    if (!prime) continue;
    // floor(root(p) * 2^32) is the largest r with r^power <= p * 2^(32 * power).
    const limit = candidate << (32n * power);
    let root = 0n;
    for (let bit = 1n << 36n; bit > 0n; bit >>= 1n) {
      if ((root + bit) ** power <= limit) root += bit;
    }
    words[found] = Number(BigInt.asIntN(32, root));
    found += 1;
  }
  return words;
}

const INITIAL = fractions(8, 2n);
const ROUNDS = fractions(64, 3n);

/** The message schedule; wiped after each use, as it is the message. */
const schedule = new Int32Array(64);

/** Writes the digest of the 32 bytes of `message` to `words`, eight of 32 bits. */
export function sha256(message, words) {
  const w = schedule;
  for (let i = 0; i < 8; i += 1) {
    w[i] = (message[4 * i] << 24) | (message[4 * i + 1] << 16) | (message[4 * i + 2] << 8) | message[4 * i + 3];
  }
  w.fill(0, 9, 15);
  w[8] = 0x80000000;
  w[15] = 256;
  for (let i = 16; i < 64; i += 1) {
    const x = w[i - 15];
    const y = w[i - 2];
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
  }
  let [a, b, c, d, e, f, g, h] = INITIAL;
  for (let i = 0; i < 64; i += 1) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + ROUNDS[i] + w[i]) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + t1) | 0;
    d = c;
    c = b;
    b = a;
    a = (t1 + t2) | 0;
  }
  words[0] = INITIAL[0] + a;
  words[1] = INITIAL[1] + b;
  words[2] = INITIAL[2] + c;
  words[3] = INITIAL[3] + d;
  words[4] = INITIAL[4] + e;
  words[5] = INITIAL[5] + f;
  words[6] = INITIAL[6] + g;
  words[7] = INITIAL[7] + h;
  w.fill(0);
}
