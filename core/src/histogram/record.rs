//! Recording values, and making room for them.

use super::{Counter, Histogram, HistogramView, Saturation, Totals, grid};

/// What recording one value changed in the storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touched {
    /// The counter of zeros.
    Zero,
    /// The bucket in this storage slot.
    Slot(usize),
    /// Every bucket: the resolution was halved at least once to make room.
    Rescaled,
}

impl<C: Counter> HistogramView<C> {
    /// Counts a value in nanoseconds.
    ///
    /// The cost is constant, but for the at most twelve times that the resolution must be halved, which passes over all
    /// buckets once. What is full saturates and says so in [`saturation`](Histogram::saturation).
    #[inline]
    pub fn record(&mut self, value: u64) {
        let _ = self.record_slot(value);
    }

    /// Counts a value `times` times at once; nothing happens when that is 0.
    pub fn record_n(&mut self, value: u64, times: u64) {
        if times > 0 {
            let _ = self.add(value, times);
        }
    }

    /// Counts a value and tells what changed. Nothing is written before all is known to fit.
    #[inline]
    pub(crate) fn record_slot(&mut self, value: u64) -> Touched {
        if value.wrapping_sub(self.quick_min) >= self.quick_len {
            return self.add(value, 1);
        }
        let slot = self.slot(grid::index(value) >> self.shift);
        if let Some(squares) = self.sum_of_squares.checked_add(square(value))
            && let Some(bucket) = self.slots.get_mut(slot)
            && let Some(more) = bucket.successor()
        {
            self.sum_of_squares = squares;
            self.sum = self.sum.wrapping_add(u128::from(value));
            self.count = self.count.wrapping_add(1);
            *bucket = more;
            return Touched::Slot(slot);
        }
        self.add(value, 1)
    }

    /// The general way: zeros, new extremes, and whatever saturates.
    #[inline(never)]
    fn add(&mut self, value: u64, times: u64) -> Touched {
        let touched = if value == 0 {
            Touched::Zero
        } else {
            let index = grid::index(value);
            let rescaled = !self.in_window(index >> self.shift) && self.cover(0, index, index);
            let slot = self.slot(index >> self.shift);
            self.add_at(slot, times);
            if rescaled { Touched::Rescaled } else { Touched::Slot(slot) }
        };
        let squares = square(value).checked_mul(u128::from(times));
        let mut saturation = Saturation::NONE;
        saturation.set(Saturation::SUM_OF_SQUARES, squares.is_none());
        self.add_totals(&Totals {
            count: times,
            zero: if value == 0 { times } else { 0 },
            min: value,
            max: value,
            sum: u128::from(value) * u128::from(times),
            sum_of_squares: squares.unwrap_or(u128::MAX),
            saturation,
            ..Totals::default()
        });
        touched
    }

    pub(super) fn add_at(&mut self, slot: usize, times: u64) {
        if let Some(bucket) = self.slots.get_mut(slot) {
            let (sum, over) = bucket.saturating_add(times);
            *bucket = sum;
            self.saturation.set(Saturation::BUCKETS, over);
        }
    }

    /// Widens the window to buckets `lo..=hi` after `shift` halvings, halving the resolution until all fit.
    ///
    /// Returns whether buckets moved.
    pub(super) fn cover(&mut self, shift: u8, lo: i32, hi: i32) -> bool {
        let own = self.window();
        let mut to = self.shift.max(shift);
        let (lo, hi) = loop {
            let (mut first, mut last) = (lo >> (to - shift), hi >> (to - shift));
            if let Some((lo, hi)) = own {
                first = first.min(lo >> (to - self.shift));
                last = last.max(hi >> (to - self.shift));
            }
            // At the coarsest scale, all that exists fits the smallest capacity.
            if last.abs_diff(first) as usize <= self.mask() || to >= grid::MAX_SHIFT {
                break (first, last);
            }
            to += 1;
        };
        let rescaled = own.is_some() && to != self.shift;
        if rescaled {
            self.fold(to - self.shift);
        }
        (self.shift, self.lo, self.len) = (to, lo, hi.abs_diff(lo) + 1);
        rescaled
    }

