//! The shape of a token (R1), and what is kept of it (R2).
//!
//! ```text
//! patrol_pat_ | 22 digits: id | 22 + 22 digits: secret, two halves of 16 bytes | 6 digits: CRC-32
//! ```
//!
//! Digits are base62 (`0-9A-Za-z`), each group a big-endian number padded with `0` on the left, so that the length is
//! always [`LENGTH`] and a double click selects all of it. The checksum (CRC-32/ISO-HDLC over all text before it)
//! lets scanners tell a token from noise offline and spares the store a look-up for a mistyped one: it is tested
//! before anything else of the content. A session token differs in its prefix only, and so does the secret of an OAuth
//! client, which is the host's affair alone.
//!
//! Of the secret, the SHA-256 of its 32 bytes is stored and nothing else ([`Scheme::Sha256`]). They come from a random
//! number generator, so no salt and no slow hash is called for. Or a MAC of that SHA-256 is stored, under a key that
//! only the host has ([`Scheme::Peppered`]): then the records alone do not even tell whether a secret is right. Since
//! the MAC is one of what the other scheme stores, a record can be moved from the one to the other, and nothing but
//! this module ever needs the secret itself.

use alloc::vec::Vec;

use sha2::block_api::compress256;
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::base62::NotDigits;
use crate::types::{Digest, Id, RefusalReason, Token};
use crate::{Secret, base62, crc32};

/// How every personal access token starts.
pub const PAT_PREFIX: &str = "patrol_pat_";
/// How every session token starts.
pub const SESSION_PREFIX: &str = "patrol_ses_";
/// How every session token starts that a password opened. The policy has nothing to do with those.
#[cfg(not(target_arch = "wasm32"))]
pub const ACCOUNT_PREFIX: &str = "patrol_acc_";
/// How the secret of every OAuth client starts.
pub const CLIENT_PREFIX: &str = "patrol_cli_";
/// The length of each in bytes, all of them ASCII.
pub const LENGTH: usize = 83;

/// The scheme number of a SHA-256 of the 32 secret bytes.
pub const SCHEME_SHA256: u8 = Scheme::Sha256.number();
/// The scheme number of a MAC of that SHA-256.
pub const SCHEME_PEPPERED: u8 = Scheme::Peppered.number();
/// The scheme number of a digest that was erased: nothing matches it.
pub const SCHEME_ERASED: u8 = 0;

/// What is stored of a secret (R2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Scheme {
    /// The SHA-256 of its 32 bytes.
    Sha256 = 1,
    /// A MAC of that SHA-256, under a key that only the host has ([`Host::mac`](crate::Host::mac)).
    Peppered = 2,
}

impl Scheme {
    /// The number that is stored beside the digest.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// Digits of a 128-bit number: 62^22 > 2^128.
const NUMBER_DIGITS: usize = 22;
/// Digits of the checksum: 62^6 > 2^32.
const CHECKSUM_DIGITS: usize = 6;

/// The state that SHA-256 starts from (FIPS 180-4, 5.3.3).
const INITIAL_STATE: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// The one block that a message of 32 bytes is: after it a bit, and at the end its length, 256 bits. With a message
/// that is always as long there is no need for a hasher that buffers, which would be two thirds more code.
const PADDING: [u8; 64] = {
    let mut block = [0; 64];
    block[32] = 0x80;
    block[62] = 1;
    block
};

/// What a text gives access to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A personal access token.
    Pat,
    /// A session that one opened.
    Session,
    /// A session that a password opened; the host's alone, so the component is not a byte larger for it.
    #[cfg(not(target_arch = "wasm32"))]
    Account,
    /// The endpoints at which a resource server asks about tokens. No policy sees one.
    Client,
}

impl Kind {
    /// How its texts start.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Pat => PAT_PREFIX,
            Self::Session => SESSION_PREFIX,
            #[cfg(not(target_arch = "wasm32"))]
            Self::Account => ACCOUNT_PREFIX,
            Self::Client => CLIENT_PREFIX,
        }
    }
}

/// A well-formed token: where to look, and the digest to compare. The secret itself is gone by now.
#[derive(Clone, Copy, Debug)]
pub struct Presented {
    id: Id,
    digest: Digest,
    mac: Option<Digest>,
}

impl Presented {
    /// The identifier inside the text.
    #[must_use]
    pub const fn id(&self) -> Id {
        self.id
    }

