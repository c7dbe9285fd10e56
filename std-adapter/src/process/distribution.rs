//! The values of one metric: statistics, and percentiles with bounds.

use std::borrow::Cow;

use phasemeter_core::histogram::{Counter, HistogramView};
use phasemeter_core::metric::Unit;
use serde::Serialize;

use super::Percentiles;
use super::moments::{Moments, to_f64};
use super::percentiles::{PercentileRule, Position};
use super::sketch::{Cell, Sketch};
use crate::session::{HostHistogram, millis, outward_millis, resolved};
use crate::statistics;

/// The values of one metric in one unit.
///
/// Count, extremes, sum, mean and standard deviation come from the values themselves, of which those below 7 · 10⁷ with at
/// most six decimals are added up exactly, and the rest in floating point. So do percentiles of a thousand values or fewer, and
/// of any number that is kept on request; otherwise they come from a sketch, with bounds that contain the true value. What a
/// device measured stays in its histogram, so that every number of it is what the run's report has.
#[derive(Clone, Debug)]
pub struct Distribution {
    unit: String,
    moments: Moments,
    values: Values,
    /// Whether values are kept however many there are.
    keep: bool,
}

/// So many values are kept as they are without being asked to: fewer bytes than a sketch of them has.
const FEW: usize = 1_000;

#[derive(Clone, Debug)]
enum Values {
    /// Sorted, once all are there.
    Kept(Vec<f64>),
    Sketched(Sketch),
    /// By devices.
    Counted(Counted),
}

/// The histogram of a device, or of several together.
#[derive(Clone, Debug)]
struct Counted {
    unit: Unit,
    histogram: Box<HostHistogram>,
}

impl Counted {
    /// A value in the unit of the distribution.
    fn value(&self, value: u64) -> f64 {
        if self.unit == Unit::Nanoseconds { millis(value) } else { to_f64(value) }
    }

    /// How many of the histogram's are one of the unit.
    fn per_unit(&self) -> u32 {
        if self.unit == Unit::Nanoseconds { 1_000_000 } else { 1 }
    }

    fn bound(&self, value: u64, outward: fn(f64) -> f64) -> f64 {
        if self.unit == Unit::Nanoseconds { outward_millis(value, outward) } else { to_f64(value) }
    }

    fn sketch(&self) -> Sketch {
        let mut sketch = Sketch::default();
        match self.unit {
            Unit::Nanoseconds => sketch.record_millionths(&self.histogram),
            _ => sketch.record_units(&self.histogram),
        }
        sketch
    }

    /// Sums that are saturated are lower bounds here too.
    fn moments(&self) -> Moments {
        let (Some(min), Some(max)) = (self.histogram.min(), self.histogram.max()) else { return Moments::default() };
        let scale = self.per_unit();
        #[expect(clippy::cast_precision_loss, reason = "a statistic in f64 has 53 bits")]
        let sum = self.histogram.sum() as f64 / f64::from(scale);
        let stdev = statistics::stdev(&self.histogram.totals(), scale).unwrap_or(0.0);
        Moments::from_parts(self.histogram.count(), (self.value(min), self.value(max)), sum, stdev * stdev)
    }

    /// By nearest rank, as the run's report has it.
    fn percentiles(&self, percentiles: &Percentiles) -> Vec<Result<Bounded, String>> {
        let bounded = |percentile| {
            let quantile = resolved(&self.histogram, percentile)?;
            let (lower, upper) = (self.bound(quantile.lower, f64::next_down), self.bound(quantile.upper, f64::next_up));
            Ok(Bounded { value: self.value(quantile.value), lower, upper })
        };
        percentiles.of_histogram().map(bounded).collect()
    }
}

impl Values {
    fn sketch(&self) -> Cow<'_, Sketch> {
        match self {
            Self::Sketched(sketch) => Cow::Borrowed(sketch),
            Self::Kept(kept) => {
                let mut sketch = Sketch::default();
                sketch.record(kept);
                Cow::Owned(sketch)
            }
            Self::Counted(counted) => Cow::Owned(counted.sketch()),
        }
    }
}

/// A number that is known to lie between two others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bounded {
    /// The estimate.
    pub value: f64,
    /// The true value is not below.
    pub lower: f64,
    /// The true value is not above.
    pub upper: f64,
}

impl Distribution {
    /// No values yet.
    pub fn new(unit: impl Into<String>) -> Self {
        Self { unit: unit.into(), moments: Moments::default(), values: Values::Kept(Vec::new()), keep: false }
    }

    /// The values of a device's histogram: of times in `ms`, of plain numbers in `count`.
    ///
    /// All statistics are the histogram's. So are percentiles by nearest rank, and where it has too few values for one there
    /// is none.
    pub fn from_histogram<C: Counter>(histogram: &HistogramView<C>, unit: Unit) -> Self {
        let name = if unit == Unit::Nanoseconds { "ms" } else { "count" };
        let mut counted = Counted { unit, histogram: Box::default() };
        counted.histogram.merge(histogram);
        let moments = counted.moments();
        Self { unit: name.to_owned(), moments, values: Values::Counted(counted), keep: false }
    }

