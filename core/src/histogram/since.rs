//! The difference of two snapshots of one histogram.

use core::fmt;

use super::{Counter, HistogramView, LatencyHistogram, grid};

/// Why there is no interval between two histograms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SinceError {
    /// The other histogram holds something that this one does not, so it is no earlier snapshot of it.
    NotEarlier,
    /// A counter is saturated, so differences mean nothing.
    Saturated,
}

impl fmt::Display for SinceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotEarlier => {
                "the other histogram is no earlier snapshot of this one; pass the older snapshot of the same phase"
            }
            Self::Saturated => "a counter is saturated and cannot be subtracted from; use a wider counter type",
        })
    }
}

impl core::error::Error for SinceError {}

impl<C: Counter, const N: usize> LatencyHistogram<N, C> {
    /// What was recorded after `earlier`, a snapshot of this same histogram, was taken.
    ///
    /// Count, sums and buckets are exact, at this histogram's scale. Minimum and maximum are exact where they are known:
    /// when the interval moved the extreme of the whole. Otherwise they are bounds of the outermost bucket, and
    /// [`min_is_exact`](super::Histogram::min_is_exact) and [`max_is_exact`](super::Histogram::max_is_exact) say so.
    /// Merging the interval into `earlier` gives this histogram again, bit for bit. If the sum of squares is saturated
    /// here, it is unknown for the interval and marked as saturated there too.
    ///
    /// # Errors
    /// [`SinceError::NotEarlier`] when the numbers show that `earlier` is not an earlier state of this histogram, and
    /// [`SinceError::Saturated`] when a bucket or the count is saturated.
    pub fn since(&self, earlier: &HistogramView<C>) -> Result<Self, SinceError> {
        let mut interval = self.clone();
        interval.subtract(earlier)?;
        Ok(interval)
    }
}

impl<C: Counter> HistogramView<C> {
    fn subtract(&mut self, earlier: &Self) -> Result<(), SinceError> {
        if [self, earlier].iter().any(|one| one.saturation.buckets() || one.saturation.count()) {
            return Err(SinceError::Saturated);
        }
        if earlier.is_empty() {
            return Ok(());
        }
        self.subtract_buckets(earlier).ok_or(SinceError::NotEarlier)?;
        self.subtract_totals(earlier).ok_or(SinceError::NotEarlier)?;
        self.check(&self.totals()).map_err(|_| SinceError::NotEarlier)
    }

    fn subtract_buckets(&mut self, earlier: &Self) -> Option<()> {
        let halvings = self.shift.checked_sub(earlier.shift).or((earlier.len == 0).then_some(0))?;
        for (index, count) in earlier.indexed().filter(|(_, count)| *count > 0) {
            let slot = self.slot(index >> halvings);
            let left = self.count_at(index >> halvings).checked_sub(count).and_then(C::exactly)?;
            *self.slots.get_mut(slot)? = left;
        }
        Some(())
    }

    fn subtract_totals(&mut self, earlier: &Self) -> Option<()> {
        let (lowest, highest) = (self.lowest(), self.highest());
        let (whole_min, whole_max) = ((lowest, self.min_inexact), (highest, !self.max_inexact));
        let earlier_min = (earlier.lowest(), earlier.min_inexact);
        let earlier_max = (earlier.highest(), !earlier.max_inexact);
        if whole_min > earlier_min || whole_max < earlier_max {
            return None;
        }
        self.trim();
        self.count = self.count.checked_sub(earlier.count)?;
        self.zero = self.zero.checked_sub(earlier.zero)?;
        self.set_sum(self.sum().checked_sub(earlier.sum())?);
        self.subtract_squares(earlier)?;
        let (min, max) = self.extremes_within(lowest, highest);
        let min = if whole_min < earlier_min { (lowest, !self.min_inexact) } else { min };
        let max = if whole_max > earlier_max { whole_max } else { max };
        self.set_extremes(min, max);
        Some(())
    }

    fn subtract_squares(&mut self, earlier: &Self) -> Option<()> {
        if !self.saturation.sum_of_squares() {
            self.sum_of_squares = self.sum_of_squares.checked_sub(earlier.sum_of_squares)?;
        } else if self.len == 0 {
            self.sum_of_squares = 0;
            self.saturation = super::Saturation::NONE;
        }
        Some(())
    }

    /// What buckets and zeros tell of the smallest and of the largest value, and whether that is exact: all values lie
    /// between the extremes of the whole.
    fn extremes_within(&self, lowest: u64, highest: u64) -> ((u64, bool), (u64, bool)) {
        let Some((lo, hi)) = self.window() else {
            return ((0, true), (0, true));
        };
        let within = |index| {
            let (lower, upper) = grid::bounds(self.shift, index);
            (lower.max(lowest), upper.min(highest))
        };
        let ((first, first_end), (last_start, last)) = (within(lo), within(hi));
        let min = if self.zero > 0 { (0, true) } else { (first, first == first_end) };
        (min, (last, last_start == last))
    }

    /// Takes empty buckets off both ends of the window.
    fn trim(&mut self) {
        let (mut first, mut last) = (None, None);
        for (index, _) in self.indexed().filter(|(_, count)| *count > 0) {
            first = first.or(Some(index));
            last = Some(index);
        }
        if let (Some(first), Some(last)) = (first, last) {
            (self.lo, self.len) = (first, last.abs_diff(first) + 1);
        } else {
            (self.lo, self.len, self.shift) = (0, 0, 0);
        }
    }
}
