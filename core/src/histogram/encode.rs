//! The canonical bytes: equal histograms have equal bytes, whatever their capacity and counter type.
//!
//! In this order: [`Totals`](super::Totals) as postcard (its fields as they are declared), the index of the first used
//! bucket as a zigzag varint, the number of buckets up to the last used one as a varint, and their counts by rising
//! index as [`counts`](super::counts) codes them.

use core::fmt;

use super::counts::{CountReader, CountWriter};
use super::{Counter, HistogramView, LatencyHistogram, PartsError, Totals};
use crate::wire;

/// Postcard's longest totals (four bytes of small fields, four `u64`, two `u128`) and window.
const MAX_HEAD_LEN: usize = 4 + 4 * 10 + 2 * 19 + 2 * 5;

/// Why a histogram could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum EncodeError {
    /// The buffer is too small.
    BufferTooSmall,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the buffer is too small for the histogram; max_encoded_len() is always enough")
    }
}

impl core::error::Error for EncodeError {}

/// Why bytes are not a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end too early or break the coding.
    Malformed,
    /// Bytes are left over.
    TrailingBytes,
    /// The window begins or ends with an empty bucket.
    NotCanonical,
    /// The numbers do not fit together, or not into this histogram.
    Parts(PartsError),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("the bytes of the histogram are cut short or broken"),
            Self::TrailingBytes => f.write_str("bytes are left over after the histogram"),
            Self::NotCanonical => f.write_str("the histogram's bytes begin or end with an empty bucket"),
            Self::Parts(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for DecodeError {}

impl From<PartsError> for DecodeError {
    fn from(error: PartsError) -> Self {
        Self::Parts(error)
    }
}

impl<C: Counter, const N: usize> LatencyHistogram<N, C> {
    /// The size of a buffer in which [`encode`](Self::encode) never fails.
    pub const fn max_encoded_len() -> usize {
        MAX_HEAD_LEN + N * C::MAX_ENCODED_LEN
    }

    /// Reads the canonical bytes of a histogram of any capacity and counter type, if its values fit into this one.
    ///
    /// # Errors
    /// What is wrong with the bytes, or [`PartsError::TooWide`] and [`PartsError::CounterTooNarrow`] when they need a
    /// larger histogram.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut histogram = Self::new();
        histogram.read(bytes)?;
        Ok(histogram)
    }
}

impl<C: Counter> HistogramView<C> {
    /// Writes the canonical bytes to the start of `out` and returns how many they are.
    ///
    /// # Errors
    /// [`EncodeError::BufferTooSmall`]; `out` is then partly overwritten.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        let head = wire::write(&(self.totals(), self.lo, self.len), out).map_err(|_| EncodeError::BufferTooSmall)?;
        let mut writer = CountWriter::new(out.get_mut(head..).unwrap_or_default());
        for count in self.counts() {
            writer.push(count).map_err(|_| EncodeError::BufferTooSmall)?;
        }
        Ok(head + writer.finish())
    }

    /// Fills an empty histogram.
    fn read(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let ((totals, lo, len), rest) =
            postcard::take_from_bytes::<(Totals, i32, u32)>(bytes).map_err(|_| DecodeError::Malformed)?;
        if len as usize > self.capacity() {
            return Err(PartsError::TooWide(self.capacity()).into());
        }
        self.set_totals(&totals)?;
        let mut counts = CountReader::new(rest);
        let mut index = lo;
        for _ in 0..len {
            self.put(index, counts.next_count().ok_or(DecodeError::Malformed)?)?;
            index = index.wrapping_add(1);
        }
        if !counts.finish().ok_or(DecodeError::Malformed)?.is_empty() {
            return Err(DecodeError::TrailingBytes);
        }
        if (self.lo, self.len) != (lo, len) {
            return Err(DecodeError::NotCanonical);
        }
        Ok(self.settle(&totals)?)
    }
}