    /// Adds values, which are finite; others are left out.
    pub fn extend(&mut self, values: &[f64]) {
        if values.iter().all(|value| value.is_finite()) {
            self.add(values, &Moments::of(values), false);
        } else {
            let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
            self.add(&finite, &Moments::of(&finite), false);
        }
    }

    /// Adds finite values of which the moments are known. With `keep`, percentiles are going to be exact, if every
    /// addition says so.
    pub(super) fn add(&mut self, values: &[f64], moments: &Moments, keep: bool) {
        self.keep = keep && (self.keep || self.moments.count == 0);
        self.moments.merge(moments);
        match &mut self.values {
            Values::Kept(kept) => kept.extend_from_slice(values),
            Values::Sketched(sketch) => sketch.record(values),
            Values::Counted(counted) => {
                let mut sketch = counted.sketch();
                sketch.record(values);
                self.values = Values::Sketched(sketch);
            }
        }
        self.sketch_if_many();
    }

    fn sketch_if_many(&mut self) {
        if let Values::Kept(kept) = &self.values
            && kept.len() > FEW
            && !self.keep
        {
            self.values = Values::Sketched(self.values.sketch().into_owned());
        }
    }

    /// How much memory the values take, in bytes.
    pub(super) fn bytes(&self) -> usize {
        match &self.values {
            Values::Kept(kept) => kept.capacity() * size_of::<f64>(),
            Values::Sketched(sketch) => sketch.bytes(),
            Values::Counted(_) => size_of::<HostHistogram>(),
        }
    }

    /// Puts kept samples in order, after which percentiles cost little.
    pub(super) fn sort(&mut self) {
        if let Values::Kept(kept) = &mut self.values {
            kept.sort_unstable_by(f64::total_cmp);
        }
    }

    /// Adds the values of another distribution of the same unit. Many are sketched unless both keep them.
    pub fn merge(&mut self, other: &Self) {
        match (&mut self.values, &other.values) {
            _ if other.count() == 0 => {}
            (own, values) if self.moments.count == 0 => {
                *own = values.clone();
                self.keep = other.keep;
            }
            (Values::Counted(own), Values::Counted(counted)) if own.unit == counted.unit => {
                own.histogram.merge(&counted.histogram);
                self.moments = own.moments();
                return;
            }
            (Values::Kept(own), Values::Kept(kept)) => {
                own.extend_from_slice(kept);
                self.keep &= other.keep;
                self.sketch_if_many();
                self.sort();
            }
            (own, values) => {
                let mut both = own.sketch().into_owned();
                both.merge(&values.sketch());
                *own = Values::Sketched(both);
            }
        }
        self.moments.merge(&other.moments);
    }

    /// The unit of all values.
    pub fn unit(&self) -> &str {
        &self.unit
    }

    /// How many values.
    pub fn count(&self) -> u64 {
        self.moments.count
    }

    /// Whether percentiles are those of the samples, not bounds around them.
    pub fn is_exact(&self) -> bool {
        matches!(self.values, Values::Kept(_))
    }

    /// The smallest value, exact.
    pub fn min(&self) -> Option<f64> {
        (self.count() > 0).then_some(self.moments.min)
    }

    /// The largest value, exact.
    pub fn max(&self) -> Option<f64> {
        (self.count() > 0).then_some(self.moments.max)
    }

    /// The sum of the values; `None` if it is beyond the range of `f64`.
    pub fn sum(&self) -> Option<f64> {
        Some(self.moments.sum()).filter(|sum| sum.is_finite())
    }

    /// The mean; `None` without values, or if the sum is beyond its range.
    pub fn mean(&self) -> Option<f64> {
        match &self.values {
            Values::Counted(counted) => statistics::mean(&counted.histogram.totals(), counted.per_unit()),
            _ => self.sum().and_then(|_| self.moments.mean()),
        }
    }

    /// The standard deviation of the population; `None` without values, or if a sum is beyond its range.
    pub fn stdev(&self) -> Option<f64> {
        match &self.values {
            Values::Counted(counted) => statistics::stdev(&counted.histogram.totals(), counted.per_unit()),
            _ => self.moments.stdev().filter(|stdev| stdev.is_finite()),
        }
    }

    /// How many values are not above `limit`: at least the first number and at most the second, which are the same if
    /// samples were kept.
    pub fn count_within(&self, limit: f64) -> (u64, u64) {
        match &self.values {
            Values::Kept(kept) => {
                let within = kept.iter().filter(|value| **value <= limit).count() as u64;
                (within, within)
            }
            values => {
                let (min, max) = (self.moments.min, self.moments.max);
                let cells = values.sketch().cells();
                let within = |bound: fn(&Cell) -> f64| {
                    let within = cells.iter().filter(|cell| bound(cell).clamp(min, max) <= limit);
                    within.map(|cell| cell.count).fold(0, u64::saturating_add)
                };
                (within(|cell| cell.upper), within(|cell| cell.lower))
            }
        }
    }

