//! The bounded transmit queue between the telemetry and a line that may be slower.

use super::encode::{Enveloped, Outgoing, seal};
use super::frame::{MAX_ENCODED, VERSION};
use crate::time::Instant;
use crate::wire::Message;

/// A ring of `Q` bytes that holds whole frames until the line takes them.
///
/// Putting a frame in never waits: it fits or it does not. At least [`MAX_ENCODED`] bytes are needed for every frame
/// to fit at some time; room for a whole snapshot, 1 or 2 KB, lets snapshots be whole in mid-phase as well.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct TxQueue<const Q: usize> {
    ring: [u8; Q],
    start: usize,
    length: usize,
}

impl<const Q: usize> TxQueue<Q> {
    /// An empty queue.
    pub(crate) const fn new() -> Self {
        const { assert!(Q >= MAX_ENCODED, "a queue has to take the longest frame") };
        Self { ring: [0; Q], start: 0, length: 0 }
    }

    /// Whether no byte waits.
    pub(crate) const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// How many bytes are free.
    pub(crate) const fn free(&self) -> usize {
        Q.saturating_sub(self.length)
    }

    /// Appends a message as a frame, whole or not at all; tells whether it fitted.
    pub(crate) fn push(&mut self, message: &dyn Message) -> bool {
        let mut encoded = [0; MAX_ENCODED];
        let Some(encoded) = seal(message, &mut encoded).ok().and_then(|length| encoded.get(..length)) else {
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
    pub(crate) fn front(&self) -> &[u8] {
        let end = self.start.saturating_add(self.length).min(Q);
        self.ring.get(self.start..end).unwrap_or_default()
    }

    /// Drops up to `sent` bytes from the front.
    pub(crate) fn consume(&mut self, sent: usize) {
        let sent = sent.min(self.length);
        self.length -= sent;
        self.start = self.start.wrapping_add(sent) % Q;
    }

    /// Drops everything.
    pub(crate) const fn clear(&mut self) {
        self.length = 0;
    }
}

/// Which frames a boot has sent.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Numbering {
    pub(super) boot: u32,
    pub(super) sequence: u32,
}

/// Where frames go: each gets the next sequence number, if it fits.
pub(super) struct Line<'q, const Q: usize> {
    pub(super) numbering: &'q mut Numbering,
    pub(super) now: Instant,
    pub(super) queue: &'q mut TxQueue<Q>,
}

impl<const Q: usize> Line<'_, Q> {
    /// Puts a frame into the queue; tells whether it fitted.
    pub(super) fn push(&mut self, frame: &Outgoing<'_>) -> bool {
        self.push_kind(frame.kind(), frame)
    }

    /// Puts a frame of this kind into the queue; tells whether it fitted.
    pub(super) fn push_kind(&mut self, kind: u32, fields: &dyn Message) -> bool {
        let Numbering { boot, sequence } = *self.numbering;
        let head = (VERSION, boot, sequence, self.now);
        let fitted = self.queue.push(&Enveloped { head, kind, fields });
        if fitted {
            self.numbering.sequence = sequence.wrapping_add(1);
        }
        fitted
    }
}
