//! Keys of 32 bytes as text, base64url without padding (RFC 4648), on their way from and to files. Public ones are
//! treated as secrets too: nothing of them is left behind.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use ed25519_dalek::SigningKey;
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

/// Appends the secret half of a key to a text, which should have room for [`DIGITS`]: one that grows leaves copies
/// behind.
pub(crate) fn push_secret(text: &mut String, key: &SigningKey) {
    push_bytes(text, key.as_bytes());
}

/// The same with a key that is nothing but its bytes.
pub(crate) fn push_bytes(text: &mut String, key: &[u8; 32]) {
    let mut digits = Zeroizing::new([0; 64]);
    let length = BASE64URL.encode_slice(key, &mut *digits).unwrap_or_default();
    text.push_str(std::str::from_utf8(digits.get(..length).unwrap_or_default()).unwrap_or_default());
}
