//! Values of a device's histogram as people and files are told of them.

use phasemeter_core::histogram::{Counter, HistogramView};
use phasemeter_core::summary::{Percentile, Quantile};

/// 2⁵³ nanoseconds are 104 days.
const MOST_EXACT: u64 = 1 << 53;

/// Nanoseconds in milliseconds.
#[expect(clippy::cast_precision_loss, reason = "exact up to 104 days")]
pub(crate) fn millis(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}

/// A bound in milliseconds, moved outward by more than floating point is off where it is not exact.
pub(crate) fn outward_millis(nanos: u64, outward: fn(f64) -> f64) -> f64 {
    let bound = millis(nanos);
    if nanos > MOST_EXACT { outward(outward(bound)) } else { bound }
}

/// A percentile by nearest rank, or why there is none: too few values for it to be more than a repetition of the maximum.
pub(crate) fn resolved<C: Counter>(histogram: &HistogramView<C>, percentile: Percentile) -> Result<Quantile, String> {
    histogram.quantile(percentile).filter(|_| histogram.resolves(percentile)).ok_or_else(|| {
        let needed = 1_000_000_u32.div_ceil((1_000_000 - percentile.ppm()).max(1));
        format!("{percentile} needs {needed} samples and there are {}", histogram.count())
    })
}
