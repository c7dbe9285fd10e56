//! Between which values the true percentile lies.
//!
//! Of `n` independent samples the number `B` that is at most the true percentile `q` is binomial, whatever the distribution. So
//! the order statistics of ranks `l` and `u` hold `q` with probability `P(X(l) ≤ q ≤ X(u)) ≥ P(l ≤ B ≤ u − 1)`. Taken are the
//! largest `l` and the smallest `u` that leave out 2.5 % at most on either side. Both are then widened to the bounds of their
//! buckets. Nothing is approximated: an interval is wider than it need be, or withheld, never narrower.
//!
//! Dependent samples are worth fewer independent ones: see [`super::dependence`]. The ranks are then those among so many,
//! stretched over all.
//!
//! Sources: Conover, "Practical Nonparametric Statistics", 3rd edition, section 3.2; David, Nagaraja, "Order Statistics", 3rd
//! edition, section 7.1.

use std::fmt;

use phasemeter_core::histogram::{Counter, HistogramView};
use phasemeter_core::summary::Percentile;

use super::binomial::Binomial;

/// How often the interval holds the true percentile, at least.
pub const CONFIDENCE: f64 = 0.95;
/// What may lie on either side of it.
const BESIDE: f64 = 0.025;

/// The true percentile lies from the one to the other, both included, with [`CONFIDENCE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SamplingInterval {
    /// In nanoseconds, or as a plain number.
    pub lower: u64,
    /// As `lower`.
    pub upper: u64,
}

/// Why there is no interval: for this percentile there are too few samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooFew {
    /// The percentile.
    pub percentile: Percentile,
    /// How many samples there are.
    pub count: u64,
    /// How many independent samples they are worth; not more.
    pub effective: u64,
    /// How many independent samples it takes.
    pub needed: u64,
}

impl TooFew {
    /// How many samples are missing, if further ones are worth as much as these; `None` if these are worth nothing.
    pub fn missing(&self) -> Option<u64> {
        let Self { count, effective, needed, .. } = *self;
        if effective == count {
            return Some(needed.saturating_sub(count));
        }
        let all = (u128::from(needed) * u128::from(count)).checked_next_multiple_of(u128::from(effective))?;
        let all = u64::try_from(all.checked_div(u128::from(effective))?).unwrap_or(u64::MAX);
        Some(all.saturating_sub(count))
    }
}

impl fmt::Display for TooFew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { percentile, count, effective, needed } = *self;
        write!(f, "{percentile} needs {needed} samples for an interval and there are {count}")?;
        if effective < count {
            write!(f, ", worth {effective} independent ones")?;
        }
        match self.missing() {
            Some(missing) => write!(f, ": {missing} more"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for TooFew {}

/// The interval of a percentile from samples that are worth `effective` independent ones, at most as many as there are.
///
/// # Errors
/// If there are too few.
pub fn interval<C: Counter>(
    histogram: &HistogramView<C>,
    percentile: Percentile,
    effective: u64,
) -> Result<SamplingInterval, TooFew> {
    let count = histogram.count();
    let effective = effective.min(count);
    let too_few = TooFew { percentile, count, effective, needed: needed(percentile) };
    let (first, last) = ranks(count, effective, percentile).ok_or(too_few)?;
    let (lower, upper) = histogram.order_statistic(first).zip(histogram.order_statistic(last)).ok_or(too_few)?;
    Ok(SamplingInterval { lower: lower.lower, upper: upper.upper })
}

/// How many independent samples an interval takes: as many as leave out 2.5 % at most above the largest and below the smallest.
/// The minimum and the maximum have none.
pub fn needed(percentile: Percentile) -> u64 {
    let ppm = percentile.ppm();
    let nearest = f64::from(ppm.max(1_000_000 - ppm)) / 1e6;
    count_of((BESIDE.ln() / nearest.ln()).ceil())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a conversion from a float saturates")]
fn count_of(number: f64) -> u64 {
    number as u64
}

/// The ranks, from 1, of the samples at both ends.
fn ranks(count: u64, effective: u64, percentile: Percentile) -> Option<(u64, u64)> {
    if effective < needed(percentile) {
        return None;
    }
    let below = Binomial::new(effective, percentile.ppm());
    // The smallest rank is above what is left out.
    let (first, last) = (below.largest_at_most(BESIDE)? + 1, below.smallest_at_least(BESIDE)?);
    if effective == count {
        return Some((first, last));
    }
    // A sample of the fewer stands for a stretch of the many: the lower end is the first of its stretch, the upper the last.
    let stretch = |rank: u64| u128::from(rank) * u128::from(count);
    let lower = stretch(first - 1) / u128::from(effective) + 1;
    let upper = stretch(last).div_ceil(u128::from(effective));
    Some((u64::try_from(lower).ok()?, u64::try_from(upper).ok()?.min(count)))
}