    /// What [`SCHEME_SHA256`] stores of the presented secret, and [`SCHEME_PEPPERED`] a MAC of.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Says what [`Host::mac`](crate::Host::mac) makes of [`Presented::digest`]. Until then nothing that is stored
    /// under [`SCHEME_PEPPERED`] matches; [`is_peppered`] tells whether anything is.
    pub const fn set_mac(&mut self, mac: Digest) {
        self.mac = Some(mac);
    }

    /// Whether a stored digest belongs to the presented secret, in constant time (R3): what it takes depends on the
    /// scheme alone. One that this policy does not know matches nothing.
    #[must_use]
    pub fn matches(&self, scheme: u8, stored: &Digest) -> Choice {
        let (known, own) = match &self.mac {
            Some(mac) if scheme == SCHEME_PEPPERED => (SCHEME_PEPPERED, mac),
            _ => (SCHEME_SHA256, &self.digest),
        };
        let Digest { a, b, c, d } = own;
        scheme.ct_eq(&known)
            & a.ct_eq(&stored.a)
            & b.ct_eq(&stored.b)
            & c.ct_eq(&stored.c)
            & d.ct_eq(&stored.d)
    }
}

/// Whether it takes a MAC to tell the right secret of a token, or the one before it.
#[must_use]
pub fn is_peppered(token: &Token) -> bool {
    token.scheme == SCHEME_PEPPERED || token.previous.is_some_and(|p| p.scheme == SCHEME_PEPPERED)
}

/// Takes a presented text apart.
///
/// # Errors
/// [`RefusalReason::Malformed`] for what has not the length, prefix or alphabet of its kind, or a group beyond the
/// range of its number; [`RefusalReason::BadChecksum`] for what was mistyped.
pub fn parse(kind: Kind, text: &[u8]) -> Result<Presented, RefusalReason> {
    let text: &[u8; LENGTH] = text.try_into().map_err(|_| RefusalReason::Malformed)?;
    let digits = text
        .strip_prefix(kind.prefix().as_bytes())
        .ok_or(RefusalReason::Malformed)?;
    let mut groups = digits.chunks(NUMBER_DIGITS);
    let mut number = || base62::decode(groups.next().unwrap_or_default());
    let id = number()?;
    let (upper, lower) = (Zeroizing::new(number()?), Zeroizing::new(number()?));
    let checksum = number()?
        .and_then(|checksum| u32::try_from(checksum).ok())
        .ok_or(RefusalReason::Malformed)?;

    // All are digits; before they mean anything, they have to be the right ones.
    let (covered, _) = text
        .split_last_chunk::<CHECKSUM_DIGITS>()
        .ok_or(RefusalReason::Malformed)?;
    if checksum != crc32::checksum(covered) {
        return Err(RefusalReason::BadChecksum);
    }
    let (Some(id), Some(upper), Some(lower)) = (id, &*upper, &*lower) else {
        return Err(RefusalReason::Malformed);
    };
    let mut block = PADDING;
    for (bytes, half) in block.as_chunks_mut().0.iter_mut().zip([upper, lower]) {
        *bytes = half.to_be_bytes();
    }
    Ok(Presented {
        id: Id::from_u128(id),
        digest: hash(&mut block),
        mac: None,
    })
}

impl From<NotDigits> for RefusalReason {
    fn from(NotDigits: NotDigits) -> Self {
        Self::Malformed
    }
}

/// The text for an identifier and its secret.
#[must_use]
pub fn compose(kind: Kind, id: Id, secret: &[u8; 32]) -> Secret {
    // As large as it gets: a vector that grows leaves copies behind.
    let mut text = Vec::with_capacity(LENGTH);
    text.extend_from_slice(kind.prefix().as_bytes());
    push(&mut text, id.as_u128(), NUMBER_DIGITS);
    for half in secret.as_chunks::<16>().0 {
        push(&mut text, u128::from_be_bytes(*half), NUMBER_DIGITS);
    }
    let checksum = crc32::checksum(&text);
    push(&mut text, checksum.into(), CHECKSUM_DIGITS);
    Secret::new(text)
}

/// What is stored of a secret under [`SCHEME_SHA256`] (R2).
#[must_use]
pub fn digest(secret: &[u8; 32]) -> Digest {
    let mut block = PADDING;
    if let Some(message) = block.first_chunk_mut() {
        *message = *secret;
    }
    hash(&mut block)
}

