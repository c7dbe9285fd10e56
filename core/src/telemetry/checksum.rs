//! CRC-32/ISO-HDLC: on hosts fast, on devices small.

#[cfg(target_pointer_width = "64")]
pub(super) use crc32fast::hash as crc32;
#[cfg(not(target_pointer_width = "64"))]
pub(super) use small::crc32;

/// Half a byte at a time: 64 bytes of table, where the usual one has 1,024.
#[cfg(any(test, not(target_pointer_width = "64")))]
mod small {
    /// 0x04C11DB7, reflected.
    const POLYNOMIAL: u32 = 0xedb8_8320;

    /// What four shifts make of each half byte.
    static TABLE: [u32; 16] = {
        let mut table = [0; 16];
        let mut half = 0;
        while half < 16 {
            let mut rest = half;
            let mut shifts = 0;
            while shifts < 4 {
                rest = if rest & 1 == 1 { (rest >> 1) ^ POLYNOMIAL } else { rest >> 1 };
                shifts += 1;
            }
            table[half as usize] = rest;
            half += 1;
        }
        table
    };

    pub(in crate::telemetry) fn crc32(bytes: &[u8]) -> u32 {
        let mut crc = u32::MAX;
        for byte in bytes {
            crc ^= u32::from(*byte);
            for _ in 0..2 {
                crc = (crc >> 4) ^ TABLE[(crc & 15) as usize];
            }
        }
        !crc
    }
}

#[cfg(test)]
mod tests {
    use crc::{CRC_32_ISO_HDLC, Crc};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn both_give_the_checksum_of_the_standard(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            let expected = Crc::<u32>::new(&CRC_32_ISO_HDLC).checksum(&bytes);
            prop_assert_eq!(crc32(&bytes), expected);
            prop_assert_eq!(small::crc32(&bytes), expected);
        }
    }
}
