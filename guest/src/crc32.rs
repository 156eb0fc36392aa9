//! CRC-32/ISO-HDLC, the checksum of zip and PNG, four bits at a time: a table of 64 bytes, where the usual one of 1 KiB
//! would be as large as all rules about sessions.

/// What four bits that are shifted out leave behind: the multiples of the polynomial 0x04C1_1DB7, bits reversed.
const TABLE: [u32; 16] = [
    0x0000_0000,
    0x1DB7_1064,
    0x3B6E_20C8,
    0x26D9_30AC,
    0x76DC_4190,
    0x6B6B_51F4,
    0x4DB2_6158,
    0x5005_713C,
    0xEDB8_8320,
    0xF00F_9344,
    0xD6D6_A3E8,
    0xCB61_B38C,
    0x9B64_C2B0,
    0x86D3_D2D4,
    0xA00A_E278,
    0xBDBD_F21C,
];

/// The checksum of a text.
pub(crate) fn checksum(text: &[u8]) -> u32 {
    let mut remainder = u32::MAX;
    for byte in text {
        remainder = shift(remainder ^ u32::from(*byte));
        remainder = shift(remainder);
    }
    !remainder
}

fn shift(remainder: u32) -> u32 {
    // INVARIANT: four bits are a place in the table.
    let entry = TABLE.get((remainder & 15) as usize).copied().unwrap_or_default();
    remainder >> 4 ^ entry
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
