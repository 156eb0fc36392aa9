//! CRC-32/ISO-HDLC, the checksum of zip and PNG.
//!
//! A step for each byte waits for the one before, so four bytes are taken in one step. The tables for that are by half
//! bytes, 512 bytes in all; by bytes they would be 4 KiB.

/// `TABLES[place][value]`: what a half byte leaves behind once it and the half bytes after it in its group of eight are
/// shifted out. The first half byte of a group has place 0.
const TABLES: [[u32; 16]; 8] = tables();

#[allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "done at compile time, where an overflow or a place out of range stops the build"
)]
const fn tables() -> [[u32; 16]; 8] {
    // The generator polynomial, its highest power in the lowest bit.
    const POLYNOMIAL: u32 = 0xEDB8_8320;

    let mut tables = [[0; 16]; 8];
    let mut place = 0;
    while place < 8 {
        let mut value = 0;
        while value < 16 {
            let mut remainder = value as u32;
            let mut bit = 4 * place;
            while bit < 32 {
                remainder = remainder >> 1 ^ (POLYNOMIAL & (remainder & 1).wrapping_neg());
                bit += 1;
            }
            tables[place][value] = remainder;
            value += 1;
        }
        place += 1;
    }
    tables
}

/// The checksum of a text.
pub(crate) fn checksum(text: &[u8]) -> u32 {
    let mut remainder = u32::MAX;
    let (groups, rest) = text.as_chunks();
    for group in groups {
        remainder = shift(remainder ^ u32::from_le_bytes(*group));
    }
    for byte in rest {
        // The last two places: nothing comes after this byte.
        let [.., first, second] = &TABLES;
        let byte = remainder ^ u32::from(*byte);
        remainder = byte >> 8 ^ entry(first, byte) ^ entry(second, byte >> 4);
    }
    !remainder
}

/// What a group of eight half bytes leaves behind.
fn shift(group: u32) -> u32 {
    let [a, b, c, d, e, f, g, h] = &TABLES;
    entry(a, group)
        ^ entry(b, group >> 4)
        ^ entry(c, group >> 8)
        ^ entry(d, group >> 12)
        ^ entry(e, group >> 16)
        ^ entry(f, group >> 20)
        ^ entry(g, group >> 24)
        ^ entry(h, group >> 28)
}

/// The entry for the lowest half byte.
fn entry(table: &[u32; 16], half_byte: u32) -> u32 {
    // INVARIANT: four bits are always a place in the table.
    table.get((half_byte & 15) as usize).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_check_value_of_the_standard_comes_out() {
        assert_eq!(checksum(b"123456789"), 0xCBF4_3926);
        assert_eq!(checksum(b""), 0);
    }

    proptest! {
        #[test]
        fn it_is_what_another_program_computes(text: Vec<u8>) {
            let other = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
            prop_assert_eq!(checksum(&text), other.checksum(&text));
        }
    }
}
