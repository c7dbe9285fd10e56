//! Reading the buckets.

use core::iter::Chain;
use core::slice::Iter;

use super::{Counter, HistogramView, grid};

/// A bucket that holds values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Bucket {
    /// Index at the histogram's scale, as OpenTelemetry numbers it.
    pub index: i32,
    /// Smallest whole nanosecond that belongs here.
    pub lower: u64,
    /// Largest whole nanosecond that belongs here.
    pub upper: u64,
    /// How many values are here, more than 0.
    pub count: u64,
}

impl<C: Counter> HistogramView<C> {
    /// The buckets that hold values, by rising index.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> {
        self.indexed().filter(|(_, count)| *count > 0).map(|(index, count)| {
            let (lower, upper) = grid::bounds(self.shift, index);
            Bucket { index, lower, upper, count }
        })
    }

    /// The count of one bucket, 0 for one that is not used.
    pub fn count_at(&self, index: i32) -> u64 {
        if self.in_window(index) { self.slots.get(self.slot(index)).map_or(0, |count| count.get()) } else { 0 }
    }

    /// Index and count of every bucket of the window, empty ones included.
    pub(crate) fn indexed(&self) -> impl Iterator<Item = (i32, u64)> {
        (self.lo..).zip(self.counts())
    }

    /// Count of every bucket of the window, empty ones included.
    pub(crate) fn counts(&self) -> impl Iterator<Item = u64> {
        self.slots_in_order().map(|count| count.get())
    }

    /// The window's slots by rising index; it wraps around the end of the storage at most once.
    pub(super) fn slots_in_order(&self) -> Slots<'_, C> {
        let len = self.len as usize;
        let (before, after) = self.slots.split_at_checked(self.slot(self.lo)).unwrap_or_default();
        let head = after.get(..len).unwrap_or(after);
        let tail = before.get(..len - head.len()).unwrap_or_default();
        head.iter().chain(tail)
    }
}

/// Iterates over the slots of a window.
pub(super) type Slots<'a, C> = Chain<Iter<'a, C>, Iter<'a, C>>;
