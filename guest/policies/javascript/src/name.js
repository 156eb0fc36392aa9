// What a token may be called (R13).

import { refuse } from './denial.js';

/** White space as Unicode defines it. `trim` differs in two: it takes U+FEFF for space, and not U+0085. */
function isSpace(code) {
  return (
    (code >= 0x09 && code <= 0x0d) ||
    code === 0x20 ||
    code === 0x85 ||
    code === 0xa0 ||
    code === 0x1680 ||
    (code >= 0x2000 && code <= 0x200a) ||
    code === 0x2028 ||
    code === 0x2029 ||
    code === 0x202f ||
    code === 0x205f ||
    code === 0x3000
  );
}

function isControl(code) {
  return code < 0x20 || (code >= 0x7f && code <= 0x9f);
}

/** The name as it is stored: without surrounding space, 1 to `most` characters, none of them a control character. */
export function judgeName(text, most) {
  let start = 0;
  let end = text.length;
  while (start < end && isSpace(text.charCodeAt(start))) start += 1;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end -= 1;
  const name = text.slice(start, end);
  let length = 0;
  for (const character of name) {
    length += 1;
    if (isControl(character.codePointAt(0))) refuse('name-invalid');
  }
  if (length === 0 || length > most) refuse('name-invalid');
  return name;
}
