//! Numbers of up to 128 bits in base62 (`0-9A-Za-z`), big-endian, padded with `0` to a fixed length.
//!
//! Five digits at a time, since 62^5 < 2^32: then a number is four limbs of 32 bits, and all products and dividends
//! fit into the 64 bits that wasm calculates with. The work depends on the length only and not on the digits, which
//! may be a secret's.

use zeroize::Zeroizing;

const BASE: u64 = 62;
/// Digits in a group.
const GROUP: usize = 5;
/// How many different groups there are.
const GROUPS: u64 = 916_132_832;

/// A number as four times 32 bits, the most significant first.
struct Limbs(Zeroizing<[u64; 4]>);

/// The number that these digits stand for. None where it has more than 128 bits, or where there is something else
/// than digits.
pub(crate) fn decode(digits: &[u8]) -> Option<u128> {
    let mut number = Limbs::from(0);
    let mut good = true;
    for group in digits.chunks(GROUP) {
        let (mut factor, mut carry) = (1u64, 0u64);
        for digit in group {
            let value = value(*digit);
            good &= value < BASE;
            factor = factor.wrapping_mul(BASE);
            carry = carry.wrapping_mul(BASE).wrapping_add(value);
        }
        for limb in number.0.iter_mut().rev() {
            // INVARIANT: nothing wraps. Limb and carry are below 2^32, the factor is below 2^30.
            let product = limb.wrapping_mul(factor).wrapping_add(carry);
            (*limb, carry) = (product & u64::from(u32::MAX), product >> 32);
        }
        good &= carry == 0;
    }
    good.then(|| number.into())
}

/// Writes the number all over `digits`, which must be enough for it.
pub(crate) fn encode(number: u128, digits: &mut [u8]) {
    let mut number = Limbs::from(number);
    for group in digits.rchunks_mut(GROUP) {
        let mut rest = 0;
        for limb in number.0.iter_mut() {
            let dividend = rest << 32 | *limb;
            (*limb, rest) = (dividend / GROUPS, dividend % GROUPS);
        }
        for digit in group.iter_mut().rev() {
            *digit = letter(rest % BASE);
            rest /= BASE;
        }
    }
}

/// What a digit stands for; something from [`BASE`] up for anything else.
fn value(digit: u8) -> u64 {
    let value = match digit {
        b'0'..=b'9' => digit.wrapping_sub(b'0'),
        b'A'..=b'Z' => digit.wrapping_sub(b'A').wrapping_add(10),
        b'a'..=b'z' => digit.wrapping_sub(b'a').wrapping_add(36),
        _ => u8::MAX,
    };
    value.into()
}

/// The digit for a value below [`BASE`].
fn letter(value: u64) -> u8 {
    // INVARIANT: a remainder of a division by 62 fits.
    let value = u8::try_from(value).unwrap_or_default();
    match value {
        0..10 => value.wrapping_add(b'0'),
        10..36 => value.wrapping_sub(10).wrapping_add(b'A'),
        _ => value.wrapping_sub(36).wrapping_add(b'a'),
    }
}

impl From<u128> for Limbs {
    fn from(number: u128) -> Self {
        let limb = |shift: u32| u64::try_from(number >> shift & u128::from(u32::MAX)).unwrap_or_default();
        Self(Zeroizing::new([limb(96), limb(64), limb(32), limb(0)]))
    }
}

impl From<Limbs> for u128 {
    fn from(Limbs(limbs): Limbs) -> Self {
        limbs
            .iter()
            .fold(0, |number, limb| number << 32 | Self::from(*limb))
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "tests"
    )]

    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

    /// Digit by digit, by the machine's own division.
    fn plain(mut number: u128, length: usize) -> Vec<u8> {
        let mut digits = Vec::new();
        for _ in 0..length {
            digits.push(ALPHABET[usize::try_from(number % 62).unwrap()]);
            number /= 62;
        }
        digits.reverse();
        digits
    }

    /// Digit by digit, by the machine's own multiplication, which says when it overflows.
    fn plain_decode(digits: &[u8]) -> Option<u128> {
        digits.iter().try_fold(0u128, |number, digit| {
            let value = ALPHABET.iter().position(|letter| letter == digit)?;
            number.checked_mul(62)?.checked_add(value as u128)
        })
    }

    fn encoded(number: u128) -> [u8; 22] {
        let mut digits = [0; 22];
        encode(number, &mut digits);
        digits
    }

    #[test]
    fn every_digit_has_its_place_and_nothing_else_is_one() {
        for byte in 0..=u8::MAX {
            let place = ALPHABET.iter().position(|letter| *letter == byte);
            assert_eq!(decode(&[byte]), place.map(|place| place as u128));
        }
        for (place, letter) in ALPHABET.iter().enumerate() {
            let mut digit = [0];
            encode(place as u128, &mut digit);
            assert_eq!(digit, [*letter]);
        }
    }

    #[test]
    fn the_largest_number_fits_and_the_next_does_not() {
        assert_eq!(&encoded(u128::MAX), b"7n42DGM5Tflk9n8mt7Fhc7");
        assert_eq!(decode(b"7n42DGM5Tflk9n8mt7Fhc7"), Some(u128::MAX));
        assert_eq!(decode(b"7n42DGM5Tflk9n8mt7Fhc8"), None);
        assert_eq!(decode(&[b'z'; 22]), None);
    }

    #[test]
    fn a_carry_runs_through_every_limb() {
        for power in 0..128 {
            for number in [1 << power, (1 << power) - 1, u128::MAX - (1 << power)] {
                assert_eq!(encoded(number).to_vec(), plain(number, 22));
                assert_eq!(decode(&encoded(number)), Some(number));
            }
        }
    }

    proptest! {
        #[test]
        fn numbers_are_written_as_plain_division_writes_them_and_read_back(number: u128) {
            prop_assert_eq!(encoded(number).to_vec(), plain(number, 22));
            prop_assert_eq!(decode(&encoded(number)), Some(number));
        }

        #[test]
        fn digits_are_read_as_plain_multiplication_reads_them(digits in "[0-9A-Za-z]{0,22}") {
            prop_assert_eq!(decode(digits.as_bytes()), plain_decode(digits.as_bytes()));
        }

        #[test]
        fn every_number_beyond_128_bits_is_refused(above in 0..30_000_000_000_000u128, digit in 0..62u8) {
            // 62^22 is about 8 times 2^128: what is left above the largest number, in steps of 62^9 and one digit.
            let over = |digits: &[u8]| digits > b"7n42DGM5Tflk9n8mt7Fhc7".as_slice();
            let mut digits = plain(above, 13);
            digits.extend_from_slice(b"000000000");
            digits[21] = ALPHABET[usize::from(digit)];
            prop_assert_eq!(decode(&digits).is_none(), over(&digits));
        }

        #[test]
        fn anything_but_a_digit_is_refused_wherever_it_stands(number: u128, at in 0..22usize, byte: u8) {
            let mut digits = encoded(number);
            digits[at] = byte;
            if !byte.is_ascii_alphanumeric() {
                prop_assert_eq!(decode(&digits), None);
            }
        }
    }
}
