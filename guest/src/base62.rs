//! Numbers of up to 128 bits in base62 (`0-9A-Za-z`), big-endian, padded with `0` to a fixed length.
//!
//! Five digits at a time, since 62^5 < 2^32: then a number is four limbs of 32 bits, and all products and dividends
//! fit into the 64 bits that wasm calculates with. Reading depends on the length only and not on the digits, which
//! may be a secret's.

use zeroize::Zeroizing;

const BASE: u64 = 62;
/// Digits in a group.
const GROUP: usize = 5;
/// How many different groups there are.
const GROUPS: u64 = 916_132_832;

/// A number as four times 32 bits, the most significant first.
struct Limbs(Zeroizing<[u64; 4]>);

/// There is something else than digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotDigits;

/// The number that these digits stand for; none if it has more than 128 bits.
pub(crate) fn decode(digits: &[u8]) -> Result<Option<u128>, NotDigits> {
    let mut number = Limbs::from(0);
    let (mut all_digits, mut fits) = (true, true);
    for group in digits.chunks(GROUP) {
        let (mut factor, mut carry) = (1u64, 0u64);
        for digit in group {
            let value = value(*digit);
            all_digits &= value < BASE;
            factor = factor.wrapping_mul(BASE);
            carry = carry.wrapping_mul(BASE).wrapping_add(value);
        }
        let mut times_factor = |limb: u64| {
            // INVARIANT: nothing wraps. Limb and carry are below 2^32, the factor is below 2^30.
            let product = limb.wrapping_mul(factor).wrapping_add(carry);
            carry = product >> 32;
            product & u64::from(u32::MAX)
        };
        // Not a loop: in the component, each turn would look whether its time is up.
        let [a, b, c, d] = *number.0;
        let (d, c) = (times_factor(d), times_factor(c));
        let (b, a) = (times_factor(b), times_factor(a));
        *number.0 = [a, b, c, d];
        fits &= carry == 0;
    }
    if !all_digits {
        return Err(NotDigits);
    }
    Ok(fits.then(|| number.into()))
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

/// What a digit stands for; something from [`BASE`] up for anything else. Without a branch, since digits that decide
/// which way to go take longer than all else that is done with them, and tell.
fn value(digit: u8) -> u64 {
    let within = |first: u8, count: u8, values_from: u8| {
        let place = digit.wrapping_sub(first);
        // All ones where the digit is in this range. One more than the value: zero is left for what is in none.
        u8::from(place < count).wrapping_neg() & place.wrapping_add(values_from).wrapping_add(1)
    };
    (within(b'0', 10, 0) | within(b'A', 26, 10) | within(b'a', 26, 36))
        .wrapping_sub(1)
        .into()
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
            let value = ALPHABET.iter().position(|letter| letter == digit).unwrap();
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
            let number = place.map(|place| Some(place as u128));
            assert_eq!(decode(&[byte]), number.ok_or(NotDigits));
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
        assert_eq!(decode(b"7n42DGM5Tflk9n8mt7Fhc7"), Ok(Some(u128::MAX)));
        assert_eq!(decode(b"7n42DGM5Tflk9n8mt7Fhc8"), Ok(None));
        assert_eq!(decode(&[b'z'; 22]), Ok(None));
    }

    #[test]
    fn a_carry_runs_through_every_limb() {
        for power in 0..128 {
            for number in [1 << power, (1 << power) - 1, u128::MAX - (1 << power)] {
                assert_eq!(encoded(number).to_vec(), plain(number, 22));
                assert_eq!(decode(&encoded(number)), Ok(Some(number)));
            }
        }
    }

    proptest! {
        #[test]
        fn numbers_are_written_as_plain_division_writes_them_and_read_back(number: u128) {
            prop_assert_eq!(encoded(number).to_vec(), plain(number, 22));
            prop_assert_eq!(decode(&encoded(number)), Ok(Some(number)));
        }

        #[test]
        fn digits_are_read_as_plain_multiplication_reads_them(digits in "[0-9A-Za-z]{0,22}") {
            prop_assert_eq!(decode(digits.as_bytes()), Ok(plain_decode(digits.as_bytes())));
        }

        #[test]
        fn every_number_beyond_128_bits_is_refused(above in 0..30_000_000_000_000u128, digit in 0..62u8) {
            // 62^22 is about 8 times 2^128: what is left above the largest number, in steps of 62^9 and one digit.
            let over = |digits: &[u8]| digits > b"7n42DGM5Tflk9n8mt7Fhc7".as_slice();
            let mut digits = plain(above, 13);
            digits.extend_from_slice(b"000000000");
            digits[21] = ALPHABET[usize::from(digit)];
            prop_assert_eq!(decode(&digits) == Ok(None), over(&digits));
        }

        #[test]
        fn anything_but_a_digit_is_refused_wherever_it_stands(number: u128, at in 0..22usize, byte: u8) {
            let mut digits = encoded(number);
            digits[at] = byte;
            if !byte.is_ascii_alphanumeric() {
                prop_assert_eq!(decode(&digits), Err(NotDigits));
            }
        }
    }
}
