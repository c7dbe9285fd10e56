//! Building a histogram from totals and bucket counts that came from elsewhere.

use core::fmt;

use super::{Counter, Histogram, HistogramView, LatencyHistogram, MAX_SCALE, MIN_SCALE, Totals, grid, moments};

/// Why totals and bucket counts are not those of a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PartsError {
    /// No histogram has this scale; without buckets it is 8.
    Scale(i8),
    /// At the given scale no value belongs into the bucket with this index.
    Index(i32),
    /// The bucket with this index was given twice.
    Duplicate(i32),
    /// The buckets span more than this many: the histogram's capacity.
    TooWide(usize),
    /// The count of the bucket with this index is too large for the counter type.
    CounterTooNarrow(i32),
    /// Count, zeros and buckets do not add up.
    Count,
    /// Minimum or maximum is not in the first or last used bucket.
    Extremes,
    /// No values between minimum and maximum have this sum or sum of squares.
    Sums,
}

impl fmt::Display for PartsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scale(scale) => {
                write!(f, "scale {scale} is not from {MIN_SCALE} to {MAX_SCALE}, or not {MAX_SCALE} without buckets")
            }
            Self::Index(index) => write!(f, "bucket {index} can hold no value at this scale"),
            Self::Duplicate(index) => write!(f, "bucket {index} is given twice"),
            Self::TooWide(capacity) => {
                write!(f, "the buckets span more than {capacity}; use a histogram with a larger capacity")
            }
            Self::CounterTooNarrow(index) => {
                write!(f, "the count of bucket {index} is too large for the counter; use a wider counter type")
            }
            Self::Count => f.write_str("count, zeros and bucket counts do not add up"),
            Self::Extremes => f.write_str("minimum or maximum is not in the first or last used bucket"),
            Self::Sums => f.write_str("sum or sum of squares is impossible for values between minimum and maximum"),
        }
    }
}

impl core::error::Error for PartsError {}

impl<C: Counter, const N: usize> LatencyHistogram<N, C> {
    /// The histogram that had these [`totals`](Histogram::totals) and these buckets, as `(index, count)` in any order.
    ///
    /// Everything is checked: what comes out behaves in every way like a histogram that was recorded.
    ///
    /// # Errors
    /// What does not fit together, or does not fit into this capacity or counter type.
    pub fn from_parts(totals: &Totals, buckets: impl IntoIterator<Item = (i32, u64)>) -> Result<Self, PartsError> {
        let mut histogram = Self::new();
        histogram.set_totals(totals)?;
        for (index, count) in buckets {
            histogram.put(index, count)?;
        }
        histogram.settle(totals)?;
        Ok(histogram)
    }
}

impl<B: ?Sized> Histogram<B> {
    /// Sets everything but the buckets and the extremes.
    pub(super) fn set_totals(&mut self, totals: &Totals) -> Result<(), PartsError> {
        self.shift = grid::shift_of(totals.scale).ok_or(PartsError::Scale(totals.scale))?;
        self.count = totals.count;
        self.zero = totals.zero;
        self.set_sum(totals.sum);
        self.sum_of_squares = totals.sum_of_squares;
        self.saturation = totals.saturation;
        Ok(())
    }

    pub(super) fn clear_totals(&mut self) {
        // The default totals have a scale that exists.
        let _ = self.set_totals(&Totals::default());
        (self.lo, self.len) = (0, 0);
        self.set_extremes((0, true), (0, true));
    }
}

