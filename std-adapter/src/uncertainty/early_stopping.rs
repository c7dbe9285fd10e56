//! The early stopping figure of `MLPerf` `LoadGen`: a value that the true percentile does not exceed, at 99 %.
//!
//! Of `n` queries the number `t` that is slower than the true percentile is binomial. `LoadGen` discards as many of the slowest
//! queries as leaves `P(t or fewer slower ones) < 1 − c`, and states the slowest of the rest and the last one discarded: the `t`-th slowest,
//! with confidence `c = 0.99` and tolerance `d = 0`. It takes at least two queries to be slower, so that one alone decides
//! nothing: p90 needs 64 queries, p99 662.
//!
//! It is one-sided, and the independence of the queries is assumed, as `LoadGen` does.
//!
//! Source: `MLCommons`, `inference/loadgen`, `early_stopping.cc` and `results.cc` (`PerformanceSummary::EarlyStopping`, single
//! stream); "`MLPerf` Inference Rules", appendix "Early Stopping Criterion".

use phasemeter_core::histogram::{Counter, HistogramView};
use phasemeter_core::summary::{Percentile, Quantile};

use super::binomial::{Binomial, partition};

/// How often the figure is not below the true percentile, at least.
pub const CONFIDENCE: f64 = 0.99;
const BEYOND: f64 = 0.01;
/// With so many samples above the percentile on average there is a figure: `e⁻⁸ (1 + 8)` is a third of [`BEYOND`].
const ENOUGH_ABOVE: u64 = 8;

/// The figure of a percentile in nanoseconds, or as a plain number. What `LoadGen` states lies within its bounds.
///
/// # Errors
/// How many samples it needs, if there are fewer.
pub fn early_stopping<C: Counter>(histogram: &HistogramView<C>, percentile: Percentile) -> Result<Quantile, u64> {
    let count = histogram.count();
    let figure = discarded(count, percentile).and_then(|slowest| histogram.order_statistic(count - slowest + 1));
    figure.ok_or_else(|| needed(percentile))
}

/// Which of the slowest samples the figure is, from 1; `None` if there are too few samples.
fn discarded(count: u64, percentile: Percentile) -> Option<u64> {
    slower(count, percentile).largest_at_most(BEYOND).filter(|slowest| *slowest > 0)
}

/// How many samples the figure of a percentile needs: as many as have one to discard. The maximum has none.
pub fn needed(percentile: Percentile) -> u64 {
    let enough = (ENOUGH_ABOVE * 1_000_000).checked_div(u64::from(1_000_000 - percentile.ppm()));
    enough.map_or(u64::MAX, |enough| partition(enough, |count| !slower(count, percentile).is_at_most(1, BEYOND)))
}

/// How many of so many samples are slower than a percentile.
fn slower(count: u64, percentile: Percentile) -> Binomial {
    Binomial::new(count, 1_000_000 - percentile.ppm())
}
