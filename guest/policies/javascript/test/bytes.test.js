// What works on bytes, against what node knows.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import * as zlib from 'node:zlib';

import { decode, encode } from '../src/base62.js';
import { checksum } from '../src/crc32.js';
import { sha256 } from '../src/sha256.js';

const text = (string) => new TextEncoder().encode(string);

test('the digest of 32 bytes is their SHA-256', () => {
  const words = new Uint32Array(8);
  for (const message of [Buffer.alloc(32), Buffer.alloc(32, 0xff), ...Array.from({ length: 50 }, () => randomBytes(32))]) {
    sha256(message, words);
    const hex = Array.from(words, (word) => word.toString(16).padStart(8, '0')).join('');
    assert.equal(hex, createHash('sha256').update(message).digest('hex'));
  }
});

test('the checksum is the CRC-32 of zip', () => {
  assert.equal(checksum(text('123456789'), 9), 0xcbf43926);
  assert.equal(checksum(text('123456789'), 0), 0);
  if (zlib.crc32 === undefined) return; // node has it since 22.2
  const message = randomBytes(77);
  assert.equal(checksum(message, 77), zlib.crc32(message));
});

test('a number is read as it was written, and nothing past its digits is touched', () => {
  for (const [length, digits] of [
    [16, 22],
    [4, 6],
  ]) {
    for (const bytes of [Buffer.alloc(length), Buffer.alloc(length, 0xff), ...Array.from({ length: 50 }, () => randomBytes(length))]) {
      const written = new Uint8Array(digits + 2).fill(1);
      encode(bytes, written, 1, digits + 1);
      assert.deepEqual([written[0], written[digits + 1]], [1, 1]);
      let value = 0n;
      for (const letter of written.subarray(1, -1)) {
        const digit = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'.indexOf(String.fromCharCode(letter));
        value = value * 62n + BigInt(digit);
      }
      assert.equal(value, BigInt(`0x${bytes.toString('hex')}`));
      const read = new Uint8Array(length);
      assert.equal(decode(written, 1, digits + 1, read), null);
      assert.deepEqual(Buffer.from(read), bytes);
    }
  }
});

test('what is no number, or too large a one, is told apart', () => {
  const bytes = new Uint8Array(16);
  assert.equal(decode(text('0'.repeat(21) + '-'), 0, 22, bytes), 'digits');
  assert.equal(decode(text('z'.repeat(22)), 0, 22, bytes), 'range');
  assert.equal(decode(text('é'.repeat(11)), 0, 22, bytes), 'digits');
  // 2^128 - 1, and one more.
  assert.equal(decode(text('7n42DGM5Tflk9n8mt7Fhc7'), 0, 22, bytes), null);
  assert.ok(bytes.every((byte) => byte === 0xff));
  assert.equal(decode(text('7n42DGM5Tflk9n8mt7Fhc8'), 0, 22, bytes), 'range');
  // 2^32 in six digits: too much for four bytes.
  assert.equal(decode(text('4gfFC3'), 0, 6, bytes.subarray(0, 4)), null);
  assert.equal(decode(text('4gfFC4'), 0, 6, bytes.subarray(0, 4)), 'range');
});
