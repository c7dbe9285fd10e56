//! Whether one part of a run looks like the other.
//!
//! Percentiles of a run describe its system only if that did not change meanwhile. Two parts are compared by shape: the largest
//! distance between their distribution functions, taken at the bounds of buckets, where both are known exactly. That is the
//! two-sample statistic of Kolmogorov and Smirnov, or less. It must be beyond chance, for as many independent samples as the
//! parts are worth; and, as everything is beyond chance in ten million samples, the change must matter too: a tenth of the
//! samples lies elsewhere, and the median or p90 is off by more than a tenth.
//!
//! A change makes neighbouring samples alike where it lies. So of what samples are worth in the one part and in the other the more
//! is taken for both.
//!
//! Source: Smirnov, "Table for Estimating the Goodness of Fit of Empirical Distributions", Annals of Mathematical Statistics 19,
//! 1948 (the statistic's limiting distribution, whose first term is used: `α = 2 exp(−2 λ²)`).

use std::collections::BTreeMap;

use phasemeter_core::autocorrelation::Lag1;
use phasemeter_core::histogram::HistogramView;
use phasemeter_core::summary::{Percentile, Quantile};

use super::binomial::float;
use super::dependence::effective_count;
use crate::session::{HostHistogram, Moment};
use crate::statistics::{self, Dependence};

/// Beyond this, chance is to blame in one of a thousand pairs of parts: `√(ln(2 / 0.001) / 2)`.
const CHANCE: f64 = 1.949;
/// So much of the samples must lie elsewhere,
const LEAST_DISTANCE: f64 = 0.1;
/// and one of these percentiles be off by more than this part of the smaller one.
const LOOKED_AT: [Percentile; 2] = [Percentile::P50, Percentile::P90];
const LEAST_SHIFT: f64 = 0.1;
/// The first part is no warm-up if it is longer than this part of the run, and the middle is one only from a third to two.
const LONGEST_WARM_UP: f64 = 0.25;
const MIDDLE: [f64; 2] = [1.0 / 3.0, 2.0 / 3.0];

/// How one part differs from another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// The largest distance between both distribution functions, from 0 to 1.
    pub distance: f64,
    /// The percentile that is off by more,
    pub percentile: Percentile,
    /// and its value in the first part,
    pub before: u64,
    /// and in the second, in nanoseconds or as plain numbers.
    pub after: u64,
}

/// What the course of a run looks like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Course {
    /// No change was found.
    Steady,
    /// The first part, so many samples, was slower than the rest, which is steady.
    WarmUp(u64, Change),
    /// The first half is another than the second.
    Changing(Change),
}

/// A part of a run, and how many independent samples one of its is worth: from 0 to 1.
#[derive(Clone, Debug)]
struct Part {
    histogram: HostHistogram,
    worth: f64,
}

impl Part {
    /// What came from one moment up to another.
    fn between(from: Option<&Moment>, to: &Moment) -> Option<Self> {
        let (histogram, lag1) = match from {
            None => ((*to.histogram).clone(), to.lag1),
            Some(from) => {
                // The first sample behind a moment is not known: it is taken for like the one before.
                let first = from.lag1.last;
                let across = u128::from(first) * u128::from(first);
                let products = to.lag1.products.checked_sub(from.lag1.products)?.saturating_sub(across);
                (to.histogram.since(&from.histogram).ok()?, Lag1 { products, first, last: to.lag1.last })
            }
        };
        let totals = histogram.totals();
        let autocorrelation = Dependence::of(&totals, &lag1).and_then(Dependence::autocorrelation);
        let (mean, stdev) = (statistics::mean(&totals, 1), statistics::stdev(&totals, 1));
        let variation = mean.zip(stdev).map(|(mean, stdev)| stdev / mean);
        let effective = effective_count(totals.count, autocorrelation, variation);
        Some(Self { worth: float(effective) / float(totals.count.max(1)), histogram })
    }
}