    /// Adds up groups of `2^halvings` buckets, in place.
    fn fold(&mut self, halvings: u8) {
        let (lo, len) = (self.lo, self.len);
        let (old, new) = (self.slot(lo), self.slot(lo >> halvings));
        // With the window at the start of the storage no group lies beyond its first member.
        rotate_left(&mut self.slots, old);
        for (offset, index) in (0..len as usize).zip(lo..) {
            let group = (index >> halvings).abs_diff(lo >> halvings) as usize;
            let count = self.slots.get_mut(offset).map_or(C::ZERO, |slot| core::mem::replace(slot, C::ZERO));
            self.add_at(group, count.get());
        }
        let back = self.capacity() - new;
        rotate_left(&mut self.slots, back);
    }
}

impl<B: ?Sized> Histogram<B> {
    /// Adds the totals of other values; the buckets and the scale are left to the caller.
    pub(super) fn add_totals(&mut self, other: &Totals) {
        if other.count == 0 {
            return;
        }
        // Of two equal extremes, one that was recorded wins over one that is a bound.
        let min = (other.min, !other.min_exact);
        let max = (other.max, other.max_exact);
        (self.min, self.min_inexact) = if self.is_empty() { min } else { min.min((self.min, self.min_inexact)) };
        let (max, max_exact) = max.max((self.max, !self.max_inexact));
        (self.max, self.max_inexact) = (max, !max_exact);
        self.add_sums(other.count, other.sum, other.sum_of_squares);
        // Zeros are no more than values, so the flag for the count covers them.
        self.zero = self.zero.saturating_add(other.zero);
        self.saturation.set(other.saturation, true);
        self.set_quick_range();
    }

    /// Finds the values that need not take the general way: not zero, in the window, and no news for the extremes.
    ///
    /// More values and coarser buckets leave them what they are.
    fn set_quick_range(&mut self) {
        self.forget_quick_range();
        // One by one, the rest of the count lasts for centuries: only the general way looks for its end.
        if let Some((lo, _)) = self.window()
            && self.count <= u64::MAX / 2
        {
            let min = if self.zero > 0 { grid::bounds(self.shift, lo).0 } else { self.min };
            // A bound becomes exact when it is recorded itself, which is news.
            self.quick_min = min.saturating_add(u64::from(self.min_inexact));
            let max = self.max.saturating_sub(u64::from(self.max_inexact));
            self.quick_len = max.checked_sub(self.quick_min).map_or(0, |more| more.saturating_add(1));
        }
    }

    /// No value is quick to record: right at any time, and the next one finds out which are.
    pub(super) fn forget_quick_range(&mut self) {
        self.quick_len = 0;
    }

    fn add_sums(&mut self, count: u64, sum: u128, squares: u128) {
        let (counts, over) = self.count.overflowing_add(count);
        let (sums, sum_over) = self.sum.overflowing_add(sum);
        (self.count, self.sum) = (counts, sums);
        if over {
            self.count = u64::MAX;
            self.saturation.set(Saturation::COUNT, true);
            // Fewer than 2^64 values never add up to 2^128, and a full count is over at every addition.
            if sum_over {
                self.sum = u128::MAX;
                self.saturation.set(Saturation::SUM, true);
            }
        }
        let (squares, over) = self.sum_of_squares.overflowing_add(squares);
        self.sum_of_squares = squares;
        if over {
            self.sum_of_squares = u128::MAX;
            self.saturation.set(Saturation::SUM_OF_SQUARES, true);
        }
    }
}

fn square(value: u64) -> u128 {
    u128::from(value) * u128::from(value)
}

fn rotate_left<T>(slots: &mut [T], by: usize) {
    if let Some((front, back)) = slots.split_at_mut_checked(by) {
        front.reverse();
        back.reverse();
        slots.reverse();
    }
}
