//! How much of what a device measured was observed.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// Observed of expected samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CoverageCounts {
    /// Samples in whole snapshots.
    pub observed: u64,
    /// Samples that the devices told of.
    pub expected: u64,
    /// Observed of expected; `None` if what is expected is not known, because no end was seen.
    pub ratio: Option<f64>,
}

impl CoverageCounts {
    /// So many were observed of those expected, which is final or may still grow.
    pub(crate) fn of(observed: u64, expected: u64, is_final: bool) -> Self {
        Self { observed, expected, ratio: is_final.then(|| ratio(observed, expected)) }
    }

    /// Of several parts; the ratio is known if that of every part is.
    pub(crate) fn sum(parts: impl IntoIterator<Item = Self>) -> Self {
        let (observed, expected, is_final) = parts.into_iter().fold((0_u64, 0_u64, true), |sum, part| {
            let (observed, expected, is_final) = sum;
            let sums = (observed.saturating_add(part.observed), expected.saturating_add(part.expected));
            (sums.0, sums.1, is_final && part.ratio.is_some())
        });
        Self::of(observed, expected, is_final)
    }
}

/// A part of a whole; of nothing, all. It is one only of all.
#[expect(clippy::cast_precision_loss, reason = "a ratio for display; equality is decided on the counts")]
pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    match part.cmp(&whole) {
        Ordering::Equal => 1.0,
        Ordering::Less => (part as f64 / whole as f64).min(1.0_f64.next_down()),
        Ordering::Greater => part as f64 / whole as f64,
    }
}
