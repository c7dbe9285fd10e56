//! Percentiles from bucket counts.

use super::{Counter, HistogramView, grid};
use crate::summary::{Percentile, Quantile, STANDARD, Summary};

impl<C: Counter> HistogramView<C> {
    /// The percentile by nearest rank: the `⌈p * count⌉`-th smallest value, the first at least; `None` when empty.
    ///
    /// The bounds contain that value, whatever was recorded. They are those of its bucket, narrowed by the exact extremes,
    /// and both are the extreme itself at the first and the last rank. The relative error of the point is at most
    /// [`relative_error_ppm`](super::Histogram::relative_error_ppm), plus half a nanosecond of rounding.
    ///
    /// When bucket counters are [saturated](super::Saturation), the bounds allow for every place where the missing counts might
    /// belong. When the count itself is, they are minimum and maximum.
    pub fn quantile(&self, percentile: Percentile) -> Option<Quantile> {
        let [quantile] = self.quantiles([percentile])?;
        Some(quantile)
    }

    /// Several percentiles; in rising order they take one pass over the buckets.
    pub fn quantiles<const K: usize>(&self, percentiles: [Percentile; K]) -> Option<[Quantile; K]> {
        let (min, max) = (self.min()?, self.max()?);
        let missing = self.missing();
        let (mut walk, mut last_rank) = (Walk::new(self), 0);
        Some(percentiles.map(|percentile| {
            let rank = percentile.rank(self.count());
            let Some(missing) = missing else {
                return Quantile::between(min, max);
            };
            if rank == self.count() && self.max_is_exact() {
                return Quantile::exactly(max);
            }
            if rank == 1 && self.min_is_exact() {
                return Quantile::exactly(min);
            }
            if rank < last_rank {
                walk = Walk::new(self);
            }
            last_rank = rank;
            // Missing counts may all lie above the rank, or all below it.
            let (mut lower, upper) = walk.seek(rank).unwrap_or((max, max));
            if missing > 0 {
                (lower, _) = Walk::new(self).seek(rank.saturating_sub(missing)).unwrap_or((min, max));
            }
            Quantile::between(lower.clamp(min, max), upper.clamp(min, max))
        }))
    }

    /// Whether there are enough values for a percentile to be more than a repetition of the maximum.
    pub fn resolves(&self, percentile: Percentile) -> bool {
        percentile.resolved_by(self.count())
    }

    /// The numbers of a report; `None` when empty.
    pub fn summary(&self) -> Option<Summary> {
        Some(Summary {
            count: self.count(),
            min: self.min()?,
            max: self.max()?,
            mean: self.mean(),
            stdev: self.stdev(),
            percentiles: self.quantiles(STANDARD)?,
            relative_error_ppm: self.relative_error_ppm(),
            saturated: self.saturation().any(),
        })
    }

    /// How many values are in no bucket because its counter was full; `None` when their number is unknown.
    fn missing(&self) -> Option<u64> {
        if self.saturation().count() {
            return None;
        }
        if !self.saturation().buckets() {
            return Some(0);
        }
        // Full counters add up to less than the count, which is exact.
        Some(self.counts().fold(self.count().saturating_sub(self.zero_count()), u64::saturating_sub))
    }
}

/// A pass over zeros and buckets that stops where the cumulative count reaches a rank.
struct Walk<I> {
    buckets: I,
    shift: u8,
    /// Bucket where the walk stands; `None` stands for the zeros.
    index: Option<i32>,
    /// How many values are there or before.
    reached: u64,
}

impl<'a> Walk<()> {
    fn new<C: Counter>(histogram: &'a HistogramView<C>) -> Walk<impl Iterator<Item = (i32, u64)> + use<'a, C>> {
        Walk { buckets: histogram.indexed(), shift: histogram.shift, index: None, reached: histogram.zero_count() }
    }
}

impl<I: Iterator<Item = (i32, u64)>> Walk<I> {
    /// Bounds of the bucket that holds the value of this rank; `None` beyond the last.
    fn seek(&mut self, rank: u64) -> Option<(u64, u64)> {
        while self.reached < rank {
            let (index, count) = self.buckets.next()?;
            self.index = Some(index);
            self.reached = self.reached.saturating_add(count);
        }
        Some(self.index.map_or((0, 0), |index| grid::bounds(self.shift, index)))
    }
}
