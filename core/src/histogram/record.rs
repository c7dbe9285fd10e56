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

    /// Counts a value and tells what changed.
    #[inline]
    pub(crate) fn record_slot(&mut self, value: u64) -> Touched {
        let index = grid::index(value) >> self.shift;
        if !self.is_beyond(value)
            && let Some(slot) = self.count_one(value, index)
        {
            return Touched::Slot(slot);
        }
        self.record_beyond(value, index)
    }

    /// Counts a value that is beyond the extremes, or for which something has no room.
    ///
    /// It is no part of [`record_slot`](Self::record_slot), which is to be small enough to become part of a caller's loop.
    #[inline(never)]
    fn record_beyond(&mut self, value: u64, index: i32) -> Touched {
        // Zero is in no window.
        if self.in_window(index) && self.is_beyond(value) {
            self.extend_to(value);
            if let Some(slot) = self.count_one(value, index) {
                return Touched::Slot(slot);
            }
        }
        self.add(value, 1)
    }

    /// Counts a value of the window, if the count, the lower half of the sum, and the bucket have room for it.
    #[inline]
    fn count_one(&mut self, value: u64, index: i32) -> Option<usize> {
        let slot = self.slot(index);
        let bucket = self.slots.get_mut(slot)?;
        let more = bucket.successor()?;
        let count = self.count.checked_add(1)?;
        let sum = self.sum_low.checked_add(value)?;
        (*bucket, self.count, self.sum_low) = (more, count, sum);
        self.add_squares(square(value));
        Some(slot)
    }

    /// The general way: zeros, values beyond the window, and whatever saturates.
    #[inline(never)]
    fn add(&mut self, value: u64, times: u64) -> Touched {
        self.add_sums(times, u128::from(value) * u128::from(times));
        if value == 0 {
            self.min_inexact = false;
            // Zeros are no more than values, so the flag for the count covers them.
            self.zero = self.zero.saturating_add(times);
            return Touched::Zero;
        }
        match square(value).checked_mul(u128::from(times)) {
            Some(squares) => self.add_squares(squares),
            None => self.fill_squares(),
        }
        if self.len == 0 {
            (self.least, self.span) = (value, 1);
        } else if self.is_beyond(value) {
            self.extend_to(value);
        }
        let (index, shift) = (grid::index(value), self.shift);
        if !self.in_window(index >> shift) {
            self.cover(0, index, index);
        }
        let slot = self.slot(index >> self.shift);
        self.add_at(slot, times);
        if self.shift == shift { Touched::Slot(slot) } else { Touched::Rescaled }
    }

    pub(super) fn add_at(&mut self, slot: usize, times: u64) {
        if let Some(bucket) = self.slots.get_mut(slot) {
            let (sum, over) = bucket.saturating_add(times);
            *bucket = sum;
            self.saturation.set(Saturation::BUCKETS, over);
        }
    }

    /// Widens the window to buckets `lo..=hi` after `shift` halvings, halving the resolution until all fit.
    pub(super) fn cover(&mut self, shift: u8, lo: i32, hi: i32) {
        let own = self.window();
        let mut to = self.shift.max(shift);
        let (lo, hi) = loop {
            let (mut first, mut last) = (lo >> (to - shift), hi >> (to - shift));
            if let Some((lo, hi)) = own {
                first = first.min(lo >> (to - self.shift));
                last = last.max(hi >> (to - self.shift));
            }
            // At the coarsest scale, all that exists fits the smallest capacity.
            if last.wrapping_sub(first).cast_unsigned() as usize <= self.mask() || to >= grid::MAX_SHIFT {
                break (first, last);
            }
            to += 1;
        };
        if own.is_some() && to != self.shift {
            self.fold(to - self.shift);
        }
        (self.shift, self.lo, self.len) = (to, lo, hi.wrapping_sub(lo).cast_unsigned() + 1);
    }

    /// Adds up groups of `2^halvings` buckets, in place.
    #[inline(never)]
    fn fold(&mut self, halvings: u8) {
        let (lo, len) = (self.lo, self.len);
        let (old, new) = (self.slot(lo), self.slot(lo >> halvings));
        // With the window at the start of the storage no group lies beyond its first member.
        rotate_left(&mut self.slots, old);
        // So many buckets of the first group lie before the window.
        let before = lo.cast_unsigned() & !(u32::MAX << halvings);
        for offset in 0..len {
            let group = (before + offset) >> halvings;
            let count = self.slots.get_mut(offset as usize).map_or(C::ZERO, |slot| core::mem::replace(slot, C::ZERO));
            self.add_at(group as usize, count.get());
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
        let (min, min_inexact) = if self.is_empty() { min } else { min.min((self.lowest(), self.min_inexact)) };
        let max = (other.max, other.max_exact).max((self.highest(), !self.max_inexact));
        // Zeros are no more than values, so the flag for the count covers them.
        self.zero = self.zero.saturating_add(other.zero);
        self.set_extremes((min, !min_inexact), max);
        self.add_sums(other.count, other.sum);
        self.add_squares(other.sum_of_squares);
        self.saturation.set(other.saturation, true);
    }

    /// Sets minimum and maximum, and whether they are exact, when zeros and window are as they will be.
    pub(super) fn set_extremes(&mut self, (min, min_exact): (u64, bool), (max, max_exact): (u64, bool)) {
        (self.min_inexact, self.max_inexact) = (!min_exact, !max_exact);
        // The least value beside zeros is not known here, but it is in the first bucket.
        let least = if self.zero > 0 && self.len > 0 { grid::bounds(self.shift, self.lo).0 } else { min };
        self.least = least.wrapping_add(u64::from(!min_exact));
        let end = max.wrapping_add(u64::from(max_exact));
        self.span = if self.len > 0 { end.wrapping_sub(self.least) } else { 0 };
    }

    /// Whether recording a value would change an extreme or make it exact. Zero is always taken for such a value.
    #[inline]
    fn is_beyond(&self, value: u64) -> bool {
        value.wrapping_sub(self.least) >= self.span
    }

    /// Extends the extremes to a value that [is beyond](Self::is_beyond) them, and not zero.
    #[inline]
    fn extend_to(&mut self, value: u64) {
        if value < self.least {
            self.span = self.span.wrapping_add(self.least.wrapping_sub(value));
            (self.least, self.min_inexact) = (value, false);
        } else {
            self.span = value.wrapping_sub(self.least).wrapping_add(1);
            self.max_inexact = false;
        }
    }

    fn add_sums(&mut self, count: u64, sum: u128) {
        let (counts, over) = self.count.overflowing_add(count);
        let (sums, sum_over) = self.sum().overflowing_add(sum);
        self.count = counts;
        self.set_sum(sums);
        if over {
            self.count = u64::MAX;
            self.saturation.set(Saturation::COUNT, true);
            // Fewer than 2^64 values never add up to 2^128, and a full count is over at every addition.
            if sum_over {
                self.set_sum(u128::MAX);
                self.saturation.set(Saturation::SUM, true);
            }
        }
    }

    #[inline]
    fn add_squares(&mut self, squares: u128) {
        let (squares, over) = self.sum_of_squares.overflowing_add(squares);
        self.sum_of_squares = squares;
        if over {
            self.fill_squares();
        }
    }

    #[cold]
    #[inline(never)]
    fn fill_squares(&mut self) {
        self.sum_of_squares = u128::MAX;
        self.saturation.set(Saturation::SUM_OF_SQUARES, true);
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