/// SHA-256 of the one block, which is wiped.
fn hash(block: &mut [u8; 64]) -> Digest {
    let mut state = INITIAL_STATE;
    compress256(&mut state, core::slice::from_ref(block));
    block.fill(0);
    zeroize::optimization_barrier(block);
    let [a, b, c, d, e, f, g, h] = state.map(u64::from);
    Digest {
        a: a << 32 | b,
        b: c << 32 | d,
        c: e << 32 | f,
        d: g << 32 | h,
    }
}

/// Appends a number in base62, padded to `digits`.
fn push(text: &mut Vec<u8>, number: u128, digits: usize) {
    let mut buffer = Zeroizing::new([0; NUMBER_DIGITS]);
    // INVARIANT: no group is longer than the buffer.
    if let Some(buffer) = buffer.get_mut(..digits) {
        base62::encode(number, buffer);
        text.extend_from_slice(buffer);
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "tests"
    )]

    use super::*;
    use sha2::Digest as _;

    const ID: Id = Id {
        hi: 0x0192_0000_0000_7000,
        lo: 0x8000_0000_0000_0001,
    };
    /// Made by another program, in another language.
    const TEXT: &str = "patrol_pat_02xiIaZ7xuKvzaIPuVKjBJ000SYW7RiJxkEgOGusQGwp0UJg4EBGO3cQWJhXqJNbv507iliT";

    fn secret() -> [u8; 32] {
        core::array::from_fn(|i| u8::try_from(i).unwrap())
    }

    fn with_checksum(covered: &str) -> Vec<u8> {
        let mut text = covered.as_bytes().to_vec();
        let checksum = crc32::checksum(&text);
        push(&mut text, checksum.into(), CHECKSUM_DIGITS);
        text
    }

    #[test]
    fn a_token_is_composed_as_the_format_says() {
        let text = compose(Kind::Pat, ID, &secret());
        assert_eq!(core::str::from_utf8(text.expose()).unwrap(), TEXT);
        assert_eq!(TEXT.len(), LENGTH);
    }

    #[test]
    fn a_token_is_as_long_with_a_small_number_as_with_a_large_one() {
        for (id, byte) in [(Id::default(), 0), (Id::from_u128(u128::MAX), 255)] {
            let text = compose(Kind::Session, id, &[byte; 32]);
            assert_eq!(text.expose().len(), LENGTH);
            let presented = parse(Kind::Session, text.expose()).unwrap();
            assert_eq!(presented.id(), id);
            assert!(bool::from(presented.matches(SCHEME_SHA256, &digest(&[byte; 32]))));
        }
    }

    #[test]
    fn r2_what_is_kept_of_a_secret_is_its_sha_256() {
        let known = "630dcd2966c4336691125448bbb25b4ff412a49c732db2c8abc1b8581bd710dd";
        let hex: alloc::string::String = digest(&secret())
            .to_bytes()
            .iter()
            .map(|b| alloc::format!("{b:02x}"))
            .collect();
        assert_eq!(hex, known);
    }

    #[test]
    fn r2_any_secret_is_hashed_as_the_general_function_hashes_it() {
        for byte in 0..=u8::MAX {
            let secret = core::array::from_fn(|i| byte.wrapping_mul(u8::try_from(i).unwrap()) ^ byte);
            let general: [u8; 32] = sha2::Sha256::digest(secret).into();
            assert_eq!(digest(&secret).to_bytes(), general);
        }
    }

    #[test]
    fn r3_only_the_secret_itself_matches_and_only_under_a_known_scheme() {
        let presented = parse(Kind::Pat, TEXT.as_bytes()).unwrap();
        let stored = digest(&secret());
        assert!(bool::from(presented.matches(SCHEME_SHA256, &stored)));
        assert!(!bool::from(presented.matches(SCHEME_ERASED, &stored)));
        assert!(!bool::from(presented.matches(SCHEME_PEPPERED, &stored)));
        assert!(!bool::from(presented.matches(3, &stored)));
        for other in [
            Digest {
                a: stored.a ^ 1,
                ..stored
            },
            Digest {
                b: stored.b ^ 1,
                ..stored
            },
            Digest {
                c: stored.c ^ 1,
                ..stored
            },
            Digest {
                d: stored.d ^ 1,
                ..stored
            },
        ] {
            assert!(!bool::from(presented.matches(SCHEME_SHA256, &other)));
        }
    }

    #[test]
    fn r3_a_peppered_digest_matches_the_mac_that_the_host_made_and_nothing_else() {
        let mut presented = parse(Kind::Pat, TEXT.as_bytes()).unwrap();
        let mac = digest(&[9; 32]);
        assert!(!bool::from(presented.matches(SCHEME_PEPPERED, &mac)));
        assert!(!bool::from(
            presented.matches(SCHEME_PEPPERED, &Digest::default())
        ));
        presented.set_mac(mac);
        assert_eq!(presented.digest(), digest(&secret()));
        assert!(bool::from(presented.matches(SCHEME_PEPPERED, &mac)));
        assert!(!bool::from(
            presented.matches(SCHEME_PEPPERED, &presented.digest())
        ));
        assert!(!bool::from(presented.matches(SCHEME_SHA256, &mac)));
        assert!(!bool::from(presented.matches(SCHEME_ERASED, &mac)));
        assert!(bool::from(presented.matches(SCHEME_SHA256, &digest(&secret()))));
    }

    #[test]
    fn every_changed_character_is_caught_before_the_store_is_asked() {
        for at in 0..LENGTH {
            let mut text = TEXT.as_bytes().to_vec();
            text[at] = if text[at] == b'x' { b'y' } else { b'x' };
            let reason = parse(Kind::Pat, &text).unwrap_err();
            if at < PAT_PREFIX.len() {
                assert_eq!(reason, RefusalReason::Malformed);
            } else if at < LENGTH - CHECKSUM_DIGITS {
                assert_eq!(reason, RefusalReason::BadChecksum, "at {at}");
            } else {
                // The changed checksum may also be none: 62^6 is more than 2^32.
                assert!(
                    matches!(reason, RefusalReason::BadChecksum | RefusalReason::Malformed),
                    "at {at}"
                );
            }
        }
    }

    #[test]
    fn every_other_length_is_malformed() {
        for length in 0..LENGTH {
            assert_eq!(
                parse(Kind::Pat, &TEXT.as_bytes()[..length]).unwrap_err(),
                RefusalReason::Malformed
            );
        }
        let longer = alloc::format!("{TEXT}0");
        assert_eq!(
            parse(Kind::Pat, longer.as_bytes()).unwrap_err(),
            RefusalReason::Malformed
        );
    }

    #[test]
    fn a_character_outside_the_alphabet_is_malformed() {
        for byte in [b'_', b'-', b'+', b' ', b'\n', 0, 0x80, 0xff] {
            let mut text = TEXT.as_bytes().to_vec();
            text[40] = byte;
            assert_eq!(parse(Kind::Pat, &text).unwrap_err(), RefusalReason::Malformed);
        }
    }

    #[test]
    fn a_token_of_one_kind_is_malformed_as_another() {
        let account = compose(Kind::Account, ID, &secret());
        for kind in [Kind::Pat, Kind::Session] {
            assert_eq!(
                parse(kind, account.expose()).unwrap_err(),
                RefusalReason::Malformed
            );
        }
        let session = compose(Kind::Session, ID, &secret());
        assert_eq!(
            parse(Kind::Pat, session.expose()).unwrap_err(),
            RefusalReason::Malformed
        );
        assert_eq!(
            parse(Kind::Session, TEXT.as_bytes()).unwrap_err(),
            RefusalReason::Malformed
        );
    }

    #[test]
    fn a_number_beyond_its_range_is_malformed_even_with_a_fitting_checksum() {
        let zeros = "0".repeat(NUMBER_DIGITS);
        // 2^128 - 1, 2^128 and the largest of 22 digits.
        let (largest, beyond, far) = (
            "7n42DGM5Tflk9n8mt7Fhc7",
            "7n42DGM5Tflk9n8mt7Fhc8",
            "z".repeat(NUMBER_DIGITS),
        );
        for position in 0..3 {
            let text = |group: &str| {
                let mut groups = [zeros.as_str(); 3];
                groups[position] = group;
                with_checksum(&alloc::format!("{PAT_PREFIX}{}", groups.concat()))
            };
            assert!(parse(Kind::Pat, &text(largest)).is_ok());
            assert_eq!(
                parse(Kind::Pat, &text(beyond)).unwrap_err(),
                RefusalReason::Malformed
            );
            assert_eq!(
                parse(Kind::Pat, &text(&far)).unwrap_err(),
                RefusalReason::Malformed
            );
        }
    }

    #[test]
    fn a_checksum_beyond_32_bits_is_malformed() {
        let text = [&TEXT.as_bytes()[..LENGTH - CHECKSUM_DIGITS], b"zzzzzz"].concat();
        assert_eq!(parse(Kind::Pat, &text).unwrap_err(), RefusalReason::Malformed);
    }
}
