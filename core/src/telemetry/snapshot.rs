//! One histogram into frames of bounded size, a part at a time.

use core::cell::Cell;

use super::encode::Outgoing;
use super::frame::{BUCKETS_PER_FRAME, Buckets, MAX_HEADER, MAX_PAYLOAD, MetricTotals};
use super::queue::Line;
use crate::histogram::HistogramView;
use crate::histogram::counts::CountWriter;
use crate::meter::{MetricView, changed_block};
use crate::wire::{Writer, zigzag};

/// Room for counts in a frame: the payload less the envelope and the fields of [`Buckets`].
pub(super) const MAX_COUNTS: usize = MAX_PAYLOAD - MAX_HEADER - (3 + 1 + 1 + 2);

/// The start and the length of a run take at most 3 bytes each.
const MAX_RUN_HEADER: usize = 6;

/// How far the snapshot of one histogram has come.
///
/// The line may be full at any frame, and samples may be recorded before there is room again. What changes meanwhile
/// is marked anew, for the next snapshot.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Progress {
    /// Which 32nds of the storage this snapshot sends; `None` between snapshots.
    pending: Option<u32>,
    /// The bucket to go on with.
    next: i32,
    /// The scale that `next` is an index at.
    scale: i8,
    /// How many samples the last totals frame told of; `None` if none was sent.
    sent_samples: Option<u64>,
}

impl Progress {
    /// All its bytes are zero, so that it takes no flash.
    pub(super) const START: Self = Self { pending: None, next: 0, scale: 0, sent_samples: None };

    /// Sends what is left of the snapshot, as far as there is room; tells whether the snapshot is done.
    pub(super) fn send<const Q: usize>(
        &mut self,
        phase: u16,
        metric: u8,
        MetricView { histogram, lag1, changed }: MetricView<'_>,
        line: &mut Line<'_, Q>,
    ) -> bool {
        // A host that hears nothing of a histogram takes it for empty.
        if histogram.is_empty() {
            *changed = 0;
            return true;
        }
        if self.pending.is_none() {
            // What was recorded while the last snapshot went out may be in its totals and not in its buckets.
            if *changed == 0 && self.sent_samples == Some(histogram.count()) {
                return true;
            }
            self.begin(core::mem::take(changed), histogram.scale());
        }
        if self.scale != histogram.scale() {
            // Rescaled between two frames: what was sent is at a scale that is gone.
            *changed = 0;
            self.begin(u32::MAX, histogram.scale());
        }
        let pending = self.pending.unwrap_or_default();
        loop {
            let mut counts = [0; MAX_COUNTS];
            let (length, next) = write_runs(histogram, pending, self.next, &mut counts);
            let counts = counts.get(..length).unwrap_or_default();
            if !counts.is_empty() {
                let buckets = Buckets { phase, metric, scale: self.scale, counts };
                if !line.push(&Outgoing::Buckets(&buckets)) {
                    return false;
                }
            }
            match next {
                Some(next) => self.next = next,
                None => break,
            }
        }
        self.next = i32::MAX;
        let totals = MetricTotals { phase, metric, totals: histogram.totals(), lag1: *lag1 };
        if !line.push(&Outgoing::Totals(&totals)) {
            return false;
        }
        self.sent_samples = Some(histogram.count());
        self.pending = None;
        true
    }

    fn begin(&mut self, pending: u32, scale: i8) {
        *self = Self { pending: Some(pending), next: i32::MIN, scale, ..*self };
    }
}

/// Writes the pending buckets from index `next` on as runs, and tells how many bytes that took and the bucket to go on
/// with if not all fitted.
fn write_runs(histogram: &HistogramView, pending: u32, next: i32, out: &mut [u8]) -> (usize, Option<i32>) {
    let Some((low, high)) = histogram.window() else { return (0, None) };
    let is_pending = |index: i32| {
        let slot = histogram.slot(index);
        pending & 1_u32.rotate_left(changed_block(histogram.capacity(), slot)) != 0
    };
    let mut used = 0;
    let mut left = BUCKETS_PER_FRAME;
    let mut index = next.max(low);
    while index <= high {
        if !is_pending(index) {
            index += 1;
            continue;
        }
        // The length goes before the counts and is known after them: they move up to close the gap.
        let tokens = used + MAX_RUN_HEADER;
        let Some(free) = out.get_mut(tokens..) else { break };
        let start = index;
        let mut writer = CountWriter::new(free);
        while index <= high && left > 0 && is_pending(index) && writer.push(histogram.count_at(index)).is_ok() {
            (index, left) = (index + 1, left - 1);
        }
        let written = writer.finish();
        let length = index.abs_diff(start);
        if length == 0 {
            break;
        }
        let mut header = Writer::new(out.get_mut(used..tokens).unwrap_or_default());
        header.varint(zigzag(start.into()));
        header.varint(length.into());
        used += MAX_RUN_HEADER - header.room();
        // Not with `copy_within`: it has panics that the compiler cannot see are out of reach.
        let bytes = Cell::from_mut(&mut *out).as_slice_of_cells();
        let (to, from) = (bytes.get(used..).unwrap_or_default(), bytes.get(tokens..).unwrap_or_default());
        for (to, from) in to.iter().zip(from).take(written) {
            to.set(from.get());
        }
        used += written;
        if index <= high && is_pending(index) {
            break;
        }
    }
    (used, (index <= high).then_some(index))
}
