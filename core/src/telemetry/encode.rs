//! Frame to bytes.

use core::fmt;

use crc::{CRC_32_ISO_HDLC, Crc, Table};
use postcard::ser_flavors::crc::CrcModifier;
use postcard::ser_flavors::{Cobs, Slice};

use super::frame::{Envelope, MAX_ENCODED};

/// The frames' checksum.
pub(super) const CRC: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISO_HDLC);

/// The frame does not fit in [`MAX_ENCODED`] bytes, or not in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct EncodeError;

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the frame is longer than the buffer, or than a frame may be")
    }
}

impl core::error::Error for EncodeError {}

/// Writes a frame with both its delimiters into `buffer`, and tells its length. A buffer of [`MAX_ENCODED`] bytes
/// suffices for every frame.
///
/// Payload, checksum and byte stuffing are made in one pass, without a second buffer.
///
/// # Errors
/// [`EncodeError`] if the frame does not fit.
pub fn encode(envelope: &Envelope<'_>, buffer: &mut [u8]) -> Result<usize, EncodeError> {
    let limit = buffer.len().min(MAX_ENCODED);
    let (delimiter, body) = buffer.get_mut(..limit).and_then(<[u8]>::split_first_mut).ok_or(EncodeError)?;
    *delimiter = 0;
    let stuffed = Cobs::try_new(Slice::new(body)).map_err(|_| EncodeError)?;
    let written = postcard::serialize_with_flavor(envelope, CrcModifier::new(stuffed, CRC.digest()));
    written.map(|written| written.len() + 1).map_err(|_| EncodeError)
}
