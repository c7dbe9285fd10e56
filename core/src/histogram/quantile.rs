//! Percentiles from bucket counts.

use core::ops::ControlFlow;

use super::bucket::Slots;
use super::{Counter, HistogramView, grid};
use crate::summary::{Percentile, Quantile, STANDARD, Summary};

impl<C: Counter> HistogramView<C> {
    /// The percentile by nearest rank: the `⌈p * count⌉`-th smallest value, the first at least; `None` when empty.
    ///
    /// The bounds contain that value, whatever was recorded. They are those of its bucket, narrowed by the exact extremes,
    /// and both are the extreme itself at the first and the last rank. The relative error of the point is at most
    /// [`relative_error_ppm`](super::Histogram::relative_error_ppm), plus half a nanosecond of rounding.
    ///
    /// When bucket counters are [saturated](super::Saturation), the bounds allow for every place where the missing counts
    /// might belong. When the count itself is, they are minimum and maximum. The relative error is larger then.
    pub fn quantile(&self, percentile: Percentile) -> Option<Quantile> {
        let [quantile] = self.quantiles([percentile])?;
        Some(quantile)
    }

    /// Several percentiles; in rising order they take one pass over the buckets.
    pub fn quantiles<const K: usize>(&self, percentiles: [Percentile; K]) -> Option<[Quantile; K]> {
        if self.is_empty() {
            return None;
        }
        let missing = self.missing();
        let mut walk = Walk::new(self);
        Some(percentiles.map(|percentile| self.at_rank(percentile.rank(self.count), missing, &mut walk)))
    }

    /// The value of this rank, from 1 for the smallest to the [count](super::Histogram::count) for the largest, with the same
    /// bounds as a [`quantile`](Self::quantile); `None` for a rank that there is not.
    pub fn order_statistic(&self, rank: u64) -> Option<Quantile> {
        let exists = (1..=self.count).contains(&rank);
        exists.then(|| self.at_rank(rank, self.missing(), &mut Walk::new(self)))
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

    /// The value of a rank, when so many values are in no bucket.
    #[inline(never)]
    fn at_rank<'a>(&'a self, rank: u64, missing: Option<u64>, walk: &mut Walk<'a, C>) -> Quantile {
        let (lowest, highest) = (self.lowest(), self.highest());
        let (lower, upper) = match missing {
            None => (lowest, highest),
            Some(_) if rank == self.count && self.max_is_exact() => return Quantile::exactly(highest),
            Some(_) if rank == 1 && self.min_is_exact() => return Quantile::exactly(lowest),
            Some(missing) => {
                let (mut lower, upper) = walk.seek(rank);
                if missing > 0 {
                    // They may all lie below this rank, or all above it.
                    (lower, _) = walk.seek(rank.saturating_sub(missing));
                }
                (lower.max(lowest), upper.min(highest))
            }
        };
        Quantile::between(lower, upper)
    }

    /// How many values are in no bucket because its counter was full; `None` when their number is unknown.
    fn missing(&self) -> Option<u64> {
        if self.saturation.count() {
            return None;
        }
        if !self.saturation.buckets() {
            return Some(0);
        }
        Some(self.counts().fold(self.count.saturating_sub(self.zero), u64::saturating_sub))
    }
}

/// A pass over zeros and buckets that stops where the cumulative count reaches a rank.
struct Walk<'a, C: Counter> {
    histogram: &'a HistogramView<C>,
    slots: Slots<'a, C>,
    /// Bucket behind the one where the walk stands.
    next: i32,
    /// How many values lie before it.
    reached: u64,
    /// The last rank that was sought; the walk has to start again for a lower one.
    rank: u64,
}

impl<'a, C: Counter> Walk<'a, C> {
    fn new(histogram: &'a HistogramView<C>) -> Self {
        Self { histogram, slots: histogram.slots_in_order(), next: histogram.lo, reached: histogram.zero, rank: 0 }
    }

    /// Bounds of the bucket that holds the value of this rank: the last bucket, if the value is in none.
    fn seek(&mut self, rank: u64) -> (u64, u64) {
        if rank < self.rank {
            *self = Self::new(self.histogram);
        }
        self.rank = rank;
        if self.reached < rank {
            let (mut reached, mut next) = (self.reached, self.next);
            let _ = self.slots.try_for_each(|count| {
                reached = reached.saturating_add(count.get());
                next = next.wrapping_add(1);
                if reached < rank { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            (self.reached, self.next) = (reached, next);
        }
        if rank <= self.histogram.zero {
            return (0, 0);
        }
        let (lower, upper) = grid::bounds(self.histogram.shift, self.next.wrapping_sub(1));
        // Values that are missing from their bucket may be in the last one or below.
        (lower, if self.reached < rank { u64::MAX } else { upper })
    }
}
