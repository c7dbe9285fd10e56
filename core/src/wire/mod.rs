//! [postcard](https://postcard.jamesmunns.com/wire-format)'s wire format, as a device writes and reads it.
//!
//! The crate of that name copies the loop over a number's bytes to the place of each number: frames took six times the
//! code. Here every number takes the same loop. One serde description of each message serves both directions; messages are
//! read with postcard itself.

mod read;
mod write;

#[cfg(test)]
mod tests;

pub(crate) use read::{read, read_varint};
pub(crate) use write::{Message, Overlong, Writer, as_bytes, write};

/// 0, −1, 1, −2, … as 0, 1, 2, 3, …
pub(crate) const fn zigzag(difference: i64) -> u64 {
    ((difference << 1) ^ (difference >> 63)).cast_unsigned()
}

/// The number that [`zigzag`] turned into this one.
pub(crate) const fn unzigzag(token: u64) -> i64 {
    (token >> 1).cast_signed() ^ -(token & 1).cast_signed()
}

/// How many bytes a number takes.
pub(crate) const fn varint_len(token: u64) -> usize {
    let bits = u64::BITS - (token | 1).leading_zeros();
    // Up to 64 this is `bits.div_ceil(7)`, without a division.
    ((9 * bits + 64) / 64) as usize
}
