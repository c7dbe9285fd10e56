//! The bounded transmit queue between the telemetry and a line that may be slower.

use core::fmt;

use embedded_io::{Write, WriteReady};

use super::encode::encode;
use super::frame::{Envelope, MAX_ENCODED};

/// The line failed while the queue was drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DrainError<E> {
    /// The line's own error.
    Line(E),
    /// The line took no byte though it said it was ready.
    Stuck,
}

impl<E: fmt::Display> fmt::Display for DrainError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(error) => write!(f, "the telemetry line failed: {error}"),
            Self::Stuck => f.write_str("the telemetry line said that it was ready and took no byte"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for DrainError<E> {}

/// A ring of `Q` bytes that holds whole frames until the line takes them.
///
/// Putting a frame in never waits: it fits or it does not. At least [`MAX_ENCODED`] bytes are needed for every frame
/// to fit at some time; room for a whole snapshot, 1 or 2 KB, lets snapshots be whole in mid-phase as well.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TxQueue<const Q: usize> {
    ring: [u8; Q],
    start: usize,
    length: usize,
}

impl<const Q: usize> Default for TxQueue<Q> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const Q: usize> TxQueue<Q> {
    /// An empty queue.
    pub const fn new() -> Self {
        const { assert!(Q >= MAX_ENCODED, "a queue has to take the longest frame") };
        Self { ring: [0; Q], start: 0, length: 0 }
    }

    /// How many bytes wait.
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether no byte waits.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// How many bytes are free.
    pub const fn free(&self) -> usize {
        Q.saturating_sub(self.length)
    }

    /// Appends a frame, whole or not at all; tells whether it fitted.
    pub fn push(&mut self, envelope: &Envelope<'_>) -> bool {
        let mut encoded = [0; MAX_ENCODED];
        let Some(encoded) = encode(envelope, &mut encoded).ok().and_then(|length| encoded.get(..length)) else {
            return false;
        };
        if encoded.len() > self.free() {
            return false;
        }
        let mut end = self.start.wrapping_add(self.length) % Q;
        for byte in encoded {
            if let Some(slot) = self.ring.get_mut(end) {
                *slot = *byte;
            }
            end = if end + 1 < Q { end + 1 } else { 0 };
        }
        self.length += encoded.len();
        true
    }

    /// The longest run of bytes that wait, in order; drop what was sent of it with [`TxQueue::consume`].
    pub fn front(&self) -> &[u8] {
        let end = self.start.saturating_add(self.length).min(Q);
        self.ring.get(self.start..end).unwrap_or_default()
    }

    /// Drops up to `sent` bytes from the front.
    pub fn consume(&mut self, sent: usize) {
        let sent = sent.min(self.length);
        self.length -= sent;
        self.start = self.start.wrapping_add(sent) % Q;
    }

    /// Writes what the line takes without waiting, and tells how many bytes that was.
    ///
    /// # Errors
    /// [`DrainError`] if the line fails; what it did not take stays in the queue.
    pub fn drain<W: Write + WriteReady>(&mut self, line: &mut W) -> Result<usize, DrainError<W::Error>> {
        let mut drained = 0_usize;
        while !self.is_empty() && line.write_ready().map_err(DrainError::Line)? {
            let sent = line.write(self.front()).map_err(DrainError::Line)?;
            if sent == 0 {
                return Err(DrainError::Stuck);
            }
            self.consume(sent);
            drained = drained.saturating_add(sent);
        }
        Ok(drained)
    }
}