impl<C: Counter> HistogramView<C> {
    /// Sets one bucket of a histogram whose scale is set, and widens the window to it.
    pub(super) fn put(&mut self, index: i32, count: u64) -> Result<(), PartsError> {
        if count == 0 {
            return Ok(());
        }
        if !grid::exists(self.shift, index) {
            return Err(PartsError::Index(index));
        }
        let count = C::exactly(count).ok_or(PartsError::CounterTooNarrow(index))?;
        let (lo, hi) = self.window().map_or((index, index), |(lo, hi)| (lo.min(index), hi.max(index)));
        let span = hi.abs_diff(lo);
        if span as usize >= self.capacity() {
            return Err(PartsError::TooWide(self.capacity()));
        }
        let slot = self.slot(index);
        match self.slots.get_mut(slot) {
            Some(free) if *free == C::ZERO => *free = count,
            _ => return Err(PartsError::Duplicate(index)),
        }
        (self.lo, self.len) = (lo, span + 1);
        Ok(())
    }

    /// Sets the extremes of a histogram whose totals and buckets are set, if all can be those of one set of values.
    pub(super) fn settle(&mut self, totals: &Totals) -> Result<(), PartsError> {
        self.check(totals)?;
        self.set_extremes((totals.min, totals.min_exact), (totals.max, totals.max_exact));
        Ok(())
    }

    /// Whether totals and buckets can be those of one set of values.
    pub(super) fn check(&self, totals: &Totals) -> Result<(), PartsError> {
        if self.len == 0 && self.shift != 0 {
            return Err(PartsError::Scale(self.scale()));
        }
        if !self.counts_agree() {
            return Err(PartsError::Count);
        }
        if !self.extremes_agree(totals) {
            return Err(PartsError::Extremes);
        }
        if !self.sums_agree(totals) {
            return Err(PartsError::Sums);
        }
        Ok(())
    }

    fn counts_agree(&self) -> bool {
        let held = u128::from(self.zero) + self.counts().map(u128::from).sum::<u128>();
        let full = u128::from(u64::MAX);
        // A full counter is in some bucket still; the narrowest type is full at 2^16 − 1.
        let has_full_bucket = || self.counts().any(|count| count >= u64::from(u16::MAX));
        match (self.saturation.count(), self.saturation.buckets()) {
            (false, false) => held == u128::from(self.count),
            (false, true) => held < u128::from(self.count) && has_full_bucket(),
            (true, false) => self.count == u64::MAX && held >= full,
            (true, true) => self.count == u64::MAX && has_full_bucket(),
        }
    }

    fn extremes_agree(&self, totals: &Totals) -> bool {
        let Totals { min, max, min_exact, max_exact, .. } = *totals;
        let Some((lo, hi)) = self.window() else {
            return min == 0 && max == 0 && min_exact && max_exact;
        };
        let min_fits = if self.zero > 0 {
            min == 0 && min_exact
        } else {
            // A bound with no room above it would be exact.
            self.bucket_has(lo, min) && (min_exact || min < max)
        };
        min_fits && self.bucket_has(hi, max) && min <= max && (max_exact || min < max)
    }

    fn bucket_has(&self, index: i32, value: u64) -> bool {
        let (lower, upper) = grid::bounds(self.shift, index);
        (lower..=upper).contains(&value)
    }

    fn sums_agree(&self, totals: &Totals) -> bool {
        let (min, max) = (u128::from(totals.min), u128::from(totals.max));
        let (count, sum, squares) = (u128::from(self.count), self.sum(), self.sum_of_squares);
        let sum_fits = if self.saturation.sum() {
            self.saturation.count() && sum == u128::MAX
        } else {
            // A saturated count is smaller than the true one.
            sum >= count * min && (self.saturation.count() || sum <= count * max)
        };
        let squares_fit = if self.saturation.sum_of_squares() {
            squares == u128::MAX && self.len > 0
        } else {
            let smallest = sum.checked_mul(min);
            self.saturation.sum()
                || smallest.is_some_and(|least| least <= squares && squares <= sum.saturating_mul(max))
        };
        let inexact = self.saturation.count() || self.saturation.sum() || self.saturation.sum_of_squares();
        let spread_fits = inexact || self.is_empty() || moments::Variance::of(self.count, sum, squares).is_some();
        sum_fits && squares_fit && spread_fits
    }
}
