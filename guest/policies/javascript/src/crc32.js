// CRC-32/ISO-HDLC, the checksum of zip and PNG, a byte at a time.

const TABLE = new Uint32Array(256);
for (let byte = 0; byte < 256; byte += 1) {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit += 1) {
    remainder = (remainder >>> 1) ^ (remainder & 1 ? 0xedb88320 : 0);
  }
  TABLE[byte] = remainder;
}

/** The checksum of the first `length` bytes. */
export function checksum(bytes, length) {
  let remainder = -1;
  for (let at = 0; at < length; at += 1) {
    remainder = (remainder >>> 8) ^ TABLE[(remainder ^ bytes[at]) & 0xff];
  }
  return ~remainder >>> 0;
}
