//! Adding one histogram to another.

use super::{Counter, HistogramView, Saturation};

impl<C: Counter> HistogramView<C> {
    /// Adds the values of another histogram, as if they had all been recorded here.
    ///
    /// The other one may have any capacity and counter. Among histograms of one type the order and grouping of merges
    /// makes no difference to a single bit, and an empty histogram changes nothing. A histogram that had to halve its
    /// resolution cannot regain it: the result has the coarser scale.
    pub fn merge<D: Counter>(&mut self, other: &HistogramView<D>) {
        if let Some((lo, hi)) = other.window() {
            self.cover(other.shift, lo, hi);
            let halvings = self.shift - other.shift;
            if halvings == 0 && self.capacity() == other.capacity() {
                self.merge_slots(&other.slots);
            } else {
                for (index, count) in other.indexed() {
                    self.add_at(self.slot(index >> halvings), count);
                }
            }
        }
        self.add_totals(&other.totals());
    }

    /// Equal scale and capacity: the same bucket is in the same slot. One straight loop without branches.
    fn merge_slots<D: Counter>(&mut self, other: &[D]) {
        let mut saturated = false;
        for (slot, count) in self.slots.iter_mut().zip(other) {
            let (sum, over) = slot.saturating_add(count.get());
            *slot = sum;
            saturated |= over;
        }
        self.saturation.set(Saturation::BUCKETS, saturated);
    }
}
