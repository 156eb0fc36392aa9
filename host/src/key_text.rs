//! Keys of 32 bytes as text, base64url without padding (RFC 4648), on their way from and to files. Public ones are
//! treated as secrets too: nothing of them is left behind.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use zeroize::Zeroizing;

/// The characters of a key.
pub(crate) const DIGITS: usize = 43;

/// The key that a text stands for, if it is one.
pub(crate) fn decode(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    // The decoder wants room for what it rounds up to.
    let mut bytes = Zeroizing::new([0; 48]);
    let length = BASE64URL.decode_slice(text, &mut *bytes).ok()?;
    let mut key = Zeroizing::new([0; 32]);
    key.copy_from_slice(bytes.get(..length).filter(|bytes| bytes.len() == 32)?);
    Some(key)
}

/// Appends a key to a text, which should have room for [`DIGITS`]: one that grows leaves copies behind.
pub(crate) fn push(text: &mut String, key: &[u8; 32]) {
    let mut digits = Zeroizing::new([0; 64]);
    let length = BASE64URL.encode_slice(key, &mut *digits).unwrap_or_default();
    text.push_str(std::str::from_utf8(digits.get(..length).unwrap_or_default()).unwrap_or_default());
}

/// A key in a file of its own: a word that says what it is, the key, and the end of the line.
pub(crate) fn line(word: &str, key: &[u8; 32]) -> Zeroizing<String> {
    let length = word.len().saturating_add(DIGITS).saturating_add(1);
    let mut text = Zeroizing::new(String::with_capacity(length));
    text.push_str(word);
    push(&mut text, key);
    text.push('\n');
    text
}

/// The key in such a file, if it is one with this word and nothing else.
pub(crate) fn decode_line(word: &str, text: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let text = std::str::from_utf8(text).ok()?;
    decode(text.strip_prefix(word)?.strip_suffix('\n')?)
}