/// The course of a run from what there was up to some moments, the earliest first and the whole run last. Without enough moments
/// no change is found.
pub fn course(moments: &[Moment]) -> Course {
    let Some((whole, earlier)) = moments.split_last() else { return Course::Steady };
    let count = |moment: &Moment| moment.histogram.count();
    let compare = |from: Option<&Moment>, at: &Moment| {
        let (first, second) = Part::between(from, at).zip(Part::between(Some(at), whole))?;
        change(&first.histogram, &second.histogram, first.worth.max(second.worth))
    };
    // The moment in the middle of what came after so many samples.
    let middle = |from: u64| {
        let rest = count(whole).checked_sub(from)?;
        let at = earlier.iter().min_by_key(|moment| count(moment).abs_diff(from + rest / 2))?;
        let place = float(count(at).checked_sub(from)?) / float(rest.max(1));
        (MIDDLE[0]..=MIDDLE[1]).contains(&place).then_some(at)
    };
    let is_short = |first: &&Moment| float(count(first)) <= LONGEST_WARM_UP * float(count(whole));
    if let Some(first) = earlier.first().filter(is_short)
        && let Some(change) = compare(None, first).filter(|change| change.after < change.before)
        && let Some(at) = middle(count(first))
        && compare(Some(first), at).is_none()
    {
        return Course::WarmUp(count(first), change);
    }
    middle(0).and_then(|at| compare(None, at)).map_or(Course::Steady, Course::Changing)
}

/// How the second part differs from the first, if it does beyond chance and by enough to matter. A sample of theirs is worth
/// so many independent ones, at most one.
pub fn change(first: &HistogramView<u64>, second: &HistogramView<u64>, worth: f64) -> Option<Change> {
    let distance = distance(first, second);
    let (one, other) = (float(first.count()), float(second.count()));
    let scaled = distance * (worth * one * other / (one + other)).sqrt();
    if distance < LEAST_DISTANCE || scaled.is_nan() || scaled <= CHANCE {
        return None;
    }
    let shifts = LOOKED_AT.into_iter().filter_map(|percentile| {
        let (before, after) = first.quantile(percentile).zip(second.quantile(percentile))?;
        Some((shift(before, after), Change { distance, percentile, before: before.value, after: after.value }))
    });
    let (shift, change) = shifts.max_by(|one, other| one.0.total_cmp(&other.0))?;
    (shift > LEAST_SHIFT).then_some(change)
}

/// How far apart both are for certain, as a part of the smaller one.
fn shift(before: Quantile, after: Quantile) -> f64 {
    let (smaller, larger) = if before.value < after.value { (before, after) } else { (after, before) };
    float(larger.lower.saturating_sub(smaller.upper)) / float(smaller.upper.max(1))
}

/// The largest distance between both distribution functions at the bounds of buckets of the coarser one.
fn distance(first: &HistogramView<u64>, second: &HistogramView<u64>) -> f64 {
    let scale = first.scale().min(second.scale());
    let mut counts = BTreeMap::<Option<i32>, [u64; 2]>::new();
    for (place, histogram) in [first, second].into_iter().enumerate() {
        let halvings = u32::from(histogram.scale().abs_diff(scale));
        let buckets = histogram.buckets().map(|bucket| (Some(bucket.index >> halvings), bucket.count));
        // Zeros lie below all buckets.
        for (index, count) in buckets.chain([(None, histogram.zero_count())]) {
            if let Some(sum) = counts.entry(index).or_default().get_mut(place) {
                *sum = sum.saturating_add(count);
            }
        }
    }
    let totals = [first.count(), second.count()].map(|count| float(count.max(1)));
    let (mut reached, mut widest) = ([0_u64; 2], 0.0_f64);
    for [one, other] in counts.into_values() {
        reached = [reached[0].saturating_add(one), reached[1].saturating_add(other)];
        widest = widest.max((float(reached[0]) / totals[0] - float(reached[1]) / totals[1]).abs());
    }
    widest
}