    /// The percentiles, in their order; empty without values.
    ///
    /// If the values were kept, value and bounds are the same. Otherwise the bounds contain the percentile of the values by the
    /// same rule, and the estimate is as far from both in relative terms: at most 0.14 %, for the linear rule wherever two
    /// neighbouring values are not further apart than that. Of a device's histogram, the error is that of its resolution.
    ///
    /// # Errors
    /// In words why a percentile is withheld: a device's histogram has too few values for it.
    pub fn percentiles(&self, percentiles: &Percentiles) -> Vec<Result<Bounded, String>> {
        let count = self.count();
        match &self.values {
            _ if count == 0 => Vec::new(),
            Values::Kept(kept) => {
                let mut sorted = Cow::Borrowed(kept);
                if !kept.is_sorted_by(|one, other| one.total_cmp(other).is_le()) {
                    sorted.to_mut().sort_unstable_by(f64::total_cmp);
                }
                let at = |rank: u64| usize::try_from(rank).ok().and_then(|rank| sorted.get(rank)).copied();
                let exactly = |Position { below, above, part }| {
                    let value = between(at(below)?, at(above)?, part);
                    Some(Ok(Bounded { value, lower: value, upper: value }))
                };
                percentiles.positions(count).filter_map(exactly).collect()
            }
            Values::Counted(counted) if percentiles.rule() == PercentileRule::NearestRank => {
                counted.percentiles(percentiles)
            }
            Values::Counted(counted) => {
                let sketch = counted.sketch();
                let bounded = self.bounded(&sketch, percentiles);
                let resolved = percentiles.of_histogram().map(|percentile| resolved(&counted.histogram, percentile));
                bounded.zip(resolved).map(|(bounded, resolved)| resolved.map(|_| bounded)).collect()
            }
            Values::Sketched(sketch) => self.bounded(sketch, percentiles).map(Ok).collect(),
        }
    }

    fn bounded(&self, sketch: &Sketch, percentiles: &Percentiles) -> impl Iterator<Item = Bounded> {
        let ranks = Ranks::of(&sketch.cells(), &self.moments);
        percentiles.positions(self.count()).map(move |position| ranks.percentile(position))
    }
}

/// From `a` to `b`, exact at both ends.
fn between(a: f64, b: f64, part: f64) -> f64 {
    if part < 0.5 { a + (b - a) * part } else { b - (b - a) * (1.0 - part) }
}

/// What is known of the value at each rank.
///
/// Of values that are only known to lie between a lower and an upper bound each, the k-th smallest is not below the k-th
/// smallest lower bound, and not above the k-th smallest upper bound: wherever the cells lie.
struct Ranks {
    /// Bounds in rising order, with the number of values up to there.
    lower: Vec<(f64, u64)>,
    upper: Vec<(f64, u64)>,
    min: f64,
    max: f64,
    last: u64,
}

impl Ranks {
    fn of(cells: &[Cell], moments: &Moments) -> Self {
        let (min, max) = (moments.min, moments.max);
        let cumulated = |bound: fn(&Cell) -> f64| {
            let mut bounds: Vec<_> = cells.iter().map(|cell| (bound(cell).clamp(min, max), cell.count)).collect();
            bounds.sort_by(|a, b| a.0.total_cmp(&b.0));
            let mut sum = 0u64;
            for (_, count) in &mut bounds {
                sum = sum.saturating_add(*count);
                *count = sum;
            }
            bounds
        };
        let (lower, upper) = (cumulated(|cell| cell.lower), cumulated(|cell| cell.upper));
        Self { lower, upper, min, max, last: moments.count.saturating_sub(1) }
    }

    /// Bounds of the value at a rank, from 0.
    fn at(&self, rank: u64) -> (f64, f64) {
        if rank == 0 {
            return (self.min, self.min);
        }
        if rank >= self.last {
            return (self.max, self.max);
        }
        let find = |bounds: &[(f64, u64)], otherwise| {
            let place = bounds.partition_point(|(_, upto)| *upto <= rank);
            bounds.get(place).map_or(otherwise, |(bound, _)| *bound)
        };
        (find(&self.lower, self.min), find(&self.upper, self.max))
    }

    fn percentile(&self, Position { below, above, part }: Position) -> Bounded {
        let ((l0, u0), (l1, u1)) = (self.at(below), self.at(above));
        let (mut lower, mut upper) = (between(l0, l1, part), between(u0, u1, part));
        if (l0, l1) != (u0, u1) {
            // The interpolation of the true values rounds, and so does this one, perhaps both bounds to one number.
            let rounding = 4.0 * f64::EPSILON * lower.abs().max(upper.abs());
            (lower, upper) = ((lower - rounding).max(self.min), (upper + rounding).min(self.max));
        }
        let value = if lower > 0.0 || upper < 0.0 {
            // 2LU / (L + U), which is as far from both in relative terms, without leaving the range of f64.
            2.0 * lower / (1.0 + lower / upper)
        } else {
            f64::midpoint(lower, upper)
        };
        Bounded { value: value.clamp(lower, upper), lower, upper }
    }
}

#[cfg(test)]
mod tests;
