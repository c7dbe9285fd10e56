//! CRC-32/ISO-HDLC, half a byte at a time: 64 bytes of table, where the usual one has 1,024.

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

pub(super) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..2 {
            crc = (crc >> 4) ^ TABLE[(crc & 15) as usize];
        }
    }
    !crc
}
